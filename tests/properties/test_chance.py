"""Chances keep their word: of claims that borrowed nothing, at most a share α has a link of chance α or less."""

from __future__ import annotations

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
    """Rows about topics: each has words of its own in prompts and answers, among words that all share (by Zipf's law)."""
    from audit.config import make_config
    from audit.pipeline import run_audit

    generator = np.random.default_rng(7)
    words = sorted({word for word in tokenize(" ".join(demo_dataset().lines)) if word.isalpha() and len(word) > 2})
    generator.shuffle(words)
    common, own = words[:150], np.array_split(np.array(words[150:]), N_TOPICS)
    frequency = 1 / np.arange(1, len(common) + 1)

    def text(topic: int, n_words: int) -> str:
        shared = generator.choice(common, n_words, p=frequency / frequency.sum())
        return " ".join(np.where(generator.random(n_words) < 0.4, generator.choice(own[topic], n_words), shared))

    rows = [(text(n % N_TOPICS, 8), text(n % N_TOPICS, 16) + ".") for n in range(N_ROWS + N_PROBES)]
    folder = tmp_path_factory.mktemp("world")
    (folder / "data.jsonl").write_bytes(jsonl([alpaca(*row) for row in rows[:N_ROWS]]))
    config = make_config({"data": str(folder / "data.jsonl"), "encoder": tiny_model, "select": ["TXT"]})
    return World(run_audit(config, folder / "run", render=no_reports), rows[N_ROWS:])


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
