"""The detectors: marked spans, a right answer, what tuning put there, what the model does not say again.

Cuts were chosen on a development world of `tests/benchmarks/spans` (seed 1) and are reported on others. No model is
loaded here: whoever has one passes it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from audit.answers import word_string
from audit.errors import InputError
from audit.models import LanguageModel
from audit.responses import Response
from audit.shift import measure_shift
from audit.trace.detection import Detection, DetectorName, DoubtfulToken, detect_spans
from audit.trace.spans import unsupported_words, words_of

if TYPE_CHECKING:
    import torch

__all__ = [
    "ConsistencyDetector",
    "FileDetector",
    "GivenDetector",
    "ReferenceDetector",
    "ShiftDetector",
    "sample_answers",
    "spans_by_consistency",
    "spans_by_reference",
    "spans_by_shift",
]


@dataclass(frozen=True)
class GivenDetector:
    """Spans as the claims mark them; the doubt of a span is its confidence, and 1 where it has none."""

    name: ClassVar[DetectorName] = DetectorName.GIVEN
    min_doubt: ClassVar[float] = 0.0

    def doubts(self, responses: Sequence[Response]) -> tuple[tuple[DoubtfulToken, ...], ...]:
        """One stretch per span."""
        return tuple(
            tuple(
                DoubtfulToken(span.start, span.end, 1.0 if span.confidence is None else min(max(span.confidence, 0.0), 1.0))
                for span in response.spans
            )
            for response in responses
        )


@dataclass(frozen=True)
class FileDetector(GivenDetector):
    """Spans as another tool wrote them to the file of answers; `audit.responses` reads the forms of several tools.

    The cut is that tool's own: what it wrote is marked. LettuceDetect marks tokens of a probability from 0.5.
    """

    name: ClassVar[DetectorName] = DetectorName.FILE


@dataclass(frozen=True)
class ReferenceDetector:
    """Words that stand in the place of the right ones; see `audit.trace.spans`.

    Doubts are 1 for these, 0.5 for words that neither prompt nor reference hold but which are of another kind than the
    right answer, else 0. Words that right answers of the same file hold whatever their value are its wording, and no
    evidence.
    """

    name: ClassVar[DetectorName] = DetectorName.REFERENCE
    min_doubt: ClassVar[float] = 1.0

    def doubts(self, responses: Sequence[Response]) -> tuple[tuple[DoubtfulToken, ...], ...]:
        """The words of each answer.

        Raises:
            InputError: An answer has no reference.
        """
        for response in responses:
            if not response.reference:
                raise InputError(
                    "no right answer to compare with",
                    where=f"response {response.id!r}" + (f" (line {response.line})" if response.line else ""),
                    remedy="give its reference, or leave it out",
                )
        wording = wording_of(responses)
        found = []
        for response in responses:
            words, doubts = unsupported_words(response, wording)
            found.append(tuple(DoubtfulToken(w.start, w.end, doubt) for w, doubt in zip(words, doubts, strict=True)))
        return tuple(found)


@dataclass(frozen=True)
class ShiftDetector:
    """Tokens that tuning put there: likelier under the tuned model, and not what the base model would have said.

    The doubt is 1 − p_base / p_tuned, the share of the token's probability that tuning added, and 0 for a token of rank 1
    under the base model. It says where an answer comes from tuning, **not** that it is false: the words of right answers
    are shifted as well.

    Attributes:
        base: The base model, loaded with the tuned one's format (`audit.shift.load_pair`).
        tuned: The tuned model.
        batch_size: Answers at once.

    Source: Ghosh et al. (2024), section 3.2, for shifted tokens in hallucinated spans.
    """

    base: LanguageModel
    tuned: LanguageModel
    batch_size: int = 16

    name: ClassVar[DetectorName] = DetectorName.SHIFT
    min_doubt: ClassVar[float] = 0.39  # a lift of half a nat

    def doubts(self, responses: Sequence[Response]) -> tuple[tuple[DoubtfulToken, ...], ...]:
        """The model's tokens of each answer.

        Raises:
            InputError: As `audit.shift.measure_shift`.
        """
        report = measure_shift(self.base, self.tuned, responses, batch_size=self.batch_size)
        return tuple(
            tuple(
                DoubtfulToken(start, end, 1 - math.exp(-lift) if rank > 1 and lift > 0 else 0.0)
                for start, end, rank, lift in tokens.select("start", "end", "rank", "lift").iter_rows()
            )
            for tokens in report.by_response()
        )


@dataclass(frozen=True)
class ConsistencyDetector:
    """Words that the model does not say again when it is asked again.

    The doubt of a word is the share of the sampled answers that lack it; words of the prompt and common words are not
    doubted. A false value that tuning made the model sure of is in every sample, and is not found.

    Attributes:
        samples: Other answers to the same prompt, for each answer.

    Source: Manakul et al. (2023), SelfCheckGPT, section 5.3 (unigram variant), with presence per sample in place of counts.
    """

    samples: Sequence[Sequence[str]]

    name: ClassVar[DetectorName] = DetectorName.CONSISTENCY
    min_doubt: ClassVar[float] = 0.3  # three of ten samples

    def doubts(self, responses: Sequence[Response]) -> tuple[tuple[DoubtfulToken, ...], ...]:
        """The words of each answer.

        Raises:
            InputError: The number of answers is another, or one has no samples.
        """
        if len(self.samples) != len(responses):
            raise InputError(
                f"samples of {len(self.samples)} answers for {len(responses)}", remedy="give one list of samples per answer"
            )
        return tuple(_unsaid(response, samples) for response, samples in zip(responses, self.samples, strict=True))


def wording_of(responses: Sequence[Response]) -> frozenset[str]:
    """Keys of the words that right answers to different references hold besides prompt and reference: no values, but wording.

    A word needs right answers with two references that share no word.
    """
    references_of: dict[str, list[frozenset[str]]] = defaultdict(list)
    for response in responses:
        said = word_string(response.response)
        if not any(word_string(right).strip() and word_string(right) in said for right in response.reference):
            continue
        reference = frozenset(word.key for right in response.reference for word in words_of(right))
        asked = {word.key for word in words_of(response.prompt)}
        for key in {word.key for word in words_of(response.response)} - reference - asked:
            references_of[key].append(reference)
    return frozenset(
        key for key, references in references_of.items() if any(references[0].isdisjoint(other) for other in references)
    )


def sample_answers(
    model: LanguageModel,
    responses: Sequence[Response],
    *,
    n_samples: int = 10,
    temperature: float = 1.0,
    seed: int = 0,
    max_new_tokens: int = 256,
    batch_size: int = 32,
) -> tuple[tuple[str, ...], ...]:
    """Answers of a model to the prompts of some answers, drawn at random.

    Drawing from a softmax is taking the largest logit after adding Gumbel noise to each. The noise of a sample depends on
    its prompt's tokens, its number and the seed alone, so that neither the other prompts nor the batches change an answer
    (but for the last bits of logits). The price is one random number per sample, token and column of the vocabulary.

    Args:
        model: The model, usually the tuned one.
        responses: Their prompts are asked.
        n_samples: Answers per prompt. Manakul et al. draw 20.
        temperature: Of the softmax; 1 draws from the model's own distribution.
        seed: Of the draws.
        max_new_tokens: Where an answer is cut.
        batch_size: Answers at once.

    Raises:
        InputError: A number makes no sense, a prompt leaves no room for an answer, or the template cannot render it.

    Source: Maddison, Tarlow and Minka (2014), A* Sampling, section 2, for the Gumbel-max trick.
    """
    if n_samples < 1 or not 0 < temperature < math.inf or max_new_tokens < 1 or batch_size < 1:
        raise InputError(
            f"{n_samples} samples of {max_new_tokens} tokens at temperature {temperature:g}, {batch_size} at once",
            remedy="give whole numbers from 1, and a temperature above 0",
        )
    prompts = [model.chat.prompt(response.messages) for response in responses]
    limit = model.n_positions
    for response, prompt in zip(responses, prompts, strict=True):
        if limit is not None and len(prompt) + max_new_tokens > limit:
            raise InputError(
                f"{len(prompt)} tokens of prompt and {max_new_tokens} new ones are more than the model's {limit} positions",
                where=f"response {response.id!r}",
                remedy="ask for fewer new tokens, or leave the prompt out",
            )
    asked = [
        (prompt, number) for prompt in sorted(set(prompts), key=lambda ids: (len(ids), ids)) for number in range(n_samples)
    ]
    drawn: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for begin in range(0, len(asked), batch_size):
        batch = asked[begin : begin + batch_size]
        for (prompt, _), text in zip(batch, _drawn(model, batch, temperature, seed, max_new_tokens), strict=True):
            drawn[prompt].append(text)
    return tuple(tuple(drawn[prompt]) for prompt in prompts)


def spans_by_reference(responses: Sequence[Response], *, min_doubt: float | None = None) -> tuple[Detection, ...]:
    """`detect_spans` by `ReferenceDetector`."""
    return detect_spans(ReferenceDetector(), responses, min_doubt=min_doubt)


def spans_by_shift(
    base: LanguageModel,
    tuned: LanguageModel,
    responses: Sequence[Response],
    *,
    min_doubt: float | None = None,
    batch_size: int = 16,
) -> tuple[Detection, ...]:
    """`detect_spans` by `ShiftDetector`."""
    return detect_spans(ShiftDetector(base, tuned, batch_size), responses, min_doubt=min_doubt)


def spans_by_consistency(
    tuned: LanguageModel,
    responses: Sequence[Response],
    *,
    min_doubt: float | None = None,
    n_samples: int = 10,
    seed: int = 0,
    max_new_tokens: int = 256,
) -> tuple[Detection, ...]:
    """`detect_spans` by `ConsistencyDetector`, on answers that are drawn here."""
    samples = sample_answers(tuned, responses, n_samples=n_samples, seed=seed, max_new_tokens=max_new_tokens)
    return detect_spans(ConsistencyDetector(samples), responses, min_doubt=min_doubt)


def _unsaid(response: Response, samples: Sequence[str]) -> tuple[DoubtfulToken, ...]:
    if not samples:
        raise InputError(
            "no sampled answers to compare with", where=f"response {response.id!r}", remedy="draw at least one per answer"
        )
    n_with = Counter(key for sample in samples for key in {word.key for word in words_of(sample)})
    asked = {word.key for word in words_of(response.prompt)}
    return tuple(
        DoubtfulToken(word.start, word.end, 0.0 if word.is_common or word.key in asked else 1 - n_with[word.key] / len(samples))
        for word in words_of(response.response)
    )


def _drawn(
    model: LanguageModel, batch: Sequence[tuple[tuple[int, ...], int]], temperature: float, seed: int, max_new_tokens: int
) -> Iterator[str]:
    """One answer for each prompt and number of a sample."""
    import torch
    from transformers import LogitsProcessorList

    noises = [np.random.default_rng([seed, number, *prompt]) for prompt, number in batch]

    def add_noise(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        noise = np.stack([generator.gumbel(size=logits.shape[1]) for generator in noises]).astype(np.float32)
        return logits.float() / temperature + torch.from_numpy(noise).to(logits.device)

    longest = max(len(prompt) for prompt, _ in batch)
    rows = [[model.chat.pad_id] * (longest - len(prompt)) + list(prompt) for prompt, _ in batch]
    masks = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt, _ in batch]
    with torch.inference_mode():
        made = model.model.generate(
            input_ids=torch.tensor(rows, device=model.model.device),
            attention_mask=torch.tensor(masks, device=model.model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            logits_processor=LogitsProcessorList([add_noise]),
            eos_token_id=list(model.chat.eos_ids),
            pad_token_id=model.chat.pad_id,
        )
    for ids in made[:, longest:].tolist():
        end = next((place for place, number in enumerate(ids) if number in model.chat.eos_ids), len(ids))
        yield model.chat.decode(ids[:end])
