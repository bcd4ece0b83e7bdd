"""From rows that are named to responses that are mended: which ones, where they stand, and who does it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import polars as pl

from audit.corpus import Corpus, Row
from audit.errors import InputError
from audit.export.mends.concise import beyond_of, rewrite_all, why_it_stays
from audit.export.mends.idk import english_turns, relabel_all
from audit.export.mends.model import MEND_CODES, UNKNOWN, Mend, MendPlan, MendRequest, Mends, Target, Unmended
from audit.export.mends.self_answer import Pool, answer_all
from audit.export.places import Place, Read, find_place, fits
from audit.export.selectors import check_codes
from audit.export.survival import Fault, PlainWords
from audit.materials import Materials
from audit.sources import Format, SourceFile, Status, parse_row, read_records
from audit.style.need import read_requests

__all__ = ["carry_out", "plan_mends"]

_TAGS = re.compile(r"</?answer>|</?think>")
_SPEAKER = re.compile(r"(?m)^(?:Human|User|Assistant):[ \t]*")  # of transcripts, whose prompt is one text


def plan_mends(
    corpus: Corpus,
    findings: pl.DataFrame,
    files: Sequence[SourceFile],
    request: MendRequest,
    *,
    run_codes: Sequence[str],
    not_looked_for: Mapping[str, str],
    kept: Iterable[int],
    decided: Iterable[int] = (),
    signals: pl.DataFrame | None = None,
    materials: Materials | None = None,
    base_model: str | None = None,
    base_digest: str = "",
) -> MendPlan:
    """Decide which responses are to be mended; nothing is asked.

    Args:
        corpus: The dataset.
        findings: All findings of the run.
        files: The audited files, with the columns that they were read by.
        request: What is to be mended.
        run_codes: The codes that the audit ran, to refuse others.
        not_looked_for: Codes that it did not, and why.
        kept: Rows that stay in the export; others are not looked at.
        decided: Rows that a person decided to keep: they stay as they are.
        signals: One line per row; `idk` and `self` look there for what the base model knows.
        materials: The run's indexes; `idk` asks them for languages, `self` for the nearness of prompts.
        base_model: The model of the audit, which answers for `self` where no other is named.
        base_digest: Its digest.

    Raises:
        InputError: A code was not part of the audit, or the run did not measure what the mend needs.
    """
    kept = frozenset(kept)
    codes = _codes(request, run_codes, not_looked_for)
    if codes:
        named = _named_responses(corpus, findings, codes, kept)
    else:
        named = _unknown_responses(corpus, signals, kept, request.mend)
    rows = {row: corpus.row(row) for row in sorted({row for row, _ in named})}
    why_not = _own_reasons(request, rows, list(named), materials)
    beyond = beyond_of(findings) if request.mend is Mend.CONCISE else {}
    reads, decided = _records(corpus, files, rows), frozenset(decided)
    targets, stay = [], []
    for (row, turn), of_response in named.items():
        content = rows[row]
        why = _why_it_stays(content, turn, row in decided) or why_not.get((row, turn), "")
        place = None
        if not why:
            fields, read = reads[row]
            place = find_place(fields, content, turn, read)
            why = "" if place is not None else "no single text of the record holds it"
        if place is None:
            stay.append(Unmended(row, turn, of_response, Fault(why)))
        else:
            holds = partial(_holds, fields, content, turn, place, read)
            text, before = content.messages[turn].content, content.messages[:turn]
            targets.append(Target(row, turn, of_response, before, text, place, holds, beyond.get((row, turn))))
    match request.mend:
        case Mend.CONCISE:
            plain = PlainWords.of(corpus.responses["text"]) if targets else PlainWords(frozenset())
            return MendPlan(request, tuple(targets), tuple(stay), plain)
        case Mend.IDK:
            return MendPlan(request, tuple(targets), tuple(stay))
    model = "" if request.endpoint is not None else request.base_model or base_model or ""
    if request.endpoint is None and not model:
        raise InputError(
            "no model is named that answers",
            why="the audit was without one",
            remedy="give --base-model MODEL, or --mend-endpoint URL and --mend-model M",
        )
    pool = Pool.of(corpus, signals, materials, kept - rows.keys())
    shown, without = pool.show(targets)
    stay = sorted([*stay, *without], key=lambda one: (one.row, one.turn))
    return MendPlan(request, tuple(shown), tuple(stay), base_model=model, audited_digest=base_digest)


def carry_out(plan: MendPlan, progress: Callable[[str, int, int], None] | None = None) -> Mends:
    """Mend the responses, and take what can be taken.

    Args:
        plan: What to do.
        progress: Called with what is done, how many responses are, and how many there are.

    Raises:
        InputError: No model is named, it fails, or nothing it says can be used; what it said before is kept.
        MissingDependencyError: A package that the mend needs is not installed.
    """
    match plan.request.mend:
        case Mend.CONCISE:
            return rewrite_all(plan, progress)
        case Mend.IDK:
            return relabel_all(plan)
    return answer_all(plan, progress)


def _codes(request: MendRequest, run_codes: Sequence[str], not_looked_for: Mapping[str, str]) -> tuple[str, ...]:
    """The codes whose rows are mended: those that are named; of `concise` else what the audit looked for of the usual."""
    is_concise = request.mend is Mend.CONCISE
    if request.codes and not (is_concise and request.codes == MEND_CODES):
        check_codes(request.codes, run_codes, not_looked_for)
        return request.codes
    codes = tuple(code for code in MEND_CODES if code in run_codes)
    if is_concise and not codes:
        raise InputError(
            f"nothing to mend: {' and '.join(MEND_CODES)} were not looked for in this run",
            remedy="audit again with --select STY, or name others with --mend-codes",
        )
    return codes if is_concise else ()


def _unknown_responses(
    corpus: Corpus, signals: pl.DataFrame | None, kept: frozenset[int], mend: Mend
) -> dict[tuple[int, int], tuple[str, ...]]:
    """The responses of the rows whose answers the base model does not know."""
    if signals is None or "slick" not in signals.columns:
        raise InputError(
            f"--mend {mend}: this run did not measure what the base model knows",
            remedy="audit again with --base-model MODEL --slick, or name findings with --mend-codes",
        )
    unknown = signals.filter(pl.col("slick") == "Unknown").select("row")
    found = corpus.responses.select("row", "turn").join(unknown, on="row", how="semi").sort("row", "turn")
    return {(row, turn): (UNKNOWN,) for row, turn in found.iter_rows() if row in kept}


def _own_reasons(
    request: MendRequest, rows: Mapping[int, Row], named: Sequence[tuple[int, int]], materials: Materials | None
) -> dict[tuple[int, int], str]:
    """Why responses stay that only this mend lets stay."""
    match request.mend:
        case Mend.CONCISE:
            questions = ["\n".join(_question(rows[row], turn)) for row, turn in named]
            wanted = read_requests([_SPEAKER.sub("", question).strip() for question in questions])
            texts = [rows[row].messages[turn].content for row, turn in named]
            reasons = map(why_it_stays, texts, questions, wanted)
            return {key: why for key, why in zip(named, reasons, strict=True) if why}
        case Mend.IDK if request.idk_text is None and materials is not None:
            english = english_turns(materials)
            other = "it is not in English: --idk-text gives the words of its language"
            return {key: other for key in named if key not in english}
    return {}


def _named_responses(
    corpus: Corpus, findings: pl.DataFrame, codes: Sequence[str], kept: frozenset[int]
) -> dict[tuple[int, int], tuple[str, ...]]:
    """Responses that findings name, with the findings' codes; where one names a row, all of its responses."""
    found = pl.any_horizontal(pl.lit(value=False), *(pl.col("code").str.starts_with(code) for code in codes))
    of_codes = findings.filter(found).select("row", "turn", "code")
    turns = corpus.responses.select("row", response_turn="turn")
    named: dict[tuple[int, int], set[str]] = {}
    joined = of_codes.join(turns, on="row").filter(pl.col("turn").is_null() | (pl.col("turn") == pl.col("response_turn")))
    for row, code, turn in joined.select("row", "code", "response_turn").iter_rows():
        if row in kept:
            named.setdefault((row, turn), set()).add(code)
    return {key: tuple(sorted(named[key])) for key in sorted(named)}


def _records(
    corpus: Corpus, files: Sequence[SourceFile], rows: Mapping[int, Row]
) -> dict[int, tuple[Mapping[str, object], Read]]:
    """The records of some rows, and how they are read."""
    numbers = {(row.id.file, row.id.index): number for number, row in rows.items()}
    formats = dict(zip(corpus.rows["row"], corpus.rows["format"], strict=True))
    records: dict[int, tuple[Mapping[str, object], Read]] = {}
    for file in files:
        if not any(name == file.name for name, _ in numbers):
            continue
        for record in read_records(file.path, file.container):
            number = numbers.get((file.name, record.index))
            if number is not None and isinstance(record.fields, Mapping):
                records[number] = record.fields, partial(parse_row, format_=Format(formats[number]), columns=file.columns)
    return records


def _holds(fields: Mapping[str, object], row: Row, turn: int, place: Place, read: Read, text: str) -> bool:
    return fits(fields, row, turn, place, text, read)


def _question(row: Row, turn: int) -> list[str]:
    """What a response answers: the turns since the previous answer, and what the system said before all."""
    start = max((number + 1 for number in range(turn) if row.messages[number].role == "assistant"), default=0)
    system = [message.content for message in row.messages[:start] if message.role == "system"]
    return [*system, *(message.content for message in row.messages[start:turn])]


def _why_it_stays(row: Row, turn: int, is_decided: bool) -> str:
    message = row.messages[turn]
    if is_decided:
        return "a person decided to keep the row"
    if row.status is not Status.OK or not any(
        before.role == "user" and before.content.strip() for before in row.messages[:turn]
    ):
        return "it answers no question"
    if message.tool_calls or message.reasoning or _TAGS.search(message.content):
        return "it calls a tool, reasons, or holds tags of its own"
    return ""
