"""The skeleton miner against a plain one: sets and dictionaries, every text and every signature one after the other."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.style.skeletons import Mining, mine
from indexes.words import tokenize

MINING = Mining(min_texts=3, min_continuations=2, min_element_bits=4.0, min_skeleton_bits=5.0, min_added_bits=4.0)
DEPTH, CUT, MIN_PLAIN = 32, 240, 0.1

Node = tuple[bool, bool, tuple[str, ...], bool]  # at the line's end, at the text's edge, tokens from outside in, whole


def test_templates_give_the_skeletons_of_the_plain_miner() -> None:
    for seed in range(12):
        texts = _made_up(random.Random(seed), 90)
        mined = mine(texts, MINING)
        assert [(frozenset(map(_node, skeleton.elements)), skeleton.n_texts) for skeleton in mined.skeletons] == _plain(texts)
        assert mined.skeletons, "a comparison of nothing"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab, ?\n", max_size=12), max_size=25))
def test_short_texts_give_the_skeletons_of_the_plain_miner(texts: list[str]) -> None:
    mined = mine(texts, MINING)
    assert [(frozenset(map(_node, skeleton.elements)), skeleton.n_texts) for skeleton in mined.skeletons] == _plain(texts)


def test_texts_get_the_skeleton_that_they_had_when_they_were_mined() -> None:
    for seed in range(12):
        texts = _made_up(random.Random(seed), 90)
        mined = mine(texts, MINING)
        assert mined.assign(texts).tolist() == mined.of_text.tolist()


def _made_up(rng: random.Random, n: int) -> list[str]:
    fill = [
        "heat",
        "cold rain",
        "the sea",
        "a long road to the north",
        "bread",
        "old maps",
        "snow",
        "wind in the trees",
        "salt",
    ]
    fill += [" ".join(rng.choices("lamp river stone glass paper wool".split(), k=rng.choice([3, 40, 90]))) for _ in range(9)]
    forms = [
        "Question: {}\nAnswer:",
        "Say what {} is.",
        "Read this.\n{}\nSay what it is.",
        "{}\nTL;DR:",
        "{} and {}",
        "- {}\n- {}",
    ]
    return [rng.choice(forms).format(rng.choice(fill), rng.choice(fill)) for _ in range(n)]


def _node(element: object) -> Node:
    tokens = element.tokens[::-1] if element.at_end else element.tokens  # type: ignore[attr-defined]
    return (element.at_end, element.at_edge, tokens, element.whole)  # type: ignore[attr-defined]


def _plain(texts: list[str]) -> list[tuple[frozenset[Node], int]]:
    """The longest elements of each skeleton, and how many texts it has."""
    counts: Counter[str] = Counter()
    held: list[set[Node]] = []
    following: defaultdict[Node, set[Node]] = defaultdict(set)
    for text in texts:
        nodes: set[Node] = set()
        lines = [line for line in text.splitlines() if line.strip()]
        for place, line in enumerate(lines):
            counts["\n"] += 1
            whole = len(line) <= CUT
            head, tail = (tokenize(line), None) if whole else (tokenize(line[:CUT]), tokenize(line[-CUT:]))
            counts.update(head + (tail or []))
            begins, ends = (head, head) if tail is None else (head[:-1], tail[1:])
            for at_end, edge, known in ((False, place == 0, begins), (True, place == len(lines) - 1, ends[::-1])):
                path = [(at_end, edge, tuple(known[:length]), False) for length in range(min(len(known), DEPTH + 1) + 1)]
                if whole and len(known) <= DEPTH:
                    path.append((at_end, edge, tuple(known), True))
                nodes.update(path[1:])
                for one, following_one in itertools.pairwise(path):
                    following[one].add(following_one)
        held.append(nodes)
    n_texts = Counter(node for nodes in held for node in nodes)
    total = sum(counts.values())

    def bits(node: Node) -> float:
        return -sum(math.log2(counts[token] / total) for token in [*node[2], *(["\n"] if node[3] else [])])

    def is_element(node: Node) -> bool:
        if n_texts[node] < MINING.default_min_texts(len(texts)) or bits(node) < MINING.min_element_bits:
            return False
        if node[3]:
            return True
        frequent = sum(n_texts[one] for one in following[node] if n_texts[one] >= MINING.default_min_texts(len(texts)))
        rare_share = 1 - min(frequent / n_texts[node], 1)
        return len(following[node]) >= MINING.min_continuations and rare_share >= MINING.min_rare_share

    def continued(node: Node, longer: Node) -> bool:
        same = node[:2] == longer[:2] and longer[2][: len(node[2])] == node[2] and not node[3]
        return same and (len(longer[2]) > len(node[2]) or longer[3])

    elements = {node for node in n_texts if is_element(node)}

    def added(node: Node) -> float:
        return bits(node) - max((bits(one) for one in elements if continued(one, node)), default=0.0)

    adds = {node: added(node) for node in elements}
    signatures = [frozenset(nodes & elements) for nodes in held]
    exact = Counter(signatures)
    says = {signature: round(sum(adds[node] for node in signature), 6) for signature in exact}
    candidates = [signature for signature in exact if says[signature] >= MINING.min_skeleton_bits]
    n = {one: sum(times for other, times in exact.items() if one <= other) for one in candidates}
    at_least = MINING.default_min_texts(len(texts))
    plain = {
        one: sum(times for other, times in exact.items() if one <= other and (times < at_least or other == one))
        for one in candidates
    }

    def is_filled_in(longer: frozenset[Node]) -> bool:
        for shorter in candidates:
            if shorter < longer and n[shorter] >= at_least:
                small = n[longer] < MINING.min_part * n[shorter] and plain[shorter] >= MIN_PLAIN * n[shorter]
                if small or says[longer] - says[shorter] < MINING.min_added_bits:
                    return True
        return False

    chosen = [one for one in candidates if n[one] >= at_least and not is_filled_in(one)]
    while True:
        sizes = Counter(
            min((one for one in chosen if one <= signature), key=lambda one: (-says[one], candidates.index(one)), default=None)
            for signature in signatures
        )
        kept = [one for one in chosen if sizes[one] >= at_least]
        if kept == chosen:
            break
        chosen = kept
    chosen.sort(key=lambda one: -sizes[one])
    return [(frozenset(node for node in one if not any(continued(node, other) for other in one)), sizes[one]) for one in chosen]
