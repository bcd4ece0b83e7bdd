"""What `import tunescope` returns, as a notebook shows it: the terminal's report as a small piece of HTML.

The domain knows no reports, so a result gets its view from above, in `tunescope.py`: a method `_repr_html_` on its class,
which Jupyter, VS Code, Colab and marimo call. Nothing is rendered, and no report imported, before that. Text of a dataset
is escaped; colours are legible on light and dark, and there is neither script nor style sheet.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from audit.corpus import Corpus

if TYPE_CHECKING:
    from rich.console import RenderableType

    from audit.export import Exported, ExportPlan
    from audit.rundir import Run
    from audit.shift import ShiftReport
    from audit.style.measured import MeasuredStyle
    from audit.trace import Trace
    from audit.tune import TuningRecord
    from audit.verify import CampaignResult, Verification
    from audit.verify.calibration import Calibration
    from audit.verify.confirmation import ConfirmationResult
    from audit.verify.paper import PaperReport

__all__ = ["html_of", "show_in_notebooks"]

_COLUMNS = 110
# Of 4.5 to 1 or nearly so on white and on black, which the usual colours of terminals are not.
_BLACK, _RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN = (
    (0, 0, 0),
    (209, 52, 56),
    (34, 135, 70),
    (161, 106, 0),
    (40, 120, 220),
    (170, 80, 180),
    (0, 128, 140),
)
_GREY_AT_HALF = (236, 236, 236)  # dim text is half of it
_PRE = (
    "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12px;line-height:1.45;"
    "white-space:pre;overflow-x:auto;background:none;color:inherit;margin:0;padding:4px 0"
)

_Result = TypeVar("_Result")
_corpora: dict[int, Corpus] = {}


def show_in_notebooks(result: _Result, corpus: Corpus | None = None) -> _Result:
    """Give a result its view in notebooks, and return it.

    Args:
        result: What a function of `tunescope` returns.
        corpus: The rows, where the view shows some and the result does not have them; kept as long as the result.
    """
    if type(result).__name__ in _VIEWS:
        type(result)._repr_html_ = html_of  # type: ignore[attr-defined]
        if corpus is not None:
            _corpora[id(result)] = corpus
            weakref.finalize(result, _corpora.pop, id(result), None)
    return result


def html_of(result: object) -> str | None:
    """A result as HTML; nothing where its rows are not known."""
    view = _VIEWS[type(result).__name__](result)
    return None if view is None else _html(view)


def _html(view: RenderableType) -> str:
    from rich.console import Console
    from rich.terminal_theme import TerminalTheme

    colours = [_BLACK, _RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN, _GREY_AT_HALF]
    console = Console(
        record=True,
        file=io.StringIO(),
        width=_COLUMNS,
        force_terminal=True,
        force_jupyter=False,
        legacy_windows=False,
        color_system="standard",
    )
    console.print(view, crop=False)
    theme = TerminalTheme(_GREY_AT_HALF, _BLACK, colours, colours)
    return console.export_html(theme=theme, inline_styles=True, code_format=f'<pre style="{_PRE}">{{code}}</pre>')


def _run(run: Run) -> RenderableType:
    from reports.terminal import audit_report

    return audit_report(run.summary, run.catalog, run.findings, run.path, examples_per_check=1)


def _trace(trace: Trace) -> RenderableType | None:
    from reports.trace import trace_report

    corpus = _corpora.get(id(trace))
    return None if corpus is None else trace_report(trace, corpus)


def _plan(plan: ExportPlan) -> RenderableType:
    from reports.export import export_report

    return export_report(plan, None)


def _exported(exported: Exported) -> RenderableType:
    from reports.export import export_report

    return export_report(exported.plan, exported)


def _verification(verification: Verification) -> RenderableType:
    from reports.verification import verification_report

    return verification_report(verification)


def _campaign(result: CampaignResult) -> RenderableType:
    from reports.campaign import campaign_report

    return campaign_report(result)


def _calibration(calibration: Calibration) -> RenderableType | None:
    from reports.calibration import calibration_report

    corpus = _corpora.get(id(calibration))
    return None if corpus is None else calibration_report(calibration, corpus)


def _confirmation(result: ConfirmationResult) -> RenderableType | None:
    from reports.confirmation import confirmation_report

    corpus = _corpora.get(id(result))
    return None if corpus is None else confirmation_report(result, corpus)


def _paper(report: PaperReport) -> RenderableType:
    from reports.paper import paper_report

    return paper_report(report)


def _shift(report: ShiftReport) -> RenderableType:
    from reports.shift import shift_report

    return shift_report(report)


def _style(measured: MeasuredStyle) -> RenderableType | None:
    from reports.style import style_report

    corpus = _corpora.get(id(measured))
    return None if corpus is None else style_report(measured, corpus)


def _tuning(record: TuningRecord) -> RenderableType:
    from reports.tune import record_report

    return record_report(record)


_VIEWS: dict[str, Callable[[Any], RenderableType | None]] = {
    "Run": _run,
    "Trace": _trace,
    "ExportPlan": _plan,
    "Exported": _exported,
    "Verification": _verification,
    "CampaignResult": _campaign,
    "Calibration": _calibration,
    "ConfirmationResult": _confirmation,
    "PaperReport": _paper,
    "ShiftReport": _shift,
    "MeasuredStyle": _style,
    "TuningRecord": _tuning,
}
