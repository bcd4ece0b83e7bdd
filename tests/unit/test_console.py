"""Progress: a plain line now and then where standard error is no terminal, and none where quiet is asked for."""

from __future__ import annotations

import time

import pytest

from cli import console
from cli.console import progress_line


def _wait_for(read: pytest.CaptureFixture[str], lines: list[str]) -> str:
    """What was said, once it holds so many lines."""
    said = ""
    deadline = time.monotonic() + 30
    while said.count("\n") < len(lines) and time.monotonic() < deadline:
        said += read.readouterr().err
        time.sleep(0.01)
    return said


def test_a_log_names_every_stage_that_lasts_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.01)
    lines = ["tunescope: read (1 of 3)", "tunescope: words (2 of 3)"]
    said = ""
    with progress_line() as progress:
        for number, stage in enumerate(("read", "words"), start=1):
            progress(stage, number, 3)
            said += _wait_for(capsys, lines[:1])
        time.sleep(0.1)  # nothing is said twice
    said += capsys.readouterr().err
    assert said.splitlines() == lines


@pytest.mark.parametrize("quiet", [True, False])
def test_what_is_done_soon_or_quietly_says_nothing(
    quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.01 if quiet else 60.0)
    with progress_line(quiet) as progress:
        progress("read", 1, 3)
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")
