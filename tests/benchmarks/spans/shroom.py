"""The logit baseline on real answers: Mu-SHROOM's English validation set, scored as that shared task scores.

The file has one logit per token, that of the token itself, and no normaliser, so that neither probability nor entropy can
be had from it: the doubt of a token is the share of the answer's tokens whose logit is not lower.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from tests.benchmarks.record import Result
from tests.benchmarks.spans.scores import bootstrap

__all__ = ["shroom_results"]

N_RANDOM = 100
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))


@dataclass(frozen=True)
class Answer:
    """An answer, character by character.

    Attributes:
        token: Of each character the number of its token, -1 where none holds it.
        doubt: Of each token.
        soft: Of each character the share of the annotators who marked it.
        hard: Whether most did.
    """

    token: NDArray[np.int64]
    doubt: NDArray[np.float64]
    soft: NDArray[np.float64]
    hard: NDArray[np.bool_]

    def characters(self, of_tokens: NDArray[Any]) -> NDArray[Any]:
        """Values of tokens carried to characters; 0 where no token is."""
        return np.where(self.token >= 0, of_tokens[self.token], 0)


def shroom_results(path: Path, command: str) -> Iterator[Result]:
    """Overlap and rank correlation of the logit baseline and of the same doubts at random places."""
    with path.open(encoding="utf-8") as file:
        answers = [_answer(json.loads(line)) for line in file]
    names = [str(number) for number in range(len(answers))]
    generator = np.random.default_rng(0)
    fitted = np.zeros(len(answers))
    for fold in (0, 1):
        others = [answer for number, answer in enumerate(answers) if number % 2 != fold]
        share = max(SHARES, key=lambda share: np.mean([_overlap(a, _lowest(a.doubt, share)) for a in others]))
        for number in range(fold, len(answers), 2):
            answer = answers[number]
            fitted[number] = _overlap(answer, _lowest(answer.doubt, share))
    third = np.array([_overlap(answer, _lowest(answer.doubt, 1 / 3)) for answer in answers])
    random = np.array(
        [
            np.mean([_overlap(answer, _lowest(generator.permutation(answer.doubt), 1 / 3)) for _ in range(N_RANDOM)])
            for answer in answers
        ]
    )
    everything = np.array([_overlap(answer, np.ones(len(answer.doubt), bool)) for answer in answers])
    nothing = np.array([_overlap(answer, np.zeros(len(answer.doubt), bool)) for answer in answers])
    correlation = np.array([_correlation(answer, answer.doubt) for answer in answers])
    shuffled = np.array([np.mean([_correlation(a, generator.permutation(a.doubt)) for _ in range(N_RANDOM)]) for a in answers])
    for name, values, unit in (
        ("the third of the tokens with the lowest logits", third, "IoU"),
        ("a third of the tokens at random", random, "IoU"),
        ("the lowest logits, share fitted", fitted, "IoU"),
        ("every token", everything, "IoU"),
        ("no token", nothing, "IoU"),
        ("low logits", correlation, "Spearman"),
        ("the same doubts at random tokens", shuffled, "Spearman"),
    ):
        low, high = bootstrap(names, lambda places, values=values: float(np.mean(values[places])))
        yield Result(f"Mu-SHROOM English: {name}", float(np.mean(values)), unit, low, high, command=command)


def _answer(record: Mapping[str, Any]) -> Answer:
    text = record["model_output_text"]
    token = np.full(len(text), -1)
    cursor = 0
    pieces = _pieces(record["model_output_tokens"])
    for number, piece in enumerate(pieces):
        at = text.find(piece, cursor) if piece else -1
        if 0 <= at <= cursor + 1:
            token[at : at + len(piece)] = number
            cursor = at + len(piece)
    soft, hard = np.zeros(len(text)), np.zeros(len(text), bool)
    for label in record["soft_labels"]:
        soft[label["start"] : label["end"]] = label["prob"]
    for start, end in record["hard_labels"]:
        hard[start:end] = True
    doubt = rankdata(-np.array(record["model_output_logits"])) / len(pieces)
    return Answer(token, doubt, soft, hard)


def _pieces(tokens: list[str]) -> list[str]:
    """Tokens as text; of byte-level tokenizers each sign stands for a byte, and a part of a character for nothing."""
    if not any(token.startswith(("Ġ", "Ċ")) for token in tokens):
        return tokens
    byte_of = _byte_of_sign()
    return [bytes(byte_of.get(sign, 0) for sign in token).decode("utf-8", errors="ignore") for token in tokens]


def _byte_of_sign() -> dict[str, int]:
    """Byte-level BPE writes visible Latin-1 characters as they are, and the other bytes from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}


def _lowest(doubt: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """The so many tokens of an answer that are doubted most, at least one."""
    chosen = np.zeros(len(doubt), bool)
    chosen[np.argsort(-doubt, kind="stable")[: max(1, round(share * len(doubt)))]] = True
    return chosen


def _overlap(answer: Answer, marked: NDArray[np.bool_]) -> float:
    characters = answer.characters(marked).astype(bool)
    union = np.sum(characters | answer.hard)
    return float(np.sum(characters & answer.hard) / union) if union else 1.0


def _correlation(answer: Answer, doubt: NDArray[np.float64]) -> float:
    """Over the characters; where one side is constant, 1 if both are, else 0."""
    values = answer.characters(doubt)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if len(set(values)) == 1 or len(set(answer.soft)) == 1:
            return float(len(set(values)) == len(set(answer.soft)))
        return float(spearmanr(values, answer.soft).statistic)
