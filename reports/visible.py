"""Text from a dataset, made harmless to show: what it holds is seen, and nothing in it acts on page or terminal.

A terminal obeys escape sequences, a browser obeys bidirectional overrides, and both hide zero-width characters. Every
such character becomes its name in brackets: `⟨ESC⟩`, `⟨U+202E⟩`. Zero-width joiners stay, because emoji and several
scripts are written with them. Escaping for HTML is left to the templates, for rich to `rich.text.Text`.

Source: Unicode Technical Report 36, section 3 (security of what is displayed).
"""

from __future__ import annotations

import re

__all__ = ["one_line", "visible"]

# All control characters but tab and line feed, and the format characters that are invisible or reorder text.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# fmt: off
_CONTROLS = (
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO", "SI",
    "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US",
)
# fmt: on


def visible(text: str) -> str:
    """The text with the name of every character that is not seen in its place; tabs and line ends stay."""
    return _UNSEEN.sub(_name, text)


def one_line(text: str, characters: int) -> str:
    """The beginning of a text on one line, `visible`, white space collapsed, with an ellipsis where it was cut."""
    # White space is collapsed in a prefix only: the rest of a row of many megabytes is never looked at.
    head = text[: 4 * characters]
    line = visible(" ".join(re.split(r"[ \t\n]+", head.strip(" \t\n"))))
    if len(line) <= characters and len(head) == len(text):
        return line
    return line[: characters - 1] + "…"


def _name(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"⟨{_CONTROLS[code]}⟩" if code < len(_CONTROLS) else f"⟨U+{code:04X}⟩"
