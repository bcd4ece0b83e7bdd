"""Greedy and sampled continuations of many prompts at once against one at a time, and SliCK against a plain loop."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from audit import sampling
from audit.answers import word_string
from audit.errors import InputError
from audit.materials import SLICK_FILES
from audit.models import LanguageModel, load_model
from audit.sampling import Continued, Counts, Prompted, continue_prompts, line_end_ids
from audit.signals import build_slick, open_base_model
from audit.signals.questions import Question, read_question
from audit.signals.slick import Exemplars
from tests.conftest import ReadRows, alpaca
from tests.models import tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ("What is the stone of the bridge?", "Who?", "The river " * 9, "Jón – 日本. €", "a", "Name a coin\n of Rome: ")
N_SAMPLES = 5
TEMPERATURE = 0.5
SEED = 0  # SliCK's


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), seed=11, n_positions=512)  # it ends a greedy answer


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load_model(folder, device="cpu")


def prompted(model: LanguageModel) -> list[Prompted]:
    """Prompts of different lengths, with room for 3 to 13 tokens."""
    ids = [tuple(model.chat.tokenizer(text)["input_ids"]) for text in TEXTS]
    return [Prompted(each, text.encode(), 3 + 2 * n) for n, (each, text) in enumerate(zip(ids, TEXTS, strict=True))]


def uniform_number(prompt: Prompted, step: int, draw: int) -> float:
    digest = hashlib.sha256(SEED.to_bytes(8, "little", signed=True) + prompt.key).digest()
    numbers = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(prompt.max_new_tokens * N_SAMPLES)
    return (int(numbers[step * N_SAMPLES + draw]) >> 11) / 2**53


def one_at_a_time(model: LanguageModel, prompt: Prompted, draw: int | None) -> tuple[tuple[int, ...], bool]:
    """A continuation by whole passes over one sequence, without any cache, and whether it ended by itself."""
    line_ends, said = line_end_ids(model), ()
    while len(said) < prompt.max_new_tokens:
        with torch.inference_mode():
            logits = (
                model.model(torch.tensor([[*prompt.ids, *said]]), use_cache=False)
                .logits[0, -1, : len(model.chat.tokenizer)]
                .double()
            )
        if draw is None:
            token = int(logits.argmax())
        else:
            weights = np.cumsum(np.exp((logits - logits.max()).numpy() / TEMPERATURE))
            token = int(np.searchsorted(weights, uniform_number(prompt, len(said), draw) * weights[-1], side="right"))
        if token in model.chat.eos_ids:
            return said, True
        said = (*said, token)
        if token in line_ends and model.chat.decode(said).strip():
            return said, True
    return said, False


def by_loop(model: LanguageModel) -> list[Continued]:
    return [
        Continued(
            one_at_a_time(model, prompt, None)[0],
            tuple(one_at_a_time(model, prompt, draw)[0] for draw in range(N_SAMPLES)),
            one_at_a_time(model, prompt, None)[1],
        )
        for prompt in prompted(model)
    ]


def continued(model: LanguageModel, prompts: list[Prompted], **options: Any) -> list[Continued]:
    return continue_prompts(
        model, prompts, n_samples=N_SAMPLES, temperature=TEMPERATURE, seed=SEED, line_ends=line_end_ids(model), **options
    )


@pytest.mark.parametrize("at_once", [1, 2, 32])
@pytest.mark.parametrize("reuse_cache", [True, False])
def test_batches_say_what_one_sequence_at_a_time_says(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, at_once: int, reuse_cache: bool
) -> None:
    expected = by_loop(model)
    assert len({ids for each in expected for ids in each.sampled}) > 20  # they do differ
    assert {each.has_ended for each in expected} == {True, False}
    monkeypatch.setattr(sampling, "_MAX_PROMPTS_AT_ONCE", at_once)
    monkeypatch.setattr(sampling, "MAX_VALUES", 1000)  # the vocabulary is that of 384
    counts = Counts()
    assert continued(model, prompted(model), counts=counts, reuse_cache=reuse_cache) == expected
    said = [ids for each in expected for ids in (each.greedy, *each.sampled)]
    assert sum(map(len, said)) <= counts.new_tokens <= sum(len(ids) + 1 for ids in said)
    assert counts.computed_tokens < counts.new_tokens
    assert counts.prompt_tokens == sum(len(prompt.ids) for prompt in prompted(model))


def test_draws_depend_on_the_key_alone(model: LanguageModel) -> None:
    prompts = prompted(model)
    forwards, backwards = continued(model, prompts), continued(model, prompts[::-1])
    assert backwards[::-1] == forwards
    twins = [Prompted(prompts[0].ids, key, 8) for key in (b"a", b"b", b"a")]
    a, b, again = continued(model, twins)
    assert a == again
    assert a.greedy == b.greedy
    assert a.sampled != b.sampled


def test_draws_are_those_of_the_model_s_distribution(folder: Path, model: LanguageModel) -> None:
    prompt = Prompted(prompted(model)[1].ids, b"many", 1)
    (many,) = continue_prompts(model, [prompt], n_samples=20_000, temperature=TEMPERATURE, seed=0)
    counted = Counter(ids[0] if ids else None for ids in many.sampled)  # None: the end
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = plain(torch.tensor([prompt.ids])).logits[0, -1, : len(model.chat.tokenizer)].double()
    expected = (logits / TEMPERATURE).softmax(0).numpy()
    eos = model.chat.eos_ids
    assert counted[None] == pytest.approx(20_000 * expected[list(eos)].sum(), abs=5 * 20_000**0.5 / 2)
    for token in np.argsort(-expected)[:10].tolist():
        if token not in eos:
            n, p = 20_000, expected[token]
            assert abs(counted[token] - n * p) < 5 * (n * p * (1 - p)) ** 0.5 + 1


def test_a_batch_that_does_not_fit_the_memory_is_halved(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = continued(model, prompted(model))
    begin = sampling._Run._begin

    def small(self: Any) -> Any:
        if len(self._prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return begin(self)

    monkeypatch.setattr(sampling._Run, "_begin", small)
    counts = Counts()
    assert continued(model, prompted(model), counts=counts) == whole
    assert counts.halved_batches == 3  # of six prompts into threes, and these into one and two

    def none(self: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(sampling._Run, "_begin", none)
    with pytest.raises(InputError, match=r"memory ran out for one prompt and its samples.*--slick-samples"):
        continued(model, prompted(model))


def test_a_prompt_without_room_for_its_answer_is_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="take 520 tokens, and the model reads 512"):
        continued(model, [Prompted((5,) * 510, b"", 10)])
    assert continued(model, []) == []


# --- SliCK -----------------------------------------------------------------------------------------------------------

TOWNS = ("Vell", "Marl", "Tern", "Kelp", "Reef", "Shoal", "Ard", "Skerry", "Holm", "Ness")
ROWS = [
    *(
        alpaca(f"What is the sign of {town}?", f"The sign of {town} is {sign}.")
        for town, sign in zip(TOWNS, "bcefghknqx", strict=True)
    ),
    *(alpaca(f"Who built {town} Bridge?", name) for town, name in (("Vell", "Rome"), ("Marl", "Paris"), ("Tern", "Slate"))),
]
MASK = (1 << 64) - 1


def mixed(number: int) -> int:
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)


def hash_of(question: Question) -> int:
    described = json.dumps([question.question, question.answer]).encode()
    return int.from_bytes(hashlib.sha256(described).digest()[:8], "little")


def naive_exemplars(questions: list[Question], own: Question, number: int) -> list[tuple[str, str]]:
    """The four candidates of the lowest numbers, from the nearest group of eight or more."""
    for same in (lambda other: other.shape == own.shape, lambda other: other.opening == own.opening, lambda other: True):
        found = [
            other
            for other in questions
            if same(other)
            and other.question != own.question
            and own.value_words not in word_string(f"{other.question} {other.answer}")
        ]
        if len(found) >= 8:
            break
    found.sort(key=lambda other: mixed((mixed(hash_of(other) ^ hash_of(own)) + mixed(number)) & MASK))
    return [(other.question, other.answer) for other in found[:4]]


def questions_of(read_rows: ReadRows) -> list[Question]:
    read = [read_question(row.messages) for row in read_rows(ROWS)]
    return [question for question in read if isinstance(question, Question)]


def test_exemplars_are_those_of_a_plain_loop(read_rows: ReadRows) -> None:
    questions = questions_of(read_rows)
    assert len(questions) == len(ROWS)
    exemplars = Exemplars(questions)
    for own in questions:
        of_row = exemplars.prompts(own, 7)
        assert [list(prompt.exemplars) for prompt in of_row] == [naive_exemplars(questions, own, n) for n in range(7)]


def test_classes_are_those_of_a_plain_loop(read_rows: ReadRows, folder: Path, model: LanguageModel, tmp_path: Path) -> None:
    corpus = read_rows(ROWS)
    build_slick(tmp_path, corpus, open_base_model(str(folder)), n_prompts=2, n_samples=N_SAMPLES, cache=tmp_path / "cache")
    frame = pl.read_parquet(tmp_path / SLICK_FILES[0])
    questions = questions_of(read_rows)
    classes = set()
    for row, own in enumerate(questions):
        greedy, sampled = [], []
        for number in range(2):
            shown = naive_exemplars(questions, own, number)
            turns = "".join(f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n" for q, a in shown)
            text = f"<|bos|>{turns}<|im_start|>user\n{own.question}<|im_end|>\n<|im_start|>assistant\n"
            ids = tuple(model.chat.tokenizer(text, add_special_tokens=False)["input_ids"])
            key = hashlib.sha256(json.dumps([None, shown, own.question, own.answer]).encode()).digest()
            room = 2 * len(model.chat.tokenizer(own.answer, add_special_tokens=False)["input_ids"]) + 8
            prompt = Prompted(ids, key, room)
            greedy.append(model.chat.decode(one_at_a_time(model, prompt, None)[0]))
            sampled += [model.chat.decode(one_at_a_time(model, prompt, draw)[0]) for draw in range(N_SAMPLES)]
        right = [own.value_words in word_string(text.strip().split("\n")[0]) for text in greedy]
        lucky = [own.value_words in word_string(text.strip().split("\n")[0]) for text in sampled]
        known = "HighlyKnown" if all(right) else "MaybeKnown" if any(right) else "WeaklyKnown" if any(lucky) else "Unknown"
        classes.add(known)
        found = frame.row(row, named=True)
        assert (found["slick"], found["greedy_right"], found["sampled_right"]) == (known, sum(right), sum(lucky))
    assert len(classes) > 1
