"""The notebook runs from top to bottom, shows what it speaks of, and is kept without what it printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"


def read_notebook() -> nbformat.NotebookNode:
    return nbformat.read(PATH, as_version=4)


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = read_notebook()
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert [set(cell.metadata) for cell in notebook.cells] == [set()] * len(notebook.cells)


def test_every_link_of_the_notebook_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https:)([^)]+)\)", "".join(cell.source for cell in read_notebook().cells))
    assert links
    assert [link for link in links if not (PATH.parent / link).exists()] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs_and_shows_its_results(environment: Mapping[str, str], tmp_path: Path) -> None:
    notebook = read_notebook()
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**environment, "PYTHONWARNINGS": "error::UserWarning"})
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.output_type for output in outputs if output.output_type == "error"] == []
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    run, findings, plan, trace = shown
    assert "3 findings in 3 of 15 rows: 1 error, 2 warnings, 0 info" in re.sub("<[^>]+>", "", run)
    assert findings.count("DUP001") == findings.count("TXT001") == findings.count("TXT002") == 1
    assert "would leave" in plan
    assert "bridges.jsonl#8" in trace
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert "Why it matters:" in printed
    assert "<!-- tunescope: end -->" in printed
