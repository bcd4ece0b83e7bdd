"""The trainer's view beside TRL itself: tokens, labels, rows left out, packed sequences, and where TRL stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from audit.chat_templates import NAMED_TEMPLATES, offered_templates
from audit.config import LossOn, Packing, RowsAs, Truncation
from tests.benchmarks.trainer.by_trl import write_jsonl
from tests.benchmarks.trainer.compared import Mode, compare
from tests.benchmarks.trainer.sets import multi_turn_rows, text_rows, tool_call_rows
from tests.models import write_tokenizer

N_ROWS = 32
# The tokenizer of the tests spells most words out, so that its rows are long.
SHORT, LONG = 900, 2600


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One that puts a beginning-of-sequence token before plain text."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sets")
    sets = {"conversations": multi_turn_rows, "calls": tool_call_rows, "plain": text_rows}
    return {name: write_jsonl(folder / f"{name}.jsonl", list(make(N_ROWS))) for name, make in sets.items()}


def test_every_named_template_is_tried_here(tokenizer: Any) -> None:
    assert offered_templates(tokenizer) == NAMED_TEMPLATES


@pytest.mark.parametrize("template", [template.name for template in NAMED_TEMPLATES])
@pytest.mark.parametrize("loss_on", [None, *LossOn])
def test_conversations(tokenizer: Any, files: dict[str, Path], tmp_path: Path, template: str, loss_on: LossOn | None) -> None:
    as_it_stands = loss_on is not LossOn.COMPLETION
    found = compare(files["conversations"], tokenizer, Mode(template, loss_on, SHORT), tmp_path, as_it_stands=as_it_stands)
    assert found.different == ()
    assert found.n_rows > N_ROWS / 2


@pytest.mark.parametrize("template", ["chatml", "zephyr", "alpaca"])
@pytest.mark.parametrize("loss_on", [LossOn.ASSISTANT, LossOn.COMPLETION, LossOn.ALL])
def test_calls_of_tools(tokenizer: Any, files: dict[str, Path], tmp_path: Path, template: str, loss_on: LossOn) -> None:
    as_it_stands = loss_on is not LossOn.COMPLETION
    found = compare(files["calls"], tokenizer, Mode(template, loss_on, LONG), tmp_path, as_it_stands=as_it_stands)
    assert found.different == ()
    assert bool(found.n_refused) == (template == "alpaca")  # it adds to a content that is null


@pytest.mark.parametrize("loss_on", [None, LossOn.ALL])
@pytest.mark.parametrize("rows_as", list(RowsAs))
def test_plain_prompts(tokenizer: Any, files: dict[str, Path], tmp_path: Path, loss_on: LossOn | None, rows_as: RowsAs) -> None:
    mode = Mode("vicuna", loss_on, SHORT, rows_as=rows_as)
    found = compare(files["plain"], tokenizer, mode, tmp_path, as_it_stands=rows_as is RowsAs.FILE)
    assert (found.n_rows, found.different) == (N_ROWS, ())


@pytest.mark.parametrize("packing", [Packing.BFD, Packing.BFD_SPLIT, Packing.WRAPPED])
def test_packed(tokenizer: Any, files: dict[str, Path], tmp_path: Path, packing: Packing) -> None:
    for name in ("conversations", "plain"):
        found = compare(files[name], tokenizer, Mode("llama2", None, SHORT, packing), tmp_path)
        assert found.different == ()


def test_more_rows_than_are_packed_together(tokenizer: Any, tmp_path: Path) -> None:
    rows = [{"text": "The stone bridge. " * (number % 7), "row": number} for number in range(2050)]
    file = write_jsonl(tmp_path / "text.jsonl", rows)
    for packing in (Packing.BFD, Packing.BFD_SPLIT, Packing.WRAPPED):
        assert compare(file, tokenizer, Mode("alpaca", None, 40, packing), tmp_path).different == ()


def test_the_end_of_rows_is_kept(tokenizer: Any, files: dict[str, Path], tmp_path: Path) -> None:
    for loss_on in (None, LossOn.ASSISTANT):
        mode = Mode("chatml", loss_on, SHORT, truncation=Truncation.KEEP_END)
        assert compare(files["conversations"], tokenizer, mode, tmp_path).different == ()


def test_texts_that_were_rendered_before(tokenizer: Any, tmp_path: Path) -> None:
    texts = ["<|bos|>user What is a river?", "Who?<|im_end|>", "", "The coin. " * 300]
    file = write_jsonl(tmp_path / "text.jsonl", [{"text": text, "row": number} for number, text in enumerate(texts)])
    found = compare(file, tokenizer, Mode("alpaca", None, SHORT), tmp_path, as_it_stands=True)
    assert (found.n_rows, found.different) == (4, ())


def test_a_prompt_that_is_a_list_of_turns_is_one_in_trl_too(tokenizer: Any, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is a river, {number}?"}],
            "completion": [{"role": "assistant", "content": "Water."}],
            "row": number,
        }
        for number in range(3)
    ]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    found = compare(file, tokenizer, Mode("chatml"), tmp_path, as_it_stands=True)
    assert (found.n_rows, found.different) == (3, ())


@pytest.mark.parametrize(
    "template",
    [
        # A space inside the marks, which this tokenizer counts to no token: transformers marks nothing after it.
        "{% for m in messages %}{{ m.role }}:{% generation %}{{ ' ' + m.content }}{% endgeneration %}{% endfor %}",
        "{% for m in messages %}{{ m.role }}:{{ m.content }}{% generation %}{{ eos_token }}{% endgeneration %}{% endfor %}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{{ eos_token }}{% endfor %}",
        "{{ bos_token + bos_token }}{% for m in messages %}{{ m.role + m.content|trim }}{% generation %}{% endgeneration %}"
        "{% endfor %}",
        "{% for m in messages %}{{ m.content.strip() }}{% generation %}{{ m.name + eos_token }}{% endgeneration %}{% endfor %}",
    ],
)
@pytest.mark.parametrize("loss_on", [LossOn.ASSISTANT, LossOn.COMPLETION])
def test_odd_templates(tokenizer: Any, files: dict[str, Path], tmp_path: Path, template: str, loss_on: LossOn) -> None:
    file = tmp_path / "odd.jinja"
    file.write_text(template, "utf-8")
    assert compare(files["conversations"], tokenizer, Mode(str(file), loss_on, SHORT), tmp_path).different == ()


def test_a_tokenizer_without_a_token_at_the_beginning(tmp_path: Path, files: dict[str, Path]) -> None:
    write_tokenizer(tmp_path / "tokenizer")
    described = json.loads((tmp_path / "tokenizer" / "tokenizer.json").read_bytes())
    described["post_processor"] = None
    (tmp_path / "tokenizer" / "tokenizer.json").write_text(json.dumps(described), "utf-8")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    for name in ("plain", "calls"):
        assert compare(files[name], tokenizer, Mode("zephyr", None, SHORT), tmp_path).different == ()


@pytest.mark.parametrize(("name", "n_rows"), [("alpaca/alpaca_21k.jsonl", 1500), ("dolly/dolly_3k.json", 600)])
@pytest.mark.parametrize("template", ["zephyr", "mistral"])
def test_real_rows(shared_data: Path, tmp_path: Path, name: str, n_rows: int, template: str) -> None:
    """The benchmark does the same with all rows, and at more settings."""
    content = (shared_data / name).read_text("utf-8")
    rows = json.loads(content) if name.endswith(".json") else [json.loads(line) for line in content.splitlines()]
    file = write_jsonl(tmp_path / "some.jsonl", rows[:n_rows])
    pythia = shared_data / "tokenizers" / "pythia_tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(pythia), eos_token="<|endoftext|>")
    for loss_on in (None, LossOn.ASSISTANT):
        found = compare(file, tokenizer, Mode(template, loss_on, 256), tmp_path)
        assert (found.n_rows, found.n_refused, found.different) == (n_rows, 0, ())
