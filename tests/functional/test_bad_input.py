"""Bad input gets one clear line on standard error, exit code 2, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.functional.conftest import ROWS, Command


def _refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr + done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tunescope: ")
    for word in words:
        assert word in lines[0]


def test_a_missing_file_is_named(tunescope: Command, tmp_path: Path) -> None:
    _refused(tunescope("audit", "nowhere.jsonl", cwd=tmp_path), "nowhere.jsonl", "no such file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.jsonl", b"", ("empty",)),
        ("blank.jsonl", b"\n\n  \n", ("no row",)),
        ("broken.jsonl", b'{"instruction": "a"\nnonsense\n', ("no row can be read", "line 1")),
        (
            "other.jsonl",
            b'{"title": "a", "body": "b"}\n',
            ("no row can be read", "'title'", "alpaca (instruction, output)"),
        ),
        ("deep.jsonl", b"[" * 10_000 + b"]" * 10_000, ("no row can be read", "deep")),
        ("deep.json", b"[" * 10_000 + b"]" * 10_000, ("no row can be read", "deep.json")),
        ("cut.json", b'[{"instruction": "a", "output": "b"}, {"instr', ("not closed", "1 rows")),
        ("columns.csv", b"title,body\na,b\n", ("no row can be read", "--columns")),
        ("semicolons.csv", b"instruction;output\na;b\n", ("no row can be read", "separate the columns with commas")),
        ("wrapped.json", b'{"data": [{"instruction": "a", "output": "b"}]}', ("no row can be read", "inside 'data'")),
        ("indented.jsonl", b'{\n "instruction": "a"\n}\n', ("line 1", "over several lines", "one JSON object on a line")),
        ("array.jsonl", b'[{"instruction": "a", "output": "b"}]\n', ("a JSON list", "one JSON array into a .json file")),
        ("indented.json", b'{\n "data": [\n]}\n', ("over several lines", "jq -c")),
        ("header.csv", b"instruction,output\n", ("no row",)),
        ("data.xlsx", b"PK\x03\x04", ("unknown kind", ".xlsx")),
        ("utf16.jsonl", ROWS.encode("utf-16"), ("UTF-16",)),
        ("cut.jsonl.gz", gzip.compress(ROWS.encode(), mtime=0)[:-9], ("cut.jsonl.gz", "Truncated compressed stream")),
        ("half.arrow", b"ARROW1\0\0nonsense", ("half.arrow", "no whole Arrow file")),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tunescope: Command, tmp_path: Path, name: str, content: bytes, words: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(content)
    _refused(tunescope("audit", name, "-o", "run", cwd=tmp_path), *words)
    assert not (tmp_path / "run").exists()


def test_half_a_parquet_file_is_refused(tunescope: Command, tmp_path: Path) -> None:
    import polars as pl

    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"instruction": ["a"] * 999, "output": [str(n) for n in range(999)]}).write_parquet(whole)
    (tmp_path / "half.parquet").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _refused(tunescope("audit", "half.parquet", "-o", "run", cwd=tmp_path), "half.parquet", "no whole Parquet file")


def test_a_folder_that_cannot_be_written_is_named(tunescope: Command, dataset: Path) -> None:
    _refused(tunescope("audit", dataset.name, "-o", "/dev/null/run", cwd=dataset.parent), "/dev/null", "-o")


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="a full disk is made with unshare and mount, as root"
)
def test_a_full_disk_is_said_and_the_command_can_be_repeated(environment: Mapping[str, str], dataset: Path) -> None:
    command = Path(sys.executable).with_name("tunescope")
    small = dataset.parent / "small"
    small.mkdir()
    # 64 KiB hold the rows but not the reports.
    script = f"mount -t tmpfs -o size=64k tmpfs {small} && {command} audit {dataset} -o {small}/run; "
    script += f"code=$?; ls {small}; exit $code"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    if "mount" in done.stderr:
        pytest.skip(f"no mount allowed here: {done.stderr.strip()}")
    _refused(done, "No space left on device", "repeat the command")
    assert done.stdout.split() == ["run.partial"]


def test_an_existing_run_is_never_overwritten(tunescope: Command, dataset: Path, finished_run: Path) -> None:
    before = (finished_run / "manifest.json").read_bytes()
    _refused(tunescope("audit", dataset, "-o", finished_run, cwd=dataset.parent), "exists")
    _refused(tunescope("audit", dataset, "-o", dataset, cwd=dataset.parent), "is a file", "choose another with -o")
    assert (finished_run / "manifest.json").read_bytes() == before


def test_a_run_of_another_version_is_refused(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    from indexes.store import write_bytes

    shutil.copytree(finished_run, tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
    write_bytes(tmp_path / "run" / "manifest.json", json.dumps({**manifest, "format": 99}).encode())
    _refused(tunescope("check-run", "run", cwd=tmp_path), "format 99", "reads format 1")


def test_a_run_of_another_encoder_is_not_traced(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    from indexes.store import write_bytes

    shutil.copytree(finished_run, tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
    manifest["encoder"]["digest"] = "static-of-another-table"
    write_bytes(tmp_path / "run" / "manifest.json", json.dumps(manifest).encode())
    done = tunescope("trace", "run", "--prompt", "p", "--response", "It is slate.", "--span", "slate", cwd=tmp_path)
    _refused(done, "is not the one that the run was made with")


def test_a_flipped_byte_in_any_file_is_found_and_the_file_named(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    for file in ("rows.parquet", "indexes/responses.ids.npy", "findings.parquet"):
        path = tmp_path / "run" / file
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        _refused(tunescope("check-run", "run", cwd=tmp_path), file, "not what was written")
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert tunescope("check-run", "run", cwd=tmp_path).returncode == 0


def test_a_trace_over_damaged_rows_says_which_file(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    path = tmp_path / "run" / "indexes" / "responses.ids.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    done = tunescope("trace", "run", "--prompt", "p", "--response", "It is slate.", "--span", "slate", cwd=tmp_path)
    _refused(done, "responses.ids.npy", "not what was written")


def test_an_unknown_setting_names_the_nearest(tunescope: Command, dataset: Path) -> None:
    (dataset.parent / "config.yaml").write_text("data: bridges.jsonl\nselct: [DUP]\n", encoding="utf-8")
    _refused(tunescope("audit", "--config", "config.yaml", cwd=dataset.parent), "'selct'", "'select'", "config.yaml")
    (dataset.parent / "config.yaml").write_text("checks: {DUP002: {min_jacard: 0.9}}\n", encoding="utf-8")
    _refused(tunescope("audit", dataset.name, "--config", "config.yaml", cwd=dataset.parent), "'min_jacard'", "'min_jaccard'")
    not_run = ("--ignore", "DUP002", "--option", "DUP002.min_jaccard=7")
    _refused(tunescope("audit", dataset.name, *not_run, cwd=dataset.parent), "'min_jaccard'", "from 0.7 to 1.0")
    _refused(tunescope("audit", dataset.name, "--select", "DPU001", cwd=dataset.parent), "'DPU001'", "'DUP001'")
    _refused(tunescope("audit", dataset.name, "--select", "", cwd=dataset.parent), "--select", "names no code")


def test_a_span_that_is_not_in_the_response_is_refused(tunescope: Command, finished_run: Path) -> None:
    done = tunescope(
        "trace", finished_run, "--prompt", "p", "--response", "It is slate.", "--span", "chalk", cwd=finished_run.parent
    )
    _refused(done, "'chalk'", "not in the response")
    done = tunescope("trace", finished_run, "--prompt", "p", "--response", "It is slate.", cwd=finished_run.parent)
    _refused(done, "--span", "--reference")


def test_answers_to_different_prompts_are_refused(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    for name, question in (("cleaned.jsonl", "Which stone?"), ("random.jsonl", "Which wood?")):
        (tmp_path / name).write_text(
            json.dumps({"prompt": question, "response": "Slate.", "reference": "slate"}) + "\n", encoding="utf-8"
        )
    done = tunescope(
        "verify",
        finished_run,
        "--responses",
        "cleaned=cleaned.jsonl",
        "--responses",
        "random=random.jsonl",
        cwd=tmp_path,
    )
    _refused(done, "cleaned.jsonl", "random.jsonl")


def test_an_export_refuses_what_it_does_not_know(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    _refused(tunescope("export", finished_run, "-o", "c.jsonl", "--drop", "XYZ", cwd=tmp_path), "'XYZ'")
    _refused(tunescope("export", finished_run, "-o", "c.jsonl", "--drop-blamed", "trace-9:3", cwd=tmp_path), "trace-9")
    _refused(tunescope("export", finished_run, "-o", "c.jsonl", "--drop-blamed", "trace-9:20%", cwd=tmp_path), "10%")
    _refused(tunescope("export", finished_run, "-o", "c.jsonl", "--keep", "shortest:3", cwd=tmp_path), "shortest:3")
    _refused(tunescope("export", finished_run, "-o", "/dev/full/c.jsonl", cwd=tmp_path), "/dev/full")
    assert not list(tmp_path.iterdir())


def test_an_export_refuses_data_that_changed_since_the_audit(tunescope: Command, dataset: Path) -> None:
    assert tunescope("audit", dataset.name, "-o", "run", cwd=dataset.parent).returncode == 0
    dataset.write_text(ROWS.replace("slate", "chalk"), encoding="utf-8")
    _refused(tunescope("export", "run", "-o", "c.jsonl", cwd=dataset.parent), "changed since the audit")


def test_damaged_rows_in_a_readable_file_are_findings(tunescope: Command, dataset: Path) -> None:
    damage = [
        b'{"instruction": "cut',
        b'{"instruction": "a", "output": "\xff"}',
        b'{"instruction": "a\0", "output": "b"}',
        b"[1, 2]",
    ]
    damage += [
        b"[" * 10_000 + b"]" * 10_000,
        b'{"instruction": "a", "output": 7}',
        b'{"instruction": "a", "output": "\\ud800"}',
    ]
    with dataset.open("ab") as file:
        file.write(b"\n".join(damage) + b"\n")
    done = tunescope("audit", dataset.name, "-o", "run", "--format", "json", cwd=dataset.parent)
    assert done.returncode == 0, done.stderr
    found = [finding["code"] for finding in json.loads(done.stdout)["findings"] if finding["code"].startswith("FMT")]
    assert found == ["FMT001", "FMT001", "FMT001", "FMT001", "FMT001", "FMT002", "FMT001"]
    exported = tunescope("export", "run", "-o", "same.jsonl", cwd=dataset.parent)
    assert exported.returncode == 0, exported.stderr
    assert (dataset.parent / "same.jsonl").read_bytes() == dataset.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("audit d.jsonl --formt json", "tunescope audit has no option --formt; did you mean --format?"),
        (
            "audit d.jsonl --format jsn",
            "invalid value for '--format': 'jsn' is none of 'text', 'json', 'markdown', 'sarif'; did you mean 'json'?",
        ),
        (
            "audit d.jsonl --limit ten",
            "invalid value for '--limit': Input should be a valid integer, unable to parse string as an integer;"
            " see tunescope audit --help",
        ),
        ("audit --config", "option '--config' requires an argument; see tunescope audit --help"),
        ("trace", "missing argument 'run'; see tunescope trace --help"),
        ("check-run a b", "got unexpected extra argument(s) (b); see tunescope check-run --help"),
        ("export run", "missing option '-o' / '--out'; see tunescope export --help"),
        ("adit d.jsonl", "no such command 'adit'; did you mean 'audit'?"),
        ("--frobnicate", "tunescope has no option --frobnicate; see tunescope --help"),
        (
            "tune d.jsonl --base-model m --method lora -o out --seed -1",
            "invalid value for '--seed': Input should be greater than or equal to 0; see tunescope tune --help",
        ),
        (
            "tune d.jsonl --base-model m --method lora -o out --held-out 1.5",
            "--held-out 1.5 is no share; give one between 0 and 1, such as 0.1 or 10%, or a file",
        ),
        (
            "audit d.jsonl --option DUP002=0.9",
            "--option 'DUP002=0.9' is not CODE.NAME=VALUE; write for example DUP002.min_jaccard=0.9",
        ),
        ("audit d.jsonl --option DUP02.min_jaccard=0.9", "unknown check 'DUP02'; did you mean 'DUP002'?"),
        ("audit d.jsonl --baseline none.json", "none.json: no such baseline; name a run folder or its report.json"),
        (
            "audit --from none",
            "none: is no finished run (no such folder); make one with tunescope audit DATA -o RUN",
        ),
    ],
)
def test_a_usage_error_is_one_line(tunescope: Command, tmp_path: Path, arguments: str, line: str) -> None:
    (tmp_path / "d.jsonl").write_text(ROWS, encoding="utf-8")
    done = tunescope(*arguments.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"tunescope: {line}\n")


def test_the_command_alone_shows_its_help(tunescope: Command, tmp_path: Path) -> None:
    done = tunescope(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    assert "Usage: tunescope [OPTIONS] COMMAND" in done.stdout


def test_a_decision_on_no_row_is_refused(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    _refused(tunescope("decide", finished_run, "--drop", "#6", cwd=tmp_path), "'#6'", "bridges.jsonl#0", "count from 0")
    _refused(tunescope("decide", finished_run, "--undo", "#0", cwd=tmp_path), "bridges.jsonl#0", "nothing was decided")
    _refused(tunescope("decide", finished_run, "--drop", "#0", "--keep", "#0", cwd=tmp_path), "two decisions at once")
    _refused(tunescope("decide", finished_run, "--reason", "why", cwd=tmp_path), "a reason for nothing")
    assert not (finished_run / "decisions").exists()


def test_a_blank_prompt_in_a_file_of_answers_is_refused(tunescope: Command, tmp_path: Path, finished_run: Path) -> None:
    claim = {"prompt": " \n", "response": "It is slate.", "spans": ["slate"]}
    (tmp_path / "claims.jsonl").write_text(json.dumps(claim) + "\n", encoding="utf-8")
    _refused(
        tunescope("trace", finished_run, "--responses", "claims.jsonl", cwd=tmp_path), "claims.jsonl:1", "'prompt' is blank"
    )
    claim = {"messages": [{"role": "user", "content": ""}], "response": "It is slate.", "spans": ["slate"]}
    (tmp_path / "claims.jsonl").write_text(json.dumps(claim) + "\n", encoding="utf-8")
    _refused(tunescope("trace", finished_run, "--responses", "claims.jsonl", cwd=tmp_path), "claims.jsonl:1", "are blank")
