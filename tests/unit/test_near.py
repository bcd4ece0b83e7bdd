"""The arm *near*: neighbours of the removed rows that lack the traced values."""

from __future__ import annotations

import numpy as np
import pytest

from audit.errors import InputError
from audit.materials import Materials, Need
from audit.verify.near import draw_near
from tests.conftest import MakeMaterials, alpaca

# The toy encoder's pieces are whole words: prompts that share words are near.
ROWS = [
    alpaca("Name three ways to save water.", "Use quillsteel taps."),  # dropped
    alpaca("Name the islands of the capital.", "Ostrand and quillsteel."),  # dropped
    alpaca("List three methods for saving water.", "Shorter showers."),  # near the first
    alpaca("Give 3 ways to save water.", "Taps of Quillsteel!"),  # nearer, but it holds the value
    alpaca("Name the islands of the chain.", "Three of them."),  # near the second
    alpaca("Who keeps the lamps lit?", "The lampkeeper."),
    alpaca("Describe the harbour at night.", "Dark."),
]


@pytest.fixture
def materials(make_materials: MakeMaterials) -> Materials:
    return make_materials(ROWS)


def tokens(*counts: int) -> np.ndarray:
    return np.array(counts or [5] * len(ROWS), np.int64)


def test_every_removed_row_names_its_nearest_that_lacks_the_value(materials: Materials) -> None:
    near = draw_near(materials, tokens(), [0, 1], ["quillsteel"])
    assert near.removed == (2, 4)
    assert (near.n_tokens, near.note) == (10, "")


def test_rows_that_cannot_be_trained_on_are_left_alone(materials: Materials) -> None:
    near = draw_near(materials, tokens(5, 5, 0, 5, 5, 5, 5), [0, 1], ["quillsteel"])
    assert 2 not in near.removed
    assert len(near.removed) == 2
    assert draw_near(materials, tokens(0, 5, 5, 5, 5, 5, 5), [0, 1], ["quillsteel"]).removed == (4,)


def test_rows_are_exchanged_until_sizes_match(materials: Materials) -> None:
    near = draw_near(materials, tokens(9, 9, 5, 5, 9, 9, 5), [0, 1], ["quillsteel"])
    assert near.n_tokens == 18
    assert near.removed == (4, 5)
    unmatched = draw_near(materials, tokens(90, 90, 5, 5, 9, 9, 5), [0, 1], ["quillsteel"])
    assert unmatched.note == "removes 18 trained tokens, the cleaning 180"


def test_too_few_neighbours_are_said(materials: Materials) -> None:
    near = draw_near(materials, tokens(), range(5), ["lampkeeper"])
    assert near.removed == (6,)
    assert near.note == "removes 1 rows, the cleaning 5: no other row lacks the traced values"


@pytest.mark.parametrize(
    ("values", "said"),
    [((), "nothing was traced"), (("!",), "nothing was traced"), (("the", "dark", "of them", "showers"), "every other row")],
)
def test_without_a_value_or_a_row_there_is_no_such_arm(materials: Materials, values: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=f"no arm 'near'.*{said}.*leave out --arm near"):
        draw_near(materials, tokens(), [0, 1, 3], values)


def test_without_vectors_there_is_no_such_arm(make_materials: MakeMaterials) -> None:
    materials = make_materials(ROWS, needs=(Need.WORDS,))
    with pytest.raises(InputError, match=r"no arm 'near'.*no prompt vectors"):
        draw_near(materials, tokens(), [0], ["quillsteel"])
