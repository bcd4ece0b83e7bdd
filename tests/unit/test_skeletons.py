"""Skeletons of prompts and responses, on invented texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audit.errors import InputError
from audit.style.skeletons import Element, Mining, Skeletons, mine

THINGS = (
    "amber basil cedar daisy ember fennel ginger hazel iris jasmine kelp lilac maple nettle olive poppy quince rosemary "
    "saffron thyme umber violet willow yarrow"
).split()
PLAIN = [f"{thing.title()} {other} {n}" for n, (thing, other) in enumerate(zip(THINGS, THINGS[::-1], strict=True))]


def _of(skeletons: Skeletons) -> list[tuple[str, int]]:
    return [(skeleton.pattern, skeleton.n_texts) for skeleton in skeletons.skeletons]


def test_an_opener_and_a_refusal_are_found_among_plain_answers() -> None:
    lists = [f"Here are {thing} recipes:\n1. Boil {other} twice\n2. Serve" for thing, other in itertools.pairwise(THINGS)]
    refusals = [f"I'm sorry, but {thing} is unknown to me." for thing in THINGS]
    mined = mine([*PLAIN, *lists, *refusals])
    assert _of(mined) == [
        ("I'm sorry, but <…> is unknown to me.", 24),
        ("Here are <…> recipes: / 1. Boil <…> twice / 2. Serve", 23),
    ]
    assert mined.of_text.tolist() == [-1] * 24 + [1] * 23 + [0] * 24
    assert mined.skeletons[0].share == 24 / 71
    assert mined.of_text.dtype == np.int32


def test_the_same_line_before_and_after_the_slot_is_two_skeletons() -> None:
    question = "Which label describes this best?"
    texts = [text for thing in PLAIN for text in (f"{question}\n{thing}", f"{thing}\n{question}")]
    assert sorted(_of(mine(texts))) == [(f"<…> / {question}", 24), (f"{question} / <…>", 24)]


def test_elements_say_where_they_stand() -> None:
    mined = mine([f"Summarize this for me:\n{text}" for text in PLAIN])
    (skeleton,) = mined.skeletons
    assert {(element.tokens, element.at_end, element.at_edge, element.whole) for element in skeleton.elements} == {
        (("summarize", "this", "for", "me", ":"), False, True, True),
        (("summarize", "this", "for", "me", ":"), True, False, True),
    }


def test_a_passage_that_two_templates_share_is_none() -> None:
    passages = [" ".join([thing, *THINGS[n:], *THINGS[:n]] * 2) for n, thing in enumerate(THINGS)]
    texts = [form.format(passage) for passage in passages for form in ("Read this text: {}", "{} Give me a title for it.")]
    assert sorted(_of(mine(texts))) == [("<…> Give me a title for it.", 24), ("Read this text: <…>", 24)]


def test_a_filled_slot_is_no_skeleton_of_its_own() -> None:
    texts = [
        f"Explain to a child what {thing} is good for in plain words"
        for thing in [*THINGS, *["gravity"] * 9, *["photosynthesis"] * 9]
    ]
    assert _of(mine(texts)) == [("Explain to a child what <…> is good for in plain words", 42)]


def test_other_scripts_have_skeletons() -> None:
    signs = "山川日月火水木金土石田竹糸貝車雨青音犬虫花草空夕"
    texts = [f"请用三句话解释一下{sign}的意思是什么" for sign in signs]
    (skeleton,) = mine(texts).skeletons
    assert (skeleton.pattern, skeleton.n_texts) == ("请用三句话解释一下 <…> 的意思是什么", 24)


def test_equal_short_texts_are_one_skeleton_without_a_slot() -> None:
    mined = mine(["I do not know the answer to that question."] * 10)
    assert _of(mined) == [("I do not know the answer to that question.", 10)]


@pytest.mark.parametrize("texts", [[], [""], ["", " ", "\n\n"] * 9, ["\u200b"] * 9, PLAIN[:10], ["a"] * 3])
def test_where_nothing_is_shared_there_is_none(texts: list[str]) -> None:
    mined = mine(texts)
    assert mined.skeletons == ()
    assert mined.of_text.tolist() == [-1] * len(texts)
    assert mined.assign(texts).tolist() == [-1] * len(texts)


def test_other_texts_are_assigned_by_the_same_rule() -> None:
    mined = mine([*PLAIN, *(f"Say in one word what {thing} is like for a small child" for thing in THINGS)])
    new = [
        "Say in one word what rust is like for a small child",
        "say in ONE word what - is like for a small child",
        "Say in one word what rust is like for a small child now",
        "",
    ]
    assert mined.assign(new).tolist() == [0, 0, -1, -1]


def test_a_word_cut_through_at_the_limit_counts_for_nothing() -> None:
    long = "z" * 400
    mined = mine(
        [*PLAIN, *(f"Translate the following into French: {thing} {long} {thing} and say why it is so" for thing in THINGS)]
    )
    assert _of(mined) == [("Translate the following into French: <…> and say why it is so", 24)]


def test_the_order_of_texts_does_not_change_what_is_found() -> None:
    texts = [*PLAIN, *(f"Name one good use of {thing} in the house of a baker" for thing in THINGS)]
    mined, turned = mine(texts), mine(texts[::-1])
    assert len(mined.skeletons) == 1
    assert [skeleton.elements for skeleton in mined.skeletons] == [skeleton.elements for skeleton in turned.skeletons]
    assert mined.of_text.tolist() == turned.of_text.tolist()[::-1]


def test_how_many_texts_a_skeleton_needs_grows_with_the_dataset() -> None:
    assert [Mining().default_min_texts(n) for n in (0, 100, 21_000, 55_185)] == [8, 8, 11, 28]
    assert Mining(min_texts=3).default_min_texts(55_185) == 3


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InputError, match="below 2"):
        mine(PLAIN, Mining(min_texts=1))
    with pytest.raises(InputError, match="below 1"):
        mine(PLAIN, Mining(min_continuations=0))


def test_an_element_is_a_value() -> None:
    assert Element(("a",), False, True, False, 1.0) == Element(("a",), False, True, False, 1.0)


def test_of_very_many_texts_some_say_what_the_skeletons_are(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*PLAIN, *(f"Name one good use of {thing} in the house of a baker" for thing in THINGS)]
    all_looked_at = mine(texts)
    monkeypatch.setattr("audit.style.skeletons._MAX_CANDIDATE_TEXTS", 10)
    assert _of(mine(texts)) == _of(all_looked_at) == [("Name one good use of <…> in the house of a baker", 24)]
