"""What the base model makes of the rows, in every form of the audit's report: figures for all, a few rows at the ends.

The same audit gives the same bytes, so that what the pass took stands in the terminal and in the manifest alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from audit.corpus import Corpus, Row
from audit.summary import AuditSummary, Quartiles, UnderBase
from reports.histogram import Histogram, make_histogram
from reports.turns import Turn, turns_around
from reports.visible import one_line
from reports.wording import count, per_cent, share

__all__ = ["KnowledgeSection", "knowledge_json", "knowledge_markdown", "knowledge_section", "knowledge_table"]

_HUNDREDTHS = 100  # histograms count whole numbers
_COLUMNS = {"loss": "base_loss_nats_per_token", "shifted": "base_shifted_fraction", "ifd": "ifd"}
_TITLES = {
    "loss": "Loss, nats per token",
    "shifted": "Share of tokens shifted",
    "ifd": "IFD",
}
_MEANINGS = {
    "loss": "How strange the responses are to it: 0 where it foresees every token.",
    "shifted": "Tokens that are not among its three likeliest: what tuning would have to put there.",
    "ifd": "Loss given the prompt over loss without it: at 1 or more, the prompt makes the response no likelier.",
}
_ENDS = {
    "loss": ("What it finds most usual", "What it finds strangest"),
    "shifted": ("Fewest", "Most"),
    "ifd": ("Where the prompt helps most", "Where it helps least"),
}


_Written = Callable[[str, int], str]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A row at the end of a measure; without its messages in a redacted run."""

    row: Row
    value: str
    preview: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class _Measure:
    """A measure for the page.

    Attributes:
        title, meaning, sentence: What it is, what it says, and how it is spread.
        unit: Of its histogram.
        histogram: Over the rows, in hundredths.
        scale: By which the numbers of the histogram are divided.
        ends: What the rows of an end are, and these rows.
    """

    title: str
    meaning: str
    sentence: str
    unit: str
    histogram: Histogram | None
    scale: int
    ends: tuple[tuple[str, tuple[_Shown, ...]], ...]


@dataclass(frozen=True, slots=True)
class KnowledgeSection:
    """The section of the page.

    Attributes:
        sentences: The model, what was measured, and what that says.
        measures: With their histograms and ends.
    """

    sentences: tuple[str, ...]
    measures: tuple[_Measure, ...]


def knowledge_section(summary: AuditSummary, corpus: Corpus, signals: pl.DataFrame, characters: int) -> KnowledgeSection | None:
    """What the page shows; `None` without a base model.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        signals: The signals of every row.
        characters: Shown of each message.
    """
    under = summary.under_base
    if under is None:
        return None
    measures = (
        _measure(key, spread, signals[_COLUMNS[key]], corpus, characters, redacted=summary.redacted)
        for key, spread in _spreads(under)
        if spread
    )
    return KnowledgeSection(tuple(_sentences(summary, under)), tuple(measures))


def _measure(key: str, spread: Quartiles, values: pl.Series, corpus: Corpus, characters: int, *, redacted: bool) -> _Measure:
    rows = (
        tuple(_shown(corpus, key, *end, characters, redacted=redacted) for end in ends)
        for ends in (spread.lowest, spread.highest)
    )
    return _Measure(
        title=_TITLES[key],
        meaning=_MEANINGS[key],
        sentence=_spread_sentence(key, spread),
        unit="Per cent of the tokens" if key == "shifted" else _TITLES[key],
        histogram=make_histogram((values.drop_nulls() * _HUNDREDTHS).round().cast(pl.Int64)),
        scale=1 if key == "shifted" else _HUNDREDTHS,
        ends=tuple((name, shown) for name, shown in zip(_ENDS[key], rows, strict=True) if shown),
    )


def knowledge_table(summary: AuditSummary) -> RenderableType | None:
    """What the terminal shows; `None` without a base model."""
    under = summary.under_base
    if under is None:
        return None
    head, *others = _sentences(summary, under)
    took = "Every text was in the cache."
    if under.n_passed:
        texts = count(under.n_passed, "text")
        took = f"This audit passed {texts} in {under.seconds:,.1f} s; repeated and cached ones cost nothing."
    parts: list[RenderableType] = [
        Text("What the base model makes of the rows", "bold"),
        Padding.indent(Text(head), 2),
    ]
    if any(spread for _, spread in _spreads(under)):
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        table.add_column("Measure")
        for title in ("Rows", "Least", "25 %", "50 %", "75 %", "Most"):
            table.add_column(title, justify="right")
        for key, spread in _spreads(under):
            if spread:
                values = (spread.least, spread.low, spread.median, spread.high, spread.most)
                table.add_row(_TITLES[key], f"{spread.n_rows:,}", *(_value(key, value) for value in values))
        parts.append(Padding.indent(table, 2))
    return Group(*parts, *(Padding.indent(Text(line), 2) for line in (*others, took)))


def knowledge_markdown(summary: AuditSummary, code: _Written, say: _Written) -> str:
    """The part of a comment; empty without a base model.

    Args:
        summary: The audit at a glance.
        code: Makes a code span of a text and the most characters of it.
        say: Makes a sentence of them.
    """
    under = summary.under_base
    if under is None:
        return ""
    head, *others = _sentences(summary, under, code=code, say=say)
    lines = ["### What the base model makes of the rows", "", head]
    if any(spread for _, spread in _spreads(under)):
        lines += [
            "",
            "| measure | rows | least | 25 % | 50 % | 75 % | most |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
    for key, spread in _spreads(under):
        if spread:
            values = (spread.least, spread.low, spread.median, spread.high, spread.most)
            cells = (_TITLES[key], f"{spread.n_rows:,}", *(_value(key, value) for value in values))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *(line for sentence in others for line in ("", sentence))])


def knowledge_json(summary: AuditSummary, corpus: Corpus) -> Mapping[str, object] | None:
    """The object of the JSON report; `None` without a base model."""
    under = summary.under_base
    if under is None:
        return None
    return {
        "model": under.model,
        "stands_for": under.stands_for,
        "parameters": under.n_parameters,
        "device": under.device,
        "dtype": under.dtype,
        "plain_format": under.plain_format,
        "template": under.template,
        "template_digest": under.template_digest,
        "responses": under.n_responses,
        "tokens": under.n_tokens,
        "cut_responses": under.n_cut,
        "not_measured": [{"why": why, "responses": n} for why, n in under.not_measured],
        "loss_nats_per_token": _spread_json(under.loss, corpus),
        "shifted_fraction": _spread_json(under.shifted, corpus),
        "ifd": _spread_json(under.ifd, corpus),
        "ifd_of_1_or_more": under.n_not_helped if under.ifd else None,
        "slick": dict(under.slick) or None,
    }


def _sentences(
    summary: AuditSummary,
    under: UnderBase,
    *,
    code: _Written = one_line,
    say: _Written = one_line,
) -> Iterator[str]:
    """The model and what was measured; what the prompts do; classes; what could not be measured."""
    form = "in its own chat template" if under.template is None else f"in the chat template {code(under.template, 120)}"
    if under.plain_format:
        form = "under plain headings, as it has no chat template"
    yield (
        f"{code(under.model, 120)} ({_parameters(under.n_parameters)}, {under.dtype} on {under.device}), prompts {form} "
        f"({under.template_digest[:8]}): {under.n_responses:,} of {count(summary.n_responses, 'response')}, "
        f"{count(under.n_tokens, 'token')}."
    )
    if under.stands_for is not None:
        yield (
            f"It stands in for {code(under.stands_for, 120)}, the model "
            "that is to be tuned: for that one, these figures are an estimate."
        )
    if under.ifd:
        sentence = (
            f"IFD, the loss given the prompt over that without it, is 1 or more in {count(under.n_not_helped, 'row')} "
            f"({share(under.n_not_helped, under.ifd.n_rows)}): there the prompt makes the response no likelier."
        )
        named = next((check.n_findings for check in summary.checks if check.code == "KNW002"), None)
        unnamed = " They are too short, or too many, for KNW002 to name them." if under.n_not_helped and named == 0 else ""
        yield sentence + unnamed
    if under.slick:
        classes = ", ".join(f"{name} {n:,}" for name, n in under.slick)
        yield f"What it knows of short answers (SliCK), in rows: {classes}."
    left_out = [f"{n:,} ({say(why, 120)})" for why, n in under.not_measured]
    if left_out:
        yield f"Not measured: {', '.join(left_out)}."
    if under.n_cut:
        yield f"{count(under.n_cut, 'response')} longer than what it reads, and measured as far as it does."


def _spread_sentence(key: str, spread: Quartiles) -> str:
    low, median, high, most = (_value(key, value) for value in (spread.low, spread.median, spread.high, spread.most))
    return f"Half of the {spread.n_rows:,} rows lie from {low} to {high}; the median is {median}, the highest {most}."


def _spreads(under: UnderBase) -> Iterator[tuple[str, Quartiles | None]]:
    yield from {"loss": under.loss, "shifted": under.shifted, "ifd": under.ifd}.items()


def _value(key: str, value: float) -> str:
    return per_cent(value) if key == "shifted" else f"{value:,.2f}"


def _parameters(number: int) -> str:
    for size, name in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.3g} {name} parameters"
    return f"{number:,} parameters"


def _shown(corpus: Corpus, key: str, row: int, value: float, characters: int, *, redacted: bool) -> _Shown:
    read = corpus.row(row)
    if redacted:
        return _Shown(read, _value(key, value), "", ())
    asked = next((message.content for message in read.messages if message.role == "user"), "")
    return _Shown(read, _value(key, value), one_line(asked, 160), turns_around(read, None, None, characters))


def _spread_json(spread: Quartiles | None, corpus: Corpus) -> Mapping[str, object] | None:
    if spread is None:
        return None
    return {
        "rows": spread.n_rows,
        "min": spread.least,
        "q1": spread.low,
        "median": spread.median,
        "q3": spread.high,
        "max": spread.most,
        "lowest": [_end_json(corpus, row, value) for row, value in spread.lowest],
        "highest": [_end_json(corpus, row, value) for row, value in spread.highest],
    }


def _end_json(corpus: Corpus, row: int, value: float) -> Mapping[str, object]:
    return {"row": corpus.rows.select("file", "index", "line").row(row, named=True), "value": value}
