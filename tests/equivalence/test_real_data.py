"""The same twins on real rows, where the folder of real data is at hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from audit.export.writers import write_rows
from audit.sources import Container, detect_container
from indexes.minhash import jaccard_pairs, jaccard_pairs_plain, shingle_sets
from indexes.phrases import PhraseIndex, occurrences_plain
from indexes.words import WordStream, is_sign, is_word, normalize, terms_of, tokenize, tokenize_with_offsets
from tests.conftest import read_dataset
from tests.equivalence.test_words import TOKEN


@pytest.fixture(scope="module")
def answers(shared_data: Path) -> list[str]:
    with (shared_data / "alpaca" / "alpaca_21k.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line)["output"] for line, _ in zip(file, range(4000), strict=False)]


def test_tokens_are_the_same_with_and_without_offsets(answers: list[str]) -> None:
    for answer in answers:
        tokens = tokenize_with_offsets(answer)
        assert [token.text for token in tokens] == tokenize(answer)


def test_tokens_are_those_of_one_plain_pattern(answers: list[str]) -> None:
    for answer in answers:
        if not any(map(is_sign, tokenize(answer))):
            assert tokenize(answer) == TOKEN.findall(normalize(answer))
            assert terms_of(tokenize(answer)) == [(token,) for token in tokenize(answer) if is_word(token)]


def test_no_near_duplicate_is_missed(answers: list[str]) -> None:
    sets = shingle_sets(WordStream.of(answers + [answer + " Indeed." for answer in answers[::4]]), 3)
    found, plain = jaccard_pairs(sets, 0.8), jaccard_pairs_plain(sets, 0.8)
    assert len(plain.later) > 500
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_occurrence_is_found(answers: list[str]) -> None:
    answers = answers[:1000]
    index = PhraseIndex(WordStream.of(answers))
    for answer in answers[::100]:
        tokens = tokenize_with_offsets(answer)
        for n_tokens in (1, 2, 4):
            span = answer[tokens[0].start : tokens[min(n_tokens, len(tokens)) - 1].end]
            assert index.occurrences(span) == occurrences_plain(answers, span)
            assert index.n_texts_with(span) >= 1


@pytest.mark.parametrize("name", ["dolly/dolly_3k.json", "code/code_alpaca_2k.json", "alpaca/alpaca_random_9k_quality.jsonl"])
def test_an_export_without_any_drop_is_the_file(shared_data: Path, tmp_path: Path, name: str) -> None:
    source = shared_data / name
    corpus, summary = read_dataset(tmp_path, source.name, source.read_bytes())
    assert summary.n_rows > 1900
    assert summary.n_unreadable == summary.n_malformed == 0
    buffer = io.BytesIO()
    container = detect_container(source)
    assert container in (Container.JSON, Container.JSONL)
    write_rows(source, container, corpus.rows, range(len(corpus)), container, buffer)
    assert buffer.getvalue() == source.read_bytes()
