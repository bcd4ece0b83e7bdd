"""An export: the cleaned file, its matched controls, and a record of every row that left and why."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from audit.errors import InputError
from audit.export.control import Control, draw_control
from audit.export.selectors import Selection, parse_blame_q, parse_blame_size, parse_keep, select_rows
from audit.export.writers import container_of_name, write_rows
from audit.rundir import Run
from audit.sources import Container
from audit.trace.stored import read_blame
from indexes.store import sync_folder

__all__ = ["ExportPlan", "ExportRequest", "Exported", "plan_export", "write_export"]

# From here on the random arm loses good rows too, and a report of the export says so.
MUCH_DROPPED_SHARE = 0.10


@dataclass(frozen=True)
class ExportRequest:
    """What to leave out.

    Attributes:
        drop: Codes, or prefixes, whose findings drop a row.
        drop_blamed: `NAME:K`, `NAME:SHARE` or `NAME:qQ`, as `parse_blame_size` and `parse_blame_q` read them.
        keep: `longest:K`, `random:K` or `random:K@SEED`.
        control_seeds: One matched control is written per seed.
        group_column: Field that the controls keep in proportion; the run's own where `None`.
        data: The source, where it no longer lies where it was audited.
    """

    drop: tuple[str, ...] = ()
    drop_blamed: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    control_seeds: tuple[int, ...] = ()
    group_column: str | None = None
    data: Path | None = None


@dataclass(frozen=True)
class ExportPlan:
    """What an export would do."""

    run: Run
    request: ExportRequest
    source: Path
    selection: Selection
    controls: tuple[Control, ...]

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
        if self.run.summary.limit is not None:
            notes.append(
                f"the audit read only the first {self.run.summary.limit} rows: the rows after them are not in the export"
            )
        if self.dropped_share > MUCH_DROPPED_SHARE:
            notes.append(f"{self.dropped_share:.1%} of the rows leave: more than 10 %, so the control loses many good rows too")
        notes += [f"control {control.seed} {control.note}" for control in self.controls if control.note]
        return tuple(notes)


@dataclass(frozen=True)
class Exported:
    """An export that was written: the cleaned file, the controls beside it, and its record in the run folder."""

    plan: ExportPlan
    name: str
    cleaned: Path
    controls: tuple[Path, ...]
    record: Path


def plan_export(run: Run, request: ExportRequest) -> ExportPlan:
    """Decide which rows leave, and draw the controls; nothing is written.

    Raises:
        InputError: A code, trace or rule is not known, the source changed, or no control matches.
    """
    source = _source(run, request.data)
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
    selection = select_rows(
        run.findings,
        run.signals,
        codes=request.drop,
        run_codes=[stage["name"] for stage in run.manifest["stages"] if "findings" in stage["facts"]],
        blamed=blamed,
        keep=[parse_keep(text) for text in request.keep],
    )
    if len(selection.reasons) == n_rows:
        raise InputError("no row would be left", remedy="drop less")
    group_column = request.group_column or run.settings.get("group_column")
    controls = tuple(
        draw_control(run.corpus.rows, run.signals, selection.dropped, seed, group_column)
        for seed in dict.fromkeys(request.control_seeds)
    )
    return ExportPlan(run, request, source, selection, controls)


def write_export(plan: ExportPlan, out: Path, name: str | None = None) -> Exported:
    """Write the cleaned file, its controls beside it (`STEM.random-SEED.SUFFIX`), and the record in RUN/exports/NAME.

    Raises:
        InputError: A file exists already or cannot be written, or the name is taken; no half file is left behind.
    """
    run = plan.run
    container = Container(run.manifest["source"]["container"])
    target = container_of_name(out, container)
    name = name or run.free_name("exports", "export")
    if name in run.added("exports"):
        raise InputError(f"the run has an export {name!r}", where=str(run.path), remedy="choose another with --name")
    rows = run.corpus.rows
    outputs = [(out, plan.selection.kept)]
    for control in plan.controls:
        removed = set(control.removed)
        path = out.with_name(f"{out.stem}.random-{control.seed}{out.suffix}")
        outputs.append((path, [row for row in range(rows.height) if row not in removed]))
    for path, _ in outputs:
        if path.exists():
            raise InputError("the file exists", where=str(path), remedy="choose another with -o, or remove it")
    written = []
    try:
        for path, kept in outputs:
            write = _row_writer(plan.source, container, plan, kept, target)
            written.append((path, _write_new(path, write)))
        record = run.add("exports", name, _record(plan, name, written))
    except BaseException:
        for path, _ in written:
            path.unlink(missing_ok=True)
        raise
    return Exported(plan, name, out, tuple(path for path, _ in written[1:]), record)


def _row_writer(
    source: Path, container: Container, plan: ExportPlan, kept: Sequence[int], target: Container
) -> Callable[[BinaryIO], None]:
    return lambda file: write_rows(source, container, plan.run.corpus.rows, kept, target, file)


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


def _source(run: Run, moved_to: Path | None) -> Path:
    recorded = run.manifest["source"]
    source = moved_to or Path(recorded["path"])
    try:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            "the audited file cannot be read",
            where=str(source),
            why=error.strerror or "",
            remedy="say where it is now with --data",
        ) from error
    if digest != recorded["sha256"]:
        raise InputError(
            "the file has changed since the audit",
            where=str(source),
            remedy="audit it again, or name the audited one with --data",
        )
    return source


def _record(plan: ExportPlan, name: str, written: Sequence[tuple[Path, str]]) -> dict[str, bytes]:
    cleaned, *controls = written
    manifest = {
        "name": name,
        "source": dict(plan.run.manifest["source"]),
        "request": asdict(plan.request) | {"data": None},
        "order": "findings but duplicates, blame, duplicates while a match stays, keep rules",
        "rows": {
            "total": plan.selection.n_rows,
            "kept": len(plan.selection.kept),
            "dropped": len(plan.selection.reasons),
        },
        "dropped_share": round(plan.dropped_share, 6),
        "counts": plan.counts,
        "notes": list(plan.notes),
        "cleaned": {"file": cleaned[0].name, "sha256": cleaned[1]},
        "controls": [
            {
                "seed": control.seed,
                "file": path.name,
                "sha256": digest,
                "removed_rows": list(control.removed),
                "removed_characters": control.characters,
                "cleaned_removed_characters": control.cleaned_characters,
            }
            for control, (path, digest) in zip(plan.controls, controls, strict=True)
        ],
    }
    dropped = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in _dropped_lines(plan))
    return {
        "dropped.jsonl": dropped,
        "manifest.json": json.dumps(manifest, indent=1, ensure_ascii=False, default=str).encode(),
    }


def _dropped_lines(plan: ExportPlan) -> Iterator[dict[str, Any]]:
    corpus = plan.run.corpus
    starts, ends = corpus.rows["start"].to_list(), corpus.rows["end"].to_list()
    with plan.source.open("rb") as source:
        for number, reasons in plan.selection.reasons.items():
            row = corpus.row(number)
            line: dict[str, Any] = {
                "file": row.id.file,
                "index": row.id.index,
                "line": row.line,
                "row_key": str(row.key),
            }
            line["reasons"] = [
                {**asdict(reason), "related": [str(corpus.id(other)) for other in reason.related]} for reason in reasons
            ]
            if starts[number] is not None:
                source.seek(starts[number])
                line |= _raw(source.read(ends[number] - starts[number]).strip(b"\r\n"))
            else:
                line["messages"] = [{"role": m.role, "content": m.content} for m in row.messages]
            yield line


def _raw(content: bytes) -> dict[str, str]:
    try:
        return {"raw": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(content).decode("ascii")}
