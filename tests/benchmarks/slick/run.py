"""SliCK's classes of a model of which it is known what it was shown; see `world.py` for the world.

Run from the repository root with `make bench-slick` (some ten minutes on one core; models are kept in
`tests/benchmarks/slick/.work`, runs are made anew). The classes are those of the real command on the questions of both halves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from audit.materials import SLICK_FILES
from audit.models import LanguageModel, generate, load_model
from audit.pocket.build import Pretraining, pretrain
from audit.rundir import Run
from audit.signals.questions import Question, read_question
from audit.signals.slick import Exemplars, FewShot, Known, prompt_ids
from audit.sources import Message
from audit.verify.proportions import proportion
from indexes.store import read_bytes
from tests.benchmarks.record import Result, record
from tests.benchmarks.slick.world import Fact, Kind, documents, make_facts

COMMAND = "make bench-slick"
WORK = Path(__file__).with_name(".work")
FIRM_SEEDS = (0, 1)
FIRM = Pretraining(epochs=15, width=96, inner_width=256, n_layers=3, vocabulary=1024)
FRAGILE_SEED = 2
FRAGILE = Pretraining(epochs=9, width=96, inner_width=256, n_layers=3, vocabulary=1024)
_MIN_RECALL = 0.98

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Measured:
    """One model, asked.

    Attributes:
        facts: Its world.
        classes: The class of every fact.
        slick: What the manifest says of the stage.
        recall: By fact, whether a lone question is answered rightly, greedily.
        recall_few_shot: The same behind four exemplars of the shown half.
        recall_stated: Whether a statement of it is completed rightly; a form that SliCK does not ask in.
        audit_s: Seconds of the whole command.
    """

    facts: Sequence[Fact]
    classes: Sequence[str]
    slick: Mapping[str, Any]
    recall: Sequence[bool]
    recall_few_shot: Sequence[bool]
    recall_stated: Sequence[bool]
    audit_s: float


def measure(name: str, seed: int, how: Pretraining) -> Measured:
    """Pretrain a model unless it is there, ask it alone, and run the audit."""
    facts = make_facts(seed)
    folder = WORK / name
    if not (folder / "model" / "config.json").exists():
        pretrain(folder / "model", documents(facts, seed), how)
    data = folder / "questions.jsonl"
    rows = [{"instruction": fact.question, "input": "", "output": fact.answer} for fact in facts]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        run = Path(scratch) / "run"
        command = [Path(sys.executable).with_name("tunescope"), "audit", data, "--base-model", folder / "model", "--slick"]
        begun = time.perf_counter()
        subprocess.run(
            [*command, "--select", "KNW004", "-o", run, "-q"],
            env={**os.environ, "TUNESCOPE_CACHE": str(Path(scratch) / "cache")},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        audit_s = time.perf_counter() - begun
        classes = pl.read_parquet(read_bytes(run / SLICK_FILES[0]))["slick"].to_list()
        (stage,) = [stage["facts"] for stage in Run.open(run).manifest["stages"] if stage["name"] == "slick"]
    model = load_model(folder / "model", device="cpu", dtype="float32")
    return Measured(facts, classes, stage, *_recall(model, facts), audit_s)


def _recall(model: LanguageModel, facts: Sequence[Fact]) -> tuple[list[bool], list[bool], list[bool]]:
    """Whether each fact is answered rightly alone and behind exemplars of the shown half, and completed as a statement."""
    questions = [_question(fact) for fact in facts]
    shown = [question for fact, question in zip(facts, questions, strict=True) if fact.kind is Kind.SHOWN]
    exemplars = Exemplars(shown)
    forms = (
        [prompt_ids(model, FewShot((), question), is_plain=False) for question in questions],
        [prompt_ids(model, exemplars.prompts(question, 1)[0], is_plain=False) for question in questions],
        [tuple(model.chat.tokenizer(fact.stated_until_value)["input_ids"]) for fact in facts],
    )
    said = [[model.chat.decode(ids) for ids in generate(model, form, max_new_tokens=40)] for form in forms]
    alone, few_shot, stated = ([fact.value in text for fact, text in zip(facts, of_form, strict=True)] for of_form in said)
    return alone, few_shot, stated


def _question(fact: Fact) -> Question:
    read = read_question([Message("user", fact.question, trained=False), Message("assistant", fact.answer, trained=True)])
    if not isinstance(read, Question) or read.value != fact.value:
        raise SystemExit(f"{fact.question} {fact.answer}: taken for {read}")
    return read


def firm_part(models: Sequence[Measured]) -> list[Result]:
    """Known and Unknown against shown and not shown."""
    facts = [fact for model in models for fact in model.facts]
    classes = [known for model in models for known in model.classes]
    shown = [fact.kind is Kind.SHOWN for fact in facts]
    agrees = [(known != Known.UNKNOWN) == is_shown for known, is_shown in zip(classes, shown, strict=True)]
    recalls = {
        "asked alone": [right for model in models for right in model.recall],
        "behind exemplars": [right for model in models for right in model.recall_few_shot],
        "as statements": [right for model in models for right in model.recall_stated],
    }
    results = [
        _share(f"firm: shown facts recalled, {form}", _of(shown, right), "at least 0.98" if form != "as statements" else "")
        for form, right in recalls.items()
    ]
    results.append(_share("firm: facts not shown recalled, asked alone", _of(_not(shown), recalls["asked alone"])))
    results.append(_share("**firm: Known is shown and Unknown is not**", agrees, "at least 0.90"))
    for kind in Kind:
        of_kind = [fact.kind is kind for fact in facts]
        results.append(_share(f"firm: {kind}: agree", _of(of_kind, agrees)))
        results += [
            _share(f"firm: {kind}: {known}", [each == known for each in _of(of_kind, classes)], interval=False)
            for known in Known
        ]
    for of_people, space in ((True, "3,600 names"), (False, "80 words")):
        of_space = [fact.relation.of_people is of_people for fact in facts]
        results.append(_share(f"firm: values of {space}: agree", _of(of_space, agrees)))
        hidden = [here and not is_shown for here, is_shown in zip(of_space, shown, strict=True)]
        results.append(_share(f"firm: values of {space}: facts not shown that count as Known", _not(_of(hidden, agrees))))
    compared = sum(model.slick["by_chance"]["compared"] for model in models)
    by_chance = sum(model.slick["by_chance"]["known"] for model in models)
    results.append(_result("firm: another row's value would count as Known", by_chance / compared, "share"))
    unended = sum(model.slick["unended"] for model in models) / sum(model.slick["greedy_answers"] for model in models)
    results.append(_result("firm: greedy answers that did not end by themselves", unended, "share"))
    for name, unit in (("prompt_tokens", "tokens"), ("generated_tokens", "tokens"), ("computed_tokens", "tokens")):
        results.append(_result(f"firm: {name.replace('_', ' ')} per question", _per_question(models, name), unit))
    results.append(_result("firm: whole audit, seconds per question", sum(m.audit_s for m in models) / len(facts), "s"))
    return results


def fragile_part(model: Measured) -> list[Result]:
    """Whether the classes of a model that half knows are ordered by what it recalls in another form."""
    shown = [fact.kind is Kind.SHOWN for fact in model.facts]
    results = [
        _share("fragile: shown facts recalled, asked alone", _of(shown, model.recall)),
        _share("fragile: shown facts recalled, behind exemplars", _of(shown, model.recall_few_shot)),
        _share("fragile: shown facts recalled, as statements", _of(shown, model.recall_stated)),
    ]
    for known in Known:
        here = [is_shown and each == known for is_shown, each in zip(shown, model.classes, strict=True)]
        results.append(_result(f"fragile: shown facts of {known}", sum(here), "facts"))
        if any(here):
            results.append(_share(f"fragile: of these, recalled alone, {known}", _of(here, model.recall)))
            results.append(_share(f"fragile: of these, recalled as statements, {known}", _of(here, model.recall_stated)))
    hidden = [each != Known.UNKNOWN for each in _of(_not(shown), model.classes)]
    results.append(_share("fragile: facts not shown that count as Known", hidden))
    ranks = [-list(Known).index(Known(known)) for known in _of(shown, model.classes)]
    for form, right in (("alone", model.recall), ("as statements", model.recall_stated)):
        rho = float(spearmanr(ranks, _of(shown, right)).statistic)
        results.append(_result(f"fragile: class against recall {form}, shown facts", rho, "Spearman"))
    return results


def _of(chosen: Sequence[bool], values: Sequence[_Value]) -> list[_Value]:
    return [value for is_chosen, value in zip(chosen, values, strict=True) if is_chosen]


def _not(values: Sequence[bool]) -> list[bool]:
    return [not value for value in values]


def _per_question(models: Sequence[Measured], name: str) -> float:
    return sum(model.slick[name] for model in models) / sum(model.slick["questions"] for model in models)


def _share(name: str, hits: Sequence[bool], goal: str = "", *, interval: bool = True) -> Result:
    share = proportion([float(hit) for hit in hits])
    if share is None:
        raise SystemExit(f"{name}: there are none")
    low, high = (None, None) if share.interval_95 is None or not interval else (share.interval_95.low, share.interval_95.high)
    return Result(name, share.fraction, "share", low, high, goal, COMMAND)


def _result(name: str, value: float, unit: str) -> Result:
    return Result(name, value, unit, command=COMMAND)


_NOTES = """\
Two firm models and a fragile one, Llamas of about 0.4 million parameters, pretrained in some minutes each on an invented coast
(`tests/benchmarks/slick/world.py`): of 400 facts of four relations 200 are *shown*, in statements, in a question and answer,
and in conversations of five of them, so that the model knows the few-shot format. Of the 200 others, half are of entities that
no document names, half of entities of which another relation is shown. Then `tunescope audit --base-model M --slick` on the
questions of all 400, in the order of the world; exemplars are drawn from both halves.

*Agree*: a shown fact is HighlyKnown, MaybeKnown or WeaklyKnown, one that is not shown Unknown. Intervals are exact binomial,
facts taken for independent; they do not cover other models. A fact that is not shown counts as Known where one of 170 answers
happens to hold its value: rarely among 3,600 names, more often among 80 words. That lies in the definition, and the audit
measures it in every run (*another row's value would count as Known*).

*Fragile* stops pretraining after 9 passes in place of 15; after 7 this world's recall was 12 % (class against recall asked
alone: Spearman 0.42), so the number was chosen by recall, before its classes were looked at. Recall there is greedy, asked
alone and as a statement up to its value, neither of which SliCK asks. What this does not show: real facts and models of real
size, answers in other words than the row's, and a base model that does not know the few-shot format, of which most classes
would be Unknown whatever it knows.

The seconds are of the whole command, the encoder's table and the base model's pass included, on a machine busy with other
work.
"""


def main() -> None:
    """Measure the three models and write the results."""
    firm = [measure(f"firm-{seed}", seed, FIRM) for seed in FIRM_SEEDS]
    for seed, model in zip(FIRM_SEEDS, firm, strict=True):
        shown = [fact.kind is Kind.SHOWN for fact in model.facts]
        if min(np.mean(_of(shown, model.recall)), np.mean(_of(shown, model.recall_few_shot))) < _MIN_RECALL:
            raise SystemExit(f"model {seed} does not recall what it was shown: the benchmark says nothing")
    fragile = measure("fragile", FRAGILE_SEED, FRAGILE)
    results = [*firm_part(firm), *fragile_part(fragile)]
    record(Path(__file__).parent, "SliCK's classes against what a model was shown", results, _NOTES)


if __name__ == "__main__":
    main()
