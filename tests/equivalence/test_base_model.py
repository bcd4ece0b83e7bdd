"""The pass of the base model against one sequence at a time, and arrays over blocks of responses against plain loops."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from audit.checks.under_base import initiation_of
from audit.materials import BASE_FILES
from audit.shift.profile import start_length
from audit.shift.sentences import sentence_spans
from audit.signals import base_model, base_signals, build_base_model, given_tokens, open_base_model
from audit.signals.base_model import TOKEN_SCHEMA
from audit.signals.base_words import Block, hashes_of, words_of
from tests.conftest import ReadRows, chat
from tests.models import tiny_model
from tests.texts import TEXTS

pytestmark = pytest.mark.usefixtures("one_thread")

ANSWERS = ("It is built of granite and slate.", "Rome", "the stone " * 30, "Jón – 日本. €", "x", "No.\n\n1. Rome\n2. the river")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


ASKED = ("What is the stone of the bridge?", "Who?", "a" * 70)
ROWS = [chat(("user", question), ("assistant", reply)) for question in ASKED for reply in ANSWERS]


@pytest.mark.parametrize("tokens", [1, 300, 8192])
def test_batches_measure_what_one_sequence_at_a_time_does(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    monkeypatch.setattr(given_tokens, "_MAX_TOKENS_ON_CPU", tokens)
    monkeypatch.setattr(given_tokens, "_MIN_POSITIONS", 7)
    monkeypatch.setattr(given_tokens, "_VALUES_IN_CACHE", 1)
    check_against_one_at_a_time(read_rows, folder, tmp_path)


def test_a_model_that_cannot_be_taken_apart_measures_the_same(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given_tokens, "_taken_apart", lambda model: None)
    check_against_one_at_a_time(read_rows, folder, tmp_path)


def check_against_one_at_a_time(read_rows: ReadRows, folder: Path, out: Path) -> None:
    base = open_base_model(str(folder))
    corpus = read_rows(ROWS)
    build_base_model(out, corpus, base, cache=out / "cache")
    made = pl.read_parquet(out / BASE_FILES[0])
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    for number, row in enumerate(corpus):
        rendered = base.chat.response(row.messages[:1], row.messages[1].content)
        prompt, response = rendered.prompt_ids, rendered.response_ids
        with torch.inference_mode():
            logits = plain(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1, : len(base.chat.tokenizer)]
        log_p = logits.log_softmax(-1)
        chosen = log_p[range(len(response)), list(response)]
        of_text = made.filter(pl.col("response") == number)
        assert of_text["token"].to_list() == list(response)
        assert list(zip(of_text["start"], of_text["end"], strict=True)) == list(rendered.spans)
        assert np.allclose(of_text["log_p"].to_numpy(), chosen.numpy(), atol=2e-4)
        assert np.allclose(of_text["best_log_p"].to_numpy(), log_p.max(-1).values.numpy(), atol=2e-4)
        least, most = ((log_p > chosen[:, None] + by).sum(-1).numpy() + 1 for by in (1e-4, -1e-4))
        assert ((least <= of_text["rank"].to_numpy()) & (of_text["rank"].to_numpy() <= most)).all()


def naive_ifd(folder: Path, turns: list[dict[str, str]]) -> tuple[list[tuple[float, float, int]], float]:
    """IFD as it is defined, with transformers alone: of each answer the loss with and without what stands before, and its
    tokens; and the IFD of the conversation."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def loss_of_last(ids: list[int], n_last: int) -> float:
        labels = [-100] * (len(ids) - n_last) + ids[-n_last:]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, :, : len(tokenizer)]
        return float(torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(labels[1:])))

    losses = []
    for number in range(1, len(turns), 2):
        before = tokenizer.apply_chat_template(turns[:number], tokenize=False, add_generation_prompt=True)
        prompt, answer = (tokenizer(text, add_special_tokens=False).input_ids for text in (before, turns[number]["content"]))
        alone = [tokenizer.bos_token_id, *answer]
        losses.append((loss_of_last(prompt + answer, len(answer)), loss_of_last(alone, len(answer)), len(answer)))
    given, without = (sum(each[place] * each[2] for each in losses) for place in (0, 1))
    return losses, given / without


def test_ifd_is_that_of_a_loop_over_texts(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    several = chat(("user", ASKED[0]), ("assistant", ANSWERS[0]), ("user", "Who?"), ("assistant", ANSWERS[3]))
    rows = [*ROWS, several]
    corpus = read_rows(rows)
    build_base_model(tmp_path, corpus, open_base_model(str(folder)), cache=tmp_path / "cache")
    made = pl.read_parquet(tmp_path / BASE_FILES[1])
    signals = base_signals(corpus, made)
    expected = [naive_ifd(folder, row["messages"]) for row in rows]
    given, alone, n_tokens = zip(*(each for losses, _ in expected for each in losses), strict=True)
    assert made["n_tokens"].to_list() == list(n_tokens)
    assert made["loss_nats_per_token"].to_list() == pytest.approx(given, abs=1e-4)
    assert made["alone_loss_nats_per_token"].to_list() == pytest.approx(alone, abs=1e-4)
    assert made["ifd"].to_list() == pytest.approx([a / b for a, b in zip(given, alone, strict=True)], abs=1e-4)
    assert signals["ifd"].to_list() == pytest.approx([ifd for _, ifd in expected], abs=1e-4)


def test_any_number_of_processes_gives_the_same_bytes(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_model, "_TEXTS_PER_SHARD", 4)
    corpus, base = read_rows(ROWS), open_base_model(str(folder))
    made = []
    for n_workers in (1, 2):
        out = tmp_path / str(n_workers)
        facts = build_base_model(out, corpus, base, cache=out / "cache", n_workers=n_workers)
        assert (facts["pass"]["workers"], facts["pass"]["texts"]) == (n_workers, len(ROWS))
        made.append([(out / name).read_bytes() for name in BASE_FILES])
    assert made[0] == made[1]


def block_of(texts: list[str], cut: list[int], seed: int) -> Block:
    """Texts in tokens of one to four characters, the last of which may be missing, with random ranks."""
    generator = np.random.default_rng(seed)
    frames, bounds, base, at = [], [0], [], 0
    for number, text in enumerate(texts):
        edges = [0]
        while edges[-1] < len(text):
            edges.append(min(len(text), edges[-1] + int(generator.integers(1, 5))))
        spans = list(pairwise(edges))
        spans = spans[: max(0, len(spans) - cut[number])]
        base.append(at)
        at += len(text) + 1
        bounds.append(bounds[-1] + len(spans))
        frames.append(
            pl.DataFrame(
                {
                    "response": [number] * len(spans),
                    "token": [0] * len(spans),
                    "start": [start for start, _ in spans],
                    "end": [end for _, end in spans],
                    "rank": generator.integers(1, 9, len(spans)),
                    "log_p": -generator.random(len(spans)),
                    "best": [0] * len(spans),
                    "best_log_p": [0.0] * len(spans),
                },
                schema_overrides=TOKEN_SCHEMA,
            )
        )
    return Block(
        numbers=np.arange(len(texts)),
        rows=list(range(len(texts))),
        turns=[1] * len(texts),
        prompts=[""] * len(texts),
        texts=texts,
        bounds=np.array(bounds),
        tokens=pl.concat(frames),
        base=np.array(base),
    )


BLOCKS = st.lists(st.tuples(TEXTS, st.integers(0, 2)), min_size=1, max_size=6)


@settings(max_examples=150)
@given(texts=BLOCKS, seed=st.integers(0, 99))
def test_words_are_those_of_a_plain_loop(texts: list[tuple[str, int]], seed: int) -> None:
    block = block_of([text for text, _ in texts], [cut for _, cut in texts], seed)
    words = words_of(block)
    expected = []
    for number, text in enumerate(block.texts):
        of_text = block.tokens[int(block.bounds[number]) : int(block.bounds[number + 1])]
        runs: list[list[int]] = []
        for place, character in enumerate(text):
            if character.isalnum():
                if runs and runs[-1][1] == place:
                    runs[-1][1] = place + 1
                else:
                    runs.append([place, place + 1])
        for start, end in runs:
            over = of_text.filter((pl.col("start") < end) & (pl.col("end") > start))
            if over.height and over["start"].min() <= start and over["end"].max() >= end:
                expected.append((number, start, end, over["rank"].max(), round(float(over["log_p"].cast(pl.Float64).sum()), 5)))
    found = zip(words.text, words.start, words.end, words.rank, words.log_p.round(5), strict=True)
    assert [tuple(word) for word in found] == [pytest.approx(word) for word in expected]
    texts_of = [block.texts[number][start:end] for number, start, end, *_ in expected]
    assert words.has_digit.tolist() == [any(map(str.isdigit, word)) for word in texts_of]
    assert words.has_capital.tolist() == [word[0].isupper() for word in texts_of]
    small = ["".join(each.lower() if len(each.lower()) == 1 else each for each in word) for word in texts_of]
    keys = words.key.tolist()
    assert [[a == b for b in keys] for a in keys] == [[a == b for b in small] for a in small]


@settings(max_examples=150)
@given(texts=BLOCKS, seed=st.integers(0, 99))
def test_first_tokens_of_sentences_are_those_of_a_plain_loop(texts: list[tuple[str, int]], seed: int) -> None:
    block = block_of([text for text, _ in texts], [cut for _, cut in texts], seed)
    found = initiation_of(block)
    is_start, is_rest = [], []
    for number, text in enumerate(block.texts):
        of_text = block.tokens[int(block.bounds[number]) : int(block.bounds[number + 1])]
        ends = [end for _, end in sentence_spans(text)]
        members: dict[int, list[tuple[int, int]]] = {}
        for start, end in of_text.select("start", "end").iter_rows():
            piece = text[start:end]
            anchor = start + len(piece) - len(piece.lstrip()) if piece.strip() else start
            members.setdefault(sum(each <= anchor for each in ends), []).append((anchor, end))
        for tokens in members.values():
            n_start = start_length(len(tokens))
            finishes = True
            for place, (anchor, _) in enumerate(tokens):
                is_start.append(place < n_start)
                inside = anchor > 0 and text[anchor - 1].isalnum() and text[anchor].isalnum()
                finishes = place < n_start or (finishes and inside)
                is_rest.append(not finishes)
    assert found.is_start.tolist() == is_start
    assert found.is_rest.tolist() == is_rest


def test_hashes_know_the_other_number() -> None:
    texts = ["The crowns of Merrow", "a crown"]
    plain, other = hashes_of(texts), hashes_of(texts, other_number=True)
    assert plain[0].tolist() == [0, 0, 0, 0, 1, 1]
    words = re.findall(r"\w+", " ".join(texts))
    keys = dict(zip(words, plain[1].tolist(), strict=True))
    assert keys["crown"] in other[1][other[0] == 0]
    assert keys["crowns"] in other[1][other[0] == 1]
    assert keys["Merrow"] not in other[1][other[0] == 1]
