"""Answers in another language than the question's, and answers in two: LNG001 and LNG002."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

from tests.benchmarks.recall.injection import Injected, Injector, Row, is_prose, prompt_of, response_of, sentences, single

__all__ = ["MIXED", "UNLIKE_THE_PROMPT"]

# Two answers in each language, and two questions in some.
_TEXTS: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
_ENGLISH = _TEXTS.pop("english")["answers"]
_ANSWERS = {language: texts["answers"] for language, texts in _TEXTS.items()}
_QUESTIONS = {language: texts["questions"] for language, texts in _TEXTS.items() if "questions" in texts}
_ABOUT_LANGUAGE = re.compile(
    r"translat|language|german|french|spanish|italian|portuguese|russian|chinese|japanese|korean|arabic|english|word",
    re.IGNORECASE,
)


def _plain_question(row: Row, least_characters: int = 40) -> str | None:
    """An English request that says nothing about languages."""
    prompt = prompt_of(row)
    return prompt if len(prompt) >= least_characters and not _ABOUT_LANGUAGE.search(prompt) else None


# LNG001


def _answered_in(language: str) -> Injector:
    def inject(rng: Random, row: Row) -> Injected | None:
        prompt = _plain_question(row)
        return single(prompt, rng.choice(_ANSWERS[language])) if prompt else None

    inject.__name__ = f"answered_in_{language}"
    return inject


def answered_in_english(rng: Random, row: Row) -> Injected:
    return single(rng.choice(_QUESTIONS[rng.choice(list(_QUESTIONS))]), rng.choice(_ENGLISH))


def answered_in_a_third_language(rng: Random, row: Row) -> Injected:
    asked, answered = rng.sample(list(_QUESTIONS), 2)
    return single(rng.choice(_QUESTIONS[asked]), rng.choice(_ANSWERS[answered]))


UNLIKE_THE_PROMPT: tuple[Injector, ...] = (
    *(_answered_in(language) for language in _ANSWERS),
    answered_in_english,
    answered_in_a_third_language,
)


# LNG002


def _prose(row: Row) -> list[str] | None:
    """The sentences of a plain English answer of at least two, under a prompt that says nothing about languages."""
    text = response_of(row).strip()
    if _plain_question(row, 20) is None or not is_prose(text) or len(text) < 100:
        return None
    return [sentence.strip() for sentence in sentences(text)]


def _foreign(rng: Random) -> str:
    return rng.choice(_ANSWERS[rng.choice(list(_ANSWERS))])


def ends_in_another(rng: Random, row: Row) -> Injected | None:
    parts = _prose(row)
    return single(prompt_of(row), " ".join([*parts, _foreign(rng)])) if parts else None


def begins_in_another(rng: Random, row: Row) -> Injected | None:
    parts = _prose(row)
    return single(prompt_of(row), " ".join([_foreign(rng), *parts])) if parts else None


def another_in_the_middle(rng: Random, row: Row) -> Injected | None:
    parts = _prose(row)
    return single(prompt_of(row), " ".join([parts[0], _foreign(rng), *parts[1:]])) if parts else None


def paragraphs_in_turn(rng: Random, row: Row) -> Injected | None:
    parts = _prose(row)
    if parts is None:
        return None
    language = rng.choice(list(_ANSWERS))
    one, other = _ANSWERS[language]
    half = (len(parts) + 1) // 2
    return single(prompt_of(row), "\n\n".join([" ".join(parts[:half]), one, " ".join(parts[half:]) or _ENGLISH[0], other]))


def switches_in_mid_sentence(rng: Random, row: Row) -> Injected | None:
    parts = _prose(row)
    if parts is None or len(parts[-1].split()) < 8:
        return None
    words = parts[-1].split()
    switched = rng.choice(
        [
            "的时候大家都应该注意安全和健康。",
            "потому что это очень важно для всех нас.",
            "と考えられています。とても大切なことです。",
            "لأن ذلك مهم جدا للجميع.",
        ]
    )
    return single(prompt_of(row), " ".join([*parts[:-1], *words[: len(words) // 2], switched]))


def strewn_with_words(rng: Random, row: Row) -> Injected | None:
    parts = _prose(row)
    if parts is None:
        return None
    words = " ".join(parts).split()
    foreign = rng.choice([("然后", "因为", "这个", "可以", "非常重要"), ("поэтому", "конечно", "например", "также", "важно")])
    if len(words) < 20:
        return None
    for word in foreign:
        words.insert(rng.randrange(3, len(words) - 1), word)
    return single(prompt_of(row), " ".join(words))


def english_in_another(rng: Random, row: Row) -> Injected:
    language = rng.choice(list(_QUESTIONS))
    one, other = _ANSWERS[language]
    return single(rng.choice(_QUESTIONS[language]), f"{one} {rng.choice(_ENGLISH)} {other}")


MIXED: tuple[Injector, ...] = (
    ends_in_another,
    begins_in_another,
    another_in_the_middle,
    paragraphs_in_turn,
    switches_in_mid_sentence,
    strewn_with_words,
    english_in_another,
)
