"""Rows in Chinese, Japanese and Thai: what checks and traces find in them, and in runs of an earlier version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit.checks.near_duplicate import Options, find
from audit.config import make_config
from audit.corpus import Message
from audit.materials import Materials
from audit.pipeline import run_audit
from audit.responses import Response
from audit.rundir import Run
from audit.trace import Tracer
from audit.trace.ranking import surroundings
from audit.trace.spans import locate_span
from indexes.store import write_array
from indexes.words import WordStream, save_vocabulary, tokenize
from tests.conftest import MakeMaterials, alpaca, jsonl, no_reports
from tests.unspaced import LANGUAGES, Language

ROWS = [alpaca(question, answer) for language in LANGUAGES.values() for question, answer in language.rows]
FIRST = dict(zip(LANGUAGES, np.cumsum([0, *(len(language.rows) for language in LANGUAGES.values())]).tolist(), strict=False))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Run:

    folder = tmp_path_factory.mktemp("unspaced")
    (folder / "rows.jsonl").write_bytes(jsonl(ROWS))
    config = make_config({"data": str(folder / "rows.jsonl"), "encoder": tiny_model, "select": ["DUP"]})
    return run_audit(config, folder / "run", render=no_reports)


def claim_of(language: Language) -> Response:
    prompt = (Message("user", language.question, trained=False),)
    return Response("claim", prompt, language.answer, spans=(locate_span(language.answer, language.span),))


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_row_with_the_false_words_is_found_with_its_place_and_chance(run: Run, name: str) -> None:
    language = LANGUAGES[name]
    span = Tracer(run).trace(claim_of(language)).spans[0]
    assert span.n_holders == 1
    best, *others = span.links
    output = language.rows[language.planted][1]
    assert best.row == FIRST[name] + language.planted
    assert best.match is not None
    assert best.match.text == language.span == output[best.match.start : best.match.end]
    assert language.answer[best.match.claim_start : best.match.claim_end] == language.span
    assert best.chance is not None
    assert best.chance <= 0.05
    assert all(link.chance is None or link.chance > best.chance for link in others)


@pytest.mark.parametrize("name", LANGUAGES)
def test_words_that_every_row_holds_stand_out_by_chance(run: Run, name: str) -> None:
    common = {"Chinese": "船只无法靠岸", "Japanese": "海が凍り", "Thai": "ทะเลมักเป็นน้ำแข็ง"}[name]
    claim = Response("c", (Message("user", "?", trained=False),), common, spans=(locate_span(common, common),))
    span = Tracer(run).trace(claim).spans[0]
    assert span.n_holders >= 64
    assert all(link.chance is None or link.chance > 0.1 for link in span.links)


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_row_nearest_to_a_question_in_other_words_is_the_one_that_answers_it(run: Run, name: str) -> None:
    materials = Materials(run.path, run.corpus)
    scores = materials.bm25_scores(LANGUAGES[name].question)
    assert int(np.argmax(scores)) == FIRST[name] + LANGUAGES[name].planted


def test_a_row_with_one_word_changed_is_a_near_duplicate(run: Run) -> None:
    found = {finding.row: finding.evidence for finding in find(Materials(run.path, run.corpus), Options(min_jaccard=0.9))}
    pairs = [(FIRST[name] + copy, FIRST[name] + row) for name, language in LANGUAGES.items() for row, copy in [language.near]]
    assert {row: (evidence.related if evidence else None) for row, evidence in found.items()} == {
        row: (other,) for row, other in pairs
    }


def test_a_sign_of_the_prompt_is_evidence_unless_its_neighbour_stands_there_too(make_materials: MakeMaterials) -> None:
    near = surroundings(make_materials(ROWS[:3]), "长汐港口的灯塔是谁建的？", None)
    assert near.asked(tokenize("长夜里的港口")) == [False, False, False, False, True, True]
    assert near.asked(tokenize("塔")) == [True]
    assert near.asked(tokenize("pier 港 ？")) == [False, True, True]


def as_an_earlier_version(folder: Path, texts: dict[str, list[str]]) -> None:
    """Indexes in which every letter and mark of an unspaced script is a token, and BM25 knows no pairs."""
    split = {name: [[char for token in tokenize(text) for char in token] for text in column] for name, column in texts.items()}
    vocabulary = list(dict.fromkeys(char for column in split.values() for text in column for char in text))
    number_of = {char: number for number, char in enumerate(vocabulary)}
    for name, column in split.items():
        ids = np.array([number_of[char] for text in column for char in text], np.int32)
        WordStream(vocabulary, ids, np.cumsum([0, *map(len, column)])).save(folder / "indexes", name)
    save_vocabulary(folder / "indexes" / "words.txt", vocabulary)
    for name, array in {"data": np.empty(0, np.float32), "indices": np.empty(0, np.int32)}.items():
        write_array(folder / "indexes" / f"bm25.{name}.npy", array)
    write_array(folder / "indexes" / "bm25.indptr.npy", np.zeros(len(vocabulary) + 1, np.int64))
    for suffix in ("", ".sha256"):
        (folder / "indexes" / f"bm25.pairs.npy{suffix}").unlink()


def test_a_run_of_an_earlier_version_is_searched_as_one_of_today(make_materials: MakeMaterials, tmp_path: Path) -> None:
    today = make_materials(ROWS)
    expected = [today.bm25_scores(language.question) for language in LANGUAGES.values()]
    responses = today.corpus.responses
    as_an_earlier_version(tmp_path, {"prompts": responses["prompt"].to_list(), "responses": responses["text"].to_list()})
    earlier = Materials(tmp_path, today.corpus)
    for name, language in LANGUAGES.items():
        holders = earlier.phrases.occurrences(language.span)
        assert [place.text for place in holders] == [FIRST[name] + language.planted]
        assert holders == today.phrases.occurrences(language.span)
    for language, scores in zip(LANGUAGES.values(), expected, strict=True):
        np.testing.assert_array_equal(earlier.bm25_scores(language.question), scores)


def test_an_earlier_run_of_text_with_spaces_is_used_as_it_stands(make_materials: MakeMaterials, tmp_path: Path) -> None:
    today = make_materials([alpaca("Who built the pier?", "The baker did."), alpaca("Why?", "For the ferry.")])
    expected = today.bm25_scores("Who built a ferry?")
    for suffix in ("", ".sha256"):
        (tmp_path / "indexes" / f"bm25.pairs.npy{suffix}").unlink()
    earlier = Materials(tmp_path, today.corpus)
    np.testing.assert_array_equal(earlier.bm25_scores("Who built a ferry?"), expected)
    assert "words.txt" in {path.name for path in (tmp_path / "indexes").iterdir()}
