"""tunescope audits instruction-tuning data: the public Python API and the entry of the command.

    import tunescope

    run = tunescope.audit("data.jsonl")
    trace = tunescope.trace(run, prompt="…", response="…", spans=["…"])
    plan = tunescope.export(run, "cleaned.jsonl", drop=["DUP", "TXT"], control_seeds=[0, 1, 2, 3, 4])
    result = tunescope.verify(run, {"cleaned": ["a.jsonl"], "random": ["b.jsonl"]})

Everything else is loaded when it is first used. The packages behind this module have common names (`audit`, `indexes`,
`reports`, `cli`); importing tunescope checks that Python finds ours, and not another distribution's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.export import Exported, ExportPlan
    from audit.rundir import Run
    from audit.trace import Trace
    from audit.verify import Verification

__all__ = ["audit", "export", "main", "open_run", "trace", "verify"]

_ROOMS = ("audit", "indexes", "reports", "cli")
_MARK = '"""tunescope:'


def audit(data: str | Path, out: str | Path | None = None, **settings: Any) -> Run:
    """Audit a dataset and write a run folder.

    Args:
        data: A .jsonl, .json, .csv or .parquet file.
        out: The run folder; without it `tunescope-runs/NAME-N`.
        **settings: As in `audit.config.AuditConfig`: `select`, `ignore`, `input_format`, `columns`, `limit`, `checks`, …

    Returns:
        The finished run: `run.findings` and `run.signals` are polars frames, `run.corpus` the dataset.

    Raises:
        indexes.errors.TunescopeError: The data, a setting or the folder cannot be used; the message is one line.
    """
    _check_rooms()
    from audit.config import make_config
    from audit.pipeline import run_audit
    from reports.render import render_audit

    config = make_config({"data": str(data), **settings})
    return run_audit(config, None if out is None else Path(out), render=render_audit)


def open_run(path: str | Path) -> Run:
    """A finished run folder.

    Raises:
        indexes.errors.TunescopeError: There is none, or it is of another version or damaged.
    """
    _check_rooms()
    from audit.rundir import Run

    return Run.open(path)


def trace(
    run: Run | str | Path,
    *,
    prompt: str,
    response: str,
    spans: Sequence[str] = (),
    reference: Sequence[str] = (),
    corrected: str | None = None,
    k: int | None = 10,
) -> Trace:
    """The rows from which false words of an answer could have been borrowed.

    Args:
        run: A finished run, or its folder.
        prompt: What the model was asked.
        response: What it said.
        spans: The false words, each as text or `START:END` in code points.
        reference: The right answer and its aliases; finds the span where none is given, and sets right rows apart.
        corrected: The whole answer corrected; as `reference`.
        k: Links per span; `None` for all rows in order.

    Raises:
        indexes.errors.TunescopeError: A span is not in the response, or nothing says which words are false.
    """
    _check_rooms()
    from audit.responses import Response
    from audit.sources import Message
    from audit.trace import Tracer, locate_span

    claim = Response(
        id="claim",
        messages=(Message("user", prompt, trained=False),),
        response=response,
        spans=tuple(locate_span(response, span) for span in spans),
        reference=tuple(reference),
        corrected=corrected,
    )
    return Tracer(_opened(run)).trace(claim, k)


def export(
    run: Run | str | Path,
    out: str | Path,
    *,
    drop: Sequence[str] = (),
    drop_blamed: Sequence[str] = (),
    keep: Sequence[str] = (),
    control_seeds: Sequence[int] = (),
    group_column: str | None = None,
    data: str | Path | None = None,
    name: str | None = None,
    dry_run: bool = False,
) -> Exported | ExportPlan:
    """Write the dataset without some rows, matched controls beside it, and the reason for every row that left.

    Args:
        run: A finished run, or its folder.
        out: The cleaned file; its suffix names the container.
        drop: Codes, or prefixes, whose findings drop a row.
        drop_blamed: `NAME:K` or `NAME:SHARE` of a stored trace.
        keep: `longest:K`, `random:K` or `random:K@SEED`.
        control_seeds: One control file per seed.
        group_column: A field whose values the controls keep in proportion.
        data: Where the audited file lies now, if it was moved.
        name: Name of the record within the run.
        dry_run: Only plan; the plan is returned.

    Raises:
        indexes.errors.TunescopeError: Something asked for is not known or not possible; nothing was written.
    """
    _check_rooms()
    from audit.export import ExportRequest, plan_export, write_export

    request = ExportRequest(
        drop=tuple(drop),
        drop_blamed=tuple(drop_blamed),
        keep=tuple(keep),
        control_seeds=tuple(control_seeds),
        group_column=group_column,
        data=None if data is None else Path(data),
    )
    plan = plan_export(_opened(run), request)
    return plan if dry_run else write_export(plan, Path(out), name)


def verify(
    run: Run | str | Path,
    responses: Mapping[str, Sequence[str | Path]],
    *,
    export: str | None = None,
    delta_points: float = 5.0,
) -> Verification:
    """Did the cleaning help? Compare answers of models tuned on the cleaned set and on matched random removals.

    Args:
        run: The run that the cleaning came from: prompts that were traced there are left out.
        responses: Arm -> its files, one per seed; `cleaned` and `random` are needed.
        export: Name of the export that the cleaned arm was tuned on.
        delta_points: A difference below this many percentage points counts as none.

    Raises:
        indexes.errors.TunescopeError: The files do not pair, or a prompt lacks what the outcome needs.
    """
    _check_rooms()
    from audit.verify import verify_run

    files = [(arm, Path(file)) for arm, paths in responses.items() for file in paths]
    return verify_run(_opened(run), files, export=export, delta_points=delta_points)


def main() -> None:
    """The `tunescope` command."""
    foreign = _foreign_room()
    if foreign:
        print(foreign, file=sys.stderr)  # noqa: T201 - the command's own message, before cli can be trusted
        raise SystemExit(2)
    from cli.main import run_command

    run_command()


def _check_rooms() -> None:
    """Raises ImportError where a package of ours is another distribution's."""
    foreign = _foreign_room()
    if foreign:
        raise ImportError(foreign)


def _opened(run: Run | str | Path) -> Run:
    return open_run(run) if isinstance(run, str | Path) else run


def _foreign_room() -> str:
    """A line that names a package of ours that Python would take from another distribution; empty where all is well."""
    home = Path(__file__).resolve().parent
    for room in _ROOMS:
        spec = PathFinder.find_spec(room)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        ours = home / room / "__init__.py"
        if origin == ours and ours.read_text(encoding="utf-8").startswith(_MARK):
            continue
        found = origin or (next(iter(spec.submodule_search_locations or []), None) if spec is not None else None) or "nothing"
        return (
            f"tunescope: package {room!r} is not ours: Python finds {found} (another distribution has the same name); "
            "install tunescope into an environment of its own: pipx install tunescope"
        )
    return ""
