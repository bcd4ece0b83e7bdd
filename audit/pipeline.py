"""An audit from the first byte to the finished run folder: planned from what the chosen checks need, stage by stage."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from audit.checks import CHECKS, Check, options_of, select_checks
from audit.config import AuditConfig, unknown_name
from audit.corpus import Corpus, write_corpus
from audit.errors import InputError
from audit.findings import FINDING_SCHEMA, findings_frame
from audit.materials import (
    BM25_FILES,
    LANGUAGE_FILES,
    VECTOR_FILES,
    WORD_FILES,
    Materials,
    Need,
    build_bm25,
    build_languages,
    build_vectors,
    build_words,
)
from audit.rundir import Run, RunBuilder, next_free_run, write_table
from audit.signals import length_signals
from audit.sources import detect_container
from audit.summary import AuditSummary, CheckResult, Skipped
from indexes.store import VerifiedFile, read_bytes, write_bytes, write_file

__all__ = ["Progress", "Render", "run_audit"]

Progress = Callable[[str, int, int], None]
"""Called at the start of a stage with its name, its number from 1 and the number of stages."""

Render = Callable[[AuditSummary, Corpus, pl.DataFrame, pl.DataFrame], Mapping[str, bytes]]
"""Summary, corpus, findings and signals in; file name -> content out, such as report.html and report.json."""


def run_audit(config: AuditConfig, out: Path | None = None, *, render: Render, progress: Progress | None = None) -> Run:
    """Audit a dataset.

    Args:
        config: What to audit, and how.
        out: The run folder; without it `tunescope-runs/NAME-N` in the working folder.
        render: Makes the reports.
        progress: Told when a stage begins.

    Returns:
        The finished run.

    Raises:
        InputError: The data, the settings or the folder cannot be used.
    """
    source = Path(config.data)
    container = detect_container(source)
    checks = select_checks(CHECKS, config.select, config.ignore)
    options = _options(checks, config.checks)
    source_sha256 = _sha256(source)
    key = {"config": config.model_dump(mode="json"), "source": source_sha256, "tunescope": _version("tunescope")}
    run = out if out is not None else next_free_run(Path("tunescope-runs"), source.stem, key)
    with RunBuilder.open(run, key) as builder:
        work = _Work(builder, config, source, checks, options)
        for number, (name, step) in enumerate(work.plan, start=1):
            if progress is not None:
                progress(name, number, len(work.plan) + 1)
            step(name)
        if progress is not None:
            progress("reports", len(work.plan) + 1, len(work.plan) + 1)
        work.report(render)
        work.finish({"name": source.name, "path": str(source.resolve()), "sha256": source_sha256, "container": str(container)})
    return Run.open(run)


@dataclass
class _Work:
    """The state of one audit: its stages share the corpus and the indexes."""

    builder: RunBuilder
    config: AuditConfig
    source: Path
    checks: Sequence[Check]
    options: Mapping[str, Any]

    @cached_property
    def corpus(self) -> Corpus:
        return Corpus.load(self.builder.path / "rows.parquet")

    @cached_property
    def materials(self) -> Materials:
        return Materials(self.builder.path, self.corpus)

    @cached_property
    def plan(self) -> list[tuple[str, Callable[[str], None]]]:
        """The stages, in order. Traces need every index, so all are built; checks only say what they cannot do without."""
        plan: list[tuple[str, Callable[[str], None]]] = [
            ("read", self._read),
            (Need.WORDS, self._words),
            (Need.LANGUAGES, self._languages),
            (Need.BM25, self._bm25),
            (Need.VECTORS, self._vectors),
            ("signals", self._signals),
        ]
        return plan + [(check.code, self._check) for check in self.checks]

    def _read(self, name: str) -> None:
        def make() -> Mapping[str, Any]:
            facts: dict[str, Any] = {}

            def write(file: Any) -> None:
                config = self.config
                summary = write_corpus(
                    self.source, file, format_=config.input_format, columns=config.columns, limit=config.limit
                )
                facts.update(vars(summary))

            write_file(self.builder.path / "rows.parquet", write)
            write_bytes(self.builder.path / "config.yaml", self.config.to_yaml())
            return facts

        self.builder.stage(name, make, ["rows.parquet", "config.yaml"])

    def _words(self, name: str) -> None:
        self.builder.stage(name, lambda: build_words(self.builder.path, self.corpus), WORD_FILES)

    def _languages(self, name: str) -> None:
        self.builder.stage(name, lambda: build_languages(self.builder.path, self.corpus), LANGUAGE_FILES)

    def _bm25(self, name: str) -> None:
        self.builder.stage(name, lambda: build_bm25(self.builder.path, self.materials), BM25_FILES)

    def _vectors(self, name: str) -> None:
        path = self.builder.path
        self.builder.stage(name, lambda: build_vectors(path, self.corpus, self.config.encoder), VECTOR_FILES)

    def _signals(self, name: str) -> None:
        self.builder.stage(
            name,
            lambda: write_table(self.builder.path / "signals.parquet", length_signals(self.corpus)),
            ["signals.parquet"],
        )

    def _check(self, code: str) -> None:
        check = next(check for check in self.checks if check.code == code)
        file = f"stages/{code}.parquet"

        def make() -> Mapping[str, Any]:
            found = findings_frame(check.find(self.materials, self.options[code]), self.corpus.keys)
            write_table(self.builder.path / file, found)
            return {"findings": found.height}

        self.builder.stage(code, make, [file])

    @cached_property
    def findings(self) -> pl.DataFrame:
        frames = []
        for check in self.checks:
            with VerifiedFile(self.builder.path / f"stages/{check.code}.parquet") as file:
                frames.append(pl.read_parquet(file.readall()))
        return pl.concat([pl.DataFrame(schema=FINDING_SCHEMA), *frames]).sort(
            "row", "code", "turn", "span_start", nulls_last=False
        )

    def summary(self) -> AuditSummary:
        facts = {stage.name: stage.facts for stage in self.builder.stages}
        read = facts["read"]
        skipped = []
        if "skipped" in facts[Need.VECTORS]:
            skipped.append(Skipped("semantic duplicates, and nearness of concepts in traces", facts[Need.VECTORS]["skipped"]))
        english = [check.code for check in self.checks if check.english]
        if english and (n_left_out := facts[Need.LANGUAGES]["not_english"]):
            skipped.append(Skipped(", ".join(english), f"made for English; {n_left_out:,} responses are of another language"))
        return AuditSummary(
            name=self.source.name,
            container=str(detect_container(self.source)),
            format=read["format"],
            n_rows=read["n_rows"],
            n_unreadable=read["n_unreadable"],
            n_malformed=read["n_malformed"],
            n_responses=self.materials.n_responses,
            limit=self.config.limit,
            checks=tuple(
                CheckResult(check.code, check.name, check.severity, check.advice, check.page, facts[check.code]["findings"])
                for check in self.checks
            ),
            skipped=(*skipped, *_not_selected(self.checks), *_NOT_LOOKED_AT),
            encoder=facts[Need.VECTORS].get("encoder"),
            tunescope=_version("tunescope"),
        )

    def report(self, render: Render) -> None:
        def make() -> None:
            write_table(self.builder.path / "findings.parquet", self.findings)
            signals = pl.read_parquet(read_bytes(self.builder.path / "signals.parquet"))
            for file, content in render(self.summary(), self.corpus, self.findings, signals).items():
                write_bytes(self.builder.path / file, content)

        self.builder.stage("reports", make, ["findings.parquet", "report.html", "report.json"])

    def finish(self, source: Mapping[str, Any]) -> None:
        summary = self.summary()
        self.builder.finish(
            {
                "tunescope": summary.tunescope,
                "git": _git_revision(),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "source": source,
                "rows": {"total": summary.n_rows, "unreadable": summary.n_unreadable, "malformed": summary.n_malformed},
                "encoder": next(s.facts for s in self.builder.stages if s.name == Need.VECTORS),
                "summary": asdict(summary),
                "versions": {
                    name: _version(name) for name in ("polars", "pyarrow", "numpy", "faiss-cpu", "bm25s", "rensa", "tokenizers")
                },
                "python": platform.python_version(),
                "hardware": {"system": platform.system(), "machine": platform.machine()},
            }
        )


_NOT_LOOKED_AT = (
    Skipped("what a trainer keeps of each row", "needs the model's tokenizer and chat template"),
    Skipped("whether the base model knows the facts", "needs the base model"),
    Skipped("whether the answers are true", "no check of this version compares them with a source"),
)


def _not_selected(checks: Sequence[Check]) -> Iterator[Skipped]:
    left_out = [check.code for check in CHECKS if check not in checks]
    if left_out:
        yield Skipped(", ".join(left_out), "not selected")


def _options(checks: Sequence[Check], values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    for code in values:
        if code not in {check.code for check in CHECKS}:
            raise unknown_name("check", code, [check.code for check in CHECKS])
    return {check.code: options_of(check, values.get(check.code, {})) for check in checks}


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _git_revision() -> str | None:
    """The revision of the tool, where it runs from a checkout of its own."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
