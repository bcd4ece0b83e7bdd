"""A measured shift on the terminal, as JSON and as a page: the same facts, harmless, valid and reproducible."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import polars as pl
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.models import ModelRef
from audit.shift import TOKEN_SCHEMA, AlignedResponse, Shift, ShiftReport, shift_of_rank
from audit.shift.paper import PAPER_PROFILES
from audit.sources import Message
from reports.page import MAX_PAGE_BYTES
from reports.render import render_shift
from reports.shift import SHIFT_SCHEMA, shift_json, shift_report, token_text
from reports.shift_html import _pieces, shift_html
from tests.hostile import ATTACKS, OWNED, SCRIPT

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/shift.schema.json").read_text("utf-8"))
RANKS = (1, 1, 2, 1, 17, 3, 1, 4_321)


def model(name: str, adapter: str | None = None) -> ModelRef:
    return ModelRef(name, adapter, None, "float32", "cpu", 1_234_567, "a" * 64, "b" * 64)


def spans_of(text: str) -> tuple[tuple[int, int], ...]:
    """Tokens of three code points each, the last character of every third one in two tokens."""
    spans: list[tuple[int, int]] = []
    for number, start in enumerate(range(0, len(text), 3)):
        end = min(start + 3, len(text))
        spans += [(start, end), (end - 1, end)] if number % 3 == 2 else [(start, end)]
    return tuple(spans)


def made_report(texts: list[str], tuned: str = "tuned", ranks: tuple[int, ...] = RANKS) -> ShiftReport:
    """A report with ranks in turn, without any model."""
    responses = []
    rows = []
    for number, text in enumerate(texts):
        spans = spans_of(text)
        prompt = (Message("system", "s", False), Message("user", f"Who? {SCRIPT} [bold]", False))
        responses.append(
            AlignedResponse(f"{number} {SCRIPT}", prompt, text, (0,), tuple(range(len(spans))), spans, cut=number % 2 == 1)
        )
        for position, (start, end) in enumerate(spans):
            rank = ranks[position % len(ranks)]
            rows.append(
                {
                    "response": responses[-1].id,
                    "number": number,
                    "position": position,
                    "token": position,
                    "text": text[start:end],
                    "start": start,
                    "end": end,
                    "rank": rank,
                    "shift": shift_of_rank(rank).value,
                    "kl_tuned_base": rank / 8,
                    "kl_base_tuned": rank / 4,
                    "lift": rank / 2 - 0.5,
                    "log_p_base": -float(rank),
                    "log_p_tuned": -0.5 - rank / 2,
                    "sentence": 0,
                    "sentence_position": position,
                }
            )
    tokens = pl.DataFrame(rows, schema=TOKEN_SCHEMA)
    return ShiftReport(model("base"), model("base", tuned), tuple(responses), tokens, 1321, 64)


def hostile_report() -> ShiftReport:
    """Every attack as an answer, and one that is long."""
    return made_report([*ATTACKS, f"many words\n\t {SCRIPT} " * 400], tuned=f"/models/<img src=x onerror={OWNED}>")


def printed(renderable, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_terminal_in_eighty_columns() -> None:
    report = made_report(["The stone is granite, and it is old."])
    text = printed(shift_report(report))
    assert "unshifted 50.0 %, marginal 25.0 %, shifted 25.0 % of 16 tokens" in text
    assert "Tuned  tuned (adapter on base)" in text
    assert "1 prompt: greedy answers of at most 64 tokens" in text
    assert re.search(r"sentence: first 5 % +1 +0\.25 +0\.12 +\+?0\.00 +100 % +0 % +0 %", text)
    assert re.search(r"sentence: other 95 % +15 ", text)
    assert re.search(r"LLaMA-2 70B, full +52,000 +0\.74 +0\.53", text)
    assert "KL(base‖tuned)" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_terminal_shows_no_control_character() -> None:
    text = printed(shift_report(made_report(["\x1b[31mred \u202egnp.exe"], tuned="\x1b]0;title\x07", ranks=(9,))))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "⟨ESC⟩[3" in text
    assert "⟨ESC⟩]0;title⟨BEL⟩" in text


def test_the_number_of_tokens_left_out_is_told() -> None:
    report = made_report(["x" * 600])
    assert len(report.shifted_tokens) > 12
    assert f"and {len(report.shifted_tokens) - 12} others" in printed(shift_report(report))


def test_json_by_its_schema_and_the_same_again() -> None:
    assert SCHEMA["$id"] == SHIFT_SCHEMA
    report = hostile_report()
    made = shift_json(report)
    assert made == shift_json(hostile_report())
    content = json.loads(made)
    Draft202012Validator(SCHEMA).validate(content)
    assert content["counts"] == {
        "responses": len(ATTACKS) + 1,
        "empty": 1,
        "cut": (len(ATTACKS) + 1) // 2,
        "tokens": report.tokens.height,
        "vocabulary": 1321,
        "shifted_tokens": len(report.shifted_tokens),
    }
    assert len(content["shifted_tokens"]) == 200 < content["counts"]["shifted_tokens"]
    assert [answer["response"] for answer in content["responses"]][: len(ATTACKS)] == list(ATTACKS)
    empty = content["responses"][ATTACKS.index("")]
    assert (empty["tokens"], empty["kl_base_tuned"]) == (0, None)
    assert len(content["paper"]["profiles"]) == len(PAPER_PROFILES)
    assert "[0.05" not in content["definitions"]["start"]


def test_the_schema_refuses_what_is_none() -> None:
    content = json.loads(shift_json(made_report(["The stone is granite."])))
    for change in ({"schema": "tunescope/shift-2"}, {"whole": None}, {"shifted_tokens": [{}]}, {"base": {}}):
        assert not Draft202012Validator(SCHEMA).is_valid(content | change)


def test_figures_of_the_paper() -> None:
    """SCIENCE 1.1, as the paper prints them."""
    assert [(line.model, line.n_rows, line.method, line.start, line.rest) for line in PAPER_PROFILES] == [
        ("LLaMA-2 7B", 1_000, "lora", 0.48, 0.13),
        ("LLaMA-2 7B", 1_000, "full", 1.08, 0.59),
        ("LLaMA-2 7B", 52_000, "lora", 0.47, 0.18),
        ("LLaMA-2 7B", 52_000, "full", 1.08, 0.74),
        ("LLaMA-2 70B", 52_000, "lora", 0.21, 0.09),
        ("LLaMA-2 70B", 52_000, "full", 0.74, 0.53),
    ]


def test_white_space_of_a_token_is_seen() -> None:
    assert [token_text(text) for text in (" the", "\n\n", "\t", "", "a\x1b")] == ["␣the", "⏎⏎", "⇥", "∅", "a⟨ESC⟩"]


def pieces(text: str, *tokens: tuple[int, int, Shift], n_tokens: int | None = None) -> list[tuple[str, str | None]]:
    rows = pl.DataFrame(
        [
            {"start": start, "end": end, "shift": shift.value, "rank": 9, "kl_base_tuned": 0.5, "lift": 1.0}
            for start, end, shift in tokens
        ]
    )
    made = _pieces(text, rows, len(tokens) if n_tokens is None else n_tokens)
    return [(piece.text, piece.shift.value if piece.shift else None) for piece in made]


def test_an_answer_is_cut_where_the_class_changes() -> None:
    u, m, s = Shift.UNSHIFTED, Shift.MARGINAL, Shift.SHIFTED
    assert pieces("The old stone", (0, 3, u), (3, 7, u), (7, 13, s)) == [("The old", "unshifted"), (" stone", "shifted")]
    assert pieces("ab", (0, 1, s), (1, 2, s)) == [("a", "shifted"), ("b", "shifted")]
    assert pieces("a€b", (0, 1, u), (1, 2, m), (1, 2, s), (1, 3, u)) == [
        ("a", "unshifted"),
        ("€", "marginal"),
        ("b", "unshifted"),
    ]
    assert pieces("a b", (0, 1, u), (2, 3, u)) == [("a", "unshifted"), (" ", None), ("b", "unshifted")]
    assert pieces("a\n", (0, 1, u), (1, 2, s)) == [("a", "unshifted"), ("⏎\n", "shifted")]
    assert pieces("a.", (0, 1, s), (1, 1, s)) == [("a", "shifted"), (".", None)]
    assert pieces("a.", (0, 1, s), n_tokens=2) == [("a", "shifted")]


@pytest.mark.parametrize("attack", ATTACKS)
def test_answers_cannot_act_on_the_page(attack: str) -> None:
    page = shift_html(made_report([attack or "x"], tuned=attack)).decode()
    assert page.count("<script>") == 1
    assert f"<script>{OWNED}" not in page
    assert "<img" not in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)


def test_the_page_is_self_contained_and_the_same_again() -> None:
    rendered = render_shift(hostile_report())
    assert sorted(rendered) == ["report.html", "shift.json"]
    page = rendered["report.html"].decode()
    assert page == shift_html(hostile_report()).decode()
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert f"<script>{OWNED}" not in page


def test_class_is_told_without_colour_too() -> None:
    page = shift_html(made_report(["The stone is granite, and it is old."])).decode()
    assert 'class="tok shifted" title="shifted: rank 17, KL 4.25, lift +8.00"' in page
    assert 'class="tok marginal" title="marginal: rank 2, KL 0.50, lift +0.50"' in page
    assert "underline dotted" in page
    assert "underline solid" in page


def test_a_page_of_many_long_answers_stays_small() -> None:
    report = made_report([f"{number} " + "word and word " * 300 for number in range(60)])
    page = shift_html(report)
    assert len(page) <= MAX_PAGE_BYTES
    shown = re.search(r"(\d+) of 60 shown, spread evenly", page.decode())
    hidden = re.search(r"[\d,]+ tokens not shown", page.decode())
    assert shown or hidden


def test_an_answer_of_one_token() -> None:
    report = made_report(["No."])
    assert report.profiles[0].rest is None
    assert "–" in printed(shift_report(report))
    Draft202012Validator(SCHEMA).validate(json.loads(shift_json(report)))
    assert "No token is shifted." in shift_html(report).decode()
