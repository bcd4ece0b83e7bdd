"""A run without the dataset's text: hashes in its place.

Texts become HMAC-SHA256 values under a random key that is thrown away with the working files. So equal texts of a run can
be told to be equal, and short ones, a name or a number, cannot be guessed by hashing guesses. Row keys stay as they are,
plain SHA-256 of a row's messages: baselines, decisions and later runs know rows by them. Whoever can guess a *whole* row,
letter by letter, can see that it was there.

What stays readable: names of files, of checks and of a row's fields, lengths, measured values, positions, the settings.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from audit.corpus import read_table
from indexes.store import read_bytes, write_bytes

__all__ = ["Hashing", "load_hashing", "redact_findings", "redact_rows"]

Hashing = Callable[[str | bytes], str]
"""A text in, 64 hexadecimal digits out."""

_ROLES = ("system", "user", "assistant", "tool")
_KEY_BYTES = 32


def load_hashing(key_file: Path) -> Hashing:
    """The hashing of a run in the making; its key is drawn once, so that an interrupted audit goes on with the same."""
    if not key_file.exists():
        write_bytes(key_file, secrets.token_bytes(_KEY_BYTES))
    key = read_bytes(key_file)

    def digest(text: str | bytes) -> str:
        content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        return hmac.new(key, content, hashlib.sha256).hexdigest()

    return digest


def redact_rows(rows: Path, hashing: Hashing) -> bytes:
    """`rows.parquet` with a hash in place of every text that came from the dataset.

    Args:
        rows: The whole one.
        hashing: See `load_hashing`.
    """
    table = read_table(rows)
    for name, redact in (
        ("messages", lambda messages: None if messages is None else [_redact_message(turn, hashing) for turn in messages]),
        ("tools", lambda tools: None if tools is None else hashing(tools)),
        ("extra", lambda extra: None if extra is None else _redact_fields(extra, hashing)),
        ("reason", lambda reason: None if reason is None else "redacted"),
        ("raw", lambda raw: None if raw is None else hashing(raw).encode()),
    ):
        field = table.schema.field(name)
        values = pa.array([redact(value) for value in table.column(name).to_pylist()], field.type)
        table = table.set_column(table.schema.get_field_index(name), field, values)
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        writer.write_table(table)
    return buffer.getvalue()


def _redact_message(message: dict[str, object], hashing: Hashing) -> dict[str, object]:
    """Roles that every chat format knows stay."""
    kept = {"trained": message["trained"]}
    if message["role"] in _ROLES:
        kept["role"] = message["role"]
    return {name: _redact_value(value, hashing) for name, value in message.items()} | kept


def _redact_fields(extra: str, hashing: Hashing) -> str:
    """Names stay, so that a control can still keep a field in proportion."""
    return json.dumps({name: _redact_value(value, hashing) for name, value in json.loads(extra).items()})


def _redact_value(value: object, hashing: Hashing) -> object:
    if value is None:
        return None
    return hashing(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))


def redact_findings(findings: pl.DataFrame, names: Mapping[str, str], hashing: Hashing) -> pl.DataFrame:
    """Findings whose message is their check's name, and whose quote is a hash.

    Args:
        findings: A frame with the columns `code` and `message`, and `measure` and `quote` where it has them.
        names: Code -> name of its check.
        hashing: See `load_hashing`.
    """
    message = pl.col("code").replace_strict(names, default="finding of another version", return_dtype=pl.String)
    redacted = findings.with_columns(message=message + ".")
    if "quote" in findings.columns:
        quotes = [hashing(quote) if quote else "" for quote in findings["quote"]]
        redacted = redacted.with_columns(pl.Series("quote", quotes, pl.String), measure=pl.lit(""))
    return redacted
