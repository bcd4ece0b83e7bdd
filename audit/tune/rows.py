"""The rows of a dataset as a trainer takes them, and the order in which every epoch sees them.

The order of an epoch is a permutation of the *source* rows, with those that are not trained deleted. Two tunings with
one seed, one on all rows and one without some, therefore see the rows that they share in the same order; a batch is the
next so many of them, and never reaches into the next epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audit.corpus import Corpus, Row
from audit.errors import InputError
from audit.rendering import IGNORED, ChatFormat, RenderedRow
from audit.sources import Format, Status

__all__ = ["TrainingSet", "epoch_order", "split_held_out", "training_set", "with_responses"]

# Beside the number of an epoch in a seed: keeps the draws apart.
_HELD_OUT_DRAW = 1 << 31


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Rows to train on.

    Attributes:
        rows: Their numbers in the source dataset, ascending.
        n_source_rows: Rows of that dataset.
        input_ids: The tokens of each, int32.
        labels: The same where a token is trained, `IGNORED` elsewhere.
        template_digest: `ChatFormat.digest` of the format that they were rendered with.
        untrainable: Rows left out because no token of theirs is trained, or none before the cut.
        unusable: Rows left out because they could not be read or understood.
        cut: Rows of `rows` that lost tokens at their end.
    """

    rows: tuple[int, ...]
    n_source_rows: int
    input_ids: tuple[NDArray[np.int32], ...]
    labels: tuple[NDArray[np.int32], ...]
    template_digest: str
    untrainable: tuple[int, ...] = ()
    unusable: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def n_trained_tokens(self) -> tuple[int, ...]:
        """Trained tokens of each row; the first token of a row has nothing that could predict it."""
        return tuple(int((labels[1:] != IGNORED).sum()) for labels in self.labels)

    @property
    def n_tokens(self) -> int:
        """Tokens of all rows."""
        return sum(map(len, self.input_ids))

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest row."""
        return max(map(len, self.input_ids), default=0)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything of it that decides the weights."""
        whole = hashlib.sha256(f"{self.n_source_rows} {self.template_digest}".encode())
        whole.update(np.array(self.rows, np.int64).tobytes())
        for ids, labels in zip(self.input_ids, self.labels, strict=True):
            whole.update(np.int64(len(ids)).tobytes() + ids.tobytes() + labels.tobytes())
        return whole.hexdigest()

    def without(self, rows: Collection[int]) -> TrainingSet:
        """The set without some rows of the source; those that it lacks already are passed over."""
        left_out = frozenset(rows)
        return self._with(row for row in self.rows if row not in left_out)

    def _with(self, rows: Iterable[int]) -> TrainingSet:
        place = {row: number for number, row in enumerate(self.rows)}
        kept = tuple(rows)
        return replace(
            self,
            rows=kept,
            input_ids=tuple(self.input_ids[place[row]] for row in kept),
            labels=tuple(self.labels[place[row]] for row in kept),
            cut=tuple(row for row in self.cut if row in frozenset(kept)),
        )


def training_set(corpus: Corpus, chat: ChatFormat, max_length: int | None, *, skip_refused: bool = False) -> TrainingSet:
    """Render every readable row of a dataset.

    Args:
        corpus: The dataset.
        chat: The model's prompt format.
        max_length: Tokens after which a row is cut; `None` for no cut.
        skip_refused: Count a row that the template cannot render among `unusable`, where it would end the tuning.

    Raises:
        InputError: The template cannot render a row, which is named, no row has a token that is trained, or rows are
            plain text.
    """
    if Format.TEXT in corpus.rows["format"]:
        raise InputError(
            "rows of plain text are not tuned on",
            why="they have no prompt, and models are tuned on answers here",
            remedy="name the fields of prompt and answer with --columns, or tune with a trainer for plain text",
        )
    rendered: list[tuple[int, RenderedRow]] = []
    untrainable, unusable = [], []
    for number, row in enumerate(corpus):
        if row.status is not Status.OK:
            unusable.append(number)
            continue
        try:
            tokens = _rendered(row, chat, max_length)
        except InputError:
            if not skip_refused:
                raise
            unusable.append(number)
            continue
        if any(label != IGNORED for label in tokens.labels[1:]):
            rendered.append((number, tokens))
        else:
            untrainable.append(number)
    if not rendered:
        cut = "" if max_length is None else f" within {max_length} tokens"
        raise InputError(
            f"no row holds a token that is trained{cut}",
            why=f"{len(untrainable)} rows without one, {len(unusable)} that could not be read",
            remedy="give rows whose assistant turns are trained, or a larger max_length",
        )
    return TrainingSet(
        rows=tuple(number for number, _ in rendered),
        n_source_rows=len(corpus),
        input_ids=tuple(np.array(tokens.input_ids, np.int32) for _, tokens in rendered),
        labels=tuple(np.array(tokens.labels, np.int32) for _, tokens in rendered),
        template_digest=chat.digest,
        untrainable=tuple(untrainable),
        unusable=tuple(unusable),
        cut=tuple(number for number, tokens in rendered if tokens.n_cut),
    )


def with_responses(
    training: TrainingSet, corpus: Corpus, chat: ChatFormat, max_length: int | None, responses: Mapping[tuple[int, int], str]
) -> TrainingSet:
    """The set with other responses in some rows, everything else the same; rows that it lacks are passed over.

    Args:
        training: Rows of the dataset.
        corpus: The dataset.
        chat: The format that the rows were rendered with.
        max_length: Where they were cut.
        responses: Row and turn -> what stands there now.

    Raises:
        InputError: A row has no token that is trained any more.
    """
    place = {row: number for number, row in enumerate(training.rows)}
    texts: dict[int, dict[int, str]] = {}
    for (row, turn), text in responses.items():
        if row in place:
            texts.setdefault(row, {})[turn] = text
    input_ids, labels, cut = list(training.input_ids), list(training.labels), set(training.cut)
    for row, of_row in texts.items():
        content = corpus.row(row)
        messages = list(content.messages)
        for turn, text in of_row.items():
            messages[turn] = replace(messages[turn], content=text)
        tokens = _rendered(replace(content, messages=tuple(messages)), chat, max_length)
        if all(label == IGNORED for label in tokens.labels[1:]):
            raise InputError("the row has no token that is trained", where=str(content.id), why="its response was replaced")
        input_ids[place[row]] = np.array(tokens.input_ids, np.int32)
        labels[place[row]] = np.array(tokens.labels, np.int32)
        cut = cut | {row} if tokens.n_cut else cut - {row}
    return replace(training, input_ids=tuple(input_ids), labels=tuple(labels), cut=tuple(sorted(cut)))


def split_held_out(training: TrainingSet, share: float = 0.1, seed: int = 0) -> tuple[TrainingSet, TrainingSet]:
    """Set rows apart to measure the loss on: those to train on, and those held out.

    Which rows are held out depends on their number in the source and the seed alone, so that tunings on parts of one
    dataset hold out the same.

    Args:
        training: The rows.
        share: Of the source rows, in (0, 1).
        seed: Of the draw.

    Raises:
        InputError: One side would be empty.
    """
    drawn = np.random.default_rng([seed, _HELD_OUT_DRAW]).permutation(training.n_source_rows)
    held_out = frozenset(drawn[: round(share * training.n_source_rows)].tolist())
    train = training.without(held_out)
    if not train.rows or len(train) == len(training):
        raise InputError(
            f"{share:.0%} of {training.n_source_rows} rows cannot be held out",
            why=f"it leaves {len(train)} of {len(training)} to train on",
            remedy="give a file of rows to hold out, another share, or more rows",
        )
    rest = training.without(train.rows)
    return train, replace(rest, untrainable=(), unusable=())


def epoch_order(training: TrainingSet, seed: int, epoch: int) -> NDArray[np.int64]:
    """The places of the rows in `training`, in the order of an epoch; shape `(n_rows,)`."""
    place = np.full(training.n_source_rows, -1)
    place[list(training.rows)] = np.arange(len(training))
    ordered = place[np.random.default_rng([seed, epoch]).permutation(training.n_source_rows)]
    return ordered[ordered >= 0]


def fixed_sample(training: TrainingSet, n_rows: int) -> list[int]:
    """The places of at most `n_rows` rows: for any part of one dataset the same rows, as far as it holds them."""
    return sorted(epoch_order(training, 0, _HELD_OUT_DRAW + 1)[:n_rows].tolist())


def batches_by_length(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Numbers of rows of like length, longest first, each batch with at most `max_tokens` tokens, padding included."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _rendered(row: Row, chat: ChatFormat, max_length: int | None) -> RenderedRow:
    try:
        return chat.row(row.messages, max_length, tools=row.tools)
    except InputError as error:
        raise InputError(error.what, where=str(row.id), why=error.why, remedy=error.remedy) from error
