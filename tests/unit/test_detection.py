"""Detectors by hand: doubts, marked words, spans as tokens of a model, sampled answers, files of other tools."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.errors import InputError
from audit.models import LanguageModel, generate
from audit.responses import Response, Span, read_responses
from audit.shift import load_pair, measure_shift
from audit.sources import Message
from audit.trace.detection import (
    DETECTORS,
    Detection,
    DetectorName,
    DoubtfulToken,
    detect_spans,
    doubts_of_words,
)
from audit.trace.detectors import (
    ConsistencyDetector,
    FileDetector,
    GivenDetector,
    ReferenceDetector,
    ShiftDetector,
    sample_answers,
    spans_by_consistency,
    spans_by_reference,
    spans_by_shift,
    wording_of,
)
from tests.models import tiny_model

TEXT = "The stone is Lake Mire slate."


def claim(response: str = TEXT, prompt: str = "What is the stone?", identity: str = "c1", **fields: Any) -> Response:
    return Response(identity, (Message("user", prompt, trained=False),), response, **fields)


def texts(detection: Detection) -> list[str]:
    for span in detection.spans:
        assert span.text == detection.response.response[span.start : span.end]
    return [span.text for span in detection.spans]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[LanguageModel, LanguageModel]:
    base = tiny_model(tmp_path_factory.mktemp("base"))
    return load_pair(base, tiny_model(tmp_path_factory.mktemp("tuned"), seed=1))


class Fixed:
    """A detector of given doubts."""

    name = DetectorName.SHIFT
    min_doubt = 0.5

    def __init__(self, *tokens: tuple[int, int, float]) -> None:
        self.tokens = tuple(DoubtfulToken(*token) for token in tokens)

    def doubts(self, responses: object) -> tuple[tuple[DoubtfulToken, ...], ...]:
        return (self.tokens,)


def test_all_detectors_have_a_name() -> None:
    assert DETECTORS == ("given", "reference", "shift", "consistency", "file")
    classes = (GivenDetector, ReferenceDetector, ShiftDetector, ConsistencyDetector, FileDetector)
    assert tuple(detector.name for detector in classes) == DETECTORS


def test_a_word_has_the_highest_doubt_of_its_tokens_and_a_space_of_none() -> None:
    # " Mi" and "re" are tokens with the space before them; the last holds a space only.
    tokens = [DoubtfulToken(*token) for token in ((17, 20, 0.2), (20, 22, 0.7), (22, 23, 1.0))]
    assert [word.doubt for word in doubts_of_words(TEXT, tokens)] == [0, 0, 0, 0, 0.7, 0]
    assert doubts_of_words("", []) == ()


def test_marked_words_are_whole_and_those_that_stand_together_are_one_span() -> None:
    (found,) = detect_spans(Fixed((0, 3, 0.9), (17, 19, 0.5), (22, 25, 0.8), (28, 29, 1.0)), [claim()])
    assert found.spans == (Span(18, 28, "Mire slate", 0.8),)
    assert (found.detector, found.min_doubt) == ("shift", 0.5)
    assert found.response == replace(claim(), spans=found.spans)
    (strict,) = detect_spans(Fixed((17, 19, 0.5), (22, 25, 0.8)), [claim()], min_doubt=0.6)
    assert texts(strict) == ["slate"]


def test_what_is_found_takes_the_place_of_the_spans_that_were_there() -> None:
    (found,) = detect_spans(Fixed((4, 9, 0.1)), [claim(spans=(Span(4, 9, "stone"),))])
    assert found.spans == ()


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan")])
def test_a_least_doubt_is_from_0_to_1(least: float) -> None:
    with pytest.raises(InputError, match=r"a least doubt of .*; give a number from 0 to 1"):
        detect_spans(Fixed(), [claim()], min_doubt=least)


def test_given_spans_stay_as_they_are_though_they_cut_a_word() -> None:
    spans = (Span(0, 6, "The st"), Span(13, 14, "L", 0.4))
    (found,) = detect_spans(GivenDetector(), [claim(spans=spans)])
    assert found.spans == spans
    assert found.tokens == (DoubtfulToken(0, 6, 1.0), DoubtfulToken(13, 14, 0.4))
    (found,) = detect_spans(FileDetector(), [claim(spans=spans)], min_doubt=0.5)
    assert (found.spans, found.detector) == (spans[:1], "file")


def test_right_answers_of_the_file_show_what_is_wording() -> None:
    asked = ("Of what is the crown?", "Of what is the cup?", "Of what is the bell?")
    right = [
        claim("Masons cut slate for the crown.", asked[0], reference=("slate",)),
        claim("Masons cut granite for the cup.", asked[1], reference=("granite",)),
    ]
    wrong = claim("Masons cut basalt for the bell.", asked[2], reference=("marble",))
    assert wording_of([*right, wrong]) >= {"masons", "cut"}
    assert not {"slate", "granite", "basalt"} & wording_of([*right, wrong])
    found = spans_by_reference([*right, wrong])
    assert [texts(detection) for detection in found] == [[], [], ["basalt"]]
    assert {token.doubt for token in found[2].tokens} == {0, 0.5, 1}
    # One right value alone shows nothing: what stands beside it may go with it.
    assert wording_of([right[0], replace(right[0], id="again")]) == frozenset()
    assert [texts(detection) for detection in spans_by_reference([right[0], wrong])] == [[], ["Masons cut basalt"]]


def test_a_detector_by_reference_needs_one() -> None:
    with pytest.raises(InputError, match=r"response 'c2' \(line 3\): no right answer to compare with; give its reference"):
        spans_by_reference([claim(reference=("slate",)), claim(identity="c2", line=3)])


def test_shift_doubts_what_tuning_made_likelier(pair: tuple[LanguageModel, LanguageModel]) -> None:
    responses = [claim(), claim("Paris is the capital of slate and granite.")]
    base, tuned = pair
    found = spans_by_shift(base, tuned, responses)
    frames = list(measure_shift(base, tuned, responses).by_response())
    for detection, frame in zip(found, frames, strict=True):
        assert detection.detector == "shift"
        for token, row in zip(detection.tokens, frame.rows(named=True), strict=True):
            expected = 1 - 2.718281828459045 ** -row["lift"] if row["rank"] > 1 and row["lift"] > 0 else 0
            assert (token.start, token.end, token.doubt) == (row["start"], row["end"], pytest.approx(expected))
    assert any(detection.spans for detection in found)
    assert all(detection.spans == () for detection in spans_by_shift(base, base, responses))


def test_words_that_samples_lack_are_doubted_and_those_of_the_prompt_are_not() -> None:
    samples = [["The stone is slate.", "It is 1,000 slate", "granite", "Granite, of Lake Loon"]]
    (found,) = detect_spans(ConsistencyDetector(samples), [claim("The stone is Lake Mire slate of 1000.")])
    doubts = {found.response.response[t.start : t.end]: t.doubt for t in found.tokens}
    assert doubts == {"The": 0, "stone": 0, "is": 0, "Lake": 0.75, "Mire": 1, "slate": 0.5, "of": 0, "1000": 0.75}
    assert [(span.text, span.confidence) for span in found.spans] == [("Lake Mire slate", 1), ("1000", 0.75)]


@pytest.mark.parametrize(
    ("samples", "said"),
    [([], "samples of 0 answers for 1"), ([[]], "response 'c1': no sampled answers to compare with")],
)
def test_samples_are_needed_for_every_answer(samples: list[list[str]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        detect_spans(ConsistencyDetector(samples), [claim()])


def test_samples_depend_on_prompt_and_seed_not_on_batch_or_company(pair: tuple[LanguageModel, LanguageModel]) -> None:
    _, model = pair
    asked = [claim(prompt=prompt) for prompt in ("What is the stone?", "Who built the bridge in Rome?", "What is the stone?")]
    draw = {"n_samples": 3, "max_new_tokens": 6}
    first, second, again = sample_answers(model, asked, **draw)  # type: ignore[arg-type]
    assert first == again
    assert len({*first, *second}) > 2
    assert sample_answers(model, asked[1:2], batch_size=1, **draw) == (second,)  # type: ignore[arg-type]
    assert sample_answers(model, asked[:1], n_samples=2, max_new_tokens=6) == (first[:2],)
    assert sample_answers(model, asked[:1], seed=1, **draw) != (first,)  # type: ignore[arg-type]


def test_almost_without_temperature_a_sample_is_the_greedy_answer(pair: tuple[LanguageModel, LanguageModel]) -> None:
    _, model = pair
    (ids,) = generate(model, [model.chat.prompt(claim().messages)], max_new_tokens=6)
    assert sample_answers(model, [claim()], n_samples=2, temperature=1e-6, max_new_tokens=6) == ((model.chat.decode(ids),) * 2,)


def test_first_tokens_are_drawn_as_often_as_the_model_says(pair: tuple[LanguageModel, LanguageModel]) -> None:
    import numpy as np
    import torch

    _, model = pair
    prompt = model.chat.prompt(claim().messages)
    with torch.inference_mode():
        p = model.model(torch.tensor([prompt])).logits[0, -1].softmax(dim=-1).numpy()
    (samples,) = sample_answers(model, [claim()], n_samples=400, max_new_tokens=1, batch_size=200)
    likely = [number for number in np.argsort(-p)[:3].tolist() if number not in model.chat.eos_ids]
    for number in likely:
        text = model.chat.decode([number])
        n_same = sum(p[other] for other in range(len(p)) if model.chat.decode([other]) == text)
        share = sum(sample == text for sample in samples) / len(samples)
        assert abs(share - n_same) < 4 * (n_same * (1 - n_same) / len(samples)) ** 0.5


def test_spans_by_consistency_draws_its_samples(pair: tuple[LanguageModel, LanguageModel]) -> None:
    _, model = pair
    (found,) = spans_by_consistency(model, [claim()], n_samples=2, max_new_tokens=3)
    (samples,) = sample_answers(model, [claim()], n_samples=2, max_new_tokens=3)
    assert found == detect_spans(ConsistencyDetector([samples]), [claim()])[0]


@pytest.mark.parametrize(
    "wrong", [{"n_samples": 0}, {"temperature": 0.0}, {"temperature": float("inf")}, {"max_new_tokens": 0}]
)
def test_numbers_that_draw_nothing_are_refused(pair: tuple[LanguageModel, LanguageModel], wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give whole numbers from 1, and a temperature above 0"):
        sample_answers(pair[1], [claim()], **wrong)


def test_a_prompt_without_room_for_an_answer_is_named(pair: tuple[LanguageModel, LanguageModel]) -> None:
    with pytest.raises(InputError, match=r"response 'c1': \d+ tokens of prompt and 250 new ones are more than the model's 256"):
        sample_answers(pair[1], [claim()], max_new_tokens=250)


def span(start: int, end: int, text: str = TEXT) -> Span:
    return Span(start, end, text[start:end])


def written(folder: Path, response: str, **fields: object) -> Path:
    path = folder / "answers.jsonl"
    path.write_text(
        json.dumps({"prompt": "What?", "response": response, **fields}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return path


def tokens(*predictions: tuple[str, int, float]) -> list[dict[str, object]]:
    return [{"token": token, "pred": pred, "prob": prob} for token, pred, prob in predictions]


def test_spans_of_lettucedetect_load_with_their_confidence(tmp_path: Path) -> None:
    marks = [{"start": 12, "end": 17, "confidence": 0.97, "text": "40 km", "category": "numeric"}]
    (response,) = read_responses(written(tmp_path, "The lake is 40 km.", spans=marks))
    assert detect_spans(FileDetector(), [response])[0].spans == (Span(12, 17, "40 km", 0.97),)


@pytest.mark.parametrize(
    ("response", "predictions", "spans"),
    [
        pytest.param(
            "The lake is 40 km.",
            [
                ("The", 0, 0.1),
                (" lake", 0, 0.1),
                (" is", 0, 0.2),
                (" 40", 1, 0.7),
                (" km", 1, 0.9),
                (".", 0, 0),
                ("[SEP]", 1, 1),
            ],
            [("40 km", 12, 0.9)],
            id="byte-level",
        ),
        pytest.param(
            "Tarrowville is",
            [("Tarrow", 1, 0.6), ("##ville", 0, 0.1), ("is", 1, 0.8)],
            [("Tarrow", 0, 0.6), ("is", 12, 0.8)],
            id="word pieces",
        ),
        pytest.param(
            "A 🙂 b",
            [("A", 0, 0.1), (" \ufffd", 1, 0.9), ("\ufffd", 1, 0.6), (" b", 0, 0.2)],
            [("🙂", 2, 0.9)],
            id="parts of a character",
        ),
        pytest.param(
            "A 🙂",
            [("A", 1, 0.6), (" \ufffd", 1, 0.9), ("\ufffd", 1, 0.6), ("</s>", 0, 0.2)],
            [("A 🙂", 0, 0.9)],
            id="parts at the end",
        ),
        pytest.param("A\n b", [("A", 1, 0.6), ("\n", 0, 0.9), (" b", 1, 0.7)], [("A\n b", 0, 0.7)], id="white space"),
    ],
)
def test_tokens_of_lettucedetect_become_spans(
    tmp_path: Path, response: str, predictions: list[tuple[str, int, float]], spans: list[tuple[str, int, float]]
) -> None:
    (read,) = read_responses(written(tmp_path, response, spans=tokens(*predictions)))
    assert [(span.text, span.start, span.confidence) for span in read.spans] == spans


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        (
            tokens(("Tarrow", 0, 0.1), ("hill", 1, 0.9)),
            "the token 'hill' does not follow at 6 in the response; write the tokens",
        ),
        (
            [{"token": "Tarrow", "pred": 2, "prob": 0.4}],
            "unknown form of token .*; write {token, pred, prob}, pred being 0 or 1",
        ),
        ([{"token": "Tarrow", "pred": 1, "prob": "high"}], "the confidence of a span is 'high'"),
    ],
)
def test_tokens_of_another_response_or_form_are_refused(tmp_path: Path, spans: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_responses(written(tmp_path, "Tarrowville", spans=spans))


def test_sentences_that_uqlm_is_not_confident_of_become_spans(tmp_path: Path) -> None:
    claims = [
        {"sentence": "It is slate.", "removed": False, "entailment": 0.25, "noncontradiction": 0.9},
        {"sentence": "It is old.", "removed": False, "entailment": 0.8, "noncontradiction": 0.1},
    ]
    path = written(tmp_path, "It is slate. It is old.", claims_data=claims, entailment=0.5, sampled_responses=["It is tin."])
    assert read_responses(path)[0].spans == (Span(0, 12, "It is slate.", 0.75),)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        (
            [{"claim": "The stone is slate.", "entailment": 0.1}],
            "the claim 'The stone is slate.' does not stand in the response",
        ),
        ([{"claim": "It is slate."}], "unknown form of claim"),
        ([{"entailment": 0.1}], "unknown form of claim"),
        ({"claim": "It is slate."}, "'claims_data' is not a list of objects"),
    ],
)
def test_claims_that_say_of_no_word_that_it_is_false_are_refused(tmp_path: Path, claims: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_responses(written(tmp_path, "It is slate.", claims_data=claims))


def test_scores_of_a_whole_response_mark_nothing(tmp_path: Path) -> None:
    assert read_responses(written(tmp_path, "It is slate.", min_probability=0.1, confidence_score=0.2))[0].spans == ()
