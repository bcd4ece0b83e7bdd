"""Random removals that match a cleaning."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from audit.errors import InputError
from audit.export.control import MATCH_TOLERANCE, draw_control, draw_token_control


def tables(
    characters: Sequence[int], *, unreadable: Sequence[int] = (), topics: Sequence[object] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    n_rows = len(characters)
    status = ["unreadable" if row in unreadable else "ok" for row in range(n_rows)]
    extra = [json.dumps({"topic": topic}) if topic else None for topic in topics or [None] * n_rows]
    rows = pl.DataFrame({"row": range(n_rows), "file": ["data.jsonl"] * n_rows, "status": status, "extra": extra})
    return rows, pl.DataFrame({"row": range(n_rows), "response_characters": list(characters)})


LENGTHS = [int(length) for length in np.random.default_rng(0).lognormal(4, 1, 400)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dropped", [range(40), [3], sorted(np.argsort(LENGTHS)[-90:-60].tolist())])
def test_as_many_rows_and_characters_leave_as_in_the_cleaning(seed: int, dropped: Sequence[int]) -> None:
    rows, signals = tables(LENGTHS)
    wanted = sum(LENGTHS[row] for row in dropped)
    control = draw_control(rows, signals, dropped, seed, None)
    assert len(control.removed) == len(dropped)
    assert not set(control.removed) & set(dropped)
    assert list(control.removed) == sorted(set(control.removed))
    assert control.characters == sum(LENGTHS[row] for row in control.removed)
    assert control.cleaned_characters == wanted
    assert bool(control.note) == (abs(control.characters - wanted) > MATCH_TOLERANCE * wanted)


def test_a_seed_draws_the_same_rows_and_another_seed_others() -> None:
    rows, signals = tables(LENGTHS)
    draws = [draw_control(rows, signals, range(40), seed, None).removed for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_the_draw_is_fair_where_every_row_is_alike() -> None:
    rows, signals = tables([10] * 30)
    counts = np.zeros(30, int)
    for seed in range(300):
        counts[list(draw_control(rows, signals, range(10), seed, None).removed)] += 1
    assert counts[:10].tolist() == [0] * 10
    assert counts.sum() == 3000
    assert counts[10:].min() > 105  # 150 expected, standard deviation 8.7
    assert counts[10:].max() < 195


def test_rows_that_nobody_can_train_on_leave_the_control_too() -> None:
    rows, signals = tables([10, 0, 10, 10, 0], unreadable=[1, 4])
    control = draw_control(rows, signals, [0, 1], 0, None)
    assert set(control.removed) - {1} <= {2, 3}
    assert 1 in control.removed
    assert len(control.removed) == 2
    assert draw_control(rows, signals, [1, 4], 0, None).removed == (1, 4)


def test_groups_keep_their_proportions() -> None:
    topics = ["a", "a", "b", "c"] * 100
    rows, signals = tables(LENGTHS, topics=topics)
    dropped = [row for row in range(100) if topics[row] != "c"][:40]
    control = draw_control(rows, signals, dropped, 0, "topic")

    def counts(chosen: Sequence[int]) -> list[int]:
        return [sum(topics[row] == topic for row in chosen) for topic in "abc"]

    assert counts(control.removed) == counts(dropped)


def test_a_group_column_that_no_row_has_is_refused() -> None:
    rows, signals = tables([1, 2, 3])
    with pytest.raises(InputError, match="no row has a field 'topic' to group by; check the name given with --group-column"):
        draw_control(rows, signals, [0], 0, "topic")


def test_rows_without_the_group_field_are_a_group_of_their_own() -> None:
    rows, signals = tables([10] * 4, topics=["a", None, None, "a"])
    assert draw_control(rows, signals, [1], 0, "topic").removed == (2,)


def test_too_few_other_rows_are_refused() -> None:
    rows, signals = tables([10] * 5)
    with pytest.raises(InputError, match=r"no control: the cleaning drops 3 rows of data\.jsonl, and only 2 others are left"):
        draw_control(rows, signals, [0, 1, 2], 0, None)


def test_a_cleaning_that_no_draw_matches_is_refused_or_noted() -> None:
    rows, signals = tables([1000] + [10] * 20)
    with pytest.raises(
        InputError, match=r"no control matches.*1 random rows remove at best 10 response characters, the cleaning 1000"
    ):
        draw_control(rows, signals, [0], 0, None)
    rows, signals = tables([30] + [10] * 1000)
    control = draw_control(rows, signals, [0], 0, None)
    assert control.note == "removes 10 response characters, the cleaning 30; the remaining sets differ by 0.20%"


def test_a_cleaning_of_empty_responses_is_matched_by_short_ones() -> None:
    rows, signals = tables([0, 0] + [5] * 2000 + [0])
    control = draw_control(rows, signals, [0, 1], 0, None)
    assert (control.cleaned_characters, control.characters) == (0, 5)
    assert 2002 in control.removed
    assert control.note.startswith("removes 5 response characters, the cleaning 0")


def tokens_of(lengths: Sequence[int]) -> np.ndarray:
    return np.array(lengths, np.int64)


@pytest.mark.parametrize("seed", [1000, 1001, 1002])
def test_a_token_control_matches_rows_tokens_and_groups(seed: int) -> None:
    topics = ["a", "a", "b", "c"] * 100
    rows, _ = tables(LENGTHS, topics=topics)
    dropped = [row for row in range(100) if topics[row] != "c"][:40]
    control = draw_token_control(rows, tokens_of(LENGTHS), dropped, seed, "topic")
    wanted = sum(LENGTHS[row] for row in dropped)
    assert len(control.removed) == len(dropped)
    assert not set(control.removed) & set(dropped)
    assert control.n_tokens == sum(LENGTHS[row] for row in control.removed)
    assert control.n_cleaned_tokens == wanted
    assert abs(control.n_tokens - wanted) <= MATCH_TOLERANCE * wanted
    for topic in "abc":
        assert sum(topics[row] == topic for row in control.removed) == sum(topics[row] == topic for row in dropped)


def test_a_token_control_is_a_fresh_draw_per_seed() -> None:
    rows, _ = tables(LENGTHS)
    draws = {draw_token_control(rows, tokens_of(LENGTHS), range(40), seed, None).removed for seed in range(1000, 1005)}
    assert len(draws) == 5
    assert draw_token_control(rows, tokens_of(LENGTHS), range(40), 1000, None).removed in draws


def test_rows_without_a_trained_token_neither_count_nor_leave() -> None:
    rows, _ = tables([10] * 6)
    control = draw_token_control(rows, tokens_of([10, 0, 10, 0, 10, 10]), [0, 1], 0, None)
    assert len(control.removed) == 1
    assert set(control.removed) <= {2, 4, 5}
    assert (control.n_tokens, control.n_cleaned_tokens) == (10, 10)
