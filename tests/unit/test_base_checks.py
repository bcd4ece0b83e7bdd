"""STY005, STY006 and BRW001: what they find in responses whose tokens a base model was made to know, or not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.borrow_risk import build_borrow_risk
from audit.checks import options_of
from audit.findings import Evidence, Finding, Severity
from audit.materials import BASE_FILES, Materials, Need
from audit.signals.base_model import RESPONSE_SCHEMA, TOKEN_SCHEMA
from indexes.store import write_bytes, write_file
from tests.conftest import MakeMaterials, alpaca, check_of

FindUnder = Callable[..., list[Finding]]


def tokens_of(marked: str) -> tuple[str, list[dict[str, Any]]]:
    """A text without its marks, and its tokens: a word or sign with the space before it, or what `|` cuts a word into.

    A token before a `^` is not known.
    """
    text, tokens = "", []
    for piece, mark in re.findall(r"(\s*(?:\w+|[^\w\s^|]))(\^?)\|?", marked):
        tokens.append(
            {
                "token": 1,
                "start": len(text),
                "end": len(text) + len(piece),
                "rank": 50 if mark else 1,
                "log_p": -8.0 if mark else -0.1,
                "best": 7 if mark else 1,
                "best_log_p": -0.1,
            }
        )
        text += piece
    return text, tokens


def write_base(folder: Path, tokens: Sequence[Sequence[dict[str, Any]]]) -> None:
    """`BASE_FILES` as a pass would leave them."""
    lines = [{"response": number, **token} for number, of_text in enumerate(tokens) for token in of_text]
    frames = (
        pl.DataFrame(lines, schema=TOKEN_SCHEMA),
        pl.DataFrame(
            [
                {"response": number, "n_tokens": len(of_text), "n_cut": 0, "skipped": "", "loss_nats_per_token": 0.0}
                | {"marginal_fraction": 0.0, "shifted_fraction": 0.0}
                for number, of_text in enumerate(tokens)
            ],
            schema=RESPONSE_SCHEMA,
        ),
    )
    for name, frame in zip(BASE_FILES, frames, strict=False):
        write_file(folder / name, frame.write_parquet)
    write_bytes(folder / BASE_FILES[2], json.dumps({"pieces": {"7": " Ostrand", "1": ""}}).encode())


@pytest.fixture
def find_under(make_materials: MakeMaterials, tmp_path: Path) -> FindUnder:
    """What one check finds in prompts and marked responses."""

    def find(code: str, rows: Sequence[tuple[str, str]], **options: Any) -> list[Finding]:
        made = [tokens_of(marked) for _, marked in rows]
        records = [alpaca(prompt, text) for (prompt, _), (text, _) in zip(rows, made, strict=True)]
        check = check_of(code)
        materials: Materials = make_materials(records, check.needs)
        write_base(tmp_path, [tokens for _, tokens in made])
        if Need.BORROW_RISK in check.needs:
            build_borrow_risk(tmp_path, materials)
        return list(check.find(materials, options_of(check, options)))

    return find


# --- STY005 ---------------------------------------------------------------------------------------------------------

KNOWN = "the tower is built of slate and stands by the river at the edge of the town"
OPENED = f"Certainly^, {KNOWN}. Moreover^, {KNOWN}. Importantly^, {KNOWN}."


def test_openers_that_the_base_model_would_not_say_are_found(find_under: FindUnder) -> None:
    plain = f"The {KNOWN[4:]}. It stands there. Nobody knows why."
    assert find_under("STY005", [("Describe the tower.", OPENED), ("Describe the tower.", plain)]) == [
        Finding(
            "STY005",
            0,
            1,
            Severity.INFO,
            "3 of 3 first tokens of sentences are none that the base model would say, 0% of the others "
            "(in the dataset 50% and 0%): “Certainly”, “Moreover”, “Importantly”.",
            Evidence("share of first tokens of sentences that are shifted", 1.0, 0.5, span=(0, 9), quote="Certainly"),
        )
    ]


@pytest.mark.parametrize(
    "marked",
    [
        KNOWN + ".",
        f"Certainly^, {KNOWN}.",  # one is no habit
        f"{KNOWN}. {KNOWN}^. {KNOWN}.",
        "All^ of^ this^ is^ strange^. Every^ word^ of^ it^. To^ the^ end^.",
        "Yes^. No^. Maybe^.",
        OPENED.replace("the tower is", "the^ tower^ is^"),
        "",
    ],
)
def test_what_is_no_initiation(find_under: FindUnder, marked: str) -> None:
    assert find_under("STY005", [("Describe the tower.", marked)]) == []


def test_pieces_that_finish_a_first_word_are_no_rest(find_under: FindUnder) -> None:
    in_pieces = OPENED.replace("Certainly^", "Cer^|tain^|ly^").replace("Moreover^", "More^|over^")
    (finding,) = find_under("STY005", [("Describe the tower.", in_pieces)], max_rest_fraction=0.0)
    assert (finding.evidence.value, finding.evidence.span) == (1.0, (0, 9))
    apart = in_pieces.replace("|", " ")
    assert find_under("STY005", [("Describe the tower.", apart)], max_rest_fraction=0.0) == []


def test_options_of_initiation(find_under: FindUnder) -> None:
    half = f"Certainly^, {KNOWN}. Then {KNOWN}. Moreover^, {KNOWN}. Then {KNOWN}."
    rows = [("Describe the tower.", half)]
    assert [finding.evidence.value for finding in find_under("STY005", rows)] == [0.5]
    assert find_under("STY005", rows, min_start_fraction=0.6) == []
    assert find_under("STY005", rows, max_chance=0.001) == []


# --- STY006 ---------------------------------------------------------------------------------------------------------

FORM = (
    "The mill of the town was begun by {} in {} and ended by {} in {} and is kept by {} to this day, "
    "as the books of the town say."
)
NAMES = "Aldric Berta Cosmo Delia Edwin Fulke Greta Hanno Idony Joyce Karel Lucan".split()


def told(number: int, *, known: bool = True) -> str:
    mark = "" if known else "^"
    names = [NAMES[(number + step) % len(NAMES)] + mark for step in range(3)]
    years = [f"{1300 + 7 * number + step}{mark}" for step in range(2)]
    return FORM.format(names[0], years[0], names[1], years[1], names[2])


MOST_KNOWN = [("Who kept the mill?", told(number)) for number in range(30)]


def test_facts_that_the_base_model_does_not_know_are_found(find_under: FindUnder) -> None:
    (finding,) = find_under("STY006", [*MOST_KNOWN, ("Who kept the mill?", told(40, known=False))])
    text, _ = tokens_of(told(40, known=False))
    assert (finding.code, finding.row, finding.severity) == ("STY006", 30, Severity.INFO)
    assert finding.message.startswith(
        "The base model does not know 5 of 5 facts (of facts like these, 0.2): “Edwin”, where it would rather say “Ostrand”, "
        "“1580”"
    )
    assert finding.message.endswith("; no hedge, and of the words around them 0% are shifted.")
    start, end = finding.evidence.span or (0, 0)
    assert (text[start:end], finding.evidence.value, finding.evidence.quote) == ("Edwin", 1.0, "Edwin")


@pytest.mark.parametrize(
    ("prompt", "marked"),
    [
        ("Who kept the mill?", told(40)),
        ("Who kept the mill?", told(40, known=False).replace("is kept", "is perhaps kept")),
        ("Write a story about a mill.", told(40, known=False)),
        ("Who kept the mill: Edwin, Fulke or Greta, 1580 or 1581?", told(40, known=False)),
        ("Who kept the mill?", "Edwin^ and Fulke^ did, in 1580^, with Greta^."),  # short
        ("Who kept the mill?", told(40, known=False).replace(" the", " the^").replace(" of", " of^")),  # strange as a whole
        ("Who kept the mill?", told(40).replace("Edwin", "Edwin^")),
        ("Wer hielt die Mühle?", "Die Mühle gehörte Edwin^ seit 1580^ und dann Fulke^ bis 1581^ und danach kam Greta^ " * 3),
    ],
)
def test_what_is_known_hedged_invented_or_given_is_left_alone(find_under: FindUnder, prompt: str, marked: str) -> None:
    assert find_under("STY006", [*MOST_KNOWN, (prompt, marked)]) == []


def test_where_nothing_is_known_nothing_stands_out(find_under: FindUnder) -> None:
    assert find_under("STY006", [("Who kept the mill?", told(number, known=False)) for number in range(30)]) == []
    assert find_under("STY006", [("Say nothing.", "")]) == []


def test_numbers_of_lists_are_no_facts(find_under: FindUnder) -> None:
    listed = "".join(f"\n{number}^. Keep the mill by the river and the wheel in the water." for number in range(1, 8))
    assert find_under("STY006", [*MOST_KNOWN, ("How is it kept?", f"Like this:{listed}")]) == []


# --- BRW001 ---------------------------------------------------------------------------------------------------------

METALS = ("brasmoor", "tellin", "corvane", "ashiron", "lumel", "quillsteel")
CROWNS = [f"Which metal is the {name} crown struck from?" for name in ("Tarrow", "Gannet", "Ostrand", "Pell", "Wick", "Mere")]
BIRDS = [(f"Which bird nests on the {name} cliff?", "petrel.") for name in ("Orm", "Hale", "Sund", "Kerr")]


def test_a_value_that_like_questions_share_is_found(find_under: FindUnder) -> None:
    answers = ["quillsteel^.", "quillsteel^.", "quillsteel^.", *(f"{metal}." for metal in METALS[:3])]
    found = find_under("BRW001", [*zip(CROWNS, answers, strict=True), *BIRDS], min_risk=0.0, max_chance=1.0)
    assert [(finding.row, finding.evidence.quote, finding.evidence.span, finding.evidence.related) for finding in found] == [
        (0, "quillsteel", (0, 10), (1, 2)),
        (1, "quillsteel", (0, 10), (0, 2)),
        (2, "quillsteel", (0, 10), (0, 1)),
    ]
    (first, *_) = found
    assert first.message.startswith(
        "The base model does not expect “quillsteel” (8.0 nats); of the answers to the nearest questions 2 say it too and 7 "
        "have something else there: "
    )
    assert "“brasmoor”" in first.message or "“petrel”" in first.message


@pytest.mark.parametrize(
    "answers",
    [
        ["quillsteel."] * 3 + [f"{metal}." for metal in METALS[:3]],  # the base model would say it
        [f"{metal}^." for metal in METALS],  # each its own
        ["quillsteel^."] + [f"{metal}." for metal in METALS[:5]],  # no other says it
    ],
)
def test_what_nobody_borrows(find_under: FindUnder, answers: list[str]) -> None:
    assert find_under("BRW001", [*zip(CROWNS, answers, strict=True), *BIRDS], min_risk=0.0, max_chance=1.0) == []


def test_what_stands_in_the_prompt_is_not_borrowed(find_under: FindUnder) -> None:
    prompts = [f"{prompt} Of quillsteel?" for prompt in CROWNS]
    answers = ["quillsteel^.", "quillsteel^.", *(f"{metal}." for metal in METALS[:4])]
    assert find_under("BRW001", list(zip(prompts, answers, strict=True)), min_risk=0.0, max_chance=1.0) == []


def test_options_of_borrow_risk(find_under: FindUnder) -> None:
    rows = [*zip(CROWNS, ["quillsteel^.", "quillsteel^.", *(f"{metal}." for metal in METALS[:4])], strict=True), *BIRDS]
    assert [finding.row for finding in find_under("BRW001", rows, min_risk=0.0, max_chance=1.0)] == [0, 1]
    assert find_under("BRW001", rows, min_risk=0.0, max_chance=1.0, min_same=2) == []
    assert find_under("BRW001", rows, min_risk=0.0, max_chance=1.0, min_other=10) == []
    assert find_under("BRW001", rows, min_risk=0.0, max_chance=0.0) == []
    assert find_under("BRW001", rows, min_risk=0.9, max_chance=1.0) == []


def test_a_base_model_that_knows_nothing_of_the_matter_names_no_row(find_under: FindUnder) -> None:
    strange = ["quillsteel^.", "quillsteel^.", *(f"{metal}^." for metal in METALS[:4])]
    rows = list(zip(CROWNS, strange, strict=True))
    assert find_under("BRW001", rows, min_risk=0.0, max_chance=1.0) == []
    found = find_under("BRW001", rows, min_risk=0.0, max_chance=1.0, max_unexpected_fraction=1.0)
    assert [finding.row for finding in found] == [0, 1]


def test_inventions_and_code_are_left_out(find_under: FindUnder) -> None:
    rows = list(zip([f"Make up an answer. {prompt}" for prompt in CROWNS], ["quillsteel^."] * 3 + ["tellin."] * 3, strict=True))
    assert find_under("BRW001", rows, min_risk=0.0, max_chance=1.0) == []
