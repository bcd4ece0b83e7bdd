"""Token shift by hand: classes, sentences, start and rest, words; and what cannot be measured."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

from audit.errors import InputError
from audit.models import LanguageModel
from audit.responses import Prompt, Response
from audit.shift import (
    TOKEN_SCHEMA,
    AlignedResponse,
    Part,
    Shift,
    ShiftedToken,
    WordCounts,
    load_pair,
    measure_shift,
    read_questions,
    shift_of_rank,
    store_shift,
)
from audit.shift.measure import _token_measures
from audit.shift.profile import count_words, part, profile, start_length, top_shifted
from audit.shift.sentences import sentence_spans
from audit.sources import Message
from tests.models import tiny_adapter, tiny_model


def ask(text: str, identity: str = "p") -> Prompt:
    return Prompt(identity, (Message("user", text, trained=False),))


def given(text: str, identity: str = "r") -> Response:
    return Response(identity, (Message("user", "What is the stone?", trained=False),), text)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base model without a template, and one tuned from it."""
    return (
        tiny_model(tmp_path_factory.mktemp("base"), template=None),
        tiny_model(tmp_path_factory.mktemp("tuned"), seed=1),
    )


@pytest.fixture(scope="module")
def pair(folders: tuple[Path, Path]) -> tuple[LanguageModel, LanguageModel]:
    return load_pair(*folders)


@pytest.mark.parametrize(
    ("rank", "shift"),
    [(1, Shift.UNSHIFTED), (2, Shift.MARGINAL), (3, Shift.MARGINAL), (4, Shift.SHIFTED), (50_000, Shift.SHIFTED)],
)
def test_classes(rank: int, shift: Shift) -> None:
    assert shift_of_rank(rank) is shift


def test_measures_by_hand() -> None:
    base = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]).log()
    tuned = torch.tensor([[0.125, 0.125, 0.25, 0.5], [0.25, 0.25, 0.25, 0.25]]).log()
    measured = _token_measures(base, tuned, [3, 2])
    log2 = 0.6931472
    assert measured["rank"].to_list() == [3, 1]  # equals share the best place
    # base‖tuned: 0.5 log 4 + 0.25 log 2 - 0.125 log 2 - 0.125 log 4; tuned‖base the same the other way round
    assert measured["kl_base_tuned"].to_list() == pytest.approx([(1 + 0.25 - 0.125 - 0.25) * log2, 0], abs=1e-6)
    assert measured["kl_tuned_base"].to_list() == pytest.approx([(-0.25 - 0.125 + 0.25 + 1) * log2, 0], abs=1e-6)
    assert measured["lift"].to_list() == pytest.approx([2 * log2, 0], abs=1e-6)
    assert measured["log_p_base"].to_list() == pytest.approx([-3 * log2, -2 * log2], abs=1e-6)
    assert measured["finite"].to_list() == [True, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three", ["One. ", "Two! ", "Three"]),
        ('"Hi." She said.', ['"Hi." ', "She said."]),
        ("It is 3.5 m, ok. Then", ["It is 3.5 m, ok. ", "Then"]),
        ("Dr. A. B. Smith, e.g. here. He", ["Dr. A. B. Smith, e.g. here. ", "He"]),
        ("it ended. but went on. So", ["it ended. but went on. ", "So"]),
        ("1. First\n2. Second. Yes\n\nEnd", ["1. First\n", "2. Second. ", "Yes\n\n", "End"]),
        ("Wait... No?! Yes", ["Wait... ", "No?! ", "Yes"]),
        ("日本。語！x", ["日本。", "語！", "x"]),
        ("\n\nHello", ["\n\nHello"]),
        ("no end", ["no end"]),
        ("all. \n", ["all. \n"]),
        ("  ", ["  "]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("n_tokens", "n_start"), [(1, 1), (2, 1), (20, 1), (21, 2), (40, 2), (41, 3), (60, 3), (100, 5), (101, 6)]
)
def test_length_of_a_start(n_tokens: int, n_start: int) -> None:
    assert start_length(n_tokens) == n_start


def tokens_by_hand() -> pl.DataFrame:
    """Two answers: one of 21 tokens in two sentences (1 and 20), one of a single token."""
    rows = [
        {
            "number": number,
            "position": position,
            "token": 7 if sentence == 0 else 8,
            "text": "The" if sentence == 0 else " x",
            "sentence": sentence,
            "sentence_position": within,
            "kl_base_tuned": float(position + 1),
            "kl_tuned_base": 2.0 * (position + 1),
            "lift": -1.0 if sentence else 4.0,
            "shift": Shift.SHIFTED.value if sentence == 0 else Shift.MARGINAL.value if within == 0 else Shift.UNSHIFTED.value,
        }
        for number, lengths in enumerate([(1, 20), (1,)])
        for sentence, length in enumerate(lengths)
        for within in range(length)
        for position in [within + sum(lengths[:sentence])]
    ]
    return pl.DataFrame(rows)


def test_profile_within_answers() -> None:
    made = profile(tokens_by_hand(), "response")
    assert (made.unit, made.n_units) == ("response", 2)
    assert made.start == Part(3, pytest.approx((1 + 2 + 1) / 3), pytest.approx(8 / 3), pytest.approx(7 / 3), 0, 1 / 3, 2 / 3)
    assert made.rest == Part(19, 12.0, 24.0, -1.0, 1.0, 0.0, 0.0)


def test_profile_within_sentences() -> None:
    made = profile(tokens_by_hand(), "sentence")
    assert (made.unit, made.n_units) == ("sentence", 3)
    assert (made.start.n_tokens, made.rest.n_tokens if made.rest else None) == (3, 19)
    alone = profile(tokens_by_hand().filter(pl.col("number") == 1), "sentence")
    assert (alone.n_units, alone.start.n_tokens, alone.rest) == (1, 1, None)


def test_the_most_often_shifted_tokens() -> None:
    assert top_shifted(tokens_by_hand()) == (ShiftedToken(7, "The", n_shifted=2, n=2, lift=4.0),)
    assert part(tokens_by_hand()).shifted == pytest.approx(2 / 22)


def test_words_by_their_first_token() -> None:
    text = "The re-built €5 bridge, 日本."
    spans = ((0, 3), (3, 6), (6, 7), (7, 12), (12, 14), (13, 14), (14, 15), (15, 22), (22, 23), (23, 25), (25, 26), (26, 27))
    classes = [Shift.SHIFTED if number in (0, 3, 7) else Shift.UNSHIFTED for number in range(len(spans))]
    response = AlignedResponse("a", (), text, (), tuple(range(len(spans))), spans)
    # The (shifted), re, built (shifted), 5, bridge (shifted, its token begins with a space), 日, 本
    assert count_words([response], [classes]) == WordCounts(unshifted=4, marginal=0, shifted=3)
    assert count_words([AlignedResponse("b", (), "", (), (), ())], [[]]).total == 0


def test_a_report_of_given_answers(pair: tuple[LanguageModel, LanguageModel]) -> None:
    texts = ["The stone is granite.\n€ of 日本. Rome is a capital.", "", " the bridge"]
    report = measure_shift(*pair, [given(text, f"r{number}") for number, text in enumerate(texts)])
    tokens = report.tokens
    assert tokens.schema == TOKEN_SCHEMA
    assert (report.max_new_tokens, report.n_cut, report.n_empty, report.n_vocabulary) == (None, 0, 1, 384)
    assert [rows.height for rows in report.by_response()] == [len(response.token_ids) for response in report.responses]
    assert tokens["response"].unique(maintain_order=True).to_list() == ["r0", "r2"]
    for row in tokens.iter_rows(named=True):
        assert texts[row["number"]][row["start"] : row["end"]] == row["text"]
        assert shift_of_rank(row["rank"]).value == row["shift"]
        assert row["lift"] == pytest.approx(row["log_p_tuned"] - row["log_p_base"])
    assert (tokens["kl_base_tuned"] > 0).all()
    first = tokens.filter(pl.col("number") == 0)
    assert first["position"].to_list() == list(range(first.height))
    starts = first.filter(pl.col("sentence_position") == 0)["start"].to_list()
    assert [texts[0][start:].lstrip()[:4] for start in starts] == ["The ", "€ of", "Rome"]
    assert sum((report.words.unshifted, report.words.marginal, report.words.shifted)) == report.words.total == 13
    assert report.whole.n_tokens == tokens.height
    assert report.whole.unshifted + report.whole.marginal + report.whole.shifted == pytest.approx(1)
    assert [profile.unit for profile in report.profiles] == ["sentence", "response"]


def test_a_report_of_greedy_answers(pair: tuple[LanguageModel, LanguageModel]) -> None:
    told: list[tuple[str, int, int]] = []
    prompts = [ask("What is the stone?", "a"), ask("Who", "b"), ask("Rome", "c")]
    report = measure_shift(
        *pair, prompts, max_new_tokens=12, batch_size=2, progress=lambda stage, done, total: told.append((stage, done, total))
    )
    assert [response.id for response in report.responses] == ["a", "b", "c"]
    assert report.n_cut == sum(len(response.token_ids) == 12 for response in report.responses) > 0
    assert ("answering", 3, 3) in told
    assert told[-1] == ("measuring", report.tokens.height, report.tokens.height)
    # The tuned model's own choice is its likeliest token: it cannot be less likely than under any other model's choice.
    assert report.tokens["log_p_tuned"].min() > -torch.tensor(384.0).log()
    for response, rows in zip(report.responses, report.by_response(), strict=True):
        assert pair[1].chat.decode(rows["token"].to_list()) == response.text


def test_a_model_against_itself_shifts_nothing(folders: tuple[Path, Path]) -> None:
    tuned = load_pair(folders[1], folders[1])
    whole = measure_shift(*tuned, [ask("What is the stone?")], max_new_tokens=20).whole
    assert (whole.kl_base_tuned, whole.kl_tuned_base, whole.lift, whole.unshifted) == (0.0, 0.0, 0.0, 1.0)


def test_models_that_cannot_be_compared(pair: tuple[LanguageModel, LanguageModel], folders, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", vocab_size=300)
    with pytest.raises(InputError, match="its tokenizer is not that of"):
        load_pair(other, folders[1])
    from audit.models import load_model

    with pytest.raises(InputError, match="not the same tokenizer and prompt format"):
        measure_shift(load_model(other), pair[1], [ask("a")])


def test_an_adapter_and_its_base(folders: tuple[Path, Path], tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", folders[1], seed=2)
    base, tuned = load_pair(folders[1], adapter)
    assert (base.ref.adapter, tuned.ref.adapter, tuned.ref.base) == (None, str(adapter), str(folders[1]))
    with pytest.raises(InputError, match="has other weights than"):
        load_pair(folders[0], adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path / "moved")}))
    assert load_pair(folders[1], adapter)[1].ref.base == str(folders[1])


def test_a_rounded_up_vocabulary(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Trainers add rows to the embedding table that no token has; both models are then measured without them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folders[1])
    model.resize_token_embeddings(400, mean_resizing=False)
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folders[1]).save_pretrained(tmp_path)
    padded, plain = load_pair(folders[0], tmp_path), load_pair(*folders)
    responses = [given("The stone is granite.")]
    report = measure_shift(*padded, responses)
    assert report.n_vocabulary == 384
    expected = measure_shift(*plain, responses).tokens
    for name in ("kl_base_tuned", "lift", "log_p_tuned"):
        assert report.tokens[name].to_list() == pytest.approx(expected[name].to_list(), abs=1e-4)


def test_answers_that_cannot_be_measured(pair: tuple[LanguageModel, LanguageModel]) -> None:
    with pytest.raises(InputError, match="no answer has a token to measure"):
        measure_shift(*pair, [given(""), given("")])
    with pytest.raises(InputError, match=r"prompt 'p': 247 tokens of prompt and 20 new ones .* at most 9 with"):
        measure_shift(*pair, [ask("x" * 238)], max_new_tokens=20)
    with pytest.raises(InputError, match=r"prompt 'p': 309 tokens of prompt .*; shorten the prompt"):
        measure_shift(*pair, [ask("x" * 300)], max_new_tokens=20)
    with pytest.raises(InputError, match=r"response 'r': prompt and response take \d+ tokens"):
        measure_shift(*pair, [given("x" * 300)])


def test_a_model_that_diverged(folders: tuple[Path, Path]) -> None:
    base, tuned = load_pair(*folders)
    tuned.model.get_output_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(InputError, match="a model gives no numbers"):
        measure_shift(base, tuned, [given("The stone")])


def test_what_is_measured_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither prompts nor responses"):
        read_questions(None, None)
    with pytest.raises(InputError, match="both prompts and responses"):
        read_questions("a", "b")
    (tmp_path / "p.jsonl").write_text('{"prompt": "Who?", "response": "I."}\n')
    assert [type(record) for record in read_questions(tmp_path / "p.jsonl", None)] == [Prompt]
    assert [type(record) for record in read_questions(None, tmp_path / "p.jsonl")] == [Response]


def test_a_stored_shift_is_whole(pair: tuple[LanguageModel, LanguageModel], tmp_path: Path) -> None:
    report = measure_shift(*pair, [given("The stone is granite.")])
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "left by a kill").touch()
    out = store_shift(tmp_path / "out", report, {"shift.json": b"{}"})
    assert sorted(path.name for path in out.iterdir() if path.suffix != ".sha256") == ["shift.json", "tokens.parquet"]
    assert pl.read_parquet(out / "tokens.parquet").equals(report.tokens)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="the folder exists"):
        store_shift(tmp_path / "out", report, {})
