"""One teacher-forced pass of base and tuned model over the same answers: rank, KL both ways and lift of every token.

The two passes go in step, chunk by chunk of positions, so that at no time more than a bounded number of log-probabilities
is held, whatever vocabulary and length (`audit.models.log_prob_chunks`). KL is over the whole vocabulary, in float32.

Source: Lin et al. (2024), The Unlocking Spell on Base LLMs, section 2; Ghosh et al. (2024), section 3.2.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from audit.errors import InputError
from audit.models import (
    MAX_VALUES,
    LanguageModel,
    ModelRef,
    find_model_folder,
    load_model,
    log_prob_chunks,
    recorded_base,
    weight_files,
    weights_digest,
)
from audit.responses import Prompt, Response
from audit.shift.classes import Shift, shift_of_rank
from audit.shift.profile import Part, Profile, ShiftedToken, WordCounts, count_words, part, profile, top_shifted
from audit.shift.responses import AlignedResponse, align_responses, greedy_responses
from audit.shift.sentences import sentence_spans

if TYPE_CHECKING:
    import torch

__all__ = ["TOKEN_SCHEMA", "Progress", "ShiftReport", "load_pair", "measure_shift"]

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and of how much."""

TOKEN_SCHEMA = pl.Schema(
    {
        "response": pl.String(),
        "number": pl.UInt32(),
        "position": pl.UInt32(),
        "token": pl.UInt32(),
        "text": pl.String(),
        "start": pl.UInt32(),
        "end": pl.UInt32(),
        "rank": pl.UInt32(),
        "shift": pl.Enum([shift.value for shift in Shift]),
        "kl_tuned_base": pl.Float64(),
        "kl_base_tuned": pl.Float64(),
        "lift": pl.Float64(),
        "log_p_base": pl.Float64(),
        "log_p_tuned": pl.Float64(),
        "sentence": pl.UInt32(),
        "sentence_position": pl.UInt32(),
    }
)
"""One line per token: the answer's id and number, its place there, its number in the vocabulary, its text and where that
stands in the answer (code points, end exclusive), its rank under the base model from 1 and class, KL, lift and
log-probabilities in nats, and its sentence and place there. All other places count from 0."""


@dataclass(frozen=True)
class ShiftReport:
    """What tuning moved.

    Attributes:
        base: The base model.
        tuned: The tuned model.
        responses: The answers, in the order of the prompts; some may be empty.
        tokens: A frame of `TOKEN_SCHEMA`, answer by answer.
        n_vocabulary: Tokens over which KL goes.
        max_new_tokens: Where the tuned model's answers were cut; `None` of given ones.
    """

    base: ModelRef
    tuned: ModelRef
    responses: tuple[AlignedResponse, ...]
    tokens: pl.DataFrame
    n_vocabulary: int
    max_new_tokens: int | None

    @property
    def n_empty(self) -> int:
        """Answers without a token."""
        return sum(not response.token_ids for response in self.responses)

    @property
    def n_cut(self) -> int:
        """Answers that had not ended at `max_new_tokens`."""
        return sum(bool(response.cut) for response in self.responses)

    @cached_property
    def whole(self) -> Part:
        """All tokens."""
        return part(self.tokens)

    @cached_property
    def profiles(self) -> tuple[Profile, Profile]:
        """Start against rest, within each sentence and within each answer."""
        return profile(self.tokens, "sentence"), profile(self.tokens, "response")

    @cached_property
    def shifted_tokens(self) -> tuple[ShiftedToken, ...]:
        """Every token that is shifted somewhere, the most often shifted first."""
        return top_shifted(self.tokens)

    @cached_property
    def words(self) -> WordCounts:
        """Words by the class of the token that they begin with."""
        classes = [[Shift(value) for value in rows["shift"]] for rows in self.by_response()]
        return count_words(self.responses, classes)

    def by_response(self) -> Iterator[pl.DataFrame]:
        """The tokens of each answer, in the order of `responses`."""
        at = 0
        for response in self.responses:
            yield self.tokens[at : at + len(response.token_ids)]
            at += len(response.token_ids)


def load_pair(
    base: str | Path, tuned: str | Path, *, device: str = "auto", dtype: str = "auto"
) -> tuple[LanguageModel, LanguageModel]:
    """A base model and one tuned from it, under the tuned one's prompt format.

    An adapter goes onto the base model that it records, or onto `base` where that is no longer there.

    Raises:
        InputError: As `load_model`; the two have not the same tokenizer; or the adapter was trained on another base model.
    """
    folder, _ = find_model_folder(tuned)
    for place in (folder, find_model_folder(base)[0]):
        weight_files(place)  # before minutes go into loading the other
    own_base = _own_base(folder) if (folder / "adapter_config.json").exists() else None
    if own_base is not None and weights_digest(own_base) != weights_digest(base):
        raise InputError(
            f"the adapter's base model {own_base} has other weights than {base}",
            where=str(tuned),
            remedy="compare it with the base model that it was trained on",
        )
    tuned_model = load_model(tuned, base=own_base or base, device=device, dtype=dtype)
    return load_model(base, device=device, dtype=dtype, chat=tuned_model.chat), tuned_model


def measure_shift(
    base: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[Prompt] | Sequence[Response],
    *,
    max_new_tokens: int = 256,
    batch_size: int = 16,
    max_values: int = MAX_VALUES,
    progress: Progress | None = None,
) -> ShiftReport:
    """Answer prompts with the tuned model, and measure every token of the answers under both.

    Args:
        base: The base model, loaded with the tuned one's format (`load_pair`).
        tuned: The tuned model.
        prompts: What to ask; or answers that were made elsewhere, which are measured as they are.
        max_new_tokens: Where an answer is cut.
        batch_size: Answers at once.
        max_values: Log-probabilities of one model held at once.
        progress: Told what is being done.

    Raises:
        InputError: The models' tokenizers or formats differ, a prompt is too long for one of them, no answer has a token,
            or a model gives no numbers.
    """
    if base.chat.digest != tuned.chat.digest or base.chat.tokenizer.get_vocab() != tuned.chat.tokenizer.get_vocab():
        raise InputError(
            "base and tuned model have not the same tokenizer and prompt format",
            where=base.ref.base,
            remedy="load the base model with the tuned one's format, as tunescope shift does",
        )
    report = progress or (lambda stage, done, total: None)
    given = [prompt for prompt in prompts if isinstance(prompt, Response)]
    asked = [prompt for prompt in prompts if isinstance(prompt, Prompt)]
    if given:
        responses = align_responses(tuned.chat, given)
    else:
        responses = greedy_responses(
            tuned,
            asked,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            progress=lambda done: report("answering", done, len(asked)),
        )
    if not any(response.token_ids for response in responses):
        raise InputError(
            "no answer has a token to measure",
            where=tuned.ref.adapter or tuned.ref.base,
            why="the model ends every answer at once" if asked else "all responses are empty",
            remedy="check that the prompt format is the one it was tuned with",
        )
    for model in (base, tuned):
        _check_lengths(model, responses)
    n_vocabulary = min(base.n_vocabulary, tuned.n_vocabulary)
    tokens = _measured(base, tuned, responses, batch_size, max_values, n_vocabulary, report)
    return ShiftReport(base.ref, tuned.ref, responses, tokens, n_vocabulary, None if given else max_new_tokens)


def _measured(
    base: LanguageModel,
    tuned: LanguageModel,
    responses: Sequence[AlignedResponse],
    batch_size: int,
    max_values: int,
    n_vocabulary: int,
    progress: Progress,
) -> pl.DataFrame:
    """The frame of `TOKEN_SCHEMA`; answers of like length share a batch."""
    order = sorted(
        (number for number, response in enumerate(responses) if response.token_ids),
        key=lambda number: (len(responses[number].token_ids), len(responses[number].prompt_ids), number),
    )
    prompts = [responses[number].prompt_ids for number in order]
    answers = [responses[number].token_ids for number in order]
    chunks = (
        log_prob_chunks(model, prompts, answers, batch_size=batch_size, max_values=max_values, n_vocabulary=n_vocabulary)
        for model in (base, tuned)
    )
    columns: dict[int, list[pl.DataFrame]] = {}
    n_tokens, n_done = sum(map(len, answers)), 0
    for of_base, of_tuned in zip(*chunks, strict=True):
        start = of_base.start
        for row, answer in enumerate(answers[of_base.first : of_base.first + len(of_base.values)]):
            ids = answer[start : start + of_base.values.shape[1]]
            if not ids:
                continue
            measured = _token_measures(of_base.values[row, : len(ids)], of_tuned.values[row, : len(ids)], ids)
            if measured["finite"].not_().any():
                names = (model.ref.adapter or model.ref.base for model in (base, tuned))
                raise InputError(
                    "a model gives no numbers",
                    where=" or ".join(names),
                    why="its log-probabilities are not finite",
                    remedy="the tuning may have diverged, or try another --dtype",
                )
            columns.setdefault(order[of_base.first + row], []).append(measured.drop("finite"))
            n_done += len(ids)
        progress("measuring", n_done, n_tokens)
    frames = [_placed(number, response, columns[number]) for number, response in enumerate(responses) if number in columns]
    return pl.concat(frames).select(list(TOKEN_SCHEMA)).cast(TOKEN_SCHEMA)


def _token_measures(base: torch.Tensor, tuned: torch.Tensor, ids: Sequence[int]) -> pl.DataFrame:
    """Rank, KL both ways, lift and log-probabilities at some positions.

    Args:
        base: Log-probabilities of the base model, shape `(n_positions, vocabulary)`.
        tuned: Those of the tuned model, the same shape.
        ids: The tokens at these positions.
    """
    import torch

    chosen = torch.tensor(ids, device=base.device)[:, None]
    log_p_base, log_p_tuned = base.gather(1, chosen), tuned.gather(1, chosen)
    difference = tuned - base
    measures = {
        "rank": 1 + (base > log_p_base).sum(dim=1),
        # Rounding takes a divergence of two equal distributions below zero by some 1e-8.
        "kl_tuned_base": (tuned.exp() * difference).sum(dim=1).clamp(min=0),
        "kl_base_tuned": (base.exp() * -difference).sum(dim=1).clamp(min=0),
        "log_p_base": log_p_base[:, 0],
        "log_p_tuned": log_p_tuned[:, 0],
        "finite": difference.isfinite().all(dim=1),
    }
    frame = pl.DataFrame({name: values.cpu().numpy() for name, values in measures.items()})
    return frame.with_columns(
        pl.col("log_p_base", "log_p_tuned").cast(pl.Float64),
        (pl.col("log_p_tuned").cast(pl.Float64) - pl.col("log_p_base").cast(pl.Float64)).alias("lift"),
    )


def _placed(number: int, response: AlignedResponse, measures: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The measures of one answer with where each token stands."""
    measured = pl.concat(measures)
    sentences = _sentence_of_tokens(response)
    first = {sentence: place for place, sentence in reversed(list(enumerate(sentences)))}
    return pl.DataFrame(
        {
            "response": [response.id] * len(response.token_ids),
            "number": [number] * len(response.token_ids),
            "position": range(len(response.token_ids)),
            "token": response.token_ids,
            "text": [response.text[start:end] for start, end in response.spans],
            "start": [start for start, _ in response.spans],
            "end": [end for _, end in response.spans],
            "shift": [shift_of_rank(rank).value for rank in measured["rank"]],
            "sentence": sentences,
            "sentence_position": [place - first[sentence] for place, sentence in enumerate(sentences)],
        }
    ).hstack(measured)


def _sentence_of_tokens(response: AlignedResponse) -> list[int]:
    """The number of the sentence in which each token's first visible character stands; every sentence holds a token."""
    ends = [end for _, end in sentence_spans(response.text)]
    numbers = []
    for start, end in response.spans:
        piece = response.text[start:end]
        anchor = start + len(piece) - len(piece.lstrip()) if piece.strip() else start
        numbers.append(min(bisect_right(ends, anchor), max(len(ends) - 1, 0)))
    ranks = {number: rank for rank, number in enumerate(sorted(set(numbers)))}
    return [ranks[number] for number in numbers]


def _check_lengths(model: LanguageModel, responses: Sequence[AlignedResponse]) -> None:
    limit = model.n_positions
    for response in responses:
        length = len(response.prompt_ids) + len(response.token_ids)
        if limit is not None and length > limit:
            raise InputError(
                f"prompt and response take {length} tokens, and {model.ref.base} reads {limit}",
                where=f"response {response.id!r}" + (f" (line {response.line})" if response.line else ""),
                remedy="shorten it, or leave it out",
            )


def _own_base(adapter: Path) -> str | None:
    """The base model that an adapter records; `None` where it is not there any more."""
    try:
        name = recorded_base(adapter)
        find_model_folder(name)
    except InputError:
        return None
    return name
