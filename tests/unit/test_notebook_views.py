"""What notebooks show of results: the terminal's report as HTML, escaped, made only when it is asked for."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from IPython.core.formatters import HTMLFormatter

import tunescope
from audit.rundir import Run
from audit.tune import Method, load_recipe
from audit.tune.record import TuningRecord
from reports import notebook
from reports.notebook import html_of, show_in_notebooks
from tests.campaign import tuning_record
from tests.conftest import alpaca
from tests.hostile import ATTACKS

ROWS = [alpaca(f"Which stone is bridge {n} of?", f"Bridge {n} is built of slate from Vell.") for n in range(6)]


class Page(HTMLParser):
    """The elements of a piece of HTML and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style"}

    def handle_data(self, data) -> None:
        self.text += data


def shown(result: object) -> Page:
    """A result as IPython, and so Jupyter and VS Code, asks for it."""
    html = HTMLFormatter()(result)
    assert html is not None
    page = Page(html)
    assert page.tags <= {"pre", "span"}
    return page


def test_a_run_shows_what_was_found(audit_rows) -> None:
    run = tunescope.open_run(audit_rows([*ROWS, alpaca("Which stone is this?", "N/A")]).path)
    page = shown(run)
    assert "1 finding in 1 of 7 rows" in page.text
    assert "TXT002  " in page.text
    assert "data.jsonl#6  The response is a placeholder: N/A" in page.text


def test_nothing_of_a_hostile_dataset_acts(audit_rows) -> None:
    run = audit_rows([*(alpaca(attack, "N/A") for attack in ATTACKS), alpaca("Ask.", "An answer.")])
    page = shown(tunescope.open_run(run.path))
    assert "<script>" in page.text
    assert not set(page.text) & set("\x1b\x07\u202e\u200b\ufeff")


def test_traces_exports_and_plans_are_shown(audit_rows, tmp_path) -> None:
    run = audit_rows([*ROWS, alpaca("Which stone is this?", "N/A")])
    trace = tunescope.trace(run, prompt="Which stone?", response="It is built of slate from Vell.", spans=["slate from Vell"])
    assert "data.jsonl#0" in shown(trace).text
    plan = tunescope.export(run, tmp_path / "cleaned.jsonl", drop=["TXT"], dry_run=True)
    assert shown(plan).text.startswith("1 of 7 rows would leave (14.3%), 6 stay.")
    exported = tunescope.export(run, tmp_path / "cleaned.jsonl", drop=["TXT"])
    assert "Cleaned: " in shown(exported).text


def test_a_tuning_is_shown() -> None:
    record = tuning_record(load_recipe("default", Method.LORA), seed=3)
    assert "Health: no problem found" in shown(show_in_notebooks(record)).text


@pytest.mark.parametrize("name", sorted(notebook._VIEWS))
def test_every_result_of_the_public_api_has_a_view(name) -> None:
    from typing import get_type_hints

    from audit.corpus import Corpus
    from audit.export import Exported, ExportPlan
    from audit.shift import ShiftReport
    from audit.style.measured import MeasuredStyle
    from audit.trace import Trace
    from audit.verify import CampaignResult, Verification
    from audit.verify.calibration import Calibration
    from audit.verify.confirmation import ConfirmationResult
    from audit.verify.paper import PaperReport

    known = [Corpus, Exported, ExportPlan, ShiftReport, Trace, CampaignResult, Verification, Calibration]
    names = {kind.__name__: kind for kind in [*known, ConfirmationResult, MeasuredStyle, PaperReport, Run, TuningRecord]}
    functions = (getattr(tunescope, function) for function in tunescope.__all__)
    returned = " ".join(
        str(get_type_hints(function, vars(tunescope) | names)["return"])
        for function in functions
        if getattr(function, "__module__", "") == "tunescope"
    )
    assert f".{name}" in returned


def test_a_result_keeps_its_rows_only_as_long_as_it_lives(audit_rows) -> None:
    run = audit_rows(ROWS)
    trace = tunescope.trace(run, prompt="Which stone?", response="It is slate from Vell.", spans=["slate"])
    key = id(trace)
    assert notebook._corpora[key] is run.corpus
    assert html_of(replace(trace)) is None  # a copy of one's own has no rows
    del trace
    gc.collect()
    assert key not in notebook._corpora


def test_other_values_are_left_as_they_are() -> None:
    value = object()
    assert show_in_notebooks(value) is value
    assert HTMLFormatter()(value) is None


def test_a_view_costs_nothing_until_it_is_asked_for(demo_run) -> None:
    code = (
        "import sys, tunescope\n"
        f"run = tunescope.open_run({str(demo_run.path)!r})\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('rich', 'IPython', 'torch')]\n"
        "assert '_repr_html_' in dir(run)\n"
        "assert run._repr_html_().startswith('<pre style=')\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
