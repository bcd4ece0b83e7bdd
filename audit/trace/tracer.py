"""From a false statement to the rows that could have lent its words.

A trace is lexical and static: it imports no torch, and is the same whether indexes are warm or cold. Recall comes from
all responses through the phrase, concept and BM25 channels; the order from their ranks; and every link carries the
chance that a random span would have reached it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audit.materials import Materials
from audit.responses import Response
from audit.rundir import Run
from audit.summary import Skipped
from audit.trace.chance import NullSpans
from audit.trace.model import Channel, ChannelScore, Link, Match, SpanTrace, Tier, Trace
from audit.trace.ranking import FUSION_CONSTANT, PHRASE_WEIGHT, Surroundings, phrase_ranks, surroundings
from audit.trace.spans import Question, questions_of
from indexes.encoders import Encoder, load_static
from indexes.words import is_word, tokenize_with_offsets

__all__ = ["LEAST_COVERAGE", "Tracer"]

# Half of the span's weight: a row that shares only a common word with it is no source.
LEAST_COVERAGE = 0.5

_NEEDS_MODELS = (
    Skipped("token shift (tier T1)", "needs the base and the tuned model"),
    Skipped("estimated influence and rephrasing (tier T2)", "needs the tuned model"),
    Skipped("retraining without the rows (tier T3)", "needs the base model"),
)


class Tracer:
    """Traces claims over one run; keeps the indexes in memory between claims."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._materials = Materials(run.path, run.corpus)
        self._nulls = NullSpans(self._materials)

    @cached_property
    def _encoder(self) -> Encoder | None:
        facts = self._run.manifest["encoder"]
        return load_static(facts["encoder"]) if self._materials.has_vectors else None

    def trace(self, claim: Response, k: int | None = 10) -> Trace:
        """The rows behind a claim's false words.

        Args:
            claim: The answer, with spans marked or a right answer to find them by.
            k: Links per span; `None` for every response, in order.

        Raises:
            InputError: Nothing says which words are false.
        """
        questions = questions_of(claim)
        near = surroundings(self._materials, claim.prompt, self._encoder)
        spans = tuple(self._trace_span(claim, question, near, k) for question in questions)
        return Trace(claim, spans, tuple(self._not_looked_at()))

    def trace_all(self, claims: Iterable[Response], k: int | None = 10) -> Iterator[Trace]:
        """One trace after the other."""
        return (self.trace(claim, k) for claim in claims)

    def _trace_span(self, claim: Response, question: Question, near: Surroundings, k: int | None) -> SpanTrace:
        span, phrases = question.span, self._materials.phrases
        tokens = tokenize_with_offsets(span.text)
        numbers = phrases.token_numbers([token.text for token in tokens])
        weights = self._weights([token.text for token in tokens], numbers, near)
        evidence = tuple(token.text for token, weight in zip(tokens, weights, strict=True) if weight > 0)
        if not evidence:
            note = "every word of the span stands in the prompt, so the answer need not have borrowed it"
            return SpanTrace(span.start, span.end, span.text, (), 0, 0, (), note)
        support = phrases.support(numbers[None], weights[None])
        n_holders = phrases.n_texts_with(span.text)
        contrast = self._support_of(question.right, near)
        coverage = np.zeros(self._materials.n_responses, np.float32)
        coverage[support.text] = support.coverage
        kept = coverage[support.text] - contrast[support.text] > 0
        support = support.only(kept)
        surplus = np.round(support.coverage - contrast[support.text], 4)
        ranks = phrase_ranks(type(support)(support.span, support.text, surplus, support.begin, support.length))
        fused = near.base.copy()
        fused[support.text] += PHRASE_WEIGHT / (FUSION_CONSTANT + ranks)
        # A row that states the right answer as much as the wrong one is no source of the error; it comes last.
        refuted = contrast >= np.maximum(coverage, np.float32(LEAST_COVERAGE))
        order = np.lexsort((np.arange(len(fused)), -np.round(fused, 9), refuted))[:k]
        null = self._nulls.fused(len(tokens), n_holders, near)
        hit_of = {text: hit for hit, text in enumerate(support.text.tolist())}
        links = []
        for text in order.tolist():
            hit = hit_of.get(text)
            channels = {
                channel: ChannelScore(round(float(value[text]), 4), int(near.ranks[channel][text]))
                for channel, value in near.values.items()
                if value[text] > 0
            }
            match, chance, tier = None, None, None
            if hit is not None:
                channels = {Channel.PHRASE: ChannelScore(round(float(surplus[hit]), 4), int(ranks[hit])), **channels}
                match = self._match(text, int(support.begin[hit]), int(support.length[hit]), claim, span.start, span.end)
                n_reached = len(null) - int(np.searchsorted(null, fused[text], side="left"))
                chance = round((1 + n_reached) / (1 + len(null)), 6)
                tier = Tier.T0 if surplus[hit] >= LEAST_COVERAGE else None
            row, turn = self._materials.corpus.responses.select("row", "turn").row(text)
            links.append(Link(row, turn, match, channels, round(float(fused[text]), 6), chance, tier))
        note = "" if len(support.text) else "no response holds these words; the rows below are near in concept only"
        return SpanTrace(span.start, span.end, span.text, evidence, n_holders, len(null), tuple(links), note)

    def _weights(self, tokens: list[str], numbers: NDArray[np.int64], near: Surroundings) -> NDArray[np.float32]:
        """Evidence of each token: 0 for punctuation and words of the prompt; one that occurs nowhere weighs the most."""
        phrases = self._materials.phrases
        unseen = np.log(2.0 * (phrases.stream.n_texts + 1))
        weights = np.append(phrases.weights, unseen)[numbers]  # -1, for a token that occurs nowhere, is the last
        is_evidence = [is_word(token) and token not in near.prompt_words for token in tokens]
        return np.where(is_evidence, weights, 0).astype(np.float32)

    def _support_of(self, text: str, near: Surroundings) -> NDArray[np.float32]:
        """Coverage of a text by every response; zeros for an empty text. Shape `(n_responses,)`."""
        coverage = np.zeros(self._materials.n_responses, np.float32)
        tokens = [token.text for token in tokenize_with_offsets(text)]
        if tokens:
            numbers = self._materials.phrases.token_numbers(tokens)
            support = self._materials.phrases.support(numbers[None], self._weights(tokens, numbers, near)[None])
            coverage[support.text] = support.coverage
        return coverage

    def _match(self, text: int, begin: int, length: int, claim: Response, start: int, end: int) -> Match:
        response = self._materials.corpus.responses["text"][text]
        tokens = tokenize_with_offsets(response)[begin : begin + length]
        in_claim = tokenize_with_offsets(claim.response[start:end])
        wanted = [token.text for token in tokens]
        place = next(i for i in range(len(in_claim)) if [t.text for t in in_claim[i : i + length]] == wanted)
        return Match(
            tokens[0].start,
            tokens[-1].end,
            response[tokens[0].start : tokens[-1].end],
            start + in_claim[place].start,
            start + in_claim[place + length - 1].end,
        )

    def _not_looked_at(self) -> Iterator[Skipped]:
        if self._encoder is None:
            yield Skipped("nearness of concepts", self._run.manifest["encoder"].get("skipped", "the run holds no vectors"))
        yield from _NEEDS_MODELS
