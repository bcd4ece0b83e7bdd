"""Traces on the terminal, as JSON and as a page: the same facts, harmless, valid and reproducible."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.corpus import Corpus
from audit.responses import Response
from audit.sources import Message
from audit.summary import Skipped
from audit.trace import BlamedRow, Channel, ChannelScore, Link, Match, SpanTrace, Tier, Trace
from reports.page import MAX_PAGE_BYTES
from reports.render import render_traces
from reports.trace import TRACE_SCHEMA, blame_report, trace_json, trace_report, verdict
from reports.trace_html import trace_html
from tests.hostile import ATTACKS, OWNED, SCRIPT, hostile_audit

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/trace.schema.json").read_text("utf-8"))
ANSWER = f"It was \x1b[31m{SCRIPT}\u202e by night."
BLAME = [BlamedRow(5, 1.5, 2, 0.001, ("first", SCRIPT)), BlamedRow(7, 0.2, 1, 0.9, ("first",))]


def link(row: int, chance: float | None, match: Match | None = None) -> Link:
    channels = {Channel.BM25: ChannelScore(12.5, 3)}
    return Link(row, 1, match, channels, 0.05, chance, Tier.T0 if match else None)


def traced(identity: str, *links: Link, note: str = "") -> Trace:
    claim = Response(identity, (Message("user", f"Who? {SCRIPT} [bold]", False),), ANSWER)
    span = SpanTrace(12, 12 + len(SCRIPT), SCRIPT, ("script",), 1, 999, links, note)
    return Trace(claim, (span,), (Skipped("influence", "needs the model"),))


# Row 24 is a markup attack answered by SCRIPT, see tests.hostile.
HOLDS = link(24, 0.001, Match(8, 8 + len(OWNED), OWNED, 20, 20 + len(OWNED)))
NEAR = link(30, None)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return hostile_audit(tmp_path_factory.mktemp("hostile")).corpus


def printed(renderable, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("links", "note", "says"),
    [
        ((link(1, 0.001, HOLDS.match), link(2, 0.04, HOLDS.match)), "", "2 rows stand out: at most 0.1 % of random phrases"),
        ((link(1, 0.3, HOLDS.match),), "", "No row stands out: 30 % of random phrases come as near to some row."),
        ((link(1, 0.001),), "", "No row holds enough of these words to be evidence."),
        ((), "no response holds these words", "No response holds these words."),
    ],
)
def test_the_verdict_on_a_span(links, note, says) -> None:
    assert verdict(traced("first", *links, note=note).spans[0]).startswith(says)


def test_the_terminal_shows_marks_and_evidence(corpus) -> None:
    text = printed(trace_report(traced("first", HOLDS, NEAR), corpus))
    words = " ".join(text.split())
    assert f"It was ⟨ESC⟩[31m«{SCRIPT}»⟨U+202E⟩ by night." in words
    assert f"#24 T0 holds the words chance at most 0.1 % <script>«{OWNED}»</script>" in words
    assert "#30 near only" in words
    assert "BM25 12.50 (3)" in text
    assert "influence: needs the model" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert max(map(len, text.splitlines())) <= 80


def test_blame_is_a_table(corpus) -> None:
    text = printed(blame_report(BLAME, corpus, 2, n_shown=1))
    assert "2 rows behind 2 answers, the 1 most blamed" in text
    assert re.search(r"#5 +1\.50 +2 +0\.1 %", text)


def test_the_json_is_valid_and_complete(corpus) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == TRACE_SCHEMA
    report = trace_json([traced("first", HOLDS, NEAR), traced(SCRIPT)], corpus, BLAME)
    content = json.loads(report)
    assert list(Draft202012Validator(SCHEMA).iter_errors(content)) == []
    found = content["claims"][0]["spans"][0]["links"][0]
    assert found["row"] == {"file": corpus.id(24).file, "index": 24, "line": 25}
    assert found["match"] == {"start": 8, "end": 30, "text": OWNED, "claim_start": 20, "claim_end": 42}
    assert found["channels"] == {"bm25": {"value": 12.5, "rank": 3}}
    assert content["blame"][0]["claims"] == ["first", SCRIPT]
    assert content["not_looked_at"] == [{"what": "influence", "why": "needs the model"}]


def test_the_page_marks_both_sides_and_escapes(corpus) -> None:
    traces = [traced("first", HOLDS, NEAR), traced(SCRIPT, NEAR)]
    files = render_traces(traces, corpus, BLAME)
    page = files["report.html"].decode()
    assert files == render_traces(traces, corpus, BLAME)
    assert page.count("<script") == 1
    assert f"<mark>{SCRIPT.replace('<', '&lt;').replace('>', '&gt;').replace(chr(39), '&#39;')}</mark>" in page
    assert f"&lt;script&gt;<mark>{OWNED.replace(chr(39), '&#39;')}</mark>&lt;/script&gt;" in page
    assert "Where 2 false answers come from" in page
    assert 'href="#answer-2"' in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)


def test_a_single_answer_needs_no_blame(corpus) -> None:
    page = trace_html([traced("first", HOLDS)], corpus, BLAME).decode()
    assert "Where a false answer comes from" in page
    assert 'id="blame"' not in page


def test_many_answers_fit_and_what_is_left_out_is_said(corpus) -> None:
    traces = [traced(f"answer {n}", *[HOLDS, link(n % len(ATTACKS), None)] * 10) for n in range(1000)]
    blame = [BlamedRow(row % 60, 1.0, 1, 0.5, ("answer 1",)) for row in range(1000)]
    page = trace_html(traces, corpus, blame)
    assert len(page) <= MAX_PAGE_BYTES
    assert re.search(r"\d+ of 1,000 shown, spread evenly", page.decode())
    assert "The 50 most blamed of 1,000 rows" in page.decode()
    assert re.search(r"\d+ of 20 rows shown", page.decode())
