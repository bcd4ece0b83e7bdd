"""The Markdown report: nothing of a dataset acts in it, it keeps within its room, and says what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from audit.findings import Evidence, Finding, Severity
from audit.summary import Changes, CodeChange, SuppressedCount
from reports.markdown import MAX_CHARACTERS, audit_markdown, code_block, code_span, prose
from reports.visible import one_line
from tests.hostile import ATTACKS, Audited, audit_file, hostile_audit

# HTML within Markdown is on, as it is on GitHub.
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OURS = set("h2 p strong table thead tbody tr th td details summary ul li code pre".split())
ACTING = (
    "@someone please look",
    "#1 and org/repo#2 and GH-3",
    "https://example.org www.example.org someone@example.org",
    "![image](https://example.org/x.png) [link](javascript:alert(1))",
    "| cell | cell |",
    "`one` ``two`` ```three```",
    "\n# heading\n- list\n\n    code",
    "$x$ :smile: ~~gone~~ **bold** __bold__ <b>bold</b> &amp; \\",
)


class Tags(HTMLParser):
    """The elements of a page, and the text outside of code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self._code = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.names.append(tag)
        self._code += tag == "code"

    def handle_endtag(self, tag) -> None:
        self._code -= tag == "code"

    def handle_data(self, data) -> None:
        self.text += "" if self._code else data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Audited:
    return hostile_audit(tmp_path_factory.mktemp("hostile"))


def test_nothing_of_a_hostile_dataset_acts(hostile) -> None:
    text = audit_markdown(*hostile[:3], Path("run `x` $(y)\n# z"))
    tags = Tags(MARKDOWN.render(text))
    assert set(tags.names) <= OURS
    assert tags.names.count("table") == tags.names.count("details") == tags.names.count("pre") == 1
    assert not any(sign in tags.text for sign in ("@", "://", "javascript", "onerror", "\x1b", "\u202e", "\u200b"))
    assert text == audit_markdown(*hostile[:3], Path("run `x` $(y)\n# z"))


@pytest.mark.parametrize("attack", [*ATTACKS, *ACTING])
def test_a_message_or_quote_cannot_act(tmp_path, attack) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "Ask.", "output": "one"}\n', "utf-8")
    evidence = Evidence(quote=attack + " ")
    audited = audit_file(path, [Finding("TXT002", 0, 1, Severity.INFO, f"It says {attack}", evidence)])
    tags = Tags(MARKDOWN.render(audit_markdown(*audited[:3], Path("run"))))
    plain = Tags(MARKDOWN.render(audit_markdown(audited.summary, audited.corpus, audited.findings, Path("run"))))
    assert set(tags.names) <= OURS
    assert [name for name in tags.names if name != "code"] == [name for name in plain.names if name != "code"]
    assert not set(tags.text) & set("@#`|<>[]{}$~*&\\")
    assert not any(sign in tags.text for sign in ("://", "www.", "GH-", ":smile:"))


@given(st.text(max_size=40) | st.lists(st.sampled_from(["`", "``", "|", " ", "a", "\n", "<b>", "\\"])).map("".join))
def test_a_code_span_shows_its_text_and_nothing_else(text) -> None:
    tags = Tags(MARKDOWN.render(f"| before |\n|---|\n| x {code_span(text, 100)} y |\n"))
    assert tags.names == [
        *"table thead tr th tbody tr td".split(),
        *(["code"] if one_line(text, 100).strip() else []),
    ]
    assert tags.text.replace("\n", "").startswith("beforex ")
    assert tags.text.replace("\n", "").endswith(" y")


@given(st.lists(st.sampled_from(["```", "~~~", "`", "\n", "a", "# b", "<pre>", "</pre>"])).map("".join))
def test_nothing_ends_a_code_block(text) -> None:
    assert Tags(MARKDOWN.render(f"{code_block(text)}\nafter")).names == ["pre", "code", "p"]


def test_a_sentence_keeps_its_words_and_marks_what_acts() -> None:
    assert (
        prose("Shares 80% of its 3-word runs with data.jsonl#1.", 100) == "Shares 80% of its 3-word runs with `data.jsonl#1`."
    )
    assert prose("The prompt is empty.", 100) == "The prompt is empty."
    assert prose("Ask @you, or www.example.org now", 100) == "Ask `@you`, or `www.example.org` now"


def test_a_report_in_full(tmp_path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "Ask | tell.", "output": "N/A"}\n{"instruction": "B?", "output": "b"}\n', "utf-8")
    found = [
        Finding("TXT002", 0, 1, Severity.WARNING, "The response is a placeholder: N/A", Evidence(quote="N/A")),
        Finding("DUP001", 1, None, Severity.INFO, "The same as data.jsonl#0.", Evidence(related=(0,))),
    ]
    audited = audit_file(path, found)
    summary = replace(
        audited.summary,
        suppressed=(SuppressedCount("config", "known jokes", 2),),
        changes=Changes("old", 1, 2, 3, (CodeChange("DUP001", 1, 4, 5),), 0, 0),
        notes=("suppress rule 1: fits no finding",),
    )
    assert audit_markdown(summary, audited.corpus, audited.findings, Path("my run")) == (
        "## tunescope: `data.jsonl`\n\n"
        "**2 findings** in 2 of 2 rows: 🟡 1 warning, 🔵 1 info.\n\n"
        "2 findings set aside: 2 by the configuration (known jokes).\n\n"
        "Since `old`: 1 new finding, 4 gone; 1 new row, 2 gone.\n\n"
        "| code | finding | severity | findings | rows | share of rows |\n"
        "|---|---|---|---:|---:|---:|\n"
        "| DUP001 | exact duplicate | 🟡 warning | 1 | 1 | 50.0 % |\n"
        "| TXT002 | placeholder response | 🟡 warning | 1 | 1 | 50.0 % |\n\n"
        "<details><summary>Examples</summary>\n\n"
        "**DUP001** exact duplicate: Keep the first of each group.\n\n"
        "- `data.jsonl#1`, line 2: The same as `data.jsonl#0`. `B?`\n\n"
        "**TXT002** placeholder response: Supply the answer, or drop the row.\n\n"
        "- `data.jsonl#0`, line 1: The response is a placeholder: N/A\n\n"
        "</details>\n\n"
        "Notes:\n\n"
        "- suppress rule 1: fits no finding\n\n"
        "Not looked at:\n\n"
        "- whether the answers are true: nothing compares them with a source\n\n"
        "All of it: `my run/report.html`.\n\n"
        "```sh\n"
        "tunescope explain DUP001  # what a code means, how to mend it\n"
        "tunescope export 'my run' -o cleaned.jsonl --drop DUP001,TXT002 --dry-run  # what a cleaned copy would lose\n"
        "```\n"
    )


def test_what_does_not_fit_is_left_out_and_said(hostile) -> None:
    full = audit_markdown(*hostile[:3], Path("run"))
    assert len(full) <= MAX_CHARACTERS
    fewer = audit_markdown(*hostile[:3], Path("run"), len(full) - 1)
    assert "(2 of 7)" in fewer
    assert len(fewer) < len(full)
    none = audit_markdown(*hostile[:3], Path("run"), 1400)
    assert "Examples were left out: they do not fit." in none
    assert set(Tags(MARKDOWN.render(none)).names) <= OURS
    cut = audit_markdown(*hostile[:3], Path("run"), 500)
    assert len(cut) <= 500
    assert cut.endswith("…\n\nThe rest was left out: a comment takes 500 characters.\n")


def test_an_audit_without_findings_says_so(tmp_path) -> None:
    path = tmp_path / "clean.jsonl"
    path.write_text('{"instruction": "Ask.", "output": "Answer."}\n', "utf-8")
    audited = audit_file(path, [])
    text = audit_markdown(*audited[:3], Path("run"))
    assert f"**Nothing found** in 1 row by {len(audited.summary.checks)} checks.\n" in text
    assert "|" not in text
