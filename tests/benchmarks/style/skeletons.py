"""Does the skeleton miner find the templates that t0_55k's prompts were made from?

The labels are the 283 template names. Six templates have eight rows, fewer than a skeleton needs, and some share their
wording, because one template was used on two or three datasets: what a miner can reach is the figure for labels with those
names joined. The settings were chosen on half of the templates (`--choose`), mined by themselves; the other half was mined
by itself with them. That half was not unseen: the method, and the settings that `--choose` leaves as they are, were worked
out while looking at all templates, so its figure says how far those four settings carry over, no more. Peers read the same
prompts: the first and the last words of a prompt, and drain3, the usual miner of log templates, on whole prompts and, for
its sake, on their first and last words only. Drain3's similarity is chosen on the same half of the templates. A prompt in
no skeleton, or in a group of fewer than eight, is in one common group for all methods.

    python -m tests.benchmarks.style.skeletons

Needs drain3, which the extra `bench` installs.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from audit.style.skeletons import Mining, mine
from indexes.words import tokenize
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result

__all__ = ["measure_skeletons"]

_SEED = 906
_LEAST = 8
_RESAMPLES = 60
_SIMILARITIES = (0.3, 0.4, 0.5, 0.6)
_GRID = [
    Mining(min_element_bits=element, min_skeleton_bits=skeleton, min_added_bits=added, min_part=part)
    for element, skeleton in ((10, 15), (12, 15), (15, 15), (15, 22), (20, 22))
    for added, part in ((20, 0.3), (10, 0.3), (30, 0.3), (20, 0.15), (20, 0.45))
]
_DATASETS = re.compile(r"adversarial_qa_(dbert|dbidaf|droberta)|duorc_(SelfRC|ParaphraseRC)|imdb|rotten_tomatoes")

Grouping = Callable[[Sequence[str]], list[Hashable]]


def measure_skeletons(folder: Path, command: str) -> list[Result]:
    """Figures for the table of tests/benchmarks/style.

    Args:
        folder: The data folder; see `tests.benchmarks.data.data_folder`.
        command: What reproduces them.
    """
    prompts, templates = _read(folder)
    chosen_on, held_out = _halves(templates)
    everything = list(range(len(prompts)))
    results: list[Result] = []

    def add(name: str, value: float, unit: str, goal: str = "", interval: tuple[float, float] | None = None) -> None:
        low, high = interval or (None, None)
        results.append(Result(name, round(value, 4), unit, low, high, goal, command))

    started = time.process_time()
    mined = mine(prompts)
    seconds = time.process_time() - started
    labels = _folded(mined.of_text.tolist())
    interval = _interval(templates, labels)
    add("t0_55k, 283 templates: skeletons, all prompts", _ami(templates, labels), "AMI", "at least 0.90", interval)
    add("skeletons, all prompts", _ari(templates, labels), "ARI")
    add("skeletons, all prompts: found", len(mined.skeletons), "skeletons")
    add("skeletons, all prompts: with none", float(np.mean(mined.of_text < 0)), "share of prompts")
    add("skeletons, all prompts: processor time", seconds, "s", "at most 60")
    half = [prompts[place] for place in everything[::2]]
    started = time.process_time()
    mine(half)
    add("skeletons, every other prompt: processor time", time.process_time() - started, "s", "about half")
    joined = [_DATASETS.sub("X", template) for template in templates]
    add("skeletons against templates with those of shared wording joined", _ami(joined, labels), "AMI")
    add("the joined templates themselves", _ami(templates, joined), "AMI")
    add("the joined templates themselves", _ari(templates, joined), "ARI")
    for name, places in (("the half that settings were chosen on", chosen_on), ("the held-out half", held_out)):
        some, theirs = [prompts[place] for place in places], [templates[place] for place in places]
        groups = _folded(mine(some).of_text.tolist())
        goal = "at least 0.90" if places is held_out else ""
        add(f"skeletons, {name}, mined by itself", _ami(theirs, groups), "AMI", goal, _interval(theirs, groups))
        add(f"skeletons, {name}, mined by itself", _ari(theirs, groups), "ARI")
    similarity = max(
        _SIMILARITIES,
        key=lambda one: _ami(
            [templates[place] for place in chosen_on], _folded(_drain([_edges(prompts[place]) for place in chosen_on], one))
        ),
    )
    peers: dict[str, Grouping] = {
        "first three words": lambda texts: [tuple(tokenize(text)[:3]) for text in texts],
        "last three words": lambda texts: [tuple(tokenize(text)[-3:]) for text in texts],
        "first and last three words": lambda texts: [tuple(tokenize(text)[:3] + tokenize(text)[-3:]) for text in texts],
        "drain3, first and last eight words": lambda texts: _drain([_edges(text) for text in texts], similarity),
        "drain3, whole prompts": lambda texts: _drain([" ".join(tokenize(text)) for text in texts], similarity),
    }
    for name, group in peers.items():
        started = time.process_time()
        groups = _folded(group(prompts))
        seconds = time.process_time() - started
        add(f"{name}, all prompts", _ami(templates, groups), "AMI")
        add(f"{name}, all prompts", _ari(templates, groups), "ARI")
        add(f"{name}, all prompts: processor time", seconds, "s")
        add(
            f"{name}, the held-out half",
            _ami([templates[p] for p in held_out], _folded(group([prompts[p] for p in held_out]))),
            "AMI",
        )
    return results


def choose(folder: Path) -> list[tuple[float, Mining]]:
    """AMI on the half that settings are chosen on, best first."""
    prompts, templates = _read(folder)
    places, _ = _halves(templates)
    some, theirs = [prompts[place] for place in places], [templates[place] for place in places]
    return sorted(
        ((_ami(theirs, _folded(mine(some, mining).of_text.tolist())), mining) for mining in _GRID), key=lambda one: -one[0]
    )


def _read(folder: Path) -> tuple[list[str], list[str]]:
    with (folder / "t0" / "t0_55k.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row["prompt"] for row in rows], [row["template"] for row in rows]


def _halves(templates: Sequence[str]) -> tuple[list[int], list[int]]:
    """Prompts of a random half of the templates, and the others."""
    names = sorted(set(templates))
    random.Random(_SEED).shuffle(names)
    first = set(names[: len(names) // 2])
    inside = [name in first for name in templates]
    return list(itertools.compress(range(len(inside)), inside)), [place for place, is_in in enumerate(inside) if not is_in]


def _folded(labels: Sequence[Hashable]) -> list[Hashable]:
    counts = Counter(labels)
    return [label if counts[label] >= _LEAST and label != -1 else None for label in labels]


def _numbers(labels: Sequence[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels]


def _ami(truth: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    return float(adjusted_mutual_info_score(_numbers(truth), _numbers(labels)))


def _ari(truth: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    return float(adjusted_rand_score(_numbers(truth), _numbers(labels)))


def _interval(truth: Sequence[str], labels: Sequence[Hashable]) -> tuple[float, float]:
    """Of AMI over templates: half of them drawn without replacement, whose spread is that of a bootstrap of all."""
    rng = random.Random(_SEED)
    names = sorted(set(truth))
    draws = []
    for _ in range(_RESAMPLES):
        drawn = set(rng.sample(names, len(names) // 2))
        kept = [place for place, name in enumerate(truth) if name in drawn]
        draws.append(_ami([truth[place] for place in kept], [labels[place] for place in kept]))
    center, middle = _ami(truth, labels), float(np.mean(draws))  # fewer templates score a little otherwise
    low, high = np.quantile(draws, [0.025, 0.975])
    return round(center + float(low) - middle, 4), round(center + float(high) - middle, 4)


def _edges(text: str) -> str:
    """The first and the last eight words, as many for every text: drain3 sets texts of other lengths apart."""
    words = [*tokenize(text)]
    return " ".join([*words[:8], *["_"] * (8 - len(words[:8])), *["_"] * (8 - len(words[-8:])), *words[-8:]])


def _drain(texts: Sequence[str], similarity: float) -> list[Hashable]:
    """The group that drain3 puts each text in."""
    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.profiling_enabled = False
    config.drain_sim_th = similarity
    miner = TemplateMiner(config=config)
    return [miner.add_log_message(text)["cluster_id"] for text in texts]


def main() -> None:
    """Print the figures, or with `--choose` how each setting does on the half that settings are chosen on."""
    folder = data_folder()
    if "--choose" in sys.argv[1:]:
        for score, mining in choose(folder):
            print(f"{score:.4f}  {mining}")
        return
    for result in measure_skeletons(folder, "python -m tests.benchmarks.style.skeletons"):
        span = "" if result.low is None else f"  ({result.low} to {result.high})"
        print(f"{result.name}: {result.value} {result.unit}{span}  {result.goal}")


if __name__ == "__main__":
    main()
