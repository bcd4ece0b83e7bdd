"""The pass of the base model over all responses: what is kept, what is left out, and how it goes on after a kill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from audit.corpus import Corpus
from audit.errors import InputError
from audit.materials import BASE_FILES
from audit.models import load_model
from audit.rendering import load_tokenizer
from audit.signals import base_model, base_signals, build_base_model, given_tokens, open_base_model
from audit.signals.base_model import RESPONSE_SCHEMA, TOKEN_SCHEMA
from tests.conftest import AuditRows, ReadRows, chat
from tests.models import tiny_adapter, tiny_model, write_tokenizer


def asked(question: str, reply: str) -> dict[str, Any]:
    return chat(("user", question), ("assistant", reply))


ROWS = [
    asked("What is the stone of the bridge?", "It is built of granite and slate."),
    chat(
        ("system", "Be brief."), ("user", "Who?"), ("assistant", "Mara."), ("user", "Who else?"), ("assistant", "Jón – 日本.")
    ),
    asked("Name a stone.", ""),
    asked("What is the stone of the bridge?", "It is built of granite and slate."),
]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "model"))


def build(out: Path, corpus: Corpus, model: Path, cache: Path) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:
    """Facts, tokens and responses of a pass."""
    facts = dict(build_base_model(out, corpus, open_base_model(str(model)), cache=cache))
    return facts, pl.read_parquet(out / BASE_FILES[0]), pl.read_parquet(out / BASE_FILES[1])


def bytes_of(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in BASE_FILES]


def test_every_token_of_every_response_is_measured(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    corpus = read_rows(ROWS)
    facts, tokens, responses = build(tmp_path, corpus, folder, tmp_path / "cache")
    assert (tokens.schema, responses.schema) == (TOKEN_SCHEMA, RESPONSE_SCHEMA)
    assert responses["response"].to_list() == list(range(5))
    assert responses["skipped"].to_list() == ["", "", "", "no token to measure", ""]
    numbers = tokens["response"].to_numpy()
    assert responses["n_tokens"].to_list() == np.bincount(numbers, minlength=5).tolist()
    for number, text in enumerate(corpus.responses["text"]):
        of_text = tokens.filter(pl.col("response") == number)
        covered = {place for start, end in of_text.select("start", "end").iter_rows() for place in range(start, end)}
        assert covered == set(range(len(text)))
        assert of_text["start"].is_sorted()
    twin = tokens.filter(pl.col("response") == 0).drop("response")
    assert twin.equals(tokens.filter(pl.col("response") == 4).drop("response"))
    assert ((tokens["rank"] == 1) == (tokens["token"] == tokens["best"])).all()
    assert (tokens["log_p"] <= tokens["best_log_p"]).all()
    loss = tokens.group_by("response", maintain_order=True).agg(-pl.col("log_p").mean())["log_p"].to_numpy()
    assert np.allclose(responses["loss_nats_per_token"].drop_nulls().to_numpy(), loss, atol=1e-6)
    assert facts["responses"] == 4
    assert facts["not_measured"] == {"no token to measure": 1}
    assert (facts["tokens"], facts["cut_responses"], facts["plain_format"]) == (tokens.height, 0, False)
    described = json.loads((tmp_path / BASE_FILES[2]).read_bytes())
    assert described["model"]["weights_digest"]
    assert {int(number) for number in described["pieces"]} == set(tokens["best"])


def test_rows_have_the_means_of_their_tokens(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    corpus = read_rows(ROWS)
    _, tokens, responses = build(tmp_path, corpus, folder, tmp_path / "cache")
    signals = base_signals(corpus, responses)
    assert signals["row"].to_list() == [0, 1, 3]
    of_row = tokens.filter(pl.col("response").is_in([1, 2]))
    assert signals["base_loss_nats_per_token"][1] == pytest.approx(-of_row["log_p"].cast(pl.Float64).mean())
    assert signals["base_shifted_fraction"][1] == pytest.approx((of_row["rank"] > 3).mean())


def test_what_was_measured_once_is_not_measured_again(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = read_rows(ROWS)
    build(tmp_path / "first", corpus, folder, tmp_path / "cache")
    texts_measured: list[str] = []
    measure = base_model.measure_texts

    def listening(model: Any, texts: Any, room: Any) -> Any:
        texts_measured.extend(text.text for text in texts)
        return measure(model, texts, room)

    monkeypatch.setattr(base_model, "measure_texts", listening)
    build(tmp_path / "again", corpus, folder, tmp_path / "cache")
    assert texts_measured == []
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "first")
    build(tmp_path / "edited", read_rows([*ROWS, asked("Name a stone.", "Slate.")]), folder, tmp_path / "cache")
    assert texts_measured == ["Slate."]
    (tokens,) = [path for path in (tmp_path / "cache").rglob("*.tokens.npy") if path.stat().st_size > 1000]
    tokens.write_bytes(tokens.read_bytes()[:-1])
    build(tmp_path / "damaged", corpus, folder, tmp_path / "cache")
    assert len(texts_measured) == 1 + 4
    assert bytes_of(tmp_path / "damaged") == bytes_of(tmp_path / "first")


def test_another_format_or_other_weights_are_measured_anew(
    read_rows: ReadRows, folder: Path, copied: Path, tmp_path: Path
) -> None:
    corpus = read_rows(ROWS[:1])
    _, tokens, _ = build(tmp_path / "a", corpus, folder, tmp_path / "cache")
    template = (copied / "chat_template.jinja").read_text("utf-8")
    (copied / "chat_template.jinja").write_text(template.replace("'\\n' +", "': ' +"), "utf-8")
    _, reformatted, _ = build(tmp_path / "b", corpus, copied, tmp_path / "cache")
    assert not reformatted.equals(tokens)
    _, other, _ = build(tmp_path / "c", corpus, tiny_model(tmp_path / "other", seed=1), tmp_path / "cache")
    assert not other.equals(tokens)
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_pass_that_was_killed_goes_on_with_the_next_shard(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    corpus = read_rows([asked(f"Question {number}?", "the stone of " * number) for number in range(1, 12)])
    monkeypatch.setattr(base_model, "_TEXTS_PER_SHARD", 4)
    build(tmp_path / "whole", corpus, folder, tmp_path / "whole-cache")
    measure = base_model.measure_texts
    sizes: list[int] = []

    def dying(model: Any, texts: Any, room: Any) -> Any:
        sizes.append(len(texts))
        if len(sizes) == 2:
            raise Killed
        return measure(model, texts, room)

    monkeypatch.setattr(base_model, "measure_texts", dying)
    with pytest.raises(Killed):
        build(tmp_path / "killed", corpus, folder, tmp_path / "cache")
    build(tmp_path / "killed", corpus, folder, tmp_path / "cache")
    assert sizes == [4, 4, 4, 3]
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_what_does_not_fit_is_cut_or_left_out_and_counted(read_rows: ReadRows, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "short", n_positions=64)
    rows = [
        asked("Who?", "granite " * 150),
        asked("Who? " * 40, "Mara."),
        chat(("user", "a"), ("assistant", "b")),
    ]
    facts, tokens, responses = build(tmp_path, read_rows(rows), model, tmp_path / "cache")
    prompt_tokens = 64 - responses["n_tokens"][0]
    assert 10 < prompt_tokens < 40
    assert responses["n_cut"][0] > 50
    assert responses["skipped"][1] == "the prompt is longer than the model's 64 positions"
    assert (facts["responses"], facts["cut_responses"]) == (2, 1)
    assert tokens["end"].max() < len("granite " * 150)


def test_a_response_alone_stands_after_the_token_that_begins_a_text(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [asked("Who?", "Mara built it."), asked("Name the builder of the bridge.", "Mara built it.")]
    passed: list[list[int]] = []
    rank = base_model.rank_given

    def listening(model: Any, sequences: Any, **options: Any) -> Any:
        passed.extend(sequence.ids.tolist() for sequence in sequences)
        return rank(model, sequences, **options)

    monkeypatch.setattr(base_model, "rank_given", listening)
    facts, tokens, responses = build(tmp_path, read_rows(rows), folder, tmp_path / "cache")
    ids = tokens.filter(pl.col("response") == 0)["token"].to_list()
    assert passed.count([0, *ids]) == 2
    assert facts["alone_start"] == "<|bos|>"
    alone = responses["alone_loss_nats_per_token"]
    assert alone[0] == pytest.approx(alone[1], abs=1e-6)
    assert responses["ifd"].to_list() == (responses["loss_nats_per_token"] / alone).to_list()
    assert len(set(responses["ifd"])) == 2
    described = json.loads((tmp_path / BASE_FILES[2]).read_bytes())
    assert described["alone_start"] == {"id": 0, "text": "<|bos|>"}
    assert facts["template_digest"] == described["model"]["template_digest"]


def test_what_a_pass_costs_is_counted_and_what_the_cache_held_is_not(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    corpus = read_rows(ROWS)
    facts, tokens, _ = build(tmp_path / "a", corpus, folder, tmp_path / "cache")
    base = open_base_model(str(folder))
    rendered = [base.chat.response(row.messages[:turn], row.messages[turn].content) for row, turn in _answers(corpus)]
    lengths = [(len(each.prompt_ids), len(each.response_ids)) for each in rendered if each.response_ids]
    assert facts["prompt_tokens"] == sum(prompt for prompt, _ in lengths)
    of_pass = facts["pass"]
    distinct = lengths[:-1]  # the last row is the first again
    assert (of_pass["texts"], of_pass["workers"], of_pass["device"]) == (4, 1, "cpu")
    assert of_pass["prompt_tokens"] == sum(prompt for prompt, _ in distinct)
    assert of_pass["response_tokens"] == sum(n for _, n in distinct)
    assert of_pass["tokens_read"] == sum(prompt + n + 1 + n for prompt, n in distinct)
    weights = 2 * (4 * 32 * 32 + 3 * 32 * 64)
    pairs = sum(length * (length + 1) // 2 for prompt, n in distinct for length in (prompt + n, 1 + n))
    asked_for = 2 * of_pass["response_tokens"]
    assert of_pass["flop"] == 2 * weights * of_pass["tokens_read"] + 2 * 384 * 32 * asked_for + 4 * 2 * 32 * pairs
    assert of_pass["seconds"] > 0
    assert facts["tokens"] == tokens.height
    again, _, _ = build(tmp_path / "b", corpus, folder, tmp_path / "cache")
    assert {name: again["pass"][name] for name in ("texts", "tokens_read", "flop")} == {"texts": 0, "tokens_read": 0, "flop": 0}
    assert {**again, "pass": {}} == {**facts, "pass": {}}


def _answers(corpus: Corpus) -> list[tuple[Any, int]]:
    return [(corpus.row(row), turn) for row, turn in corpus.responses.select("row", "turn").iter_rows()]


def test_a_text_that_memory_has_no_room_for_is_left_out_and_measured_another_time(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = read_rows([asked("Who?", "Mara."), asked("Who?", "granite " * 80), asked("Who?", "Mara and Jorunn.")])
    _, _, expected = build(tmp_path / "whole", corpus, folder, tmp_path / "whole-cache")
    states = given_tokens._states

    def narrow(parts: Any, ids: Any) -> Any:
        if ids.numel() > 70:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return states(parts, ids)

    with monkeypatch.context() as patch:
        patch.setattr(given_tokens, "_states", narrow)
        facts, tokens, responses = build(tmp_path / "narrow", corpus, folder, tmp_path / "cache")
    reason = "memory ran out, though it was passed alone"
    assert responses["skipped"].to_list() == ["", reason, ""]
    assert responses["ifd"].is_null().to_list() == [False, True, False]
    assert facts["not_measured"] == {reason: 1}
    assert facts["halved_batches"] >= 1
    assert set(tokens["response"]) == {0, 2}
    facts, _, responses = build(tmp_path / "again", corpus, folder, tmp_path / "cache")
    assert (facts["pass"]["texts"], facts["halved_batches"]) == (1, 0)
    assert responses["ifd"].to_list() == pytest.approx(expected["ifd"].to_list(), abs=1e-4)


def test_memory_for_no_text_at_all_ends_the_pass_with_a_line(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(given_tokens, "_states", full)
    with pytest.raises(InputError, match="memory ran out") as refused:
        build(tmp_path, read_rows(ROWS), folder, tmp_path / "cache")
    assert "--batch-size" not in refused.value.sentence()
    assert "--dtype" in refused.value.sentence()


def test_processes_are_for_small_models_and_much_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(folder)
    much = 10**10
    assert base_model._n_workers(model, 100, 50) == 1
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert base_model._n_workers(model, much, 50) == 3
    assert base_model._n_workers(model, much, 2) == 2
    monkeypatch.setattr(base_model, "_SMALL_MODEL_BYTES", 1000)
    assert base_model._n_workers(model, much, 50) == 1


def test_a_template_that_refuses_a_row_leaves_that_row_out(read_rows: ReadRows, copied: Path, tmp_path: Path) -> None:
    template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    template += "{{ '<|im_start|>' + m.role + m.content + '<|im_end|>' }}{% endfor %}"
    template += "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
    (copied / "chat_template.jinja").write_text(template, "utf-8")
    _, _, responses = build(tmp_path, read_rows(ROWS), copied, tmp_path / "cache")
    assert responses["skipped"].to_list() == ["", *["the chat template cannot render the row"] * 2, "no token to measure", ""]


def test_a_base_model_without_a_template_gets_headings(read_rows: ReadRows, tmp_path: Path) -> None:
    base = open_base_model(str(tiny_model(tmp_path / "plain", template=None)))
    assert base.is_plain
    messages = read_rows(ROWS).row(1).messages
    text = base.chat.tokenizer.decode(base.chat.prompt(messages[:4]))
    assert text == (
        "<|bos|>Be brief.\n\n### Instruction:\nWho?\n\n### Response:\nMara.<|im_end|>"
        "### Instruction:\nWho else?\n\n### Response:\n"
    )
    facts = build_base_model(tmp_path, read_rows(ROWS), base, cache=tmp_path / "cache")
    assert (facts["plain_format"], facts["responses"]) == (True, 4)


def test_prompts_stand_in_the_chat_template_that_is_named(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    own, named = open_base_model(str(folder)), open_base_model(str(folder), chat_template="alpaca")
    assert (own.template, named.template, named.is_plain) == (None, "alpaca", False)
    assert own.digest != named.digest
    text = named.chat.tokenizer.decode(named.chat.prompt(read_rows(ROWS).row(0).messages[:1]))
    assert text.startswith("### Instruction:\n")
    assert text.endswith("### Response:\n")
    facts = build_base_model(tmp_path, read_rows(ROWS), named, cache=tmp_path / "cache")
    assert (facts["template"], facts["plain_format"], facts["responses"]) == ("alpaca", False, 4)
    with pytest.raises(InputError, match="unknown chat template 'alpac'"):
        open_base_model(str(folder), chat_template="alpac")


def test_a_tokenizer_of_another_vocabulary_is_refused(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_tokenizer(tmp_path / "other", vocab_size=270)
    base = open_base_model(str(folder), tokenizer=str(tmp_path / "other"))
    with pytest.raises(InputError, match=r"its tokenizer is not that of .* tokens differ"):
        build_base_model(tmp_path, read_rows(ROWS), base, cache=tmp_path / "cache")


def test_models_that_cannot_be_used_are_refused_in_a_line(
    read_rows: ReadRows, folder: Path, copied: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no such model folder"):
        open_base_model(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="is an adapter, not a base model"):
        open_base_model(str(tiny_adapter(tmp_path / "adapter", folder)))
    weights = load_file(copied / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="the base model gives no numbers"):
        build(tmp_path, read_rows(ROWS), copied, tmp_path / "cache")
    tokenizer = load_tokenizer(copied)
    tokenizer.add_tokens([f"extra{number}" for number in range(400)])
    tokenizer.save_pretrained(copied)
    with pytest.raises(InputError, match="the tokenizer does not fit the model"):
        build(tmp_path, read_rows(ROWS), copied, tmp_path / "cache")
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no model weights"):
        open_base_model(str(copied))


def test_a_model_without_a_token_that_ends_a_text_is_refused(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "plain", template=None)
    path = model / "tokenizer_config.json"
    described = json.loads(path.read_text("utf-8"))
    described.pop("eos_token")
    path.write_text(json.dumps(described), "utf-8")
    with pytest.raises(InputError, match="neither a chat template nor a token that ends a text"):
        open_base_model(str(model))


# --- within an audit ------------------------------------------------------------------------------------------------


def test_an_audit_with_a_base_model_keeps_what_it_measured(audit_rows: AuditRows, folder: Path) -> None:
    run = audit_rows(ROWS, base_model=str(folder), select=["STY005", "STY006", "TXT001"])
    assert run.check() > 0
    assert set(BASE_FILES) <= set(run.manifest["files"])
    columns = ["base_loss_nats_per_token", "base_shifted_fraction", "ifd"]
    assert [name for name in run.signals.columns if name in columns] == columns
    assert run.signals["ifd"].is_null().to_list() == [False, False, True, False]
    assert run.signals["base_loss_nats_per_token"].is_null().to_list() == [False, False, True, False]
    assert [check.code for check in run.summary.checks] == ["TXT001", "STY005", "STY006"]
    said = {skipped.what: skipped.why for skipped in run.summary.skipped}
    assert said["1 of the responses under the base model"] == "no token to measure"
    assert "whether the base model knows the facts" not in said
    (stage,) = [stage for stage in run.manifest["stages"] if stage["name"] == "base model"]
    assert stage["facts"]["base_model"] == str(folder)


def test_without_a_base_model_its_checks_are_named_as_not_looked_at(audit_rows: AuditRows) -> None:
    run = audit_rows(ROWS)
    assert not [name for name in run.signals.columns if name.startswith("base") or name == "ifd"]
    assert not (run.path / "signals").exists()
    said = {skipped.what: skipped.why for skipped in run.summary.skipped}
    (without,) = [why for what, why in said.items() if "STY005, STY006" in what]
    assert without == "no base model was given (--base-model MODEL)"
    assert "whether the base model knows the facts" in said


@pytest.mark.parametrize("select", [("STY005",), ("DUP", "STY006")])
def test_its_checks_by_name_need_a_base_model(audit_rows: AuditRows, select: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"^STY00\d: no base model is given .*; name it with --base-model MODEL$"):
        audit_rows(ROWS, select=select)


def test_a_model_that_stands_for_another_is_said_to(audit_rows: AuditRows, folder: Path) -> None:
    run = audit_rows(ROWS, base_model=str(folder), base_model_stands_for="world/large-7b", select=["STY005"])
    (stage,) = [stage for stage in run.manifest["stages"] if stage["name"] == "base model"]
    assert (stage["facts"]["base_model"], stage["facts"]["stands_for"]) == (str(folder), "world/large-7b")
    assert stage["facts"]["parameters"] == load_model(folder).ref.n_parameters
    assert json.loads((run.path / BASE_FILES[2]).read_bytes())["stands_for"] == "world/large-7b"
    with pytest.raises(InputError, match="no model that could stand for another"):
        audit_rows(ROWS, base_model_stands_for="world/large-7b")


def test_a_redacted_run_keeps_no_tokens_and_leaves_none_in_the_cache(
    audit_rows: AuditRows, folder: Path, cache_folder: str
) -> None:
    rows = [asked("Who has the key?", "Jorunn Velten has the key.")]
    before = {*Path(cache_folder).rglob("*.tokens.npy")}
    run = audit_rows(rows, base_model=str(folder), redact=True)
    assert {*Path(cache_folder).rglob("*.tokens.npy")} == before
    assert not (run.path / "signals").exists()
    assert run.signals["base_loss_nats_per_token"][0] > 0
    content = b"".join(path.read_bytes() for path in run.path.rglob("*") if path.is_file())
    assert b"Velten" not in content


def test_a_base_model_that_is_not_there_ends_the_audit_before_it_begins(audit_rows: AuditRows, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model folder"):
        audit_rows(ROWS, base_model=str(tmp_path / "nowhere"))
    assert not list(tmp_path.glob("run-*"))
