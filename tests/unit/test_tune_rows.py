"""Rows as a trainer takes them, their order in every epoch, and rows held out."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from audit.errors import InputError
from audit.rendering import IGNORED, ChatFormat, load_chat_format
from audit.tune.rows import TrainingSet, batches_by_length, epoch_order, fixed_sample, split_held_out, training_set
from tests.conftest import ReadRows, alpaca, chat
from tests.models import write_tokenizer


@pytest.fixture(scope="module")
def chat_format(tmp_path_factory: pytest.TempPathFactory) -> ChatFormat:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return load_chat_format(folder)


def of_rows(*rows: int, n_source_rows: int) -> TrainingSet:
    """Rows of two tokens, the second trained and equal to the row's number."""
    ids = tuple(np.array([0, row], np.int32) for row in rows)
    labels = tuple(np.array([IGNORED, row], np.int32) for row in rows)
    return TrainingSet(rows, n_source_rows, ids, labels, "template")


def test_rows_are_rendered_and_others_left_out_and_counted(read_rows: ReadRows, chat_format: ChatFormat) -> None:
    corpus = read_rows(
        [
            alpaca("Who?", "Rome."),
            "{broken",
            chat(("user", "Who?")),
            chat(("user", "Who?"), ("assistant", "Rome."), ("user", "What?"), ("assistant", "Paris.")),
            {"messages": "none"},
            chat(("user", "Who?"), ("assistant", "The capital of the river.")),
        ],
        format_="messages",
    )
    alone = training_set(corpus, chat_format, None)
    assert (alone.rows, alone.n_source_rows) == ((3, 5), 6)
    assert (alone.untrainable, alone.unusable) == ((2,), (0, 1, 4))
    assert alone.cut == ()
    row = chat_format.row(corpus.row(3).messages)
    assert alone.input_ids[0].tolist() == list(row.input_ids)
    assert alone.labels[0].tolist() == list(row.labels)
    assert alone.n_trained_tokens == (row.n_trained, chat_format.row(corpus.row(5).messages).n_trained)


def test_rows_of_plain_text_are_not_tuned_on(read_rows: ReadRows, chat_format: ChatFormat) -> None:
    with pytest.raises(InputError, match="rows of plain text are not tuned on"):
        training_set(read_rows([{"text": "The Oder is a river."}]), chat_format, None)


def test_the_better_answer_of_a_preference_is_tuned_on(read_rows: ReadRows, chat_format: ChatFormat) -> None:
    pairs = read_rows([{"prompt": "Who?", "chosen": "Rome.", "rejected": "Paris."}])
    plain = read_rows([{"prompt": "Who?", "completion": "Rome."}])
    of_pairs, of_plain = (training_set(corpus, chat_format, None) for corpus in (pairs, plain))
    assert of_pairs.input_ids[0].tolist() == of_plain.input_ids[0].tolist()
    assert of_pairs.digest == of_plain.digest


def test_rows_are_cut_and_those_cut_to_nothing_left_out(read_rows: ReadRows, chat_format: ChatFormat) -> None:
    corpus = read_rows([alpaca("a" * 50, "Rome."), alpaca("a", "Rome " * 20), alpaca("a", "b")])
    short = training_set(corpus, chat_format, 30)
    assert (short.rows, short.untrainable, short.cut) == ((1, 2), (0,), (1,))
    assert short.max_tokens == 30
    assert short.without([1]).cut == ()


def test_no_trainable_row_is_an_error(read_rows: ReadRows, chat_format: ChatFormat) -> None:
    with pytest.raises(InputError, match="no row holds a token that is trained"):
        training_set(read_rows([chat(("user", "Who?"))]), chat_format, None)
    with pytest.raises(InputError, match=r"no row holds a token that is trained within 3 tokens \(1 rows without one"):
        training_set(read_rows([alpaca("a" * 50, "b")]), chat_format, 3)


def test_a_row_that_the_template_cannot_render_is_named(read_rows: ReadRows, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("deaf")
    template = (
        "{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    write_tokenizer(folder, template=template)
    turns = (("user", "a"), ("assistant", "b"))
    corpus = read_rows([chat(*turns), chat(("system", "Be brief."), *turns)])
    with pytest.raises(InputError, match=r"^data\.jsonl#1: "):
        training_set(corpus, load_chat_format(folder), None)


def test_an_epoch_is_a_permutation_of_the_source_with_missing_rows_deleted() -> None:
    whole = of_rows(*range(40), n_source_rows=40)
    part = whole.without([0, 7, 8, 39])
    for epoch in range(3):
        order = epoch_order(whole, 3, epoch).tolist()
        assert sorted(order) == list(range(40))
        in_part = [part.rows[place] for place in epoch_order(part, 3, epoch)]
        assert in_part == [row for row in order if row not in (0, 7, 8, 39)]
    assert epoch_order(whole, 3, 0).tolist() != epoch_order(whole, 3, 1).tolist()
    assert epoch_order(whole, 3, 0).tolist() != epoch_order(whole, 4, 0).tolist()


def test_rows_left_out_are_left_out_once() -> None:
    whole = of_rows(2, 3, 5, n_source_rows=9)
    part = whole.without([3, 4, 8])
    assert part.rows == (2, 5)
    assert [ids.tolist() for ids in part.input_ids] == [[0, 2], [0, 5]]
    assert part.without([]).digest == part.digest
    assert len({whole.digest, part.digest, of_rows(2, 5, n_source_rows=10).digest}) == 3


def test_a_set_survives_pickling() -> None:
    whole = of_rows(2, 3, 5, n_source_rows=9)
    assert pickle.loads(pickle.dumps(whole)).digest == whole.digest


def test_held_out_rows_are_the_same_for_parts_of_one_dataset() -> None:
    whole = of_rows(*range(100), n_source_rows=100)
    training, held_out = split_held_out(whole, 0.2, seed=1)
    assert len(held_out) == 20
    assert sorted(training.rows + held_out.rows) == list(range(100))
    part = whole.without(range(10))
    _, held_out_of_part = split_held_out(part, 0.2, seed=1)
    assert held_out_of_part.rows == tuple(row for row in held_out.rows if row >= 10)
    assert split_held_out(whole, 0.2, seed=2)[1].rows != held_out.rows


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_split_without_rows_on_one_side_is_an_error(share: float) -> None:
    with pytest.raises(InputError, match="cannot be held out"):
        split_held_out(of_rows(*range(20), n_source_rows=20), share)


def test_a_sample_is_the_same_for_parts_of_one_dataset_as_far_as_they_hold_it() -> None:
    whole = of_rows(*range(100), n_source_rows=100)
    sample = {whole.rows[place] for place in fixed_sample(whole, 10)}
    assert len(sample) == 10
    part = whole.without([min(sample)])
    assert sample - {min(sample)} < {part.rows[place] for place in fixed_sample(part, 10)}
    assert fixed_sample(of_rows(1, n_source_rows=2), 10) == [0]


def test_batches_hold_rows_of_like_length() -> None:
    assert list(batches_by_length([3, 9, 2, 8, 1], 18)) == [[1, 3], [0, 2, 4]]
    assert list(batches_by_length([50, 40], 18)) == [[0], [1]]
    assert list(batches_by_length([], 18)) == []
