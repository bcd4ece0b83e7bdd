"""An audit from the first byte to the finished run folder: planned from what the chosen checks need, stage by stage."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from audit.borrow_risk import build_borrow_risk, risk_signals
from audit.checks import Check, options_of, select_checks
from audit.checks.plugins import all_checks, installed_plugins
from audit.comparison import compare_runs
from audit.config import AuditConfig, unknown_name
from audit.corpus import Corpus, write_corpus
from audit.errors import InputError
from audit.evaluation import Evaluation, read_evaluation
from audit.export.decisions import FIRST_ACT, carry_over, encode_act, read_decisions
from audit.findings import FINDING_SCHEMA, findings_frame
from audit.materials import (
    BASE_FILES,
    BM25_FILES,
    EVALUATION_FILES,
    LANGUAGE_FILES,
    RISK_FILES,
    SLICK_FILES,
    TRAINER_FILES,
    VECTOR_FILES,
    WORD_FILES,
    Materials,
    Need,
    build_bm25,
    build_evaluation,
    build_languages,
    build_vectors,
    build_words,
)
from audit.redaction import Hashing, load_hashing, redact_findings, redact_rows
from audit.rundir import Run, RunBuilder, describe_source, next_free_run, stored_name, write_table
from audit.signals import (
    BaseModel,
    Trainer,
    base_signals,
    build_base_model,
    build_slick,
    build_trainer,
    length_signals,
    open_base_model,
    open_trainer,
    slick_signals,
    trainer_signals,
)
from audit.signals.base_summary import summarize_base
from audit.sources import Source, open_source
from audit.style.build import STYLE_FILES, Style, build_style, load_style
from audit.style.reference import Reference, read_reference
from audit.summary import Aside, AuditSummary, Changes, CheckResult, Skipped, SuppressedCount, UnderBase
from audit.suppression import count_suppressed, read_baseline, suppress
from indexes.encoders import DEFAULT_MODEL, find_model, model_digest
from indexes.store import VerifiedFile, read_bytes, write_bytes, write_file

__all__ = ["Progress", "Render", "run_audit"]

Progress = Callable[[str, int, int], None]
"""Called at the start of a stage with its name, its number from 1 and the number of stages."""

Render = Callable[[AuditSummary, Corpus, pl.DataFrame, pl.DataFrame, Aside, Style | None], Mapping[str, bytes]]
"""Summary, corpus, findings, signals, what stands beside them and style in; file name -> content out, such as report.html."""


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
        InputError: The data, the settings, the base model or the folder cannot be used.
        MissingDependencyError: The encoder that the settings name, other than the default one, is not on this machine.
    """
    if config.encoder != DEFAULT_MODEL:  # without the default one an audit goes on, and says what it could not look at
        model_digest(find_model(config.encoder))
    with open_source(config.data) as source:
        return _audit(source, config, out, render, progress)


def _audit(source: Source, config: AuditConfig, out: Path | None, render: Render, progress: Progress | None) -> Run:
    checks = _with_what_is_given(select_checks(all_checks(), config.select, config.ignore), config)
    evaluation = read_evaluation(config.evaluation)
    reference = read_reference(config.style_reference) if config.style_reference else None
    if config.base_model_stands_for is not None and config.base_model is None:
        raise InputError(
            "no model that could stand for another", remedy="name it with --base-model MODEL, or leave out --stands-for"
        )
    if config.slick and config.base_model is None:
        raise InputError("--slick without a model to ask", remedy="name the model that is to be tuned with --base-model MODEL")
    base = None
    if config.base_model is not None:
        base = open_base_model(config.base_model, tokenizer=config.tokenizer, chat_template=config.chat_template)
    trainer = open_trainer(config, source)
    options = _options(checks, config.checks)
    baseline = frozenset() if config.baseline is None else read_baseline(Path(config.baseline))
    previous = None if config.previous is None else Run.open(config.previous)
    key = {
        "config": config.model_dump(mode="json"),
        "source": source.sha256,
        "columns": [dict(file.columns) for file in source.files],
        "tunescope": _version("tunescope"),
        "plugins": _plugins(checks),
        "baseline": sorted(baseline),
        "evaluation": evaluation.sha256,
        "style_reference": None if reference is None else reference.sha256,
        "base_model": None if base is None else base.digest,
        "trainer": None if trainer is None else trainer.digest,
        "previous": None if previous is None else [previous.manifest["files"], read_decisions(previous)],
    }
    run = out if out is not None else next_free_run(Path("tunescope-runs"), source.stem, key)
    with RunBuilder.open(run, key) as builder:
        work = _Work(builder, config, source, checks, options, evaluation, reference, base, trainer, baseline, previous)
        for number, (name, step) in enumerate(work.plan, start=1):
            if progress is not None:
                progress(name, number, len(work.plan) + 1)
            step(name)
        if progress is not None:
            progress("reports", len(work.plan) + 1, len(work.plan) + 1)
        work.report(render)
        work.finish(describe_source(source, is_kept=not config.redact))
    return Run.open(run)


_TEXT = "stages/text"  # dropped with the stages when the run is finished


@dataclass
class _Work:
    """The state of one audit: its stages share the corpus and the indexes."""

    builder: RunBuilder
    config: AuditConfig
    source: Source
    checks: Sequence[Check]
    options: Mapping[str, Any]
    evaluation: Evaluation
    reference: Reference | None
    base: BaseModel | None
    trainer: Trainer | None
    baseline: frozenset[str]
    previous: Run | None

    @property
    def folder(self) -> Path:
        """Where files that hold text are written: of a redacted run, among those that only serve resumption."""
        return self.builder.path / _TEXT if self.config.redact else self.builder.path

    def _files(self, *names: str) -> list[str]:
        """Files of `folder`, relative to the run folder."""
        return [f"{_TEXT}/{name}" if self.config.redact else name for name in names]

    @cached_property
    def corpus(self) -> Corpus:
        return Corpus.load(self.folder / "rows.parquet")

    @cached_property
    def materials(self) -> Materials:
        return Materials(self.folder, self.corpus)

    @cached_property
    def hashing(self) -> Hashing:
        return load_hashing(self.folder / "hashing.key")

    @cached_property
    def plan(self) -> list[tuple[str, Callable[[str], None]]]:
        """The stages, in order. Traces need every index, so all are built; checks only say what they cannot do without."""
        plan: list[tuple[str, Callable[[str], None]]] = [
            ("read", self._read),
            *([] if self.trainer is None else [(Need.TRAINER, self._trainer)]),
            (Need.WORDS, self._words),
            (Need.LANGUAGES, self._languages),
            (Need.BM25, self._bm25),
            (Need.VECTORS, self._vectors),
            (Need.STYLE, self._style),
        ]
        if self.base is not None:
            plan += [(Need.BASE_MODEL, self._base_model), (Need.BORROW_RISK, self._borrow_risk)]
        if self.config.slick:
            plan.append((Need.SLICK, self._slick))
        plan.append(("signals", self._signals))
        if self.config.evaluation:
            plan.append((Need.EVALUATION, self._evaluation))
        return [*plan, *((check.code, self._check) for check in self.checks), ("findings", self._judge)]

    def _read(self, name: str) -> None:
        def make() -> Mapping[str, Any]:
            facts: dict[str, Any] = {}

            def write(file: Any) -> None:
                config = self.config
                summary = write_corpus(
                    self.source, file, format_=config.input_format, columns=config.columns, limit=config.limit
                )
                facts.update(vars(summary))

            for kept in copies:
                write_file(self.folder / stored_name(kept.name), partial(_copy, kept.path))
            write_file(self.folder / "rows.parquet", write)
            write_bytes(self.builder.path / "config.yaml", self.config.to_yaml())
            return facts

        copies = [file for file in self.source.files if file.is_copy]
        stored = [stored_name(kept.name) for kept in copies]
        self.builder.stage(name, make, [*self._files("rows.parquet", *stored), "config.yaml"])

    def _trainer(self, name: str) -> None:
        assert self.trainer is not None  # planned only with one
        build = partial(build_trainer, self.folder, self.corpus, self.trainer, self.config, self.source)
        self.builder.stage(name, build, self._files(*TRAINER_FILES))

    def _words(self, name: str) -> None:
        self.builder.stage(name, lambda: build_words(self.folder, self.corpus), self._files(*WORD_FILES))

    def _languages(self, name: str) -> None:
        self.builder.stage(name, lambda: build_languages(self.folder, self.corpus), self._files(*LANGUAGE_FILES))

    def _bm25(self, name: str) -> None:
        self.builder.stage(name, lambda: build_bm25(self.folder, self.materials), self._files(*BM25_FILES))

    def _vectors(self, name: str) -> None:
        folder, config = self.folder, self.config
        self.builder.stage(
            name,
            lambda: build_vectors(folder, self.corpus, config.encoder, cached=not config.redact),
            self._files(*VECTOR_FILES),
        )

    def _evaluation(self, name: str) -> None:
        config = self.config
        encoder = config.encoder if self.materials.has_vectors else None
        self.builder.stage(
            name,
            lambda: build_evaluation(self.folder, self.evaluation, encoder, cached=not config.redact),
            self._files(*EVALUATION_FILES),
        )

    def _style(self, name: str) -> None:
        encoder = self.config.encoder if self.materials.has_vectors else None
        build = partial(build_style, self.folder, self.materials, encoder, self.reference)
        self.builder.stage(name, build, self._files(*STYLE_FILES))

    def _base_model(self, name: str) -> None:
        assert self.base is not None  # planned only with one
        config, cache = self.config, self.builder.path / _TEXT / "base" if self.config.redact else None
        build = partial(
            build_base_model,
            self.folder,
            self.corpus,
            self.base,
            device=config.device,
            dtype=config.dtype,
            cache=cache,
            stands_for=config.base_model_stands_for,
        )
        self.builder.stage(name, build, self._files(*BASE_FILES))

    def _borrow_risk(self, name: str) -> None:
        build = partial(build_borrow_risk, self.folder, self.materials)
        self.builder.stage(name, build, self._files(*RISK_FILES))

    def _slick(self, name: str) -> None:
        assert self.base is not None  # planned only with one
        config, cache = self.config, self.builder.path / _TEXT / "slick" if self.config.redact else None
        build = partial(
            build_slick,
            self.folder,
            self.corpus,
            self.base,
            n_prompts=config.slick_prompts,
            n_samples=config.slick_samples,
            device=config.device,
            dtype=config.dtype,
            cache=cache,
        )
        self.builder.stage(name, build, self._files(*SLICK_FILES))

    def _signals(self, name: str) -> None:
        def make() -> None:
            signals = length_signals(self.corpus)
            if self.trainer is not None:
                of_trainer = trainer_signals(self.materials.trainer_rows)
                signals = signals.join(of_trainer, on="row", how="left", maintain_order="left")
            if self.base is not None:
                of_base = base_signals(self.corpus, self.materials.base_responses)
                risks = risk_signals(self.corpus, self.materials.borrow_risks)
                for part in (of_base, risks):
                    signals = signals.join(part, on="row", how="left", maintain_order="left")
            if self.config.slick:
                classes = slick_signals(self.materials.slick)
                signals = signals.join(classes, on="row", how="left", maintain_order="left")
            write_table(self.builder.path / "signals.parquet", signals)

        self.builder.stage(name, make, ["signals.parquet"])

    def _check(self, code: str) -> None:
        check = next(check for check in self.checks if check.code == code)
        file = f"stages/{code}.parquet"

        def make() -> Mapping[str, Any]:
            found = findings_frame(check.find(self.materials, self.options[code]), self.corpus.keys)
            write_table(self.builder.path / file, found)
            return {"findings": found.height}

        self.builder.stage(code, make, [file])

    def _found(self) -> pl.DataFrame:
        frames = []
        for check in self.checks:
            with VerifiedFile(self.builder.path / f"stages/{check.code}.parquet") as file:
                frames.append(pl.read_parquet(file.readall()))
        return pl.concat([pl.DataFrame(schema=FINDING_SCHEMA), *frames]).sort(
            "row", "code", "turn", "span_start", nulls_last=False
        )

    def _judge(self, name: str) -> None:
        """Set findings aside, compare with the previous run, and keep what a run may keep."""
        path, config = self.builder.path, self.config
        files = ["findings.parquet", "suppressed.parquet"]

        def make() -> Mapping[str, Any]:
            names = {check.code: check.name for check in all_checks()}
            judged = suppress(self._found(), self.corpus, config.suppress, self.baseline, list(names))
            findings, suppressed = judged.findings, judged.suppressed
            if config.redact:
                write_bytes(path / "rows.parquet", redact_rows(self.folder / "rows.parquet", self.hashing))
                files.append("rows.parquet")
                findings = redact_findings(findings, names, self.hashing)
                suppressed = redact_findings(suppressed, names, self.hashing)
            write_table(path / "findings.parquet", findings)
            write_table(path / "suppressed.parquet", suppressed)
            changes = None
            if self.previous is not None:
                changes, carried = self._compare(self.previous, findings, suppressed, names)
                files.extend(["changes.parquet", FIRST_ACT] if carried else ["changes.parquet"])
            return {
                "counts": dict(sorted(findings.group_by("code").len().iter_rows())),
                "suppressed": [asdict(count) for count in count_suppressed(suppressed)],
                "notes": judged.notes,
                "changes": changes,
            }

        self.builder.stage(name, make, files)

    def _compare(
        self, previous: Run, findings: pl.DataFrame, suppressed: pl.DataFrame, names: Mapping[str, str]
    ) -> tuple[Mapping[str, Any], bool]:
        """What changed since the previous run, and whether decisions of it are taken over."""
        carried, n_left = carry_over(previous, self.corpus)
        compared = compare_runs(previous, self.corpus, findings, suppressed, len(carried), n_left)
        changed = redact_findings(compared.changed, names, self.hashing) if self.config.redact else compared.changed
        write_table(self.builder.path / "changes.parquet", changed)
        if carried:
            write_bytes(self.builder.path / FIRST_ACT, encode_act(carried))
        return asdict(compared.changes), bool(carried)

    def summary(self) -> AuditSummary:
        facts = {stage.name: stage.facts for stage in self.builder.stages}
        read, judged = facts["read"], facts["findings"]
        skipped = []
        if "skipped" in facts[Need.VECTORS]:
            blind = [check.code for check in self.checks if Need.VECTORS in check.needs]
            skipped.append(Skipped(", ".join([*blind, "nearness of concepts in traces"]), facts[Need.VECTORS]["skipped"]))
        english = [check.code for check in self.checks if check.english]
        if english and (n_left_out := facts[Need.LANGUAGES]["not_english"]):
            skipped.append(Skipped(", ".join(english), f"made for English; {n_left_out:,} responses are of another language"))
        return AuditSummary(
            name=self.source.name,
            container=self.source.container,
            format=read["format"],
            n_rows=read["n_rows"],
            n_unreadable=read["n_unreadable"],
            n_malformed=read["n_malformed"],
            n_responses=self.materials.n_responses,
            limit=self.config.limit,
            checks=tuple(
                CheckResult(
                    check.code, check.name, check.severity, check.advice, check.page, judged["counts"].get(check.code, 0)
                )
                for check in self.checks
            ),
            skipped=(
                *skipped,
                *_not_selected(self.checks, self.config),
                *_not_looked_at(facts.get(Need.BASE_MODEL), facts.get(Need.TRAINER)),
                *_not_asked(facts.get(Need.SLICK)),
            ),
            encoder=facts[Need.VECTORS].get("encoder"),
            tunescope=_version("tunescope"),
            suppressed=tuple(SuppressedCount(**count) for count in judged["suppressed"]),
            notes=tuple(judged["notes"]),
            changes=None if judged["changes"] is None else Changes.from_manifest(judged["changes"]),
            redacted=self.config.redact,
            trainer=facts.get(Need.TRAINER),
            under_base=self._under_base(),
        )

    def _under_base(self) -> UnderBase | None:
        """What the base model makes of the rows, where there is one."""
        measured = next((stage for stage in self.builder.stages if stage.name == Need.BASE_MODEL), None)
        if measured is None:
            return None
        signals = pl.read_parquet(read_bytes(self.builder.path / "signals.parquet"))
        responses = self.materials.base_responses
        return summarize_base(self.folder, self.corpus, responses, signals, measured.facts)

    def report(self, render: Render) -> None:
        def make() -> None:
            path = self.builder.path
            findings, signals, suppressed = (
                pl.read_parquet(read_bytes(path / f"{name}.parquet")) for name in ("findings", "signals", "suppressed")
            )
            changed = None if self.previous is None else pl.read_parquet(read_bytes(path / "changes.parquet"))
            corpus = Corpus.load(path / "rows.parquet") if self.config.redact else self.corpus
            style = None if self.config.redact else load_style(path)
            aside = Aside(suppressed, changed)
            for file, content in render(self.summary(), corpus, findings, signals, aside, style).items():
                write_bytes(path / file, content)

        self.builder.stage("reports", make, ["report.html", "report.json"])

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
                "plugins": _plugins(self.checks),
                "summary": asdict(summary),
                "versions": {
                    name: _version(name) for name in ("polars", "pyarrow", "numpy", "faiss-cpu", "bm25s", "rensa", "tokenizers")
                },
                "python": platform.python_version(),
                "hardware": {"system": platform.system(), "machine": platform.machine()},
            }
        )


def _not_looked_at(of_base: Mapping[str, Any] | None, of_trainer: Mapping[str, Any] | None) -> Iterator[Skipped]:
    """What no check looks at, and the responses that the base model could not be given whole."""
    if of_trainer is None:
        yield Skipped("what a trainer keeps of each row", "needs the model's tokenizer and chat template (--tokenizer MODEL)")
    if of_base is None:
        yield Skipped("whether the base model knows the facts", "needs the base model (--base-model MODEL)")
    else:
        for reason, n_responses in of_base["not_measured"].items():
            yield Skipped(f"{n_responses:,} of the responses under the base model", reason)
        if of_base["cut_responses"]:
            yield Skipped(
                f"the ends of {of_base['cut_responses']:,} of the responses under the base model", "longer than what it reads"
            )
    yield Skipped("whether the answers are true", "no check of this version compares them with a source")


def _not_asked(of_slick: Mapping[str, Any] | None) -> Iterator[Skipped]:
    """The rows that the base model was not asked for."""
    for reasons in () if of_slick is None else (of_slick["left_out"], of_slick["not_measured"]):
        for reason, n_rows in reasons.items():
            yield Skipped(f"SliCK's class of {n_rows:,} rows", reason)


@dataclass(frozen=True)
class _Given:
    """What a user may name for some checks, and what is said where it is missing."""

    what: str
    why: str
    remedy: str
    was: str


_GIVEN = {
    Need.EVALUATION: _Given(
        what="no evaluation files are given",
        why="rows are compared with the prompts that the model will be measured with",
        remedy="name them with --evaluation FILE",
        was="no evaluation files were given (--evaluation FILE)",
    ),
    Need.STYLE_REFERENCE: _Given(
        what="no style reference is given",
        why="forms are too frequent only beside other answers: of people, or the base model's own",
        remedy="name them with --style-reference FILE",
        was="no style reference was given (--style-reference FILE)",
    ),
    Need.TRAINER: _Given(
        what="no tokenizer is given",
        why="what a trainer keeps of a row hangs on tokenizer and chat template",
        remedy="name it with --tokenizer MODEL, or --base-model MODEL",
        was="no tokenizer was given (--tokenizer MODEL)",
    ),
    Need.BASE_MODEL: _Given(
        what="no base model is given",
        why="responses are compared with what the model that is to be tuned would say",
        remedy="name it with --base-model MODEL",
        was="no base model was given (--base-model MODEL)",
    ),
    Need.SLICK: _Given(
        what="the base model is not asked the rows' questions",
        why="answers are compared with its own",
        remedy="ask it with --base-model MODEL --slick",
        was="the base model was not asked the rows' questions (--base-model MODEL --slick)",
    ),
}


def _missing(config: AuditConfig) -> list[Need]:
    """What a user may name and has not."""
    named = {
        Need.EVALUATION: bool(config.evaluation),
        Need.STYLE_REFERENCE: bool(config.style_reference),
        Need.TRAINER: (config.tokenizer or config.base_model) is not None,
        Need.BASE_MODEL: config.base_model is not None,
        Need.SLICK: config.slick,
    }
    return [need for need, is_named in named.items() if not is_named]


def _with_what_is_given(checks: list[Check], config: AuditConfig) -> list[Check]:
    """The chosen checks without those that need what the user may name and has not.

    Raises:
        InputError: One of these was asked for by its code, or no other is left.
    """
    left = [check for check in checks if check.needs.isdisjoint(_missing(config))]
    for need in _missing(config):
        needing = [check.code for check in checks if need in check.needs]
        asked = [code for code in needing if code in config.select] or ([] if left else needing)
        if asked:
            given = _GIVEN[need]
            raise InputError(f"{', '.join(asked)}: {given.what}", why=given.why, remedy=given.remedy)
    return left


def _not_selected(checks: Sequence[Check], config: AuditConfig) -> Iterator[Skipped]:
    left_out = [check for check in all_checks() if check not in checks]
    for need in _missing(config):
        without = [check.code for check in left_out if need in check.needs]
        left_out = [check for check in left_out if check.code not in without]
        if without:
            yield Skipped(", ".join(without), _GIVEN[need].was)
    not_selected = [check.code for check in left_out]
    if not_selected:
        yield Skipped(", ".join(not_selected), "not selected")


def _options(checks: Sequence[Check], values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    known = {check.code: check for check in all_checks()}
    for code, given in values.items():
        if code not in known:
            raise unknown_name("check", code, list(known))
        options_of(known[code], given)  # a mistake is one where the check does not run, too
    return {check.code: options_of(check, values.get(check.code, {})) for check in checks}


def _plugins(checks: Sequence[Check]) -> list[Mapping[str, Any]]:
    """The distributions behind the checks that are not our own."""
    codes = {check.code for check in checks}
    return [
        {"distribution": plugin.distribution, "version": plugin.version, "codes": sorted(used)}
        for plugin in installed_plugins()
        if (used := codes.intersection(check.code for check in plugin.checks))
    ]


def _copy(path: Path, target: BinaryIO) -> None:
    with path.open("rb") as file:
        shutil.copyfileobj(file, target, 1 << 20)


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
