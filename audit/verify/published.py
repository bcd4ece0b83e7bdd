"""What the paper found, to be printed beside one's own figures, and why the two differ.

Source: Ghosh et al. (2024), *A Closer Look at the Limitations of Instruction Tuning*, ICML, arXiv 2402.05119: LLaMA-2,
LFT = LoRA tuning, SFT = full tuning. What concerns token shift stands in `audit.shift.paper`.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.shift.paper import PAPER_DIFFERENCES, PAPER_PROFILES

__all__ = ["STATEMENTS", "Published", "Statement"]


@dataclass(frozen=True, slots=True)
class Published:
    """One figure of the paper, in words."""

    what: str
    figure: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One of the paper's statements.

    Attributes:
        number: From 1.
        claim: What the paper says.
        published: Its figures.
        differences: What keeps one's own figures from being the paper's.
    """

    number: int
    claim: str
    published: tuple[Published, ...]
    differences: tuple[str, ...]


_METHODS = {"lora": "LoRA", "full": "full tuning"}

STATEMENTS = (
    Statement(
        1,
        "LoRA learns how to begin and the style; full tuning shifts everything.",
        (
            *(
                Published(
                    f"KL of {_METHODS[profile.method]}, first 5 % of a sentence / the rest, {profile.model} on"
                    f" {profile.n_rows:,} rows",
                    f"{profile.start:.2f} / {profile.rest:.2f}",
                )
                for profile in PAPER_PROFILES
            ),
            Published("shifted tokens of LoRA", "discourse markers and openers"),
            Published("shifted tokens of full tuning", "all kinds of tokens"),
        ),
        (
            *PAPER_DIFFERENCES,
            "The paper names kinds of shifted tokens by looking at them; here a fixed English list and the place in the"
            " sentence decide.",
        ),
    ),
    Statement(
        2,
        "Copying response patterns hurts: rewriting LIMA's responses to be concise made LoRA more factual.",
        (
            Published("factuality (1 to 5) of LoRA on LIMA, and on LIMA made concise", "2.94 and 3.16"),
            Published("helpfulness, the same", "2.89 and 3.70"),
            Published("depth, the same", "2.17 and 2.08"),
            Published("answers in which the concise set avoided a hallucination, by human eyes", "50.5 %"),
        ),
        (
            "The paper rewrites responses; here nothing is rewritten: LoRA is tuned on the rows with the shortest responses,"
            " and as a control on as many random ones. Short rows also differ in subject.",
            "The paper's factuality is a judge's score of open answers; here it is the share of answers without a reference.",
            "The paper defines no measure of tone and style for single answers; those here are our own: openers and discourse"
            " markers for tone, length and layout for style.",
        ),
    ),
    Statement(
        3,
        "Full tuning hallucinates by borrowing words from conceptually similar rows.",
        (
            Published("hallucinated phrases found in the dataset by string search", "72 %"),
            Published("of those of full tuning, judged to come from a similar row, LIMA / dolly", "89.3 % / 84.5 %"),
            Published("of those of LoRA, the same", "14.2 % / 13.6 %"),
            Published("tokens of such phrases that are shifted or marginal", "about 89 %"),
            Published("words that begin with a shifted token and occur in the dataset", "81.2 %"),
            Published("words that begin with a marginal token and occur in the dataset", "66.7 %"),
            Published("cosine of question and source row, mean", "0.418"),
            Published("n-gram overlap of question and source row, mean", "61.6 %"),
        ),
        (
            "In the paper experts marked hallucinated phrases and judged their source by hand; here a wrong span is what"
            " neither prompt nor reference hold, and its sources are all rows whose response holds it.",
            "The paper gives no rate at which such strings occur by chance; here every rate stands beside its nulls.",
            "The paper does not define its n-grams and encoder; here overlap is the share of the question's distinct words and"
            " word pairs that stand in the row's prompt, and vectors are those of the run's static encoder.",
        ),
    ),
    Statement(
        4,
        "Popular fixes of full tuning do not beat plain LoRA.",
        (
            Published("factuality (1 to 5), LoRA on Alpaca", "3.42"),
            Published("full tuning on Alpaca", "2.07"),
            Published("full tuning with NEFTune", "2.47"),
            Published("full tuning on 9,000 rows chosen by a judge (AlpaGasus)", "3.10"),
            Published("full tuning on 70,000 evolved rows (WizardLM)", "2.65"),
            Published("full tuning on 3,000 filtered rows of dolly, and on all of them", "1.91 and 2.38"),
        ),
        (
            "The paper's factuality is a judge's score on just-eval; here it is the share of wrong answers to prompts with"
            " references, in which lower is better.",
            "The paper's selections are published datasets; here they are the longest responses of this one, and as many"
            " random rows, without which a filter cannot be told from a smaller dataset.",
            "The paper tunes once per dataset; here every arm has several seeds, and intervals count prompts and seeds as"
            " random.",
        ),
    ),
)
"""The paper's statements, in its order."""
