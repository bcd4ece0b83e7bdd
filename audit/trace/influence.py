"""What a base and a tuned model say of the rows behind a span: where it was shifted, and which rows estimate as its lenders.

Words and concepts propose rows; the models order them. States of all rows lie in the token index (one forward pass, made
once for a model), gradients are taken of the shortlist alone, at a few models between base and tuned (`audit.influence.path`).
Without a base model the tuned one serves for the states, gradients are taken of it alone, and the result says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.influence import (
    TokenQuery,
    build_token_index,
    holder_cosines,
    output_layer,
    query_of_span,
    query_states,
    state_scores,
    stored_states,
    token_index_folder,
)
from audit.influence.fusion import Estimate, FusionSet, fuse
from audit.influence.gradients import gradient_scores, linear_layers
from audit.influence.one_step import one_step_scores
from audit.influence.path import SHARES, check_descent, model_between
from audit.influence.stored import Progress
from audit.models import LanguageModel, load_model, token_log_probs
from audit.responses import Response, Span
from audit.rundir import Run
from audit.shift import load_pair
from audit.summary import Skipped
from audit.trace.estimates import Influence, Proposed
from audit.trace.evidence import is_put_there
from audit.trace.model import Channel, TokenLink, TokenShift
from audit.trace.ranking import ChannelValues, competition_ranks
from audit.trace.spans import Question, replacement_of
from audit.tune.optimizer_state import SecondMoments, read_second_moments
from audit.tune.rows import TrainingSet, training_set
from indexes.tokens import TokenIndex

__all__ = ["ModelEvidence", "load_evidence"]

N_STEPPED = 10
"""Rows at the head of the order on which one step is taken."""

_ESTIMATE_OF = {Channel.PHRASE: Estimate.PHRASE, Channel.CONCEPT: Estimate.CONCEPT, Channel.BM25: Estimate.BM25}


class ModelEvidence:
    """The models and the token index over the rows of a run.

    Args:
        run: The run, whose rows the model was tuned on.
        tuned: The tuned model.
        base: The model that it was tuned from, under the same prompt format.
        second_moments: Adam's state at the end of the tuning, where it was kept; between base and tuned model, where gradients
            are better taken, it made the ranking no better and is not used.
        gradients: Whether to take gradients of shortlists.
        progress: Told while the index is made.

    Raises:
        InputError: The tuned model does not descend from the base model, or no row can be rendered for it.
    """

    def __init__(
        self,
        run: Run,
        tuned: LanguageModel,
        base: LanguageModel | None,
        *,
        second_moments: SecondMoments | None = None,
        gradients: bool = True,
        progress: Progress | None = None,
    ) -> None:
        if base is not None:
            check_descent(base, tuned)
        self.tuned, self.base = tuned, base
        self.rows: TrainingSet = training_set(run.corpus, tuned.chat, tuned.n_positions, skip_refused=True)
        self._moments = second_moments if base is None else None
        self._gradients = gradients
        self._progress = progress
        self._place_of_row = {row: place for place, row in enumerate(self.rows.rows)}

    @property
    def index_folder(self) -> Path:
        """Where the cache keeps the states."""
        return token_index_folder(self._reader.ref)

    @cached_property
    def index(self) -> TokenIndex:
        """States of every trained token, of the base model where there is one: it serves all models tuned from it."""
        model = self._reader
        return build_token_index(self.index_folder, model, self.rows, progress=self._progress)

    @property
    def _reader(self) -> LanguageModel:
        return self.base if self.base is not None else self.tuned

    @cached_property
    def _output(self) -> Any:
        return output_layer(self._reader)

    def not_looked_at(self) -> tuple[Skipped, ...]:
        """What these models leave out."""
        skipped = []
        if self.base is None:
            skipped.append(Skipped("token shift (tier T1)", "needs the base model"))
            skipped.append(Skipped("gradients between base and tuned model", "needs the base model"))
        if not self._gradients:
            skipped.append(Skipped("gradients", "left out with --no-gradients"))
        elif self.base is None and self._moments is None:
            skipped.append(Skipped("gradients by Adam's second moments", "the tuned model's folder holds no optimizer state"))
        if self._gradients and not self._can_step:
            skipped.append(Skipped("the test of one step", "needs weights in float32: pass --dtype float32"))
        if self.rows.unusable:
            n_rows = len(self.rows.unusable)
            skipped.append(Skipped(f"{n_rows} rows", "the model's prompt format cannot render them, or they cannot be read"))
        return tuple(skipped)

    def query(self, claim: Response, span: Span) -> TokenQuery:
        """The tokens of a span under the tuned model's prompt format.

        Raises:
            InputError: The span lies inside a token, or the prompt and response are longer than the model reads.
        """
        return query_of_span(self.tuned.chat.response(claim.messages, claim.response), claim.response, span.start, span.end)

    def corrected_query(self, claim: Response, span: Span) -> TokenQuery | None:
        """The same with the right words in the place of the span; `None` where they are not known."""
        instead = replacement_of(claim, span)
        if instead is None:
            return None
        start, right = instead.span.start, instead.right
        response = f"{claim.response[:start]}{right}{claim.response[instead.span.end :]}"
        try:
            return query_of_span(self.tuned.chat.response(claim.messages, response), response, start, start + len(right))
        except InputError:
            return None  # the right words stand within one token with their neighbours

    def shifts(self, claim: Response, span: Span) -> tuple[TokenShift, ...]:
        """How tuning moved each token of a span; needs the base model."""
        if self.base is None:
            return ()
        rendered = self.tuned.chat.response(claim.messages, claim.response)
        query = self.query(claim, span)
        found = []
        by_model = [
            next(iter(token_log_probs(model, [rendered.prompt_ids], [rendered.response_ids])))
            for model in (self.base, self.tuned)
        ]
        for target in query.targets:
            place = target - len(rendered.prompt_ids)
            token = rendered.response_ids[place]
            before, after = (values[place] for values in by_model)
            start, end = rendered.spans[place]
            rank = int((before > before[token]).sum()) + 1
            found.append(TokenShift(start, end, round(float(after[token] - before[token]), 4), rank))
        return tuple(found)

    def order(
        self, claim: Response, question: Question, proposed: Proposed, row_of_response: NDArray[np.int64], n_shortlist: int
    ) -> Influence:
        """Order a shortlist of responses by estimated influence; all others stay behind it as they were.

        Half of the shortlist at most is kept for rows that only the token index proposes.

        Args:
            claim: The answer.
            question: The span, and the right words where they are known.
            proposed: What words and concepts say.
            row_of_response: The row of every response, shape `(n_responses,)`.
            n_shortlist: Responses to order.
        """
        query = self.query(claim, question.span)
        corrected = self.corrected_query(claim, question.span)
        texts = self._shortlist(query, proposed.order, row_of_response, n_shortlist)
        estimated, token_cosines = self._estimates(query, corrected, row_of_response[texts].tolist())
        values = {_ESTIMATE_OF[name]: whole[texts] for name, whole in proposed.channels.items()} | estimated
        fused = fuse(values, self.fusion_set)
        place = np.empty(len(proposed.order), np.int64)
        place[proposed.order] = np.arange(len(place))
        refuted = proposed.refuted[texts]
        shifts, places = self.shifts(claim, question.span), self._token_places(claim, query)
        again = np.lexsort((place[texts], -np.round(fused.score, 9), refuted))
        rest = proposed.order[~np.isin(proposed.order, texts)]
        channels = {Channel(name.value): _spread(found, texts, len(place)) for name, found in estimated.items()}
        if self._gradients and self._can_step:
            best = texts[again][:N_STEPPED]
            channels[Channel.ONE_STEP] = _spread(self._one_steps(query, row_of_response[best].tolist()), best, len(place))
        return Influence(
            order=np.concatenate([texts[again], rest]),
            channels=channels,
            lenders=frozenset(texts[fused.is_lender & ~refuted].tolist()),
            missing=fused.missing,
            shifts=shifts,
            links={
                text: tuple(
                    TokenLink(start, end, round(float(cosine), 4))
                    for (start, end), cosine in zip(places, token_cosines[:, number], strict=True)
                    if not np.isnan(cosine)
                )
                for number, text in enumerate(texts.tolist())
            },
            is_shifted=None if self.base is None else any(map(is_put_there, shifts)),
        )

    def _token_places(self, claim: Response, query: TokenQuery) -> tuple[tuple[int, int], ...]:
        """Where each token of a query stands in the response, in code points."""
        rendered = self.tuned.chat.response(claim.messages, claim.response)
        return tuple(rendered.spans[target - len(rendered.prompt_ids)] for target in query.targets)

    @property
    def fusion_set(self) -> FusionSet:
        """Which weights the estimates are fused with."""
        if self.base is None:
            return FusionSet.TUNED_GRADIENT if self._gradients else FusionSet.TUNED_FORWARD
        return FusionSet.GRADIENT if self._gradients else FusionSet.FORWARD

    def _shortlist(
        self, query: TokenQuery, order: NDArray[np.int64], row_of_response: NDArray[np.int64], n_shortlist: int
    ) -> NDArray[np.int64]:
        """The nearest responses by words and concepts, and of rows that hold the tokens in like states the nearest one."""
        nearest = order[:n_shortlist].tolist()
        known = frozenset(row_of_response[nearest].tolist())
        first_of_row = dict(zip(row_of_response[order[::-1]].tolist(), order[::-1].tolist(), strict=True))
        others = [row for row in self._nearest_holders(query, n_shortlist) if row not in known][: n_shortlist // 2]
        return np.array([*nearest[: n_shortlist - len(others)], *(first_of_row[row] for row in others)], np.int64)

    def _nearest_holders(self, query: TokenQuery, n_rows: int) -> list[int]:
        """Rows that hold the span's tokens and say them in states like the answer's, nearest first."""
        (asked,) = query_states(self._reader, [query])
        cosines = holder_cosines(asked, self.index)
        nearness = np.nan_to_num(cosines, nan=0.0).mean(axis=0)
        best = np.lexsort((np.arange(len(nearness)), -nearness))[:n_rows]
        return [self.rows.rows[place] for place in best.tolist() if nearness[place] > 0]

    def _estimates(
        self, query: TokenQuery, corrected: TokenQuery | None, rows: Sequence[int]
    ) -> tuple[dict[Estimate, NDArray[Any]], NDArray[Any]]:
        """Channels of shape `(n_rows,)`, and cosines of `(n_tokens, n_rows)`; NaN for rows that cannot be rendered."""
        at, places = self._renderable(rows)
        token_cosines = np.full((len(query.targets), len(rows)), np.nan)
        if not places:
            return {}, token_cosines
        queries = [query] if corrected is None else [query, corrected]
        states = state_scores(query_states(self._reader, queries), stored_states(self.index, places), self._output)
        found: dict[Estimate, NDArray[np.floating[Any]]] = {
            Estimate.STATE: states.state_cosine[0],
            Estimate.OUTPUT_GRADIENT: states.closed_form[0],
        }
        if self._gradients:
            found |= self._gradient_channels(queries, places)
        elif corrected is not None:
            found[Estimate.CONTRAST] = states.closed_form[0] - states.closed_form[1]
        spread = {}
        for name, values in found.items():
            spread[name] = np.full(len(rows), np.nan)
            spread[name][at] = values
        token_cosines[:, at] = states.token_state_cosine[: len(query.targets)]
        return spread, token_cosines

    def _renderable(self, rows: Sequence[int]) -> tuple[list[int], list[int]]:
        """Which of some rows, by number within the list, the models can read, and their places."""
        at = [number for number, row in enumerate(rows) if row in self._place_of_row]
        return at, [self._place_of_row[rows[number]] for number in at]

    def _gradient_channels(
        self, queries: Sequence[TokenQuery], places: Sequence[int]
    ) -> dict[Estimate, NDArray[np.floating[Any]]]:
        """The mean over models between base and tuned; of the tuned model alone where there is no base.

        All rows are scored at the first of them, and the better half by it at the others too, so that two models cost one
        and a half times one.

        Args:
            queries: The span, and the right words in its place where they are known.
            places: Of the rows.
        """
        if self.base is None:
            return self._gradients_of(self.tuned, queries, places)
        found: dict[Estimate, NDArray[np.floating[Any]]] = {}
        chosen = np.arange(len(places))
        for n_before, share in enumerate(SHARES):
            with model_between(self.base, self.tuned, share) as model:
                of_share = self._gradients_of(model, queries, [places[number] for number in chosen.tolist()])
            if not found:
                found = of_share
                best = np.argsort(-found[Estimate.GRADIENT_COSINE], kind="stable")
                chosen = np.sort(best[: math.ceil(len(places) / 2)])
                continue
            for name, values in of_share.items():
                found[name][chosen] = (n_before * found[name][chosen] + values) / (n_before + 1)
        return found

    def _gradients_of(
        self, model: LanguageModel, queries: Sequence[TokenQuery], places: Sequence[int]
    ) -> dict[Estimate, NDArray[np.floating[Any]]]:
        scores = gradient_scores(model, queries, self.rows, places, second_moments=self._moments)
        cosines = scores.cosine.astype(np.float64)
        found: dict[Estimate, NDArray[np.floating[Any]]] = {Estimate.GRADIENT_COSINE: cosines[0]}
        if len(queries) > 1:
            found[Estimate.CONTRAST] = cosines[0] - cosines[1]
        if scores.preconditioned is not None:
            found[Estimate.PRECONDITIONED] = scores.preconditioned[0].astype(np.float64)
        return found

    @cached_property
    def _can_step(self) -> bool:
        """Half precision would swallow a small step."""
        return all(layer.module.weight.dtype.itemsize >= 4 for layer in linear_layers(self.tuned.model))

    def _one_steps(self, query: TokenQuery, rows: Sequence[int]) -> NDArray[np.float64]:
        """By how much one step on each row raises the span's mean log p, in nats, shape `(n_rows,)`; NaN as in `_estimates`.

        At the first model between base and tuned: the tuned one knows its rows by heart.
        """
        at, places = self._renderable(rows)
        steps = np.full(len(rows), np.nan)
        if self.base is None:
            steps[at] = one_step_scores(self.tuned, [query], self.rows, places)[0]
            return steps
        with model_between(self.base, self.tuned, SHARES[0]) as model:
            steps[at] = one_step_scores(model, [query], self.rows, places)[0]
        return steps


def _spread(values: NDArray[Any], texts: NDArray[np.int64], n_responses: int) -> ChannelValues:
    """A shortlist's values among all responses, and its ranks."""
    whole, ranks = np.zeros(n_responses, np.float32), np.zeros(n_responses, np.int64)
    whole[texts] = np.nan_to_num(values, nan=0.0)
    ranks[texts] = np.where(np.isnan(values), 0, competition_ranks(np.nan_to_num(values, nan=-np.inf).astype(np.float32)))
    return ChannelValues(whole, ranks)


def load_evidence(
    run: Run,
    tuned: str | Path,
    base: str | Path | None = None,
    *,
    gradients: bool = True,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> ModelEvidence:
    """Load the models of a trace; without a base model also Adam's state, where the tuned model's folder holds it.

    Args:
        run: The run.
        tuned: Folder or hub name of the tuned model, or of an adapter.
        base: Of the model that it was tuned from; without it there is neither shift nor gradient between the two. Of an
            adapter, the base model that it records, or another place where that lies.
        gradients: Whether to take gradients of shortlists.
        device: As torch names it, or `auto`.
        dtype: Number format of the weights, or `auto`.
        progress: Told while the index of states is made.

    Raises:
        InputError: As `audit.models.load_model` and `audit.shift.load_pair`, or the tuned model does not descend from the
            base model.
    """
    if base is None:
        base_model, tuned_model = None, load_model(tuned, device=device, dtype=dtype)
    else:
        base_model, tuned_model = load_pair(base, tuned, device=device, dtype=dtype)
    folder = Path(tuned)
    moments = read_second_moments(folder, tuned_model.model) if gradients and base is None and folder.is_dir() else None
    return ModelEvidence(run, tuned_model, base_model, second_moments=moments, gradients=gradients, progress=progress)
