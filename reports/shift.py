"""A measured shift for the terminal and as JSON: the profile beside the paper's, the words that tuning put there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from audit.models import ModelRef
from audit.shift import Part, Shift, ShiftedToken, ShiftReport
from audit.shift.classes import DEFINITIONS
from audit.shift.paper import PAPER_DIFFERENCES, PAPER_PROFILES
from reports.json_report import encode_report
from reports.visible import one_line, visible
from reports.wording import count, share

__all__ = ["PART_NAMES", "SHIFT_SCHEMA", "UNIT_NAMES", "model_name", "parts_of", "shift_json", "shift_report", "token_text"]

SHIFT_SCHEMA = "tunescope/shift-1"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""

UNIT_NAMES = {"sentence": "sentence", "response": "answer"}
"""The units of a profile in plain words."""

PART_NAMES = ("first 5 %", "other 95 %")
"""The two parts of a profile."""

# Further tokens are in tokens.parquet; the number of all is in the report.
_TOKENS_LISTED = 200
_WHITE_SPACE = {" ": "␣", "\n": "⏎", "\t": "⇥"}


def shift_report(report: ShiftReport, n_shown: int = 12) -> RenderableType:
    """What `rich` prints after a measurement; nothing in it is read as markup.

    Args:
        report: What was measured.
        n_shown: Shifted tokens listed.
    """
    whole, words = report.whole, report.words
    made = "given answers" if report.max_new_tokens is None else f"greedy answers of at most {report.max_new_tokens} tokens"
    if report.n_cut:
        made += f", {report.n_cut:,} of them cut there"
    if report.n_empty:
        made += f", {report.n_empty:,} empty"
    tokens = report.shifted_tokens
    return Group(
        Text(f"{share_words(whole)} of {count(whole.n_tokens, 'token')}", "bold"),
        Text.assemble(("Base   ", "dim"), one_line(model_name(report.base), 300)),
        Text.assemble(("Tuned  ", "dim"), one_line(model_name(report.tuned), 300)),
        Text.assemble(("From   ", "dim"), f"{count(len(report.responses), 'prompt')}: {made}"),
        Text.assemble(("Format ", "dim"), report.tuned.template_digest[:12]),
        Text(),
        _profile_table(report),
        Text(),
        _paper_table(),
        Text(),
        Text("Shifted tokens", "bold"),
        *(Padding.indent(line, 2) for line in _token_lines(tokens, n_shown)),
        Text(),
        Text("Words by the token that they begin with", "bold"),
        Padding.indent(
            Text(
                ", ".join(f"{shift} {share(getattr(words, shift), words.total)}" for shift in Shift)
                + f" of {count(words.total, 'word')}"
            ),
            2,
        ),
        Text(),
        *(Text(f"Note: {difference}", "dim") for difference in PAPER_DIFFERENCES),
    )


def shift_json(report: ShiftReport) -> bytes:
    """The measurement as UTF-8, by the schema `reports/schemas/shift.schema.json`; equal measurements give equal bytes."""
    return encode_report(
        {
            "schema": SHIFT_SCHEMA,
            "base": asdict(report.base),
            "tuned": asdict(report.tuned),
            "prompt_format": {"template_digest": report.tuned.template_digest},
            "answers": {"greedy": report.max_new_tokens is not None, "max_new_tokens": report.max_new_tokens},
            "definitions": dict(DEFINITIONS),
            "counts": {
                "responses": len(report.responses),
                "empty": report.n_empty,
                "cut": report.n_cut,
                "tokens": report.whole.n_tokens,
                "vocabulary": report.n_vocabulary,
                "shifted_tokens": len(report.shifted_tokens),
            },
            "whole": asdict(report.whole),
            "profiles": [asdict(profile) for profile in report.profiles],
            "words": asdict(report.words),
            "shifted_tokens": [asdict(token) for token in report.shifted_tokens[:_TOKENS_LISTED]],
            "responses": list(_responses(report)),
            "paper": {
                "profiles": [asdict(profile) for profile in PAPER_PROFILES],
                "differences": list(PAPER_DIFFERENCES),
            },
        }
    )


def parts_of(report: ShiftReport) -> Iterator[tuple[str, str, Part | None]]:
    """Unit, part and figures of every line of the profile."""
    for profile in report.profiles:
        for name, part in zip(PART_NAMES, (profile.start, profile.rest), strict=True):
            yield UNIT_NAMES[profile.unit], name, part


def share_words(part: Part) -> str:
    """The shares of the three classes in a line."""
    numbers = ((shift, round(getattr(part, shift) * part.n_tokens)) for shift in Shift)
    return ", ".join(f"{shift} {share(number, part.n_tokens)}" for shift, number in numbers)


def model_name(ref: ModelRef) -> str:
    """A model as a person would name it."""
    return ref.base if ref.adapter is None else f"{ref.adapter} (adapter on {ref.base})"


def token_text(text: str) -> str:
    """A token with its white space seen; a special token has no text."""
    return "".join(_WHITE_SPACE.get(character, character) for character in visible(text)) or "∅"


def _responses(report: ShiftReport) -> Iterator[Mapping[str, Any]]:
    for response, rows in zip(report.responses, report.by_response(), strict=True):
        classes = Counter(rows["shift"])
        yield {
            "id": response.id,
            "messages": [{"role": message.role, "content": message.content} for message in response.messages],
            "response": response.text,
            "cut": response.cut,
            "tokens": rows.height,
            **{shift.value: classes[shift.value] for shift in Shift},
            "kl_base_tuned": _mean(rows["kl_base_tuned"]),
            "kl_tuned_base": _mean(rows["kl_tuned_base"]),
        }


def _mean(values: pl.Series) -> float | None:
    return None if values.is_empty() else float(values.to_numpy().mean())


def _profile_table(report: ShiftReport) -> Table:
    headings = ("tokens", "KL b‖t", "KL t‖b", "lift", *Shift)
    table = _table("means, KL in nats", *headings)
    for unit, name, part in (*parts_of(report), ("", "all tokens", report.whole)):
        label = f"{unit}: {name}" if unit else name
        if part is None:
            table.add_row(label, "0", *("–" for _ in headings[1:]))
            continue
        shares = (share(round(getattr(part, shift) * part.n_tokens), part.n_tokens) for shift in Shift)
        figures = (part.kl_base_tuned, part.kl_tuned_base, part.lift)
        table.add_row(label, f"{part.n_tokens:,}", *(f"{figure:.2f}" for figure in figures), *shares)
    return table


def _paper_table() -> Table:
    table = _table("Ghosh et al. 2024, mean KL, sentence", "rows", *PART_NAMES)
    for line in PAPER_PROFILES:
        name = f"{line.model}, {'LoRA' if line.method == 'lora' else 'full'}"
        table.add_row(name, f"{line.n_rows:,}", f"{line.start:.2f}", f"{line.rest:.2f}")
    return table


def _token_lines(tokens: Sequence[ShiftedToken], n_shown: int) -> Iterator[Text]:
    if not tokens:
        yield Text("none")
    for token in tokens[:n_shown]:
        text = f"{one_line(token_text(token.text), 40)}"
        yield Text(f"{text:16} {token.n_shifted:,} of {token.n:,}, lift {token.lift:+.2f}")
    if len(tokens) > n_shown:
        yield Text(f"and {len(tokens) - n_shown:,} others", "dim")


def _table(first: str, *others: str) -> Table:
    columns = (Column(Text(name), justify="right") for name in others)
    table = Table(Column(first), *columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    return table
