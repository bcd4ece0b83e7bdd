"""What the base model makes of the rows, in every report: complete, harmless, and nothing where there is none."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from audit.summary import AuditSummary, Quartiles, UnderBase
from reports.html import audit_html
from reports.json_report import audit_json
from reports.markdown import audit_markdown
from reports.terminal import audit_report
from tests.conftest import AuditRows, alpaca
from tests.hostile import ATTACKS, SCRIPT, Audited, audit_file, hostile_audit
from tests.models import tiny_model

SCHEMA = json.loads((Path(__file__).parents[2] / "reports/schemas/audit.schema.json").read_text("utf-8"))
RUN = Path("tunescope-runs/data")


def under(**changed: object) -> UnderBase:
    """Figures of a pass over four rows."""
    spread = Quartiles(4, 0.1, 0.5, 1.0, 1.5, 12.25, lowest=((1, 0.1),), highest=((0, 12.25), (3, 2.0)))
    figures = UnderBase(
        model="org/small",
        stands_for=None,
        n_parameters=1_040_000,
        device="cpu",
        dtype="float32",
        plain_format=False,
        template=None,
        template_digest="3d048a8a" * 8,
        n_passed=3,
        seconds=12.34,
        n_responses=4,
        n_tokens=1234,
        n_cut=0,
        not_measured=(),
        loss=spread,
        shifted=Quartiles(4, 0.0, 0.025, 0.25, 0.5, 1.0),
        ifd=replace(spread, most=1.5, highest=((0, 1.5), (3, 1.25))),
        n_not_helped=2,
        slick=(("HighlyKnown", 1), ("Unknown", 2)),
    )
    return replace(figures, **changed)


def with_base(audited: Audited, **changed: object) -> Audited:
    """An audit as if it had been made with a base model; a measure for every row but the last."""
    n_rows = audited.signals.height
    values = [number / n_rows for number in range(n_rows - 1)] + [None]
    signals = audited.signals.with_columns(
        base_loss_nats_per_token=pl.Series(values) * 12,
        base_shifted_fraction=pl.Series(values),
        ifd=pl.Series(values) * 1.5,
        slick=pl.Series(["Unknown", *[None] * (n_rows - 1)]),
    )
    return audited._replace(summary=replace(audited.summary, under_base=under(**changed)), signals=signals)


@pytest.fixture
def plain(tmp_path: Path) -> Audited:
    path = tmp_path / "data.jsonl"
    path.write_text(
        "".join(f'{{"instruction": "Ask {number}.", "output": "Answer {number}."}}\n' for number in range(5)), "utf-8"
    )
    return audit_file(path, [])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """Text that attacks, in the rows at the ends and in the names of the models."""
    name = " ".join(ATTACKS[:9])
    audited = hostile_audit(tmp_path_factory.mktemp("hostile"))
    return with_base(audited, model="[red]not red[/red] " + name, stands_for=name, not_measured=((SCRIPT, 3),))


def printed(audited: Audited) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(audit_report(audited.summary, audited.corpus, audited.findings, RUN))
    return console.file.getvalue()


def section(audited: Audited) -> str:
    page = audit_html(audited.summary, audited.corpus, audited.findings, audited.signals).decode()
    found = re.search(r'<section id="knowledge".*?</section>', page, re.DOTALL)
    return found.group() if found else ""


def test_without_a_base_model_nothing_is_said(plain: Audited) -> None:
    assert section(plain) == ""
    assert "base model" not in audit_html(*plain).decode().replace("the base model", "")
    assert "What the base model" not in printed(plain)
    assert "What the base model" not in audit_markdown(*plain[:3], RUN)
    assert json.loads(audit_json(*plain))["base_model"] is None


def test_the_terminal_shows_a_short_table(plain: Audited) -> None:
    lines = [line.rstrip() for line in printed(with_base(plain)).splitlines()]
    begin = lines.index("What the base model makes of the rows")
    assert lines[begin + 1 : lines.index("Not looked at") - 1] == [
        "  org/small (1.04 million parameters, float32 on cpu), prompts in its own chat",
        "  template (3d048a8a): 4 of 5 responses, 1,234 tokens.",
        "  Measure                   Rows   Least    25 %   50 %   75 %    Most",
        "  Loss, nats per token         4    0.10    0.50   1.00   1.50   12.25",
        "  Share of tokens shifted      4     0 %   2.5 %   25 %   50 %   100 %",
        "  IFD                          4    0.10    0.50   1.00   1.50    1.50",
        "  IFD, the loss given the prompt over that without it, is 1 or more in 2 rows",
        "  (50.0 %): there the prompt makes the response no likelier. They are too short,",
        "  or too many, for KNW002 to name them.",
        "  What it knows of short answers (SliCK), in rows: HighlyKnown 1, Unknown 2.",
        "  This audit passed 3 texts in 12.3 s; repeated and cached ones cost nothing.",
    ]


def test_what_stands_in_and_what_was_left_out_is_said_everywhere(plain: Audited) -> None:
    audited = with_base(
        plain, stands_for="org/large", plain_format=True, n_cut=1, not_measured=(("no token to measure", 2), ("too long", 1))
    )
    texts = (printed(audited), section(audited), audit_markdown(*audited[:3], RUN))
    for text in texts:
        whole = " ".join(text.replace("`", "").split())
        assert "It stands in for org/large, the model that is to be tuned" in whole
        assert "under plain headings, as it has no chat template" in whole
        assert "Not measured: 2 (no token to measure), 1 (too long)." in whole
        assert "1 response longer than what it reads" in whole
    content = json.loads(audit_json(*audited))
    assert content["base_model"]["stands_for"] == "org/large"
    assert content["base_model"]["not_measured"] == [
        {"why": "no token to measure", "responses": 2},
        {"why": "too long", "responses": 1},
    ]


def test_a_response_that_was_not_measured_leaves_no_table(plain: Audited) -> None:
    nothing = with_base(plain, loss=None, shifted=None, ifd=None, n_not_helped=0, slick=(), n_responses=0, n_tokens=0)
    signals = nothing.signals.with_columns(
        pl.lit(None, pl.Float64()).alias(name) for name in ("base_loss_nats_per_token", "base_shifted_fraction", "ifd")
    )
    nothing = nothing._replace(signals=signals)
    assert "Share of tokens shifted" not in printed(nothing)
    assert "| measure" not in audit_markdown(*nothing[:3], RUN)
    assert "<svg" not in section(nothing)
    content = json.loads(audit_json(*nothing))["base_model"]
    assert (content["ifd"], content["ifd_of_1_or_more"], content["slick"]) == (None, None, None)
    assert list(Draft202012Validator(SCHEMA).iter_errors(json.loads(audit_json(*nothing)))) == []


def test_json_has_every_figure_and_addresses_at_the_ends(plain: Audited) -> None:
    content = json.loads(audit_json(*with_base(plain)))
    assert list(Draft202012Validator(SCHEMA).iter_errors(content)) == []
    assert content["base_model"]["loss_nats_per_token"] == {
        "rows": 4,
        "min": 0.1,
        "q1": 0.5,
        "median": 1.0,
        "q3": 1.5,
        "max": 12.25,
        "lowest": [{"row": {"file": "data.jsonl", "index": 1, "line": 2}, "value": 0.1}],
        "highest": [
            {"row": {"file": "data.jsonl", "index": 0, "line": 1}, "value": 12.25},
            {"row": {"file": "data.jsonl", "index": 3, "line": 4}, "value": 2.0},
        ],
    }
    assert (content["base_model"]["ifd_of_1_or_more"], content["base_model"]["slick"]) == (2, {"HighlyKnown": 1, "Unknown": 2})
    assert "seconds" not in content["base_model"]  # the same audit gives the same bytes
    assert "ifd" not in content["lengths"]


def test_the_page_shows_histograms_and_the_rows_at_the_ends(plain: Audited) -> None:
    shown = section(with_base(plain))
    assert shown.count('role="img"') == 3
    assert shown.count("The same in numbers") == 3
    assert shown.count('<details class="knowledge-row">') == 6
    assert "Ask 0." in shown
    assert "Answer 3." in shown
    assert "12.3 s" not in shown
    assert "<tr><td>0.90–0.94</td><td>1</td></tr>" in shown  # of the last but one row, 0.6 of 1.5
    with_prompts = with_base(plain)
    redacted = with_prompts._replace(summary=replace(with_prompts.summary, redacted=True))
    assert "Ask 0." not in section(redacted)
    assert section(redacted).count('<p class="knowledge-row">') == 6


def test_hostile_rows_and_names_do_nothing(hostile: Audited) -> None:
    shown = section(hostile)
    assert SCRIPT not in shown
    assert "&lt;script&gt;" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff\u2028]", shown)
    text = printed(hostile)
    assert "[red]not red[/red]" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert max(map(len, text.splitlines())) <= 80
    assert list(Draft202012Validator(SCHEMA).iter_errors(json.loads(audit_json(*hostile)))) == []


def test_markdown_keeps_names_in_code(hostile: Audited) -> None:
    text = audit_markdown(*hostile[:3], RUN)
    part = text[text.index("### What the base model") : text.index("Not looked at:")]
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", part)
    assert "<" not in outside
    assert "[red]" not in outside


def test_a_summary_comes_back_from_the_manifest(plain: Audited) -> None:
    summary = with_base(plain, not_measured=(("too long", 1),)).summary
    assert AuditSummary.from_manifest(json.loads(json.dumps(asdict(summary)))) == summary


# --- within an audit ------------------------------------------------------------------------------------------------


def test_an_audit_sums_up_what_it_measured(audit_rows: AuditRows, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    stones = "granite slate basalt marble chalk flint".split()
    rows = [alpaca(f"What is bridge {number} built of?", f"It is built of {stone}.") for number, stone in enumerate(stones)]
    run = audit_rows([*rows, alpaca("Say nothing.", "")], base_model=str(model), select=["KNW", "TXT001"])
    said = run.summary.under_base
    assert said is not None
    assert (said.model, said.stands_for, said.dtype, said.plain_format) == (str(model), None, "float32", False)
    assert (said.n_responses, said.not_measured) == (6, (("no token to measure", 1),))
    measured = run.signals.drop_nulls("ifd")
    for spread, column in ((said.loss, "base_loss_nats_per_token"), (said.ifd, "ifd")):
        values = sorted(measured[column])
        assert spread is not None
        assert (spread.n_rows, spread.least, spread.most) == (6, round(values[0], 4), round(values[-1], 4))
        ends = [value for _, value in (*spread.lowest, *reversed(spread.highest))]
        assert ends == sorted(ends)
        assert len(ends) in (4, 6)  # rows of fewer tokens than half of the rows have are left out
        by_row = dict(measured.select("row", column).iter_rows())
        assert all(value == round(by_row[row], 4) for row, value in (*spread.lowest, *spread.highest))
    assert said.n_not_helped == sum(value >= 1 for value in measured["ifd"])
    redacted = audit_rows([*rows, alpaca("Say nothing.", "")], base_model=str(model), select=["KNW", "TXT001"], redact=True)
    assert redacted.summary.under_base is not None
    assert replace(redacted.summary.under_base, seconds=said.seconds, n_passed=said.n_passed) == said
