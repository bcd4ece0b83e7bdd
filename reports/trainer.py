"""What a trainer makes of the rows, in every form of the audit's report: what happens to all of them first, then figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from audit.corpus import Corpus
from audit.preprocessing.cost import EPOCHS, USUAL_SIZES, tuning_flop
from audit.preprocessing.packing import BATCH_SIZE
from audit.summary import AuditSummary
from reports.visible import one_line
from reports.wording import address, count, per_cent, share

__all__ = [
    "TrainerSection",
    "trainer_alarms",
    "trainer_alarms_markdown",
    "trainer_json",
    "trainer_markdown",
    "trainer_section",
    "trainer_tables",
]

_LONGEST = 160
_FATES = {
    "dropped": ("left out by TRL without a word, as no token of them is trained", "TRN001"),
    "untrained": ("fed, and no token of them is trained", "TRN001"),
    "cut": ("cut to the maximum length", ""),
    "end_cut": ("of which the answer's end is cut", "TRN002"),
    "end_missing": ("without a trained token that ends the answer", "TRN003"),
    "refused": ("at which TRL stops", "TRN004"),
    "lost": ("of which the template leaves something out, or changes it", "TRN004"),
    "double_bos": ("with two beginning-of-sequence tokens", "TRN005"),
    "special": ("with text that the tokenizer takes for a special token", "TRN006"),
    "prompt_left_out": ("that do not begin with the tokens of their prompt", "TRN007"),
}
_STRATEGIES = {
    "none": f"none, {BATCH_SIZE} rows padded to the longest",
    "bfd": "bfd: longest first, rows cut to the length",
    "bfd_split": "bfd_split: longest first, rows go on in another sequence",
    "wrapped": "wrapped: end to end, cut wherever a sequence is full",
}
_PREFIXES = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"))


@dataclass(frozen=True, slots=True)
class _Figures:
    """A table; all columns but the first are numbers.

    Attributes:
        title: What it is about.
        header: Names of the columns.
        rows: Cells.
        note: What a reader should know of it; may be empty.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrainerSection:
    """The section of a report.

    Attributes:
        sentence: With what the rows were prepared.
        alarms: What concerns every row, or ends a training run.
        tables: The figures.
    """

    sentence: str
    alarms: tuple[str, ...]
    tables: tuple[_Figures, ...]


def trainer_section(summary: AuditSummary, corpus: Corpus) -> TrainerSection | None:
    """What is shown; `None` without a tokenizer."""
    facts = summary.trainer
    if facts is None:
        return None
    tables = (_fates(facts), _tokens(facts), _packings(facts), _costs(facts))
    return TrainerSection(_sentence(facts), tuple(_alarms(facts, corpus)), tuple(table for table in tables if table.rows))


def trainer_tables(summary: AuditSummary, corpus: Corpus) -> RenderableType | None:
    """What `rich` prints; `None` without a tokenizer."""
    section = trainer_section(summary, corpus)
    if section is None:
        return None
    parts: list[RenderableType] = [Text("For the trainer", "bold"), Padding.indent(Text(section.sentence, "dim"), 2)]
    for figures in section.tables:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for place, title in enumerate(figures.header):
            table.add_column(title, justify="right" if place else "left")
        for row in figures.rows:
            table.add_row(*map(Text, row))
        parts += [Text(), Padding.indent(table, 2)]
        if figures.note:
            parts.append(Padding.indent(Text(figures.note, "dim"), 2))
    return Group(*parts)


def trainer_alarms(summary: AuditSummary, corpus: Corpus) -> RenderableType | None:
    """What concerns every row, or ends a training run, for the head of what `rich` prints; `None` where nothing does."""
    section = trainer_section(summary, corpus)
    if section is None or not section.alarms:
        return None
    return Group(*(Text(alarm, "bold red") for alarm in section.alarms))


def trainer_markdown(summary: AuditSummary, corpus: Corpus, prose: Callable[[str, int], str]) -> str:
    """The section as Markdown; empty without a tokenizer.

    Args:
        summary: The audit at a glance.
        corpus: The rows.
        prose: Makes a sentence harmless.
    """
    section = trainer_section(summary, corpus)
    if section is None:
        return ""
    lines = ["<details><summary>For the trainer</summary>", "", prose(section.sentence, 600)]
    for figures in section.tables:
        lines += ["", f"| {' | '.join(figures.header)} |", f"|---|{'---:|' * (len(figures.header) - 1)}"]
        lines += [f"| {' | '.join(row)} |" for row in figures.rows]
        if figures.note:
            lines += ["", prose(figures.note, 600)]
    return "\n".join([*lines, "", "</details>"])


def trainer_alarms_markdown(summary: AuditSummary, corpus: Corpus, prose: Callable[[str, int], str]) -> str:
    """What concerns every row, or ends a training run, as Markdown for the head of a report; empty where nothing does."""
    section = trainer_section(summary, corpus)
    return "\n".join(f"- **For the trainer:** {prose(alarm, 400)}" for alarm in section.alarms) if section else ""


def trainer_json(summary: AuditSummary, corpus: Corpus) -> Mapping[str, object] | None:
    """The figures for machines, the costs among them; `None` without a tokenizer."""
    facts = summary.trainer
    if facts is None:
        return None
    first = facts["rows"]["first_refused"]
    rows = {name: number for name, number in facts["rows"].items() if name != "first_refused"}
    return {
        **facts,
        "rows": rows,
        "first_refused": None if first is None else {"file": corpus.id(first).file, "index": corpus.id(first).index},
        "epochs": EPOCHS,
        "batch_size": BATCH_SIZE,
        "flop_per_epoch": [
            {"model": name, "parameters": size, **{method: _flop_of(facts, size, method) for method in ("full", "lora")}}
            for name, size in _sizes(facts).items()
        ],
    }


def _sentence(facts: Mapping[str, Any]) -> str:
    template = "its own chat template" if facts["template"] == "its own" else f"the chat template {facts['template']}"
    length = "rows of any length" if facts["max_length"] is None else f"at most {facts['max_length']:,} tokens"
    forms = "; ".join(
        f"{count(number, 'row')} as {form}, loss on {_LOSSES[facts['loss_on'][form]]}"
        for form, number in facts["forms"].items()
    )
    packed = "" if facts["packing"] == "none" else f", packed by {facts['packing']}"
    kept = "" if facts["truncation"] == "keep_start" else ", the end of rows kept"
    roles = "; ShareGPT's roles taken as renamed to user and assistant" if facts["renamed_roles"] else ""
    return one_line(
        f"TRL's preprocessing with the tokenizer {one_line(facts['tokenizer'], 80)} and {one_line(template, 120)}, "
        f"{length}{packed}{kept}; {forms}{roles}.",
        600,
    )


_LOSSES = {"all": "all tokens", "completion": "the completion", "assistant": "the assistant's turns"}


def _alarms(facts: Mapping[str, Any], corpus: Corpus) -> Iterator[str]:
    rows = facts["rows"]
    if facts["is_plain"]:
        yield "The base model has no chat template: rows are shown in the plain form alpaca. Tune with that, or name yours."
    yield from (one_line(f"The chat template, in every row: {defect}.", 300) for defect in facts["of_template"])
    if rows["refused"]:
        place = address(corpus.id(rows["first_refused"]))
        yield f"TRL stops at {count(rows['refused'], 'row')}, the first {place}: the training run ends there."
    if rows["dropped"]:
        yield f"TRL leaves out {count(rows['dropped'], 'row')} without a word: no token of them is trained."
    for what, number in facts["losses"].items():
        yield one_line(f"In {count(number, 'row')} {what}.", 200)


def _fates(facts: Mapping[str, Any]) -> _Figures:
    rows = facts["rows"]
    found = [("trained on", "", rows["trained"])]
    found += [(what, code, rows[name]) for name, (what, code) in _FATES.items() if rows[name]]
    if rows["unread"]:
        found.append(("that could not be read, and are not counted here", "", rows["unread"]))
    cells = (
        (f"{what} ({code})" if code else what, f"{number:,}", share(number, rows["given"])) for what, code, number in found
    )
    return _Figures("Rows", ("Rows", "number", "share"), tuple(cells))


def _tokens(facts: Mapping[str, Any]) -> _Figures:
    tokens = facts["tokens"]
    whole, fed = tokens["whole"], tokens["input_tokens"]
    if not whole:
        return _Figures("Tokens", ("Tokens of an epoch", "number", "share"), ())
    padding = facts["packings"][0]["unused_fraction"] if facts["packing"] == "none" else 0.0
    cells = [
        ("in the rows", f"{whole:,}", share(whole, whole)),
        ("fed", f"{fed:,}", share(fed, whole)),
        ("trained, the rest is read only", f"{tokens['trained_tokens']:,}", share(tokens["trained_tokens"], whole)),
    ]
    if tokens["cut_tokens"]:
        cells.append(("cut, or in rows left out", f"{tokens['cut_tokens']:,}", share(tokens["cut_tokens"], whole)))
    if tokens["trained_cut_tokens"]:
        cells.append(
            ("that would have been trained", f"{tokens['trained_cut_tokens']:,}", share(tokens["trained_cut_tokens"], whole))
        )
    note = (
        f"Padding to the longest of {BATCH_SIZE} rows adds {per_cent(padding / (1 - padding))} to what is fed."
        if padding
        else ""
    )
    return _Figures("Tokens", ("Tokens of an epoch", "number", "share"), tuple(cells), note)


def _packings(facts: Mapping[str, Any]) -> _Figures:
    header = ("Packing", "sequences", "tokens fed", "tokens cut", "room unused", "rows split")
    rows = (
        (
            ("» " if each["packing"] == facts["packing"] else "") + _STRATEGIES[each["packing"]],
            f"{each['sequences']:,}",
            f"{each['tokens']:,}",
            f"{each['cut_tokens']:,}",
            per_cent(each["unused_fraction"]),
            f"{each['split_rows']:,}",
        )
        for each in facts["packings"]
        if each["sequences"]
    )
    return _Figures(
        "Packing",
        header,
        tuple(rows),
        "» is what was asked for. Without packing, unused room is padding, in the mean over orders.",
    )


def _costs(facts: Mapping[str, Any]) -> _Figures:
    header = ("Cost of tuning", "full, an epoch", "LoRA, an epoch", f"full, {EPOCHS} epochs", f"LoRA, {EPOCHS} epochs")
    rows = tuple(
        (
            one_line(name, 60),
            *(_flop(_flop_of(facts, size, method) * epochs) for epochs in (1, EPOCHS) for method in ("full", "lora")),
        )
        for name, size in _sizes(facts).items()
        if facts["tokens"]["input_tokens"]
    )
    note = (
        "6 · parameters · tokens fed for full tuning (Kaplan et al. 2020), 4 for LoRA, which has no gradients of the model's "
        "own weights; attention and padding come on top."
    )
    return _Figures("Cost", header, rows, note)


def _sizes(facts: Mapping[str, Any]) -> Mapping[str, int]:
    n_own = facts["n_parameters"]
    own = {} if n_own is None else {f"{facts['tokenizer']} ({_size(n_own)})": int(n_own)}
    return {**own, **USUAL_SIZES}


def _size(n_parameters: int) -> str:
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if n_parameters >= unit:
            return f"{n_parameters / unit:.3g}{name}"
    return str(n_parameters)


def _flop_of(facts: Mapping[str, Any], size: int, method: str) -> float:
    return tuning_flop(size, facts["tokens"]["input_tokens"], method)


def _flop(number: float) -> str:
    unit, name = next(((unit, name) for unit, name in _PREFIXES if number >= unit), _PREFIXES[-1])
    return f"{number / unit:,.3g} {name}" if number < 1000 * unit else f"{number / unit:,.0f} {name}"
