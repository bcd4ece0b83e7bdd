"""What the text of an answer says by itself: its words in one normal form, and how much of it repeats itself."""

from __future__ import annotations

import re
import unicodedata

from indexes.words import normalize, tokenize

__all__ = ["MAX_REPEATED_FRACTION", "repeated_fraction", "word_string"]

# A sentence said twice repeats half of its windows; language that is not stuck stays far below.
MAX_REPEATED_FRACTION = 0.5
_WINDOW_CHARS = 16

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"(?<!\d)(?<!\d[.,])(\d+)[.,](\d+)(?![.,]?\d)")
_NEGATIVE = re.compile(r"(?<![\w)])-(?=\d)")


def word_string(text: str) -> str:
    """The words of a text in one normal form, a space before and after each, so that `in` respects word boundaries.

    Case, compatibility forms, punctuation and white space do not count. Numbers do: `1,000` is `1000`, `3.5` holds no
    `5`, and `-5` is not `5`. In scripts without spaces every sign is a word.
    """
    text = _THOUSANDS.sub("", normalize(text).replace("_", " "))
    text = _NEGATIVE.sub("_", _DECIMAL.sub(r"\1_\2", text))  # `_` joins: the tokenizer takes it as a letter
    words = [token for token in tokenize(text) if len(token) > 1 or not unicodedata.category(token).startswith("P")]
    return f" {' '.join(words)} " if words else " "


def repeated_fraction(text: str) -> float:
    """The share of 16-character windows that stood in the text before; 0 for texts shorter than two windows.

    Characters in place of the usual word n-grams (seq-rep-n, Welleck et al. 2020) also catch a loop inside one word and
    need no word boundaries.
    """
    text = " ".join(text.split())
    n_windows = len(text) - _WINDOW_CHARS + 1
    if len(text) < 2 * _WINDOW_CHARS:
        return 0.0
    return 1.0 - len({text[i : i + _WINDOW_CHARS] for i in range(n_windows)}) / n_windows
