"""The page of a check, in parts: its sentence, and the labelled paragraphs under it."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Explanation", "Paragraph", "parse_explanation"]

_LABEL = re.compile(r"(What|Why it matters|Example|Fix): ")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph in stretches, every second of which is code; the label may be empty."""

    label: str
    stretches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The first sentence without the code, and the paragraphs."""

    title: str
    paragraphs: tuple[Paragraph, ...]


def parse_explanation(page: str) -> Explanation:
    """The parts of a page such as `Check.page`; text that follows no convention stays a paragraph without a label."""
    title, *blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", page.strip()))
    paragraphs = []
    for block in blocks:
        label = _LABEL.match(block)
        text = block[label.end() :] if label else block
        paragraphs.append(Paragraph(label.group(1) if label else "", tuple(text.split("`"))))
    return Explanation(re.sub(r"^[A-Z]+\d+: ", "", title), tuple(paragraphs))
