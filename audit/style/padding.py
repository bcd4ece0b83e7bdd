"""How much of an answer is style: words that hold it together, hold it back, or say the instruction again; English.

Counted are discourse markers, set phrases and hedges that could go without loss, and all words of *empty sentences*: those
that hold no word of matter that does not stand in the instruction already, apart from words such as "many" or "ways", of
which they hold at least one ("There are many ways to save water." after "How can I save water?"). No definition of the
share of style was published; this one is ours, columnar, a second for twenty thousand answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.style.lexicon import EMPTY_WORDS, StyleKind, word_kinds
from indexes.words import WordStream

__all__ = ["Padding", "padding_of"]

# Markers and hedges that carry matter: they bring an example, a contrast, a cause or a quantity.
_OF_MATTER = frozenset(
    "such as|as well as|for example|for instance|here are|here is|instead|otherwise|sure|on the other hand|on the one hand|"
    "in contrast|by contrast|therefore|thus|hence|finally|depending on|often|sometimes|usually|approximately|roughly|likely|"
    "unlikely|could be|kind of|sort of|similarly|likewise|meanwhile|consequently|specifically|as a result|in fact|uncertain|"
    "unclear|various|numerous|not known|may|might|is said to|are said to|reportedly|allegedly|in most cases|in some cases|"
    "in many cases|not only|but also|suggests that|suggest that|in terms of|a range of|with respect to|with regard to|"
    "typically|generally|presumably|tend to|tends to|seem|seems|seemed|appears to|appear to|and so on|in order to|"
    "make sure to|be sure to|don't forget to".split("|")
)
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "ly", "s", "e", "y")
_MIN_STEM = 3
_MAX_PROMPT_WORDS = 30
"""Longer prompts hold a text to work on, whose words an answer has to use."""
_MIN_SENTENCE_WORDS = 4


@dataclass(frozen=True)
class Padding:
    """The style words of some answers.

    Attributes:
        n_words: int64, shape `(n_texts,)`: the words of each.
        n_style: int64, same shape: those that are style.
        n_empty: int64, same shape: those of them that stand in empty sentences.
        is_style: bool, shape `(n_tokens,)`: which.
    """

    n_words: NDArray[np.int64]
    n_style: NDArray[np.int64]
    n_empty: NDArray[np.int64]
    is_style: NDArray[np.bool_]

    @property
    def share(self) -> NDArray[np.float64]:
        """The share of words that are style; 0 for an answer without words; shape `(n_texts,)`."""
        return self.n_style / np.maximum(self.n_words, 1)


def padding_of(prompts: WordStream, responses: WordStream) -> Padding:
    """Which words of answers are style.

    Args:
        prompts: The instructions; their vocabulary is the beginning of the responses'.
        responses: As many answers.
    """
    ids, n_texts = responses.ids, responses.n_texts
    kinds = word_kinds(responses, _OF_MATTER)
    codes = {kind: number for number, kind in enumerate(StyleKind)}
    is_word = responses.words[ids]
    is_set = (kinds == codes[StyleKind.MARKER]) | (kinds == codes[StyleKind.HEDGE])
    is_loose = _in(responses, EMPTY_WORDS)[ids]
    sentence, n_sentences = _sentences(responses)
    matter = is_word & (kinds == codes[StyleKind.CONTENT]) & ~is_loose & ~_repeats(prompts, responses)
    says = np.bincount(sentence[matter], minlength=n_sentences)
    length = np.bincount(sentence[is_word], minlength=n_sentences)
    loose = np.bincount(sentence[is_word & (is_loose | is_set)], minlength=n_sentences)
    is_empty = (says == 0) & (length >= _MIN_SENTENCE_WORDS) & (loose > 0)
    is_style = is_word & (is_set | is_empty[sentence])
    text = responses.text_of_position()
    n_words, n_style, n_empty = (
        np.bincount(text[which], minlength=n_texts) for which in (is_word, is_style, is_word & is_empty[sentence])
    )
    return Padding(n_words, n_style, n_empty, is_style)


def _sentences(stream: WordStream) -> tuple[NDArray[np.int64], int]:
    """The sentence of every token, and how many there are; one begins behind a stop that ends more than two words.

    Line breaks are no tokens: a list without full stops counts as one sentence.
    """
    begins = np.zeros(len(stream.ids), bool)
    begins[stream.offsets[:-1][np.diff(stream.offsets) > 0]] = True
    stops = _in(stream, frozenset(".!?"))[stream.ids]
    n_before = np.concatenate([[0], np.cumsum(stream.words[stream.ids])])  # words before each token
    is_first_of_text = np.flatnonzero(begins)
    behind = np.flatnonzero(stops[:-1] & ~stops[1:] & ~begins[1:]) + 1
    text_start = is_first_of_text[np.searchsorted(is_first_of_text, behind, side="right") - 1] if len(behind) else behind
    last = np.maximum(text_start, np.concatenate([[0], behind[:-1]])) if len(behind) else behind
    begins[behind[n_before[behind] - n_before[last] > 2]] = True
    return np.cumsum(begins) - 1, int(begins.sum())


def _repeats(prompts: WordStream, responses: WordStream) -> NDArray[np.bool_]:
    """Which tokens of the responses stand in their own prompt, in whatever form; of a long prompt none."""
    stems: dict[str, int] = {}
    numbers = [stems.setdefault(_stem(word), len(stems)) for word in responses.vocabulary]
    stem = np.array(numbers, np.int64)
    of_prompt, of_response = prompts.text_of_position().astype(np.int64), responses.text_of_position().astype(np.int64)
    is_short = np.bincount(of_prompt[prompts.words[prompts.ids]], minlength=prompts.n_texts) <= _MAX_PROMPT_WORDS
    asked = np.unique((of_prompt * len(stems) + stem[prompts.ids])[is_short[of_prompt]])
    if not len(asked):
        return np.zeros(len(responses.ids), bool)
    said = of_response * len(stems) + stem[responses.ids]
    place = np.minimum(np.searchsorted(asked, said), len(asked) - 1)
    repeated: NDArray[np.bool_] = asked[place] == said
    return repeated


def _in(stream: WordStream, words: frozenset[str]) -> NDArray[np.bool_]:
    """Which words of the vocabulary are of a list."""
    return np.fromiter((word in words for word in stream.vocabulary), np.bool_, len(stream.vocabulary))


def _stem(word: str) -> str:
    """A word without its usual English ending: enough to know "saving" for "save"."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word[: -len(ending)]
    return word
