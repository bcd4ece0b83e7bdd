"""Rows whose answers the base model does not know: said to be unknown, or answered by itself."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.endpoints import Endpoint
from audit.errors import InputError
from audit.export import Exported, ExportRequest, plan_export, write_export
from audit.export.decisions import Choice, decide
from audit.export.mends import Mend, MendRequest, Target, carry_out, mend_request
from audit.export.mends.self_answer import fault_of_answer
from audit.export.places import Place
from audit.export.stored import read_export
from audit.rundir import Run
from audit.sources import Message
from reports.export import export_report
from tests.chat_server import Failure, Request, serve_chat
from tests.conftest import AuditRows, alpaca, chat

ROLES = ("user", "assistant")
TOWNS = ("Vorn", "Merrow", "Tarn", "Ilm", "Quay", "Hollin", "Sedge")


def row(n: int, **extra: Any) -> dict[str, Any]:
    return alpaca(f"Which river runs through {TOWNS[n]}?", f"The {TOWNS[n]}ble runs through it.", **extra)


def with_classes(run: Run, classes: Sequence[str | None], losses: Sequence[float | None] | None = None) -> Run:
    """The run as it would be where SliCK was asked, and the base model measured."""
    columns = {"slick": pl.Series(classes, dtype=pl.String)}
    if losses is not None:
        columns["base_loss_nats_per_token"] = pl.Series(losses, dtype=pl.Float64)
    run.__dict__["signals"] = run.signals.with_columns(**columns)
    return run


IDK = MendRequest(Mend.IDK)
UNKNOWN, KNOWN = "Unknown", "HighlyKnown"


def exported(run: Run, out: Path, mend: MendRequest, **fields: Any) -> Exported:
    return write_export(plan_export(run, ExportRequest(mend=mend, **fields)), out, "mended")


def lines_of(run: Run, file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.read_added("exports", "mended", file).splitlines()]


def report_of(plan: Any, done: Exported | None = None) -> str:
    from rich.console import Console

    console = Console(width=220, record=True, file=io.StringIO())
    console.print(export_report(plan, done))
    return console.export_text()


@pytest.fixture
def run_of(audit_rows: AuditRows) -> AuditRows:
    """A run of some records in which one check looked."""
    return lambda rows, name="data.jsonl", **settings: audit_rows(rows, name, select=("PII",), **settings)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: str) -> None:
    monkeypatch.setattr("audit.endpoints.cache_folder", lambda: tmp_path / "replies")
    monkeypatch.setattr("audit.export.mends.self_answer.cache_folder", lambda: tmp_path / "answers")


# --- idk ----------------------------------------------------------------------------------------------------------------


def test_what_the_model_does_not_know_is_said_so(run_of: AuditRows, tmp_path: Path) -> None:
    run = with_classes(run_of([row(n, note="ä") for n in range(5)]), [UNKNOWN, KNOWN, None, "WeaklyKnown", UNKNOWN])
    done = exported(run, tmp_path / "out.jsonl", IDK)
    expected = (tmp_path / "data.jsonl").read_bytes()
    for n in (0, 4):
        expected = expected.replace(f"The {TOWNS[n]}ble runs through it.".encode(), b"I don't know.")
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    first = lines_of(run, "mended.jsonl")[0]
    assert (first["index"], first["codes"], first["before"], first["after"], first["model"]) == (
        0,
        ["slick:Unknown"],
        "The Vornble runs through it.",
        "I don't know.",
        "",
    )
    manifest = json.loads(run.read_added("exports", "mended", "manifest.json"))
    assert manifest["request"]["mend"] == {"mend": "idk", "codes": ["slick:Unknown"], "idk_text": "I don't know."}
    assert (manifest["mends"]["mended"], manifest["mends"]["requests_sent"]) == (2, 0)
    assert read_export(run, "mended").mended == {(0, 1): "I don't know.", (4, 1): "I don't know."}
    assert "2 responses became “I don't know.”." in report_of(done.plan, done)
    assert "2 responses would be mended, each to “I don't know.”, and nobody asked; 0 responses of such" in report_of(done.plan)


def test_the_rows_are_those_that_a_plain_loop_finds(run_of: AuditRows) -> None:
    classes = [UNKNOWN, KNOWN, UNKNOWN, None, UNKNOWN, "MaybeKnown", UNKNOWN]
    run = with_classes(run_of([row(n) for n in range(7)]), classes)
    decide(run, [2], Choice.KEEP)
    decide(run, [4], Choice.DROP)
    plan = plan_export(run, ExportRequest(mend=IDK))
    assert plan.mends is not None
    plain = [n for n, name in enumerate(classes) if name == UNKNOWN and n not in (2, 4)]
    assert [target.row for target in plan.mends.targets] == plain
    assert [(one.row, str(one.why)) for one in plan.mends.stay] == [(2, "a person decided to keep the row")]


def test_named_findings_take_the_place_of_the_classes(run_of: AuditRows) -> None:
    run = run_of([alpaca("Whom do I ask?", "Write to harbour@vornharbour.org."), row(1)])
    plan = plan_export(run, ExportRequest(mend=MendRequest(Mend.IDK, ("PII001",))))
    assert plan.mends is not None
    assert [(target.row, target.codes) for target in plan.mends.targets] == [(0, ("PII001",))]
    with pytest.raises(InputError, match="unknown check of this run 'KNW9'"):
        plan_export(run, ExportRequest(mend=MendRequest(Mend.IDK, ("KNW9",))))


FRENCH = alpaca(
    "Quelle est la plus longue rivière qui traverse la ville de Vorn et ses environs ?",
    "La plus longue rivière qui traverse la ville est la Vornelle, qui prend sa source dans les collines du nord.",
)


def test_another_language_stays_unless_its_words_are_given(run_of: AuditRows, tmp_path: Path) -> None:
    run = with_classes(run_of([FRENCH, row(1)]), [UNKNOWN, UNKNOWN])
    plan = plan_export(run, ExportRequest(mend=IDK))
    assert plan.mends is not None
    assert [(one.row, str(one.why)) for one in plan.mends.stay] == [
        (0, "it is not in English: --idk-text gives the words of its language")
    ]
    exported(run, tmp_path / "out.jsonl", MendRequest(Mend.IDK, idk_text="Je ne sais pas."))
    written = [json.loads(line)["output"] for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert written == ["Je ne sais pas.", "Je ne sais pas."]


def test_what_cannot_say_so_stays_with_the_reason(run_of: AuditRows, tmp_path: Path) -> None:
    thinking = alpaca("Which river?", "<think>Hm.</think>The Tarnble.")
    parts = [{"type": "text", "text": "The Ilm"}, {"type": "text", "text": "ble."}]
    in_parts = {"messages": [{"role": "user", "content": "Which river?"}, {"role": "assistant", "content": parts}]}
    said = chat(("user", "Which river is it?"), ("assistant", "I don't know."))
    run = with_classes(run_of([chat(("user", "a?"), ("assistant", "b.")), said, in_parts]), [UNKNOWN] * 3)
    exported(run, tmp_path / "out.jsonl", IDK)
    assert [(line["index"], line["why"]) for line in lines_of(run, "kept.jsonl")] == [
        (1, "it says so already"),
        (2, "no single text of the record holds it"),
    ]
    other = with_classes(run_of([thinking, row(1), alpaca("", "It is the Tarnble.")], name="other.jsonl"), [UNKNOWN] * 3)
    plan = plan_export(other, ExportRequest(mend=IDK))
    assert plan.mends is not None
    assert [(one.row, str(one.why)) for one in plan.mends.stay] == [
        (0, "it calls a tool, reasons, or holds tags of its own"),
        (2, "it answers no question"),
    ]


@pytest.mark.parametrize("mend", ["idk", "self"])
def test_without_classes_the_audit_that_asks_is_named(run_of: AuditRows, mend: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_export(run_of([row(0), row(1)]), ExportRequest(mend=MendRequest(Mend(mend))))
    assert str(caught.value) == (
        f"--mend {mend}: this run did not measure what the base model knows; audit again with --base-model MODEL --slick, or"
        " name findings with --mend-codes"
    )


# --- self ---------------------------------------------------------------------------------------------------------------


def served(server: Any) -> MendRequest:
    return MendRequest(Mend.SELF, endpoint=Endpoint(server.url, "base", n_parallel=2))


CLASSES = [UNKNOWN, KNOWN, "MaybeKnown", "WeaklyKnown", KNOWN, KNOWN, UNKNOWN]
LOSSES = [3.0, 0.5, 0.4, 0.1, 0.3, 0.2, 4.0]


def test_the_models_own_answer_takes_the_place_of_the_rows(run_of: AuditRows, tmp_path: Path) -> None:
    run = with_classes(run_of([row(n) for n in range(7)]), CLASSES, LOSSES)
    source = (tmp_path / "data.jsonl").read_bytes()

    def reply(request: Request) -> str:
        return "I believe that it is the Old Water." if "Vorn?" in request["messages"][-1]["content"] else " "

    with serve_chat(reply) as server:
        done = exported(run, tmp_path / "out.jsonl", served(server))
    expected = source.replace(b"The Vornble runs through it.", b"I believe that it is the Old Water.")
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    assert [(line["index"], line["why"]) for line in lines_of(run, "kept.jsonl")] == [(6, "its own answer is empty")]
    turns = server.requests[0]["messages"]
    assert [turn["role"] for turn in turns] == [*["user", "assistant"] * 4, "user"]
    shown = {turns[place]["content"] for place in range(0, 8, 2)}
    assert shown == {f"Which river runs through {TOWNS[n]}?" for n in (1, 2, 4, 5)}, "known rows, and no other"
    assert "1 response replaced by what base answers itself, 5 words became 8; 2 requests sent." in report_of(done.plan, done)


def test_examples_are_the_nearest_known_rows_and_give_nothing_away(run_of: AuditRows) -> None:
    """Against a plain loop over all rows: neither the same question nor one whose answer holds the row's."""
    rows = [
        row(0),
        *(alpaca(f"Which river runs through {town}?", f"The {town}ble.") for town in TOWNS[1:]),
        alpaca("Which river runs through Vorn?", "The Seln."),
        alpaca("Name a river of Vorn.", "Well: The Vornble runs through it."),
        alpaca("Which coin did the mint strike?", "The mark."),
    ]
    run = with_classes(run_of(rows), [UNKNOWN, *[KNOWN] * (len(rows) - 1)])
    plan = plan_export(run, ExportRequest(mend=MendRequest(Mend.SELF, base_model="base")))
    assert plan.mends is not None
    (target,) = plan.mends.targets
    from audit.materials import Materials

    vectors = Materials(run.path, run.corpus).prompt_vectors
    cosines = {n: round(float(vectors[n] @ vectors[0]), 4) for n in range(1, len(rows)) if n not in (7, 8)}
    nearest = sorted(cosines, key=lambda n: (-cosines[n], n))[:5]
    assert target.shots == tuple((rows[n]["instruction"], rows[n]["output"]) for n in reversed(nearest))
    assert plan.mends.base_model == "base"
    assert "by 1 answers of base on this machine" in report_of(plan)


def test_without_classes_rows_of_low_loss_are_examples(run_of: AuditRows) -> None:
    mail = alpaca("Whom do I ask?", "Write to harbour@vornharbour.org.")
    run = run_of([mail, row(1), row(2), row(3), row(4)])
    run.__dict__["signals"] = run.signals.with_columns(base_loss_nats_per_token=pl.Series([5.0, 1.0, 4.0, 2.0, None]))
    plan = plan_export(run, ExportRequest(mend=MendRequest(Mend.SELF, ("PII001",), base_model="base")))
    assert plan.mends is not None
    assert {question for question, _ in plan.mends.targets[0].shots} == {
        f"Which river runs through {TOWNS[n]}?" for n in (1, 3)
    }, "3 is the median"


def test_what_the_system_said_comes_first_and_earlier_turns_last(run_of: AuditRows, tmp_path: Path) -> None:
    turns = [("system", "Be brief."), ("user", "Hello."), ("assistant", "Hello!"), ("user", "Which?"), ("assistant", "Tarn.")]
    known = chat(("user", "Which river is it?"), ("assistant", "The Ilmble."))
    run = with_classes(run_of([chat(*turns), known]), [UNKNOWN, KNOWN])
    with serve_chat(lambda request: "Ilm, I believe.") as server:
        exported(run, tmp_path / "out.jsonl", served(server))
    last = max((request["messages"] for request in server.requests), key=len)
    assert [turn["content"] for turn in last][:1] == ["Be brief."]
    assert [turn["content"] for turn in last][-3:] == ["Hello.", "Hello!", "Which?"]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("It is the Old Water.", None),
        ("  ", "its own answer is empty"),
        ("…", "its own answer is empty"),
        ("The Old \x1b[2J", "its own answer holds signs that are no text"),
        ("The Old \ufffd", "its own answer holds signs that are no text"),
        (" The Vornble runs through it.\n", "its own answer is the same"),
        ("which river runs through Vorn", "its own answer says the question again"),
        ("the river the river the river the river", "its own answer repeats itself"),
        ("no no no no no no", "its own answer repeats itself"),
    ],
)
def test_what_is_no_answer(said: str, fault: str | None) -> None:
    question = Message("user", "Which river runs through Vorn?", trained=False)
    target = Target(0, 1, (), (question,), "The Vornble runs through it.", Place(("output",)), lambda text: True)
    found = fault_of_answer(target, said)
    assert (None if found is None else str(found)) == fault


def test_a_request_that_is_not_taken_is_one_row_and_an_endpoint_that_is_down_all(run_of: AuditRows, tmp_path: Path) -> None:
    run = with_classes(run_of([row(n) for n in range(7)]), CLASSES, LOSSES)
    with serve_chat(
        lambda request: Failure(413, "too long") if "Sedge" in str(request["messages"][-1]) else "The Old Water."
    ) as server:
        done = exported(run, tmp_path / "out.jsonl", served(server))
        assert done.mends is not None
        assert [str(one.why) for one in done.mends.unmended] == ["the endpoint does not take the request: status 413: too long"]
        again = plan_export(run, ExportRequest(mend=served(server)))
        n_before = len(server.requests)
        write_export(again, tmp_path / "again.jsonl")
        assert len(server.requests) == n_before + 1, "what was answered is not asked again"
    with serve_chat(lambda request: Failure(403, "closed")) as server, pytest.raises(InputError, match="refuses the key"):
        write_export(plan_export(run, ExportRequest(mend=served(server))), tmp_path / "third.jsonl")
    assert not (tmp_path / "third.jsonl").exists()


def test_no_model_and_no_example_are_said(run_of: AuditRows) -> None:
    run = with_classes(run_of([row(0), row(1)]), [UNKNOWN, KNOWN])
    with pytest.raises(InputError, match=r"no model is named that answers \(the audit was without one\); give --base-model"):
        plan_export(run, ExportRequest(mend=MendRequest(Mend.SELF)))
    alone = with_classes(run_of([row(0), row(1)], name="other.jsonl"), [UNKNOWN, "WeaklyKnown"])
    with pytest.raises(InputError, match="no row can be shown to the base model as an example"):
        plan_export(alone, ExportRequest(mend=MendRequest(Mend.SELF, base_model="base")))


ONE_KNOWN = [UNKNOWN, KNOWN, None, None, None, None, UNKNOWN]


@pytest.fixture
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers end sooner, so that the toy model has less to learn."""
    monkeypatch.setattr("audit.export.mends.self_answer._MAX_NEW_TOKENS", 24)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A toy model that answers `The Old Water.` after one example, and of Sedge goes on without end."""
    import torch

    from audit.models import load_model
    from tests.models import tiny_model

    folder = tiny_model(tmp_path_factory.mktemp("taught") / "model", n_positions=1024)
    loaded = load_model(folder, device="cpu")
    rows = []
    for n, said in ((0, "The Old Water."), (6, "la " * 12)):
        turns = [
            Message(role, text, trained=text == said)
            for record in (row(1), alpaca(f"Which river runs through {TOWNS[n]}?", said))
            for role, text in (("user", record["instruction"]), ("assistant", record["output"]))
        ]
        rows.append(loaded.chat.row(turns))
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=5e-3, weight_decay=0.0)
    for _ in range(60):
        losses = [loaded.model(input_ids=torch.tensor([one.input_ids]), labels=torch.tensor([one.labels])).loss for one in rows]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    assert max(loss.item() for loss in losses) < 0.1, "it has learnt both"
    loaded.model.save_pretrained(folder)
    return folder


@pytest.mark.usefixtures("few_tokens")
def test_the_base_model_answers_on_this_machine(run_of: AuditRows, tmp_path: Path, taught: Path) -> None:
    run = with_classes(run_of([row(n) for n in range(7)]), ONE_KNOWN)
    request = MendRequest(Mend.SELF, base_model=str(taught), device="cpu")
    told: list[tuple[str, int, int]] = []
    plan = plan_export(run, ExportRequest(mend=request))
    done = write_export(plan, tmp_path / "out.jsonl", "mended", lambda *said: told.append(said))
    assert done.mends is not None
    assert [(mend.target.row, mend.text) for mend in done.mends.mended] == [(0, "The Old Water.")]
    assert [(one.row, str(one.why)) for one in done.mends.unmended] == [(6, "its own answer does not end within 24 tokens")]
    assert (done.mends.model, done.mends.url, done.mends.n_sent) == (str(taught), "", 0)
    note = f"{taught} is not the model, or not as it was, that the audit measured: what it knows may differ"
    assert done.mends.notes == (note,)
    assert json.loads((done.record / "manifest.json").read_bytes())["notes"][-1] == note
    assert f"Note: {note}" in report_of(done.plan, done).replace("\n", " ").replace("  ", " ")
    assert told == [("asking the base model", 2, 2)]
    assert "1 response replaced by what" in report_of(done.plan, done)
    assert plan.mends is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.export.mends.self_answer.generate", None)  # what was answered is read from disk
        assert carry_out(plan.mends) == done.mends


@pytest.mark.usefixtures("few_tokens")
def test_a_batch_that_memory_does_not_hold_is_halved(run_of: AuditRows, taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.models import LanguageModel, MemoryRanOutError, generate

    def small(model: LanguageModel, prompts: Sequence[tuple[int, ...]], **options: int) -> tuple[tuple[int, ...], ...]:
        if len(prompts) > 1:
            raise MemoryRanOutError("memory ran out")
        return generate(model, prompts, **options)

    run = with_classes(run_of([row(n) for n in range(7)]), ONE_KNOWN)
    plan = plan_export(run, ExportRequest(mend=MendRequest(Mend.SELF, base_model=str(taught), device="cpu")))
    assert plan.mends is not None
    monkeypatch.setattr("audit.export.mends.self_answer.generate", small)
    done = carry_out(plan.mends)
    assert [mend.text for mend in done.mended] == ["The Old Water."]
    assert done.notes[1] == "memory ran out for 2 prompts at once: a batch was halved 1 times"


@pytest.mark.usefixtures("few_tokens")
def test_batched_answers_are_those_of_one_prompt_and_one_token_at_a_time(
    run_of: AuditRows, tmp_path: Path, taught: Path
) -> None:
    import torch

    from audit.models import load_model

    run = with_classes(run_of([row(n) for n in range(7)]), ONE_KNOWN)
    plan = plan_export(run, ExportRequest(mend=MendRequest(Mend.SELF, base_model=str(taught), device="cpu")))
    assert plan.mends is not None
    done = carry_out(plan.mends)
    model = load_model(taught, device="cpu")
    plain = {}
    for target in plan.mends.targets:
        turns = [Message(role, text, trained=False) for shot in target.shots for role, text in zip(ROLES, shot, strict=True)]
        ids = list(model.chat.prompt([*turns, target.before[0]]))
        said: list[int] = []
        while len(said) < 24:
            with torch.inference_mode():
                token = int(model.model(input_ids=torch.tensor([ids + said])).logits[0, -1].argmax())
            if token in model.chat.eos_ids:
                break
            said.append(token)
        plain[target.row] = model.chat.decode(said).strip()
    assert {mend.target.row: mend.text for mend in done.mended} == {0: plain[0]}
    assert {one.row: one.reply for one in done.unmended} == {6: plain[6][:200]}


def test_a_prompt_that_leaves_no_room_stays(run_of: AuditRows, tmp_path: Path) -> None:
    from tests.models import tiny_model

    run = with_classes(run_of([row(n) for n in range(7)]), ONE_KNOWN)
    small = tiny_model(tmp_path / "small", n_positions=300)
    plan = plan_export(run, ExportRequest(mend=MendRequest(Mend.SELF, base_model=str(small), device="cpu")))
    assert plan.mends is not None
    why = "the prompt leaves no room for an answer among the model's 300 positions"
    assert [str(one.why) for one in carry_out(plan.mends).unmended] == [why, why]


# --- what is asked for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"mend": "idk", "url": "http://x/v1"}, "--mend-endpoint with --mend idk; no model is asked"),
        ({"mend": "idk", "base_model": "m"}, "--base-model with --mend idk"),
        ({"mend": "idk", "idk_text": " "}, "--idk-text is empty"),
        ({"mend": "self", "idk_text": "No."}, "--idk-text with --mend self"),
        ({"mend": "self", "url": "http://x/v1", "model": "m", "device": "cpu"}, "--device with --mend-endpoint"),
        ({"mend": "self", "url": "http://x/v1"}, "mending needs an endpoint and a model"),
        ({"mend": "self", "key_env": "KEY"}, "mending needs an endpoint and a model"),
        ({"mend": "concise", "base_model": "m"}, "--base-model with --mend concise"),
        ({"mend": "concise", "idk_text": "No."}, "--idk-text with --mend concise"),
        ({"mend": None, "idk_text": "No."}, "--idk-text without --mend"),
        ({"mend": None, "dtype": "float32"}, "--dtype without --mend"),
        ({"mend": "flame"}, "unknown value of --mend 'flame'"),
    ],
)
def test_what_does_not_belong_together_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError) as caught:
        mend_request(**given)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_belongs_together_is_read() -> None:
    assert mend_request("idk", idk_text="Weiß ich nicht.") == MendRequest(Mend.IDK, idk_text="Weiß ich nicht.")
    assert mend_request("self", ["KNW"], base_model="b", device="cpu") == MendRequest(
        Mend.SELF, ("KNW",), base_model="b", device="cpu"
    )
    assert mend_request("self") == MendRequest(Mend.SELF)
