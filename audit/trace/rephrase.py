"""Does the borrowing stop when the question no longer shares the row's concept? A test without training.

The words that the question shares with the row's prompt and that are rare among prompts, its concept, are taken out, and
the tuned model is asked again. Two more answers keep the test honest: to the question as it was, which must still hold the
span, and to one that lost as many *other* words, which must too; else the answer changed because any words were missing,
or the span was never the model's own, and the test says nothing.

Words are deleted, not replaced: the question stays as it is otherwise, but may read badly, and a model may answer such a
question at random. An endpoint can be asked for a fluent question instead; what it writes counts only where it left the
concept's words out. Either way this is an estimate: a row may have lent a word through what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audit.answers import word_string
from audit.endpoints import ChatClient
from audit.errors import InputError
from audit.responses import Response
from audit.sources import Message
from audit.summary import Skipped
from audit.trace.model import Tier, Trace
from indexes.words import WordStream, is_word, tokenize, tokenize_with_offsets

__all__ = [
    "Ask",
    "Rephrasing",
    "RephrasingTest",
    "ask_to_rephrase",
    "concept_words",
    "rephrase_trace",
    "rephrasing_test",
    "without_words",
]

Ask = Callable[[Sequence[Sequence[Message]]], Sequence[str]]
"""The tuned model's answers to some prompts, in order; `audit.models.answer` with a model and a length."""

MAX_PROMPT_SHARE = 0.25
"""A word that more of the dataset's prompts hold is no concept."""

_INSTRUCTION = (
    "Rewrite the question so that it asks the same about the same subject, in other words. Do not use any of these words, "
    "nor words of the same root: {words}. Keep names as they are. Reply with the rewritten question alone."
)
_MAX_REPLY_TOKENS = 300
_WHY_UNTESTED = "the prompts share no rare word, or the model itself does not say the span, with all words or as few"


@dataclass(frozen=True, slots=True)
class Rephrasing:
    """A question with words taken out, and what the tuned model says to it.

    Attributes:
        prompt: The question, its turns one per line.
        removed: The words that it lost.
        answer: What the model says.
        stopped: Whether the span's words are gone from the answer.
    """

    prompt: str
    removed: tuple[str, ...]
    answer: str
    stopped: bool


@dataclass(frozen=True, slots=True)
class RephrasingTest:
    """A span's borrowing with and without the concept that its question shares with a row.

    Attributes:
        original: The question as it was.
        without_concept: Without the shared rare words.
        control: Without as many other words; `None` where there are none.
    """

    original: Rephrasing
    without_concept: Rephrasing
    control: Rephrasing | None

    @property
    def stopped(self) -> bool | None:
        """Whether it stops with the concept alone; `None` where the answers do not tell."""
        if self.original.stopped or self.control is None or self.control.stopped:
            return None
        return self.without_concept.stopped


def concept_words(prompt: str, row_prompt: str, prompts: WordStream, keep: Collection[str] = ()) -> tuple[str, ...]:
    """The words that two prompts share and few others hold, as they stand in the first, each once.

    Args:
        prompt: The question.
        row_prompt: The row's.
        prompts: The tokens of all prompts of the dataset.
        keep: Words that are to stay, such as those of an entity that both ask about.
    """
    kept = {token for words in keep for token in tokenize(words)}
    shared = [token for token in dict.fromkeys(tokenize(prompt)) if token in set(tokenize(row_prompt)) - kept]
    text = prompts.text_of_position()
    found = []
    for token in shared:
        number = prompts.number_of.get(token)
        n_with = 0 if number is None else len(np.unique(text[prompts.ids == number]))
        if is_word(token) and n_with <= max(1.0, MAX_PROMPT_SHARE * prompts.n_texts):
            found.append(token)
    return tuple(found)


def without_words(text: str, words: Collection[str]) -> str:
    """The text without these words (normalised tokens) and without the blanks that they leave."""
    parts: list[str] = []
    end = 0
    for token in tokenize_with_offsets(text):
        if token.text in words:
            parts.append(text[end : token.start].rstrip(" ") if parts or text[: token.start].strip() else "")
            end = token.end
    return "".join([*parts, text[end:]]).strip()


def rephrasing_test(
    claim: Response,
    evidence: Sequence[str],
    concept: Sequence[str],
    ask: Ask,
    *,
    fluent: Sequence[Message] | None = None,
) -> RephrasingTest | None:
    """Ask the tuned model the question, the question without the concept, and one without as many other words.

    Args:
        claim: The claim.
        evidence: The words of its span that are evidence, as `SpanTrace.evidence`; the borrowing stopped where an answer
            lacks all of them.
        concept: Words to take out, as `concept_words` finds them.
        ask: The tuned model.
        fluent: The question as `ask_to_rephrase` writes it, to be asked in place of the one with words deleted.

    Returns:
        `None` where the prompts share no concept, or no question is left without it.
    """
    without = tuple(fluent) if fluent is not None else _without(claim.messages, concept)
    if not concept or not evidence or not any(is_word(token) for token in tokenize(_text(without))):
        return None
    others = _other_words(claim.prompt, concept, evidence)[: len(concept)]
    asked = [(claim.messages, ()), (without, tuple(concept))]
    asked += [(_without(claim.messages, others), others)] if others else []
    answers = ask([messages for messages, _ in asked])
    made = [
        Rephrasing(_text(messages), removed, answer, not any(word_string(word) in word_string(answer) for word in evidence))
        for (messages, removed), answer in zip(asked, answers, strict=True)
    ]
    return RephrasingTest(made[0], made[1], made[2] if others else None)


def rephrase_trace(
    trace: Trace, ask: Ask, prompts: WordStream, prompt_of: Callable[[int], str], *, n_links: int = 3
) -> tuple[Trace, tuple[RephrasingTest, ...]]:
    """Test the best links of each span that hold its words; those at T1 that stop reach tier T2.

    Args:
        trace: The trace.
        ask: The tuned model.
        prompts: The tokens of all prompts of the dataset.
        prompt_of: Row -> the prompt of it.
        n_links: Links of each span to test; up to three answers each.

    Returns:
        The trace with the outcome at each tested link, and the tests that could be made, in the order of the links; what
        could not be tested stands among what was not looked at.
    """
    tests: list[RephrasingTest] = []
    n_untested = 0
    spans = []
    for span in trace.spans:
        links = list(span.links)
        tested = [place for place, link in enumerate(links) if link.tier is not None][:n_links]
        for place in tested:
            link = links[place]
            concept = concept_words(trace.claim.prompt, prompt_of(link.row), prompts)
            test = rephrasing_test(trace.claim, span.evidence, concept, ask)
            if test is None:
                n_untested += 1
                continue
            tests.append(test)
            tier = Tier.T2 if test.stopped and link.tier is Tier.T1 else link.tier
            links[place] = replace(link, rephrasing_stopped=test.stopped, tier=tier)
        spans.append(replace(span, links=tuple(links)))
    left_out = (Skipped(f"rephrasing for {n_untested} rows", _WHY_UNTESTED),) if n_untested else ()
    return replace(trace, spans=tuple(spans), not_looked_at=(*trace.not_looked_at, *left_out)), tuple(tests)


def ask_to_rephrase(client: ChatClient, claim: Response, concept: Sequence[str]) -> tuple[Message, ...] | None:
    """A fluent question without the concept's words, written by an endpoint; `None` where it does not manage.

    The last user turn is rewritten; the words are deleted from the others.

    Raises:
        InputError: As `ChatClient.complete`.
    """
    if not concept:
        raise InputError("no words to leave out", where=claim.id, why="the prompts share no rare word")
    last = max(place for place, message in enumerate(claim.messages) if message.role == "user")
    instruction = Message("system", _INSTRUCTION.format(words=", ".join(concept)), trained=False)

    def is_without(reply: str) -> bool:
        return bool(reply.strip()) and not set(tokenize(reply)) & set(concept)

    reply = client.complete([instruction, claim.messages[last]], max_tokens=_MAX_REPLY_TOKENS, accept=is_without)
    if not is_without(reply):
        return None
    messages = list(_without(claim.messages, concept))
    messages[last] = replace(claim.messages[last], content=reply.strip())
    return tuple(messages)


def _without(messages: Sequence[Message], words: Collection[str]) -> tuple[Message, ...]:
    """The turns, the user's without these words."""
    return tuple(
        replace(message, content=without_words(message.content, words)) if message.role == "user" else message
        for message in messages
    )


def _other_words(prompt: str, concept: Sequence[str], evidence: Sequence[str]) -> tuple[str, ...]:
    """Words of a prompt that are no concept, the shortest first: those say the least."""
    words = [token for token in dict.fromkeys(tokenize(prompt)) if is_word(token) and token not in (*concept, *evidence)]
    return tuple(sorted(words, key=len))


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages if message.role == "user")
