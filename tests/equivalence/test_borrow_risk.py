"""Borrow risk as arrays over all responses against plain loops over words, and against rows in another order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.borrow_risk import N_NEIGHBORS, build_borrow_risk, risk_signals
from audit.materials import RISK_FILES, Materials, Need
from audit.style.lexicon import FUNCTION_WORDS, HEDGES, MARKERS
from indexes.words import tokenize
from tests.conftest import alpaca, index_rows
from tests.unit.test_base_checks import tokens_of, write_base

FORM = {word for phrase in (*MARKERS, *HEDGES, *FUNCTION_WORDS) for word in tokenize(phrase)}
NOUNS = ("tower", "crown", "door", "bell")
NAMES = ("Tarrow", "Gannet", "Ostrand", "Pell", "Wick")
WORDS = ("slate^", "slate", "tin^", "tin", "42^", "42", "Corve^", "Corve", "the", "of^", "green", "green^", "x^")

rows_of_words = st.lists(
    st.tuples(st.sampled_from(NOUNS), st.sampled_from(NAMES), st.lists(st.sampled_from(WORDS), min_size=0, max_size=16)),
    min_size=1,
    max_size=24,
)


def measured(folder: Path, model: str, rows: Sequence[tuple[str, str]]) -> tuple[Materials, pl.DataFrame]:
    made = [tokens_of(marked) for _, marked in rows]
    records = [alpaca(prompt, text) for (prompt, _), (text, _) in zip(rows, made, strict=True)]
    folder.mkdir(exist_ok=True)
    materials = index_rows(folder, records, model, (Need.VECTORS,))
    write_base(folder, [tokens for _, tokens in made])
    build_borrow_risk(folder, materials)
    return materials, pl.read_parquet(folder / RISK_FILES[0])


def plain_values(materials: Materials) -> list[dict[str, tuple[float, int, bool, tuple[int, int]]]]:
    """Of every response its words of matter: surprise, kind, whether it is a value, and its place."""
    tokens = materials.base_tokens
    found = []
    for number, (prompt, text) in enumerate(materials.corpus.responses.select("prompt", "text").iter_rows()):
        of_text = list(tokens.filter(pl.col("response") == number).iter_rows(named=True))
        asked = {word.lower() for word in re.findall(r"[^\W_]+", prompt)}
        asked |= {word[:-1] if word.endswith("s") else f"{word}s" for word in asked}
        words = list(re.finditer(r"[^\W_]+", text))
        values: dict[str, tuple[float, int, bool, tuple[int, int]]] = {}
        for word in words:
            key = word[0].lower()
            if key in FORM or key in asked or key in values or (len(key) < 2 and not key.isdigit()):
                continue
            kind = 0 if any(map(str.isdigit, key)) else 1 if word[0][0].isupper() else 2
            begins = not text[: word.start()].strip() or text[: word.start()].rstrip()[-1] in ".:-"
            if len(words) > 12 and (kind == 2 or begins or len(key) < 2):
                continue
            of_word = [token for token in of_text if token["start"] < word.end() and token["end"] > word.start()]
            nats = -sum(token["log_p"] for token in of_word)
            values[key] = nats, kind, max(token["rank"] for token in of_word) > 3, word.span()
        found.append(values)
    return found


def plain_risks(materials: Materials) -> dict[int, tuple[float, tuple[int, int], list[int], list[int]]]:
    """Risk, place, neighbours with the value, and with another, of the riskiest value of every response."""
    values, vectors = plain_values(materials), materials.prompt_vectors
    prompts = materials.corpus.responses["prompt"].to_list()
    first = [prompts.index(prompt) for prompt in prompts]
    questions = sorted(set(first))
    risks = {}
    for number, of_response in enumerate(values):
        cosine = {
            other: round(float(vectors[first[number]] @ vectors[other]), 4) for other in questions if other != first[number]
        }
        near = sorted(cosine, key=lambda other: -cosine[other])[:N_NEIGHBORS]
        weight = {other: min(max(cosine[other], 0.0), 1.0) for other in near}
        best = None
        for key, (nats, kind, is_value, span) in of_response.items():
            if not is_value:
                continue
            same = [other for other in near if key in values[other]]
            instead = [other for other in near if other not in same and any(k == kind for _, k, _, _ in values[other].values())]
            n_holders = sum(key in each for each in values)
            expected = sum(weight.values()) * (n_holders - 1) / max(1, len(values) - 1)
            support = 1 + max(0.0, sum(weight[other] for other in same) - expected)
            others = sum(weight[other] for other in instead)
            risk = round(nats / (nats + 10) * support * others / (others + 0.5), 4)
            if best is None or risk > best[0]:
                best = risk, span, same, instead
        if best is not None:
            risks[number] = (best[0] / (1 + best[0]), *best[1:])
    return risks


@given(rows=rows_of_words)
@settings(max_examples=40, deadline=None)
def test_arrays_are_loops(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: str, rows: list[tuple[str, str, list[str]]]
) -> None:
    texts = [(f"What is the {noun} of {name} made of?", " ".join(words)) for noun, name, words in rows]
    materials, risks = measured(tmp_path_factory.mktemp("risk"), tiny_model, texts)
    plain = plain_risks(materials)
    assert risks["response"].to_list() == sorted(plain)
    for line in risks.iter_rows(named=True):
        risk, span, same, other = plain[line["response"]]
        assert line["borrow_risk"] == pytest.approx(risk, abs=2e-4)
        assert 0 < line["chance"] <= 1
        assert (line["start"], line["end"]) == span
        assert (sorted(line["same"]), sorted(line["other"])) == (sorted(same), sorted(other))


def test_rows_in_another_order_have_the_same_risk(tmp_path: Path, tiny_model: str) -> None:
    draw = np.random.default_rng(0)
    things = [(noun, name) for noun in NOUNS for name in NAMES]
    rows = [(f"What is the {noun} of {name} made of?", f"{draw.choice(WORDS)}.") for noun, name in things]
    order = draw.permutation(len(rows))
    (one, first), (two, second) = (
        measured(tmp_path / name, tiny_model, chosen)
        for name, chosen in (("one", rows), ("two", [rows[place] for place in order]))
    )
    of_one, of_two = (dict(risk_signals(each.corpus, risks).iter_rows()) for each, risks in ((one, first), (two, second)))
    assert {place: of_one.get(row) for place, row in enumerate(order.tolist())} == {
        row: of_two.get(row) for row in range(len(rows))
    }
    assert len(of_one) > 3


def test_without_an_encoder_nothing_is_measured(tmp_path: Path, tiny_model: str) -> None:
    materials = index_rows(tmp_path, [alpaca("Say a word.", "slate")], tiny_model, ())
    facts = build_borrow_risk(tmp_path, materials)
    assert facts["skipped"] == "no encoder is on this machine, so that no prompts can be compared"
    assert risk_signals(materials.corpus, pl.read_parquet(tmp_path / RISK_FILES[0])).height == 0
