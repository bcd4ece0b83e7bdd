"""A calibration for the terminal, as a page and as JSON: how much of what was planted tracing found in this dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from audit.corpus import Corpus
from audit.verify.calibration import CUT_OFFS, RANKS, Calibration, Fault, FaultOutcome, Level, Method, Rarity
from audit.verify.calibration.model import Q_CUT_OFFS
from audit.verify.proportions import Proportion
from reports.excerpts import Excerpt, cut_excerpt
from reports.json_report import addresses_of, encode_report
from reports.page import render_page
from reports.visible import one_line
from reports.wording import address, count, per_cent

__all__ = ["CALIBRATION_SCHEMA", "calibration_html", "calibration_json", "calibration_report", "calibration_sentence"]

CALIBRATION_SCHEMA = "tunescope/calibration-1"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""

_HEADLINE_K = 10
_MISSED_SHOWN = 5
_LEVELS = {Level.EASY: "≥ 60 %", Level.MEDIUM: "30–60 %", Level.HARD: "≤ 30 %"}
_METHODS = {
    Method.TRACE: "trace",
    Method.RANDOM_HOLDER: "holders, random",
    Method.BM25: "BM25",
    Method.ENCODER: "encoder",
    Method.ENCODER_HOLDERS: "encoder, holders",
}
_FOUND = tuple(name for k in RANKS for name in ((f"{k}", "(95 %)") if k == _HEADLINE_K else (f"{k}",)))
_MEANING = (
    "This measures retrieval: whether rows into which a false word was planted are found among those that held it all along. "
    "Whether a model would have borrowed the word from them, only tuning shows (tunescope trace --confirm). No model takes "
    "part: the trace is the one by words and concepts. The planted rows answer alike, by static vectors of the responses, "
    "which tracing does not look at; a source that answers about something else is not measured. The false words are drawn at "
    "random, so most rows that held them all along are about something else; where they are not, expect less."
)


@dataclass(frozen=True, slots=True)
class Figures:
    """A table of figures in words: headings, the first of them of the labels, and lines as long as they."""

    title: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Missed:
    """A fault of which no planted row came among the first rows."""

    fault: Fault
    best_rank: int | None
    answer: Excerpt
    rows: tuple[str, ...]


def calibration_sentence(calibration: Calibration, k: int = _HEADLINE_K) -> str:
    """What a calibration says about a trace of the same dataset, in one sentence; for the reports of traces."""
    parts = []
    for level in reversed(Level):
        outcomes = calibration.of_level(level)
        if outcomes:
            found = calibration.recall(outcomes, Method.TRACE, k).found
            assert found is not None  # there are outcomes
            parts.append(f"{round(found.fraction * found.n):,} of {len(outcomes):,} {level}")
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return f"On this dataset, tracing found {listed} planted faults within the first {k} rows."


def calibration_report(calibration: Calibration, corpus: Corpus) -> RenderableType:
    """What `rich` prints after a calibration."""
    parts: list[RenderableType] = [Text(calibration_sentence(calibration), "bold"), Text(), Text(planted_words(calibration))]
    for figures in figures_of(calibration):
        parts += [Text(), Text(figures.title, "bold"), _table(figures)]
    missed = tuple(_missed(calibration, corpus))
    if missed:
        parts += [Text(), Text(f"Not found within the first {_HEADLINE_K} rows, for example", "bold")]
        parts += [Padding.indent(Text(_missed_words(one)), 2) for one in missed]
    if calibration.skipped:
        parts += [Text(), Text("Not planted", "bold")]
        for skipped in calibration.skipped:
            parts.append(Padding.indent(Text.assemble(skipped.what, (f": {skipped.why}", "dim")), 2))
    return Group(*parts, Text(), Text(_MEANING, "dim"))


def calibration_html(calibration: Calibration, corpus: Corpus) -> bytes:
    """The page, as UTF-8; the same calibration gives the same bytes."""
    return render_page(
        "calibration.html.j2",
        sentence=calibration_sentence(calibration),
        planted=planted_words(calibration),
        figures=figures_of(calibration),
        missed=tuple(_missed(calibration, corpus)),
        k=_HEADLINE_K,
        not_planted=calibration.skipped,
        meaning=_MEANING,
    )


def planted_words(calibration: Calibration) -> str:
    """What was done, in two sentences."""
    cosine = calibration.mean_cosine
    near = "" if cosine is None else f"; mean cosine of their prompts {cosine:.2f}, static vectors"
    copies = count(calibration.n_copies, "copy", "copies")
    return (
        f"{count(len(calibration.outcomes), 'false statement')} planted into {count(calibration.n_planted_rows, 'row')} of "
        f"{copies} of {count(calibration.n_rows, 'row')} (seed {calibration.seed}{near}). Every false value is held by 20 or "
        "more other responses; the run is unchanged."
    )


def figures_of(calibration: Calibration) -> tuple[Figures, ...]:
    """The tables of a calibration, in order."""
    return (_by_level(calibration), _beside_others(calibration), _by_kind(calibration), _false(calibration))


def _by_level(calibration: Calibration) -> Figures:
    lines = []
    for level in Level:
        outcomes = calibration.of_level(level)
        if outcomes:
            of_rows = calibration.recall(outcomes, Method.TRACE, _HEADLINE_K).rows
            found = _found(calibration, outcomes)
            lines.append((level.value, _LEVELS[level], f"{len(outcomes):,}", *found, _percent(of_rows)))
    headings = ("level", "words shared", "faults", *_FOUND, f"rows, {_HEADLINE_K}")
    title = "Faults found within the first rows, by how many words the question shares with the planted ones"
    return Figures(title, headings, tuple(lines))


def _beside_others(calibration: Calibration) -> Figures:
    lines = []
    for level in Level:
        outcomes = calibration.of_level(level)
        if outcomes:
            recalls = (calibration.recall(outcomes, method, _HEADLINE_K) for method in Method)
            lines.append((level.value, *(_percent(recall.found) for recall in recalls)))
    title = f"Faults found in the first {_HEADLINE_K} rows, beside other orders of them"
    return Figures(title, ("level", *_METHODS.values()), tuple(lines))


def _by_kind(calibration: Calibration) -> Figures:
    groups: dict[str, list[FaultOutcome]] = {}
    for outcome in calibration.outcomes:
        fault = outcome.fault
        groups.setdefault(f"{count(fault.n_words, 'word')}, held by {fault.rarity}", []).append(outcome)
        groups.setdefault("planted once" if len(fault.planted) == 1 else "planted in 2 to 4 rows", []).append(outcome)
    order = [f"{count(n, 'word')}, held by {rarity}" for n in (1, 2) for rarity in Rarity]
    order += ["planted once", "planted in 2 to 4 rows"]
    lines = []
    for name in order:
        if name in groups:
            lines.append((name, f"{len(groups[name]):,}", *_found(calibration, groups[name])))
    return Figures("The same by kind of fault, all levels", ("fault", "faults", *_FOUND), tuple(lines))


def _false(calibration: Calibration) -> Figures:
    lines = []
    for cut_off in CUT_OFFS:
        false = calibration.false_discoveries(cut_off)
        lines.append(
            (
                f"chance ≤ {cut_off:g}",
                "0" if false is None else f"{false.n:,}",
                _percent(false),
                _ends(false),
                _percent(calibration.traces_naming(calibration.outcomes, cut_off)),
                _percent(blank := calibration.traces_naming(calibration.blanks, cut_off)),
                _ends(blank),
            )
        )
    for cut_off in Q_CUT_OFFS if calibration.blamed else ():
        false = calibration.false_blame(cut_off)
        n_rows = "0" if false is None else f"{false.n:,}"
        lines.append((f"q ≤ {cut_off:g}", n_rows, _percent(false), _ends(false), "–", "–", "–"))
    headings = ("cut-off", "rows", "not planted", "(95 %)", "of faults", "of blanks", "(95 %)")
    return Figures(
        f"Rows named, and the share of faults and of {count(len(calibration.blanks), 'blank claim')} that name one",
        headings,
        tuple(lines),
    )


def _found(calibration: Calibration, outcomes: Sequence[FaultOutcome]) -> Iterator[str]:
    """The cells under `_FOUND`."""
    for k in RANKS:
        found = calibration.recall(outcomes, Method.TRACE, k).found
        yield _percent(found)
        if k == _HEADLINE_K:
            yield _ends(found)


def _percent(proportion: Proportion | None) -> str:
    return "–" if proportion is None else per_cent(proportion.fraction)


def _ends(proportion: Proportion | None) -> str:
    """The ends of the interval, in per cent."""
    if proportion is None or proportion.interval_95 is None:
        return "–"
    return f"{100 * proportion.interval_95.low:.0f}–{100 * proportion.interval_95.high:.0f}"


def _missed(calibration: Calibration, corpus: Corpus) -> Iterator[_Missed]:
    """The first faults that were not found, the hard ones first."""
    shown = 0
    for level in reversed(Level):
        for outcome in calibration.of_level(level):
            ranks = [rank for rank in outcome.ranks[Method.TRACE] if rank is not None]
            if shown < _MISSED_SHOWN and not any(rank <= _HEADLINE_K for rank in ranks):
                fault = outcome.fault
                shown += 1
                rows = tuple(address(corpus.id(row), 24) for row in fault.planted)
                answer = cut_excerpt(fault.answer, 160, [(fault.start, fault.end)])
                yield _Missed(fault, min(ranks, default=None), answer, rows)


def _missed_words(missed: _Missed) -> str:
    rank = "not in the trace" if missed.best_rank is None else f"rank {missed.best_rank:,}"
    fault = missed.fault
    rows = f"{', '.join(missed.rows)}, {rank}"
    return f"{fault.level}: “{one_line(fault.value, 40)}” for “{one_line(fault.prompt, 90)}”, planted in {rows}"


def _table(figures: Figures) -> Table:
    first, *others = figures.headings
    columns = (Column(Text(name), justify="right", no_wrap=True) for name in others)
    table = Table(
        Column(Text(first), no_wrap=True), *columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim"
    )
    for line in figures.lines:
        table.add_row(*map(Text, line))
    return table


def calibration_json(calibration: Calibration, corpus: Corpus) -> bytes:
    """The calibration as UTF-8, by `reports/schemas/calibration.schema.json`; equal calibrations give equal bytes."""
    outcomes = (*calibration.outcomes, *calibration.blanks)
    faults = [outcome.fault for outcome in outcomes]
    named = [row.row for outcome in outcomes for row in outcome.named]
    rows = [fault.probe for fault in faults] + [row for fault in faults for row in fault.planted] + named
    addresses, keys = addresses_of(corpus, pl.Series(rows, dtype=pl.UInt32)), corpus.keys
    return encode_report(
        {
            "schema": CALIBRATION_SCHEMA,
            "seed": calibration.seed,
            "faults_per_level": calibration.n_per_level,
            "rows": calibration.n_rows,
            "copies": calibration.n_copies,
            "encoder": calibration.encoder,
            "mean_prompt_cosine": calibration.mean_cosine,
            "measures": _MEANING,
            "not_planted": [asdict(skipped) for skipped in calibration.skipped],
            "recall": [
                {
                    "level": level,
                    "method": method,
                    "k": k,
                    "faults": len(calibration.of_level(level)),
                    "found": _proportion(calibration.recall(calibration.of_level(level), method, k).found),
                    "rows": _proportion(calibration.recall(calibration.of_level(level), method, k).rows),
                }
                for level in Level
                for method in Method
                for k in RANKS
            ],
            "false_discoveries": [
                {
                    "measure": "chance",
                    "cut_off": cut_off,
                    "not_planted": _proportion(calibration.false_discoveries(cut_off)),
                    "faults_naming": _proportion(calibration.traces_naming(calibration.outcomes, cut_off)),
                    "blanks_naming": _proportion(calibration.traces_naming(calibration.blanks, cut_off)),
                }
                for cut_off in CUT_OFFS
            ]
            + [
                {
                    "measure": "q",
                    "cut_off": cut_off,
                    "not_planted": _proportion(calibration.false_blame(cut_off)),
                    "faults_naming": None,
                    "blanks_naming": None,
                }
                for cut_off in (Q_CUT_OFFS if calibration.blamed else ())
            ],
            "claims": [_claim_json(outcome, addresses, keys) for outcome in outcomes],
        }
    )


def _proportion(proportion: Proportion | None) -> Mapping[str, object] | None:
    """A share as JSON; an expected value has no interval of its own, but that of as many faults."""
    if proportion is None:
        return None
    interval = proportion.interval_95
    return {
        "share": round(proportion.fraction, 6),
        "n": proportion.n,
        "interval_95": None if interval is None else [round(interval.low, 6), round(interval.high, 6)],
    }


def _claim_json(
    outcome: FaultOutcome, addresses: Mapping[int, object], keys: Sequence[str] | pl.Series
) -> Mapping[str, object]:
    fault = outcome.fault
    return {
        "number": fault.number,
        "level": fault.level,
        "value": fault.value,
        "words": fault.n_words,
        "held_by": fault.rarity,
        "other_holders": outcome.n_others,
        "made_of": addresses[fault.probe],
        "prompt": fault.prompt,
        "response": fault.answer,
        "span": {"start": fault.start, "end": fault.end},
        "planted": [
            {
                "row": addresses[row],
                "row_key": keys[row],
                "words_shared": fault.overlaps[place],
                "prompt_cosine": fault.cosines[place],
                "ranks": {method: ranks[place] for method, ranks in outcome.ranks.items()},
            }
            for place, row in enumerate(fault.planted)
        ],
        "named": [{"row": addresses[named.row], "row_key": keys[named.row], "chance": named.chance} for named in outcome.named],
    }
