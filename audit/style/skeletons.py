"""Skeletons: the wording that many texts share around slots, such as `Here are <…> :`, and which text has which.

Templates put their words where lines begin and end, so only those places are read: the first and the last words of every
line. The *elements* of a dataset are the beginnings and ends of lines that stand in many texts and behind which the texts
part into many continuations, most of them rare: there a slot is. A passage that several templates share goes on with its
own words, and drops out; a line that is the same in many texts is an element without a slot. A text's *signature* is every
element it holds. Signatures that many texts have are skeletons, unless they are another skeleton with a slot filled in: they
add few bits to one that they contain, or are a small part of its texts while others of its texts hold nothing more than it.
Each text goes to the skeleton of most bits among those whose elements it holds, all of them; most responses have none.

Cost: linear in texts beyond 60,000, of which that many, evenly spaced, say what the skeletons are; about 6 s and 0.5 GB for
55,000 prompts of 200 words, 1 s for 21,000 responses. What is not seen: wording in the middle of lines only, beginnings of
more than 32 words with no slot behind them, and openers of two common words (`Yes, <…>`), unless `Mining` asks for fewer
bits. Short texts that are equal word for word are a skeleton without a slot; long ones are not: `indexes.minhash` finds them.
In a small dataset, where a template's words are a large part of all words, they say less, and a short template is missed.

Source: Feng et al. (2004), accessor variety, for slots; Zhu et al. (2019), *Tools and Benchmarks for Automated Log
Parsing*, for the task; the skeletons as conjunctions and the folding are ours, measured in tests/benchmarks/style.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, hstack

from audit.errors import InputError
from indexes.words import WordStream, tokenize, tokenize_with_offsets

__all__ = ["SLOT", "Element", "Mining", "Skeleton", "Skeletons", "mine"]

SLOT = "<…>"
LINE = " / "  # between the lines of a pattern

_DEPTH = 32  # words looked at from either end of a line
_CUT = 240  # characters looked at from either end of a line: about 45 words of English
_MIN_SHOWN_BITS = 5.0  # of an element that only fills a pattern in, such as a dash
_COMMON = 0.9  # share of a skeleton's texts that hold an element that its pattern shows
_MIN_PLAIN = 0.1  # share of a skeleton's texts that hold nothing frequent beyond it, where a longer one is a filled slot
_MAX_CANDIDATE_TEXTS = 60_000  # texts whose signatures may be skeletons: keeps the cost linear in texts
_BLOCK = 500  # candidates compared at a time: bounds memory


@dataclass(frozen=True)
class Mining:
    """What counts as a skeleton. The defaults hold over wide ranges: see tests/benchmarks/style.

    Attributes:
        min_texts: How many texts an element and a skeleton need at least; None for `default_min_texts`.
        min_continuations: How many different words follow an element that ends in a slot, at least.
        min_rare_share: Which share of an element's texts go on with a word that fewer than `min_texts` have, at least.
        min_element_bits: How much an element says at least: the sum of -log2 of its words' shares of all words.
        min_skeleton_bits: How much a skeleton's elements say together, at least.
        min_added_bits: How much a skeleton says at least beyond one that it contains.
        min_part: Which share of a skeleton's texts one that contains it has at least, unless nearly every text of the former
            is in one that contains it.
    """

    min_texts: int | None = None
    min_continuations: int = 8
    min_rare_share: float = 0.05
    min_element_bits: float = 15.0
    min_skeleton_bits: float = 22.0
    min_added_bits: float = 30.0
    min_part: float = 0.3

    def default_min_texts(self, n_texts: int) -> int:
        """`min_texts`, or the larger of 8 and one in 2,000 of the texts."""
        return max(8, -(-n_texts // 2000)) if self.min_texts is None else self.min_texts


@dataclass(frozen=True, slots=True)
class Element:
    """Words at the beginning or end of a line.

    Attributes:
        tokens: Normalised, in the order of the text; see `indexes.words`.
        at_end: Whether they end a line; otherwise they begin one.
        at_edge: Whether that line is the text's first (last, where `at_end`); otherwise it is another one.
        whole: Whether the line is nothing else.
        bits: What they say; see `Mining.min_element_bits`.
    """

    tokens: tuple[str, ...]
    at_end: bool
    at_edge: bool
    whole: bool
    bits: float


@dataclass(frozen=True)
class Skeleton:
    """Wording around slots that many texts share.

    Attributes:
        number: Position in `Skeletons.skeletons`, by falling number of texts.
        pattern: As one of the texts spells it, `<…>` for each slot, ` / ` between lines. Text of a dataset: escape it.
        elements: What a text must hold, all of it; none begins or ends another one of the same kind.
        bits: What the elements say together; a text goes to the skeleton of most bits.
        precedence: Among equals it goes to the skeleton where this is least.
        n_texts: How many texts have it.
        share: The same as a share of all texts, 0 to 1.
    """

    number: int
    pattern: str
    elements: tuple[Element, ...]
    bits: float
    precedence: int
    n_texts: int
    share: float


@dataclass(frozen=True)
class Skeletons:
    """The skeletons of some texts.

    Attributes:
        skeletons: By falling number of texts.
        of_text: int32, shape `(n_texts,)`: the number of each text's skeleton, -1 for none.
        min_texts: How many texts a skeleton had to have.
    """

    skeletons: tuple[Skeleton, ...]
    of_text: NDArray[np.int32]
    min_texts: int

    def assign(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """The skeleton of each of other texts, by the same rule; int32, shape `(len(texts),)`, -1 for none."""
        return np.array([self._skeleton_of(text) for text in texts], np.int32)

    def _skeleton_of(self, text: str) -> int:
        numbers = self._numbers_of_elements
        held = {
            number
            for line, first, last in _lines(text)
            for key in _keys(line, first, last, self._lengths)
            if (number := numbers.get(key)) is not None
        }
        best = max(
            (skeleton for skeleton, needs in zip(self.skeletons, self._needs, strict=True) if needs <= held),
            key=lambda skeleton: (skeleton.bits, -skeleton.precedence),
            default=None,
        )
        return -1 if best is None else best.number

    @cached_property
    def _numbers_of_elements(self) -> dict[_Key, int]:
        elements = {_key_of(element): None for skeleton in self.skeletons for element in skeleton.elements}
        return dict(zip(elements, range(len(elements)), strict=True))

    @cached_property
    def _needs(self) -> list[frozenset[int]]:
        numbers = self._numbers_of_elements
        return [frozenset(numbers[_key_of(element)] for element in skeleton.elements) for skeleton in self.skeletons]

    @cached_property
    def _lengths(self) -> tuple[int, ...]:
        return tuple(sorted({len(key[0]) for key in self._numbers_of_elements}))


_Key = tuple[tuple[str, ...], bool, bool, bool]


def mine(texts: Sequence[str], mining: Mining | None = None) -> Skeletons:
    """The skeletons of texts, and each text's; the same for the same texts in the same order.

    Args:
        texts: Prompts or responses, of any language.
        mining: What counts as a skeleton.

    Raises:
        InputError: `min_texts` is below 2, or `min_continuations` below 1.
    """
    mining = mining or Mining()
    min_texts = mining.default_min_texts(len(texts))
    if min_texts < 2:
        raise InputError("no skeletons can be found", where="min_texts", why="it is below 2", remedy="give 2 or more")
    if mining.min_continuations < 1:
        raise InputError("no skeletons can be found", where="min_continuations", why="it is below 1", remedy="give 1 or more")
    elements = _read_elements(texts, mining, min_texts)
    signatures = _Signatures.of(elements)
    chosen, skeleton_of_signature = _choose(signatures, elements.added_bits, mining, min_texts)
    of_text = skeleton_of_signature[signatures.of_text].astype(np.int32)
    skeletons = tuple(
        _describe(number, signature, elements, signatures.elements_of(signature), np.flatnonzero(of_text == number), texts)
        for number, signature in enumerate(chosen)
    )
    return Skeletons(skeletons, of_text, min_texts)


def _lines(text: str) -> list[tuple[str, bool, bool]]:
    """The lines that hold more than white space, each with whether it is the first and whether it is the last of them."""
    lines = [line for line in text.splitlines() if line and not line.isspace()]
    return [(line, place == 0, place == len(lines) - 1) for place, line in enumerate(lines)]


def _sides(line: str) -> tuple[str, str]:
    """Where a line begins and ends; the second is empty where the first is all of it."""
    return (line, "") if len(line) <= _CUT else (line[:_CUT], line[-_CUT:])


def _keys(line: str, first: bool, last: bool, lengths: Sequence[int]) -> list[_Key]:
    """Every element of some lengths that a line holds, whatever the elements are."""
    head, tail = _sides(line)
    begins, all_of_it = tokenize(head), not tail
    ends = begins if all_of_it else tokenize(tail)
    if not all_of_it:  # a word may be cut through
        begins, ends = begins[:-1], ends[1:]
    keys = []
    for length in lengths:
        if length <= len(begins):
            keys.append((tuple(begins[:length]), False, first, False))
            if all_of_it and length == len(begins):
                keys.append((tuple(begins), False, first, True))
        if length <= len(ends):
            keys.append((tuple(ends[len(ends) - length :]), True, last, False))
            if all_of_it and length == len(ends):
                keys.append((tuple(ends), True, last, True))
    return keys


def _key_of(element: Element) -> _Key:
    return (element.tokens, element.at_end, element.at_edge, element.whole)


@dataclass(frozen=True)
class _Side:
    """The beginnings of many lines, or their ends read backwards, as the nodes of a trie.

    Attributes:
        parent: int64, shape `(n_nodes,)`: the node that is one token shorter; 0 and 1 are the empty ones of lines that are
            not, and that are, at their text's edge. Parents come before their children.
        token: int64, same shape: the last token; -1 where the line is over.
        n_continuations: int64, same shape: how many different tokens follow, the line's end being one.
        rare_share: float64, same shape: which share of its texts go on with a rare one, 0 to 1.
        bits: float64, same shape: what it says.
        lines: int64, shape `(n_occurrences,)`: lines that hold nodes.
        nodes: int64, same shape: the nodes.
    """

    parent: NDArray[np.int64]
    token: NDArray[np.int64]
    n_continuations: NDArray[np.int64]
    rare_share: NDArray[np.float64]
    bits: NDArray[np.float64]
    lines: NDArray[np.int64]
    nodes: NDArray[np.int64]

    @classmethod
    def read(
        cls,
        ids: NDArray[np.int32],
        origins: NDArray[np.int64],
        step: int,
        lengths: NDArray[np.int64],
        cut: NDArray[np.bool_],
        at_edge: NDArray[np.bool_],
        text_of_line: NDArray[np.int64],
        bits_of_token: NDArray[np.float64],
        min_texts: int,
    ) -> _Side:
        """Read lines, a word deeper at a time, as long as enough texts go on alike.

        Args:
            ids: Tokens of all lines.
            origins: For every line, where its outermost token is; shape `(n_lines,)`, as are those that follow.
            step: 1 to read on, -1 to read backwards.
            lengths: How many tokens of it are known.
            cut: Whether it goes on behind those.
            at_edge: Whether it is the first (last) line of its text.
            text_of_line: Ascending.
            bits_of_token: Shape `(n_vocabulary + 1,)`; the last is that of the line's end.
            min_texts: See `Mining`.
        """
        n_texts_at_all = int(text_of_line[-1]) + 1 if len(text_of_line) else 1
        parents, tokens, counts = [np.array([-1, -1])], [np.array([-1, -1])], [np.zeros(2, np.int64)]
        bits = [np.zeros(2)]
        continuations: list[NDArray[np.int64]] = []
        lines_of: list[NDArray[np.int64]] = []
        nodes_of: list[NDArray[np.int64]] = []
        lines, nodes = np.arange(len(lengths)), at_edge.astype(np.int64)
        first, after = 0, 2  # the nodes of this depth
        for depth in range(_DEPTH + 1):
            known = (depth < lengths[lines]) | ~cut[lines]
            lines, nodes = lines[known], nodes[known]
            within = depth < lengths[lines]
            token = np.full(len(lines), -1, np.int64)
            token[within] = ids[origins[lines[within]] + step * depth]
            keys, child = np.unique(nodes << 32 | (token + 1), return_inverse=True)
            parent, last = keys >> 32, (keys & 0xFFFFFFFF) - 1
            held = np.unique(child * n_texts_at_all + text_of_line[lines]) // n_texts_at_all
            n_texts = np.bincount(held, minlength=len(keys))
            kept = n_texts >= min_texts
            continuations.append(np.bincount(parent, minlength=after)[first:])
            parents.append(parent[kept])
            tokens.append(last[kept])
            counts.append(n_texts[kept])
            bits.append(bits[-1][parent[kept] - first] + bits_of_token[last[kept]])
            goes_on = kept[child]
            lines, token = lines[goes_on], token[goes_on]
            nodes = (after + np.cumsum(kept) - 1)[child[goes_on]]
            lines_of.append(lines)
            nodes_of.append(nodes)
            lines, nodes = lines[token >= 0], nodes[token >= 0]
            first, after = after, after + int(kept.sum())
        continuations.append(np.zeros(after - first, np.int64))
        all_parents, all_texts = np.concatenate(parents), np.concatenate(counts)
        frequent = np.bincount(all_parents[2:], weights=all_texts[2:], minlength=after)
        return cls(
            all_parents,
            np.concatenate(tokens),
            np.concatenate(continuations),
            1 - np.minimum(frequent / np.maximum(all_texts, 1), 1),
            np.concatenate(bits),
            np.concatenate(lines_of),
            np.concatenate(nodes_of),
        )

    def tokens_of(self, node: int) -> list[int]:
        """The tokens from the edge of the line inwards, without the mark of its end."""
        tokens = []
        while node > 1:
            tokens.append(int(self.token[node]))
            node = int(self.parent[node])
        return [token for token in reversed(tokens) if token >= 0]

    def at_edge(self, node: int) -> bool:
        """Whether the lines are the first (last) ones of their texts."""
        while node > 1:
            node = int(self.parent[node])
        return node == 1


@dataclass(frozen=True)
class _Elements:
    """The elements of a dataset, and which text holds which.

    Attributes:
        vocabulary: Of the tokens.
        sides: Beginnings, and ends.
        side: int64, shape `(n_elements,)`: 0 for beginnings, 1 for ends.
        node: int64, same shape: the node there.
        bits: float64, same shape: what it says.
        added_bits: float64, same shape: what it says beyond the longest strong element that it continues.
        strong: bool, same shape: whether it says enough to be part of a signature; others only fill patterns in.
        held: bool, sparse, shape `(n_texts, n_elements)`.
    """

    vocabulary: Sequence[str]
    sides: tuple[_Side, _Side]
    side: NDArray[np.int64]
    node: NDArray[np.int64]
    bits: NDArray[np.float64]
    added_bits: NDArray[np.float64]
    strong: NDArray[np.bool_]
    held: csr_matrix

    @classmethod
    def of(
        cls,
        vocabulary: Sequence[str],
        sides: tuple[_Side, _Side],
        text_of_line: NDArray[np.int64],
        n_texts: int,
        mining: Mining,
    ) -> _Elements:
        """The nodes behind which a slot, or nothing, follows."""
        columns, rows, side, node, bits, added, strong = [], [], [], [], [], [], []
        n_elements = 0
        for place, one in enumerate(sides):
            slot = (one.n_continuations >= mining.min_continuations) & (one.rare_share >= mining.min_rare_share)
            valid = (slot | (one.token < 0)) & (one.bits >= min(_MIN_SHOWN_BITS, mining.min_element_bits))
            valid[:2] = False
            says_enough = valid & (one.bits >= mining.min_element_bits)
            below = np.zeros(len(valid))  # bits of the longest strong element that a node continues
            for child, parent in enumerate(one.parent.tolist()):
                if parent > 1:
                    below[child] = one.bits[parent] if says_enough[parent] else below[parent]
            number = n_elements + np.cumsum(valid) - 1
            kept = valid[one.nodes]
            columns.append(number[one.nodes[kept]])
            rows.append(text_of_line[one.lines[kept]])
            chosen = np.flatnonzero(valid)
            side.append(np.full(len(chosen), place))
            node.append(chosen)
            bits.append(one.bits[chosen])
            added.append(one.bits[chosen] - below[chosen])
            strong.append(says_enough[chosen])
            n_elements += len(chosen)
        column, row = np.concatenate(columns), np.concatenate(rows)
        held = csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(n_texts, n_elements))
        held.data[:] = 1
        return cls(
            vocabulary,
            sides,
            np.concatenate(side),
            np.concatenate(node),
            np.concatenate(bits),
            np.concatenate(added),
            np.concatenate(strong),
            held,
        )

    def element(self, number: int) -> Element:
        """One of them."""
        place = int(self.side[number])
        side, node = self.sides[place], int(self.node[number])
        tokens = tuple(self.vocabulary[token] for token in side.tokens_of(node))
        whole = bool(side.token[node] < 0)
        return Element(
            tokens[::-1] if place else tokens, bool(place), side.at_edge(node), whole, round(float(self.bits[number]), 3)
        )

    def longest(self, numbers: NDArray[np.integer]) -> list[int]:
        """Those of some elements that no other of them continues, ascending."""
        of_node = {(int(self.side[number]), int(self.node[number])): int(number) for number in numbers}
        covered = set()
        for place, node in of_node:
            parent = int(self.sides[place].parent[node])
            while parent > 1:
                covered.add((place, parent))
                parent = int(self.sides[place].parent[parent])
        return sorted(number for key, number in of_node.items() if key not in covered)


def _read_elements(texts: Sequence[str], mining: Mining, min_texts: int) -> _Elements:
    heads: list[str] = []
    tails: list[str] = []
    edges: list[tuple[bool, bool]] = []
    lines_of_text = np.zeros(len(texts), np.int64)
    for number, text in enumerate(texts):
        lines = _lines(text)
        lines_of_text[number] = len(lines)
        for line, first, last in lines:
            head, tail = _sides(line)
            heads.append(head)
            tails.append(tail)
            edges.append((first, last))
    text_of_line = np.repeat(np.arange(len(texts)), lines_of_text)
    at_edge = np.array(edges, bool).reshape(-1, 2)
    cut = np.array([bool(tail) for tail in tails], bool)
    begins = WordStream.of(heads)
    ends = WordStream.of(tails, begins.vocabulary)  # empty where a line is not cut
    ids = np.concatenate([begins.ids, ends.ids])
    counts = np.append(np.bincount(ids, minlength=len(ends.vocabulary)), len(heads))  # the last for the end of a line
    bits_of_token = -np.log2(np.maximum(counts, 1) / max(1, counts.sum()))
    lasts = np.where(cut, len(begins.ids) + ends.offsets[1:], begins.offsets[1:]) - 1
    lengths = np.where(cut, np.diff(ends.offsets), np.diff(begins.offsets))
    sides = (
        _Side.read(
            ids,
            begins.offsets[:-1],
            1,
            np.diff(begins.offsets) - cut,
            cut,
            at_edge[:, 0],
            text_of_line,
            bits_of_token,
            min_texts,
        ),
        _Side.read(ids, lasts, -1, lengths - cut, cut, at_edge[:, 1], text_of_line, bits_of_token, min_texts),
    )
    return _Elements.of(ends.vocabulary, sides, text_of_line, len(texts), mining)


@dataclass(frozen=True)
class _Signatures:
    """The distinct sets of strong elements that texts hold, in order of first appearance.

    Attributes:
        elements: bool as float32, sparse, shape `(n_signatures, n_elements)`.
        of_text: int64, shape `(n_texts,)`: each text's.
        n_texts: int64, shape `(n_signatures,)`: how many texts have exactly this one.
    """

    elements: csr_matrix
    of_text: NDArray[np.int64]
    n_texts: NDArray[np.int64]

    @classmethod
    def of(cls, elements: _Elements) -> _Signatures:
        """The signatures of texts."""
        held = elements.held[:, np.flatnonzero(elements.strong)]
        held.sort_indices()
        numbers: dict[bytes, int] = {}
        of_text = np.array(
            [
                numbers.setdefault(held.indices[start:end].tobytes(), len(numbers))
                for start, end in itertools.pairwise(held.indptr.tolist())
            ],
            np.int64,
        )
        first = np.unique(of_text, return_index=True)[1]
        distinct = elements.held[first].multiply(elements.strong).tocsr()
        distinct.eliminate_zeros()
        return cls(distinct, of_text, np.bincount(of_text))

    def elements_of(self, signature: int) -> NDArray[np.int32]:
        """The elements of one, ascending."""
        return np.sort(self.elements.indices[self.elements.indptr[signature] : self.elements.indptr[signature + 1]])


def _choose(
    signatures: _Signatures, added_bits: NDArray[np.float64], mining: Mining, min_texts: int
) -> tuple[list[int], NDArray[np.int64]]:
    """Which signatures are skeletons, by falling number of texts; and for every signature its skeleton, -1 for none."""
    elements, counts = signatures.elements, signatures.n_texts
    bits = np.round(elements @ added_bits, 6)
    looked_at = np.zeros(len(counts), bool)
    looked_at[signatures.of_text[:: -(-len(signatures.of_text) // _MAX_CANDIDATE_TEXTS) or 1]] = True
    candidates = np.flatnonzero(looked_at & (bits >= mining.min_skeleton_bits))
    holds = _containment(elements, candidates)  # signatures x candidates
    n_texts = counts @ holds
    plain = np.where(counts < min_texts, counts, 0) @ holds  # texts that hold nothing frequent beyond it
    own = counts[candidates]
    plain += np.where(own >= min_texts, own, 0)
    within = holds[candidates].tocoo()
    longer, shorter = within.row[within.row != within.col], within.col[within.row != within.col]
    few_bits = bits[candidates[longer]] - bits[candidates[shorter]] < mining.min_added_bits
    small_part = n_texts[longer] < mining.min_part * n_texts[shorter]
    slot = plain[shorter] >= _MIN_PLAIN * n_texts[shorter]
    enough = n_texts[shorter] >= min_texts
    is_skeleton = n_texts >= min_texts
    is_skeleton[longer[enough & (few_bits | (small_part & slot))]] = False
    chosen = np.flatnonzero(is_skeleton)
    while True:
        best = _best(holds[:, chosen], bits[candidates[chosen]])
        sizes = np.bincount(best + 1, weights=counts, minlength=len(chosen) + 1)[1:]
        if (sizes >= min_texts).all():
            break
        chosen = chosen[sizes >= min_texts]
    order = np.argsort(-sizes, kind="stable")
    rank = np.append(np.argsort(order), -1)  # the last for none
    return candidates[chosen[order]].tolist(), rank[best]


def _containment(elements: csr_matrix, candidates: NDArray[np.int64]) -> csc_matrix:
    """Which signatures hold all that a candidate holds; bool as float64, sparse, shape `(n_signatures, n_candidates)`."""
    sizes = np.diff(elements.indptr)[candidates]
    blocks = [csc_matrix((elements.shape[0], 0))]
    for start in range(0, len(candidates), _BLOCK):
        block = slice(start, start + _BLOCK)
        overlap = (elements @ elements[candidates[block]].T).tocoo()
        full = overlap.data == sizes[block][overlap.col]
        shape = (elements.shape[0], len(candidates[block]))
        blocks.append(csc_matrix((np.ones(full.sum()), (overlap.row[full], overlap.col[full])), shape))
    return hstack(blocks, format="csc")


def _best(holds: csc_matrix, bits: NDArray[np.float64]) -> NDArray[np.int64]:
    """For every signature the skeleton of most bits among those it holds, the first of equals; -1 for none."""
    best = np.full(holds.shape[0], -1, np.int64)
    for place in np.lexsort((-np.arange(len(bits)), bits)):
        best[holds.indices[holds.indptr[place] : holds.indptr[place + 1]]] = place
    return best


def _describe(
    number: int,
    signature: int,
    elements: _Elements,
    numbers: NDArray[np.int32],
    members: NDArray[np.int64],
    texts: Sequence[str],
) -> Skeleton:
    """A skeleton whose elements and texts are known."""
    held = elements.held[members]
    common = np.union1d(numbers, np.flatnonzero(held.mean(axis=0).A1 >= _COMMON))
    example = int(np.argmax(held[:, common].sum(axis=1).A1))
    shown = [elements.element(int(one)) for one in common[held[example, common].toarray()[0] > 0]]
    needed = tuple(elements.element(one) for one in elements.longest(numbers))
    return Skeleton(
        number=number,
        pattern=_pattern(texts[int(members[example])], frozenset(map(_key_of, shown))),
        elements=needed,
        bits=round(float(elements.added_bits[numbers].sum()), 6),
        precedence=signature,
        n_texts=len(members),
        share=len(members) / len(texts),
    )


def _pattern(text: str, shown: frozenset[_Key]) -> str:
    """A text with everything but some elements replaced by slots; equal neighbouring lines once."""
    lengths = sorted({len(key[0]) for key in shown})
    rendered: list[str] = []
    for line, first, last in _lines(text):
        tokens = tokenize_with_offsets(line)
        held = [key for key in _keys(line, first, last, lengths) if key in shown]
        begin = max((len(key[0]) for key in held if not key[1]), default=0)
        end = max((len(key[0]) for key in held if key[1]), default=0)
        if begin + end >= len(tokens):
            part = line.strip() if tokens else SLOT
        else:
            words = [line[: tokens[begin - 1].end].strip()] if begin else []
            part = " ".join([*words, SLOT, *([line[tokens[-end].start :].strip()] if end else [])])
        if rendered[-1:] != [part]:
            rendered.append(part)
    return LINE.join(rendered)
