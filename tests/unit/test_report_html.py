"""The HTML report: whatever a dataset holds, it is one small, inert, reproducible page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from audit.checks import CHECKS
from audit.findings import Evidence, Finding, Severity
from reports.html import audit_html
from reports.page import MAX_PAGE_BYTES
from tests.hostile import OWNED, Audited, audit_file, hostile_audit

VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Tags with their attributes; fails where tags are not closed in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        assert self._open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data) -> None:
        self.text.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Audited:
    return hostile_audit(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def page(hostile) -> bytes:
    return audit_html(*hostile)


def test_hostile_text_is_text(page) -> None:
    parsed = Page(page)
    assert len(parsed.all("script")) == 1
    assert not parsed.all("img")
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert all((attributes.get("href") or "#").startswith(("#", "data:")) for _, attributes in parsed.tags)
    assert not any({"src", "action", "srcdoc", "formaction"} & attributes.keys() for _, attributes in parsed.tags)
    assert OWNED in "".join(parsed.text)
    assert "{{7*7}}" in "".join(parsed.text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff\u2028]", page.decode())


def test_the_policy_allows_the_one_script_and_nothing_else(page) -> None:
    policy = next(meta["content"] for meta in Page(page).all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    script = re.search(rb"<script>(.*?)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(
        rb"https?://(?!www\.w3\.org/2000/svg)", script + re.search(rb"<style>(.*?)</style>", page, re.DOTALL)[1]
    )


def test_identifiers_are_distinct_and_links_lead_somewhere(page) -> None:
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for attributes in parsed.all("a")}
    assert targets <= set(ids)
    labels = {attributes["aria-labelledby"] for _, attributes in parsed.tags if "aria-labelledby" in attributes}
    assert labels <= set(ids)


def test_the_same_audit_gives_the_same_bytes(hostile, page) -> None:
    assert audit_html(*hostile) == page


def test_rows_of_a_megabyte_are_shortened_and_it_is_said(page) -> None:
    assert len(page) < MAX_PAGE_BYTES
    assert re.search(r"… [\d,]{7,} characters not shown", page.decode())


def test_a_hundred_thousand_findings_fit(tmp_path) -> None:
    path = tmp_path / "many.jsonl"
    text = "<&\"'\x1b>" * 700
    rows = (json.dumps({"instruction": f"{number} {text}", "output": text}) for number in range(2000))
    path.write_text("\n".join(rows), "utf-8")
    findings = [
        Finding(check.code, number % 2000, 1, check.severity, text, Evidence("m", related=((number + 1) % 2000,)))
        for check in CHECKS
        for number in range(100_000 // len(CHECKS))
    ]
    page = audit_html(*audit_file(path, findings))
    assert 100_000 < len(page) <= MAX_PAGE_BYTES
    assert re.search(rf"\d+ of {len(findings):,} shown: up to \d+ of each check, spread evenly", page.decode())


def test_a_finding_in_a_long_conversation_is_shown_in_its_place(tmp_path) -> None:
    path = tmp_path / "chat.jsonl"
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"message {n}"} for n in range(40)]
    turns[21]["tool_calls"] = [{"function": {"name": "<b>look</b>"}}]
    path.write_text(json.dumps({"messages": turns}), "utf-8")
    finding = Finding("TXT002", 0, 21, Severity.INFO, "There.", Evidence(span=(0, 7)))
    page = audit_html(*audit_file(path, [finding])).decode()
    assert "<mark>message</mark> 21" in page
    assert "message 20" in page
    assert "message 25" in page
    assert "message 26" not in page
    assert "34 further messages of this row not shown" in page
    assert "&lt;b&gt;look&lt;/b&gt;" in page


def test_duplicates_are_compared_word_by_word(tmp_path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [("Name three rivers.", "Oder"), ("Name four rivers.", "Oder"), ("Name four rivers.", "Oder")]
    path.write_text("\n".join(json.dumps({"instruction": a, "output": b}) for a, b in rows), "utf-8")
    findings = [Finding("DUP002", row, None, Severity.WARNING, "Like it.", Evidence(related=(0,))) for row in (1, 2)]
    findings.append(Finding("DUP001", 2, None, Severity.WARNING, "The same.", Evidence(related=(1, 0))))
    page = audit_html(*audit_file(path, findings)).decode()
    assert "Name <mark>four</mark> rivers." in page
    assert "Name <mark>three</mark> rivers." in page
    assert "same text" in page
    assert "has the same messages, character for character" in page
    assert "Matches as well: <bdi>pairs.jsonl#0</bdi>" in page


def test_an_audit_without_findings_says_so(tmp_path) -> None:
    path = tmp_path / "clean.jsonl"
    path.write_text('{"instruction": "Ask.", "output": "Answer."}\n', "utf-8")
    audited = audit_file(path, [])
    text = "".join(Page(audit_html(*audited._replace(summary=replace(audited.summary, limit=1)))).text)
    assert f"Nothing found by {len(CHECKS)} checks in 1 row." in text
    assert "rows after the first 1" in text
    assert "How long the responses are" in text


def test_a_dataset_without_responses_has_no_histogram(tmp_path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Hello?"}]}\n', "utf-8")
    finding = Finding("FMT005", 0, None, Severity.WARNING, "No turn is trained on.")
    page = audit_html(*audit_file(path, [finding])).decode()
    assert "Hello?" in page
    assert "How long the responses are" not in page
