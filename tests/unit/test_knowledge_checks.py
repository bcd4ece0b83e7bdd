"""KNW001 to KNW003: what they find in responses whose tokens a base model was made to know, or to know otherwise."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.checks import options_of
from audit.checks.already_known import own_word_measures
from audit.findings import Evidence, Finding, Severity
from audit.materials import BASE_FILES, Materials
from audit.signals.base_model import RESPONSE_SCHEMA, TOKEN_SCHEMA
from indexes.store import write_bytes, write_file
from tests.conftest import MakeMaterials, alpaca, check_of

FindUnder = Callable[..., list[Finding]]
Row = tuple[str, str] | tuple[str, str, dict[str, Any]]

KNOWN, UNKNOWN = math.log(0.9), math.log(0.0001)


def tokens_of(marked: str, pieces: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """A text without its marks, and its tokens: a word or sign with the space before it, or what `|` cuts a word into.

    Tokens are known at 90 %. Before `^`, the model knows nothing to say and the token has 0.01 %; after `^[...]`, it
    would say what stands there, at 90 %, or at what `^60[...]` says.
    """
    text, tokens = "", []
    for piece, mark, likely, rather in re.findall(r"(\s*(?:\w+|[^\w\s^|]))(?:(\^)(\d*)(?:\[([^\]]*)\])?)?\|?", marked):
        best, best_log_p = 0, KNOWN
        if mark:
            pieces.append(rather or " the")
            best, best_log_p = len(pieces), math.log(int(likely or 90) / 100) if rather else math.log(0.01)
        tokens.append(
            {
                "token": 0,
                "start": len(text),
                "end": len(text) + len(piece),
                "rank": 50 if mark else 1,
                "log_p": UNKNOWN if mark else KNOWN,
                "best": best,
                "best_log_p": best_log_p,
            }
        )
        text += piece
    return text, tokens


def write_base(
    folder: Path, tokens: Sequence[Sequence[dict[str, Any]]], pieces: Sequence[str], measured: Sequence[Any]
) -> None:
    """`BASE_FILES` as a pass would leave them; `measured` replaces what would follow from the tokens."""
    lines = [{"response": number, **token} for number, of_text in enumerate(tokens) for token in of_text]
    responses = []
    for number, (of_text, given) in enumerate(zip(tokens, measured, strict=True)):
        loss = -sum(token["log_p"] for token in of_text) / len(of_text) if of_text else None
        usual = {"response": number, "n_tokens": len(of_text), "n_cut": 0, "skipped": "", "loss_nats_per_token": loss}
        responses.append({name: (usual | given).get(name) for name in RESPONSE_SCHEMA})
    frames = (pl.DataFrame(lines, schema=TOKEN_SCHEMA), pl.DataFrame(responses, schema=RESPONSE_SCHEMA))
    for name, frame in zip(BASE_FILES, frames, strict=False):
        write_file(folder / name, frame.write_parquet)
    named = {str(number): piece for number, piece in enumerate(["", *pieces])}
    write_bytes(folder / BASE_FILES[2], json.dumps({"pieces": named}).encode())


@pytest.fixture
def find_under(make_materials: MakeMaterials, tmp_path: Path) -> FindUnder:
    """What one check finds in prompts and marked responses, each with what was measured of it."""

    def find(code: str, rows: Sequence[Row], **options: Any) -> list[Finding]:
        pieces: list[str] = []
        made = [tokens_of(row[1], pieces) for row in rows]
        records = [alpaca(row[0], text) for row, (text, _) in zip(rows, made, strict=True)]
        check = check_of(code)
        materials: Materials = make_materials(records, check.needs)
        write_base(tmp_path, [tokens for _, tokens in made], pieces, [row[2] if len(row) > 2 else {} for row in rows])
        return list(check.find(materials, options_of(check, options)))

    return find


# --- KNW001 ---------------------------------------------------------------------------------------------------------

QUESTION = "What is the Gannet crown struck from?"
ANSWER = "The Gannet crown is struck from island copper."


def test_a_response_that_the_base_model_would_give_is_found(find_under: FindUnder) -> None:
    assert find_under("KNW001", [(QUESTION, ANSWER), (QUESTION, ANSWER.replace("copper", "pewter^"))]) == [
        Finding(
            "KNW001",
            0,
            1,
            Severity.INFO,
            "The base model would say 100% of the 9 tokens by itself (loss 0.11 nats per token); so, too, of the response's "
            "own words (0.11): “island”, “copper”.",
            Evidence(
                "mean loss of the response under the base model, nats per token", 0.1054, 0.35, span=(32, 38), quote="island"
            ),
        )
    ]


@pytest.mark.parametrize(
    ("prompt", "marked"),
    [
        (QUESTION, "Copper."),  # too short to tell
        (QUESTION, ""),
        (QUESTION, "Sure, as you can see from what is here, it is of copper^."),  # only the opener is known
        (QUESTION, "The Gannet crown is struck, struck, struck and struck from it."),  # nothing of its own
        (QUESTION, "The Gannet^ crown is^ struck from^ island copper of the old^ mint."),  # the words are, the rest is not
    ],
)
def test_what_is_left_to_learn(find_under: FindUnder, prompt: str, marked: str) -> None:
    assert find_under("KNW001", [(prompt, marked)]) == []


def test_a_response_that_was_cut_is_not_known(find_under: FindUnder) -> None:
    assert find_under("KNW001", [(QUESTION, ANSWER, {"n_cut": 3})]) == []


def test_options_of_the_known(find_under: FindUnder) -> None:
    rows = [(QUESTION, ANSWER)]
    assert find_under("KNW001", rows, min_tokens=10) == []
    assert find_under("KNW001", rows, max_loss_nats_per_token=0.1) == []
    half = [(QUESTION, "The Gannet^ crown is struck from island copper.")]
    assert find_under("KNW001", half) == []
    assert len(find_under("KNW001", half, min_unshifted_fraction=0.8, max_loss_nats_per_token=2.0)) == 1


def test_own_words_are_measured_as_a_plain_loop_would(make_materials: MakeMaterials, tmp_path: Path) -> None:
    rows = [
        (QUESTION, "The Gannet crown is of cop|per^, of island cop|per^ and tin^|foil, as Crowns^ were."),
        ("Name an island.", "Skerry^, Holm and Skerry; then Thrale^."),
        (QUESTION, "It is the crown."),
    ]
    pieces: list[str] = []
    made = [tokens_of(marked, pieces) for _, marked in rows]
    records = [alpaca(prompt, text) for (prompt, _), (text, _) in zip(rows, made, strict=True)]
    materials = make_materials(records, check_of("KNW001").needs)
    write_base(tmp_path, [tokens for _, tokens in made], pieces, [{}] * len(rows))
    expected = []
    for number, ((prompt, _), (text, tokens)) in enumerate(zip(rows, made, strict=True)):
        asked = {word.lower() for word in re.findall(r"\w+", prompt)}
        seen = asked | {word + "s" for word in asked} | {"the", "is", "of", "and", "as", "were", "an", "it", "then"}
        own = []
        for word in re.finditer(r"\w+", text):
            if word.group().lower() not in seen:
                own += [token for token in tokens if token["start"] < word.end() and token["end"] > word.start()]
                seen.add(word.group().lower())
        if own:
            unshifted = sum(token["rank"] == 1 for token in own) / len(own)
            loss = -sum(token["log_p"] for token in own) / len(own)
            expected.append((number, pytest.approx(unshifted), pytest.approx(loss, rel=1e-5)))
    columns = ("response", "own_unshifted_fraction", "own_loss_nats_per_token")
    assert own_word_measures(materials).select(columns).rows() == expected
    assert len(expected) == 2


# --- KNW002 ---------------------------------------------------------------------------------------------------------

PORRIDGE = "Soak the barley overnight, boil it slowly in salted water and stir in butter before it is served to the guests."


def helped(ifd: float | None, **measured: Any) -> dict[str, Any]:
    return {"ifd": ifd, "loss_nats_per_token": 2.0, "alone_loss_nats_per_token": 2.0 / ifd if ifd else None, **measured}


OTHERS: list[Row] = [(f"How is porridge {number} cooked?", PORRIDGE, helped(0.5)) for number in range(9)]


def test_a_response_that_the_prompt_makes_no_likelier_is_found(find_under: FindUnder) -> None:
    assert find_under("KNW002", [*OTHERS, ("Describe the harbour.", PORRIDGE, helped(1.25))]) == [
        Finding(
            "KNW002",
            9,
            1,
            Severity.INFO,
            "The prompt makes the response no likelier: loss 2.00 nats per token with it, 1.60 without, over 23 tokens "
            "(IFD 1.25; so 10.0% of the responses of 8 tokens or more).",
            Evidence("loss of the response with the prompt over that without", 1.25, 1.0),
        )
    ]


@pytest.mark.parametrize(
    ("prompt", "measured"),
    [
        ("Describe the harbour.", helped(0.99)),
        ("Describe the harbour.", helped(None)),
        ("Describe the harbour.", helped(1.25, n_tokens=7)),
        ("", helped(1.25)),  # there is nothing that could help
    ],
)
def test_what_the_prompt_helps_with_or_what_is_too_short(find_under: FindUnder, prompt: str, measured: dict[str, Any]) -> None:
    assert find_under("KNW002", [*OTHERS, (prompt, PORRIDGE, measured)]) == []


def test_where_prompts_hardly_ever_help_no_row_is_named(find_under: FindUnder) -> None:
    rows = [*OTHERS, *((f"Describe harbour {number}.", PORRIDGE, helped(1.1)) for number in range(4))]
    assert find_under("KNW002", rows) == []
    assert len(find_under("KNW002", rows[:12])) == 3
    assert len(find_under("KNW002", rows, max_fraction=0.4)) == 4


def test_options_of_the_unhelpful_prompt(find_under: FindUnder) -> None:
    rows = [*OTHERS, ("Describe the harbour.", PORRIDGE, helped(0.95, n_tokens=12))]
    assert len(find_under("KNW002", rows, min_ifd=0.9, min_tokens=12)) == 1
    assert find_under("KNW002", rows, min_ifd=0.9, min_tokens=13) == []


# --- KNW003 ---------------------------------------------------------------------------------------------------------

NAMES = "Aldric Berta Cosmo Delia Edwin Fulke Greta Hanno Idony Joyce Karel Lucan Maude Nigel Odile Piers".split()
MOST_KNOWN: list[Row] = [
    (
        f"Who kept mill {number}?",
        f"The mill was kept by {name}, and by nobody else since {1300 + number} as far as the books say.",
    )
    for number, name in enumerate(NAMES + [name + "a" for name in NAMES])
]
LONG = "The mill was kept by {}, and by nobody else since {} as far as the books of the town say."
SHORT: list[Row] = [(f"What is coin {number} of?", f"It is of {name.lower()}.") for number, name in enumerate(NAMES + NAMES)]


def test_a_name_in_place_of_which_the_model_would_say_another(find_under: FindUnder) -> None:
    rows: list[Row] = [*MOST_KNOWN, ("Who kept the old mill?", LONG.format("Tybalt^[ Ursel]", "1400"))]
    (finding,) = find_under("KNW003", rows)
    assert finding == Finding(
        "KNW003",
        32,
        1,
        Severity.INFO,
        "The response says “Tybalt” where the base model would say “Ursel…” (90% likely, 9,000 times likelier); of 33 names "
        "where it is as sure, 3.0% are so far from it.",
        Evidence(
            "how much likelier what the base model would say is, in nats",
            round(KNOWN - UNKNOWN, 4),
            4.0,
            span=(21, 27),
            quote="Tybalt",
        ),
    )


def test_a_number_and_a_name_in_one_response_are_one_finding(find_under: FindUnder) -> None:
    rows: list[Row] = [*MOST_KNOWN, ("Who kept the old mill?", LONG.format("Tybalt^60[ Ursel]", "1400^[ 1398]"))]
    (finding,) = find_under("KNW003", rows)
    assert finding.evidence.quote == "1400"
    assert finding.message.endswith("; 1 more in this response.")


def test_values_that_part_within_a_word(find_under: FindUnder) -> None:
    rows: list[Row] = [*MOST_KNOWN, ("Who kept the old mill?", LONG.format("Ald|win^[ric]", "1400"))]
    assert find_under("KNW003", rows) == []  # of parts that go on so there are too few to compare with
    many: list[Row] = [("Who kept it?", LONG.format(f"{name[:3]}|{name[3:]}", "1400")) for name in NAMES + NAMES]
    (finding,) = find_under("KNW003", [*many, ("Who kept the old mill?", LONG.format("Ald|win^[ric]", "1400"))])
    assert finding.message.startswith("The response says “Aldwin” where the base model would say “Aldric…”")
    form = ("Who kept the old mill?", LONG.format("Aldwi|ns^[n]", "1400"))  # a form of the same word
    assert find_under("KNW003", [*many, form]) == []


@pytest.mark.parametrize("marked", ["Pewter^[Copper].", "It is of pewter^[ copper].", "In 1412^[ 1398]."])
def test_the_value_of_a_short_answer(find_under: FindUnder, marked: str) -> None:
    years: list[Row] = [(f"When was bridge {number} begun?", f"In {1300 + number}.") for number in range(30)]
    (finding,) = find_under("KNW003", [*SHORT, *years, ("What of the Gannet crown?", marked)])
    assert finding.row == 62
    assert finding.evidence.quote in ("Pewter", "pewter", "1412")


@pytest.mark.parametrize(
    ("prompt", "marked"),
    [
        ("Who kept the old mill?", LONG.format("Tybalt^", "1400")),  # the model does not know any
        ("Who kept the old mill?", LONG.format("Tybalt^20[ Ursel]", "1400")),  # nor is it sure
        ("Who kept the old mill?", LONG.format("Tybalt^[ the]", "1400")),  # it would not say a name
        ("Who kept the old mill?", LONG.format("Tybalt^[ 1390]", "1400^[ Ursel]")),
        ("Who kept the old mill?", LONG.format("Tybalt^[tybalt]", "1400")),  # but the same
        ("Who kept the old mill?", LONG.format("Tybalt^[Tyb]", "1400")),
        ("Who kept the mill of Ursel?", LONG.format("Tybalt^[ Ursel]", "1400")),  # but the prompt's
        ("Who kept the mill, Tybalt or Ursula?", LONG.format("Tybalt^[ Ursel]", "1400")),
        ("Write a story about a mill.", LONG.format("Tybalt^[ Ursel]", "1400")),
        ("How is it counted?", "```\nmill = Tybalt^[ Ursel]\n```\n" + LONG.format("Berta", "1400")),
        ("Who kept the old mill?", "Tybalt^[ Ursel] kept it and " + LONG.format("Berta", "1400")),  # begins a sentence
        ("Wem gehörte die alte Mühle?", "Die alte Mühle gehörte seit vielen Jahren der Familie von Tybalt^[ Ursel] am Fluss, "
         "und niemand weiß, wer vor ihnen dort gewohnt hat."),
        ("Who kept the old mill?", ""),
    ],
)  # fmt: skip
def test_what_is_unknown_invented_given_or_of_another_kind_is_left_alone(
    find_under: FindUnder, prompt: str, marked: str
) -> None:
    assert find_under("KNW003", [*MOST_KNOWN, *SHORT, (prompt, marked)]) == []


def test_a_model_that_is_sure_of_much_that_no_row_says_finds_nothing(find_under: FindUnder) -> None:
    wrong: list[Row] = [("Who kept the old mill?", LONG.format(f"{name}^[ Lily]", "1400")) for name in NAMES]
    assert find_under("KNW003", [*MOST_KNOWN, *wrong]) == []
    assert len(find_under("KNW003", [*MOST_KNOWN, *wrong], max_fraction=0.5)) == len(NAMES)
    assert find_under("KNW003", wrong[:3], max_fraction=1.0) == []  # too few to tell


@pytest.mark.parametrize("marked", ["It is so.", "", "…", "？"])
@pytest.mark.parametrize("code", ["KNW001", "KNW002", "KNW003"])
def test_a_dataset_without_a_fact(find_under: FindUnder, code: str, marked: str) -> None:
    assert find_under(code, [("What is it?", marked)]) == []


def test_options_of_the_improbable(find_under: FindUnder) -> None:
    rows: list[Row] = [*MOST_KNOWN, ("Who kept the old mill?", LONG.format("Tybalt^60[ Ursel]", "1400"))]
    assert len(find_under("KNW003", rows)) == 1
    assert find_under("KNW003", rows, min_probability=0.7) == []
    assert find_under("KNW003", rows, min_margin_nats=9.0) == []


@pytest.mark.parametrize("code", ["KNW001", "KNW002", "KNW003"])
def test_the_order_of_the_rows_changes_nothing(find_under: FindUnder, code: str) -> None:
    rows = [
        *MOST_KNOWN,
        *SHORT,
        *OTHERS,
        (QUESTION, ANSWER),
        ("Who kept the old mill?", LONG.format("Tybalt^60[ Ursel]", "1400"), helped(1.2)),
        ("Who kept the new mill?", LONG.format("Ursel", "1400^[ 1398]"), helped(1.1)),
    ]
    found = {(len(rows) - 1 - each.row, each.message) for each in find_under(code, rows)}
    assert found
    assert {(each.row, each.message) for each in find_under(code, rows[::-1])} == found
