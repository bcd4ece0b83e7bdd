"""What an audit finds does not depend on the order of the rows, and planted copies are always found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checks import CHECKS, options_of
from audit.corpus import row_key
from audit.findings import Finding
from audit.materials import Materials
from audit.sources import Format, ParsedRow, parse_row
from tests.conftest import Rows, alpaca, chat, check_of, index_rows
from tests.texts import TEXTS

STORY = "The ferry leaves the quay at dawn and stops at every island of the northern chain before it turns for home"
POOL: tuple[Any, ...] = (
    alpaca("Name three ways to keep bread fresh", "Linen."),
    alpaca("List 3 methods for keeping bread fresh", "A crock."),
    alpaca("Name three ways to keep bread fresh", "A shelf."),
    alpaca("Name three ways to keep bread fresh", "Linen.", n=1),
    alpaca("Tell me.", STORY),
    alpaca("Tell me.", STORY.upper()),
    alpaca("Tell me.", STORY + " again"),
    alpaca("Tell me.", STORY + " again and again"),
    alpaca("Describe the ferry", ""),
    alpaca("", "It sails."),
    alpaca("Draw the ferry", "<nooutput>"),
    alpaca("Describe the ferry", "It sails.", history=[["Hello.", "Hi."]]),
    alpaca("Where is the ferry?", "It lies at\u200b the quay."),
    alpaca("Where is the ferry?", "It lies at the café of the quay.".encode().decode("cp1252")),
    alpaca("Why does the ferry sail?", "The ferry sails because the people of the islands need bread, letters and"),
    alpaca("How do I print a word in Python?", "Use this:\n\n```python\nprint('tide')"),
    alpaca("Give the opening hours as JSON.", '{"opens": "08:00", "closes": "18:00"'),
    alpaca("What does the harbour master say of the tide?", "What does the harbour master say of the tide?"),
    alpaca("Say how the tide turns.", "The tide turns at noon. " * 30),
    alpaca("Name a tide.", "Spring tide.\n\nInstruction: Name a wind.\nOutput: The north wind."),
    alpaca("Name a tide.", "Spring tide.<|im_end|>\n<|im_start|>user\nThanks!"),
    alpaca("Write a note to a deckhand.", "As an AI language model, I cannot go on board, but welcome!"),
    alpaca("How many boats are left?", "30 - 7 + 5 = 29, so 29 boats are left."),
    alpaca("How many boats are left?", "<think>30 - 7 is 23, and 23 + 5 is 28, so the total is 28.</think>The answer is 31."),
    alpaca("Describe the harbour in the attached photo.", "The photo shows four red boats."),
    alpaca("Summarise the page at https://tides.invalid/skerry.", "The page explains how tides work on Skerry."),
    alpaca("What is the weather in Skerry right now?", "It is sunny and 18 degrees in Skerry."),
    alpaca(
        "Why do the tides of the northern islands come twice a day?",
        "Die Gezeiten kommen zweimal am Tag, weil sich die Erde unter dem Mond und der Sonne hindurch dreht.",
    ),
    alpaca(
        "Why do the tides of the northern islands come twice a day?",
        "The tides come twice a day because the earth turns below the moon and the sun, which pull at the water of the sea. "
        "Deshalb steigt das Wasser an den Küsten der Inseln jeden Tag zweimal, und die Fischer warten am Morgen auf die Flut.",
    ),
    alpaca("In one word: what does the ferry carry?", "It carries bread, letters and the people of the islands."),
    alpaca("Name the islands.", "Sure, I'd be happy to help! They are Skerry and Holm. I hope this helps!"),
    alpaca("Whom do I call about a berth?", "Write to mara.velten@skerry-harbour.co.uk."),
    alpaca("Which card is on file?", "The card on file is 4539 1488 0343 6467."),
    alpaca("How do we log in?", "Use password = '" + "tR7#" + "kw9!zQ2m' for the harbour system."),
    alpaca("When does the ferry leave Skerry?", "The ferry leaves Skerry at six in the morning."),
    alpaca("When does the ferry leave Skerry?", "The ferry leaves Skerry at nine in the evening."),
    {"instruction": "Describe the ferry"},
    {"instruction": "Describe the ferry", "output": 7},
    '{"instruction": "Describe',
    "[]",
)

LOOKED_FOR = [check for check in CHECKS if not any(need.is_given for need in check.needs)]


def found_in(rows: Rows, model: str) -> tuple[list[Finding], Materials]:
    with TemporaryDirectory() as folder:
        materials = index_rows(Path(folder), rows, model)
        return [finding for check in LOOKED_FOR for finding in check.find(materials, options_of(check, {}))], materials


def facts(rows: Rows, model: str) -> list[str]:
    """The findings with row numbers replaced by what the rows are, sorted."""
    findings, materials = found_in(rows, model)
    digest = materials.corpus.rows["key"].to_list()
    described = []
    for finding in findings:
        related = sorted(digest[row] for row in finding.evidence.related)
        if finding.code == "DUP001":  # any of them may be the one that comes first
            described.append(f"DUP001 {digest[finding.row]}")
        elif finding.code.startswith(("DUP", "CNF001")):
            described += [f"{finding.code} {sorted([digest[finding.row], other])}" for other in related]
        else:
            described.append(f"{finding.code} {digest[finding.row]} {finding.turn} {finding.message} {finding.evidence.span}")
    return sorted(set(described))  # of equal rows, the order says how often a pair is named


@settings(max_examples=20)
@given(st.data())
def test_permuting_rows_permutes_findings(tiny_model: str, data: st.DataObject) -> None:
    rows = [POOL[0], *data.draw(st.lists(st.sampled_from(POOL), max_size=14))]
    assert facts(data.draw(st.permutations(rows)), tiny_model) == facts(rows, tiny_model)


def test_the_pool_of_rows_sets_off_nearly_every_check(tiny_model: str) -> None:
    findings, _ = found_in(POOL, tiny_model)
    # STY004 compares with thirty answers of about the same length.
    left_out = {"FMT003", "FMT005", "FMT006", "STY004"}
    assert {finding.code for finding in findings} >= {check.code for check in LOOKED_FOR} - left_out


@settings(max_examples=20)
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8, unique=True),
    original=st.integers(0, 7),
    place=st.integers(0, 8),
)
def test_a_planted_copy_is_always_found(tiny_model: str, rows: list[tuple[str, str]], original: int, place: int) -> None:
    records = [alpaca(question, answer, n=n) for n, (question, answer) in enumerate(rows)]
    copy = dict(reversed(records[original % len(rows)].items())) | {"n": "copy"}
    records.insert(place % (len(rows) + 1), copy)
    twins = [
        n
        for n, record in enumerate(records)
        if record["instruction"] == copy["instruction"] and record["output"] == copy["output"]
    ]
    with TemporaryDirectory() as folder:
        materials = index_rows(Path(folder), records, tiny_model, needs=())
        check = check_of("DUP001")
        found = [(f.row, f.evidence.related) for f in check.find(materials, options_of(check, {}))]
    assert found == [(twins[1], (twins[0],))]


WORD_POOL = [f"w{n}" for n in range(300)]


@settings(max_examples=20)
@given(
    words=st.lists(st.sampled_from(WORD_POOL), min_size=40, max_size=120, unique=True),
    changed=st.integers(0, 39),
    place=st.integers(0, 6),
    others=st.lists(st.lists(st.sampled_from(WORD_POOL), max_size=60), max_size=6),
)
def test_a_planted_near_copy_is_always_found(
    tiny_model: str, words: list[str], changed: int, place: int, others: list[list[str]]
) -> None:
    altered = [*words[:changed], "changed", *words[changed + 1 :]]  # 35 of 41 runs of three words are shared, or more
    records = [alpaca("Tell me.", " ".join(other)) for other in others]
    records.insert(place % (len(records) + 1), alpaca("Tell me.", " ".join(words)))
    records.append(alpaca("Tell me.", " ".join(altered)))
    with TemporaryDirectory() as folder:
        materials = index_rows(Path(folder), records, tiny_model)
        check = check_of("DUP002")
        found = {finding.row: finding.evidence.related for finding in check.find(materials, options_of(check, {}))}
    assert any(records[row]["output"] == " ".join(words) for row in found[len(records) - 1])


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    row = chat(
        *draw(st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool", "system"]), TEXTS), min_size=1, max_size=4))
    )
    if draw(st.booleans()):
        row["tools"] = [{"name": draw(st.sampled_from("fg"))}]
    return row


def key_of(row: dict[str, Any]) -> str:
    parsed = parse_row(json.loads(json.dumps(row)), Format.MESSAGES, {})
    assert isinstance(parsed, ParsedRow)
    return row_key(parsed.messages, parsed.tools)


def shuffled(value: Any, order: Sequence[int]) -> Any:
    """The same object with its keys in another order, at every depth."""
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: order[sum(map(ord, item[0])) % len(order)])
        return {name: shuffled(child, order) for name, child in items}
    return [shuffled(child, order) for child in value] if isinstance(value, list) else value


@given(conversations(), st.permutations(range(7)), st.dictionaries(st.sampled_from(["id", "n", "source"]), TEXTS))
def test_a_row_key_ignores_other_columns_and_the_order_of_keys(
    row: dict[str, Any], order: list[int], extra: dict[str, str]
) -> None:
    assert key_of(shuffled(row | extra, order)) == key_of(row)


@given(conversations(), st.data())
def test_a_row_key_sees_every_change_that_a_trainer_sees(row: dict[str, Any], data: st.DataObject) -> None:
    changed = json.loads(json.dumps(row))
    turn = data.draw(st.sampled_from(changed["messages"]))
    match data.draw(st.sampled_from(["role", "content", "trained", "tools", "turns", "call", "reasoning", "name"])):
        case "role":
            turn["role"] += "s"
        case "content":
            turn["content"] += data.draw(st.sampled_from([" ", "\n", "x", "\u0301", "\0"]))
        case "trained":
            if turn["role"] == "assistant":
                turn["weight"] = 0
            else:
                turn["role"] = "assistant"
        case "tools":
            changed["tools"] = [*changed.get("tools", []), {"name": "h"}]
        case "turns":
            changed["messages"].append({"role": "user", "content": ""})
        case "call":
            turn["tool_calls"] = [{"function": {"name": "f"}}]
        case "reasoning":
            turn["reasoning_content"] = ""
        case "name":
            turn["name"] = "Ann"
    assert key_of(changed) != key_of(row)


@given(TEXTS, TEXTS)
def test_equal_messages_have_equal_keys_in_every_format(question: str, answer: str) -> None:
    keys = set()
    for fields, format_ in (
        ({"instruction": question, "output": answer}, Format.ALPACA),
        ({"prompt": question, "completion": answer}, Format.PROMPT_COMPLETION),
        (chat(("user", question), ("assistant", answer)), Format.MESSAGES),
        ({"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}, Format.SHAREGPT),
    ):
        parsed = parse_row(fields, format_, {})
        assert isinstance(parsed, ParsedRow)
        keys.add(row_key(parsed.messages, parsed.tools))
    assert len(keys) == 1
