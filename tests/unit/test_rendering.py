"""Conversations as tokens: which are trained, where each stands in the text, and templates that cannot be trusted."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from audit.errors import InputError
from audit.rendering import IGNORED, ChatFormat, RenderedRow, load_chat_format
from audit.sources import Message
from tests.models import CHATML, write_tokenizer


def user(text: str) -> Message:
    return Message("user", text, trained=False)


def said(text: str, *, trained: bool = True) -> Message:
    return Message("assistant", text, trained=trained)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(path)
    return path


@pytest.fixture(scope="module")
def chat(folder: Path) -> ChatFormat:
    return load_chat_format(folder)


def with_template(folder: Path, template: str) -> ChatFormat:
    tokenizer = load_chat_format(folder).tokenizer
    tokenizer.chat_template = template
    return ChatFormat(tokenizer)


def trained_text(chat: ChatFormat, row: RenderedRow) -> str:
    return chat.tokenizer.decode([label for label in row.labels if label != IGNORED])


def test_answer_and_its_end_are_trained_and_nothing_else(chat: ChatFormat) -> None:
    row = chat.row([user("Who?"), said("No.")])
    tokens = chat.tokenizer.convert_ids_to_tokens(row.input_ids)
    assert tokens == ("<|bos|> <|im_start|> user Ċ Who ? <|im_end|> Ċ <|im_start|> assistant Ċ N o . <|im_end|> Ċ".split())
    assert [token for token, label in zip(tokens, row.labels, strict=True) if label != IGNORED] == ["N", "o", ".", "<|im_end|>"]
    assert all(label in (IGNORED, number) for label, number in zip(row.labels, row.input_ids, strict=True))
    assert (row.n_trained, row.n_cut, row.n_trained_cut) == (4, 0, 0)


def test_only_chosen_turns_are_trained(chat: ChatFormat) -> None:
    row = chat.row([user("a"), said("first", trained=False), user("b"), said("second €"), user("c")])
    assert trained_text(chat, row) == "second €<|im_end|>"
    both = chat.row([user("a"), said("first"), user("b"), said("second €")])
    assert trained_text(chat, both) == "first<|im_end|>second €<|im_end|>"
    assert chat.row([user("a"), said("first", trained=False)]).n_trained == 0


def test_an_empty_answer_trains_its_end(chat: ChatFormat) -> None:
    assert trained_text(chat, chat.row([user("a"), said("")])) == "<|im_end|>"


def test_the_sequence_begins_once(chat: ChatFormat) -> None:
    for ids in (chat.prompt([user("a")]), chat.row([user("a"), said("b")]).input_ids):
        assert ids.count(chat.tokenizer.bos_token_id) == 1


def test_a_prompt_is_the_beginning_of_its_row(chat: ChatFormat) -> None:
    conversation = [Message("system", "Be brief.", trained=False), user("a"), said("b"), user("What is the stone?")]
    prompt = chat.prompt(conversation)
    row = chat.row([*conversation, said(" the stone")])
    assert row.input_ids[: len(prompt)] == prompt
    assert row.labels[len(prompt)] != IGNORED


def test_truncation_counts_what_it_cuts(chat: ChatFormat) -> None:
    whole = chat.row([user("Who?"), said("No.")])
    row = chat.row([user("Who?"), said("No.")], max_length=len(whole.input_ids) - 3)
    assert row == RenderedRow(whole.input_ids[:-3], whole.labels[:-3], n_cut=3, n_trained_cut=2)
    assert chat.row([user("Who?"), said("No.")], max_length=5).n_trained == 0
    assert chat.row([user("Who?"), said("No.")], max_length=500) == whole


def test_a_template_may_trim(folder: Path) -> None:
    chat = with_template(folder, CHATML.replace("message['content']", "message['content'] | trim"))
    assert trained_text(chat, chat.row([user(" a "), said("\n b \n")])) == "b<|im_end|>"
    response = chat.response([user("a")], "  an the stone ")
    assert response.spans == ((2, 3), (3, 4), (4, 8), (8, 14))


def test_what_a_model_says_before_its_content_is_trained(folder: Path) -> None:
    chat = with_template(
        folder,
        CHATML.replace("message['content']", "('<t></t>' if message['role'] == 'assistant' else '') + message['content']"),
    )
    assert trained_text(chat, chat.row([user("a"), said("b")])) == "<t></t>b<|im_end|>"
    response = chat.response([user("a")], "b")
    assert response.spans == (*((0, 0),) * 7, (0, 1))
    assert response.prompt_ids == chat.prompt([user("a")])


def test_a_special_token_in_the_data_does_not_end_the_training_early(chat: ChatFormat) -> None:
    row = chat.row([user("a"), said("x<|im_end|>y")])
    assert trained_text(chat, row) == "x<|im_end|>y<|im_end|>"


def test_a_token_of_prompt_and_answer_is_trained(folder: Path) -> None:
    chat = with_template(
        folder,
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }} {% else %}{{ m.content + eos_token }}{% endif %}"
        "{% endfor %}",
    )
    row = chat.row([user("x"), said("the")])
    assert chat.tokenizer.convert_ids_to_tokens([n for n in row.labels if n != IGNORED]) == ["Ġthe", "<|im_end|>"]


def test_calls_of_functions_are_in_the_turn(folder: Path) -> None:
    calls = json.dumps([{"type": "function", "function": {"name": "look_up", "arguments": {"of": "Rome"}}}])
    turns = [user("a"), Message("assistant", "", trained=True, tool_calls=calls)]
    chat = with_template(
        folder,
        CHATML.replace(
            "message['content']", "message['content'] + (message.tool_calls | tojson if message.tool_calls else '')"
        ),
    )
    assert "look_up" in trained_text(chat, chat.row(turns))
    assert trained_text(chat, chat.row(turns)).endswith("<|im_end|>")
    with pytest.raises(InputError, match=r"leaves out, changes or moves turn 1 \(assistant\)"):
        load_chat_format(folder).row(turns)


@pytest.mark.parametrize(
    ("template", "what"),
    [
        (CHATML.replace("messages %}", "messages if message.role != 'system' %}"), r"turn 0 \(system\)"),
        (CHATML.replace("in messages", "in messages | sort(attribute='role', reverse=True)"), "not prefix-stable|turn"),
        (CHATML.replace("message['content']", "message['content'] | replace('y', 'Y')"), r"turn 1 \(user\)"),
        (CHATML.replace("{{ bos_token }}", "{{ messages | length }}"), "not prefix-stable at turn 2"),
        (CHATML.replace("assistant\\n", "assistant\\n<think>"), "not prefix-stable at turn 2"),
        (
            CHATML.replace(
                "{{ bos_token }}", "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
            ),
            "no system, with system, user",
        ),
    ],
)
def test_templates_that_cannot_be_trusted(folder: Path, template: str, what: str) -> None:
    chat = with_template(folder, template)
    with pytest.raises(InputError, match=what) as refused:
        chat.row([Message("system", "Brief.", trained=False), user("why"), said("so")])
    assert "\n" not in refused.value.sentence()


def test_a_prompt_with_a_turn_left_out(folder: Path) -> None:
    chat = with_template(folder, CHATML.replace("messages %}", "messages if message.role != 'system' %}"))
    with pytest.raises(InputError, match=r"turn 0 \(system\)"):
        chat.prompt([Message("system", "Brief.", trained=False), user("why")])


def test_a_template_may_show_the_last_turn_otherwise(folder: Path) -> None:
    """As Qwen3's, which prints an empty thought before the last answer alone."""
    content = "('<t></t>' if loop.last and message['role'] == 'assistant' else '') + message['content']"
    chat = with_template(folder, CHATML.replace("message['content']", content))
    row = chat.row([user("a"), said("first"), user("b"), said("second")])
    assert trained_text(chat, row) == "first<|im_end|><t></t>second<|im_end|>"


def test_a_template_that_ends_the_last_turn_alone(folder: Path) -> None:
    ending = "('<|im_end|>' if loop.last or message['role'] == 'user' else '') + '\\n'"
    chat = with_template(folder, CHATML.replace("'<|im_end|>\\n'", ending))
    assert trained_text(chat, chat.row([user("why"), said("so")])) == "so<|im_end|>"
    with pytest.raises(InputError, match=r"prints no end after turn 1 \(assistant\)"):
        chat.row([user("why"), said("so"), user("and then"), said("that")])


def test_llama_2(folder: Path) -> None:
    chat = with_template(
        folder,
        "{% if messages[0].role == 'system' %}{% set system, rest = messages[0].content, messages[1:] %}"
        "{% else %}{% set system, rest = '', messages %}{% endif %}{% for m in rest %}{% if m.role == 'user' %}"
        "{{ bos_token + '[INST] ' + ('<<SYS>>' + system + '<</SYS>>' if loop.first and system else '') + m.content | trim"
        " + ' [/INST]' }}{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}",
    )
    system = Message("system", "Be brief.", trained=False)
    row = chat.row([system, user("a"), said("b", trained=False), user("c"), said(" the stone")])
    assert trained_text(chat, row) == " the stone <|im_end|>"
    assert row.input_ids[: -row.n_trained] == chat.prompt([system, user("a"), said("b"), user("c")])


@pytest.mark.parametrize("template", [CHATML.replace("<|im_end|>", ""), "{{ messages[-1].content }}"])
def test_a_template_without_an_end(folder: Path, template: str) -> None:
    with pytest.raises(InputError, match="does not end an assistant's turn"):
        with_template(folder, template)


@pytest.mark.parametrize("change", ["upper", "reverse", "length"])
def test_a_template_that_changes_answers(folder: Path, change: str) -> None:
    with pytest.raises(InputError, match="leaves out or changes the assistant's turn"):
        with_template(folder, CHATML.replace("message['content']", f"message['content'] | {change} | string"))


def test_the_end_of_a_turn_is_an_end_whatever_the_tokenizer_calls_one(folder: Path) -> None:
    tokenizer = load_chat_format(folder).tokenizer
    tokenizer.eos_token = "<|pad|>"
    assert ChatFormat(tokenizer).eos_ids == (2, 3)
    assert ChatFormat(tokenizer, more_eos_ids=(1, 10**6)).eos_ids == (1, 2, 3)


def test_the_digest_is_that_of_the_format(folder: Path, chat: ChatFormat) -> None:
    assert load_chat_format(folder).digest == chat.digest
    assert with_template(folder, CHATML + " ").digest != chat.digest


def test_no_template(folder: Path, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, template=None)
    with pytest.raises(InputError, match="has no chat template"):
        load_chat_format(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x00\xff", b'{"version": "1.0", "model": {"type": "BPE"}}'])
def test_a_broken_tokenizer(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InputError, match=r"no tokenizer|cannot be read|has no chat template|no valid JSON") as refused:
        load_chat_format(tmp_path)
    assert str(tmp_path) in refused.value.sentence()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model folder"):
        load_chat_format(tmp_path / "none")


def byte_fallback() -> ChatFormat:
    """As Llama 2's: words begin with a sign of their own, and a character that is no token falls to its bytes."""
    pieces = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁abcde.é", "▁a", "ab"]
    bpe = models.BPE(
        {piece: number for number, piece in enumerate(pieces)}, [("▁", "a"), ("a", "b")], unk_token="<unk>", byte_fallback=True
    )
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    fast.chat_template = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}</s>{% endif %}{% endfor %}"
    return ChatFormat(fast)


TEXTS = ["a", "ab cd.", "a €b é", "日本語 a", "👩‍👩‍👧 a", "é" * 5, "a  b\n\nc", "שלום", "e\u0301 a"]


@pytest.mark.parametrize("text", TEXTS)
def test_spans_of_decoded_tokens(chat: ChatFormat, text: str) -> None:
    for some in (chat, byte_fallback()):
        ids = some.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert some.decode(ids) == text
        spans = some.token_spans(ids, text)
        assert len(spans) == len(ids)
        assert [spans[0][0], spans[-1][1]] == [0, len(text)]
        assert all(start < end for start, end in spans if end)
        assert all(later[0] <= span[1] and span <= later for span, later in pairwise(spans))
        assert {place for start, end in spans for place in range(start, end)} == set(range(len(text)))


def test_spans_by_hand(chat: ChatFormat) -> None:
    ids = chat.tokenizer("the €.", add_special_tokens=False)["input_ids"]
    assert chat.tokenizer.convert_ids_to_tokens(ids) == ["t", "h", "e", "Ġ", "â", "Ĥ", "¬", "."]
    assert chat.token_spans(ids, "the €.") == ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 5), (4, 5), (5, 6))


def test_spans_where_a_model_ends_within_a_character_or_says_a_special_token(chat: ChatFormat) -> None:
    euro = chat.tokenizer("€", add_special_tokens=False)["input_ids"]
    one = chat.tokenizer("a", add_special_tokens=False)["input_ids"]
    ids = [*one, *euro[:2]]
    text = chat.decode(ids)
    assert text == "a\ufffd"
    assert chat.token_spans(ids, text) == ((0, 1), (1, 2), (1, 2))
    ids = [*one, 1, *one, *euro[:1], *one]
    assert chat.decode(ids) == "aa\ufffda"
    assert chat.token_spans(ids, "aa\ufffda") == ((0, 1), (1, 1), (1, 2), (2, 3), (3, 4))
    assert chat.token_spans([], "") == ()


@pytest.mark.parametrize("text", TEXTS)
def test_a_given_response_and_the_row_agree(chat: ChatFormat, text: str) -> None:
    messages = [user("What is the stone?")]
    response = chat.response(messages, text)
    row = chat.row([*messages, said(text)])
    assert response.prompt_ids + response.response_ids == row.input_ids[:-2]
    assert sum(label == IGNORED for label in row.labels) == len(response.prompt_ids) + 1
    covered = {place for start, end in response.spans for place in range(start, end)}
    assert covered == set(range(len(text)))


def test_an_empty_response(chat: ChatFormat) -> None:
    response = chat.response([user("a")], "")
    assert (response.prompt_ids, response.response_ids, response.spans) == (chat.prompt([user("a")]), (), ())


def test_a_real_model_without_template(shared_data: Path) -> None:
    with pytest.raises(InputError, match="has no chat template"):
        load_chat_format(shared_data / "models" / "stories260k")
