"""An export: the cleaned data, its matched controls, and a record of every row that left or was mended, and why.

Of a source of several files each is written under its own name, where a folder is named, or all are joined to one file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audit.checks import CHECKS
from audit.endpoints import Endpoint
from audit.errors import InputError
from audit.export.control import Control, draw_control
from audit.export.decisions import Choice, read_decisions
from audit.export.diversity import row_vectors
from audit.export.families import family_rows, parse_family
from audit.export.judging import Judged, JudgePlan, plan_judging, rate_rows
from audit.export.keep_rules import KeepRule, Kind, Measures, Rated, parse_keep
from audit.export.mends import IDK_TEXT, UNKNOWN, Mend, MendPlan, MendRequest, Mends, Unmended, carry_out, plan_mends
from audit.export.places import Change
from audit.export.selectors import Selection, parse_blame_q, parse_blame_size, select_rows
from audit.export.writers import SourceRows, container_of_name, packed, write_joined, write_rows
from audit.materials import Materials, Need
from audit.rundir import Run
from audit.sources import (
    Compression,
    Container,
    SourceFile,
    columns_beside,
    compression_of,
    compression_of_name,
    decompressed,
    without_compression,
)
from audit.trace.stored import read_blame
from indexes.store import sync_folder

__all__ = ["ExportPlan", "ExportRequest", "Exported", "plan_export", "write_export"]

# From here on the random arm loses good rows too, and a report of the export says so.
MUCH_DROPPED_SHARE = 0.10


@dataclass(frozen=True)
class ExportRequest:
    """What to leave out, and what to mend.

    Attributes:
        drop: Codes, or prefixes, whose findings drop a row.
        drop_blamed: `NAME:K`, `NAME:SHARE` or `NAME:qQ`, as `parse_blame_size` and `parse_blame_q` read them.
        keep: Rules as `audit.export.keep_rules.parse_keep` reads them, applied in this order.
        judge: Who rates rows for the rule `judge`; `None` where no rule needs it, or for a plan alone.
        sample_families: `N:SHARE` or `N:SHARE@SEED`: rows of a style family stay only up to a share of all that stay.
        mend: What is mended of the rows that stay, and by whom; `None` for nothing.
        control_seeds: One matched control is written per seed.
        group_column: Field that the controls keep in proportion; the run's own where `None`.
        decisions: Whether to follow what a person decided about rows.
        data: The source, where it no longer lies where it was audited.
    """

    drop: tuple[str, ...] = ()
    drop_blamed: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    judge: Endpoint | None = None
    sample_families: tuple[str, ...] = ()
    mend: MendRequest | None = None
    control_seeds: tuple[int, ...] = ()
    group_column: str | None = None
    decisions: bool = True
    data: Path | None = None


@dataclass(frozen=True)
class ExportPlan:
    """What an export would do.

    Attributes:
        run: The audited dataset.
        request: What was asked for.
        files: The audited files.
        selection: Which rows leave, and why.
        controls: The matched removals.
        mends: What is to be mended.
        judged: What a judge said, a part for each rule that asked one.
        to_judge: What the first of the rules that wait would ask.
    """

    run: Run
    request: ExportRequest
    files: tuple[SourceFile, ...]
    selection: Selection
    controls: tuple[Control, ...]
    mends: MendPlan | None = None
    judged: tuple[Judged, ...] = ()
    to_judge: JudgePlan | None = None

    @property
    def dropped_share(self) -> float:
        """Share of the rows that leave."""
        return len(self.selection.reasons) / max(self.selection.n_rows, 1)

    @property
    def counts(self) -> dict[str, int]:
        """Code -> rows that leave for it; a row with two reasons counts under both."""
        codes = ({reason.code for reason in reasons} for reasons in self.selection.reasons.values())
        return dict(sorted(Counter(code for of_row in codes for code in of_row).items()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        notes = list(self.selection.notes)
        if self.selection.waiting:
            notes.append(
                f"not applied, because nobody was asked: {', '.join(self.selection.waiting)}; the counts, the controls and what"
                " is mended are without them"
            )
        if self.run.summary.limit is not None:
            notes.append(
                f"the audit read only the first {self.run.summary.limit} rows: the rows after them are not in the export"
            )
        if self.dropped_share > MUCH_DROPPED_SHARE:
            notes.append(f"{self.dropped_share:.1%} of the rows leave: more than 10 %, so the control loses many good rows too")
        notes += [f"control {control.seed} {control.note}" for control in self.controls if control.note]
        if self.mends is not None:
            notes.append(
                "what is mended is compared with the dataset as it was: controls hold every response unmended"
                + ("" if self.selection.reasons else ", and, as no row leaves, are the source itself")
            )
        return tuple(notes)


@dataclass(frozen=True)
class Exported:
    """An export that was written: the cleaned file or folder, the controls beside it, and its record in the run folder."""

    plan: ExportPlan
    name: str
    cleaned: Path
    controls: tuple[Path, ...]
    record: Path
    mends: Mends | None = None


def plan_export(
    run: Run,
    request: ExportRequest,
    *,
    is_dry: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> ExportPlan:
    """Decide which rows leave and which are to be mended, and draw the controls; nothing is written.

    Nothing is asked either, but for the ratings that a keep rule needs.

    Args:
        run: The audited dataset.
        request: What is wanted.
        is_dry: Whether nobody is to be asked: then a rule that needs a judge, and those after it, wait.
        progress: Told what is done, how much of it is, and how much there is.

    Raises:
        InputError: A code, trace, family or rule is not known, what a rule needs was not measured, the source changed, the
            judge fails, or no control matches.
    """
    rules = [parse_keep(text) for text in request.keep]
    if any(rule.kind == Kind.JUDGE for rule in rules) and request.judge is None and not is_dry:
        raise InputError(
            "nobody is named who judges",
            remedy="give --judge-endpoint URL and --judge-model NAME, or only look with --dry-run",
        )
    files = _source_files(run, request.data)
    n_rows = run.manifest["rows"]["total"]
    blamed = []
    for text in request.drop_blamed:
        by_q = parse_blame_q(text)
        if by_q is not None:
            sure = [row for row in read_blame(run, by_q[0]) if row.q is not None and row.q <= by_q[1]]
            blamed.append((by_q[0], len(sure), sure))
            continue
        name, size = parse_blame_size(text, n_rows)
        blamed.append((name, size, read_blame(run, name)))
    decisions = read_decisions(run) if request.decisions else {}
    run_codes = [stage["name"] for stage in run.manifest["stages"] if "findings" in stage["facts"]]
    not_looked_for = _not_looked_for(run, run_codes)
    looks = _Looks(run, None if is_dry else request.judge, progress)
    selection = select_rows(
        run.findings,
        run.signals,
        decisions=decisions,
        codes=request.drop,
        run_codes=run_codes,
        not_looked_for=not_looked_for,
        blamed=blamed,
        keep=rules,
        families=family_rows(run, [parse_family(text) for text in request.sample_families]),
        measures=looks.measures,
    )
    if len(selection.reasons) == n_rows:
        raise InputError("no row would be left", remedy="drop less")
    group_column = request.group_column or run.settings.get("group_column")
    controls = tuple(
        draw_control(run.catalog.rows, run.signals, selection.dropped, seed, group_column)
        for seed in dict.fromkeys(request.control_seeds)
    )
    mends = None
    if request.mend is not None:
        mends = plan_mends(
            run.corpus,
            run.findings,
            [replace(file, columns=_columns(run, file)) for file in files],
            request.mend,
            run_codes=run_codes,
            not_looked_for=not_looked_for,
            kept=selection.kept,
            decided=[row for row, decision in decisions.items() if decision.choice is Choice.KEEP],
            signals=run.signals,
            materials=Materials(run.path, run.corpus),
            base_model=run.settings.get("base_model"),
            base_digest=_base_digest(run),
        )
    return ExportPlan(run, request, files, selection, controls, mends, tuple(looks.judged), looks.to_judge)


class _Looks:
    """What keep rules look at besides the signals of a run; keeps what a judge said, or would be asked."""

    def __init__(self, run: Run, judge: Endpoint | None, progress: Callable[[str, int, int], None] | None) -> None:
        self._run, self._judge, self._progress = run, judge, progress
        self.judged: list[Judged] = []
        self.to_judge: JudgePlan | None = None

    @property
    def measures(self) -> Measures:
        has_vectors = Materials(self._run.path, self._run.catalog).has_vectors
        why = str(self._run.manifest.get("encoder", {}).get("skipped", ""))
        return Measures(self._vectors if has_vectors else None, why, self._rate, self._progress)

    def _vectors(self) -> NDArray[np.float32]:
        materials = Materials(self._run.path, self._run.catalog)
        return row_vectors(materials.prompt_vectors, materials.row_of_response, len(self._run.catalog))

    def _rate(self, rule: KeepRule, rows: Sequence[int]) -> Rated | None:
        plan = plan_judging(self._run.corpus, rows, rule.aspect)
        if self._judge is None:
            self.to_judge = plan
            return None
        self.judged.append(rate_rows(plan, self._judge, self._progress))
        return self.judged[-1].rated


def _base_digest(run: Run) -> str:
    """The digest of the model that the audit measured; empty where it measured none."""
    of_base = (stage["facts"] for stage in run.manifest["stages"] if stage["name"] == Need.BASE_MODEL)
    return next((str(facts.get("digest", "")) for facts in of_base), "")


def _not_looked_for(run: Run, run_codes: Collection[str]) -> dict[str, str]:
    """The checks that the audit did not run, and why, as its summary has it."""
    reasons = {code: skipped.why for skipped in run.summary.skipped for code in skipped.what.split(", ")}
    return {check.code: reasons.get(check.code, "") for check in CHECKS if check.code not in run_codes}


def write_export(
    plan: ExportPlan, out: Path, name: str | None = None, progress: Callable[[str, int, int], None] | None = None
) -> Exported:
    """Mend, and write the cleaned data, its controls beside it (`STEM.random-SEED.SUFFIX`), and RUN/exports/NAME.

    Args:
        plan: What leaves, and what is mended.
        out: A file, compressed where its name ends in .gz or .zst, or a folder, that is one that exists or a name without a
            suffix: every file of the source is written there under its own name.
        name: The record's; the next free one where `None`.
        progress: Told of every response that was mended.

    Raises:
        InputError: A file exists already or cannot be written, the name is taken, or the endpoint that mends fails; no half
            file is left behind, and what the endpoint said is kept.
    """
    run = plan.run
    if plan.selection.waiting:
        raise InputError("nobody was asked for ratings", remedy="plan without is_dry, and name a judge")
    parts = _parts(plan)
    is_folder = out.is_dir() or not out.suffix
    if not is_folder:
        container_of_name(out, parts[0].container)  # before anything is written
    name = name or run.free_name("exports", "export")
    if name in run.added("exports"):
        raise InputError(f"the run has an export {name!r}", where=str(run.path), remedy="choose another with --name")
    run.check_name("exports", name)
    sets = [(out, set(plan.selection.kept))]
    for control in plan.controls:
        sets.append((_beside(out, control.seed, is_folder), set(range(plan.selection.n_rows)) - set(control.removed)))
    outputs = [_outputs(path, parts, kept, is_folder=is_folder) for path, kept in sets]
    for output in outputs:
        for path in output:
            if path.exists():
                raise InputError("the file exists", where=str(path), remedy="choose another with -o, or remove it")
    mends = None
    if plan.mends is not None:  # what could go wrong without an endpoint has gone well
        mends = carry_out(plan.mends, progress)
        outputs[0] = _outputs(out, parts, sets[0][1], is_folder=is_folder, changes=mends.changes())
    digests: dict[Path, str] = {}
    try:
        for output in outputs:
            for path, write in output.items():
                digests[path] = _write_new(path, write)
        written = [
            _described(path, {file: digests[file] for file in output}) for (path, _), output in zip(sets, outputs, strict=True)
        ]
        record = run.add("exports", name, _record(plan, name, written, mends))
    except BaseException:
        for path in digests:
            path.unlink(missing_ok=True)
        raise
    return Exported(plan, name, out, tuple(path for path, _ in sets[1:]), record, mends)


@dataclass(frozen=True)
class _Part:
    """A file of the source within the whole.

    Attributes:
        file: The file.
        rows: `Corpus.rows` of it.
        first: The number of its first row in the dataset.
    """

    file: SourceFile
    rows: pl.DataFrame
    first: int

    @property
    def container(self) -> Container:
        return self.file.container

    def keep(self, kept: Collection[int], changes: Mapping[int, Sequence[Change]]) -> SourceRows:
        """Its rows among those of the dataset that are kept, with their changes."""
        inside = [number for number in range(self.rows.height) if self.first + number in kept]
        changed = {number: changes[self.first + number] for number in inside if self.first + number in changes}
        return SourceRows(self.file.name, self.file.path, self.container, self.rows, inside, changed)


def _parts(plan: ExportPlan) -> list[_Part]:
    rows, first, parts = plan.run.catalog.rows, 0, []
    for file in plan.files:
        of_file = rows if len(plan.files) == 1 else rows.filter(pl.col("file") == file.name)
        parts.append(_Part(file, of_file, first))
        first += of_file.height
    return parts


def _beside(out: Path, seed: int, is_folder: bool) -> Path:
    """Where a control is written."""
    if is_folder:
        return out.with_name(f"{out.name}.random-{seed}")
    plain = Path(without_compression(out).name)
    return out.with_name(f"{plain.stem}.random-{seed}{plain.suffix}{out.name.removeprefix(plain.name)}")


def _outputs(
    out: Path,
    parts: Sequence[_Part],
    kept: Collection[int],
    *,
    is_folder: bool,
    changes: Mapping[int, Sequence[Change]] | None = None,
) -> dict[Path, Callable[[BinaryIO], None]]:
    """The files of one set of rows, and what writes each."""
    chosen = [part.keep(kept, changes or {}) for part in parts]
    if is_folder:
        return {out / part.name: partial(_write, [part], part.container, compression_of(part.path)) for part in chosen}
    container = parts[0].container if len(parts) == 1 else Container.JSON
    target = container_of_name(out, container, parts[0].file.name)
    return {out: partial(_write, chosen, target, compression_of_name(out))}


def _write(parts: Sequence[SourceRows], target: Container, compression: Compression | None, file: BinaryIO) -> None:
    if compression is not None and not target.is_text:
        raise InputError(f"{target} is not written compressed", where=parts[0].name, remedy="choose a name without .gz or .zst")
    with packed(file, compression) as plain:
        if len(parts) == 1:
            part = parts[0]
            write_rows(part.path, part.container, part.rows, part.kept, target, plain, part.changes)
        else:
            write_joined(parts, target, plain)


def _described(path: Path, files: Mapping[Path, str]) -> dict[str, Any]:
    """An output in the record: its name and digest; of a folder, its files too."""
    if path in files:
        return {"file": path.name, "sha256": files[path]}
    named = [{"file": file.relative_to(path).as_posix(), "sha256": digest} for file, digest in files.items()]
    whole = hashlib.sha256("\n".join(json.dumps(list(file.values())) for file in named).encode()).hexdigest()
    return {"file": path.name, "sha256": whole, "files": named}


def _write_new(path: Path, write: Callable[[BinaryIO], None]) -> str:
    """Write a file whole or not at all; its SHA-256."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a name that no file of the user's has
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            write(file)
        with unfinished.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            "cannot be written", where=str(path), why=why, remedy="free space, or choose another place with -o"
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return digest


def _source_files(run: Run, moved_to: Path | None) -> tuple[SourceFile, ...]:
    """The files that were audited, unchanged since.

    Raises:
        InputError: One is gone, or has changed.
    """
    recorded = run.manifest["source"]
    entries = recorded.get("files", [recorded])  # runs of the first version are of one file
    files = []
    for entry in entries:
        path = run.path / entry["stored"] if "stored" in entry else Path(entry["path"])
        if moved_to is not None:
            path = moved_to / entry["name"] if len(entries) > 1 or moved_to.is_dir() else moved_to
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                "the audited file cannot be read",
                where=str(path),
                why=error.strerror or "",
                remedy="say where it is now with --data",
            ) from error
        if digest != entry["sha256"]:
            raise InputError(
                "the file has changed since the audit",
                where=str(path),
                remedy="audit it again, or name the audited one with --data",
            )
        files.append(SourceFile(entry["name"], path, Container(entry["container"]), str(path)))
    return tuple(files)


def _columns(run: Run, file: SourceFile) -> Mapping[str, str]:
    """The mapping of columns that a file was audited by."""
    named: Mapping[str, str] = run.settings.get("columns") or {}
    return named or ({} if run.settings.get("input_format") else columns_beside(file.path.absolute()))


def _record(plan: ExportPlan, name: str, written: Sequence[Mapping[str, Any]], mends: Mends | None) -> dict[str, bytes]:
    cleaned, *controls = written
    manifest = {
        "name": name,
        "source": dict(plan.run.manifest["source"]),
        "request": asdict(plan.request)
        | {"data": None, "mend": _mend_asked(plan.request.mend), "judge": _judge_asked(plan.request.judge)},
        "order": "decisions, findings but duplicates, blame, duplicates while a match stays, keep rules in the order given, "
        "style families",
        **({"keep": [asdict(step) for step in plan.selection.steps]} if plan.selection.steps else {}),
        **({"judged": [_judged_summary(judged) for judged in plan.judged]} if plan.judged else {}),
        "rows": {
            "total": plan.selection.n_rows,
            "kept": len(plan.selection.kept),
            "dropped": len(plan.selection.reasons),
        },
        "dropped_share": round(plan.dropped_share, 6),
        "counts": plan.counts,
        **({} if mends is None else {"mends": _mends_summary(mends)}),
        "notes": [*plan.notes, *(() if mends is None else mends.notes)],
        "cleaned": cleaned,
        "controls": [
            {
                "seed": control.seed,
                **of_control,
                "removed_rows": list(control.removed),
                "removed_characters": control.characters,
                "cleaned_removed_characters": control.cleaned_characters,
            }
            for control, of_control in zip(plan.controls, controls, strict=True)
        ],
    }
    dropped = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in _dropped_lines(plan))
    return {
        "dropped.jsonl": dropped,
        **({"judged.jsonl": _lines(list(_judgements(plan)))} if plan.judged else {}),
        **({} if mends is None else _mends_files(plan.run, mends)),
        "manifest.json": json.dumps(manifest, indent=1, ensure_ascii=False, default=str).encode(errors="backslashreplace"),
    }


def _mend_asked(request: MendRequest | None) -> dict[str, Any] | None:
    if request is None:
        return None
    codes = list(request.codes) or ([UNKNOWN] if request.mend is not Mend.CONCISE else [])
    own = {"idk_text": request.idk_text or IDK_TEXT} if request.mend is Mend.IDK else {}
    return {"mend": str(request.mend), "codes": codes, **own}


def _judge_asked(judge: Endpoint | None) -> dict[str, Any] | None:
    return None if judge is None else {"model": judge.model, "url": _without_password(judge.url)}


def _judged_summary(judged: Judged) -> dict[str, Any]:
    return {
        "aspect": str(judged.plan.aspect),
        "responses": len(judged.judgements),
        "unrated": sum(one.rating is None for one in judged.judgements),
        "model": judged.model,
        "url": _without_password(judged.url),
        "requests_sent": judged.n_sent,
    }


def _judgements(plan: ExportPlan) -> Iterator[dict[str, Any]]:
    """What was said of each response that was rated."""
    for judged in plan.judged:
        for one in judged.judgements:
            line = _of_response(plan.run, one.row, one.turn) | {"aspect": str(judged.plan.aspect), "rating": one.rating}
            yield line | {"why": one.why} if one.why else line


def _without_password(url: str) -> str:
    """An address as it may stand in a record that is passed on."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _mends_summary(mends: Mends) -> dict[str, Any]:
    before, after = mends.n_words
    return {
        "mended": len(mends.mended),
        "mended_rows": len(mends.changes()),
        "kept_as_they_were": len(mends.unmended),
        "words_before": before,
        "words_after": after,
        "model": mends.model,
        "url": _without_password(mends.url),
        "requests_sent": mends.n_sent,
    }


def _mends_files(run: Run, mends: Mends) -> dict[str, bytes]:
    """What was mended, and what was not and why: a line for each response."""
    mended = [
        _of_response(run, mend.target.row, mend.target.turn)
        | {"codes": list(mend.target.codes), "before": mend.target.text, "after": mend.text, "model": mends.model}
        for mend in mends.mended
    ]
    return {"mended.jsonl": _lines(mended), "kept.jsonl": _lines([_unmended(run, one) for one in mends.unmended])}


def _unmended(run: Run, one: Unmended) -> dict[str, Any]:
    line = _of_response(run, one.row, one.turn) | {"codes": list(one.codes), "why": str(one.why)}
    return line | {"reply": one.reply} if one.reply else line


def _of_response(run: Run, row: int, turn: int) -> dict[str, Any]:
    place, line = run.catalog.id(row), run.catalog.rows["line"][row]
    return {"file": place.file, "index": place.index, "line": line, "row_key": run.catalog.keys[row], "turn": turn}


def _lines(records: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace") + b"\n" for record in records)


def _dropped_lines(plan: ExportPlan) -> Iterator[dict[str, Any]]:
    catalog = plan.run.catalog
    for part in _parts(plan):
        starts, ends = part.rows["start"].to_list(), part.rows["end"].to_list()
        with decompressed(part.file.path) as plain, plain.open("rb") as source:
            for number, reasons in plan.selection.reasons.items():
                place = number - part.first
                if not 0 <= place < part.rows.height:
                    continue
                row = catalog.row(number)
                line: dict[str, Any] = {
                    "file": row.id.file,
                    "index": row.id.index,
                    "line": row.line,
                    "row_key": str(row.key),
                }
                line["reasons"] = [
                    {**asdict(reason), "related": [str(catalog.id(other)) for other in reason.related]} for reason in reasons
                ]
                if starts[place] is not None and not plan.run.redacted:
                    source.seek(starts[place])
                    line |= _raw(source.read(ends[place] - starts[place]).strip(b"\r\n"))
                elif not plan.run.redacted:  # what the run may not hold, its exports' records may not either
                    line["messages"] = [{"role": m.role, "content": m.content} for m in row.messages]
                yield line


def _raw(content: bytes) -> dict[str, str]:
    try:
        return {"raw": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(content).decode("ascii")}
