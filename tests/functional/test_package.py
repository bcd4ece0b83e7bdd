"""The wheel in a clean environment: it works there, and says so where another distribution took its packages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """An environment with the wheel; its dependencies are those of the environment that runs the tests."""
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    # A .pth file inside a folder that another .pth file added is not read, so the editable install stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    _pip(home, wheel)
    return home


def _pip(home: Path, wheel: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(home / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _run(home: Path, environment: Mapping[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(home / "bin" / "tunescope"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_the_four_rooms_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "audit",
        "cli",
        "indexes",
        "reports",
        "tunescope.py",
    }
    for name in (
        "audit/checks/costs.json",
        "audit/pocket/model/model.safetensors",
        "audit/pocket/model/chat_template.jinja",
        "audit/tune/recipes/default.yaml",
        "reports/schemas/audit.schema.json",
        "reports/schemas/calibration.schema.json",
        "reports/schemas/shift.schema.json",
        "reports/schemas/style.schema.json",
        "reports/templates/story.html.j2",
        "reports/templates/style.html.j2",
    ):
        assert name in names


def test_the_installed_wheel_runs_the_demo(installed: Path, environment: Mapping[str, str], tmp_path: Path) -> None:
    done = _run(installed, environment, tmp_path, "demo", "-o", "demo", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "demo"
    assert "this run only" in done.stdout  # one seed an arm says nothing of the dataset
    assert "DUP001" in (folder / "run" / "report.html").read_text(encoding="utf-8")
    verification = json.loads((folder / "run" / "verify" / "cleaned" / "verification.json").read_bytes())
    assert [method["method"] for method in verification["methods"]] == ["lora", "full"]
    story = (folder / "report.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+\.html)"', story)
    assert len(links) == 5
    assert all((folder / link).is_file() for link in links)
    assert _run(installed, environment, tmp_path, "check-run", "demo/run").returncode == 0
    code = "import audit, tunescope; print(audit.__file__); tunescope.open_run('demo/run')"
    python = subprocess.run(
        [str(installed / "bin" / "python"), "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(installed) in python.stdout, python.stderr


def test_a_distribution_of_the_same_name_is_named_in_one_line(
    installed: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    foreign = tmp_path / "commander-1.0-py3-none-any.whl"
    with zipfile.ZipFile(foreign, "w") as file:
        file.writestr("cli/__init__.py", '"""Somebody else\'s command line."""\n')
        file.writestr("commander-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: commander\nVersion: 1.0\n")
        file.writestr("commander-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("commander-1.0.dist-info/RECORD", "")
    _pip(installed, foreign)
    done = _run(installed, environment, tmp_path, "--help")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cli" in done.stderr
    assert "pipx install tunescope" in done.stderr
    python = subprocess.run(
        [str(installed / "bin" / "python"), "-c", "import tunescope; tunescope.open_run('x')"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ImportError: tunescope: package 'cli'" in python.stderr
