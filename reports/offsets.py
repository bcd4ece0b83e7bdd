"""Places in a text for readers that count otherwise: code points to UTF-16 units, and back.

Python, polars and every file of a run count code points. Browsers, JavaScript, SARIF and the Language Server Protocol
count UTF-16 code units, of which a character above U+FFFF (most emoji) has two. Joined emoji and combining marks are
several code points and need nothing of their own. One pass over the text serves any number of places.

Source: The Unicode Standard 16.0, section 3.9, definition D91 (UTF-16).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["code_point_offsets", "utf16_offsets", "utf16_span"]

# The last code point that is one unit.
_LAST_SINGLE = 0xFFFF


def utf16_offsets(text: str, code_points: Sequence[int]) -> list[int]:
    """Where places counted in code points lie in UTF-16 code units.

    Args:
        text: The text.
        code_points: Places from 0 to `len(text)`, in any order.

    Raises:
        IndexError: A place lies outside the text.
    """
    if text.isascii():
        return [_within(place, len(text)) for place in code_points]
    pairs = _pairs_before(text)
    return [place + int(pairs[_within(place, len(text))]) for place in code_points]


def code_point_offsets(text: str, utf16: Sequence[int]) -> list[int]:
    """Where places counted in UTF-16 code units lie in code points; a place inside a character is its beginning.

    Raises:
        IndexError: A place lies outside the text.
    """
    if text.isascii():
        return [_within(place, len(text)) for place in utf16]
    starts = np.arange(len(text) + 1) + _pairs_before(text)
    places = [_within(place, int(starts[-1])) for place in utf16]
    return [int(place) for place in np.searchsorted(starts, places, side="right") - 1]


def utf16_span(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Start and end of a span of code points, in UTF-16 code units."""
    start, end = utf16_offsets(text, span)
    return start, end


def _pairs_before(text: str) -> np.ndarray:
    """How many characters of two units stand before each place, shape `(len(text) + 1,)`."""
    # A lone surrogate is no character, but it is one code point here and one unit there.
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    before = np.zeros(len(points) + 1, dtype=np.int64)
    np.cumsum(points > _LAST_SINGLE, out=before[1:])
    return before


def _within(place: int, length: int) -> int:
    if not 0 <= place <= length:
        raise IndexError(f"place {place} in a text of {length}")
    return place
