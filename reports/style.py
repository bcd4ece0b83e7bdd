"""Style for the terminal and as JSON: a dataset's families and templates, the outputs that copy, and how style moved.

A family is a form that many responses share over dissimilar instructions. That an output is near one says that it is
written so, not that tuning made it so: its share stands beside that of the base model's answers and of null outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from audit.corpus import Corpus
from audit.summary import Skipped
from reports.families import families_sentence, lift_words
from reports.json_report import addresses_of, encode_report
from reports.visible import one_line
from reports.wording import address, count, per_cent, share

if TYPE_CHECKING:
    from audit.style.build import Style
    from audit.style.copying import Copying, Drawn, FamilyCopied, OutputCopied, Rate, TraitMoved
    from audit.style.families import Family
    from audit.style.measured import MeasuredStyle
    from audit.style.templates import Templated, Templates

__all__ = [
    "STYLE_SCHEMA",
    "change_words",
    "copied_first",
    "excess_words",
    "family_name",
    "figure_words",
    "left_out_of_style",
    "nearness_sentence",
    "rate_words",
    "sentence_of_copying",
    "sentence_of_drawn",
    "strength_words",
    "style_json",
    "style_report",
    "templates_sentence",
    "trait_name",
]

STYLE_SCHEMA = "tunescope/style-1"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""

_FAMILIES_SHOWN = 10
_COPIED_SHOWN = 6
_RARE = 0.05  # chance of an output as near
_OUTPUTS_SHOWN = 5
_TEMPLATES_SHOWN = 3  # of the prompts, and of the responses


def style_report(measured: MeasuredStyle, corpus: Corpus) -> RenderableType:
    """What `rich` prints: families, templates, then the outputs that copy; nothing in it is read as markup.

    Args:
        measured: The style of the dataset, and of outputs where any were given.
        corpus: The rows.
    """
    style, copying = measured.style, measured.copying
    parts: list[RenderableType] = [Text(families_sentence(style), "bold")]
    if style.families:
        parts += [Text(), _families_table(style, corpus)]
    parts += [Text(), Text(templates_sentence(measured.templates), "bold")]
    if measured.templates.prompts.templates or measured.templates.responses.templates:
        parts += [Text(), _templates_table(measured.templates, corpus)]
    if copying is not None:
        parts.append(Text())
        if copying.drawn is not None:
            parts.append(Text(sentence_of_drawn(copying.drawn), "bold"))
        parts.append(Text(sentence_of_copying(copying), "" if copying.drawn else "bold"))
        if copying.families:
            parts += [Text(), _copying_table(style, copying)]
        if copying.shift:
            parts += [Text(), _shift_table(copying.shift)]
        parts += list(_output_parts(copying, corpus))
    if skipped := left_out_of_style(style, copying):
        parts += [Text(), Text("Not looked at", "bold")]
        for item in skipped:
            line = Text.assemble(one_line(item.what, 200), (f": {one_line(item.why, 200)}", "dim"))
            parts.append(Padding.indent(line, 2))
    return Group(*parts)


def templates_sentence(templates: Templates) -> str:
    """How many prompts and responses are made from templates."""
    sides = (("prompt", templates.prompts), ("response", templates.responses))
    if not any(side.templates for _, side in sides):
        return "No template was found: wording with slots that many prompts or responses share."
    said = [
        f"{count(len(side.templates), 'template')} {'makes' if len(side.templates) == 1 else 'make'} "
        f"{share(side.n_templated, side.n_texts)} of the {count(side.n_texts, noun)}"
        if side.templates
        else f"none makes the {noun}s"
        for noun, side in sides
    ]
    return "; ".join(said) + "."


def sentence_of_copying(copying: Copying) -> str:
    """How many outputs are of a family, beside the base model's and the null outputs."""
    outputs = count(copying.n_outputs, "output")
    together = copying.any_family
    if together is None:
        return f"{outputs} {'was' if copying.n_outputs == 1 else 'were'} looked at; there is no family to compare with."
    beside = []
    if together.base is not None:
        beside.append(f"{per_cent(together.base.value)} of the base model's")
    if together.null is not None:
        beside.append(f"{per_cent(together.null)} of null outputs")
    of_them = f"{rate_words(together.outputs)} of {outputs} {'is' if copying.n_outputs == 1 else 'are'} of a family"
    return f"{of_them}{'; ' + ' and '.join(beside) if beside else ''}."


def left_out_of_style(style: Style, copying: Copying | None) -> tuple[Skipped, ...]:
    """What was not looked at, each thing once."""
    return tuple(dict.fromkeys((*style.skipped, *(copying.skipped if copying is not None else ()))))


def copied_first(copying: Copying) -> list[OutputCopied]:
    """The outputs of a family, in the order in which they are shown.

    First come those of families that outputs have more of than other models, the interval clear of equal; among them the
    least likely by chance, then the nearest, then in their own order.
    """
    stands_out = {copied.family for copied in copying.families if copied.strength is not None and copied.strength.low > 0}
    of_a_family = [output for output in copying.outputs if output.family >= 0]
    return sorted(
        of_a_family,
        key=lambda output: (output.family not in stands_out, 1.0 if output.p is None else output.p, -output.similarity),
    )


def nearness_sentence(copying: Copying) -> str:
    """How many outputs lie nearer to the rows than null outputs do, beside what chance gives; empty without null outputs."""
    chances = [output.p for output in copying.outputs if output.p is not None]
    if not chances:
        return ""
    n_near, by_chance = sum(chance <= _RARE for chance in chances), _RARE * len(chances)
    return (
        f"{n_near:,} of {count(len(chances), 'output')} {'is' if n_near == 1 else 'are'} nearer to the dataset than "
        f"{per_cent(1 - _RARE)} of null outputs of their length; {by_chance:,.0f} would be by chance."
    )


def family_name(number: int) -> str:
    """A family as reports call it."""
    return f"family {number}"


def rate_words(rate: Rate) -> str:
    """A share with its interval, in per cent: `12 % (10 to 14)`."""
    low, high = (per_cent(end).removesuffix(" %") for end in (rate.low, rate.high))
    return f"{per_cent(rate.value)} ({low} to {high})"


def strength_words(strength: Rate | None) -> str:
    """A strength, which is a logarithm to base 2, in times: `3.2× (1.8 to 5.6)`; a dash where there is none."""
    if strength is None:
        return "–"
    times, low, high = (2.0**value for value in (strength.value, strength.low, strength.high))
    return f"{_times(times)}× ({_times(low)} to {_times(high)})"


def figure_words(value: float, unit: str, *, signed: bool = False) -> str:
    """A figure of a trait in its unit; `share` is written in per cent, and a change of it in points."""
    if unit == "share":
        return f"{100 * value:+.1f} points" if signed else per_cent(value)
    if unit == "times":
        return f"{value:+.2g}×" if signed else f"{value:.2g}×"
    digits = 2 if abs(value) < 1 else 3
    return f"{value:+.{digits}g}" if signed else f"{value:.{digits}g}"


def trait_name(trait: TraitMoved) -> str:
    """A trait with its unit, where neither its name nor its figures say it."""
    return trait.name if trait.unit in ("share", "times") or trait.unit in trait.name else f"{trait.name}, {trait.unit}"


def sentence_of_drawn(drawn: Drawn) -> str:
    """What part of the outputs is as if drawn from the dataset's forms, beside what other models get."""
    beside = []
    if drawn.base is not None:
        beside.append(f"of the base model's {rate_words(drawn.base)}")
    if drawn.null:
        beside.append(", ".join(f"of {one_line(name, 40)} {rate_words(rate)}" for name, rate in drawn.null.items()))
    said = f"{rate_words(drawn.outputs)} of the outputs are as if drawn from the dataset's forms"
    more = f": {excess_words(drawn)} above the mean of these" if beside else ""
    return f"{said}{'; ' + '; '.join(beside) if beside else ''}{more}."


def excess_words(drawn: Drawn) -> str:
    """By how much the outputs' part exceeds that of the other models, in points, with its interval."""
    value, low, high = (f"{100 * figure:.0f}" for figure in (drawn.excess.value, drawn.excess.low, drawn.excess.high))
    return f"{value} points ({low} to {high})".replace("-", "−")


def style_json(measured: MeasuredStyle, corpus: Corpus) -> bytes:
    """Families, templates and what was measured on outputs, as UTF-8, by the schema `reports/schemas/style.schema.json`.

    Equal results give equal bytes.
    """
    style, templates, copying = measured.style, measured.templates, measured.copying
    responses = [number for family in style.families for number in family.exemplars]
    responses += [
        number
        for side in (templates.prompts, templates.responses)
        for template in side.templates
        for number in template.examples
    ]
    if copying is not None:
        responses += [near.response for output in copying.outputs for near in output.nearest]
    places = _places(corpus, responses)
    content: dict[str, object] = {
        "schema": STYLE_SCHEMA,
        "dataset": {
            "responses": corpus.responses.height,
            "looked_at": style.n_looked_at,
            "other_language": style.n_other_language,
            "reference": style.reference,
            "reference_responses": style.n_reference,
        },
        "no_families_because": style.too_few,
        "not_looked_at": [{"what": item.what, "why": item.why} for item in left_out_of_style(style, copying)],
        "families": [_family_json(family, places) for family in style.families],
        "templates": {
            "prompts": _templated_json(templates.prompts, places),
            "responses": _templated_json(templates.responses, places),
        },
    }
    if copying is not None:
        content |= {
            "counts": {"outputs": copying.n_outputs, "base": copying.n_base, "null": copying.n_null},
            "any_family": None if copying.any_family is None else _copied_json(copying.any_family),
            "drawn": None if copying.drawn is None else _drawn_json(copying.drawn),
            "copied": [_copied_json(copied) for copied in copying.families],
            "shift": [_trait_json(trait) for trait in copying.shift],
            "outputs": [_output_json(output, places) for output in copying.outputs],
        }
    return encode_report(content)


def _places(corpus: Corpus, responses: Sequence[int]) -> Mapping[int, Mapping[str, object]]:
    """Where responses stand: the row's address and key, and the turn; by the response's number."""
    numbers = sorted(set(responses))
    found = corpus.responses.select("row", "turn")[numbers]
    addresses, keys = addresses_of(corpus, found["row"]), corpus.keys
    return {
        number: {"row": addresses[row], "row_key": keys[row], "turn": turn}
        for number, (row, turn) in zip(numbers, found.iter_rows(), strict=True)
    }


def _family_json(family: Family, places: Mapping[int, Mapping[str, object]]) -> Mapping[str, object]:
    return {
        "family": family.number,
        "responses": family.n,
        "share": family.share,
        "reference_share": family.reference_share,
        "lift": family.lift,
        "median_words": family.median_words,
        "description": family.description,
        "pattern": family.pattern,
        "marks": list(family.marks),
        "alikeness": family.alikeness,
        "exemplars": [places[number] for number in family.exemplars],
    }


def _templated_json(templated: Templated, places: Mapping[int, Mapping[str, object]]) -> Mapping[str, object]:
    return {
        "texts": templated.n_texts,
        "of_a_template": templated.n_templated,
        "templates": [
            {
                "pattern": template.pattern,
                "texts": template.n,
                "share": template.share,
                "examples": [places[number] for number in template.examples],
            }
            for template in templated.templates
        ],
    }


def _copied_json(copied: FamilyCopied) -> Mapping[str, object]:
    return {
        "family": copied.family if copied.family >= 0 else None,
        "dataset": copied.dataset,
        "outputs": _rate_json(copied.outputs),
        "n_outputs": copied.n_outputs,
        "base": _rate_json(copied.base),
        "null": copied.null,
        "strength_log2": _rate_json(copied.strength),
    }


def _drawn_json(drawn: Drawn) -> Mapping[str, object]:
    return {
        "outputs": _rate_json(drawn.outputs),
        "base": _rate_json(drawn.base),
        "null": [{"name": name, **(_rate_json(rate) or {})} for name, rate in drawn.null.items()],
        "excess": _rate_json(drawn.excess),
    }


def _trait_json(trait: TraitMoved) -> Mapping[str, object]:
    return {
        "name": trait.name,
        "unit": trait.unit,
        "dataset": _number(trait.dataset),
        "base": _rate_json(trait.base),
        "outputs": _rate_json(trait.outputs),
        "change": _rate_json(trait.change),
    }


def _output_json(output: OutputCopied, places: Mapping[int, Mapping[str, object]]) -> Mapping[str, object]:
    return {
        "id": output.output.id,
        "prompt": output.output.prompt,
        "response": output.output.response,
        "family": output.family if output.family >= 0 else None,
        "similarity": _number(output.similarity),
        "p": output.p,
        "nearest": [{**places[near.response], "similarity": _number(near.similarity)} for near in output.nearest],
    }


def _rate_json(rate: Rate | None) -> Mapping[str, float | None] | None:
    return None if rate is None else {name: _number(getattr(rate, name)) for name in ("value", "low", "high")}


def _number(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return float(value) if math.isfinite(value) else None


def _times(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _families_table(style: Style, corpus: Corpus) -> Table:
    table = _table("Family", "Share", *(("Lift",) if style.reference is not None else ()), "Words")
    table.add_column("How it is written", ratio=1)
    numbers = [number for family in style.families[:_FAMILIES_SHOWN] for number in family.exemplars[:2]]
    rows = dict(zip(numbers, corpus.responses["row"][numbers], strict=True)) if numbers else {}
    for family in style.families[:_FAMILIES_SHOWN]:
        examples = ", ".join(address(corpus.id(rows[number]), 30) for number in family.exemplars[:2])
        table.add_row(
            str(family.number),
            per_cent(family.share),
            *((lift_words(family),) if style.reference is not None else ()),
            f"{family.median_words:.0f}",
            Group(
                Text(one_line(family.description, 300)),
                *([Text(one_line(family.pattern, 160), "cyan")] if family.pattern else []),
                *([Text(f"such as {examples}", "dim")] if examples else []),
            ),
        )
    if len(style.families) > _FAMILIES_SHOWN:
        rest = len(style.families) - _FAMILIES_SHOWN
        others = [""] * (3 if style.reference is not None else 2)
        table.add_row("", *others, Text(f"and {rest} smaller {'one' if rest == 1 else 'ones'}", "dim"))
    return table


def _templates_table(templates: Templates, corpus: Corpus) -> Table:
    table = _table("Template of", "Share")
    table.add_column("Wording", ratio=1)
    for name, templated in (("prompts", templates.prompts), ("responses", templates.responses)):
        for template in templated.templates[:_TEMPLATES_SHOWN]:
            example = address(corpus.id(corpus.responses["row"][template.examples[0]]), 30)
            wording = Text.assemble((one_line(template.pattern, 160), "cyan"), (f"  such as {example}", "dim"))
            table.add_row(name, per_cent(template.share), wording)
        if (rest := len(templated.templates) - _TEMPLATES_SHOWN) > 0:
            table.add_row("", "", Text(f"and {rest:,} more", "dim"))
    return table


def _copying_table(style: Style, copying: Copying) -> Table:
    has_base = any(copied.base is not None for copied in copying.families)
    has_null = any(copied.null is not None for copied in copying.families)
    table = _table("Family", "Rows", "Outputs (95 %)", *(("Base",) if has_base else ()), *(("Null",) if has_null else ()))
    table.add_column("Times", justify="right", no_wrap=True)
    table.add_column("How it is written", ratio=1)
    described = {family.number: family.description for family in style.families}
    for copied in copying.families[:_COPIED_SHOWN]:
        table.add_row(
            str(copied.family),
            per_cent(copied.dataset),
            rate_words(copied.outputs),
            *(("–" if copied.base is None else per_cent(copied.base.value),) if has_base else ()),
            *(("–" if copied.null is None else per_cent(copied.null),) if has_null else ()),
            strength_words(copied.strength),
            Text(one_line(described.get(copied.family, ""), 80)),
        )
    if (rest := len(copying.families) - _COPIED_SHOWN) > 0:
        table.add_row("", "", Text(f"and {count(rest, 'other family', 'other families')}", "dim"))
    return table


def _shift_table(shift: Sequence[TraitMoved]) -> Table:
    has_base = any(trait.base is not None for trait in shift)
    columns = ("Rows", *(("Base",) if has_base else ()), "Outputs", *(("Change (95 %)",) if has_base else ()))
    table = _table("Style", *columns)
    for trait in shift:
        figures = [figure_words(trait.dataset, trait.unit)]
        if has_base:
            figures.append("–" if trait.base is None else figure_words(trait.base.value, trait.unit))
        figures.append(figure_words(trait.outputs.value, trait.unit))
        if has_base:
            figures.append(change_words(trait))
        table.add_row(Text(trait_name(trait)), *figures)
    return table


def change_words(trait: TraitMoved) -> str:
    """How a trait moved from the base model's answers to the outputs, with its interval; a dash without a base model."""
    if trait.change is None:
        return "–"
    value, low, high = (
        figure_words(figure, trait.unit, signed=True) for figure in (trait.change.value, trait.change.low, trait.change.high)
    )
    low, high = (end.removesuffix(" points").removesuffix("×") for end in (low, high))
    return f"{value} ({low} to {high})".replace("-", "−")


def _output_parts(copying: Copying, corpus: Corpus) -> Iterator[RenderableType]:
    copied = copied_first(copying)
    if not copied:
        return
    yield Text()
    n_shown = min(_OUTPUTS_SHOWN, len(copied))
    yield Text(
        "The output of a family nearest to the rows" if n_shown == 1 else f"The {n_shown} outputs nearest to the rows", "bold"
    )
    if nearness := nearness_sentence(copying):
        yield Text(nearness, "dim")
    for output in copied[:_OUTPUTS_SHOWN]:
        chance = "" if output.p is None else f", chance {per_cent(output.p)}"
        yield Text.assemble(
            (one_line(output.output.id, 40), "bold"),
            f"  {family_name(output.family)}, similarity {output.similarity:.2f}{chance}",
        )
        yield Padding.indent(Text(one_line(output.output.response, 140)), 2)
        for near in output.nearest[:1]:
            row, text = corpus.responses.select("row", "text").row(near.response)
            yield Padding.indent(
                Text.assemble(("like ", "dim"), address(corpus.id(row)), (f"  {one_line(text, 140)}", "dim")), 2
            )


def _table(first: str, *others: str) -> Table:
    columns = (Column(Text(name), justify="right", no_wrap=True) for name in others)
    table = Table(Column(Text(first)), *columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.columns[0].no_wrap = first == "Family"
    return table
