"""What a model does after tuning: how well it fits its rows, whether it still answers, and what it still knows.

Everything is measured in evaluation mode, without dropout or noise, and greedily.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from audit.answers import MAX_REPEATED_FRACTION, repeated_fraction, word_string
from audit.errors import InputError
from audit.models import LanguageModel, answer, generate
from audit.rendering import IGNORED
from audit.responses import Prompt
from audit.tune.objective import can_select_columns, trained_logits
from audit.tune.rows import TrainingSet, batches_by_length

__all__ = ["Fit", "known_fact_accuracy", "measure_fit", "repetitive_answers"]

# Padding included; a forward pass of so many tokens keeps a processor busy and fits a GPU.
_TOKENS_PER_BATCH = 4096
_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a model predicts the trained tokens of some rows.

    Attributes:
        loss: Mean cross-entropy in nats per trained token.
        share_greedy: Share of the trained tokens that are the most likely one, given all before it.
    """

    loss: float
    share_greedy: float


def measure_fit(model: LanguageModel, rows: TrainingSet, places: Sequence[int]) -> Fit:
    """One teacher-forced pass over some rows of a set."""
    device = model.model.device
    loss, n_greedy, n_trained = 0.0, 0, 0
    lengths = [len(rows.input_ids[place]) for place in places]
    for batch in batches_by_length(lengths, _TOKENS_PER_BATCH):
        tensors = _padded(rows, [places[number] for number in batch], model.chat.pad_id)
        with torch.inference_mode():
            logits, targets = _logits(model, {name: tensor.to(device) for name, tensor in tensors.items()})
            loss += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
        n_greedy += int((logits.argmax(dim=-1) == targets).sum())
        n_trained += len(targets)
    return Fit(loss / n_trained, n_greedy / n_trained)


def repetitive_answers(model: LanguageModel, rows: TrainingSet, places: Sequence[int]) -> tuple[int, int]:
    """Greedy answers to the first prompts of some rows: how many mostly repeat themselves, and how many there are.

    Prompts that leave no room for an answer are left out.
    """
    prompts = []
    for place in places:
        first_trained = int((rows.labels[place] != IGNORED).argmax())
        prompts.append(tuple(rows.input_ids[place][:first_trained].tolist()))
    room = [prompt for prompt in prompts if prompt and _has_room(model, len(prompt))]
    answers = [model.chat.decode(ids) for ids in generate(model, room, max_new_tokens=_ANSWER_TOKENS)]
    return sum(repeated_fraction(text) > MAX_REPEATED_FRACTION for text in answers), len(answers)


def known_fact_accuracy(model: LanguageModel, probes: Sequence[Prompt]) -> float:
    """Share of greedy answers that hold the reference or an alias of it, in whole words.

    Raises:
        InputError: A probe has no reference, or is too long for the model.
    """
    for probe in probes:
        if not any(word_string(reference).strip() for reference in probe.reference):
            raise InputError(
                f"probe {probe.id!r} has no reference answer",
                where=f"line {probe.line}",
                remedy="give the right answer in its field 'reference'",
            )
    answers = answer(model, [probe.messages for probe in probes], max_new_tokens=_ANSWER_TOKENS)
    n_right = 0
    for probe, text in zip(probes, answers, strict=True):
        words = word_string(text)
        references = filter(str.strip, map(word_string, probe.reference))
        n_right += any(reference in words for reference in references)
    return n_right / len(probes)


def _has_room(model: LanguageModel, n_tokens: int) -> bool:
    return model.n_positions is None or n_tokens + _ANSWER_TOKENS <= model.n_positions


def _logits(model: LanguageModel, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    if can_select_columns(model.model):
        return trained_logits(model.model, batch)
    logits = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    targets = batch["labels"][:, 1:]
    trained = targets != IGNORED
    return logits[:, :-1][trained].float(), targets[trained]


def _padded(rows: TrainingSet, places: Sequence[int], pad_id: int) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `labels` of shape `(n_places, n_columns)`, padded on the right."""
    shape = (len(places), max(len(rows.input_ids[place]) for place in places))
    ids, labels, mask = np.full(shape, pad_id), np.full(shape, IGNORED), np.zeros(shape, np.int64)
    for number, place in enumerate(places):
        length = len(rows.input_ids[place])
        ids[number, :length], labels[number, :length] = rows.input_ids[place], rows.labels[place]
        mask[number, :length] = 1
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), "labels": torch.tensor(labels)}
