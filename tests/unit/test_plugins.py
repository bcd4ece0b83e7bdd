"""Checks of other distributions: what is taken, and what is refused in one line that names who has to mend it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

import tunescope
from audit.checks import CHECKS, plugins
from audit.checks.plugins import GROUP, Plugin, load_plugins
from audit.errors import InputError
from audit.findings import Finding, Severity
from audit.rundir import Run
from tests.conftest import AuditRows, MakeMaterials, alpaca

Points = Callable[..., list[EntryPoint]]

MODULE = """
    from tunescope import Check, Finding, Severity

    def find(materials, options):
        {body}

    CHECK = Check(code="{code}", name="odd row", severity=Severity.INFO, advice="Look.", explanation=__doc__, find=find)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Points:
    """The entry points of a distribution that is made up."""

    def install(name: str, source: str, points: str = "odd = {module}:CHECK", version: str = "1.2") -> list[EntryPoint]:
        folder = tmp_path / name
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        module = f"made_up_{name}"
        (folder / f"{module}.py").write_text('"""ODD001: odd."""\n' + textwrap.dedent(source), encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points.format(module=module)}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, module, raising=False)
        (distribution,) = distributions(path=[str(folder)])
        return list(distribution.entry_points)

    return install


def odd(code: str = "ODD001", body: str = "yield Finding('ODD001', 0, None, Severity.INFO, 'Odd.')") -> str:
    return MODULE.format(code=code, body=body)


def test_a_plugin_names_a_check_or_several(installed: Points) -> None:
    one = installed("one", odd())
    two = odd("ODE001") + '\n    from dataclasses import replace\n    BOTH = (CHECK, replace(CHECK, code="ODE002"))\n'
    several = installed("several", two, "odd = {module}:BOTH", "2.0")
    loaded = load_plugins([*several, *one], [check.code for check in CHECKS])
    assert [(plugin.distribution, plugin.version) for plugin in loaded] == [("one", "1.2"), ("several", "2.0")]
    assert [[check.code for check in plugin.checks] for plugin in loaded] == [["ODD001"], ["ODE001", "ODE002"]]


@pytest.mark.parametrize(
    ("source", "points", "words"),
    [
        ("raise OSError('no such library')", "odd = {module}:CHECK", ("OSError: no such library",)),
        ("import nothing_of_that_name", "odd = {module}:CHECK", ("ModuleNotFoundError", "nothing_of_that_name")),
        ("CHECK = 1", "odd = {module}:CHECK", ("'int'", "tunescope.Check")),
        ("CHECK = (1,)", "odd = {module}:CHECK", ("'int'", "tunescope.Check")),
        ("CHEKC = 1", "odd = {module}:CHECK", ("AttributeError", "CHECK")),
        (odd("DUP001"), "odd = {module}:CHECK", ("DUP001", "tunescope itself")),
        (odd("ODD001"), "odd = {module}:CHECK\nodder = {module}:CHECK", ("ODD001", "belongs to bad")),
        (odd("../x"), "odd = {module}:CHECK", ("'../x'", "three capital letters")),
        (odd("odd1"), "odd = {module}:CHECK", ("'odd1'", "three capital letters")),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_in_one_line(
    installed: Points, source: str, points: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        load_plugins(installed("bad", source, points), [check.code for check in CHECKS])
    sentence = caught.value.sentence()
    assert "\n" not in sentence
    for word in ("the plug-in 'odd", "of bad cannot be used", "pip uninstall bad", *words):
        assert word in sentence


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ZeroDivisionError('one by none')", "ZeroDivisionError: one by none"),
        ("yield 7", "it yields 7, no finding of its code"),
        ("yield Finding('ODD002', 0, None, Severity.INFO, 'Odd.')", "no finding of its code"),
        ("yield Finding('ODD001', 9, None, Severity.INFO, 'Odd.')", "outside the 1 of the dataset"),
    ],
)
def test_a_check_that_fails_names_its_distribution(
    installed: Points, make_materials: MakeMaterials, body: str, words: str
) -> None:
    ((check,),) = (plugin.checks for plugin in load_plugins(installed("bad", odd(body=body)), []))
    with pytest.raises(InputError) as caught:
        check.find(make_materials([alpaca("Name a stone.", "Slate.")], ()), check.options())
    for word in ("the check ODD001 of bad 1.2 failed", words, "--ignore ODD001"):
        assert word in caught.value.sentence()


def test_a_run_tells_which_plugins_it_used(installed: Points, audit_rows: AuditRows, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_plugins(installed("fine", odd()), [])
    monkeypatch.setattr(plugins, "installed_plugins", lambda: loaded)
    monkeypatch.setattr("audit.pipeline.installed_plugins", lambda: loaded)
    rows = [alpaca("Name a stone.", "Slate is a stone.")]
    run: Run = audit_rows(rows)
    assert run.findings["code"].to_list() == ["ODD001"]
    assert run.manifest["plugins"] == [{"distribution": "fine", "version": "1.2", "codes": ["ODD001"]}]
    assert audit_rows(rows, name="other.jsonl", ignore=["ODD"]).manifest["plugins"] == []
    newer = (Plugin("fine", "1.3", loaded[0].checks),)
    monkeypatch.setattr("audit.pipeline.installed_plugins", lambda: newer)
    assert audit_rows(rows).manifest["key"] != run.manifest["key"]


def test_what_a_check_is_made_of_is_public() -> None:
    assert tunescope.Finding is Finding
    assert tunescope.Severity is Severity
    assert all(hasattr(tunescope, name) for name in tunescope.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Chekc'"):
        _ = tunescope.Chekc
