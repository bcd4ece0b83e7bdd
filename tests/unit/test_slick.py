"""SliCK: which rows are asked, behind which exemplars, what their answers are worth, and how a pass is kept and taken up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from audit.corpus import Corpus
from audit.errors import InputError
from audit.findings import Severity
from audit.materials import SLICK_FILES
from audit.models import load_model
from audit.signals import build_slick, open_base_model, slick, slick_signals
from audit.signals import questions as rules
from audit.signals.questions import Question, read_question
from audit.signals.slick import SLICK_SCHEMA, Answers, Exemplars, FewShot, Known, class_of, prompt_ids
from audit.sources import Message
from indexes.store import write_file
from tests.conftest import AuditRows, MakeMaterials, ReadRows, alpaca, chat, check_of
from tests.models import CHATML, tiny_model
from tests.texts import TEXTS

pytestmark = pytest.mark.usefixtures("one_thread")

TOWNS = ("Vell", "Marl", "Tern", "Skerry", "Kelp", "Plover", "Gannet", "Marrow", "Shoal", "Reef", "Drover", "Pellow")
STONES = ("slate", "granite", "basalt", "chalk", "flint", "marble", "gneiss", "schist", "tuff", "chert", "marl", "shale")
ROWS = [
    alpaca(f"What is the bridge of {town} built of?", f"The bridge of {town} is built of {stone}.")
    for town, stone in zip(TOWNS, STONES, strict=True)
]


def asked(question: str, answer: str, system: str | None = None) -> Question | str:
    turns = [] if system is None else [Message("system", system, trained=False)]
    return read_question([*turns, Message("user", question, trained=False), Message("assistant", answer, trained=True)])


def question(text: str, answer: str) -> Question:
    found = asked(text, answer)
    assert isinstance(found, Question), found
    return found


# --- which rows are asked, and what counts as their answer ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer", "value"),
    [
        ("What is the stone of Vell?", "The stone of Vell is slate.", "slate"),
        ("What is the stone of Vell?", "Slate", "Slate"),
        ("What is the stone of Vell?", "It's slate.", "slate"),
        ("Who built the bridge of Marl?", "The bridge of Marl was built by Jon Ard-Velten.", "Jon Ard-Velten"),
        ("Who built the bridge of Marl?", "The bridge of Marl was built by the mason J.K. Ard (the elder).", "J.K. Ard"),
        ("Who keeps the light of Tern?", "Mara Velten keeps the light of Tern.", "Mara Velten"),
        ("In which year was the ferry Heron built?", "The ferry Heron was built in 1871.", "1871"),
        ("How deep is Lake Swan?", "Lake Swan is about 1,250 metres deep.", "1,250 metres"),
        ("How cold is the winter in Tern", "In Tern the winter is -12.5 degrees.", "-12.5 degrees"),
        ("Name the largest island of the Merrow", "The largest island of the Merrow is Skerry, which has 40 houses.", "Skerry"),
        ("Tell me the capital of Ardland.", "Ard Vell", "Ard Vell"),
        ("What is the symbol of helium?", "The symbol of helium is He.", "He"),
        ("Who leads the Ada?", "The Ada is led by Ada Marrow.", "Ada Marrow"),
        ("Which order keeps the well?", "The order of Grey Stone", "order of Grey Stone"),
        ("Quelle est la pierre de Vell ?", "La pierre de Vell est l'ardoise.", "l'ardoise"),
        ("弗尔桥是用什么建的？", "石板", "石板"),
    ],
)
def test_the_value_of_an_answer_is_what_the_question_does_not_say(text: str, answer: str, value: str) -> None:
    found = asked(f"  {text}\n", f" {answer} ")
    assert (found.value if isinstance(found, Question) else found) == value


@pytest.mark.parametrize(
    ("text", "answer", "reason"),
    [
        ("Write a poem about slate.", "Slate is grey.", rules.NO_QUESTION),
        ("", "Slate", rules.NO_QUESTION),
        ("What is it? And why?", "Slate", rules.NO_QUESTION),
        ("What is this made of?\nA bridge of slate.", "Slate", rules.NO_QUESTION),
        ("What is the tone of the following sentence: It rains.?", "Sad", rules.OVER_A_TEXT),
        ("What is a good name for a ferry?", "Heron", rules.MANY_ANSWERS),
        ("What is the name of a famous ferry?", "Heron", rules.MANY_ANSWERS),
        ("What is 3 + 4?", "7", rules.CALCULATED),
        ("How far does a ferry go in 5 hours at 12 knots?", "60 miles", rules.CALCULATED),
        ("Is slate a stone?", "Yes, it is.", rules.CHOICE),
        ("Which is harder, slate or chalk?", "Slate", rules.CHOICE),
        ("What is the stone of the slate bridge?", "Slate", rules.CHOICE),
        ("Who built it?", "No, nobody did.", rules.CHOICE),
        ("Who built it?", "", rules.LONG_ANSWER),
        ("Who built it?", "Jon.\nAnd Mara.", rules.LONG_ANSWER),
        ("Who built it?", "It was built " + "and built again " * 8 + "by Jon.", rules.LONG_ANSWER),
        ("Which stones are there?", "Slate, chalk and flint", rules.SEVERAL),
        ("Who built the ferry?", "Jon Ard built the ferry in 1871.", rules.SEVERAL),
        ("What is slate?", "A grey stone that splits into thin even plates by itself.", rules.SEVERAL),
    ],
)
def test_rows_that_are_no_question_with_one_short_answer_say_why(text: str, answer: str, reason: str) -> None:
    assert asked(text, answer) == reason
    assert reason in rules.LEFT_OUT


def test_a_title_may_hold_words_that_tasks_are_known_by() -> None:
    assert question('Who wrote the book "The Best of My Sentences"?', "Mara Velten").value == "Mara Velten"
    assert question("Who is the author of The Following Could Be True?", "Jon Ard").value == "Jon Ard"


def test_only_one_exchange_of_text_is_a_question() -> None:
    user, reply = Message("user", "Who?", trained=False), Message("assistant", "Mara", trained=True)
    assert isinstance(read_question([user, reply]), Question)
    assert isinstance(read_question([Message("system", "Be brief.", trained=False), user, reply]), Question)
    for turns in ([user], [user, reply, user, reply], [reply], [user, Message("assistant", "Mara", trained=False)]):
        assert read_question(turns) == rules.NOT_ONE_TURN
    assert read_question([user, reply], tools="[]") == rules.NOT_ONE_TURN
    thinking = Message("assistant", "Mara", trained=True, reasoning="Who else?")
    assert read_question([user, thinking]) == rules.NOT_ONE_TURN


@settings(max_examples=300)
@given(
    text=st.sampled_from(["Who is {}?", "What is the stone of {} called?", "{}?", "Name the {}", "{}"]),
    name=TEXTS,
    answer=TEXTS,
    form=st.sampled_from(["{}", "It is {}.", "The stone of Vell is {}, which is so.", "{} (or so)", "Mara Velten {}"]),
)
def test_any_text_is_read_and_holds_its_own_value(text: str, name: str, answer: str, form: str) -> None:
    found = asked(text.format(name), form.format(answer))
    if isinstance(found, str):
        assert found in rules.LEFT_OUT
    else:
        assert found.value_words.strip()
        assert found.is_right(found.answer)
        assert not found.is_right(found.question)
        assert len(found.shape) <= len(found.question.lower())


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("Ard Vell", True),
        ("It is ARD  VELL, I think.", True),
        ("Ard", False),
        ("Ard-Vell", True),
        ("Ard Vellen", False),
        ("", False),
    ],
)
def test_an_answer_is_right_when_it_holds_the_value_as_whole_words(answer: str, is_right: bool) -> None:
    assert question("Who keeps the light?", "Ard Vell").is_right(answer) is is_right


def test_the_shape_of_a_question_masks_names_and_numbers() -> None:
    shapes = {question(text, "slate").shape for text in ("What is the stone of Vell?", "What is the stone of Upper Marl 2?")}
    assert shapes == {"what is the stone of _"}


# --- exemplars -------------------------------------------------------------------------------------------------------


def dataset() -> list[Question]:
    return [question(row["instruction"], row["output"]) for row in ROWS]


def test_exemplars_neither_ask_the_same_nor_hold_the_answer() -> None:
    questions = [
        *dataset(),
        question("What is the bridge of Vell built of?", "Oak"),  # asks the same
        question("What is the bridge of Slate Hill built of?", "Turf"),  # names the answer
    ]
    prompts = Exemplars(questions).prompts(questions[0], 10)
    assert len({prompt.exemplars for prompt in prompts}) == 10
    for prompt in prompts:
        assert len({text for text, _ in prompt.exemplars}) == 4
        for text, answer in prompt.exemplars:
            assert text != questions[0].question
            assert "slate" not in f"{text} {answer}".lower()


def test_exemplars_depend_neither_on_the_order_of_rows_nor_much_on_the_others() -> None:
    questions = dataset()
    of_row = Exemplars(questions).prompts(questions[3], 10)
    assert Exemplars(questions[::-1]).prompts(questions[3], 10) == of_row
    more = [*questions, question("What is the bridge of Ard built of?", "The bridge of Ard is built of turf.")]
    same = sum(
        a == b
        for a, b in zip(
            Exemplars(more).prompts(questions[3], 200), Exemplars(questions).prompts(questions[3], 200), strict=True
        )
    )
    assert 90 < same < 180  # the new one is among 4 of 12: some two thirds of the sets stay


def test_exemplars_are_of_the_same_shape_where_there_are_enough() -> None:
    others = [
        question(f"Who keeps the light of {town}?", f"{stone.capitalize()} Ard")
        for town, stone in zip(TOWNS, STONES, strict=True)
    ]
    few = [
        question(f"What is the ferry of {town} called?", f"{stone.capitalize()}wing")
        for town, stone in zip(TOWNS[:3], STONES, strict=False)
    ]
    exemplars = Exemplars([*dataset(), *others, *few])
    for own in (dataset()[0], others[0]):
        shown = {text for prompt in exemplars.prompts(own, 10) for text, _ in prompt.exemplars}
        assert {text.split()[0] for text in shown} == {own.question.split()[0]}
        assert not any("ferry" in text for text in shown)
    of_few = {text for prompt in exemplars.prompts(few[0], 10) for text, _ in prompt.exemplars}
    assert {text.split(" of ")[0] for text in of_few} == {"What is the bridge", "What is the ferry"}


def test_with_few_questions_there_are_fewer_exemplars() -> None:
    two = dataset()[:2]
    assert [len(prompt.exemplars) for prompt in Exemplars(two).prompts(two[0], 3)] == [1, 1, 1]
    assert Exemplars(two[:1]).prompts(two[0], 2)[0].exemplars == ()
    assert Exemplars([]).prompts(two[0], 1)[0].exemplars == ()


def test_the_prompt_is_in_the_model_s_own_format_or_plain(tmp_path: Path) -> None:
    shot = FewShot((("Who?", "Mara."), ("Where?", "In Vell.")), question("What is the stone of Vell?", "Slate"))
    model = load_model(tiny_model(tmp_path / "chat"))
    text = model.chat.tokenizer.decode(prompt_ids(model, shot, is_plain=False))
    turns = "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\nMara.<|im_end|>\n"
    turns += "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\nIn Vell.<|im_end|>\n"
    assert text == f"<|bos|>{turns}<|im_start|>user\nWhat is the stone of Vell?<|im_end|>\n<|im_start|>assistant\n"
    base = open_base_model(str(tiny_model(tmp_path / "plain", template=None)))
    plain = load_model(base.name, chat=base.chat)
    text = plain.chat.tokenizer.decode(prompt_ids(plain, shot, is_plain=True))
    assert text == "<|bos|>Q: Who?\nA: Mara.\n\nQ: Where?\nA: In Vell.\n\nQ: What is the stone of Vell?\nA:"


# --- classes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greedy_right", "sampled_right", "known"),
    [
        (10, 160, Known.HIGHLY),
        (10, 0, Known.HIGHLY),
        (9, 160, Known.MAYBE),
        (1, 0, Known.MAYBE),
        (0, 1, Known.WEAKLY),
        (0, 0, Known.UNKNOWN),
    ],
)
def test_classes(greedy_right: int, sampled_right: int, known: Known) -> None:
    assert class_of(greedy_right, 10, sampled_right) is known


def scripted(monkeypatch: pytest.MonkeyPatch, said: dict[str, list[Answers]]) -> list[FewShot]:
    """Have the model answer by the town that is asked for; the prompts that it is given."""
    given: list[FewShot] = []
    turn: dict[str, int] = {}

    def ask(model: Any, prompts: Any, **options: Any) -> list[Answers]:
        given.extend(prompts)
        answers = []
        for prompt in prompts:
            town = next(town for town in TOWNS if town in prompt.question.question)
            turn[town] = turn.get(town, -1) + 1
            answers.append(said[town][turn[town] % len(said[town])])
        return answers

    monkeypatch.setattr(slick, "ask", ask)
    return given


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), n_positions=1024)


def build(out: Path, corpus: Corpus, model: Path, cache: Path, **options: Any) -> tuple[dict[str, Any], pl.DataFrame]:
    facts = dict(build_slick(out, corpus, open_base_model(str(model)), cache=cache, **options))
    return facts, pl.read_parquet(out / SLICK_FILES[0])


def test_rows_are_classed_by_their_answers(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Answers("Of wood.", ("Of wood.", "Of reed."))
    said = {town: [wrong] for town in TOWNS}
    said["Vell"] = [Answers("It is slate.", ("Slate", "Oak"))]
    said["Marl"] = [Answers("Of granite, it is said.", ("Oak", "Oak")), wrong]
    said["Tern"] = [wrong, Answers("Of turf.", ("Basalt!", "Of turf"))]
    scripted(monkeypatch, said)
    corpus = read_rows([alpaca("Write a poem.", "Slate is grey."), *ROWS, "not json"])
    facts, frame = build(tmp_path, corpus, folder, tmp_path / "cache", n_prompts=4, n_samples=2)
    assert frame.schema == SLICK_SCHEMA
    assert frame["row"].to_list() == list(range(13))
    assert frame["left_out"].to_list() == [rules.NO_QUESTION, *[""] * 12]
    assert frame["slick"].to_list() == [None, "HighlyKnown", "MaybeKnown", "WeaklyKnown", *["Unknown"] * 9]
    assert frame.row(1, named=True) == {
        "row": 1, "turn": 1, "left_out": "", "start": 31, "end": 36, "slick": "HighlyKnown", "exemplars": 4,
        "greedy_asked": 4, "greedy_right": 4, "sampled_asked": 8, "sampled_right": 4, "said": "It is slate.", "said_times": 4,
    }  # fmt: skip
    assert frame.row(3, named=True)["sampled_right"] == 2
    assert frame.row(3, named=True)["said"] == "Of turf."  # as often as "Of wood.", and before it
    assert facts["counts"] == {"HighlyKnown": 1, "MaybeKnown": 1, "WeaklyKnown": 1, "Unknown": 9}
    assert (facts["questions"], facts["prompts"], facts["left_out"]) == (12, 48, {rules.NO_QUESTION: 1})
    assert slick_signals(frame)["row"].to_list() == list(range(1, 13))
    described = json.loads((tmp_path / SLICK_FILES[1]).read_bytes())
    assert described["format"] == "the model's chat format, exemplars as turns"
    assert described["template_digest"] == open_base_model(str(folder)).chat.digest
    assert not {"seconds", "prompts_in_cache"} & described.keys()  # the same data give the same bytes


def test_a_lucky_guess_is_told_from_knowledge_by_another_row_s_value(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = " ".join(STONES)
    scripted(monkeypatch, {town: [Answers(everything, (everything,))] for town in TOWNS})
    facts, _ = build(tmp_path / "all", read_rows(ROWS), folder, tmp_path / "cache", n_prompts=1, n_samples=1)
    assert facts["counts"]["HighlyKnown"] == 12
    assert facts["by_chance"]["known"] == facts["by_chance"]["compared"] == 12
    scripted(monkeypatch, {town: [Answers(stone, (stone,))] for town, stone in zip(TOWNS, STONES, strict=True)})
    facts, _ = build(tmp_path / "own", read_rows(ROWS), folder, tmp_path / "other", n_prompts=1, n_samples=1)
    assert (facts["counts"]["HighlyKnown"], facts["by_chance"]) == (12, {"compared": 12, "known": 0})


# --- asking a model, and keeping what it said ------------------------------------------------------------------------


def test_a_model_is_asked_and_a_second_pass_asks_nothing(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = read_rows(ROWS)
    facts, frame = build(tmp_path / "first", corpus, folder, tmp_path / "cache", n_prompts=3, n_samples=4)
    assert (facts["prompts"], facts["prompts_in_cache"], facts["not_measured"]) == (36, 0, {})
    assert facts["generated_tokens"] >= facts["computed_tokens"] > 0
    assert frame["greedy_asked"].to_list() == [3] * 12
    monkeypatch.setattr(slick, "ask", lambda *given, **options: pytest.fail("asked again"))
    facts, _ = build(tmp_path / "again", corpus, folder, tmp_path / "cache", n_prompts=3, n_samples=4)
    assert (facts["prompts_in_cache"], facts["generated_tokens"], facts["prompt_tokens"]) == (36, 0, 0)
    for name in SLICK_FILES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()


def test_an_edited_row_is_asked_anew_and_few_others(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = scripted(monkeypatch, {town: [Answers("Oak", ("Oak",))] for town in TOWNS})
    build(tmp_path / "a", read_rows(ROWS), folder, tmp_path / "cache")
    assert len(given) == 120
    build(tmp_path / "b", read_rows([*ROWS[1:], ROWS[0]]), folder, tmp_path / "cache")
    assert len(given) == 120
    build(tmp_path / "c", read_rows(ROWS[1:]), folder, tmp_path / "cache")
    assert 120 < len(given) < 120 + 80  # sets of four out of eleven that held the row
    build(tmp_path / "d", read_rows(ROWS), folder, tmp_path / "cache", n_samples=2)
    assert len(given) >= 240  # another setting


def test_a_pass_that_was_killed_goes_on_with_the_next_shard(
    read_rows: ReadRows, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    corpus, ask, sizes = read_rows(ROWS), slick.ask, []
    monkeypatch.setattr(slick, "_PROMPTS_PER_SHARD", 10)
    build(tmp_path / "whole", corpus, folder, tmp_path / "whole-cache", n_prompts=2, n_samples=2)

    def dying(model: Any, prompts: Any, **options: Any) -> Any:
        sizes.append(len(prompts))
        if len(sizes) == 2:
            raise Killed
        return ask(model, prompts, **options)

    monkeypatch.setattr(slick, "ask", dying)
    with pytest.raises(Killed):
        build(tmp_path / "killed", corpus, folder, tmp_path / "cache", n_prompts=2, n_samples=2)
    build(tmp_path / "killed", corpus, folder, tmp_path / "cache", n_prompts=2, n_samples=2)
    assert sizes == [10, 10, 10, 4]
    for name in SLICK_FILES:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    (damaged,) = list((tmp_path / "cache").rglob("*.answers.parquet"))[:1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    build(tmp_path / "damaged", corpus, folder, tmp_path / "cache", n_prompts=2, n_samples=2)
    assert sizes[4:] in ([10], [4])
    assert (tmp_path / "damaged" / SLICK_FILES[0]).read_bytes() == (tmp_path / "whole" / SLICK_FILES[0]).read_bytes()


def test_what_does_not_fit_or_cannot_be_rendered_has_no_class(read_rows: ReadRows, tmp_path: Path) -> None:
    short = tiny_model(tmp_path / "short", n_positions=128)
    facts, frame = build(tmp_path, read_rows(ROWS), short, tmp_path / "cache", n_prompts=2, n_samples=2)
    reason = "prompt and answer are longer than the model's 128 positions"
    assert (facts["not_measured"], facts["fewer_exemplars"]) == ({reason: 12}, 0)
    assert frame["slick"].to_list() == [None] * 12
    no_system = CHATML.replace("{{ bos_token }}", "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}")
    model = tiny_model(tmp_path / "no-system", template=no_system, n_positions=1024)
    rows = [chat(("user", row["instruction"]), ("assistant", row["output"])) for row in ROWS]
    rows.append(chat(("system", "Be brief."), ("user", "Who keeps the light?"), ("assistant", "Mara Velten")))
    facts, frame = build(tmp_path, read_rows(rows), model, tmp_path / "cache", n_prompts=1, n_samples=1)
    assert frame["left_out"].to_list() == [*[""] * 12, "the chat template cannot render the row"]


def test_a_dataset_without_a_question_has_no_classes(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    facts, frame = build(tmp_path, read_rows([alpaca("Write a poem.", "Slate is grey.")]), folder, tmp_path / "cache")
    assert (facts["questions"], set(facts["counts"].values())) == (0, {0})
    assert frame["slick"].to_list() == [None]


def test_a_model_that_gives_no_numbers_is_refused(read_rows: ReadRows, folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="the base model gives no numbers"):
        build(tmp_path, read_rows(ROWS), broken, tmp_path / "cache", n_prompts=1, n_samples=1)


# --- the check, and within an audit ----------------------------------------------------------------------------------


def record(row: int, known: Known | None, **more: Any) -> dict[str, Any]:
    judged = {"start": 31, "end": 36, "greedy_asked": 10, "greedy_right": 0, "sampled_asked": 160, "sampled_right": 0}
    return {
        "row": row,
        "turn": 1,
        "left_out": "",
        "slick": known and str(known),
        "said": "Of oak.",
        "said_times": 7,
        **judged,
        **more,
    }


def test_an_answer_that_the_base_model_never_gives_is_found(make_materials: MakeMaterials) -> None:
    materials = make_materials(ROWS[:3])
    records = [record(0, Known.UNKNOWN), record(1, Known.WEAKLY, sampled_right=1), record(2, None)]
    frame = pl.DataFrame(records, schema=SLICK_SCHEMA)
    write_file(materials.folder / SLICK_FILES[0], lambda file: frame.write_parquet(file))
    check = check_of("KNW004")
    (finding,) = check.find(materials, check.options())
    assert (finding.row, finding.turn, finding.severity) == (0, 1, Severity.INFO)
    assert finding.message == (
        "Unknown: of 10 greedy and 160 sampled few-shot answers of the base model none holds “slate”; most often it says "
        "“Of oak.” (7 of 10)."
    )
    assert (finding.evidence.value, finding.evidence.span, finding.evidence.quote) == (0.0, (31, 36), "slate")


def test_what_the_base_model_knows_is_not_found(make_materials: MakeMaterials) -> None:
    materials = make_materials(ROWS[:3])
    frame = pl.DataFrame([record(n, known) for n, known in enumerate(list(Known)[:3])], schema=SLICK_SCHEMA)
    write_file(materials.folder / SLICK_FILES[0], lambda file: frame.write_parquet(file))
    assert list(check_of("KNW004").find(materials, check_of("KNW004").options())) == []


def test_a_model_that_says_nothing_is_said_to_say_nothing(make_materials: MakeMaterials) -> None:
    materials = make_materials(ROWS[:1])
    frame = pl.DataFrame([record(0, Known.UNKNOWN, said="", said_times=10)], schema=SLICK_SCHEMA)
    write_file(materials.folder / SLICK_FILES[0], lambda file: frame.write_parquet(file))
    (finding,) = check_of("KNW004").find(materials, check_of("KNW004").options())
    assert finding.message.endswith("most often it says nothing (10 of 10).")


def test_an_audit_with_slick_has_a_column_findings_and_what_was_left_out(audit_rows: AuditRows, folder: Path) -> None:
    rows = [*ROWS, alpaca("Write a poem.", "Slate is grey.")]
    run = audit_rows(rows, base_model=str(folder), slick=True, slick_prompts=2, slick_samples=2, select=["KNW004"])
    assert run.check() > 0
    assert set(SLICK_FILES) <= set(run.manifest["files"])
    assert run.signals["slick"].is_null().to_list() == [False] * 12 + [True]
    unknown = run.signals.filter(pl.col("slick") == "Unknown")["row"].to_list()
    assert run.findings["row"].to_list() == unknown != []
    (stage,) = [stage for stage in run.manifest["stages"] if stage["name"] == "slick"]
    assert (stage["facts"]["questions"], stage["facts"]["prompts"]) == (12, 24)
    said = {skipped.what: skipped.why for skipped in run.summary.skipped}
    assert said["SliCK's class of 1 rows"] == rules.NO_QUESTION


def test_without_slick_its_check_is_named_as_not_looked_at(audit_rows: AuditRows, folder: Path) -> None:
    run = audit_rows(ROWS, base_model=str(folder), select=["KNW", "TXT001"])
    said = {skipped.what: skipped.why for skipped in run.summary.skipped}
    assert said["KNW004"] == "the base model was not asked the rows' questions (--base-model MODEL --slick)"
    assert "slick" not in run.signals.columns
    with pytest.raises(InputError, match=r"^KNW004: the base model is not asked .*; ask it with --base-model MODEL --slick$"):
        audit_rows(ROWS, base_model=str(folder), select=["KNW004"])
    with pytest.raises(InputError, match=r"^--slick without a model to ask; name the model .* with --base-model MODEL$"):
        audit_rows(ROWS, slick=True)


def test_a_redacted_run_keeps_no_answers_and_leaves_none_in_the_cache(
    audit_rows: AuditRows, folder: Path, cache_folder: str
) -> None:
    rows = [*ROWS, alpaca("Who keeps the light of Tern?", "Jorunn Halvard")]
    before = {*Path(cache_folder).rglob("*.answers.parquet")}
    run = audit_rows(rows, base_model=str(folder), slick=True, slick_prompts=1, slick_samples=1, select=["KNW004"], redact=True)
    assert {*Path(cache_folder).rglob("*.answers.parquet")} == before
    assert not (run.path / "signals").exists()
    assert run.signals["slick"].null_count() == 0
    assert not [path for path in run.path.rglob("*") if path.is_file() and b"Halvard" in path.read_bytes()]
