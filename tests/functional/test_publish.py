"""The flags of `tunescope export` that write beside the exported file, as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.functional.conftest import Command


def test_card_and_metadata_are_written_and_named(tunescope: Command, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Bridges\n", encoding="utf-8")
    arguments = (
        "export",
        finished_run,
        "-o",
        "cleaned.jsonl",
        "--keep",
        "longest:4",
        "--card",
        "--croissant",
        "--name",
        "card",
    )
    done = tunescope(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Beside it: README.md\nBeside it: croissant.json\n")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# Bridges\n\n<!-- tunescope: begin")
    assert "| longest:4 | not among the longest | 2 | 33.3 % |" in card
    assert "tunescope export run -o cleaned.jsonl --keep longest:4\n" in card
    metadata = json.loads((tmp_path / "croissant.json").read_text(encoding="utf-8"))
    assert [field["name"] for field in metadata["recordSet"][0]["field"]] == ["instruction", "input", "output"]


def test_an_upload_offline_is_refused_before_anything_is_written(
    tunescope: Command, finished_run: Path, tmp_path: Path
) -> None:
    done = tunescope("export", finished_run, "-o", "cleaned.jsonl", "--push-to-hub", "my-org/my-data", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "tunescope: HF_HUB_OFFLINE is set, and an upload needs the network; unset it, or export without --push-to-hub\n"
    )
    assert list(tmp_path.iterdir()) == []
