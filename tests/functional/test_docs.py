"""Every block of the documents runs, and prints what the document says that it prints.

A document is run from top to bottom, as in one shell, in a folder of its own. `sh` and `python` blocks must succeed, `text`
is what the block before it printed (`…` stands for anything), and a `yaml` block that begins with `# NAME` becomes that file.
Blocks that take minutes stand between `skip: start if(short)` and `skip: end`; `make bench-docs` runs those too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import SkipTest

import pytest
import yaml
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _run(example: Example, command: list[str]) -> None:
    space = example.namespace
    done = subprocess.run(command, cwd=space["folder"], env=space["environment"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}\n{example.parsed}\n{done.stdout}\n{done.stderr}"
    space["printed"] = done.stdout


def _shell(example: Example) -> None:
    _run(example, ["bash", "-euo", "pipefail", "-c", f'{example.parsed}\npwd > "$HERE"'])
    example.namespace["folder"] = Path(Path(example.namespace["environment"]["HERE"]).read_text(encoding="utf-8").strip())


def _python(example: Example) -> None:
    _run(example, [sys.executable, "-c", example.parsed])


def _text(example: Example) -> None:
    printed = "\n".join(line.rstrip() for line in example.namespace["printed"].strip().splitlines())
    expected = "\n".join(line.rstrip() for line in example.parsed.strip().splitlines())
    # A line of its own that is … stands for any number of lines, none included.
    pattern = re.sub(r"(?m)^…(?:\\\n|$)", r"(?:.*\n)?", re.escape(expected + "\n")).replace("…", ".*")
    assert re.fullmatch(pattern, printed + "\n", re.DOTALL), f"expected\n{expected}\n\nprinted\n{printed}"


def _yaml(example: Example) -> None:
    yaml.safe_load(example.parsed)
    first, _, rest = example.parsed.partition("\n")
    if first.startswith("# "):
        path = example.namespace["folder"] / first[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rest, encoding="utf-8")


BLOCKS = {"sh": _shell, "python": _python, "text": _text, "yaml": _yaml}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_of_a_document_runs(path: Path, environment: Mapping[str, str], tmp_path: Path) -> None:
    known = set(re.findall(r"^ *```(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert known <= set(BLOCKS), "a block of a language that nothing runs"
    parsers = [SkipParser(), *(CodeBlockParser(language, evaluate) for language, evaluate in BLOCKS.items())]
    document = Sybil(parsers=parsers, path=str(ROOT)).parse(path)
    (tmp_path / "work").mkdir()
    document.namespace.update(
        short=not os.environ.get("TUNESCOPE_LONG_DOCS"),
        folder=tmp_path / "work",
        environment={
            **environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
            "COLUMNS": "100",
            "HERE": str(tmp_path / "here"),
        },
        printed="",
    )
    for example in document.examples():
        try:
            example.evaluate()
        except SkipTest:  # what takes minutes
            continue


FIGURE = re.compile(r'\[(?P<shown>[\d.,]+)[^\]]*?(?P<percent>%)?\]\((?P<path>[^\s)]+)/RESULTS\.md "(?P<name>[^"]+)"\)')


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_figure_of_a_document_is_the_measured_one(path: Path) -> None:
    for figure in FIGURE.finditer(path.read_text(encoding="utf-8")):
        results = json.loads((path.parent / figure["path"] / "results.json").read_text(encoding="utf-8"))
        (value,) = [result["value"] for result in results if result["name"] == figure["name"]]
        shown = figure["shown"].replace(",", "")
        digits = len(shown.partition(".")[2])
        assert f"{value * (100 if figure['percent'] else 1):.{digits}f}" == shown, figure["name"]


def test_the_limits_name_figures() -> None:
    assert len(FIGURE.findall((ROOT / "docs" / "limits.md").read_text(encoding="utf-8"))) >= 10


LINK = re.compile(r'\]\((?!https?:|#)(?P<path>[^)\s#]+)(?:#[^)\s]*)?(?: "[^"]*")?\)')


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    for link in LINK.finditer(path.read_text(encoding="utf-8")):
        assert (path.parent / link["path"]).exists(), link["path"]
