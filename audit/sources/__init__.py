"""Rows of any container and format, as messages; and the same bytes back.

Three questions are kept apart. `opening` finds the files that a user means: paths, globs, folders, standard input, the
Hugging Face hub, URLs. The *container* says where one record ends and the next begins (JSON Lines, a JSON array, CSV,
Parquet, Arrow) and yields records with their byte span, so that an export can copy kept rows untouched. The *format* says
what a record means (alpaca, messages, preference, …) and turns it into messages.

A record that cannot be read or understood is a row like any other, with a `problem`; only a file that cannot be cut
into records, or holds no readable row at all, is an error. Everything streams: memory is bounded by the longest record.
"""

from audit.sources.containers import (
    ArrowTable,
    Compression,
    Container,
    Problem,
    Record,
    Status,
    compression_of,
    compression_of_name,
    container_of_suffix,
    decompressed,
    detect_container,
    open_arrow,
    open_plain,
    read_records,
    without_compression,
)
from audit.sources.formats import (
    COLUMNS,
    Format,
    Message,
    ParsedRow,
    as_json,
    expected_fields,
    format_of_columns,
    parse_row,
    recognize_format,
)
from audit.sources.mapping import columns_beside, read_columns
from audit.sources.opening import Data, Source, SourceFile, located, open_source

__all__ = [
    "COLUMNS",
    "ArrowTable",
    "Compression",
    "Container",
    "Data",
    "Format",
    "Message",
    "ParsedRow",
    "Problem",
    "Record",
    "Source",
    "SourceFile",
    "Status",
    "as_json",
    "columns_beside",
    "compression_of",
    "compression_of_name",
    "container_of_suffix",
    "decompressed",
    "detect_container",
    "expected_fields",
    "format_of_columns",
    "located",
    "open_arrow",
    "open_plain",
    "open_source",
    "parse_row",
    "read_columns",
    "read_records",
    "recognize_format",
    "without_compression",
]
