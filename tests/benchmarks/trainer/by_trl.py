"""What TRL itself makes of rows: its real `SFTTrainer`, a model of a few numbers beneath, and its prepared dataset."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ByTrl", "prepare_by_trl", "write_jsonl"]


@dataclass(frozen=True)
class ByTrl:
    """TRL's prepared dataset.

    Attributes:
        rows: Input tokens and labels by the row's number, those that TRL keeps; empty where rows are packed.
        sequences: The lengths that packed sequences are made of; of `wrapped` only the whole.
        seconds: What reading and preparing took.
        processor_seconds: The same, of this process alone.
    """

    rows: Mapping[int, tuple[Sequence[int], Sequence[int]]]
    sequences: Sequence[Sequence[int]]
    seconds: float
    processor_seconds: float = 0.0


def prepare_by_trl(
    file: Path,
    tokenizer: Any,
    folder: Path,
    *,
    max_length: int | None = 1024,
    completion_only_loss: bool | None = None,
    assistant_only_loss: bool = False,
    packing: str = "none",
    truncation: str = "keep_start",
    columns: Sequence[str] = (),
) -> ByTrl:
    """Give a file to TRL.

    Args:
        file: JSON Lines; every row has its number under `row`.
        tokenizer: With the chat template.
        folder: For caches and outputs; nothing is found in it again.
        max_length, completion_only_loss, assistant_only_loss: As in TRL's `SFTConfig`.
        packing: The strategy, or `none`.
        truncation: TRL's `truncation_mode`.
        columns: Columns of the file that are left out.

    Raises:
        Exception: Whatever TRL stops with.
    """
    import datasets
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers import logging as of_transformers
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    of_transformers.set_verbosity_error()
    logging.getLogger("trl").setLevel(logging.ERROR)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=2,
            intermediate_size=2,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
        )
    )
    began, began_working = time.monotonic(), time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        dataset = Dataset.from_json(str(file), cache_dir=str(folder / "cache"), keep_in_memory=True)
        dataset = dataset.remove_columns([name for name in columns if name in dataset.column_names])
        args = SFTConfig(
            output_dir=str(folder / "out"),
            max_length=max_length,
            completion_only_loss=completion_only_loss,
            assistant_only_loss=assistant_only_loss,
            packing=packing != "none",
            packing_strategy="bfd" if packing == "none" else packing,
            truncation_mode=truncation,
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        )
        prepared = SFTTrainer(model, args, train_dataset=dataset, processing_class=tokenizer).train_dataset
    seconds, working = time.monotonic() - began, time.process_time() - began_working
    if packing == "none":
        rows = {row["row"]: (row["input_ids"], row["labels"]) for row in prepared}
        return ByTrl(rows, (), seconds, working)
    if packing == "wrapped":
        return ByTrl({}, [[len(row["input_ids"])] for row in prepared], seconds, working)
    return ByTrl({}, [row["seq_lengths"] for row in prepared], seconds, working)


def write_jsonl(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as JSON Lines."""
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return file


def main() -> None:
    """Prepare FILE with the tokenizer of MODEL, FOLDER for what is written; print the seconds as JSON."""
    from transformers import AutoTokenizer

    file, model, folder = sys.argv[1:]
    by_trl = prepare_by_trl(Path(file), AutoTokenizer.from_pretrained(model), Path(folder))
    print(json.dumps({"seconds": by_trl.seconds, "processor_seconds": by_trl.processor_seconds}))


if __name__ == "__main__":
    main()
