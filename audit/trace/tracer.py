"""From a false statement to the rows that could have lent its words.

A trace is lexical and static unless a transformer or models are given: it imports no torch, and is the same whether
indexes are warm or cold. Recall comes from all responses through the phrase, concept and BM25 channels; the order from
their ranks; and every link carries the chance that a random span would have reached it. Models add rows that hold the
span's tokens in like states to the shortlist, and put it in the order of estimated influence (`audit.influence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError, NothingToTraceError
from audit.materials import Materials
from audit.responses import Response, Span
from audit.rundir import Run
from audit.summary import Skipped
from audit.trace.chance import NullSpans, link_chances, why_no_chance
from audit.trace.estimates import Influence, Proposed
from audit.trace.evidence import benign_reason, tier_of
from audit.trace.model import MODEL_CHANNELS, Channel, ChannelScore, Link, LinkEvidence, Match, SpanTrace, Trace
from audit.trace.ranking import (
    FUSION_CONSTANT,
    LEAST_COVERAGE,
    PHRASE_WEIGHT,
    ChannelValues,
    Surroundings,
    competition_ranks,
    phrase_ranks,
    surroundings,
)
from audit.trace.spans import Question, questions_of
from indexes.dense import similarities
from indexes.encoders import Encoder, encode_cached, load_static
from indexes.phrases import SUPPORT_DECIMALS, Support
from indexes.words import is_word, tokenize, tokenize_with_offsets

if TYPE_CHECKING:
    from audit.trace.influence import ModelEvidence

__all__ = ["LEAST_COVERAGE", "SHORTLIST", "Tracer"]

# How many rows of a span a transformer orders again: about 4 s for short prompts on two cores, the first time.
SHORTLIST = 200

_NEEDS_RETRAINING = Skipped("retraining without the rows (tier T3)", "needs --confirm and the base model")
_NEEDS_MODELS = (
    Skipped("token shift (tier T1)", "needs the base and the tuned model"),
    Skipped("estimated influence and rephrasing (tier T2)", "needs the base and the tuned model"),
    _NEEDS_RETRAINING,
)


@dataclass(frozen=True)
class _Evidence:
    """What the responses hold of one span.

    Attributes:
        support: The responses that hold more of the span than of the right answer.
        surplus: How much more, as a share of the span's weight; float32, shape `(n_hits,)`.
        ranks: Their ranks by surplus; int64, same shape.
        coverage: The share of the span's weight that each response holds; float32, shape `(n_responses,)`.
        refuted: Responses that state the right answer as much as the wrong one; bool, same shape.
    """

    support: Support
    surplus: NDArray[np.float32]
    ranks: NDArray[np.int64]
    coverage: NDArray[np.float32]
    refuted: NDArray[np.bool_]


class Tracer:
    """Traces claims over one run; keeps the indexes in memory between claims.

    Args:
        run: The run.
        transformer: Where given, the best `SHORTLIST` rows of each span are ordered again by the cosine of the prompts'
            vectors under it. Only these are encoded, and their vectors are kept in the cache. It imports torch, and
            leaves every link's chance as it is.
        models: Where given, the best `SHORTLIST` rows of each span are ordered by estimated influence, and links can reach
            tiers T1 and T2. It imports torch; chances stay those of words and concepts.
    """

    def __init__(self, run: Run, transformer: Encoder | None = None, models: ModelEvidence | None = None) -> None:
        self._run = run
        self._models = models
        self._materials = Materials(run.path, run.corpus)
        self._nulls = NullSpans(self._materials)
        self._transformer = transformer

    @cached_property
    def _encoder(self) -> Encoder | None:
        if not self._materials.has_vectors:
            return None
        facts = self._run.manifest["encoder"]
        encoder = load_static(facts["encoder"])
        if encoder.digest != facts["digest"]:
            raise InputError(
                f"the encoder {facts['encoder']!r} is not the one that the run was made with",
                where=str(self._run.path),
                remedy="audit the data again, or put the encoder of that time in its place",
            )
        return encoder

    @cached_property
    def _turns(self) -> NDArray[np.int64]:
        return self._materials.corpus.responses["turn"].to_numpy().astype(np.int64)

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
        """One trace after the other; answers in which nothing is false, as files of answers have them, are left out."""
        for claim in claims:
            with suppress(NothingToTraceError):
                yield self.trace(claim, k)

    def _trace_span(self, claim: Response, question: Question, near: Surroundings, k: int | None) -> SpanTrace:
        span = question.span
        tokens = tokenize(span.text)
        numbers = self._materials.phrases.token_numbers(tokens)
        weights = self._weights(tokens, numbers, near)
        words = tuple(token for token, weight in zip(tokens, weights, strict=True) if weight > 0)
        if not words:
            has_word = any(is_word(token) for token in tokens)
            note = "every word of the span stands in the prompt, so the answer need not have borrowed it"
            note = note if has_word else "the span holds no word"
            return SpanTrace(span.start, span.end, span.text, (), 0, 0, (), note)
        evidence = self._evidence(numbers, weights, question.right, near)
        support = evidence.support
        fused = near.base.copy()
        fused[support.text] += PHRASE_WEIGHT / (FUSION_CONSTANT + evidence.ranks)
        order = np.lexsort((np.arange(len(fused)), -np.round(fused, 9), evidence.refuted))
        channels = dict(near.channels)
        if self._transformer is not None:
            order, channels[Channel.TRANSFORMER] = self._ordered_again(order, fused, evidence.refuted, claim.prompt)
        influence = None
        if self._models is not None:
            surplus = np.zeros(self._materials.n_responses, np.float32)
            surplus[support.text] = evidence.surplus
            lexical = {name: channels[name].value for name in (Channel.CONCEPT, Channel.BM25) if name in channels}
            proposed = Proposed(order, evidence.refuted, lexical | {Channel.PHRASE: surplus})
            influence = self._models.order(claim, question, proposed, self._materials.row_of_response, SHORTLIST)
            order = influence.order
            channels |= influence.channels
        # The null is as long and as rare as what is evidence: words of the prompt at the span's ends count for nothing.
        places = np.flatnonzero(weights)
        n_whole = int(np.sum(evidence.coverage == 1))
        n_tokens = int(places[-1] - places[0]) + 1
        hidden = [place for place, is_asked in enumerate(near.asked(tokens)[places[0] :][:n_tokens]) if is_asked]
        null = self._nulls.fused(n_tokens, n_whole, near, hidden)
        decoys = self._nulls.decoys(words, n_tokens, n_whole, near, hidden)
        n_holders = self._materials.phrases.n_texts_with(span.text)
        hit_of = {text: hit for hit, text in enumerate(support.text.tolist())}
        links = tuple(
            self._link(claim, span, text, hit_of.get(text), evidence, channels, fused, null, influence)
            for text in order[:k].tolist()
        )
        note = "" if len(support.text) else "no response holds these words; the rows below are near in concept only"
        shifts = influence.shifts if influence is not None else ()
        benign = benign_reason(claim, span.start, span.end)
        return SpanTrace(
            span.start,
            span.end,
            span.text,
            words,
            n_holders,
            len(null),
            links,
            note,
            shifts,
            chance_note=why_no_chance(n_tokens, len(null)),
            benign=bool(benign),
            benign_reason=benign,
            decoys=decoys,
        )

    def _evidence(self, numbers: NDArray[np.int64], weights: NDArray[np.float32], right: str, near: Surroundings) -> _Evidence:
        """Support for the span, less that for the words that should have stood in its place."""
        support = self._materials.phrases.support(numbers[None], weights[None])
        coverage = np.zeros(self._materials.n_responses, np.float32)
        coverage[support.text] = support.coverage
        contrast = np.zeros(self._materials.n_responses, np.float32)
        right_tokens = tokenize(right)
        if right_tokens:
            right_numbers = self._materials.phrases.token_numbers(right_tokens)
            right_weights = self._weights(right_tokens, right_numbers, near)
            found = self._materials.phrases.support(right_numbers[None], right_weights[None])
            contrast[found.text] = found.coverage
        support = support.only(coverage[support.text] > contrast[support.text])
        surplus = np.round(support.coverage - contrast[support.text], SUPPORT_DECIMALS)
        refuted = contrast >= np.maximum(coverage, np.float32(LEAST_COVERAGE))
        return _Evidence(support, surplus, phrase_ranks(support.span, surplus), coverage, refuted)

    def _ordered_again(
        self, order: NDArray[np.int64], fused: NDArray[np.float64], refuted: NDArray[np.bool_], prompt: str
    ) -> tuple[NDArray[np.int64], ChannelValues]:
        """The shortlist by the fused score with the transformer's rank added; the others stay behind it, in order."""
        assert self._transformer is not None
        shortlist = order[:SHORTLIST]
        prompts = self._materials.corpus.responses["prompt"].gather(shortlist).to_list()
        vectors = encode_cached(self._transformer, [prompt, *prompts]).astype(np.float32)
        values = np.zeros(len(fused), np.float32)
        values[shortlist] = similarities(vectors[0], vectors[1:])
        ranks = np.zeros(len(fused), np.int64)
        ranks[shortlist] = competition_ranks(values[shortlist])
        again = fused[shortlist] + 1 / (FUSION_CONSTANT + ranks[shortlist])
        best = np.lexsort((shortlist, -np.round(again, 9), refuted[shortlist]))
        return np.concatenate([shortlist[best], order[SHORTLIST:]]), ChannelValues(values, ranks)

    def _link(
        self,
        claim: Response,
        span: Span,
        text: int,
        hit: int | None,
        evidence: _Evidence,
        channels: Mapping[Channel, ChannelValues],
        fused: NDArray[np.float64],
        null: NDArray[np.float64],
        influence: Influence | None,
    ) -> Link:
        row, turn = int(self._materials.row_of_response[text]), int(self._turns[text])
        scores = {
            channel: ChannelScore(round(float(found.value[text]), 4), int(found.rank[text]))
            for channel, found in channels.items()
            if found.rank[text] > 0 and (found.value[text] > 0 or channel in MODEL_CHANNELS)
        }
        if hit is None:
            tokens = influence.links.get(text, ()) if influence is not None else ()
            return Link(row, turn, None, scores, round(float(fused[text]), 6), None, None, tokens)
        surplus = float(evidence.surplus[hit])
        scores = {Channel.PHRASE: ChannelScore(round(surplus, 4), int(evidence.ranks[hit])), **scores}
        begin, length = int(evidence.support.begin[hit]), int(evidence.support.length[hit])
        return Link(
            row,
            turn,
            self._match(text, begin, length, claim, span),
            scores,
            round(float(fused[text]), 6),
            chance=round(float(link_chances(null, fused[text])), 6) if len(null) else None,
            tier=tier_of(
                LinkEvidence(
                    co_occurs=surplus >= LEAST_COVERAGE,
                    is_put_there=influence.is_shifted if influence is not None else None,
                    is_lender=text in influence.lenders if influence is not None else None,
                )
            ),
            tokens=influence.links.get(text, ()) if influence is not None else (),
        )

    def _weights(self, tokens: list[str], numbers: NDArray[np.int64], near: Surroundings) -> NDArray[np.float32]:
        """Evidence of each token: 0 for punctuation and words of the prompt; one that occurs nowhere weighs the most."""
        phrases = self._materials.phrases
        unseen = np.log(2.0 * (phrases.stream.n_texts + 1))
        weights = np.append(phrases.weights, unseen)[numbers]  # -1, for a token that occurs nowhere, is the last
        is_evidence = [is_word(token) and not is_asked for token, is_asked in zip(tokens, near.asked(tokens), strict=True)]
        return np.where(is_evidence, weights, 0).astype(np.float32)

    def _match(self, text: int, begin: int, length: int, claim: Response, span: Span) -> Match:
        response = self._materials.corpus.responses["text"][text]
        tokens = tokenize_with_offsets(response)[begin : begin + length]
        in_claim = tokenize_with_offsets(claim.response[span.start : span.end])
        wanted = [token.text for token in tokens]
        place = next(i for i in range(len(in_claim)) if [t.text for t in in_claim[i : i + length]] == wanted)
        return Match(
            tokens[0].start,
            tokens[-1].end,
            response[tokens[0].start : tokens[-1].end],
            span.start + in_claim[place].start,
            span.start + in_claim[place + length - 1].end,
        )

    def _not_looked_at(self) -> Iterator[Skipped]:
        if self._encoder is None:
            yield Skipped("nearness of concepts", self._run.manifest["encoder"].get("skipped", "the run holds no vectors"))
        if self._models is None:
            yield from _NEEDS_MODELS
        else:
            yield from self._models.not_looked_at()
            yield _NEEDS_RETRAINING
