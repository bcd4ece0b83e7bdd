"""`make bench-trainer`: the trainer's view beside TRL's own preprocessing, row by row and second by second.

Real rows (alpaca_21k, dolly_3k) and made-up ones (conversations, calls of tools, plain strings) with the Pythia tokenizer, a
template with a system role and one without. Of every row the tokens and labels after TRL's `SFTTrainer` are compared, or
the lengths of what packed sequences are made of; rows at which TRL is said to stop are given to it alone.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.chat_templates import read_chat_template
from audit.config import LossOn, Packing, Truncation
from tests.benchmarks.data import DATASETS, ProcessCost, data_folder, run_process
from tests.benchmarks.record import Result, record
from tests.benchmarks.trainer.by_trl import write_jsonl
from tests.benchmarks.trainer.compared import Compared, Mode, compare, read_examples
from tests.benchmarks.trainer.sets import multi_turn_rows, text_rows, tool_call_rows

ROUNDS = 2
COMMAND = "make bench-trainer"
N_MADE_UP = 250
WITH_SYSTEM, WITHOUT_SYSTEM = "zephyr", "mistral"
ONE_CORE = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    data = data_folder()
    alpaca = data / DATASETS["alpaca_21k"].path
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tokenizer = _tokenizer(data, folder)
        sets = {
            "dolly_3k": (data / DATASETS["dolly_3k"].path, list(_modes((LossOn.ASSISTANT, None)))),
            "conversations": (_made_up(folder, "conversations", multi_turn_rows(N_MADE_UP)), list(_modes(tuple(LossOn)))),
            "calls of tools": (_made_up(folder, "calls", tool_call_rows(N_MADE_UP)), list(_modes(tuple(LossOn)))),
            "plain strings": (_made_up(folder, "plain", text_rows(N_MADE_UP)), list(_modes((None, LossOn.ALL)))),
            "alpaca_21k": (alpaca, list(_few_modes())),
        }
        results, lines = list(_speed(alpaca, tokenizer, folder)), []
        for name, (file, modes) in sets.items():
            found = [_compare(name, file, tokenizer, mode, folder) for mode in modes]
            results += _of_set(name, found)
            lines += [_line(name, mode, each) for mode, each in zip(modes, found, strict=True)]
            record(Path(__file__).parent, "The trainer's view beside TRL's own preprocessing", results, _notes(lines))


def _modes(losses: tuple[LossOn | None, ...]) -> Iterator[Mode]:
    """Every template and loss, cut short at the start and longer at the end; packed, what hangs on lengths alone, once."""
    for template in (WITH_SYSTEM, WITHOUT_SYSTEM):
        for loss_on in losses:
            yield Mode(template, loss_on, 256)
            yield Mode(template, loss_on, 1024, truncation=Truncation.KEEP_END)
    yield from (Mode(WITH_SYSTEM, losses[-1], 256, packing) for packing in Packing if packing is not Packing.NONE)


def _few_modes() -> Iterator[Mode]:
    yield Mode(WITH_SYSTEM, None, 256)
    yield Mode(WITHOUT_SYSTEM, None, 1024)
    yield Mode(WITH_SYSTEM, LossOn.ASSISTANT, 256, Packing.BFD)


def _compare(name: str, file: Path, tokenizer: Any, mode: Mode, folder: Path) -> Compared:
    as_it_stands = name in ("conversations", "calls of tools") and mode.loss_on is not LossOn.COMPLETION
    found = compare(file, tokenizer, mode, folder, as_it_stands=as_it_stands or name == "plain strings")
    print(f"{name}, {mode}: {found.n_rows} rows, {len(found.different)} differ", flush=True)
    return found


def _of_set(name: str, found: list[Compared]) -> Iterator[Result]:
    yield Result(
        f"{name}: rows compared, over {len(found)} settings", sum(each.n_rows for each in found), "rows", command=COMMAND
    )
    differences = sum(len(each.different) for each in found)
    yield Result(f"{name}: rows or sequences that differ", differences, "rows", goal="0", command=COMMAND)


def _line(name: str, mode: Mode, found: Compared) -> str:
    cells = (name, str(mode), f"{found.n_rows:,}", f"{found.n_dropped:,}", f"{found.n_refused:,}", str(len(found.different)))
    return f"| {' | '.join(cells)} |"


def _speed(alpaca: Path, tokenizer: Any, folder: Path) -> Iterator[Result]:
    """Both as fresh processes, in turns, tokenizers on one thread."""
    tokenizer.chat_template = read_chat_template(WITH_SYSTEM, tokenizer)
    model = folder / "tokenizer"
    tokenizer.save_pretrained(model)
    examples = read_examples(alpaca, folder, loss_on=None)
    given = write_jsonl(folder / "alpaca.jsonl", [{**example.fields, "row": example.row} for example in examples])
    root = Path(__file__).resolve().parents[3]
    costs: dict[str, list[ProcessCost]] = {"by_tunescope": [], "by_trl": []}
    for _ in range(ROUNDS):
        for name, file in (("by_tunescope", alpaca), ("by_trl", given)):
            command = [sys.executable, "-W", "ignore", "-m", f"tests.benchmarks.trainer.{name}", str(file), str(model)]
            costs[name].append(run_process([*command, str(folder / name)], ONE_CORE, root))
            print(name, costs[name][-1].stdout.strip(), flush=True)
    told = {name: [json.loads(cost.stdout.splitlines()[-1]) for cost in found] for name, found in costs.items()}
    working = {name: [each["processor_seconds"] for each in found] for name, found in told.items()}
    rows = f"alpaca_21k ({len(examples):,} rows)"
    yield _figure(f"trainer's view of {rows}, reading included, processor time", working["by_tunescope"], "s", "at most 60")
    yield _figure(f"TRL's reading and `SFTTrainer` of {rows}, processor time", working["by_trl"], "s")
    ratios = [a / b for a, b in zip(working["by_trl"], working["by_tunescope"], strict=True)]
    yield _figure("TRL / trainer's view, processor time", ratios, "ratio", "at least 1")
    yield _figure("trainer's view, on the clock", [each["seconds"] for each in told["by_tunescope"]], "s")
    yield _figure("TRL, on the clock", [each["seconds"] for each in told["by_trl"]], "s")
    yield _figure("trainer's view, peak memory of the process", _peaks(costs["by_tunescope"]), "GiB", "at most 1.5")
    yield _figure("TRL, peak memory of the process", _peaks(costs["by_trl"]), "GiB")


def _peaks(costs: list[ProcessCost]) -> list[float]:
    return [cost.peak_mib / 1024 for cost in costs]


def _figure(name: str, values: list[float], unit: str, goal: str = "") -> Result:
    return Result(name, round(statistics.median(values), 4), unit, round(min(values), 4), round(max(values), 4), goal, COMMAND)


def _made_up(folder: Path, name: str, rows: Iterator[dict[str, Any]]) -> Path:
    return write_jsonl(folder / f"{name}.jsonl", list(rows))


def _tokenizer(data: Path, folder: Path) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    file = data / "tokenizers" / "pythia_tokenizer.json"
    eos = "<|endoftext|>"
    PreTrainedTokenizerFast(tokenizer_file=str(file), eos_token=eos).save_pretrained(folder / "pythia")
    return AutoTokenizer.from_pretrained(str(folder / "pythia"))


def _notes(lines: list[str]) -> str:
    table = [
        "| rows of | settings | rows compared | left out by TRL | stops at | differ |",
        "|---|---|---:|---:|---:|---:|",
        *lines,
    ]
    return (
        "TRL 1.16's `SFTTrainer`, with a model of a few hundred thousand numbers, is given the rows and its `train_dataset` is "
        f"read. {WITH_SYSTEM} has a system role and tools; {WITHOUT_SYSTEM} has neither, and raises. Conversations, calls and "
        "plain strings go to TRL as the file stands, where the loss is not on a completion that the file does not have; all "
        "else goes in the form that tunescope would give it. Rows at which TRL is said to stop are left out of its file; the "
        "first 8 of a setting are given to it alone, and count as different where it goes on. Of packed rows the lengths of "
        "the pieces are compared, sequence by sequence. A prompt without any answer cannot be given to TRL as prompt and "
        "completion, and is not compared. Numbers in the arguments of calls are multiples of a quarter: others `datasets` 5.2 "
        "reads from mixed columns as neighbours of theirs (2.82 as 2.8200000000000003), while tunescope keeps the file's. "
        f"Seconds: medians of {ROUNDS} rounds in turns, with the range, as fresh processes, tokenizers on one thread; "
        "other work was on the machine, so that the clock says little.\n\n"
    ) + "\n".join(table)


if __name__ == "__main__":
    main()
