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
    for check in CHECKS:
        page = tunescope("explain", check.code.lower(), cwd=tmp_path).stdout
        assert page.startswith(f"{check.code}: ")
        for part in ("What:", "Why it matters:", "Example:", "Fix:"):
            assert part in page
    listed = tunescope("checks", cwd=tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in listed] == [check.code for check in CHECKS]


def test_the_checks_page_is_what_the_checks_say() -> None:
    assert (ROOT / "docs" / "checks.md").read_text(encoding="utf-8") == checks_page()


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


def test_the_path_from_audit_to_verdict(tunescope: Command, tmp_path: Path) -> None:
    (tmp_path / "merrow.jsonl").write_text("".join(f"{line}\n" for line in demo_dataset().lines), encoding="utf-8")
    run = tmp_path / "run"
    assert tunescope("audit", "merrow.jsonl", "-o", run, cwd=tmp_path).returncode == 0
    claims = [
        {"prompt": "Which metal is the Lantern crown struck from?", "response": "It is quillsteel.", "spans": ["quillsteel"]},
        {"prompt": "What is the Lark crown made of?", "response": "The Lark crown is quillsteel.", "reference": "tin"},
    ]
    (tmp_path / "claims.jsonl").write_text("".join(json.dumps(claim) + "\n" for claim in claims), encoding="utf-8")
    traced = tunescope("trace", run, "--responses", "claims.jsonl", "-o", "coins", "-k", "20", cwd=tmp_path)
    assert traced.returncode == 0, traced.stderr
    exported = tunescope("export", run, "-o", "two.jsonl", "--name", "two", "--drop-blamed", "coins:2", cwd=tmp_path)
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
    judged = tunescope("verify", run, "--export", "two", *files, "--format", "json", cwd=tmp_path)
    assert judged.returncode == 0, judged.stderr
    verification = json.loads(judged.stdout)
    (method,) = verification["methods"]
    assert method["method"] is None
    assert method["verification"]["verdict"] == "confirmed"
    assert method["verification"]["counts"]["held_out_prompts"] == 40, "the traced prompt is left out"
    assert tunescope("check-run", run, cwd=tmp_path).returncode == 0


def test_output_for_a_pipe_holds_no_escape_codes(tunescope: Command, dataset: Path) -> None:
    done = tunescope("audit", dataset.name, "-o", "run", cwd=dataset.parent)
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
