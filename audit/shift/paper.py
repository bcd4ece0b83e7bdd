"""What was published about token shift, to be printed beside one's own figures, and why the two differ.

Source: Ghosh et al. (2024), A Closer Look at the Limitations of Instruction Tuning, ICML, section 3.2 (LLaMA-2; LoRA is
their LFT, full their SFT).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAPER_DIFFERENCES", "PAPER_PROFILES", "PaperProfile"]


@dataclass(frozen=True, slots=True)
class PaperProfile:
    """Mean KL of one tuned model, in nats.

    Attributes:
        model: The base model.
        n_rows: Rows that it was tuned on.
        method: `lora` or `full`.
        start: Over the first 5 % of the tokens of each sentence.
        rest: Over the other 95 %.
    """

    model: str
    n_rows: int
    method: str
    start: float
    rest: float


PAPER_PROFILES = (
    PaperProfile("LLaMA-2 7B", 1_000, "lora", 0.48, 0.13),
    PaperProfile("LLaMA-2 7B", 1_000, "full", 1.08, 0.59),
    PaperProfile("LLaMA-2 7B", 52_000, "lora", 0.47, 0.18),
    PaperProfile("LLaMA-2 7B", 52_000, "full", 1.08, 0.74),
    PaperProfile("LLaMA-2 70B", 52_000, "lora", 0.21, 0.09),
    PaperProfile("LLaMA-2 70B", 52_000, "full", 0.74, 0.53),
)

PAPER_DIFFERENCES = (
    "The paper's KL is KL(base‖tuned) over the tokens that stand in both models' truncated lists of likeliest tokens; here"
    " it is over the whole vocabulary, and so larger where the rest of the vocabulary moved.",
    "Its figure 1 and its source's code count ranks from 0; here the likeliest token has rank 1. The classes are the same:"
    " the first, the next two, all others.",
    "It does not say how many tokens the first 5 % of a short sentence are; here max(1, ⌈0.05 n⌉), so that in sentences of"
    " up to 20 tokens they are one token.",
    "It tunes LoRA and full models at one learning rate (5e-5, 3 epochs), where one full model collapsed; figures of two"
    " methods compare only at a like training loss.",
    "Prompts, prompt format and base model are others, and all three change the figures.",
)
"""What keeps one's own figures from being the paper's, in sentences."""
