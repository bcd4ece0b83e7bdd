"""The trainer's view in every form of the report: what concerns every row first, and nothing of it where no tokenizer is."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.config import make_config
from audit.pipeline import run_audit
from audit.rundir import Run
from reports.markdown import audit_markdown
from reports.render import render_audit
from reports.terminal import audit_report
from tests.conftest import alpaca, chat, jsonl
from tests.models import write_tokenizer

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/audit.schema.json").read_text("utf-8"))
ENDLESS = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "[red]<b onclick=alert(1)>\u202e"
    folder.mkdir()
    write_tokenizer(folder, template=None)
    return folder


def audited(tmp_path: Path, encoder: str, **settings: object) -> Run:
    rows = [
        chat(("system", "Be brief."), ("user", "Name a river."), ("assistant", "The Oder.")),
        *(alpaca_as_chat(number) for number in range(8)),
    ]
    (tmp_path / "data.jsonl").write_bytes(jsonl(rows))
    config = make_config({"data": str(tmp_path / "data.jsonl"), "encoder": encoder, "select": ["TRN"], **settings})
    return run_audit(config, tmp_path / "run", render=render_audit)


def alpaca_as_chat(number: int) -> dict[str, object]:
    row = alpaca(f"Name river {number}.", "The Oder. " * (number * 4 + 1))
    return chat(("user", row["instruction"]), ("assistant", row["output"]))


def printed(run: Run) -> str:
    console = Console(file=io.StringIO(), width=110)
    console.print(audit_report(run.summary, run.catalog, run.findings, run.path))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_that_trl_would_stop(tmp_path: Path, tiny_model: str, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tokenizer.parent)  # long names are cut
    run = audited(tmp_path, tiny_model, tokenizer=tokenizer.name, chat_template="mistral", max_length=100)
    text = printed(run)
    alarm = "TRL stops at 1 row, the first data.jsonl#0: the training run ends there."
    assert alarm in text.splitlines()[3]
    assert re.search(r"trained on +8 +88\.9 %", text)
    assert re.search(r"of which the answer's end is cut \(TRN002\) +\d", text)
    assert re.search(r"» none, 8 rows padded to the longest +8 ", text)
    assert re.search(r"7B +[\d.]+ TFLOP", text)
    assert "⟨U+202E⟩" in text
    assert "\u202e" not in text
    markdown = audit_markdown(run.summary, run.catalog, run.findings, run.path)
    assert "- **For the trainer:** TRL stops at 1 row, the first `data.jsonl#0`: the training run ends there." in markdown
    assert "<b onclick" not in re.sub(r"`[^`]*`", "", markdown)
    page = (run.path / "report.html").read_text("utf-8")
    assert page.count(alarm) == 1
    assert '<section id="trainer"' in page
    assert "<b onclick" not in page
    content = json.loads((run.path / "report.json").read_bytes())
    Draft202012Validator(SCHEMA).validate(content)
    assert content["trainer"]["first_refused"] == {"file": "data.jsonl", "index": 0}
    assert content["trainer"]["rows"]["given"] == 9
    fed = content["trainer"]["tokens"]["input_tokens"]
    assert {each["model"]: (each["full"], each["lora"]) for each in content["trainer"]["flop_per_epoch"]}["7B"] == (
        6 * 7e9 * fed,
        4 * 7e9 * fed,
    )
    assert content["lengths"]["input_tokens"]["max"] == 100


def test_what_the_template_does_to_every_row_stands_first(tmp_path: Path, tiny_model: str, tokenizer: Path) -> None:
    template = tmp_path / "endless.jinja"
    template.write_text(ENDLESS, "utf-8")
    run = audited(tmp_path, tiny_model, tokenizer=str(tokenizer), chat_template=str(template), packing="bfd")
    defect = "The chat template, in every row: it ends no answer with a special token: the model does not learn to stop."
    text = " ".join(printed(run).split())
    assert 0 < text.index(defect) < text.index("TRN003")
    assert text.count(defect) == 1
    assert "» bfd: longest first" in text
    assert defect in (run.path / "report.html").read_text("utf-8")


def test_without_a_tokenizer_nothing_is_said(tmp_path: Path, tiny_model: str) -> None:
    run = audited(tmp_path, tiny_model, select=["TXT001"])
    assert "For the trainer" not in printed(run)
    assert "For the trainer" not in audit_markdown(run.summary, run.catalog, run.findings, run.path)
    assert 'id="trainer"' not in (run.path / "report.html").read_text("utf-8")
    content = json.loads((run.path / "report.json").read_bytes())
    assert content["trainer"] is None
    Draft202012Validator(SCHEMA).validate(content)
    assert {
        "what": "what a trainer keeps of each row",
        "why": "needs the model's tokenizer and chat template (--tokenizer MODEL)",
    } in (content["not_looked_at"])


def test_a_finished_run_is_read_again_with_its_view(tmp_path: Path, tiny_model: str, tokenizer: Path) -> None:
    run = audited(tmp_path, tiny_model, tokenizer=str(tokenizer), chat_template="chatml", redact=True)
    again = Run.open(run.path)
    assert again.summary.trainer == run.summary.trainer
    assert "For the trainer" in printed(again)
