"""What instructions ask for."""

from __future__ import annotations

import numpy as np
import pytest

from audit.style.need import Kind, Limit, Request, Unit, n_words, read_request, read_requests, words_called_for


@pytest.mark.parametrize(
    ("prompt", "unit", "low", "high", "is_rough"),
    [
        ("Describe a mill in 50 words or less.", Unit.WORDS, None, 50, False),
        ("In no more than 100 words, describe a mill.", Unit.WORDS, None, 100, False),
        ("Write a 20-word description of a mill.", Unit.WORDS, 20, 20, False),
        ("Describe a mill in about 30 words.", Unit.WORDS, 30, 30, True),
        ("Describe a mill in at least 30 words.", Unit.WORDS, 30, None, False),
        ("Compose an essay on mills with a minimum of 150 words.", Unit.WORDS, 150, None, False),
        ("Explain in three to five sentences what a mill does.", Unit.SENTENCES, 3, 5, False),
        ("Explain a mill in between two and four sentences.", Unit.SENTENCES, 2, 4, False),
        ("Explain what a mill is in a sentence.", Unit.SENTENCES, 1, 1, False),
        ("Explain what a mill is in a sentence or two.", Unit.SENTENCES, 1, 2, False),
        ("Describe a mill in one word.", Unit.WORDS, 1, 1, False),
        ("Describe a mill in one hundred and fifty words or fewer.", Unit.WORDS, None, 150, False),
        ("Describe a mill with a word limit of 30.", Unit.WORDS, None, 30, False),
        ("Answer with a single word: what grinds corn?", Unit.WORDS, 1, 1, False),
        ("Describe a mill. Don't use more than 15 words.", Unit.WORDS, None, 15, False),
        ("Describe a mill. Two sentences will do.", Unit.SENTENCES, None, 2, False),
        ("In one sentence, summarize the following paragraph.", Unit.SENTENCES, 1, 1, False),
        ("What is a mill? Keep it to a paragraph.", Unit.PARAGRAPHS, 1, 1, False),
        ("Write two sentences about mills.", Unit.SENTENCES, 2, 2, False),
        ("Describe a mill using at most two bullet points.", Unit.ITEMS, None, 2, False),
        ("Write a three paragraph essay about mills.", Unit.PARAGRAPHS, 3, 3, False),
        ("Name three mills.", Unit.ITEMS, 3, 3, False),
        ("Create a list of 10 old mills.", Unit.ITEMS, 10, 10, False),
    ],
)
def test_limits_are_read(prompt: str, unit: Unit, low: int | None, high: int | None, is_rough: bool) -> None:
    (limit,) = read_request(prompt).limits
    assert (limit.unit, limit.low, limit.high, limit.is_rough) == (unit, low, high, is_rough)
    assert limit.text in prompt


@pytest.mark.parametrize(
    "prompt",
    [
        "Combine the two sentences.",
        "Add two sentences to the story.",
        "Use the word mill in a sentence.",
        "Write a story using the three words mill, owl and rope.",
        "Summarize each chapter in one sentence.",
        "Change only one word of the rhyme.",
        "Begin the tale with one sentence.",
        "Count the words in a sentence.",
        "Think of two words that rhyme.",
        'Find the mistake in "Describe a mill in 50 words".',
        "Write ten short stories under ten words.",
        "Describe a mill.",
        "",
    ],
)
def test_numbers_that_limit_no_answer_are_none(prompt: str) -> None:
    assert read_request(prompt).limits == ()


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("When did the mill burn down?", Kind.FACT),
        ("Who invented the water mill?", Kind.FACT),
        ("Who was Ada Miller?", Kind.EXPLANATION),
        ("What is the capital of Merrow?", Kind.FACT),
        ("What is the National Mill Society?", Kind.EXPLANATION),
        ("How many sails does a mill have?", Kind.FACT),
        ("How long should the sails be?", Kind.EXPLANATION),
        ("Does a mill have sails?", Kind.YES_NO),
        ("Can you tell me of mills?", Kind.EXPLANATION),
        ("Classify the mill as wind or water.", Kind.CLASSIFY),
        ("What is 12 + 30?", Kind.ARITHMETIC),
        ("Write a letter to the miller.", Kind.LETTER),
        ("Write a poem about mills.", Kind.CREATIVE),
        ("Summarize the report on mills.", Kind.SUMMARY),
        ("Summarize the text.", Kind.SUMMARY),
        ("Write Python code that counts mills.", Kind.CODE),
        ("List old mills.", Kind.LIST),
        ("Translate the text.", Kind.REWRITE),
        ("Mills", Kind.OTHER),
    ],
)
def test_kinds_are_told(prompt: str, kind: Kind) -> None:
    assert read_request(prompt).kind is kind


def test_wishes_for_short_and_long_answers_are_read() -> None:
    assert read_request("Briefly define a mill.").is_brief
    assert read_request("Explain a mill in detail.").is_detailed
    assert read_request("Mills") == Request(Kind.OTHER)


def test_a_long_prompt_is_read_where_it_says_what_it_wants() -> None:
    text = "The miller wrote in 50 words what he had seen. " * 20
    assert read_request(f"Summarize the text in two sentences.\n{text}\nThanks.").limits == (
        Limit(Unit.SENTENCES, 2, 2, False, "in two sentences"),
    )


def test_many_are_read_as_one() -> None:
    prompts = ["Name three mills.", "", "Who invented the mill?", "Describe a mill in 50 words.", "盐", "x" * 2000]
    assert read_requests(prompts) == [read_request(prompt) for prompt in prompts]
    assert read_requests([]) == []


def test_words_hold_a_letter_or_digit() -> None:
    assert n_words("It's 3.5 - a mill!\n* yes") == 5


def test_words_are_called_for_by_the_limit_or_by_what_the_dataset_gives() -> None:
    prompts = ["Describe a mill in 40 to 60 words.", "Describe a mill in two sentences."]
    prompts += ["Who invented the mill?"] * 21 + ["List old mills."] * 5
    lengths = [70, 70, *range(1, 22), *[100] * 5]
    called = words_called_for(read_requests(prompts), lengths)
    assert called.dtype == np.float32
    assert called[:2].tolist() == [50, 36]
    assert set(called[2:23].tolist()) == {11}
    assert set(called[23:].tolist()) == {np.median(lengths)}
    assert words_called_for([], []).shape == (0,)
