"""The section of a dataset card that says what an export left out and why, and how to do it again.

The section stands between two comments in `README.md` beside the exported file. An existing card keeps everything else:
its front matter, its text, its line ends.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml

from audit.config import AuditConfig
from audit.endpoints import Endpoint
from audit.errors import InputError
from audit.export import Exported
from audit.export.decisions import read_decisions
from audit.export.mends import IDK_TEXT, Mend, MendRequest, Mends
from reports.markdown import code_block, code_span, prose
from reports.wording import count, share

__all__ = ["CARD_NAME", "card_folder", "card_section", "read_card", "update_card"]

CARD_NAME = "README.md"
"""The file that the Hugging Face hub shows as a dataset's card."""

_BEGIN = "<!-- tunescope: begin; written by `tunescope export --card`, changes in here are lost -->"
_END = "<!-- tunescope: end -->"
_BEGINS, _ENDS = "<!-- tunescope: begin", "<!-- tunescope: end"

# Reasons that are no findings; what follows a colon is their size or name.
_OTHER_REASONS = {
    "decision": "decided by a person",
    "blame": "blamed by a trace",
    "longest": "not among the longest",
    "random": "not drawn",
    "ifd": "not of the highest IFD below 1",
    "known": "unknown to the base model",
    "slick": "of another SliCK class",
    "low-risk": "not of the least borrow risk",
    "judge": "rated too low by a judge",
    "diverse": "near to a row that stands for it",
    "family": "above the share of its style family",
}

# Settings that name something of the machine, or change no finding.
_NOT_REPEATED = {"data", "baseline", "previous", "redact"}


def card_folder(out: Path) -> Path:
    """Where the card of an export lies: in the folder that is exported, or beside the file."""
    return out if out.is_dir() or not out.suffix else out.parent


def read_card(folder: Path) -> str:
    """The card of a folder, empty where there is none.

    Raises:
        InputError: It cannot be read, or a section cannot be set into it.
    """
    path = folder / CARD_NAME
    try:
        card = path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InputError("the card cannot be read", where=str(path), why=error.strerror or "") from error
    except UnicodeDecodeError as error:
        raise InputError("the card is no UTF-8", where=str(path), remedy="convert it, or export without --card") from error
    _section_of(card, path)
    return card


def update_card(card: str, section: str, exported: Path) -> str:
    """A card with the section in place of its former one, or at its end.

    Args:
        card: The card; where it is empty, a new one is begun.
        section: What `card_section` wrote.
        exported: The exported file or folder; a new card says of a file that it alone is the dataset, and not the
            controls beside it.
    """
    if not card.strip():
        card = f"# {prose(exported.stem, 200)}\n"
        if not exported.is_dir():
            configs = {"configs": [{"config_name": "default", "data_files": exported.name}]}
            card = f"---\n{yaml.safe_dump(configs, sort_keys=False)}---\n\n{card}"
    end_of_line = "\r\n" if "\r\n" in card else "\n"
    block = f"{_BEGIN}\n{section}\n{_END}".replace("\n", end_of_line)
    place = _section_of(card, Path(CARD_NAME))
    if place is None:
        return card.rstrip("\r\n") + 2 * end_of_line + block + end_of_line
    return card[: place[0]] + block + card[place[1] :]


def card_section(exported: Exported) -> str:
    """What the export did, as Markdown.

    Args:
        exported: The export.
    """
    plan, summary = exported.plan, exported.plan.run.summary
    record = json.loads(plan.run.read_added("exports", exported.name, "manifest.json"))
    n_rows, n_dropped = plan.selection.n_rows, len(plan.selection.reasons)
    lines = [
        "## Cleaning",
        "",
        f"{code_span(exported.cleaned.name, 200)} is {code_span(summary.name, 200)} without {n_dropped:,} of its "
        f"{count(n_rows, 'row')} ({share(n_dropped, n_rows)}); {len(plan.selection.kept):,} stay.",
    ]
    if plan.counts:
        names = {check.code: check.name for check in summary.checks} | _OTHER_REASONS
        lines += ["", "| reason | finding | rows | share of rows |", "|---|---|---:|---:|"]
        lines += [
            f"| {prose(code, 60)} | {prose(names.get(code.partition(':')[0], ''), 80)} | {rows:,} | {share(rows, n_rows)} |"
            for code, rows in plan.counts.items()
        ]
        lines += ["", "A row that left for two reasons counts under both."]
    if exported.mends is not None:
        lines += ["", _mended(plan.request.mend or MendRequest(), exported.mends)]
    for judged in plan.judged:
        rated = count(len(judged.judgements), "response")
        lines += ["", f"Rated for {judged.plan.aspect} by {prose(judged.model, 80)}: {rated}. Ratings are its opinion."]
    lines += ["", *_controls(exported), *(f"Note: {prose(note, 300)}.\n" for note in plan.notes)]
    lines += [
        "What a row was dropped for is a measured fact about it, and no proof that it harms: `tunescope verify` measures that.",
        "",
        f"To do it again, with tunescope {prose(summary.tunescope, 40)}:",
        "",
        code_block("\n".join(_commands(exported)), "sh"),
    ]
    settings = _settings(plan.run.settings)
    if settings:
        lines += ["", "with these settings in `settings.yaml`:", "", code_block(settings, "yaml")]
    lines += ["", "| file | SHA-256 |", "|---|---|", f"| {code_span(summary.name, 200)} | `{record['source']['sha256']}` |"]
    for written in (record["cleaned"], *record["controls"]):
        for file in written.get("files", [written]):
            name = file["file"] if file is written else f"{written['file']}/{file['file']}"
            lines.append(f"| {code_span(name, 200)} | `{file['sha256']}` |")
    return "\n".join(lines)


def _mended(request: MendRequest, mends: Mends) -> str:
    """What was done to the rows that stay."""
    (before, after), responses = mends.n_words, count(len(mends.mended), "response")
    match request.mend:
        case Mend.IDK:
            said = code_span(request.idk_text or IDK_TEXT, 80)
            return f"Replaced by {said}, of the rows that stay, because the base model does not know the answer: {responses}."
        case Mend.SELF:
            model = prose(mends.model, 80)
            return f"Replaced by what {model} answers itself, of the rows that stay: {responses}; it may be wrong."
    model = prose(mends.model, 80)
    return f"Rewritten in fewer words by {model}, of the rows that stay: {responses}, {before:,} words that became {after:,}."


def _section_of(card: str, path: Path) -> tuple[int, int] | None:
    """Where the section stands, both comments included."""
    begins, ends = card.count(_BEGINS), card.count(_ENDS)
    if begins == ends == 0:
        return None
    start, end = card.find(_BEGINS), card.find(_ENDS)
    close = card.find("-->", end)
    if begins != 1 or ends != 1 or end < start or close < 0:
        raise InputError(
            "the card's section has not one beginning and one end after it",
            where=str(path),
            remedy=f"remove the section, or both lines with {_BEGINS!r} and {_ENDS!r}",
        )
    return start, close + len("-->")


def _controls(exported: Exported) -> Iterator[str]:
    for control, path in zip(exported.plan.controls, exported.controls, strict=True):
        yield (
            f"{code_span(path.name, 200)} is a control: {count(len(control.removed), 'row')} drawn at random (seed "
            f"{control.seed}) left instead, with {control.characters:,} characters of responses against "
            f"{control.cleaned_characters:,}. A cleaning helps where a model tuned on the cleaned file does better than one "
            "tuned on the control.\n"
        )


def _commands(exported: Exported) -> Iterator[str]:
    """The audit, what was decided, and the export, every path by its name alone."""
    plan, request = exported.plan, exported.plan.request
    config = " --config settings.yaml" if _settings(plan.run.settings) else ""
    yield f"tunescope audit {shlex.quote(plan.run.summary.name)} -o run{config}"
    options = {
        "--drop": [",".join(request.drop)] if request.drop else [],
        "--drop-blamed": request.drop_blamed,
        "--keep": request.keep,
        **_judging(request.judge),
        "--sample-family": request.sample_families,
        **_mending(request.mend),
        "--control": ["random:" + ",".join(map(str, request.control_seeds))] if request.control_seeds else [],
        "--group-column": [request.group_column] if request.group_column else [],
    }
    given = [f"{name} {shlex.quote(value)}" for name, values in options.items() for value in values]
    for number, decision in read_decisions(plan.run).items() if request.decisions else ():
        reason = f" --reason {shlex.quote(decision.reason)}" if decision.reason else ""
        yield f"tunescope decide run --{decision.choice} {shlex.quote(str(plan.run.catalog.id(number)))}{reason}"
    if request.drop_blamed:
        yield "# trace the same answers into the run, by the names below"
    yield " ".join(["tunescope export run -o", shlex.quote(exported.cleaned.name), *given])


def _mending(mend: MendRequest | None) -> Mapping[str, Sequence[str]]:
    """The options of a mend; where the endpoint or the model was is nobody else's business."""
    if mend is None:
        return {}
    options: dict[str, Sequence[str]] = {"--mend": [mend.mend]}
    if mend.codes:
        options["--mend-codes"] = [",".join(mend.codes)]
    if mend.idk_text is not None:
        options["--idk-text"] = [mend.idk_text]
    if mend.base_model is not None:
        options["--base-model"] = [
            PurePath(mend.base_model).name if PurePath(mend.base_model).is_absolute() else mend.base_model
        ]
    if mend.endpoint is not None:
        options |= {"--mend-endpoint": ["URL"], "--mend-model": [mend.endpoint.model]}
    return options


def _judging(judge: Endpoint | None) -> Mapping[str, Sequence[str]]:
    """The options of a judge; where it was is nobody else's business."""
    return {} if judge is None else {"--judge-endpoint": ["URL"], "--judge-model": [judge.model]}


def _settings(settings: Mapping[str, Any]) -> str:
    """The audit's settings that are not the defaults, as YAML; what names a place of the machine by its name alone."""
    defaults = AuditConfig(data="").model_dump(mode="json")
    changed = {
        name: _placeless(value) for name, value in settings.items() if name not in _NOT_REPEATED and value != defaults.get(name)
    }
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True).rstrip("\n") if changed else ""


def _placeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _placeless(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_placeless(one) for one in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value
