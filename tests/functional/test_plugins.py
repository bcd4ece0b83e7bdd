"""A check of another distribution: the example, built as a wheel and installed, is found and run by the real command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.functional.conftest import ROWS

EXAMPLE = Path(__file__).with_name("plugin_example")
LOUD = '{"instruction": "Is the bridge open?", "output": "THE BRIDGE IS CLOSED UNTIL NOON."}\n'


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def with_plugin(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Mapping[str, str]:
    """An environment in which the example is installed from its wheel."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, folder / "source")
    _pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", folder / "dist", source)
    (wheel,) = (folder / "dist").glob("*.whl")
    _pip("install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    path = os.pathsep.join([str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**environment, "PYTHONPATH": path}


def _run(environment: Mapping[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("tunescope")), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_example_is_about_twenty_lines() -> None:
    module = (EXAMPLE / "tunescope_shouting.py").read_text(encoding="utf-8")
    code = module.split('"""\n', maxsplit=1)[1]
    lines = [line for line in code.splitlines() if line and not line.startswith(("from ", "import ", "#"))]
    assert len(lines) <= 27


def test_the_installed_example_is_listed_explained_selected_and_run(with_plugin: Mapping[str, str], dataset: Path) -> None:
    folder = dataset.parent
    dataset.write_text(ROWS + LOUD, encoding="utf-8")
    listed = _run(with_plugin, folder, "checks").stdout.splitlines()
    assert listed[-1].split() == ["SHT001", "warning", "shouting", "response", "languages", "any", "not", "measured"]
    assert _run(with_plugin, folder, "explain", "sht001").stdout.startswith("SHT001: a response is written in capital")
    arguments = ("audit", dataset.name, "--select", "SHT,DUP", "--option", "SHT001.min_letters=20", "--fail-on", "warning")
    done = _run(with_plugin, folder, *arguments, "-o", "run", "--format", "json", "--quiet")
    assert (done.returncode, done.stderr) == (1, "")
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["code"], finding["row"]["index"]) == ("SHT001", 6)
    assert finding["message"] == "All 26 letters of the response are capitals."
    manifest = json.loads((folder / "run" / "manifest.json").read_bytes())
    assert manifest["plugins"] == [{"distribution": "tunescope-shouting", "version": "0.3.0", "codes": ["SHT001"]}]
    assert "shouting response" in (folder / "run" / "report.html").read_text(encoding="utf-8")
    calm = _run(with_plugin, folder, *arguments[:4], "--option", "SHT001.min_letters=27", "-o", "calm", "--format", "json")
    assert json.loads(calm.stdout)["findings"] == []
    refused = _run(with_plugin, folder, *arguments[:4], "--option", "SHT001.min_letters=0", "-o", "none")
    assert refused.returncode == 2
    assert refused.stderr == "tunescope: option 'min_letters' of SHT001 is 0; give a value from 1 to 1000, such as 12\n"


def test_a_broken_plugin_stops_the_command_in_one_line(with_plugin: Mapping[str, str], dataset: Path, tmp_path: Path) -> None:
    installed, *others = with_plugin["PYTHONPATH"].split(os.pathsep)
    site = shutil.copytree(installed, tmp_path / "site")
    (site / "tunescope_shouting.py").write_text("import a_library_that_is_not_there\n", encoding="utf-8")
    broken = {**with_plugin, "PYTHONPATH": os.pathsep.join([os.fspath(site), *others])}
    done = _run(broken, dataset.parent, "audit", dataset.name, "-o", "run")
    assert done.returncode == 2
    assert done.stderr == (
        "tunescope: tunescope_shouting:CHECK: the plug-in 'shouting' of tunescope-shouting cannot be used"
        " (ModuleNotFoundError: No module named 'a_library_that_is_not_there'); update it, or pip uninstall"
        " tunescope-shouting\n"
    )
    assert not (dataset.parent / "run").exists()
    assert _run(broken, dataset.parent, "explain", "DUP001").returncode == 0
