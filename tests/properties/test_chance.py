"""Chances keep their word: of claims that borrowed nothing, at most a share α has a link of chance α or less."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from audit.pocket import demo_dataset
from audit.responses import Response, Span
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Tracer
from indexes.words import is_word, tokenize, tokenize_with_offsets
from tests.conftest import alpaca, jsonl, no_reports

N_TOPICS, N_ROWS, N_PROBES = 24, 480, 400


class World(NamedTuple):
    """A run of generated rows, rows of the same kind that it does not hold, and its topics' words."""

    run: Run
    held_out: list[tuple[str, str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> World:
    return make_world(tmp_path_factory.mktemp("world"), tiny_model, N_ROWS, 7)


def make_world(folder: Path, model: str, n_rows: int, seed: int) -> World:
    """Rows about topics: each has words of its own in prompts and answers, among words that all share (by Zipf's law)."""
    from audit.config import make_config
    from audit.pipeline import run_audit

    generator = np.random.default_rng(seed)
    words = sorted({word for word in tokenize(" ".join(demo_dataset().lines)) if word.isalpha() and len(word) > 2})
    generator.shuffle(words)
    common, own = words[:150], np.array_split(np.array(words[150:]), N_TOPICS)
    frequency = 1 / np.arange(1, len(common) + 1)

    def text(topic: int, n_words: int) -> str:
        shared = generator.choice(common, n_words, p=frequency / frequency.sum())
        return " ".join(np.where(generator.random(n_words) < 0.4, generator.choice(own[topic], n_words), shared))

    rows = [(text(n % N_TOPICS, 8), text(n % N_TOPICS, 16) + ".") for n in range(n_rows + N_PROBES)]
    folder.mkdir(exist_ok=True)
    (folder / "data.jsonl").write_bytes(jsonl([alpaca(*row) for row in rows[:n_rows]]))
    config = make_config({"data": str(folder / "data.jsonl"), "encoder": model, "select": ["TXT"]})
    return World(run_audit(config, folder / "run", render=no_reports), rows[n_rows:])


def claim(prompt: str, response: str, generator: np.random.Generator, n_tokens: int) -> Response:
    """A run of the response's words, marked as false."""
    tokens = [token for token in tokenize_with_offsets(response) if is_word(token.text)]
    begin = int(generator.integers(len(tokens) - n_tokens + 1))
    start, end = tokens[begin].start, tokens[begin + n_tokens - 1].end
    return Response("c", (Message("user", prompt, trained=False),), response, (Span(start, end, response[start:end]),))


def least_chance(tracer: Tracer, probe: Response) -> float:
    (span,) = tracer.trace(probe).spans
    return min((link.chance for link in span.links if link.chance is not None), default=1.0)


@pytest.mark.parametrize("n_tokens", [1, 2, 3, 5])
def test_claims_that_borrowed_nothing_seldom_have_a_small_chance(world: World, n_tokens: int) -> None:
    """The probes: the prompt of one held-out row, the words of another's answer."""
    tracer, generator = Tracer(world.run), np.random.default_rng(n_tokens)
    chances = []
    for number, (prompt, _) in enumerate(world.held_out):
        other = world.held_out[(number + 1 + int(generator.integers(N_PROBES - 1))) % N_PROBES]
        chances.append(least_chance(tracer, claim(prompt, other[1], generator, n_tokens)))
    assert len(chances) == N_PROBES
    for alpha in (0.01, 0.05, 0.1):
        n_below = sum(chance <= alpha for chance in chances)
        assert n_below <= binom.ppf(0.999, N_PROBES, alpha), (alpha, n_below)


@pytest.mark.parametrize("n_rows", [40, 150])
def test_chances_keep_their_word_in_small_datasets(tmp_path: Path, tiny_model: str, n_rows: int) -> None:
    """Long spans, of which most words stand nowhere or in a row or two, over many datasets: each has its own luck."""
    n_worlds, n_probes = 4, 150
    chances, generator = [], np.random.default_rng(n_rows)
    for seed in range(n_worlds):
        made = make_world(tmp_path / str(seed), tiny_model, n_rows, 100 + seed)
        tracer = Tracer(made.run)
        for number in range(n_probes):
            prompt, other = made.held_out[number][0], made.held_out[number + n_probes][1]
            chances.append(least_chance(tracer, claim(prompt, other, generator, int(generator.integers(4, 9)))))
    for alpha in (0.01, 0.05, 0.1):
        n_below = sum(chance <= alpha for chance in chances)
        assert n_below <= binom.ppf(0.999, n_worlds * n_probes, alpha), (alpha, n_below)


def test_claims_that_borrowed_have_a_small_chance(world: World) -> None:
    """The claim repeats three words of a row's answer under nearly that row's prompt."""
    tracer, generator = Tracer(world.run), np.random.default_rng(0)
    chances, found = [], 0
    for row in range(0, N_ROWS, 12):
        prompt, answer = world.run.corpus.responses["prompt"][row], world.run.corpus.responses["text"][row]
        borrowed = claim(" ".join(prompt.split()[:-1]), answer, generator, 3)
        (span,) = tracer.trace(borrowed).spans
        found += bool(span.links) and span.links[0].row == row
        chances.append(least_chance(tracer, borrowed))
    assert found >= 0.9 * len(chances)
    assert np.mean(np.array(chances) <= 0.05) >= 0.8
