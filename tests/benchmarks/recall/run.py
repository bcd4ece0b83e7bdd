"""`make bench-recall`: does a check find the defects that somebody who does not know its rule would inject?

Sixty defects per code, spread over its variants (`injectors.py`), each in a row drawn from real data that has no finding
of the code before. Every code's rows stand among untouched ones in a file of their own, which goes through a whole audit.
`python -m tests.benchmarks.recall.run TXT005 --missed` prints what is not found; `--seed` draws other rows and texts. What
was found at first, before anybody had seen what is missed, is kept in `first.json` (`--first`) and stands beside the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import polars as pl
from statsmodels.stats.proportion import proportion_confint

from audit.checks import CHECKS
from audit.config import AuditConfig
from audit.pipeline import run_audit
from audit.sources import Format
from reports.render import render_audit
from tests.benchmarks.data import DATASETS, data_folder
from tests.benchmarks.recall.injection import Injected, Row, chat, line_of
from tests.benchmarks.recall.injectors import INJECTORS
from tests.benchmarks.record import Result, record

COMMAND = "make bench-recall"
FOLDER = Path(__file__).parent
FIRST = FOLDER / "first.json"
BASES = ("alpaca_21k", "dolly_3k", "code_alpaca_2k", "t0_55k")
SEED = 5301
N_INJECTED = 60
N_UNTOUCHED = 1000
ROWS_PER_BASE = 1500
# Options that are off unless asked for, and measured beside the defaults.
OPTIONS: dict[str, dict[str, object]] = {"CON002": {"transformer": "all-MiniLM-L6-v2"}}


@dataclass(frozen=True)
class Injection:
    """A defect in the file: its variant, what stands there, and the lines where it stands."""

    variant: str
    injected: Injected
    lines: range


@dataclass(frozen=True)
class Found:
    """What the audit of a code's file came to."""

    code: str
    option: str
    injections: Sequence[Injection]
    missed: Sequence[Injection]
    n_untouched_found: int


def main() -> None:
    """Measure, and write RESULTS.md and results.json; with codes, `--missed` or `--seed` only print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recall.run")
    parser.add_argument("codes", nargs="*", help="codes or prefixes; default: all")
    parser.add_argument("--missed", action="store_true", help="print every defect that was not found, one JSON object a line")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--first", action="store_true", help="keep the figures of codes that have none in first.json")
    given = parser.parse_args()
    codes = [code for code in INJECTORS if code.startswith(tuple(given.codes or [""]))]
    known = {check.code for check in CHECKS}
    with tempfile.TemporaryDirectory() as scratch:
        pool = _base_rows(given.seed)
        # Contamination is by items that are injected too, so that no row can have a finding of it before.
        looked_for = [code for code in codes if code in known and not code.startswith("CON")]
        before = _audited(Path(scratch) / "pool", [line_of(row) for row in pool], [], looked_for)
        measured = []
        for code in codes:
            if code not in known:
                print(f"{code}: there is no such check", file=sys.stderr)
                continue
            has_it = set(before.filter(pl.col("code") == code)["row"].to_list())
            measured.append(_measure(Path(scratch) / code, code, pool, has_it, given.seed))
            if code in OPTIONS:
                measured.append(_measure(Path(scratch) / f"{code}-option", code, pool, has_it, given.seed, OPTIONS[code]))
    if given.missed:
        for found in measured:
            for injection in found.missed:
                shown = [row if isinstance(row, dict) else row.decode(errors="replace") for row in injection.injected.rows]
                line = {"code": found.code, "variant": injection.variant, "rows": shown}
                print(json.dumps(line | {"evaluation": injection.injected.evaluation}, ensure_ascii=False))
    if given.first:
        counts = {
            found.code: [len(found.injections) - len(found.missed), len(found.injections)]
            for found in measured
            if not found.option
        }
        kept = dict(sorted((counts | _first()).items()))
        FIRST.write_text("{\n" + ",\n".join(f' "{code}": {count}' for code, count in kept.items()) + "\n}\n", encoding="utf-8")
    if given.codes or given.missed or given.first or given.seed != SEED:
        for found in measured:
            n_found = len(found.injections) - len(found.missed)
            print(
                f"{found.code} {found.option}: {n_found} of {len(found.injections)}", _missed_variants(found), file=sys.stderr
            )
        return
    names = {check.code: check.name for check in CHECKS}
    results = [result for found in measured for result in _results(found, names[found.code])]
    record(FOLDER, "Recall of the checks on injected defects", results, _notes(measured))


def _base_rows(seed: int) -> list[Row]:
    """Rows of one exchange from several datasets, mixed; the end mark that t0's answers carry is taken off."""
    rows: list[Row] = []
    for name in BASES:
        content = (data_folder() / DATASETS[name].path).read_text(encoding="utf-8")
        records = json.loads(content) if content.startswith("[") else [json.loads(line) for line in content.strip().split("\n")]
        for each in Random(f"{seed} {name}").sample(records, ROWS_PER_BASE):
            if "instruction" in each:
                prompt, response = "\n".join(part for part in (each["instruction"], each["input"]) if part), each["output"]
            else:
                prompt, response = each["prompt"], each["completion"].removesuffix("<|endoftext|>")
            if prompt.strip() and response.strip():
                rows.append(chat(prompt, response))
    Random(seed).shuffle(rows)
    return rows


def _measure(
    folder: Path, code: str, pool: Sequence[Row], has_it: set[int], seed: int, options: Mapping[str, object] | None = None
) -> Found:
    """Inject, audit, and look up what was found."""
    rng = Random(f"{seed} {code}")
    order = rng.sample([number for number in range(len(pool)) if number not in has_it], len(pool) - len(has_it))
    parts: list[tuple[str, Injected]] = []
    used: set[int] = set()
    for number in range(N_INJECTED):
        injector = INJECTORS[code][number % len(INJECTORS[code])]
        for place in order:
            injected = None if place in used else injector(rng, pool[place])
            if injected is not None:
                used.add(place)
                parts.append((injector.__name__, injected))
                break
        else:
            raise SystemExit(f"no row lends itself to {code} {injector.__name__}")
    untouched = [place for place in rng.sample(range(len(pool)), N_UNTOUCHED + N_INJECTED) if place not in used][:N_UNTOUCHED]
    parts += [("", Injected([pool[place]])) for place in untouched]
    rng.shuffle(parts)
    lines: list[bytes] = []
    injections = []
    for variant, injected in parts:
        first = len(lines)
        lines += [row if isinstance(row, bytes) else line_of(row) for row in injected.rows]
        injections.append(Injection(variant, injected, range(first, len(lines))))
    evaluation = [item for injection in injections for item in injection.injected.evaluation]
    hit = set(_audited(folder, lines, evaluation, [code], {code: dict(options)} if options else {})["row"].to_list())
    real = [injection for injection in injections if injection.variant]
    return Found(
        code,
        ", ".join(f"{name}={value}" for name, value in (options or {}).items()),
        real,
        [injection for injection in real if hit.isdisjoint(injection.lines)],
        sum(not injection.variant and not hit.isdisjoint(injection.lines) for injection in injections),
    )


def _audited(
    folder: Path,
    lines: Sequence[bytes],
    evaluation: Sequence[Row],
    codes: Sequence[str],
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> pl.DataFrame:
    """The findings of an audit of these lines."""
    folder.mkdir()
    data, items = folder / "rows.jsonl", folder / "evaluation.jsonl"
    data.write_bytes(b"\n".join(lines) + b"\n")
    items.write_bytes(b"\n".join(map(line_of, evaluation)) + b"\n")
    settings = {"evaluation": (str(items),)} if evaluation else {}
    config = AuditConfig(data=str(data), input_format=Format.MESSAGES, select=tuple(codes), checks=options or {}, **settings)
    return run_audit(config, folder / "run", render=render_audit).findings


def _results(found: Found, name: str) -> Iterator[Result]:
    n_injected = len(found.injections)
    n_found = n_injected - len(found.missed)
    low, high = proportion_confint(n_found, n_injected, method="wilson")
    name += f" with {found.option}" if found.option else ""
    title = f"{found.code} {name}, found of {n_injected} injected"
    yield Result(title, n_found / n_injected, "recall", float(low), float(high), "at least 0.95", COMMAND)
    low, high = proportion_confint(found.n_untouched_found, N_UNTOUCHED, method="wilson")
    title = f"{found.code} {name}, findings in untouched rows, of {N_UNTOUCHED}"
    yield Result(title, found.n_untouched_found / N_UNTOUCHED, "share of rows", float(low), float(high), "", COMMAND)


def _missed_variants(found: Found) -> str:
    missed = Counter(injection.variant for injection in found.missed)
    all_of = Counter(injection.variant for injection in found.injections)
    return ", ".join(f"{variant.replace('_', ' ')} ({count} of {all_of[variant]})" for variant, count in missed.most_common())


def _first() -> dict[str, list[int]]:
    """Code -> how many were found of how many, before anybody had seen what is missed."""
    return json.loads(FIRST.read_text(encoding="utf-8")) if FIRST.exists() else {}


def _notes(measured: Sequence[Found]) -> str:
    first = {code: f"{n_found} of {count}" for code, (n_found, count) in _first().items()}
    rows = []
    for found in measured:
        code, n_variants = f"{found.code} {found.option}".strip(), len(INJECTORS[found.code])
        rows.append(f"| {code} | {n_variants} | {first.get(code, '–')} | {_missed_variants(found) or '–'} |")
    missing = [code for code in INJECTORS if code not in {found.code for found in measured}]
    return "\n".join(
        [
            f"Seed {SEED}. Base rows: {', '.join(BASES)}, in equal parts; a row that has a finding of the code before is not "
            "used. The injectors were written without knowledge of the checks' rules, from one line per code; what they "
            "inject is invented and plain to see, so that defects of a kind that nobody thought of are not in these figures. "
            "Three variants have moved since: a turn without content is an empty response and no malformed row, a prompt "
            "that is an image is read, and U+FFFD, which cannot be mended, is a control character and no mojibake. "
            "Some checks were mended because of what they missed; *found at first* is what they found before. Wilson "
            "intervals. A finding in an untouched row is no error by itself: real data have defects, and "
            "`make bench-precision` reads such findings.",
            "",
            "| code | variants | found at first | missed now |",
            "|---|---|---|---|",
            *rows,
            *(["", f"Not measured, for want of a check: {', '.join(missing)}."] if missing else []),
        ]
    )


if __name__ == "__main__":
    main()
