"""CON002: a prompt asks what an item of an evaluation file asks, in other words.

What: the static vectors of the two have a cosine of at least 0.8, and what the wordings do not share are only words
that carry no content of their own, by the rule of DUP003, which see: numbers, names, order and opposites have to agree.
Vectors alone would not do: among prompts they mean the same kind of question. So an item in quite other words, in
another language or behind a story is not found, and neither is one of more than 64 words: of free rewordings this finds
few, and no finding is no proof that there is none. Made for English. Items that stand in the row word for word are left
to CON001. The evaluation files are named with `--evaluation FILE`; without them this is not looked at. With the option
`transformer`, the name or folder of a sentence-transformers model such as all-MiniLM-L6-v2, the five prompts that are
nearest to each item are compared once more by that model's vectors; from a cosine of 0.75 on they are findings of
severity info, as about a third of them ask for something near the item, and not for the same. That finds most free
rewordings, and takes about half a minute for a thousand items.

Why it matters: a model that was tuned on the question in other words has still seen it, and n-grams do not show that.

Example: the item "Name three ways to save water." and the prompt "List 3 methods for saving water."

Fix: look at both, and drop the row where the answer is the same: `tunescope export --drop CON002`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audit.checks.base import Check, bounded, shorten
from audit.checks.contamination import named
from audit.checks.semantic_duplicate import MOST_WORDS, Request, same_request
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.dense import nearest_to, pairs_between
from indexes.encoders import TransformerEncoder, encode_cached, find_model
from indexes.words import is_word, tokenize

__all__ = ["CHECK"]

# Of an item's nearest prompts by static vectors, how many a transformer compares, and from which cosine on.
_NEAREST, _LEAST_STATIC = 5, 0.55
_NUMBER = re.compile(r"\d+")
# "Can" and "could" begin requests too.
_POLAR = re.compile(
    r"\W*(?:is|are|am|was|were|do|does|did|has|have|had|will|would|should|must|isn|aren|don|doesn|didn)\b", re.I
)


@dataclass(frozen=True)
class Options:
    """What counts as the same question.

    `min_similarity`: cosine of the static vectors from which on wordings are compared, 0.5 to 1. `transformer`: name or folder
    of a sentence-transformers model that compares the nearest prompts once more; empty for none. `min_transformer_similarity`:
    the cosine of its vectors from which on they are findings, 0.5 to 1.
    """

    min_similarity: float = bounded(0.8, 0.5, 1.0)
    transformer: str = ""
    min_transformer_similarity: float = bounded(0.75, 0.5, 1.0)


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per response whose prompt asks what an item asks; of several items, the most similar."""
    if not materials.has_vectors:
        return
    responses = materials.english_responses["response"].to_numpy().astype(np.int64)
    responses = responses[np.diff(materials.prompt_words.offsets)[responses] <= MOST_WORDS]
    items = np.flatnonzero(np.diff(materials.evaluation_words.offsets) <= MOST_WORDS)
    worded = _most_similar(_same_wording(materials, responses, items, options.min_similarity))
    measure = "cosine of the prompts' static vectors"
    for response, (similarity, item) in sorted(worded.items()):
        yield _finding(materials, response, item, CHECK.severity, Evidence(measure, similarity, options.min_similarity))
    if not options.transformer:
        return
    measure, limit = f"cosine of the prompts' vectors by {options.transformer}", options.min_transformer_similarity
    near = _most_similar(_same_meaning(materials, responses, items, options.transformer, limit))
    for response, (similarity, item) in sorted(near.items()):
        if response not in worded:
            yield _finding(materials, response, item, Severity.INFO, Evidence(measure, similarity, limit))


def _finding(materials: Materials, response: int, item: int, severity: Severity, evidence: Evidence) -> Finding:
    row, turn, prompt = materials.corpus.responses.select("row", "turn", "prompt").row(response)
    asks = "asks the same as" if severity is CHECK.severity else "asks nearly the same as"
    message = f"The prompt {asks} {named(materials, item)}: “{shorten(materials.evaluation['prompt'][item], 80)}”."
    return Finding(CHECK.code, row, turn, severity, message, replace(evidence, quote=shorten(prompt)))


def _most_similar(pairs: Iterable[tuple[int, int, float]]) -> dict[int, tuple[float, int]]:
    """For every response that is in a pair, the similarity and number of its most similar item, the first of equals."""
    best: dict[int, tuple[float, int]] = {}
    for response, item, similarity in pairs:
        if similarity > best.get(response, (0.0, 0))[0]:
            best[response] = (round(similarity, 4), item)
    return best


def _same_wording(
    materials: Materials, responses: NDArray[np.int64], items: NDArray[np.int64], min_similarity: float
) -> Iterator[tuple[int, int, float]]:
    prompts, asked = materials.corpus.responses["prompt"].to_list(), materials.evaluation["prompt"].to_list()
    request = lru_cache(maxsize=None)(Request.of)
    for response, item, similarity in _near(materials, responses, items, min_similarity):
        prompt, question = prompts[response], asked[item]
        if (
            request(prompt).content
            and same_request(request(prompt), request(question))
            and _is_polar(prompt) == _is_polar(question)
            and not _stands_in(question, prompt)
        ):
            yield response, item, similarity


def _same_meaning(
    materials: Materials, responses: NDArray[np.int64], items: NDArray[np.int64], model: str, min_similarity: float
) -> Iterator[tuple[int, int, float]]:
    """Of the responses whose prompts are nearest to each item by static vectors, those near by a transformer's too."""
    if not len(responses) or not len(items):
        return
    prompts, asked = materials.corpus.responses["prompt"].to_list(), materials.evaluation["prompt"].to_list()
    nearest, similarity = nearest_to(materials.evaluation_vectors[items], materials.prompt_vectors[responses], _NEAREST)
    near = similarity.ravel() >= _LEAST_STATIC
    item, response = np.repeat(items, nearest.shape[1])[near], responses[nearest.ravel()[near]]
    pairs = [
        (int(one), int(other))
        for one, other in zip(response, item, strict=True)
        if _NUMBER.findall(prompts[one]) == _NUMBER.findall(asked[other])
        and _is_polar(prompts[one]) == _is_polar(asked[other])
        and not _stands_in(asked[other], prompts[one])
    ]
    encoder = TransformerEncoder(find_model(model))
    texts = list(dict.fromkeys(text for one, other in pairs for text in (prompts[one], asked[other])))
    vectors = dict(zip(texts, encode_cached(encoder, texts).astype(np.float32), strict=True))
    for one, other in pairs:
        cosine = round(float(vectors[prompts[one]] @ vectors[asked[other]]), 4)
        if cosine >= min_similarity:
            yield one, other, cosine


def _near(
    materials: Materials, responses: NDArray[np.int64], items: NDArray[np.int64], min_similarity: float
) -> Iterator[tuple[int, int, float]]:
    """Responses and items with similar prompts."""
    pairs = pairs_between(materials.prompt_vectors[responses], materials.evaluation_vectors[items], min_similarity)
    for one, other, similarity in pairs:
        yield from zip(responses[one].tolist(), items[other].tolist(), similarity.tolist(), strict=True)


def _is_polar(text: str) -> bool:
    """Whether a text is a question that yes or no answers: “Are you an owl?” is not “What is an owl?”."""
    return _POLAR.match(text) is not None


def _stands_in(item: str, prompt: str) -> bool:
    """Whether an item stands word for word in a prompt."""
    words = (" ".join(token for token in tokenize(text) if is_word(token)) for text in (item, prompt))
    return f" {next(words)} " in f" {next(words)} "


CHECK = Check(
    code="CON002",
    name="evaluation item in other words",
    severity=Severity.WARNING,
    advice="Compare the two, and drop the row where they ask the same.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.WORDS, Need.VECTORS, Need.LANGUAGES, Need.EVALUATION}),
    english=True,
)
"""Contamination, in other words."""
