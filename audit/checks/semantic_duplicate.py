"""DUP003: a prompt asks the same as an earlier one, in other words.

What: the static vectors of the two prompts have a cosine of at least 0.8, and what the wordings do not share are only
words that carry no content of their own: function words, verbs of instruction ("list", "name", "give"), inflections,
and nouns that are used for one another ("ways" and "methods"). Numbers and names must agree, and so must the word that
follows "to", "from", "than" and the like, because "Celsius to Fahrenheit" is not "Fahrenheit to Celsius". Similarity of
vectors alone would not do: in instruction data it mostly means the same *kind* of question. Prompts of up to 64 words
are compared; a longer one is mostly a passage, which DUP002 compares. The wordings are compared in English; of a prompt
in another language only the same prompt is found. Pairs with DUP001 or DUP002 are left out.

Why it matters: the question counts twice, and where the answers differ the model is taught both.

Example: "Name three ways to save water." and "List 3 methods for saving water."

Fix: look at both answers and keep the better. `tunescope export --drop DUP003` keeps the earlier row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

from audit.checks.base import Check, bounded, shorten
from audit.checks.duplicates import group_by_later, related_to
from audit.checks.near_duplicate import Options as NearOptions
from audit.checks.near_duplicate import responses_alike
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need
from indexes.dense import pairs_above
from indexes.words import tokenize

__all__ = ["CHECK", "MOST_WORDS", "Options", "Request", "matching_prompts", "same_request"]

MOST_WORDS = 64
# A prompt that thousands of rows share is matched with its first ones only; the pairs grow with the rows, not their square.
_OF_SAME_PROMPT = 64

_FUNCTION_WORDS = frozenset(
    "a an the of in for on at by with about as is are was were be been being am do does did has have had can could may might "
    "must shall should will would this that these those it its there and i me my you your we us our some any please "
    "following given below provided using use used one's which what who whom whose how or if then whether between each "
    "other also just so he she they him her them his their thing get got gets good process s t".split()
)
_INSTRUCTION_WORDS = frozenset(
    "give provide list name tell state write create generate make produce compose come up find identify suggest offer "
    "describe explain outline present show out propose mention specify get need want let know".split()
)
# Each line is a set of words that requests use for one another.
_INTERCHANGEABLE = (
    "way method technique strategy tip idea",
    "benefit advantage upside",
    "drawback disadvantage downside",
    "example instance",
    "reason why cause",
    "program code script function",
    "sequence series",
    "definition meaning define mean",
    "important importance significant significance",
    "reduce lower decrease cut",
    "improve enhance better boost",
    "change modify alter",
    "fix repair",
    "begin start",
    "purchase buy",
    "big large",
    "summary summarize summarise summarization summarisation",
    "rewrite rephrase paraphrase reword",
    "calculate compute determine work",
    "correct proper right",
    "sentence statement",
    "story tale",
    "picture image photo",
    "kid child children",
    "person someone somebody",
    "convert transform turn",
    "difference differ different differentiate distinguish",
    "trait characteristic quality attribute feature",
    "part component element",
    "effect impact influence",
    "author writer wrote written",
)
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty".split()
    )
} | {"single": "1"}
# The word that follows one of these fills a role that another order would give to another word.
_RELATIONS = frozenset("to from than into".split())
# Words that turn a request into its opposite, or name a side of it: both prompts must have the same ones.
_POLARITY = frozenset("not no never without except against before after under over cannot versus".split())
# Where one of these is at work, who does it to whom decides; the content must then come in the same order.
_DIRECTED = frozenset("cause affect effect lead led influence impact result defeat beat follow replace inherit".split())


@dataclass(frozen=True)
class Options:
    """`min_similarity`: cosine of the prompts' static vectors from which on wordings are compared, 0.5 to 1."""

    min_similarity: float = bounded(0.8, 0.5, 1.0)


@dataclass(frozen=True)
class Request:
    """What a prompt asks, apart from how.

    Attributes:
        content: The stems that carry content, numbers as digits.
        relations: A relational word -> the stem after its last occurrence.
        literal: What must agree to the letter: numbers, marks of arithmetic and code, and words of polarity, in order.
        directed: The stems in order, where the prompt has a verb that goes from one to the other; else empty.
    """

    content: frozenset[str]
    relations: Mapping[str, str]
    literal: tuple[str, ...]
    directed: tuple[str, ...]

    @classmethod
    def of(cls, prompt: str) -> Request:
        """Read a prompt."""
        tokens = [_NUMBER_WORDS.get(token, token) for token in tokenize(prompt)]
        stems: list[str] = []
        relations: dict[str, str] = {}
        pending = ""
        for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
            quoted = before in _QUOTES and after in _QUOTES  # “the letter 'a'”
            if token in _RELATIONS and not quoted:
                pending = token
            elif token[0].isalnum() and (quoted or not _is_empty(token)):
                stems.append(_stem(token))
                if pending:
                    relations[pending] = stems[-1]
                    pending = ""
        literal = tuple(
            token for token in tokens if token[0].isdigit() or token in _SYMBOLS or token in _POLARITY or token == "t"
        )
        verbs = [token for token in tokens if not _is_empty(token)]  # not "the following text"
        is_directed = any(token in _DIRECTED or _stem(token) in _DIRECTED_STEMS for token in verbs)
        return cls(frozenset(stems), relations, literal, tuple(stems) if is_directed else ())


def _is_empty(token: str) -> bool:
    return token in _FUNCTION_WORDS or token in _INSTRUCTION_WORDS


_QUOTES = ("'", '"')
_SYMBOLS = frozenset("+*/=<>%$€£_^~{}[]\\|")


def same_request(one: Request, other: Request) -> bool:
    """Whether two prompts ask the same: equal content, literals and direction, no other object of "to" or "from"."""
    if one.content != other.content or one.literal != other.literal or one.directed != other.directed:
        return False
    return all(one.relations[word] == other.relations[word] for word in one.relations.keys() & other.relations.keys())


def find(materials: Materials, options: Options) -> Iterator[Finding]:
    """One finding per row whose only prompt asks what that of an earlier row asks."""
    if not materials.has_vectors:
        return
    corpus = materials.corpus
    rows, prompts = materials.row_of_response, corpus.responses["prompt"].to_list()
    single = np.bincount(rows, minlength=len(corpus))[rows] == 1
    n_words = np.diff(materials.prompt_words.offsets)
    short = (n_words > 0) & (n_words <= MOST_WORDS)  # plain text has no prompt, and asks nothing
    first = (corpus.rows["ordinal"] == 0).to_numpy()[rows]  # of equal rows
    with_prompt: dict[str, list[int]] = {}
    for response in np.flatnonzero(single & short & first).tolist():
        with_prompt.setdefault(prompts[response], []).append(response)
    english = materials.has_english_prompt
    in_english = {prompt: responses for prompt, responses in with_prompt.items() if english[responses[0]]}
    matches = matching_prompts(in_english, materials.prompt_vectors, options.min_similarity)
    same = [
        (int(rows[response]), int(rows[other]), similarity)
        for prompt, responses in with_prompt.items()
        for matching, similarity in [(prompt, 1.0), *matches.get(prompt, [])]
        for response in responses
        for other in with_prompt[matching][:_OF_SAME_PROMPT]
        if other < response
    ]
    columns = [np.array(column) for column in zip(*sorted(same), strict=True)] or [np.empty(0, np.int64)] * 3
    later, earlier, similarity = columns
    # Where the answers are alike too, the row is an exact or a near duplicate, and has that finding.
    new = ~responses_alike(materials, later, earlier, NearOptions())
    prompt_of = dict(zip(rows.tolist(), prompts, strict=True))
    for row, others in group_by_later(later[new], earlier[new], similarity[new]):
        related, more = related_to([other for other, _ in others])
        nearest, value = max(others, key=lambda pair: (pair[1], -pair[0]))
        message = f"Asks the same as {corpus.id(nearest)}: “{shorten(prompt_of[nearest], 80)}”{more}."
        measure = "cosine of the prompts' static vectors"
        evidence = Evidence(measure, round(value, 4), options.min_similarity, related, quote=shorten(prompt_of[row]))
        yield Finding(CHECK.code, row, None, CHECK.severity, message, evidence)


def matching_prompts(
    with_prompt: Mapping[str, list[int]], vectors: NDArray[np.float32], min_similarity: float
) -> dict[str, list[tuple[str, float]]]:
    """For each prompt the others that ask the same, with the cosine of the two; the prompts are to be English.

    Only prompts whose content another prompt has too are compared, which leaves few of them.
    """
    requests = {prompt: Request.of(prompt) for prompt in with_prompt}
    n_with_content = Counter(request.content for request in requests.values())
    shared = [p for p, request in requests.items() if request.content and n_with_content[request.content] > 1]
    firsts = np.array([with_prompt[prompt][0] for prompt in shared], dtype=np.int64)
    matches: dict[str, list[tuple[str, float]]] = {}
    for later, earlier, similarity in pairs_above(vectors[firsts], min_similarity):
        for a, b, value in zip(later.tolist(), earlier.tolist(), similarity.tolist(), strict=True):
            if same_request(requests[shared[a]], requests[shared[b]]):
                matches.setdefault(shared[a], []).append((shared[b], value))
                matches.setdefault(shared[b], []).append((shared[a], value))
    return matches


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(word)
    return _REPRESENTATIVE.get(stem, stem)


_STEMMER = snowballstemmer.stemmer("english")
_REPRESENTATIVE: dict[str, str] = {
    _STEMMER.stemWord(word): _STEMMER.stemWord(line.split()[0]) for line in _INTERCHANGEABLE for word in line.split()
}
_DIRECTED_STEMS = frozenset(_stem(word) for word in _DIRECTED)

CHECK = Check(
    code="DUP003",
    name="same request in other words",
    severity=Severity.INFO,
    advice="Compare the two answers and keep the better.",
    explanation=__doc__,
    find=find,
    options=Options,
    needs=frozenset({Need.WORDS, Need.VECTORS, Need.LANGUAGES}),
)
