"""Every check with rows that it must find and rows that it must leave alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.checks import CHECKS, options_of, select_checks
from audit.checks.semantic_duplicate import Request, same_request
from audit.errors import InputError, MissingDependencyError
from audit.findings import FINDING_SCHEMA, Evidence, Finding, Severity, findings_frame
from audit.materials import Need
from tests.conftest import AuditRows, FindIn, MakeMaterials, alpaca, chat, check_of

LONG = "The ferry leaves the quay at dawn and stops at every island of the northern chain before it turns for home"


def rows_of(findings: list[Finding]) -> list[int]:
    return [finding.row for finding in findings]


# --- the list -------------------------------------------------------------------------------------------------------


def test_every_check_is_complete_and_its_code_its_own() -> None:
    codes = [check.code for check in CHECKS]
    assert len(codes) == len(set(codes))
    for check in CHECKS:
        assert re.fullmatch(r"[A-Z]{3}\d{3}", check.code)
        assert check.page.startswith(f"{check.code}: ")
        for part in ("What: ", "Why it matters: ", "Example: ", "Fix: "):
            assert part in check.page, (check.code, part)
        assert check.advice.endswith(".")
        options_of(check, {})


@pytest.mark.parametrize(
    ("select", "ignore", "codes"),
    [
        ((), (), [check.code for check in CHECKS]),
        (("DUP",), (), ["DUP001", "DUP002", "DUP003"]),
        (("DUP", "TXT001"), ("DUP00",), ["TXT001"]),
        (("DUP002",), (), ["DUP002"]),
        (("TXT00", "FMT"), ("TXT003", "TXT004", "TXT005", "TXT006", "TXT007", "TXT008", "TXT009", "FMT"), ["TXT001", "TXT002"]),
    ],
)
def test_checks_are_chosen_by_code_or_prefix(select: tuple[str, ...], ignore: tuple[str, ...], codes: list[str]) -> None:
    assert [check.code for check in select_checks(CHECKS, select, ignore)] == codes


def test_a_choice_that_fits_no_check_is_refused() -> None:
    with pytest.raises(InputError, match="unknown check 'DUP02'; did you mean 'DUP00"):
        select_checks(CHECKS, ["DUP02"], [])
    with pytest.raises(InputError, match="unknown check 'XYZ'; known: DUP001"):
        select_checks(CHECKS, [], ["XYZ"])
    with pytest.raises(InputError, match="no check is left"):
        select_checks(CHECKS, ["DUP"], ["DUP"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_jacard": 0.9}, "unknown option of DUP002 'min_jacard'; did you mean 'min_jaccard'"),
        ({"min_jaccard": "0.9"}, "option 'min_jaccard' of DUP002 is '0.9'; give a value from 0.7 to 1.0, such as 0.8"),
        ({"min_jaccard": 0.5}, "is 0.5"),
        ({"min_jaccard": float("nan")}, "is nan"),
        ({"min_jaccard": True}, "is True"),
        ({"min_jaccard": None}, "is None"),
        ({"shingle_words": 2.5}, "is 2.5"),
        ({"shingle_words": 6}, "is 6; give a value from 1 to 5, such as 3"),
        ({"shingle_words": 0}, "is 0"),
    ],
)
def test_options_of_the_wrong_kind_or_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        options_of(check_of("DUP002"), values)


def test_options_are_taken_over_their_defaults() -> None:
    options = options_of(check_of("DUP002"), {"min_jaccard": 1})
    assert (options.min_jaccard, options.shingle_words) == (1, 3)
    with pytest.raises(InputError, match="unknown option of TXT001"):
        options_of(check_of("TXT001"), {"any": 1})


# --- DUP001 ---------------------------------------------------------------------------------------------------------


def test_equal_rows_are_found_whatever_their_other_columns(find_in: FindIn) -> None:
    rows = [alpaca("a", "b", n=1), alpaca("c", "d"), {"output": "b", "n": 2, "input": "", "instruction": "a"}, alpaca("a", "b")]
    assert find_in("DUP001", rows) == [
        Finding(
            "DUP001",
            row,
            None,
            Severity.WARNING,
            "The same as data.jsonl#0.",
            Evidence(measure="equal messages", value=1, limit=1, related=related),
        )
        for row, related in [(2, (0,)), (3, (0, 2))]
    ]


def test_rows_that_differ_in_a_character_are_not_equal(find_in: FindIn) -> None:
    weighted = chat(("user", "a"), ("assistant", "b"))
    weighted["messages"][1]["weight"] = 0
    rows = [chat(("user", "a"), ("assistant", text)) for text in ("b", "B", "b ", "b.")] + [
        weighted,
        chat(("user", "a"), ("assistant", "b"), tools=[{"name": "f"}]),
        chat(("system", "s"), ("user", "a"), ("assistant", "b")),
    ]
    assert find_in("DUP001", rows) == []


def test_unreadable_rows_are_no_duplicates(find_in: FindIn) -> None:
    assert find_in("DUP001", [alpaca("a", "b"), "{", "{"]) == []


# --- DUP002 ---------------------------------------------------------------------------------------------------------


def test_a_row_with_a_word_changed_is_a_near_duplicate(find_in: FindIn) -> None:
    rows = [alpaca("Tell me about it.", LONG), alpaca("Tell me about it.", LONG + " again"), alpaca("Else?", "Nothing.")]
    assert find_in("DUP002", rows) == [
        Finding(
            "DUP002",
            1,
            None,
            Severity.WARNING,
            "Shares 96% of its 3-word runs with data.jsonl#0.",
            Evidence(measure="Jaccard similarity of 3-word shingles", value=0.9583, limit=0.8, related=(0,)),
        )
    ]


def test_letter_case_punctuation_and_white_space_do_not_count(find_in: FindIn) -> None:
    (finding,) = find_in("DUP002", [alpaca("Tell me!", LONG), alpaca("tell me", LONG.upper().replace(" ", "\n") + "...")])
    assert (finding.row, finding.evidence.value) == (1, 1.0)


def test_other_answers_to_one_long_question_are_no_near_duplicates(find_in: FindIn) -> None:
    rows = [alpaca(LONG, "It is made of tin."), alpaca(LONG, "Nobody can say so today.")]
    assert find_in("DUP002", rows) == []


def test_exact_duplicates_are_left_to_their_own_check(find_in: FindIn) -> None:
    rows = [alpaca("Go.", LONG), alpaca("Go.", LONG), alpaca("Go.", LONG + " again"), alpaca("Go.", LONG + " again")]
    assert [(finding.row, finding.evidence.related) for finding in find_in("DUP002", rows)] == [(2, (0,))]


def test_the_nearest_is_named_and_the_others_are_counted(find_in: FindIn) -> None:
    rows = [alpaca("Go.", f"{LONG} {end}".strip()) for end in ("one two", "one", "three", "One!")]
    *_, last = find_in("DUP002", rows)
    assert last.row == 3
    assert last.message == "Shares 100% of its 3-word runs with data.jsonl#1 and matches 2 more."
    assert last.evidence.related == (0, 1, 2)


def test_the_evidence_names_at_most_twenty_rows(find_in: FindIn) -> None:
    rows = [alpaca("Go.", LONG + "!" * n) for n in range(30)]
    *_, last = find_in("DUP002", rows)
    assert last.evidence.related == tuple(range(20))
    assert last.message.endswith("with data.jsonl#0 and matches 28 more.")


def test_a_higher_cut_finds_less(find_in: FindIn) -> None:
    rows = [alpaca("Go.", LONG), alpaca("Go.", LONG + " again")]
    assert find_in("DUP002", rows, min_jaccard=0.97) == []
    assert rows_of(find_in("DUP002", rows, min_jaccard=0.95)) == [1]


def test_rows_that_only_call_tools_are_not_compared_by_their_question(find_in: FindIn) -> None:
    def call(city: str) -> dict[str, Any]:
        row = chat(("user", "What is the weather like?"), ("assistant", ""))
        row["messages"][1]["tool_calls"] = [{"function": {"name": "weather", "arguments": city}}]
        return row

    assert find_in("DUP002", [call("Ostrand"), call("Vell")]) == []


# --- DUP003 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Name three ways to save water.", "List 3 methods for saving water."),
        ("What are the benefits of regular exercise?", "Describe some advantages of regular exercise"),
        ("Convert 20 degrees Celsius to Fahrenheit.", "Please convert 20 degrees celsius into Fahrenheit"),
        ("Generate a story about a dragon.", "Write a tale about dragons."),
        ("Give the definition of entropy.", "Define entropy"),
        ("Summarize the article below.", "Give a summary of the following article."),
        ("Which cities are in France?", "Name cities in France"),
    ],
)
def test_the_same_request_is_recognised_in_other_words(one: str, other: str) -> None:
    assert same_request(Request.of(one), Request.of(other))
    assert same_request(Request.of(other), Request.of(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Convert 20 degrees Celsius to Fahrenheit.", "Convert 20 degrees Fahrenheit to Celsius."),
        ("Convert 20 degrees Celsius to Fahrenheit.", "Convert 30 degrees Celsius to Fahrenheit."),
        ("Name three ways to save water.", "Name four ways to save water."),
        ("Name three ways to save water.", "Name three ways to save energy."),
        ("What is the capital of France?", "What is the capital of Spain?"),
        ("What is 3 + 4?", "What is 3 * 4?"),
        ("Subtract 3 from 7.", "Subtract 7 from 3."),
        ("Is a whale larger than a shark?", "Is a shark larger than a whale?"),
        ("Write an argument for taxes.", "Write an argument against taxes."),
        ("Name foods that are healthy.", "Name foods that are not healthy."),
        ("What does stress cause?", "What are the causes of heart disease?"),
        ("Translate the sentence from German to English.", "Translate the sentence from English to German."),
        ("Write a poem about the sea.", "Write a story about the sea."),
    ],
)
def test_another_request_is_not_the_same(one: str, other: str) -> None:
    assert not same_request(Request.of(one), Request.of(other))
    assert not same_request(Request.of(other), Request.of(one))


def test_a_request_is_read_into_its_parts() -> None:
    request = Request.of("Convert twenty miles to kilometres: x = 5")
    assert request.literal == ("20", "=", "5")
    assert request.relations == {"to": "kilometr"}
    assert request.content == {"convert", "20", "mile", "kilometr", "x", "5"}
    assert request.directed == ()


def test_a_prompt_in_other_words_is_found(find_in: FindIn) -> None:
    rows = [
        alpaca("Name three ways of saving water", "Take shorter showers."),
        alpaca("What is the capital of the islands?", "Ostrand."),
        alpaca("Give three methods of saving water", "Mend the taps, and wash less often."),
    ]
    (finding,) = find_in("DUP003", rows)
    assert (finding.row, finding.turn, finding.evidence.related) == (2, None, (0,))
    assert finding.message == "Asks the same as data.jsonl#0: “Name three ways of saving water”."
    assert finding.evidence.quote == "Give three methods of saving water"
    assert finding.evidence.value == pytest.approx(1, abs=2e-4)  # the vectors are kept with three digits
    assert finding.evidence.limit == 0.8


def test_the_same_prompt_with_another_answer_is_found_and_the_row_repeated_is_not(find_in: FindIn) -> None:
    rows = [
        alpaca("Name a river.", "The Oder, which comes down from the hills."),
        alpaca("Name a river.", "The Oder, which comes down from the hills."),  # DUP001
        alpaca("Name a river", "The Oder, which comes down from the hills!"),  # DUP002
        alpaca("Name a river.", "Try the Vell instead."),
        alpaca("Name a river.", ""),
        alpaca("Name a river.", ""),  # DUP001
    ]
    found = find_in("DUP003", rows)
    assert [(finding.row, finding.evidence.related) for finding in found] == [(3, (0, 2)), (4, (0, 2, 3))]


def test_conversations_and_long_prompts_are_not_compared(find_in: FindIn) -> None:
    twice = chat(("user", "Name a river."), ("assistant", "The Oder."), ("user", "Name a river."), ("assistant", "The Vell."))
    long = "Name a river. " * 40
    assert (
        find_in(
            "DUP003",
            [twice, twice | {"n": 1}, chat(("user", long), ("assistant", "a")), chat(("user", long), ("assistant", "b"))],
        )
        == []
    )


def test_wordings_are_compared_in_english_and_the_same_prompt_in_any_language(find_in: FindIn) -> None:
    # To an English reader, the second asks what the first does.
    rows = [
        alpaca("Wie lautet der Name der Hauptstadt der Inseln?", "Ostrand, weil dort der erste Hafen lag."),
        alpaca("Wie lautet also der Name der Hauptstadt der Inseln?", "Er lautet auch heute noch Vell."),
        alpaca("Wie lautet der Name der Hauptstadt der Inseln?", "Vell."),
    ]
    assert [(finding.row, finding.evidence.related) for finding in find_in("DUP003", rows)] == [(2, (0,))]


def test_prompts_without_content_ask_nothing(find_in: FindIn) -> None:
    assert find_in("DUP003", [alpaca("What is this?", "A coin."), alpaca("What are those?", "Two bridges.")]) == []


# --- FMT ------------------------------------------------------------------------------------------------------------


def test_unreadable_and_malformed_rows_are_found_with_the_reason(find_in: FindIn) -> None:
    rows = [alpaca("a", "b"), b'{"instruction": "\xff"}', {"instruction": "a"}, "[]", alpaca("", "")]
    assert [(f.row, f.turn, f.severity, f.message) for f in find_in("FMT001", rows)] == [
        (1, None, Severity.ERROR, "Cannot be read: invalid UTF-8 at byte 17 of the row."),
        (3, None, Severity.ERROR, "Cannot be read: a JSON list where an object is expected."),
    ]
    assert [(f.row, f.turn, f.severity, f.message) for f in find_in("FMT002", rows)] == [
        (
            2,
            None,
            Severity.ERROR,
            "Is no row of its format: fields of no known format, or an empty conversation: 'instruction'.",
        )
    ]


@pytest.mark.parametrize(
    ("roles", "turn", "problem"),
    [
        ("user assistant", None, ""),
        ("system user assistant user assistant", None, ""),
        ("user assistant tool tool assistant", None, ""),
        ("user assistant tool user assistant", None, ""),
        ("user critic assistant", 1, "the role 'critic' is unknown"),
        ("user system assistant", 1, "a system turn is not the first"),
        ("system system user assistant", 1, "a system turn is not the first"),
        ("assistant user assistant", 0, "the conversation begins with the assistant"),
        ("system assistant", 1, "the conversation begins with the assistant"),
        ("tool assistant", 0, "the conversation begins with the tool"),
        ("user user assistant", 1, "two user turns in a row"),
        ("user assistant assistant", 2, "two assistant turns in a row"),
        ("user tool assistant", 1, "a tool turn answers no assistant turn"),
        ("user assistant user", 2, "the conversation ends without an answer"),
        ("user assistant tool", 2, "the conversation ends without an answer"),
        ("user", 0, "the conversation ends without an answer"),
        ("user user user assistant assistant", 1, "two user turns in a row"),
    ],
)
def test_turns_out_of_order_are_found_at_the_first_of_them(find_in: FindIn, roles: str, turn: int | None, problem: str) -> None:
    good = chat(("user", "a"), ("assistant", "b"))
    found = find_in("FMT003", [good, chat(*((role, role) for role in roles.split())), good])
    expected = [] if turn is None else [(1, turn, Severity.ERROR, f"Turn {turn}: {problem}.")]
    assert [(f.row, f.turn, f.severity, f.message) for f in found] == expected


@pytest.mark.parametrize("code", ["FMT003", "FMT004", "FMT005"])
def test_a_row_of_plain_text_is_no_conversation_and_lacks_no_prompt(find_in: FindIn, code: str) -> None:
    assert find_in(code, [{"text": "The Oder is a river."}, {"text": "So is the Elbe."}]) == []


def test_a_prompt_without_text_is_found(find_in: FindIn) -> None:
    rows = [
        alpaca("", "Paris."),
        alpaca(" \n\u3000", "Paris."),
        alpaca("Where?", "Paris."),
        {"instruction": "", "input": "Where?", "output": "Paris."},
    ]
    found = find_in("FMT004", rows)
    assert [(f.row, f.turn, f.evidence.quote) for f in found] == [(0, 1, "Paris."), (1, 1, "Paris.")]


def test_a_prompt_without_text_is_found_in_conversations(find_in: FindIn) -> None:
    rows = [
        chat(("system", "Be kind."), ("assistant", "Hello.")),
        chat(("user", ""), ("assistant", "a"), ("user", "b"), ("assistant", "c")),
        chat(("user", "a"), ("assistant", "b"), ("tool", "7"), ("assistant", "c")),
    ]
    assert [(f.row, f.turn) for f in find_in("FMT004", rows)] == [(0, 1), (1, 1)]


def test_an_answer_that_is_a_call_is_not_empty(find_in: FindIn) -> None:
    call = {"name": "weather", "arguments": "{}"}
    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "function_call": call}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "function_call": None}]},
    ]
    assert [(f.row, f.turn) for f in find_in("TXT001", rows)] == [(1, 1)]
    assert find_in("FMT003", [{"messages": [{"role": "developer", "content": "s"}, *rows[0]["messages"]]}]) == []


def test_rows_that_train_nothing_are_found(find_in: FindIn) -> None:
    def untrained(**mark: Any) -> dict[str, Any]:
        row = chat(("user", "a"), ("assistant", "b"))
        row["messages"][1] |= mark
        return row

    rows = [
        chat(("user", "Hello?")),
        untrained(weight=0),
        untrained(train=False),
        untrained(weight=1),
        untrained(),
        "{broken",
    ]
    found = find_in("FMT005", rows)
    assert [(f.row, f.turn, f.severity, f.message) for f in found] == [
        (row, None, Severity.WARNING, "No turn is trained on.") for row in (0, 1, 2)
    ]


# --- TXT ------------------------------------------------------------------------------------------------------------


def test_empty_responses_are_found_and_tool_calls_are_none(find_in: FindIn) -> None:
    calling = chat(("user", "a"), ("assistant", ""))
    calling["messages"][1]["tool_calls"] = [{"function": {"name": "f"}}]
    untrained = chat(("user", "a"), ("assistant", ""), ("user", "b"), ("assistant", "c"))
    untrained["messages"][1]["weight"] = 0
    rows = [chat(("user", "Go on."), ("assistant", text)) for text in ("", " \n\t", ".", "a")] + [calling, untrained]
    assert find_in("TXT001", rows) == [
        Finding(
            "TXT001",
            row,
            1,
            Severity.ERROR,
            "The response is empty.",
            Evidence(measure="characters of the response", value=0, limit=1, quote="Go on."),
        )
        for row in (0, 1)
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "<nooutput>",
        "<No Output>",
        "<no_response>.",
        "No output",
        "N/A",
        "n/a.",
        "TODO",
        "TBD!",
        "null",
        "NaN",
        "...",
        "…",
        "---",
        "???",
        "XXXX",
        "xxx",
        "NA",
        "n.a.",
        "-",
        "[insert answer here]",
        "[Your answer]",
        "<your response here>",
        "{output}",
        "(insert text here)",
        "Insert your answer here.",
        "<The answer is a link to a tune that a friend of mine may like.>",
        "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore.",
        "  <nooutput>\n",
    ],
)
def test_placeholders_are_found(find_in: FindIn, answer: str) -> None:
    (finding,) = find_in("TXT002", [alpaca("Draw a map.", answer)])
    assert (finding.row, finding.turn, finding.evidence.span) == (0, 1, (0, len(answer)))
    assert answer.strip()[:38] in finding.message


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Which value is it: 1, null or 2?", "null"),
        ("Which town?", "Nancy"),
        ("Write 20 in Roman numerals.", "XX"),
        ("Write 30 in Roman numerals.", "XXX"),
        ("What is it?", "(The answer is 4)"),
        ("Give it as JSON.", '{"answer": 42}'),
        ("Give it as JSON.", "{'text': 'a'}"),
        ("Write the tag.", '<input type="text">'),
        ("Write the tag.", "<p>content</p>"),
        ("Write a letter.", "Dear [your name], please find the answer here."),
        ("Is there any?", "No."),
        ("Is there any output?", "There is no output."),
        ("Explain N/A.", "N/A"),
        ("Name it.", "The nullity theorem"),
        ("Which sign: '-' or '+'?", "-"),
        ("Give the symbol for sodium.", "Na"),
        ("Which continent is it, by its code?", "NA"),
        ("Are there any?", "None"),
        ("Say something.", "!"),
        ("Say nothing.", ""),
        ("Quote Cicero.", "Neque porro quisquam est, qui dolorem ipsum quia dolor sit amet, consectetur, adipisci velit."),
    ],
)
def test_answers_are_no_placeholders(find_in: FindIn, prompt: str, answer: str) -> None:
    assert find_in("TXT002", [alpaca(prompt, answer)]) == []


def test_none_counts_little(find_in: FindIn) -> None:
    (finding,) = find_in("TXT002", [alpaca("Name three international towns.", "None")])
    assert (finding.severity, finding.evidence.span) == (Severity.INFO, (0, 4))


# --- findings -------------------------------------------------------------------------------------------------------


def test_findings_become_a_frame_in_order_with_fingerprints() -> None:
    keys = pl.Series(["k0:0", "k1:0"])
    findings = [
        Finding("TXT001", 1, 3, Severity.ERROR, "b", Evidence(span=(2, 4), quote="q")),
        Finding("TXT001", 1, None, Severity.ERROR, "a"),
        Finding("TXT001", 1, 2, Severity.ERROR, "e"),
        Finding("DUP001", 1, None, Severity.WARNING, "c", Evidence("equal", 1.0, 1.0, (0,))),
        Finding("TXT001", 0, 1, Severity.ERROR, "d"),
    ]
    frame = findings_frame(findings, keys)
    assert dict(frame.schema) == FINDING_SCHEMA
    assert frame.select("row", "code", "turn", "message").rows() == [
        (0, "TXT001", 1, "d"),
        (1, "DUP001", None, "c"),
        (1, "TXT001", None, "a"),
        (1, "TXT001", 2, "e"),
        (1, "TXT001", 3, "b"),
    ]
    assert frame["related"].to_list() == [[], [0], [], [], []]
    assert (frame["span_start"].to_list(), frame["span_end"].to_list()) == ([None] * 4 + [2], [None] * 4 + [4])
    assert frame["fingerprint"].n_unique() == 5
    moved = findings_frame([Finding("TXT001", 0, 1, Severity.ERROR, "other words")], pl.Series(["k0:0"]))
    assert moved["fingerprint"][0] == frame["fingerprint"][0]
    assert findings_frame([], keys).schema == frame.schema


def test_severities_are_ordered() -> None:
    assert sorted(Severity, key=lambda severity: severity.rank) == [Severity.INFO, Severity.WARNING, Severity.ERROR]


# --- all together ---------------------------------------------------------------------------------------------------


def test_an_audit_runs_the_chosen_checks_and_says_what_it_left_out(audit_rows: AuditRows) -> None:
    rows = [alpaca("a", "b"), alpaca("a", "b"), alpaca("a", "")]
    run = audit_rows(rows, select=["DUP", "TXT001", "TXT002"], ignore=["DUP003"])
    assert run.findings.select("row", "code").rows() == [(1, "DUP001"), (2, "TXT001")]
    assert [(check.code, check.n_findings) for check in run.summary.checks] == [
        ("DUP001", 1),
        ("DUP002", 0),
        ("TXT001", 1),
        ("TXT002", 0),
    ]
    chosen = ("DUP001", "DUP002", "TXT001", "TXT002")
    left_out = [check for check in CHECKS if check.code not in chosen]
    not_selected = ", ".join(check.code for check in left_out if not any(need.is_given for need in check.needs))
    assert (not_selected, "not selected") in [(skipped.what, skipped.why) for skipped in run.summary.skipped]


def test_options_of_a_check_reach_it_through_the_settings(audit_rows: AuditRows) -> None:
    rows = [alpaca("Go.", LONG), alpaca("Go.", LONG + " again")]
    assert audit_rows(rows, select=["DUP002"]).findings.height == 1
    assert audit_rows(rows, select=["DUP002"], checks={"DUP002": {"min_jaccard": 0.99}}).findings.height == 0
    with pytest.raises(InputError, match="unknown check 'DUP02'"):
        audit_rows(rows, checks={"DUP02": {}})
    with pytest.raises(InputError, match="option 'shingle_words' of DUP002 is 9"):
        audit_rows(rows, checks={"DUP002": {"shingle_words": 9}})


def test_without_an_encoder_an_audit_says_what_it_could_not_look_at(audit_rows: AuditRows, no_encoder: str) -> None:
    run = audit_rows([alpaca("Name a river.", "a"), alpaca("Name a river.", "b")], encoder=no_encoder)
    assert run.summary.encoder is None
    blind = [check.code for check in CHECKS if Need.VECTORS in check.needs and not any(need.is_given for need in check.needs)]
    assert run.summary.skipped[0].what == ", ".join([*blind, "nearness of concepts in traces"])
    assert "no encoder 'all-MiniLM-L6-v2' on this machine" in run.summary.skipped[0].why
    assert run.findings.height == 0


def test_an_encoder_that_was_named_must_be_there(audit_rows: AuditRows, tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="no encoder 'no-such-encoder' on this machine"):
        audit_rows([alpaca("Name a river.", "a")], encoder="no-such-encoder")
    with pytest.raises(MissingDependencyError, match=r"no model\.safetensors"):
        audit_rows([alpaca("Name a river.", "a")], encoder=str(tmp_path))


@pytest.mark.parametrize(
    "rows",
    [
        [chat(("user", "nobody answers"))],
        [alpaca("", "")],
        [alpaca("...", "!")],
        [chat(("system", "only rules"))],
    ],
)
def test_a_dataset_without_a_word_to_index_can_be_audited(audit_rows: AuditRows, rows: list[dict[str, Any]]) -> None:
    run = audit_rows(rows)
    assert run.summary.n_rows == 1
    assert run.check() > 10


def test_materials_are_numbered_by_response(make_materials: MakeMaterials) -> None:
    materials = make_materials(
        [
            chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
            "{",
            chat(("user", "e"), ("assistant", "f")),
        ]
    )
    assert materials.n_responses == 3
    assert materials.row_of_response.tolist() == [0, 0, 2]
    assert materials.bm25.n_documents == materials.prompt_words.n_texts == materials.response_words.n_texts == 3
    assert materials.prompt_vectors.shape[0] == 3
