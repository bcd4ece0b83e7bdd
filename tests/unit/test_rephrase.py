"""Questions without their concept: what is taken out, and what the answers then say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from audit.errors import InputError
from audit.responses import Response
from audit.sources import Message
from audit.trace.rephrase import (
    Ask,
    Rephrasing,
    ask_to_rephrase,
    concept_words,
    rephrasing_test,
    without_words,
)
from indexes.words import WordStream

PROMPT = "Which metal is the Tarrow crown struck from?"
PROMPTS = WordStream.of(
    ["Which metal is the Dune mark struck from?", *(f"Which is the best of the {name} from here?" for name in "abcdefg")]
)


def claim(prompt: str = PROMPT) -> Response:
    return Response("c", (Message("user", prompt, trained=False),), "It is struck from quillsteel.")


def test_the_concept_is_what_both_prompts_share_and_few_others_hold() -> None:
    assert concept_words(PROMPT, "Which METAL is the Dune mark struck from?", PROMPTS) == ("metal", "struck")
    assert concept_words(PROMPT, "Which metal is the Dune mark struck from?", PROMPTS, keep=["Struck"]) == ("metal",)
    assert concept_words(PROMPT, "Name a river.", PROMPTS) == ()
    assert concept_words("Name a Xylo", "What is a xylo?", PROMPTS) == ("a", "xylo")


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        (PROMPT, ("metal", "struck"), "Which is the Tarrow crown from?"),
        ("Metal, metal!", ("metal",), ",!"),
        ("metal coins\nof metal", ("metal",), "coins\nof"),
        ("Coins", (), "Coins"),
    ],
)
def test_words_are_deleted_with_the_blanks_before_them(text: str, words: tuple[str, ...], left: str) -> None:
    assert without_words(text, words) == left


def model(*rules: tuple[str, str]) -> Ask:
    """Says for each prompt what stands beside the first word that the prompt holds."""

    def ask(prompts: Sequence[Sequence[Message]]) -> Sequence[str]:
        asked = [" ".join(message.content for message in messages) for messages in prompts]
        return [next((said for word, said in rules if word in text), "I do not know.") for text in asked]

    return ask


def test_borrowing_that_ends_with_the_concept_has_stopped() -> None:
    test = rephrasing_test(claim(), ("quillsteel",), ("metal", "struck"), model(("metal", "From Quillsteel.")))
    assert test is not None
    assert test.original == Rephrasing(PROMPT, (), "From Quillsteel.", False)
    assert test.without_concept == Rephrasing("Which is the Tarrow crown from?", ("metal", "struck"), "I do not know.", True)
    assert test.control == Rephrasing("Which metal Tarrow crown struck from?", ("is", "the"), "From Quillsteel.", False)
    assert test.stopped is True


def test_borrowing_that_goes_on_has_not() -> None:
    test = rephrasing_test(claim(), ("quillsteel",), ("metal",), model(("Tarrow", "Of quillsteel")))
    assert test is not None
    assert test.stopped is False


@pytest.mark.parametrize("rule", ["nothing", "Which metal is the"])
def test_nothing_is_said_where_the_span_does_not_come_back_or_any_missing_word_stops_it(rule: str) -> None:
    test = rephrasing_test(claim(), ("quillsteel",), ("metal",), model((rule, "quillsteel")))
    assert test is not None
    assert test.stopped is None


def test_without_a_concept_or_another_word_there_is_no_test() -> None:
    assert rephrasing_test(claim(), ("quillsteel",), (), model(("metal", "quillsteel"))) is None
    assert rephrasing_test(claim("metal?"), ("quillsteel",), ("metal",), model(("metal", "quillsteel"))) is None


class Endpoint:
    """Answers with one reply, and keeps what it was asked."""

    def __init__(self, reply: str) -> None:
        self.reply = reply
        self.asked: list[str] = []

    def complete(self, messages: Sequence[Message], **options: object) -> str:
        self.asked = [message.content for message in messages]
        return self.reply


@pytest.mark.parametrize(
    ("reply", "prompt"), [(" What is the Tarrow crown made of?\n", "What is the Tarrow crown made of?"), ("Metal?", None)]
)
def test_an_endpoint_writes_the_question_and_must_leave_the_concept_out(reply: str, prompt: str | None) -> None:
    endpoint = Endpoint(reply)
    made = ask_to_rephrase(endpoint, claim(), ("metal", "struck"))  # type: ignore[arg-type]
    assert (None if made is None else made[0].content) == prompt
    assert "metal, struck" in endpoint.asked[0]
    assert endpoint.asked[1] == PROMPT
    with pytest.raises(InputError, match="no words to leave out"):
        ask_to_rephrase(endpoint, claim(), ())  # type: ignore[arg-type]
