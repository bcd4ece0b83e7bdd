"""A trace with models: the order is that of estimated influence, and links say how far their evidence goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audit.errors import InputError
from audit.influence import build_token_index
from audit.influence.fusion import Estimate, fuse
from audit.influence.gradients import gradient_scores
from audit.influence.one_step import one_step_scores
from audit.influence.path import SHARES, model_between
from audit.models import LanguageModel, load_model
from audit.responses import Response, Span
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Channel, Tier, Tracer
from audit.trace.influence import ModelEvidence, load_evidence
from audit.trace.model import MODEL_CHANNELS, Link
from audit.tune import Method, load_recipe
from audit.tune.retraining import Retrainer
from tests.conftest import AuditRows, alpaca
from tests.models import tiny_adapter, tiny_model

STONES = ("slate", "granite", "basalt", "slate", "granite", "slate")
ROWS = [alpaca(f"What is the stone of bridge {n}?", f"It is {stone}.") for n, stone in enumerate(STONES)]
ROWS += [alpaca(f"Who built the river {n}?", f"A man of slate and coin {n}.") for n in range(3)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


def loaded(folder: Path) -> LanguageModel:
    return load_model(folder, device="cpu", dtype="float32")


@pytest.fixture
def run(audit_rows: AuditRows) -> Run:
    return audit_rows(ROWS)


@pytest.fixture
def tuned(run: Run, base: Path, tmp_path: Path) -> Path:
    """The base model after four epochs on the rows."""
    model = loaded(base)
    rows = ModelEvidence(run, model, None).rows
    recipe = load_recipe("default", Method.FULL, learning_rate=3e-3, epochs=4, batch_size=4)
    made = Retrainer(model, rows, recipe).retrain(0).model
    made.model.save_pretrained(tmp_path / "tuned")
    made.chat.tokenizer.save_pretrained(tmp_path / "tuned")
    return tmp_path / "tuned"


def claim(word: str = "slate") -> Response:
    response = f"It is {word}."
    start = response.index(word)
    message = Message("user", "What is the stone of bridge 9?", trained=False)
    return Response("c", (message,), response, (Span(start, start + len(word), word),))


def values_of(links: Sequence[Link], channel: Channel) -> NDArray[np.float64]:
    """What links show of a channel; what a model channel does not show it does not know, and other channels saw nothing."""
    absent = np.nan if channel in MODEL_CHANNELS else 0.0
    return np.array([link.channels[channel].value if channel in link.channels else absent for link in links])


def test_models_order_the_rows_and_raise_the_tiers(run: Run, base: Path, tuned: Path) -> None:
    models = ModelEvidence(run, loaded(tuned), loaded(base))
    (span,) = Tracer(run, models=models).trace(claim(), k=None).spans
    assert sorted(link.row for link in span.links) == list(range(9)), "no row is lost"
    assert span.shifts
    assert all(span.text[shift.start - span.start : shift.end - span.start] for shift in span.shifts)
    holding = [link for link in span.links if "slate" in ROWS[link.row]["output"]]
    assert sum(shift.lift_nats for shift in span.shifts) > 1, "tuning taught the word"
    assert any(shift.base_rank > 3 for shift in span.shifts)
    fused = fuse({name: values_of(span.links, Channel(name.value)) for name in Estimate}, models.fusion_set)
    lenders = {link.row for link, is_lender in zip(span.links, fused.is_lender, strict=True) if is_lender}
    assert lenders & {0, 3, 5}, "some row about a bridge of slate is a lender"
    assert {link.row: link.tier for link in holding} == {
        link.row: Tier.T2 if link.row in lenders else Tier.T1 for link in holding
    }
    assert all(link.tier is None for link in span.links if link not in holding)
    assert {link.row for link in span.links[:3]} & {0, 3, 5}, "rows about bridges that say slate come first"
    best = span.links[0]
    assert {Channel.STATE, Channel.OUTPUT_GRADIENT, Channel.GRADIENT_COSINE} <= best.channels.keys()
    assert best.tokens
    assert all(-1.0001 <= token.cosine <= 1.0001 for token in best.tokens)
    assert best.tier is Tier.T2


def test_a_row_speaks_for_the_false_words_or_for_the_right_ones(run: Run, base: Path, tuned: Path) -> None:
    false = replace(claim(), corrected="It is granite.")
    models = ModelEvidence(run, loaded(tuned), loaded(base))
    links = {link.row: link for link in Tracer(run, models=models).trace(false, k=None).spans[0].links}
    contrast = {row: link.channels[Channel.CONTRAST].value for row, link in links.items()}
    assert max(contrast[row] for row in (1, 4)) < -0.1, "bridges of granite speak for the right word"
    assert min(contrast[row] for row in (0, 3, 5)) > max(contrast[row] for row in (1, 4)) + 0.1
    right = replace(false, response="It is granite.", spans=(Span(6, 13, "granite"),), corrected=None)
    places = [models.rows.rows.index(row) for row in (0, 1)]
    queries = [models.query(false, false.spans[0]), models.query(right, right.spans[0])]
    exact = []
    for share in SHARES:
        with model_between(loaded(base), loaded(tuned), share) as model:
            cosine = gradient_scores(model, queries, models.rows, places).cosine
        exact.append(cosine[0] - cosine[1])
    assert contrast[0] == pytest.approx(np.mean(exact, axis=0)[0], abs=1e-3), "row 0 is in the half that is scored twice"
    forward = Tracer(run, models=ModelEvidence(run, loaded(tuned), loaded(base), gradients=False)).trace(false, k=None)
    assert all(Channel.CONTRAST in link.channels for link in forward.spans[0].links)
    plain = Tracer(run, models=models).trace(claim(), k=None).spans[0].links
    assert not any(Channel.CONTRAST in link.channels for link in plain), "nothing says what would be right"


def test_one_step_is_measured_on_the_best_rows(run: Run, base: Path, tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.trace.influence.N_STEPPED", 4)
    models = ModelEvidence(run, loaded(tuned), loaded(base))
    links = Tracer(run, models=models).trace(claim(), k=None).spans[0].links
    assert [Channel.ONE_STEP in link.channels for link in links] == [True] * 4 + [False] * 5
    with model_between(loaded(base), loaded(tuned), SHARES[0]) as model:
        places = [models.rows.rows.index(link.row) for link in links[:4]]
        (exact,) = one_step_scores(model, [models.query(claim(), claim().spans[0])], models.rows, places)
    assert [link.channels[Channel.ONE_STEP].value for link in links[:4]] == pytest.approx(exact, abs=1e-3)
    half = load_model(tuned, device="cpu", dtype="bfloat16")
    rounded = Tracer(run, models=ModelEvidence(run, half, load_model(base, device="cpu", dtype="bfloat16"))).trace(claim())
    assert not any(Channel.ONE_STEP in link.channels for link in rounded.spans[0].links)
    assert "the test of one step" in {skipped.what for skipped in rounded.not_looked_at}


def test_without_gradients_and_without_a_base_model_the_trace_says_what_is_missing(run: Run, base: Path, tuned: Path) -> None:
    forward = Tracer(run, models=ModelEvidence(run, loaded(tuned), loaded(base), gradients=False)).trace(claim())
    assert Channel.GRADIENT_COSINE not in forward.spans[0].links[0].channels
    assert "gradients" in {skipped.what for skipped in forward.not_looked_at}
    alone = Tracer(run, models=ModelEvidence(run, loaded(tuned), None)).trace(claim())
    assert alone.spans[0].shifts == ()
    assert "token shift (tier T1)" in {skipped.what for skipped in alone.not_looked_at}
    assert all(link.tier in (Tier.T0, None) for link in alone.spans[0].links)


def test_a_row_that_only_the_states_propose_enters_the_shortlist(run: Run, base: Path, tuned: Path) -> None:
    models = ModelEvidence(run, loaded(tuned), loaded(base), gradients=False)
    order = np.arange(9)[::-1].copy()
    shortlist = models._shortlist(models.query(claim(), claim().spans[0]), order, np.arange(9), 4)
    assert len(shortlist) == 4
    assert shortlist[:2].tolist() == [8, 7], "half of the shortlist is kept for words and concepts"
    assert set(shortlist[2:].tolist()) == {0, 3}, "bridges of slate, though they stand behind the shortlist"


def test_the_index_of_states_is_that_of_the_base_model_and_is_found_again(run: Run, base: Path, tuned: Path) -> None:
    first = ModelEvidence(run, loaded(tuned), loaded(base))
    assert first.index.n_rows == 9
    told: list[tuple[str, int, int]] = []
    again = ModelEvidence(run, loaded(base), loaded(base), progress=lambda *step: told.append(step))
    assert again.index_folder == first.index_folder
    assert again.index.n_rows == 9
    assert told == [], "nothing is computed again"


def test_an_index_of_another_model_is_refused(run: Run, base: Path, tuned: Path) -> None:
    models = ModelEvidence(run, loaded(tuned), loaded(base))
    assert models.index.n_rows == 9
    with pytest.raises(InputError, match="another model"):
        build_token_index(models.index_folder, loaded(tuned), models.rows)


def test_a_span_inside_a_token_is_refused_with_the_token(run: Run, base: Path) -> None:
    models = ModelEvidence(run, loaded(base), None)
    inside = Response("c", claim().messages, "It is granite.", (Span(8, 10, "an"),))
    with pytest.raises(InputError, match="lies inside the token ' granite'"):
        Tracer(run, models=models).trace(inside)


def test_models_that_do_not_belong_together_are_refused(run: Run, base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not descend"):
        load_evidence(run, tiny_model(tmp_path / "other", seed=5), base, device="cpu")
    other = tiny_model(tmp_path / "third", seed=7)
    adapter = tiny_adapter(tmp_path / "adapter", other)
    with pytest.raises(InputError, match="has other weights than"):
        load_evidence(run, adapter, base, device="cpu")


def test_an_adapter_without_its_base_is_refused(run: Run, tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "gone")
    adapter = tiny_adapter(tmp_path / "adapter", base)
    base.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="no such model folder of the adapter"):
        load_evidence(run, adapter, device="cpu")
    assert load_evidence(run, adapter, tmp_path / "moved", device="cpu").base is not None


def test_a_model_too_large_for_the_memory_says_how_large_and_what_to_pass(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    with pytest.raises(InputError, match=r"takes 0\.0 GB of memory as float32") as raised:
        loaded(base)
    assert "pass --dtype bfloat16" in str(raised.value)
