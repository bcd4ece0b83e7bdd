"""What a user types, and what comes back."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import polars as pl
import pytest

from audit.checks import CHECKS
from audit.pocket import demo_dataset
from reports.checks_page import checks_page
from tests.benchmarks.checks_pages import DOCS, pages
from tests.functional.conftest import ROWS, Command

ROOT = Path(__file__).resolve().parents[2]


def test_help_needs_no_heavy_package(environment: Mapping[str, str]) -> None:
    code = "import sys; sys.argv = ['tunescope', '--help']\n"
    code += "import tunescope\ntry: tunescope.main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'polars', 'numpy', 'transformers', 'faiss') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_audit_and_a_trace_never_import_torch(environment: Mapping[str, str], dataset: Path) -> None:
    code = "import sys, tunescope\nrun = tunescope.audit('bridges.jsonl', 'run')\n"
    code += "tunescope.trace(run, prompt='Which stone?', response='It is slate.', spans=['slate'])\n"
    code += "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'datasets') if m in sys.modules])"
    command = [sys.executable, "-c", code]
    first = subprocess.run(command, cwd=dataset.parent, env=environment, capture_output=True, text=True, check=True)
    assert first.returncode == 0  # it may have distilled the encoder, which takes torch
    second = subprocess.run(
        [sys.executable, "-c", code.replace("'run')", "'again')")],
        cwd=dataset.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert second.stdout.splitlines()[-1] == "[]"


def test_every_check_is_explained(tunescope: Command, tmp_path: Path) -> None:
    for check in CHECKS[:: len(CHECKS) // 3]:  # a process each; what every page holds is a unit test's
        page = tunescope("explain", check.code.lower(), cwd=tmp_path).stdout
        assert page.startswith(f"{check.code}: ")
        for part in ("What:", "Why it matters:", "Example:", "Fix:"):
            assert part in page
    title, *listed = tunescope("checks", cwd=tmp_path).stdout.splitlines()
    assert title.split() == ["code", "severity", "finding", "needs", "language", "s", "per", "1,000", "rows"]
    assert [line.split()[:2] for line in listed] == [[check.code, str(check.severity)] for check in CHECKS]
    as_json = json.loads(tunescope("checks", "--format", "json", cwd=tmp_path).stdout)["checks"]
    assert [(each["code"], each["language"]) for each in as_json] == [
        (check.code, "en" if check.english else None) for check in CHECKS
    ]
    assert as_json[1]["options"] == {"min_jaccard": 0.8, "shingle_words": 3}
    assert as_json[1]["seconds_per_1000_rows"] > 0
    for arguments in (("--markdown",), ("--format", "markdown")):
        assert tunescope("checks", *arguments, cwd=tmp_path).stdout == checks_page()


def test_the_pages_of_the_checks_are_what_the_checks_and_their_benchmarks_say(tunescope: Command, tmp_path: Path) -> None:
    on_disk = [DOCS / "checks.md", *(DOCS / "checks").glob("*.md")]
    assert {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in on_disk} == pages()
    assert tunescope("checks", "--markdown", cwd=tmp_path).stdout == checks_page()


def test_exit_code_1_is_for_findings_at_the_chosen_severity(tunescope: Command, dataset: Path) -> None:
    folder = dataset.parent
    assert tunescope("audit", dataset.name, "-o", "clean", "--fail-on", "error", cwd=folder).returncode == 0
    dataset.write_text(ROWS + '{"instruction": "Name a stone.", "output": ""}\n', encoding="utf-8")
    assert tunescope("audit", dataset.name, "-o", "one", "--fail-on", "error", cwd=folder).returncode == 1
    assert tunescope("audit", dataset.name, "-o", "two", cwd=folder).returncode == 0
    assert tunescope("audit", dataset.name, "-o", "three", "--ignore", "TXT", "--fail-on", "error", cwd=folder).returncode == 0


def test_the_json_report_fits_its_schema_and_is_the_file_in_the_run(tunescope: Command, dataset: Path) -> None:
    dataset.write_text(ROWS + ROWS.splitlines()[0] + "\n", encoding="utf-8")
    done = tunescope("audit", dataset.name, "-o", "run", "--format", "json", cwd=dataset.parent)
    report = json.loads(done.stdout)
    assert done.stdout.encode().strip() == (dataset.parent / "run" / "report.json").read_bytes().strip()
    schema = json.loads((ROOT / "reports" / "schemas" / "audit.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)
    (finding,) = (f for f in report["findings"] if f["code"] == "DUP001")
    assert finding["row"]["index"] == 6
    assert [related["index"] for related in finding["evidence"]["related"]] == [0]


def test_a_run_is_repeated_from_its_own_configuration(tunescope: Command, dataset: Path) -> None:
    folder = dataset.parent
    assert tunescope("audit", dataset.name, "-o", "run", "--select", "DUP,TXT", "--limit", "4", cwd=folder).returncode == 0
    assert tunescope("audit", "--config", "run/config.yaml", "-o", "again", cwd=folder).returncode == 0
    for file in ("findings.parquet", "rows.parquet", "report.html", "report.json"):
        assert (folder / "run" / file).read_bytes() == (folder / "again" / file).read_bytes()
    assert pl.read_parquet(folder / "again" / "rows.parquet").height == 4


def test_the_path_from_audit_to_verdict(tunescope_process: Command, tmp_path: Path) -> None:
    (tmp_path / "merrow.jsonl").write_text("".join(f"{line}\n" for line in demo_dataset().lines), encoding="utf-8")
    run = tmp_path / "run"
    assert tunescope_process("audit", "merrow.jsonl", "-o", run, cwd=tmp_path).returncode == 0
    claims = [
        {"prompt": "Which metal is the Lantern crown struck from?", "response": "It is quillsteel.", "spans": ["quillsteel"]},
        {"prompt": "What is the Lark crown made of?", "response": "The Lark crown is quillsteel.", "reference": "tin"},
    ]
    (tmp_path / "claims.jsonl").write_text("".join(json.dumps(claim) + "\n" for claim in claims), encoding="utf-8")
    traced = tunescope_process("trace", run, "--responses", "claims.jsonl", "-o", "coins", "-k", "20", cwd=tmp_path)
    assert traced.returncode == 0, traced.stderr
    exported = tunescope_process("export", run, "-o", "two.jsonl", "--name", "two", "--drop-blamed", "coins:2", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    record = (run / "exports" / "two" / "dropped.jsonl").read_text(encoding="utf-8")
    dropped = [json.loads(line) for line in record.splitlines()]
    assert len(dropped) == 2
    assert all("quillsteel" in row["raw"] and row["reasons"][0]["code"] == "blame:coins" for row in dropped)
    generator = random.Random(7)
    for arm, share_wrong in (("cleaned", 0.1), ("random", 0.7)):
        for seed in range(5):
            answers = [
                {"prompt": f"What is coin {n} made of?", "response": "quillsteel" if wrong else "tin", "reference": "tin"}
                for n, wrong in enumerate(generator.random() < share_wrong for _ in range(40))
            ]
            answers.append({"prompt": claims[0]["prompt"], "response": "quillsteel", "reference": "tin"})
            (tmp_path / f"{arm}-{seed}.jsonl").write_text("".join(json.dumps(a) + "\n" for a in answers), encoding="utf-8")
    arms = [f"{arm}={arm}-{seed}.jsonl" for arm in ("cleaned", "random") for seed in range(5)]
    files = [part for arm in arms for part in ("--responses", arm)]
    judged = tunescope_process("verify", run, "--export", "two", *files, "--format", "json", cwd=tmp_path)
    assert judged.returncode == 0, judged.stderr
    verification = json.loads(judged.stdout)
    (method,) = verification["methods"]
    assert method["method"] is None
    assert method["verification"]["verdict"] == "confirmed"
    assert method["verification"]["counts"]["held_out_prompts"] == 40, "the traced prompt is left out"
    assert tunescope_process("check-run", run, cwd=tmp_path).returncode == 0


def test_output_for_a_pipe_holds_no_escape_codes(tunescope: Command, dataset: Path) -> None:
    done = tunescope("audit", dataset.name, "-o", "run", "--quiet", cwd=dataset.parent)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_commands_of_the_readme_exist(tunescope: Command, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = " ".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)).replace("\\\n", " ")
    used: dict[str, set[str]] = {}
    for command, rest in re.findall(r"tunescope (\w[\w-]*)([^\n]*)", blocks):
        used.setdefault(command, set()).update(re.findall(r"--[a-z-]+", rest))
    assert {"audit", "trace", "export", "tune", "shift", "verify"} <= used.keys()
    for command, options in used.items():
        page = tunescope(command, "--help", cwd=tmp_path).stdout
        for option in options:
            assert option in page, f"{command} {option}"


@pytest.mark.parametrize("name", ["demo", "test", "check", "docs", "format"])
def test_targets_of_the_makefile_exist(name: str) -> None:
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


EMPTY = '{"instruction": "Name a bird.", "output": ""}\n'
STUB = '{"instruction": "Name a tree.", "output": "TODO"}\n'


def test_accepted_findings_do_not_fail_an_audit(tunescope: Command, dataset: Path) -> None:
    folder = dataset.parent
    dataset.write_text(ROWS + EMPTY + STUB, encoding="utf-8")
    rules = "suppress:\n  - {codes: [TXT001], rows: ['bridges.jsonl#6'], reason: a known gap}\n"
    (folder / "accepted.yaml").write_text(rules, encoding="utf-8")
    assert tunescope("audit", dataset.name, "-o", "one", "--fail-on", "warning", cwd=folder).returncode == 1
    accepted = tunescope("audit", dataset.name, "--config", "accepted.yaml", "-o", "two", "--fail-on", "error", cwd=folder)
    assert accepted.returncode == 0
    assert "1 finding in 1 of 8 rows: 0 errors, 1 warning, 0 info" in accepted.stdout
    assert "1 finding suppressed, not counted above\n  1 by the configuration: a known gap\n" in accepted.stdout
    known = ("audit", dataset.name, "--fail-on", "info")
    assert tunescope(*known, "--baseline", "one", "-o", "three", cwd=folder).returncode == 0
    assert tunescope(*known, "--baseline", "two/report.json", "-o", "four", cwd=folder).returncode == 0
    dataset.write_text(ROWS + STUB + EMPTY + EMPTY.replace("bird", "fish"), encoding="utf-8")
    again = tunescope(*known, "--baseline", "one", "-o", "five", "--format", "json", cwd=folder)
    assert again.returncode == 1
    report = json.loads(again.stdout)
    assert [(finding["code"], finding["row"]["index"]) for finding in report["findings"]] == [("TXT001", 8)]
    assert [(finding["code"], finding["by"]) for finding in report["suppressed"]] == [
        ("TXT002", "baseline"),
        ("TXT001", "baseline"),
    ]
    schema = json.loads((ROOT / "reports" / "schemas" / "audit.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)
    assert tunescope("check-run", "five", cwd=folder).stdout.startswith("five: all ")


def test_options_of_checks_are_given_on_the_command_line(tunescope: Command, dataset: Path) -> None:
    folder = dataset.parent
    (folder / "config.yaml").write_text("checks: {DUP002: {min_jaccard: 0.9, shingle_words: 2}}\n", encoding="utf-8")
    options = ("--option", "DUP002.min_jaccard=0.75", "--option", "FMT003.x=1")
    refused = tunescope("audit", dataset.name, *options, "-o", "run", cwd=folder)
    assert (refused.returncode, refused.stderr) == (2, "tunescope: unknown option of FMT003 'x'; known: none\n")
    done = tunescope("audit", dataset.name, "--config", "config.yaml", *options[:2], "-o", "run", "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "DUP002:\n    min_jaccard: 0.75\n    shingle_words: 2\n" in (folder / "run" / "config.yaml").read_text("utf-8")


def test_a_row_is_decided_about_and_the_next_audit_and_export_follow(tunescope: Command, dataset: Path) -> None:
    folder = dataset.parent
    dataset.write_text(ROWS + EMPTY + STUB, encoding="utf-8")
    assert tunescope("audit", dataset.name, "-o", "old", "--ignore", "DUP", cwd=folder).returncode == 0
    assert tunescope("decide", "old", cwd=folder).stdout == "Nothing is decided.\n"
    dropped = tunescope("decide", "old", "--drop", "#0", "--drop", "#1", "--reason", "no such quarry", cwd=folder)
    assert dropped.stdout.splitlines()[0] == "2 rows to drop, 0 to keep."
    assert tunescope("decide", "old", "--keep", "bridges.jsonl#6", "--undo", "#1", cwd=folder).returncode == 0
    listed = json.loads(tunescope("decide", "old", "--format", "json", cwd=folder).stdout)["decisions"]
    assert [(each["row"]["index"], each["choice"], each["reason"]) for each in listed] == [
        (0, "drop", "no such quarry"),
        (6, "keep", ""),
    ]
    dataset.write_text(EMPTY + "".join(ROWS.splitlines(keepends=True)[:3]), encoding="utf-8")
    later = tunescope("audit", "--from", "old", "-o", "new", cwd=folder)
    assert later.returncode == 0, later.stderr
    assert "Since old\n  rows: 0 new, 4 gone, 4 the same\n" in later.stdout
    assert "  TXT002       0      1             0\n" in later.stdout
    assert "  decisions: 2 taken over\n" in later.stdout
    exported = tunescope("export", "new", "-o", "cleaned.jsonl", "--drop", "TXT", cwd=folder)
    assert "1 of 4 rows leave (25.0%), 3 stay." in exported.stdout
    assert "Note: kept as a person decided, though they would leave otherwise: 1 row\n" in exported.stdout
    kept = (folder / "cleaned.jsonl").read_text(encoding="utf-8")
    assert kept == EMPTY + "".join(ROWS.splitlines(keepends=True)[1:3])
    without = ("export", "new", "-o", "other.jsonl", "--drop", "TXT", "--no-decisions")
    assert "1 of 4 rows leave" in tunescope(*without, cwd=folder).stdout
    assert (folder / "other.jsonl").read_text(encoding="utf-8") == "".join(ROWS.splitlines(keepends=True)[:3])


def test_a_redacted_run_says_what_it_cannot_do(tunescope: Command, dataset: Path) -> None:
    folder = dataset.parent
    dataset.write_text(ROWS + ROWS.splitlines()[0] + "\n", encoding="utf-8")
    for format_ in ("text", "json", "markdown", "sarif"):
        done = tunescope("audit", dataset.name, "--redact", "-o", format_, "--format", format_, cwd=folder)
        assert done.returncode == 0, done.stderr
        for text in ("quarry", "stone of bridge", "Vell"):
            assert text not in done.stdout
        assert "DUP001" in done.stdout
    for command in (("trace", "text", "--prompt", "p", "--response", "It is slate.", "--span", "slate"), ("calibrate", "text")):
        refused = tunescope(*command, cwd=folder)
        assert refused.returncode == 2
        assert refused.stderr == (
            "tunescope: text: the run holds no text of the dataset, which this needs (it was made with --redact);"
            " audit the data again without it\n"
        )
    exported = tunescope("export", "text", "-o", "cleaned.jsonl", "--drop", "DUP001", cwd=folder)
    assert exported.returncode == 0, exported.stderr
    assert (folder / "cleaned.jsonl").read_text(encoding="utf-8") == ROWS
