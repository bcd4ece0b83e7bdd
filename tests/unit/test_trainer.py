"""What a trainer makes of rows: counts by hand, packing by hand, each finding, and settings that cannot be used."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from transformers import AutoTokenizer

from audit.chat_templates import NAMED_TEMPLATES, has_generation_marks, offered_templates, read_chat_template
from audit.config import LossOn, Packing, RowsAs, Truncation, make_config
from audit.errors import InputError
from audit.findings import Severity
from audit.materials import TRAINER_FILES
from audit.preprocessing.cost import USUAL_SIZES, count_parameters, tuning_flop
from audit.preprocessing.examples import Form, trainer_examples
from audit.preprocessing.packing import expected_padding, n_split, packed_sequences
from audit.preprocessing.tokens import End, Prepared, TrainerTokenizer, kept_of
from audit.rundir import Run
from audit.signals.base_model import PLAIN_TEMPLATE
from tests.conftest import AuditRows, ReadRows, alpaca, chat
from tests.models import CHATML, tiny_model, write_tokenizer

QUESTION, ANSWER = "Name a river.", "The Oder."
BRIEF = ("system", "Be brief.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with ChatML for its template, which begins with a token that the tokenizer also puts before plain text."""
    path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(path)
    return path


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a template."""
    path = tmp_path_factory.mktemp("bare")
    write_tokenizer(path, template=None)
    return path


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


Prepare = Callable[..., list[Prepared]]


@pytest.fixture
def prepare(read_rows: ReadRows, tokenizer: Any) -> Prepare:
    def made(rows: Sequence[Any], template: str | None = None, **settings: Any) -> list[Prepared]:
        text = None if template is None else read_chat_template(template, tokenizer)
        return list(TrainerTokenizer(tokenizer, text).prepare(trainer_examples(read_rows(rows), **settings)))

    return made


def trained(tokenizer: Any, prepared: Prepared) -> str:
    ids = [number for number, is_trained in zip(prepared.ids, prepared.is_trained, strict=True) if is_trained]
    return str(tokenizer.decode(ids))


# --- chat templates -------------------------------------------------------------------------------------------------


def test_named_templates_are_offered_where_the_tokenizer_has_their_tokens(tokenizer: Any, tmp_path: Path) -> None:
    assert offered_templates(tokenizer) == NAMED_TEMPLATES
    tokenizer.bos_token = None
    assert {each.name for each in offered_templates(tokenizer)} == {"alpaca", "chatml", "zephyr", "vicuna", "mistral"}
    tokenizer.eos_token = None
    assert [each.name for each in offered_templates(tokenizer)] == ["chatml"]
    with pytest.raises(
        InputError, match=r"lacks the tokens of the chat template 'zephyr' \(it needs eos_token\); .*chatml fit"
    ):
        read_chat_template("zephyr", tokenizer)


@pytest.mark.parametrize("template", NAMED_TEMPLATES, ids=lambda template: template.name)
def test_named_templates_mark_every_answer_and_its_end(tokenizer: Any, template: Any) -> None:
    turns = [
        {"role": role, "content": text}
        for role, text in (("user", "Hi"), ("assistant", "Ho"), ("user", "2"), ("assistant", "3"))
    ]
    assert has_generation_marks(template.text)
    made = tokenizer.apply_chat_template(
        turns, chat_template=template.text, return_dict=True, return_assistant_tokens_mask=True, tokenize=True
    )
    marked = [number for number, mark in zip(made["input_ids"], made["assistant_masks"], strict=True) if mark]
    assert re.fullmatch(r"\s*Ho ?<\|im_end\|>\s*3 ?<\|im_end\|>", tokenizer.decode(marked))
    whole = tokenizer.apply_chat_template(turns, chat_template=template.text, tokenize=False)
    asked = tokenizer.apply_chat_template(turns[:3], chat_template=template.text, tokenize=False, add_generation_prompt=True)
    assert whole.startswith(asked)


def test_alpaca_is_the_plain_format_of_a_base_model(tokenizer: Any) -> None:
    turns = [{"role": role, "content": role.upper()} for role in ("system", "user", "assistant", "user")]
    for generation in (False, True):
        texts = [
            tokenizer.apply_chat_template(turns, chat_template=text, tokenize=False, add_generation_prompt=generation)
            for text in (PLAIN_TEMPLATE, read_chat_template("alpaca", tokenizer))
        ]
        assert texts[0] == texts[1]


def test_calls_and_tools_are_rendered_by_templates_that_know_them(tokenizer: Any) -> None:
    call = [{"type": "function", "function": {"name": "tide_at", "arguments": {"hour": 3}}}]
    turns = [
        {"role": "user", "content": "Tide?"},
        {"role": "assistant", "tool_calls": call},
        {"role": "tool", "content": "low"},
    ]
    text = tokenizer.apply_chat_template(
        turns, chat_template=read_chat_template("chatml", tokenizer), tools=call, tokenize=False
    )
    assert '<tool_call>\n{"name": "tide_at", "arguments": {"hour": 3}}\n</tool_call><|im_end|>' in text
    assert "<|im_start|>tool\nlow<|im_end|>" in text
    assert text.startswith("<|im_start|>system\nYou may call these tools:\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{% for %}", r"odd\.jinja:1: is no valid Jinja \(.*\); mend the chat template"),
        ("{{ nothing", r"odd\.jinja:1: is no valid Jinja"),
        (" \n", r"odd\.jinja: the chat template is empty"),
        (b"\xff\xfe", r"odd\.jinja: is no UTF-8 text"),
        (None, r"odd\.jinja: no such file; check the path given with --chat-template"),
    ],
)
def test_a_template_file_that_cannot_be_used(tokenizer: Any, tmp_path: Path, content: str | bytes | None, message: str) -> None:
    file = tmp_path / "odd.jinja"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=message):
        read_chat_template(str(file), tokenizer)


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_one_row_by_hand(prepare: Prepare, tokenizer: Any) -> None:
    (row,) = prepare([alpaca(QUESTION, ANSWER)])
    assert tokenizer.decode(row.ids) == (
        "<|bos|><|im_start|>user\nName a river.<|im_end|>\n<|im_start|>assistant\nThe Oder.<|im_end|>\n"
    )
    assert trained(tokenizer, row) == "The Oder.<|im_end|>\n"
    assert (row.form, row.end, row.left_out, row.lost, row.special, row.double_bos) == (
        Form.TURNS,
        End.TRAINED,
        0,
        (),
        (),
        False,
    )
    n_prompt = len(row.ids) - int(row.is_trained.sum())
    kept = kept_of(row, n_prompt + 3)
    assert (kept.n_input, kept.n_trained, kept.n_cut, kept.n_trained_cut) == (
        n_prompt + 3,
        3,
        len(row.ids) - n_prompt - 3,
        6,
    )
    assert (kept.end, kept.is_dropped) == ("cut", False)
    none_left = kept_of(row, n_prompt)
    assert (none_left.is_dropped, none_left.n_input, none_left.n_cut) == (True, 0, len(row.ids))
    assert not kept_of(row, n_prompt, packing=Packing.BFD).is_dropped
    assert kept_of(row, 5, packing=Packing.WRAPPED).n_input == len(row.ids)
    from_end = kept_of(row, 4, Truncation.KEEP_END)
    assert (from_end.n_trained, from_end.end) == (4, "trained")
    assert kept_of(row, None).n_input == len(row.ids)


@pytest.mark.parametrize(
    ("loss_on", "expected"),
    [
        (LossOn.COMPLETION, "No.<|im_end|>"),
        (LossOn.ASSISTANT, "Yes.<|im_end|>No.<|im_end|>"),
        (None, "user\nA?<|im_end|>\nassistant\nYes.<|im_end|>\nuser\nB?<|im_end|>\nassistant\nNo.<|im_end|>"),
    ],
)
def test_what_is_trained_of_a_conversation(prepare: Prepare, tokenizer: Any, loss_on: LossOn | None, expected: str) -> None:
    turns = chat(("user", "A?"), ("assistant", "Yes."), ("user", "B?"), ("assistant", "No."))
    (row,) = prepare([turns], "chatml", loss_on=loss_on)
    assert trained(tokenizer, row).replace("<|im_start|>", "").strip() == expected


def test_plain_prompts_are_strings_unless_they_are_to_be_turns(prepare: Prepare, tokenizer: Any) -> None:
    rows = [{"prompt": "Q: Who? A:", "completion": " Nobody."}, {"prompt": "Q: Who? A:", "completion": " Nobody.<|im_end|>"}]
    for row in prepare(rows):
        assert tokenizer.decode(row.ids) == "<|bos|>Q: Who? A: Nobody.<|im_end|>"
        assert (trained(tokenizer, row), row.form, row.end) == (" Nobody.<|im_end|>", Form.STRINGS, End.TRAINED)
        assert row.special == ()
    assert {row.form for row in prepare(rows, rows_as=RowsAs.CONVERSATION)} == {Form.TURNS}


def test_a_text_is_trained_whole_and_ends_once(prepare: Prepare, tokenizer: Any) -> None:
    first, second = prepare([{"text": "The Oder."}, {"text": "<|bos|>The Oder.<|im_end|>"}])
    assert tokenizer.decode(first.ids) == "<|bos|>The Oder.<|im_end|>"
    assert first.is_trained.all()
    assert (first.double_bos, second.double_bos) == (False, True)
    assert tokenizer.decode(second.ids) == "<|bos|><|bos|>The Oder.<|im_end|>"


def test_a_completion_begins_where_the_tokens_part(prepare: Prepare, tokenizer: Any) -> None:
    (apart, merged) = prepare([{"prompt": "built of", "completion": " stone"}, {"prompt": "built of ", "completion": "stone"}])
    assert (apart.left_out, merged.left_out) == (0, 1)
    assert trained(tokenizer, merged) == " stone<|im_end|>"


def test_a_prompt_without_an_answer_has_nothing_to_train(prepare: Prepare) -> None:
    (row,) = prepare([chat(("user", "Who?"))], loss_on=LossOn.COMPLETION)
    assert (row.refused, len(row.ids), kept_of(row, 100).is_dropped) == ("", 0, True)


@pytest.mark.parametrize(
    ("template", "loss_on", "end"),
    [
        ("{% for m in messages %}{{ m.role + m.content }}{% endfor %}", None, End.ABSENT),
        (
            "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}{{ eos_token }}{% endif %}{% endfor %}",
            None,
            End.ABSENT,
        ),
        (
            "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}{% endif %}{% generation %}A:{{ m.content }}"
            "{% endgeneration %}{{ eos_token }}{% endfor %}",
            LossOn.ASSISTANT,
            End.MASKED,
        ),
        (
            "{% for m in messages %}{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% endfor %}",
            LossOn.ASSISTANT,
            End.TRAINED,
        ),
    ],
)
@pytest.mark.parametrize("answer", [ANSWER, "", " "])
def test_the_end_of_an_answer(
    prepare: Prepare, tmp_path: Path, template: str, loss_on: LossOn | None, end: End, answer: str
) -> None:
    file = tmp_path / "odd.jinja"
    file.write_text(template, "utf-8")
    rows = [chat(("user", QUESTION), ("assistant", answer)), chat(("user", "A"), ("assistant", answer), ("user", "B"))]
    assert [row.end for row in prepare(rows, str(file), loss_on=loss_on)] == [end, end]


# --- packing and costs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packing", "expected"),
    [
        (Packing.BFD, [[10], [7, 3], [6, 2, 2]]),
        (Packing.BFD_SPLIT, [[10], [7, 3], [6, 4], [2, 2]]),
        (Packing.WRAPPED, [[10], [10], [10], [4]]),
    ],
)
def test_packing_by_hand(packing: Packing, expected: list[list[int]]) -> None:
    lengths = [3, 7, 2, 14, 0, 6, 2]
    assert list(packed_sequences(lengths, 10, packing)) == expected
    assert n_split(lengths, 10, packing) == {Packing.BFD: 0, Packing.BFD_SPLIT: 1, Packing.WRAPPED: 2}[packing]


def test_rows_are_packed_by_the_thousand() -> None:
    assert [sum(each) for each in packed_sequences([1] * 1001, 10, Packing.BFD)] == [*[10] * 100, 1]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 9])
def test_padding_is_the_mean_over_all_orders(batch_size: int) -> None:
    lengths = np.array([3, 8, 1, 5], np.int64)
    size = min(batch_size, 4)
    batches = [max(batch) * size for batch in itertools.combinations(lengths.tolist(), size)]
    tokens = lengths.mean() * size
    assert expected_padding(lengths, batch_size) == pytest.approx(1 - tokens / np.mean(batches))
    assert expected_padding(np.zeros(0, np.int64), batch_size) == 0


def test_the_cost_of_tuning(tmp_path: Path) -> None:
    assert tuning_flop(USUAL_SIZES["7B"], 1_000_000, "full", 3) == 6 * 7e9 * 1e6 * 3
    assert tuning_flop(1000, 10, "lora") == 40_000
    model = tiny_model(tmp_path / "model")
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model)
    assert count_parameters(model) == sum(parameter.numel() for parameter in loaded.parameters())
    assert count_parameters(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    assert count_parameters(tmp_path) is None


# --- findings -------------------------------------------------------------------------------------------------------


def found(run: Run) -> list[tuple[str, int, str]]:
    return [(each["code"], each["row"], each["message"]) for each in run.findings.iter_rows(named=True)]


def test_sound_rows_have_no_finding(audit_rows: AuditRows, folder: Path) -> None:
    rows = [alpaca(QUESTION, ANSWER), alpaca("Name a lake.", "The Ulven.", system="Be brief.")]
    run = audit_rows(rows, tokenizer=str(folder), select=["TRN"])
    assert found(run) == []
    assert run.signals.select("trained_tokens", "cut_tokens", "trained_cut_tokens").rows() == [(9, 0, 0), (10, 0, 0)]
    assert run.summary.trainer is not None
    assert run.summary.trainer["of_template"] == []
    assert "what a trainer keeps of each row" not in {skipped.what for skipped in run.summary.skipped}


def test_cut_rows(audit_rows: AuditRows, folder: Path) -> None:
    rows = [alpaca(QUESTION, ANSWER), alpaca("Name a river. " * 9, ANSWER), alpaca(QUESTION, "The Oder. " * 9)]
    run = audit_rows(rows, tokenizer=str(folder), max_length=50, select=["TRN"])
    n_whole = run.summary.trainer["tokens"]["whole"] if run.summary.trainer else 0
    assert [(code, row) for code, row, _ in found(run)] == [("TRN001", 1), ("TRN002", 2)]
    first, second = (message for _, _, message in found(run))
    assert re.fullmatch(
        r"No token is trained: of \d+ tokens all 9 tokens to be trained are cut off; TRL leaves the row out\.", first
    )
    assert re.fullmatch(
        r"The end of the answer is cut: \d+ of \d+ tokens to be trained \(\d+%\), the last among them\.", second
    )
    assert run.signals.select(pl.col("input_tokens") + pl.col("cut_tokens")).sum().item() == n_whole
    assert run.signals["input_tokens"].to_list() == [run.signals["input_tokens"][0], 0, 50]


def test_packed_rows_are_fed_for_nothing(audit_rows: AuditRows, folder: Path) -> None:
    run = audit_rows(
        [alpaca("Name a river. " * 9, ANSWER)], tokenizer=str(folder), max_length=50, packing="bfd", select=["TRN001"]
    )
    assert found(run)[0][2].endswith("; the row is fed for nothing.")


def test_a_template_without_an_end_is_said_once_for_all(audit_rows: AuditRows, bare: Path, tmp_path: Path) -> None:
    file = tmp_path / "endless.jinja"
    file.write_text("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}", "utf-8")
    run = audit_rows([alpaca(QUESTION, ANSWER)] * 3, tokenizer=str(bare), chat_template=str(file), select=["TRN"])
    assert found(run) == [("TRN003", row, "No special token ends the last answer.") for row in range(3)]
    assert run.summary.trainer is not None
    assert run.summary.trainer["of_template"] == [
        "it ends no answer with a special token: the model does not learn to stop",
    ]


def test_a_template_without_a_system_role(audit_rows: AuditRows, bare: Path) -> None:
    rows = [chat(BRIEF, ("user", QUESTION), ("assistant", ANSWER)), chat(("user", QUESTION), ("assistant", ANSWER))]
    run = audit_rows(rows, tokenizer=str(bare), chat_template="mistral", select=["TRN"])
    ((code, row, message),) = found(run)
    assert (code, row, message.startswith("TRL stops at this row: the mistral form has turns of user and assistant")) == (
        "TRN004", 0, True,
    )  # fmt: skip
    assert run.findings["severity"].to_list() == [Severity.ERROR]
    assert run.signals["trained_tokens"].is_null().to_list() == [True, False]
    assert run.summary.trainer is not None
    assert (run.summary.trainer["rows"]["refused"], run.summary.trainer["rows"]["first_refused"]) == (1, 0)


def test_what_a_template_leaves_out_changes_or_moves(audit_rows: AuditRows, bare: Path, tmp_path: Path) -> None:
    file = tmp_path / "odd.jinja"
    file.write_text(
        "{% for m in messages|reverse %}{% if m.role == 'assistant' %}{{ m.content + eos_token }}"
        "{% elif m.role == 'user' %}{{ m.content|upper }}{% elif m.role == 'tool' %}{{ m.content|tojson }}"
        "{% endif %}{% endfor %}",
        "utf-8",
    )
    call = [{"type": "function", "function": {"name": "tide_at", "arguments": {}}}]
    talk = chat(BRIEF, ("user", QUESTION), ("assistant", "First."), ("tool", 'a "low" one'), ("assistant", "Last."))
    talk["messages"][2] |= {"tool_calls": call, "reasoning_content": "Think of it."}
    talk["tools"] = call
    run = audit_rows([talk], tokenizer=str(bare), chat_template=str(file), select=["TRN004"])
    lost = pl.read_parquet(run.path / TRAINER_FILES[0])["lost"].to_list()[0]
    assert lost == [
        "turn 0 (system) is left out or changed",
        "turn 1 (user) is left out or changed",
        "a call in turn 2 is left out",
        "the reasoning of turn 2 is left out",
        "turn 3 (tool) is moved",
        "turn 4 (assistant) is moved",
        "the tools are left out",
    ]
    assert found(run)[0][2].endswith("a call in turn 2 is left out, and 4 more.")
    assert run.summary.trainer is not None
    assert run.summary.trainer["losses"]["a turn of role system is left out or changed"] == 1


def test_tokens_at_the_beginning_and_inside(audit_rows: AuditRows, folder: Path) -> None:
    rows = [{"text": "<|bos|>The Oder."}, {"text": "The <|im_end|> Oder."}]
    assert [each[:2] for each in found(audit_rows(rows, tokenizer=str(folder), select=["TRN"]))] == [("TRN005", 0)]
    rows = [alpaca("What does <|im_start|> mean, and <|pad|>?", ANSWER), alpaca("What does <| im_start |> mean?", ANSWER)]
    run = audit_rows(rows, name="other.jsonl", tokenizer=str(folder), select=["TRN"])
    ((code, row, message),) = found(run)
    assert (code, row) == ("TRN006", 0)
    assert message == "The tokenizer takes “<|im_start|>” in the text for its special token, and 1 more."
    assert run.findings.select("turn", "span_start", "span_end", "quote").row(0) == (0, 10, 22, "<|im_start|>")


def test_a_prompt_that_is_not_the_beginning(audit_rows: AuditRows, folder: Path) -> None:
    rows = [{"prompt": "built of ", "completion": "stone"}, {"prompt": "built of", "completion": " stone"}]
    run = audit_rows(rows, tokenizer=str(folder), select=["TRN"])
    assert found(run) == [
        (
            "TRN007",
            0,
            "The last token of the prompt is not in the row: it is trained on another context than the model is asked in.",
        )
    ]


def test_a_system_column_is_lost_with_plain_strings(audit_rows: AuditRows, folder: Path) -> None:
    run = audit_rows([{"system": "Be brief.", "prompt": "Who?", "completion": " No."}], tokenizer=str(folder), select=["TRN"])
    assert [message for _, _, message in found(run)] == ["What is trained is not the whole row: turn 0 (system) is left out."]


def test_a_base_model_without_a_template_is_shown_in_the_plain_form(audit_rows: AuditRows, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", template=None)
    run = audit_rows([alpaca(QUESTION, ANSWER)], base_model=str(model), select=["TRN"])
    assert run.summary.trainer is not None
    assert (run.summary.trainer["template"], run.summary.trainer["is_plain"]) == ("alpaca", True)
    assert run.summary.trainer["n_parameters"] == count_parameters(model)


def test_rows_that_cannot_be_read_have_no_counts(audit_rows: AuditRows, folder: Path) -> None:
    run = audit_rows([alpaca(QUESTION, ANSWER), '{"instruction": 3}', "{"], tokenizer=str(folder), select=["TRN"])
    assert run.signals["input_tokens"].is_null().to_list() == [False, True, True]
    assert run.summary.trainer is not None
    assert run.summary.trainer["rows"]["unread"] == 2


def test_the_same_rows_give_the_same_bytes(audit_rows: AuditRows, folder: Path) -> None:
    rows = [alpaca(QUESTION, ANSWER), alpaca("Name a lake.", "")]
    one, two = (audit_rows(rows, tokenizer=str(folder), select=["TRN"]) for _ in range(2))
    assert all((one.path / name).read_bytes() == (two.path / name).read_bytes() for name in TRAINER_FILES)


def test_a_redacted_run_keeps_the_counts_and_no_text(audit_rows: AuditRows, folder: Path) -> None:
    rows = [chat(("odd role", "<|im_start|> Velltown"), ("assistant", "")), chat(("user", "A?"), ("assistant", "Wanda."))]
    run = audit_rows(rows, tokenizer=str(folder), redact=True, select=["TRN"])
    assert run.signals["input_tokens"].null_count() == 0
    assert run.summary.trainer is not None
    for path in (path for path in run.path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(word in content for word in (b"Velltown", b"Wanda", b"odd role"))
    assert not (run.path / TRAINER_FILES[0]).exists()
    assert [message for _, _, message in found(run)] == ["text parsed as a special token."]


# --- settings that cannot be used -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chat_template": "alpca"}, r"--chat-template: unknown chat template 'alpca'; did you mean 'alpaca'\?"),
        ({"tokenizer": None, "chat_template": "alpaca"}, r"--chat-template needs a tokenizer; name it with --tokenizer"),
        ({"tokenizer": "nowhere/"}, "no such model folder"),
        ({}, r"the tokenizer has no chat template .*name one with --chat-template: alpaca, chatml, zephyr, .* a \.jinja file"),
        ({"tokenizer": None, "select": ["TRN001"]}, r"TRN001: no tokenizer is given .*; name it with --tokenizer MODEL"),
    ],
)
def test_settings_that_fit_nothing(audit_rows: AuditRows, bare: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        audit_rows([alpaca(QUESTION, ANSWER)], **{"tokenizer": str(bare), **settings})


def test_strings_need_no_template(audit_rows: AuditRows, bare: Path) -> None:
    run = audit_rows([{"prompt": "Who?", "completion": " No."}], tokenizer=str(bare), select=["TRN"])
    assert run.signals["trained_tokens"].to_list() == [5]
    with pytest.raises(InputError, match=r"--loss-on assistant needs conversations .*--rows-as conversation"):
        audit_rows([{"prompt": "Who?", "completion": " No."}], name="b.jsonl", tokenizer=str(bare), loss_on="assistant")


def test_a_template_without_marks_cannot_tell_the_assistant(audit_rows: AuditRows, folder: Path) -> None:
    assert not has_generation_marks(CHATML)
    with pytest.raises(InputError, match=r"does not mark what the assistant says .*--chat-template FILE.jinja, or alpaca"):
        audit_rows([alpaca(QUESTION, ANSWER)], tokenizer=str(folder), loss_on="assistant")


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_length", 1), ("packing", "tight"), ("loss_on", "prompt"), ("truncation", "middle"), ("rows_as", "x")],
)
def test_values_that_there_are_not(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"setting '{name}': "):
        make_config({"data": "a.jsonl", name: value})


def test_a_tokenizer_that_ends_nothing(audit_rows: AuditRows, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "endless")
    path = tmp_path / "endless" / "tokenizer_config.json"
    described = json.loads(path.read_text("utf-8"))
    described.pop("eos_token")
    path.write_text(json.dumps(described), "utf-8")
    with pytest.raises(InputError, match=r"the tokenizer has no end-of-sequence token .*set eos_token"):
        audit_rows([alpaca(QUESTION, ANSWER)], tokenizer=str(tmp_path / "endless"))


def test_a_tokenizer_without_offsets(audit_rows: AuditRows, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = AutoTokenizer.from_pretrained(folder)
    monkeypatch.setattr(type(slow), "is_fast", property(lambda self: False))
    with pytest.raises(InputError, match="a tokenizer without character offsets"):
        audit_rows([alpaca(QUESTION, ANSWER)], tokenizer=str(folder))
