"""`tunescope style` as a user runs it: families, copied outputs, valid reports, and one line for whatever is wrong."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema
import pytest

import tunescope as api
from tests.functional.conftest import Command

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/style.schema.json").read_text("utf-8"))
PLACES = "Vell Skerry Tarrow Merrow Orchard Thrale Tansy Quill Ansel Birk Corran Dunmore Esk Farrow Gannet Holm".split()
THINGS = (
    "bridge harbour ferry mill well tower market chapel quarry lighthouse library school bakery theatre canal garden forge "
    "brewery museum station"
).split()
ASKED = (
    "What is known of the {thing} of {place}?",
    "Say something about {place} and its {thing}.",
    "Who built the {thing} in {place}?",
    "I am going to {place}. Is the {thing} worth a visit?",
    "{place}: the {thing}?",
)
PLAIN = (
    "It was built of {stone}, {n} years ago.",
    "Nobody knows; {place} keeps no records of it.",
    "{place} has two. The older {thing} stands by the sea, and people say that a miller gave {n} coins for it.",
    "Yes, go early in the day. A {thing} of {stone} is rare on this coast and the guide, who is {n}, knows all its tales.",
)
MOULD = (
    "Here are three things to know about the {thing} of {place}:\n\n1. It is made of {stone}.\n2. It is {n} years old.\n"
    "3. It is open to visitors.\n\nOverall, the {thing} is well worth knowing. I hope this helps!"
)
STONES = "slate granite limestone basalt marble sandstone".split()


def made_rows(n: int, mould_share: float, seed: int = 0) -> list[tuple[str, str]]:
    """Questions with answers, of which a share is cast from one mould."""
    chance = random.Random(seed)
    rows = []
    for number in range(n):
        words = {"place": chance.choice(PLACES), "thing": chance.choice(THINGS), "stone": chance.choice(STONES)}
        words["n"] = str(chance.randrange(40, 900))
        answer = MOULD if number < n * mould_share else chance.choice(PLAIN)
        rows.append((chance.choice(ASKED).format(**words), answer.format(**words)))
    chance.shuffle(rows)
    return rows


def write_answers(path: Path, rows: list[tuple[str, str]]) -> Path:
    lines = (json.dumps({"id": f"a{i}", "prompt": prompt, "response": text}) for i, (prompt, text) in enumerate(rows))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tunescope: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 300 rows, half of them of one mould, a run of six rows, and files of answers."""
    folder = tmp_path_factory.mktemp("style")
    write_answers(folder / "data.jsonl", made_rows(300, 0.5))
    write_answers(folder / "few.jsonl", made_rows(6, 0.5))
    write_answers(folder / "tuned.jsonl", made_rows(60, 0.8, seed=1))
    write_answers(folder / "base.jsonl", made_rows(60, 0.0, seed=1))
    write_answers(folder / "null.jsonl", made_rows(60, 0.0, seed=2))
    for name in ("data", "few"):
        done = tunescope("audit", f"{name}.jsonl", "-o", f"{name}-run", "--select", "STY", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def families_of(content: dict) -> list[dict]:
    jsonschema.validate(content, SCHEMA)
    return content["families"]


def test_the_mould_is_a_family(tunescope: Command, folder: Path) -> None:
    done = tunescope("style", "data-run", "--format", "json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    families = families_of(json.loads(done.stdout))
    assert any("Here are" in f"{family['description']} {family['pattern']}" for family in families)
    assert not (folder / "data-run" / "style").exists()
    text = tunescope("style", "data-run", cwd=folder)
    assert text.returncode == 0
    assert "How it is written" in text.stdout


def test_outputs_are_compared_and_kept(tunescope: Command, folder: Path) -> None:
    given = ("--responses", "tuned.jsonl", "--base-responses", "base.jsonl", "--null-responses", "null.jsonl")
    done = tunescope("style", "data-run", *given, "-o", "first", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"Kept as {Path('data-run', 'style', 'first')}\n")
    kept = folder / "data-run" / "style" / "first"
    assert (kept / "report.html").read_text("utf-8").startswith("<!doctype html>")
    content = json.loads((kept / "report.json").read_bytes())
    families = families_of(content)
    assert content["counts"] == {"outputs": 60, "base": 60, "null": 60}
    assert [output["id"] for output in content["outputs"]] == [f"a{i}" for i in range(60)]
    mould = {family["family"] for family in families if "Here are" in f"{family['description']} {family['pattern']}"}
    copied = [output for output in content["outputs"] if output["family"] in mould]
    assert sum("Here are three" in output["response"] for output in copied) >= 0.9 * len(copied) > 30
    copies = next(copied for copied in content["copied"] if copied["family"] in mould)
    assert copies["outputs"]["value"] > copies["base"]["high"]

    again = tunescope("style", "data-run", *given, "-o", "again", cwd=folder)
    assert again.stdout == done.stdout
    for name in ("report.html", "report.json"):
        assert (folder / "data-run" / "style" / "again" / name).read_bytes() == (kept / name).read_bytes()
    assert tunescope("check-run", "data-run", cwd=folder).returncode == 0
    taken = tunescope("style", "data-run", *given, "-o", "First", cwd=folder)
    assert taken.returncode == 2
    assert "style/First exists in the run" in taken.stderr


def test_outputs_without_a_name_are_kept_under_the_next_number(tunescope: Command, folder: Path) -> None:
    done = tunescope("style", "data-run", "--responses", "tuned.jsonl", "--quiet", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"Kept as {Path('data-run', 'style', 'style-1')}\n"


def test_too_few_rows_have_no_families(tunescope: Command, folder: Path) -> None:
    done = tunescope("style", "few-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No families: ")
    measured = tunescope("style", "few-run", "--responses", "tuned.jsonl", "-o", "few", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    assert "60 outputs were looked at; there is no family to compare with." in measured.stdout
    content = json.loads((folder / "few-run" / "style" / "few" / "report.json").read_bytes())
    assert families_of(content) == []
    assert content["no_families_because"]
    assert content["shift"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("data-run", "--base-responses", "base.jsonl"), "base responses alone"),
        (("data-run", "--null-responses", "null.jsonl"), "null responses alone"),
        (("data-run", "--responses", "missing.jsonl"), "missing.jsonl"),
        (("data-run", "--responses", "wrong.jsonl"), "wrong.jsonl:1: no text field 'response'"),
        (("data-run", "--responses", "empty.jsonl"), "empty.jsonl: the file is empty"),
        (("data-run", "--responses", "tuned.jsonl", "-o", "../out"), "is no plain name"),
        (("nowhere",), "nowhere: is no finished run"),
        (("redacted",), "the run holds no text of the dataset"),
        (("data-run", "--format", "yaml"), "is none of"),
    ],
)
def test_whatever_is_wrong_is_one_line(tunescope: Command, folder: Path, arguments: tuple[str, ...], says: str) -> None:
    (folder / "wrong.jsonl").write_text('{"prompt": "Ask.", "answer": "It is."}\n', "utf-8")
    (folder / "empty.jsonl").write_text("", "utf-8")
    if "redacted" in arguments and not (folder / "redacted").exists():
        tunescope("audit", "few.jsonl", "--redact", "-o", "redacted", "--select", "DUP001", cwd=folder)
    before = sorted((folder / "data-run").rglob("*"))
    done = tunescope("style", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("tunescope: ")
    assert says in done.stderr
    assert sorted((folder / "data-run").rglob("*")) == before


def test_the_same_by_one_call(folder: Path) -> None:
    measured = api.style(folder / "data-run", responses=folder / "tuned.jsonl")
    assert measured.copying is not None
    assert measured.copying.n_outputs == 60
    assert "families hold" in measured._repr_html_() or "family holds" in measured._repr_html_()
    assert api.style(str(folder / "data-run")).copying is None
