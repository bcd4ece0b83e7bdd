"""CON001: a row holds an item of an evaluation file, word for word.

What: at least half of the item's runs of 13 words stand in one turn of the row; letter case, punctuation and white space do
not count. Runs that more than ten responses or prompts of the dataset, or more than ten items, have in common are left
out where the item has others, so that a benchmark's fixed wording matches nothing. An item of 8 to 12 words has to stand
there whole; one of 4 to 7 has to be a sentence of the prompt, and a shorter one the whole prompt. The evaluation files are
named with `--evaluation FILE`, and without them this is not looked at. Answers are not searched for; the message says where
the item's reference answer stands in the row too. After Brown et al. (2020), Language Models are Few-Shot Learners,
appendix C, and Touvron et al. (2023), Llama 2, A.6.

Why it matters: what the model has seen in training it may recite, and the score measures memory.

Example: a row whose prompt is question 12 of the test set that the tuned model will be compared on.

Fix: drop the row: `tunescope export --drop CON001`, or leave the item out of the evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from audit.checks.base import Check, bounded, shorten
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.overlap import overlaps
from indexes.words import Token, is_word, tokenize, tokenize_with_offsets

__all__ = ["CHECK", "Options", "named"]

# GPT-3's least length of a run; what is shorter occurs by chance.
_LEAST_WORDS = 8
_LEAST_WORDS_OF_SENTENCE = 4
_CLOSING = " \t\"'“”‘’«»()[]*_"


@dataclass(frozen=True)
class Options:
    """`min_share`: of the item's runs, from which on a row is reported. `run_words`: words per run, 8 to 20."""

    min_share: float = bounded(0.5, 0.05, 1.0)
    run_words: int = bounded(13, 8, 20)


class _Match(NamedTuple):
    """An item in a row: the share of its runs, the prompt or the response of which response, the item."""

    share: float
    response: int
    in_prompt: bool
    item: int


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per row, for the item of which it holds most."""
    matches: dict[int, list[_Match]] = {}
    items = materials.evaluation_words
    prompts, asked = materials.corpus.responses["prompt"], materials.evaluation["prompt"]
    n_words = np.bincount(np.repeat(np.arange(items.n_texts), np.diff(items.offsets)), items.words[items.ids], items.n_texts)
    for in_prompt, stream in ((True, materials.prompt_words), (False, materials.response_words)):
        n_in_text = np.bincount(stream.text_of_position(), stream.words[stream.ids], stream.n_texts)
        found = overlaps(stream, items, options.run_words)
        length = n_words[found.item]
        whole = in_prompt & (length == n_in_text[found.text])
        sentence = in_prompt & (length >= _LEAST_WORDS_OF_SENTENCE) & (length < _LEAST_WORDS) & ~whole
        fits = (found.share >= options.min_share) & ((length >= _LEAST_WORDS) | whole | sentence)
        columns = (found.text, found.item, found.share, sentence)
        for response, item, share, in_part in zip(*(column[fits].tolist() for column in columns), strict=True):
            if in_part and not _is_sentence(prompts[response], asked[item]):
                continue
            row = int(materials.row_of_response[response])
            matches.setdefault(row, []).append(_Match(share, response, in_prompt, item))
    for row in sorted(matches):
        yield _finding(materials, options, row, matches[row])


def _finding(materials: Materials, options: Options, row: int, matches: Sequence[_Match]) -> Finding:
    best = max(matches, key=lambda match: (match.share, match.in_prompt, -match.response, -match.item))
    item = _words(materials.evaluation["prompt"][best.item])
    run = min(options.run_words, len(item))
    messages = materials.corpus.row(row).messages
    answered = materials.corpus.responses["turn"][best.response]
    turns = [answered]
    if best.in_prompt:
        before = [turn for turn in range(answered) if messages[turn].role == "assistant"]
        turns = [turn for turn in range(max(before, default=-1) + 1, answered) if messages[turn].role != "system"]
    turn, span = max(
        ((turn, _longest_stretch(messages[turn].content, item, run)) for turn in turns), key=lambda one: one[1][1] - one[1][0]
    )
    references = materials.evaluation["references"][best.item]
    answer = " ".join(_words(messages[answered].content))
    known = [one for one in references if len(one) > 3 and f" {' '.join(_words(one))} " in f" {answer} "]
    others = len({match.item for match in matches}) - 1
    message = (
        f"Holds {'all' if best.share == 1 else f'{best.share:.0%}'} of {named(materials, best.item)}"
        f"{' and its reference answer' if known else ''}"
        f"{f', and of {others} more items' if others > 1 else ', and of one more item' if others else ''}."
    )
    quote = shorten(messages[turn].content[span[0] : span[1]])
    measure = f"share of the item's {run}-word runs"
    # A run that a line break between two turns holds together has no place in one of them.
    evidence = Evidence(measure, round(best.share, 4), options.min_share, span=span if span[1] else None, quote=quote)
    return Finding(CHECK.code, row, turn, CHECK.severity, message, evidence)


def _longest_stretch(text: str, item: Sequence[str], run: int) -> tuple[int, int]:
    """Where the longest stretch of a text stands that is made of an item's runs; (0, 0) without one."""
    tokens: list[Token] = [token for token in tokenize_with_offsets(text) if is_word(token.text)]
    runs = {tuple(item[begin : begin + run]) for begin in range(len(item) - run + 1)}
    best, begin, end = (0, 0), -1, -1
    for place in range(len(tokens) - run + 1):
        if tuple(token.text for token in tokens[place : place + run]) in runs:
            begin = begin if place < end else place
            end = place + run
            stretch = (tokens[begin].start, tokens[end - 1].end)
            best = max(best, stretch, key=lambda span: span[1] - span[0])
    return best


def _is_sentence(text: str, item: str) -> bool:
    """Whether an item stands in a text as a sentence or a line of its own."""
    words = _words(item)
    start, end = _longest_stretch(text, words, len(words))
    before, after = text[:start].rstrip(_CLOSING), text[end:].lstrip(_CLOSING)
    return end > 0 and (not before or before[-1] in ".!?:\n") and (not after or after[0] in ".!?\n")


def _words(text: str) -> list[str]:
    return [token for token in tokenize(text) if is_word(token)]


def named(materials: Materials, item: int) -> str:
    """An item by its place: FILE#INDEX."""
    file, index = materials.evaluation.select("file", "index").row(item)
    return f"{file}#{index}"


CHECK = Check(
    code="CON001",
    name="evaluation item in the data",
    severity=Severity.ERROR,
    advice="Drop the row, or leave the item out of the evaluation.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.WORDS, Need.EVALUATION}),
)
"""Contamination, word for word."""
