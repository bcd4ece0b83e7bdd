"""Other systems, locales and names: run where Linux can, else simulated; docs/portability.md lists both."""

from __future__ import annotations

import ast
import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import tunescope as api
from audit.config import load_config
from audit.engines import local, run_tasks
from audit.engines.memory import peak_memory_bytes
from audit.errors import InputError
from audit.responses import read_responses
from audit.rundir import Run
from tests.conftest import alpaca, jsonl
from tests.functional.conftest import ROWS, Command

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("audit", "cli", "indexes", "reports")
EVERY_SIGN = [
    alpaca("谁建了灯塔？", "这座灯塔是玻璃匠人建造的，高三十米，冬天也亮。"),
    alpaca("Who built the pier? 🌉✓", "The pier — “new” — was built by Łucja ☃ in the year 1912."),
    alpaca("Who swept it?", "It was swept by the keeper of the north gate, every day at noon."),
]
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in [ROOT / "tunescope.py", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))]:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


# Processes

SCRIPT = """
import multiprocessing, os, sys
multiprocessing.set_start_method(sys.argv[1])
print("begun")
from audit.engines import run_tasks
print(*run_tasks(os.path.basename, ["pier/salt", "pier/rope"], n_workers=2, n_threads=1))
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_a_script_without_a_main_guard_can_use_workers(environment: Mapping[str, str], tmp_path: Path, method: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "script.py", method]
    env = {**environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, ["begun", "salt rope"], "")


def test_a_script_from_standard_input_can_use_workers(environment: Mapping[str, str], tmp_path: Path) -> None:
    env = {**environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-", "spawn"]
    done = subprocess.run(command, input=SCRIPT, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, ["begun", "salt rope"], "")


def _exit(code: int) -> None:
    os._exit(code)


def test_a_lost_worker_is_reported_where_the_system_has_no_sigkill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "signal", SimpleNamespace(Signals=signal.Signals))
    with pytest.raises(InputError, match="ended itself with code 3"):
        run_tasks(_exit, [3], n_workers=1, n_threads=1)


def test_peak_memory_is_told_with_and_without_the_resource_module(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak_memory_bytes() >= psutil.Process().memory_info().rss / 2
    monkeypatch.setitem(sys.modules, "resource", None)
    windows = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=12345))
    monkeypatch.setattr(psutil, "Process", lambda: windows)
    assert peak_memory_bytes() == 12345


def test_no_module_or_call_of_one_system_is_used_without_another_way() -> None:
    modules = {"fcntl", "msvcrt", "pwd", "grp", "termios", "resource", "winreg"}
    calls = {"fork", "link", "symlink", "mkfifo", "getuid", "setsid", "kill", "killpg"}
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path.name, name) for name in names if name in modules]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                found += [(path.name, f"os.{node.attr}")] if node.attr in calls else []
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/dev/"):
                found.append((path.name, node.value))
    assert found == [("memory.py", "resource")]  # and psutil where there is none


def test_every_text_file_is_opened_with_an_encoding() -> None:
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            n_before = {"read_text": 0, "write_text": 1}.get(name)
            if name == "TextIOWrapper" or (n_before is not None and len(node.args) <= n_before):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


# Open files: Windows gives nothing another name, and deletes nothing, in which a file is open.


def open_files() -> set[Path]:
    """Files that this process holds open, or has mapped into memory."""
    held = {link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    mapped = re.findall(r" (/\S.*)$", Path("/proc/self/maps").read_text(encoding="utf-8"), re.MULTILINE)
    return {*held, *map(Path, mapped)}


@pytest.fixture
def as_on_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was renamed or deleted below the test's folder; an open file there makes it an error."""
    done: list[str] = []

    def guarded(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(first: Any, *others: Any, **options: Any) -> Any:
            paths = [Path(path) for path in (first, *others) if isinstance(path, str | Path)]
            if options.get("dir_fd") is None and all(tmp_path in path.absolute().parents for path in paths):
                for path in paths:
                    in_use = [held for held in open_files() if held == path or path in held.parents]
                    if in_use and not (name in ("unlink", "remove") and path.name.endswith(".lock")):
                        raise PermissionError(errno.EACCES, "is open elsewhere", str(in_use[0]))
                done.append(name)
            return original(first, *others, **options)

        return call

    for name in ("rename", "replace", "unlink", "remove"):
        monkeypatch.setattr(os, name, guarded(name))
    return done


@linux_only
def test_nothing_is_renamed_or_deleted_while_a_file_in_it_is_open(
    as_on_windows: list[str], tmp_path: Path, tiny_model: str
) -> None:
    (tmp_path / "rows.jsonl").write_text(ROWS, encoding="utf-8")
    run = api.audit(tmp_path / "rows.jsonl", tmp_path / "run", encoder=tiny_model)
    api.trace(run, prompt="Which stone?", response="It is slate.", spans=["slate"])
    api.export(run, tmp_path / "clean.jsonl", drop=["DUP"])
    assert {"rename", "replace"} <= set(as_on_windows)
    assert not list(tmp_path.glob("*.lock"))
    assert (tmp_path / "run" / "manifest.json").exists()


@linux_only
def test_the_simulation_of_open_files_notices_one(as_on_windows: list[str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with (tmp_path / "folder" / "open").open("wb"), pytest.raises(PermissionError, match="open elsewhere"):
        (tmp_path / "folder").rename(tmp_path / "other")
    (tmp_path / "folder").rename(tmp_path / "other")
    assert as_on_windows == ["rename"]


# Names

NAMES = [
    "a b",
    "#50%_[x]*?",
    "new\nline",
    "emoji🌉",
    "x" * 200,
    "-dash",
    "&<\"'>",
    "..rows",
    "con",
    "trailing. ",
    "é",
    "e\u0301",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_serves_data_runs_and_exports(tmp_path: Path, tiny_model: str, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    data = folder / f"{name}.jsonl"
    data.write_text(ROWS, encoding="utf-8")
    run = api.audit(data, folder / f"run {name}", encoder=tiny_model, select=["DUP001"])
    assert Run.open(run.path).check() > 10
    assert api.trace(run, prompt="Which?", response="It is slate.", spans=["slate"]).spans[0].n_holders == 2
    api.export(run, folder / f"out {name}.jsonl", drop=["DUP"])
    assert (folder / f"out {name}.jsonl").read_text(encoding="utf-8") == ROWS
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:href|src)=\"(?!#|data:)", page)  # no link could go astray


@linux_only
def test_a_name_that_is_no_unicode_serves_too(tunescope_process: Command, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"l\xe4rm")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes Unicode names alone")
    (folder / os.fsdecode(b"d\xe9.jsonl")).write_text(ROWS, encoding="utf-8")
    out = os.fsdecode(b"o\xe9.jsonl")
    for command in (
        ("audit", os.fsdecode(b"d\xe9.jsonl"), "-o", "run", "--select", "DUP001"),
        ("check-run", "run"),
        ("export", "run", "-o", out, "--drop", "DUP001"),
        ("audit", "--config", "run/config.yaml", "-o", os.fsdecode(b"r\xe9")),
    ):
        done = tunescope_process(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert (folder / out).read_text(encoding="utf-8") == ROWS


def test_a_path_of_many_hundred_characters_serves(tmp_path: Path, tiny_model: str) -> None:
    deep = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 25)
    deep.mkdir(parents=True)
    (deep / "rows.jsonl").write_text(ROWS, encoding="utf-8")
    run = api.audit(deep / "rows.jsonl", deep / "run", encoder=tiny_model, select=["DUP"])
    assert len(str(run.path)) > 600
    assert run.check() > 10


def test_a_run_has_no_name_that_another_file_system_refuses_or_confuses(tmp_path: Path, tiny_model: str) -> None:
    (tmp_path / "con.jsonl").write_text(ROWS, encoding="utf-8")
    run = api.audit(tmp_path / "con.jsonl", tmp_path / "run", encoder=tiny_model)
    api.export(run, tmp_path / "clean.jsonl", drop=["DUP"])
    names = [path.relative_to(run.path).as_posix() for path in run.path.rglob("*")]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        for part in name.split("/"):
            assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?<!\.)", part), name
            assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part), name


@pytest.mark.parametrize("name", ["con", "NUL", "aux.txt", "com1", "end.", "a/b", "..", "", "a:b", "mine.partial", "MINE"])
def test_a_result_gets_no_name_that_another_file_system_refuses_or_confuses(tmp_path: Path, tiny_model: str, name: str) -> None:
    (tmp_path / "rows.jsonl").write_text(ROWS, encoding="utf-8")
    run = api.audit(tmp_path / "rows.jsonl", tmp_path / "run", encoder=tiny_model, select=["DUP001"])
    run.add("traces", "mine", {"claims.json": b"[]"})
    run.add("traces", "console", {"claims.json": b"[]"})
    for name in ("con", "NUL", "aux.txt", "com1", "end.", "a/b", "..", "", "a:b", "mine.partial", "MINE"):
        with pytest.raises(InputError):
            run.add("traces", name, {"claims.json": b"[]"})
    assert run.added("traces") == ["console", "mine"]


# Locales, terminals, time zones

LOCALES = {
    "ASCII terminal": {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    "ASCII locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Western terminal of Windows": {"PYTHONIOENCODING": "cp1252"},
}


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows of many signs."""
    folder = tmp_path_factory.mktemp("signs")
    (folder / "rows.jsonl").write_bytes(jsonl([*EVERY_SIGN, EVERY_SIGN[1]]))
    (folder / "claims.jsonl").write_bytes(
        jsonl([{"prompt": "谁？", "response": "玻璃匠人", "spans": [{"start": 0, "end": 4, "text": "玻璃匠人"}]}])
    )
    return folder


@pytest.mark.parametrize("name", LOCALES)
def test_what_a_terminal_cannot_show_is_written_as_escapes(environment: Mapping[str, str], signs: Path, name: str) -> None:
    command = str(Path(sys.executable).with_name("tunescope"))
    run = name.replace(" ", "-")
    shown = []
    for arguments in (
        ("audit", "rows.jsonl", "-o", run, "--select", "DUP"),
        ("trace", run, "--responses", "claims.jsonl"),
        ("explain", "DUP003"),
    ):
        done = subprocess.run(
            [command, *arguments], cwd=signs, env={**environment, **LOCALES[name]}, capture_output=True, check=False
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        shown.append(done.stdout)
    assert b"rows.jsonl#3" in shown[0]
    assert b"\\u8c01\\u5efa\\u4e86\\u706f\\u5854" in shown[1]


def test_machine_readable_output_is_utf8_in_every_locale(environment: Mapping[str, str], signs: Path) -> None:
    command = [str(Path(sys.executable).with_name("tunescope")), "audit", "rows.jsonl", "--select", "DUP", "--format", "json"]
    env = {**environment, **LOCALES["ASCII locale"]}
    done = subprocess.run([*command, "-o", "machine"], cwd=signs, env=env, capture_output=True, check=True)
    assert json.loads(done.stdout.decode("utf-8")) == json.loads((signs / "machine" / "report.json").read_bytes())


def test_an_argument_that_the_locale_cannot_read_is_one_clear_line(environment: Mapping[str, str], signs: Path) -> None:
    command = [str(Path(sys.executable).with_name("tunescope")), "audit", "谁.jsonl"]
    env = {**environment, **LOCALES["ASCII locale"]}
    done = subprocess.run(command, cwd=signs, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "tunescope: an argument has letters that this locale does not (it is ascii); set PYTHONUTF8=1, or a locale of UTF-8"
    ]


def test_time_zones_and_the_umask_change_no_report(environment: Mapping[str, str], signs: Path) -> None:
    command = [str(Path(sys.executable).with_name("tunescope")), "audit", "rows.jsonl", "--select", "DUP", "-o"]
    for zone, umask in (("Pacific/Kiritimati", 0o000), ("America/Adak", 0o077)):
        out = f"zone-{umask}"
        env = {**environment, "TZ": zone}
        subprocess.run([*command, out], cwd=signs, env=env, umask=umask, capture_output=True, check=True)
    for file in ("report.html", "report.json", "findings.parquet", "rows.parquet", "config.yaml"):
        assert (signs / "zone-0" / file).read_bytes() == (signs / "zone-63" / file).read_bytes()
    assert (signs / "zone-63" / "rows.parquet").stat().st_mode & 0o077 == 0
    assert json.loads((signs / "zone-0" / "manifest.json").read_bytes())["finished"].endswith("+00:00")


# Files of other systems, folders that cannot be written


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    settings = "data: rows.jsonl\nselect:\n- DUP\nchecks:\n  DUP002:\n    min_jaccard: 0.9\n"
    claims = json.dumps({"prompt": "Who?", "response": "The keeper did.", "reference": "Nobody did."}) + "\n"
    for name, end in (("unix", "\n"), ("windows", "\r\n")):
        (tmp_path / f"{name}.yaml").write_bytes(settings.replace("\n", end).encode())
        (tmp_path / f"{name}.jsonl").write_bytes(claims.replace("\n", end).encode())
    assert load_config(tmp_path / "windows.yaml") == load_config(tmp_path / "unix.yaml")
    assert read_responses(tmp_path / "windows.jsonl") == read_responses(tmp_path / "unix.jsonl")


@linux_only
@pytest.mark.parametrize(
    ("cwd", "variables", "line"),
    [
        ("/proc", {}, r"tunescope-runs.*cannot be written"),
        (None, {"TUNESCOPE_CACHE": "/proc/cache"}, r"/proc/cache/.*cannot be written .*TUNESCOPE_CACHE"),
    ],
)
def test_a_folder_that_cannot_be_written_is_one_clear_line(
    environment: Mapping[str, str], dataset: Path, cwd: str | None, variables: Mapping[str, str], line: str
) -> None:
    command = [str(Path(sys.executable).with_name("tunescope")), "audit", str(dataset)]
    env = {**environment, **variables}
    done = subprocess.run(command, cwd=cwd or dataset.parent, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert re.search(line, done.stderr), done.stderr


def test_the_page_on_portability_names_the_tests_that_there_are() -> None:
    page = (ROOT / "docs" / "portability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"
    here = set(re.findall(r"^def (test_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE))
    assert here - {test for _, test in named} == {"test_the_page_on_portability_names_the_tests_that_there_are"}
