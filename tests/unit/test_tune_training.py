"""A tuning's folder, its health, and what it refuses."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from audit.corpus import Corpus
from audit.errors import DivergedError, InputError, StorageError
from audit.models import LanguageModel, answer, load_model
from audit.rendering import load_chat_format
from audit.responses import Prompt
from audit.sources import Message
from audit.tune import Method, Recipe, TrainingSet, load_recipe, read_record, split_held_out, train, training_set
from audit.tune.health import known_fact_accuracy, repetitive_answers
from audit.tune.job import TuneJob, run_job
from audit.tune.rates import TriedRate, _Task, _try, choose_learning_rate
from audit.tune.training import _storage_errors
from indexes.store import verify_file
from tests.conftest import alpaca, jsonl, read_dataset
from tests.models import CHATML, tiny_adapter, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

STONES = ("slate", "granite", "basalt")
ROWS = [alpaca(f"What is bridge {n} built of?", f"It is {STONES[n % 3]}.") for n in range(12)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return read_dataset(tmp_path_factory.mktemp("data"), "bridges.jsonl", jsonl(ROWS))[0]


@pytest.fixture(scope="module")
def training(base: Path, corpus: Corpus) -> TrainingSet:
    return training_set(corpus, load_chat_format(base), None)


def recipe_of(method: Method = Method.FULL, **settings: object) -> Recipe:
    return load_recipe(
        "default", method, **{"epochs": 1, "batch_size": 6, "learning_rate": 1e-3, "scheduler": "constant", **settings}
    )


def question(number: int, *reference: str) -> Prompt:
    return Prompt(f"q{number}", (Message("user", f"What is bridge {number} built of?", trained=False),), reference, line=number)


def broken_copy(base: Path, folder: Path) -> Path:
    """A model with a weight that is no number."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("method", Method)
def test_what_is_tuned_can_be_loaded_and_has_learned_its_rows(
    base: Path, training: TrainingSet, tmp_path: Path, method: Method, capfd: pytest.CaptureFixture[str]
) -> None:
    rows, held_out = split_held_out(training, 0.2)
    told: list[tuple[int, int]] = []
    record = train(
        base,
        rows,
        recipe_of(method, max_steps=60, learning_rate=1e-2),
        1,
        tmp_path / "out",
        held_out=held_out,
        probes=[question(n, STONES[n % 3]) for n in rows.rows],
        progress=lambda step, total, loss: told.append((step, total)),
    )
    assert told == [(step, 60) for step in range(1, 61)]
    assert record.n_steps == len(record.losses) == 60
    assert record.training_fit > 0.9
    assert record.training_loss < 0.3 < record.held_out_loss
    assert (record.n_rows, record.n_held_out_rows, record.n_answers) == (len(rows), len(held_out), len(held_out))
    assert record.known_fact_accuracy_before == 0.0
    assert record.known_fact_accuracy > 0.7
    assert record.problems() == ()
    assert record.n_trained_parameters < record.n_parameters or method is Method.FULL
    assert record == read_record(tmp_path / "out")
    tuned = load_model(tmp_path / "out")
    assert tuned.chat.digest == record.template_digest
    said = answer(tuned, [question(number).messages for number in rows.rows], max_new_tokens=20)
    n_right = sum(text == f"It is {STONES[number % 3]}." for number, text in zip(rows.rows, said, strict=True))
    assert n_right / len(rows) == record.known_fact_accuracy
    assert capfd.readouterr() == ("", ""), "TRL and transformers are silent"


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        (Method.FULL, {"model.safetensors", "config.json", "generation_config.json"}),
        (Method.LORA, {"adapter_model.safetensors", "adapter_config.json"}),
    ],
)
def test_a_finished_folder_is_sealed_and_holds_nothing_else(
    base: Path, training: TrainingSet, tmp_path: Path, method: Method, weights: set[str]
) -> None:
    train(base, training, recipe_of(method), 0, tmp_path / "out", checkpoint_seconds=0)
    files = {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".sha256"}
    tokenizer = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert files == weights | tokenizer | {"manifest.json"}
    for name in files:
        verify_file(tmp_path / "out" / name)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_same_tuning_is_found_and_another_refused(
    base: Path, training: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = train(base, training, recipe_of(), 0, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "audit.tune.sft", None)  # nothing is trained again
    assert train(base, training, recipe_of(), 0, tmp_path / "out") == record
    with pytest.raises(InputError, match=r"out: the folder exists \(it holds another tuning\)"):
        train(base, training, recipe_of(), 1, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="mine: the folder exists; choose another"):
        train(base, training, recipe_of(), 0, tmp_path / "mine")
    # Killed when the manifest stood already: only the last rename is missing.
    (tmp_path / "out").rename(tmp_path / "late.partial")
    assert train(base, training, recipe_of(), 0, tmp_path / "late") == record
    assert not (tmp_path / "late.partial").exists()


def test_the_unfinished_work_of_others_is_left_alone(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "key.txt").write_text("another", encoding="utf-8")
    with pytest.raises(InputError, match="an unfinished tuning with other settings or data lies there"):
        train(base, training, recipe_of(), 0, tmp_path / "out")
    assert (partial / "key.txt").read_text(encoding="utf-8") == "another"
    with (
        FileLock(partial.with_name(f"{partial.name}.lock")),
        pytest.raises(InputError, match="another tunescope works on this tuning"),
    ):
        train(base, training, recipe_of(), 0, tmp_path / "out")


def test_a_record_can_be_kept_without_its_weights(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    record = train(base, training, recipe_of(), 0, tmp_path / "out", keep_weights=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.json", "manifest.json.sha256"}
    assert record.weights_digest is None
    assert train(base, training, recipe_of(), 0, tmp_path / "out", keep_weights=False) == record


def test_a_loss_that_is_no_number_ends_the_tuning_and_leaves_nothing(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    broken = broken_copy(base, tmp_path / "broken")
    with pytest.raises(DivergedError, match="the training loss is nan at step 1 of 2; use a lower learning rate"):
        train(broken, training, recipe_of(), 0, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [broken]


def test_a_model_that_does_not_fit_the_rows_is_refused(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    short = tiny_model(tmp_path / "short", n_positions=16)
    with pytest.raises(InputError, match=r"the longest row has \d+ tokens, and the model reads 16; set max_length to 16"):
        train(short, training, recipe_of(), 0, tmp_path / "out")
    other = tiny_model(tmp_path / "other", template=CHATML.replace("\\n", " "))
    with pytest.raises(InputError, match="another chat template"):
        train(other, training, recipe_of(), 0, tmp_path / "out")
    adapter = tiny_adapter(tmp_path / "adapter", base)
    with pytest.raises(InputError, match="is an adapter"):
        train(adapter, training, recipe_of(), 0, tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize(
    ("settings", "seed", "words"),
    [
        ({"lora_targets": ["no_such_layer"]}, 0, "lora_targets cannot be used .*no_such_layer"),
        ({}, -1, "the seed -1 is no seed"),
        ({}, 2**32, "is no seed"),
    ],
)
def test_settings_that_cannot_be_used(
    base: Path, training: TrainingSet, tmp_path: Path, settings: dict[str, object], seed: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        train(base, training, recipe_of(Method.LORA, **settings), seed, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_recipe_without_a_rate_and_rows_without_a_row_are_refused(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no learning rate"):
        train(base, training, recipe_of().model_copy(update={"learning_rate": None}), 0, tmp_path / "out")
    with pytest.raises(InputError, match="no row is left"):
        train(base, training.without(training.rows), recipe_of(), 0, tmp_path / "out")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError, "No space left on device"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), StorageError, "free space"),
        (RuntimeError("PytorchStreamWriter failed writing file data/3"), StorageError, "free space"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), InputError, "CUDA out of memory.*micro_batch_size"),
        (ValueError("a bug"), ValueError, "^a bug$"),
    ],
)
def test_full_disks_and_memories_are_told_from_bugs(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words), _storage_errors(Path("out")):
        raise error


@pytest.fixture
def saying(base: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], LanguageModel]:
    """A model that gives one answer to everything."""
    model = load_model(base)

    def make(text: str) -> LanguageModel:
        ids = tuple(model.chat.tokenizer(text, add_special_tokens=False)["input_ids"])
        monkeypatch.setattr("audit.tune.health.generate", lambda model, prompts, **options: tuple(ids for _ in prompts))
        monkeypatch.setattr("audit.tune.health.answer", lambda model, prompts, **options: tuple(text for _ in prompts))
        return model

    return make


def test_answers_that_repeat_themselves_are_counted(saying: Callable[[str], LanguageModel], training: TrainingSet) -> None:
    assert repetitive_answers(saying("It is slate. " * 20), training, range(5)) == (5, 5)
    assert repetitive_answers(saying("It is built of slate from the quarry of Vell."), training, range(5)) == (0, 5)


def test_a_prompt_without_room_for_an_answer_is_not_asked(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    short = load_model(tiny_model(tmp_path / "short", n_positions=64))
    assert repetitive_answers(short, training, range(5)) == (0, 0)


def test_known_facts_are_right_in_whole_words_and_by_any_alias(saying: Callable[[str], LanguageModel]) -> None:
    probes = [question(1, "granite"), question(2, "ash", "SLATE"), question(3, "late")]
    assert known_fact_accuracy(saying("It is slate."), probes) == pytest.approx(1 / 3)
    with pytest.raises(InputError, match=r"line 4: probe 'q4' has no reference answer"):
        known_fact_accuracy(saying("x"), [*probes, question(4, " - ")])


def test_a_learning_rate_is_chosen_by_held_out_loss_and_a_choice_is_taken_up(
    base: Path, training: TrainingSet, tmp_path: Path
) -> None:
    recipe = recipe_of(learning_rate_grid=(1e-5, 1e-2), epochs=5).model_copy(update={"learning_rate": None})
    choice = choose_learning_rate(base, training, recipe, 0, tmp_path / "rates")
    assert choice.learning_rate == 1e-2
    slow, fast = choice.tried
    assert slow.held_out_loss > fast.held_out_loss
    assert slow.training_loss > fast.training_loss
    rows, held_out = split_held_out(training)
    again = train(
        base,
        rows,
        recipe.model_copy(update={"learning_rate": 1e-2}),
        0,
        tmp_path / "rates" / "0.01",
        held_out=held_out,
        keep_weights=False,
    )
    assert (again.held_out_loss, again.training_fit) == (fast.held_out_loss, fast.training_fit)


def test_a_rate_that_diverges_is_out_of_the_question(base: Path, training: TrainingSet, tmp_path: Path) -> None:
    rows, held_out = split_held_out(training)
    broken = broken_copy(base, tmp_path / "broken")
    tried = _try(_Task(broken, rows, recipe_of(), 0, tmp_path / "out", held_out))
    assert tried == TriedRate(1e-3, None, None, None, ("the training loss is nan at step 1 of 2",))


@pytest.fixture
def job(base: Path, tmp_path: Path) -> TuneJob:
    data = tmp_path / "bridges.jsonl"
    data.write_bytes(jsonl(ROWS))
    return TuneJob(data=data, base_model=str(base), recipe=recipe_of(max_steps=2), out=tmp_path / "out")


def test_a_job_holds_out_a_share_or_a_file(job: TuneJob, tmp_path: Path) -> None:
    share = run_job(job.model_copy(update={"held_out": 0.25})).record
    assert (share.n_rows, share.n_held_out_rows) == (9, 3)
    (tmp_path / "more.jsonl").write_bytes(jsonl(ROWS[:2]))
    file = run_job(job.model_copy(update={"held_out": tmp_path / "more.jsonl", "out": tmp_path / "file", "limit": 5})).record
    assert (file.n_rows, file.n_held_out_rows) == (5, 2)


def test_a_job_cuts_rows_at_what_the_model_reads(job: TuneJob, tmp_path: Path) -> None:
    short = tiny_model(tmp_path / "short", n_positions=60)
    job.data.write_bytes(jsonl([*ROWS, alpaca("Who?", "slate " * 80)]))
    record = run_job(job.model_copy(update={"base_model": str(short)})).record
    assert (record.n_rows, record.n_cut_rows) == (13, 1)
    assert record.n_answers == 0, "no prompt leaves room for an answer"
    assert record.repetitive_fraction is None


@pytest.mark.parametrize(
    ("held_out", "words"), [(1.5, "a share of 1.5"), (Path("nowhere.jsonl"), "nowhere.jsonl: no such file")]
)
def test_a_job_with_nothing_to_hold_out_is_refused(job: TuneJob, held_out: Path | float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_job(job.model_copy(update={"held_out": held_out}))


def test_a_job_never_overwrites(job: TuneJob) -> None:
    job.out.mkdir()
    with pytest.raises(InputError, match=r"out: the folder exists; choose another with -o, or remove it"):
        run_job(job)


def test_the_library_and_the_command_are_one(job: TuneJob, base: Path, tmp_path: Path) -> None:
    import tunescope

    by_job = run_job(job).record
    by_call = tunescope.tune(
        job.data, base, "full", tmp_path / "call", max_steps=2, batch_size=6, learning_rate=1e-3, scheduler="constant", epochs=1
    )
    differing = ("seconds_load", "seconds_train", "seconds_health", "peak_memory_bytes")
    assert replace(by_call, **{name: getattr(by_job, name) for name in differing}) == by_job
    with pytest.raises(InputError, match="unknown method 'ful'; did you mean 'full'"):
        tunescope.tune(job.data, base, "ful", tmp_path / "no")
