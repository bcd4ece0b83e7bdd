"""tunescope audits instruction-tuning data: the public Python API and the entry of the command.

    import tunescope

    run = tunescope.audit("data.jsonl")
    trace = tunescope.trace(run, prompt="…", response="…", spans=["…"])
    plan = tunescope.export(run, "cleaned.jsonl", drop=["DUP", "TXT"], control_seeds=[0, 1, 2, 3, 4])
    result = tunescope.verify(run, {"cleaned": ["a.jsonl"], "random": ["b.jsonl"]})

A check of one's own is made of `Check`, `Finding`, `Evidence`, `Materials`, `Need`, `Severity`, `bounded` and `shorten`, and
found by an entry point in the group `tunescope.checks`; nothing else of the packages behind this module is for others.

Everything is loaded when it is first used. The packages behind this module have common names (`audit`, `indexes`,
`reports`, `cli`); importing tunescope checks that Python finds ours, and not another distribution's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from audit.checks.base import Check, bounded, shorten
    from audit.corpus import Corpus
    from audit.export import Exported, ExportPlan
    from audit.findings import Evidence, Finding, Severity
    from audit.materials import Materials, Need
    from audit.rundir import Run
    from audit.shift import ShiftReport
    from audit.style.measured import MeasuredStyle
    from audit.trace import Trace
    from audit.tune import TuningRecord
    from audit.verify import CampaignResult, Verification
    from audit.verify.calibration import Calibration
    from audit.verify.confirmation import ConfirmationResult
    from audit.verify.paper import PaperReport

__all__ = [
    "Check",
    "Evidence",
    "Finding",
    "Materials",
    "Need",
    "Severity",
    "answer",
    "audit",
    "bounded",
    "calibrate",
    "confirm",
    "decide",
    "export",
    "main",
    "open_run",
    "paper",
    "report",
    "shift",
    "shorten",
    "style",
    "trace",
    "tune",
    "verify",
]

_Result = TypeVar("_Result")
_ROOMS = ("audit", "indexes", "reports", "cli")
_MARK = '"""tunescope:'
_OF_CHECKS = {
    "Check": "audit.checks.base",
    "Evidence": "audit.findings",
    "Finding": "audit.findings",
    "Materials": "audit.materials",
    "Need": "audit.materials",
    "Severity": "audit.findings",
    "bounded": "audit.checks.base",
    "shorten": "audit.checks.base",
}


def __getattr__(name: str) -> Any:
    """What checks are made of, loaded when it is asked for."""
    if name not in _OF_CHECKS:
        raise AttributeError(f"module 'tunescope' has no attribute {name!r}")
    _check_rooms()
    return getattr(import_module(_OF_CHECKS[name]), name)


def audit(data: str | Path | Sequence[str | Path], out: str | Path | None = None, **settings: Any) -> Run:
    """Audit a dataset and write a run folder.

    Args:
        data: A file (.jsonl, .json, .csv, .parquet, .arrow, also .gz or .zst), a folder, a pattern such as `data/*.jsonl`,
            `-`, a hub id `org/name[@revision][:split]` or a URL that fsspec knows; or a list of them.
        out: The run folder; without it `tunescope-runs/NAME-N`.
        **settings: As in `audit.config.AuditConfig`: `select`, `ignore`, `input_format`, `columns`, `limit`, `checks`, …;
            of an earlier run that `previous` names, the settings that are not given are taken over.

    Returns:
        The finished run: `run.findings` and `run.signals` are polars frames, `run.corpus` the dataset.

    Raises:
        indexes.errors.TunescopeError: The data, a setting or the folder cannot be used; the message is one line.
    """
    _check_rooms()
    from audit.comparison import settings_from
    from audit.config import make_config
    from audit.pipeline import run_audit
    from reports.render import render_audit

    named = str(data) if isinstance(data, str | Path) else [str(each) for each in data]
    if settings.get("previous") is not None:
        settings = settings_from(_opened(settings["previous"]), {**settings, "previous": str(settings["previous"])})
    config = make_config({**settings, "data": named})
    return _shown(run_audit(config, None if out is None else Path(out), render=render_audit))


def open_run(path: str | Path) -> Run:
    """A finished run folder.

    Raises:
        indexes.errors.TunescopeError: There is none, or it is of another version or damaged.
    """
    _check_rooms()
    from audit.rundir import Run

    return _shown(Run.open(path))


def report(run: Run | str | Path, kind: str = "markdown") -> str:
    """The report of an audit as text, as `tunescope audit --format` prints it.

    Args:
        run: A finished run, or its folder.
        kind: `markdown` for a comment or a job's summary, `sarif` for code scanning, `json` for programs.

    Raises:
        indexes.errors.TunescopeError: There is no such kind of report.
    """
    _check_rooms()
    from audit.config import unknown_name

    opened = _opened(run)
    match kind:
        case "markdown":
            from reports.markdown import audit_markdown

            return audit_markdown(opened.summary, opened.catalog, opened.findings, opened.path)
        case "sarif":
            from reports.sarif import run_sarif

            return run_sarif(opened).decode()
        case "json":
            return (opened.path / "report.json").read_text(encoding="utf-8")
    raise unknown_name("kind of report", kind, ["markdown", "sarif", "json"])


def _several(given: Any) -> tuple[Any, ...]:
    """What was given, as several, where one text is given for a sequence of them."""
    return (given,) if isinstance(given, str) else tuple(given)


def decide(
    run: Run | str | Path,
    *,
    drop: Sequence[str | int] = (),
    keep: Sequence[str | int] = (),
    undo: Sequence[str | int] = (),
    reason: str = "",
) -> None:
    """Decide what is to become of rows; exports drop and keep accordingly. On disk at once.

    Args:
        run: A finished run, or its folder.
        drop: Rows to leave out, as `FILE#INDEX`, row keys or numbers.
        keep: Rows to keep, whatever else an export drops.
        undo: Rows about which nothing is to be decided any more.
        reason: Why, for the record.

    Raises:
        indexes.errors.TunescopeError: A row is not in the run, or nothing was decided about one to undo.
    """
    _check_rooms()
    from audit.export.decisions import Choice, find_row, undo_decisions
    from audit.export.decisions import decide as decide_rows

    opened = _opened(run)
    drops, keeps, undone = (
        [row if isinstance(row, int) else find_row(opened.catalog, row) for row in _several(rows)]
        for rows in (drop, keep, undo)
    )
    if drops:
        decide_rows(opened, drops, Choice.DROP, reason)
    if keeps:
        decide_rows(opened, keeps, Choice.KEEP, reason)
    if undone:
        undo_decisions(opened, undone, reason)


def trace(
    run: Run | str | Path,
    *,
    prompt: str,
    response: str,
    spans: Sequence[str] = (),
    reference: Sequence[str] = (),
    corrected: str | None = None,
    k: int | None = 10,
    tuned_model: str | Path | None = None,
    base_model: str | Path | None = None,
    gradients: bool = True,
) -> Trace:
    """The rows from which false words of an answer could have been borrowed.

    Args:
        run: A finished run, or its folder.
        prompt: What the model was asked.
        response: What it said.
        spans: The false words, each as text or `START:END` in code points.
        reference: The right answer and its aliases; finds the span where none is given, and sets right rows apart.
        corrected: The whole answer corrected; as `reference`.
        k: Links per span; `None` for all rows in order.
        tuned_model: The model that said it, a folder, an adapter or a hub name: rows are ordered by estimated influence.
        base_model: The model that it was tuned from: shows what tuning changed, and sharpens the estimate.
        gradients: Whether to take gradients of the best rows; without, forward passes alone.

    Raises:
        indexes.errors.TunescopeError: A span is not in the response, nothing says which words are false, or the models
            cannot be loaded or do not belong together.
    """
    _check_rooms()
    from audit.errors import InputError
    from audit.responses import Response
    from audit.sources import Message
    from audit.trace import Tracer, locate_span

    if base_model is not None and tuned_model is None:
        raise InputError("base_model alone", remedy="give tuned_model too")
    claim = Response(
        id="claim",
        messages=(Message("user", prompt, trained=False),),
        response=response,
        spans=tuple(locate_span(response, span) for span in spans),
        reference=tuple(reference),
        corrected=corrected,
    )
    opened = _opened(run)
    models = None
    if tuned_model is not None:
        from audit.trace.influence import load_evidence

        models = load_evidence(opened, tuned_model, base_model, gradients=gradients)
    return _shown(Tracer(opened, models=models).trace(claim, k), opened.corpus)


def style(
    run: Run | str | Path,
    *,
    responses: str | Path | None = None,
    base_responses: str | Path | None = None,
    null_responses: Sequence[str | Path] = (),
) -> MeasuredStyle:
    """The forms that many rows of a dataset share, and which answers of a model copy them.

    Args:
        run: A finished run, or its folder.
        responses: A tuned model's answers: a JSONL file with `prompt` or `messages`, and `response`.
        base_responses: The base model's answers, best to the same prompts: shows what tuning moved.
        null_responses: Files of answers of models that never saw these rows: shows what is near them by chance.

    Returns:
        `style`, the families of the dataset, and `copying`, what was measured on the answers.

    Raises:
        indexes.errors.TunescopeError: The run has no families, or a file cannot be used.
    """
    _check_rooms()
    from audit.style.measured import measure_style

    opened = _opened(run)
    given, base = (None if file is None else Path(file) for file in (responses, base_responses))
    return _shown(measure_style(opened, given, base, [Path(file) for file in null_responses]), opened.corpus)


def confirm(
    run: Run | str | Path,
    traces: Trace | Sequence[Trace],
    base_model: str | Path,
    method: str = "full",
    recipe: str | Path = "default",
    budget: int | None = None,
    seeds: int = 2,
    workers: int = 1,
) -> ConfirmationResult:
    """Whether traced rows lent the false words: the model is tuned again without them, and without random rows.

    Interrupted? Call it again; retrainings that were made are kept.

    Args:
        run: The run that was traced, or its folder.
        traces: What `trace` returned, once or for several claims; random removals are shared by all.
        base_model: Folder or hub name of the model that was tuned.
        method: `full` or `lora`.
        recipe: `default`, `paper`, `pocket`, or a YAML file: the recipe that the model was tuned by.
        budget: Tunings at most; `None` for p-values down to .01.
        seeds: Orders of the rows to measure on.
        workers: Tunings at a time.

    Returns:
        For every span, groups of rows with their effect, p- and q-value; `with_measured_tiers` of
        `audit.verify.confirmation` writes them into the traces.

    Raises:
        indexes.errors.TunescopeError: The model, the recipe or the budget cannot be used, or no span can be tested.
    """
    _check_rooms()
    from audit.tune.recipe import Method, load_recipe
    from audit.verify.confirmation import prepare_confirmation, run_confirmation

    opened = _opened(run)
    given = traces if isinstance(traces, Sequence) else (traces,)
    prepared = prepare_confirmation(
        opened, given, base_model=str(base_model), recipe=load_recipe(recipe, Method(method)), n_seeds=seeds, budget=budget
    )
    return _shown(run_confirmation(opened, prepared, n_workers=workers), opened.corpus)


def answer(
    model: str | Path,
    prompts: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    base_model: str | Path | None = None,
    max_new_tokens: int = 256,
    batch_size: int = 32,
    device: str = "auto",
    dtype: str = "auto",
) -> int:
    """What a model says to prompts, greedily, as a file that `trace`, `shift` and `verify` read.

    Interrupted? Call it again; it goes on.

    Args:
        model: A folder, a PEFT adapter, or a hub name.
        prompts: A JSONL file with `prompt` or `messages`.
        out: The file of answers, made new.
        split: Only prompts of this split: `trace`, `held-out` or `control`.
        base_model: The base model of an adapter, where it has moved.
        max_new_tokens: Where an answer is cut.
        batch_size: Answers at once.
        device: As torch names it; `auto` takes a GPU where there is one.
        dtype: `float32`, `bfloat16` or `float16`; `auto` is float32 on a processor.

    Returns:
        How many answers the file holds.

    Raises:
        indexes.errors.TunescopeError: The model or the prompts cannot be used, or the file exists.
    """
    _check_rooms()
    from audit.config import member_of
    from audit.responses import Split, read_prompts
    from audit.verify.answering import ask

    asked = read_prompts(Path(prompts))
    if split is not None:
        chosen = member_of(Split, "split", split)
        asked = tuple(prompt for prompt in asked if prompt.split is chosen)
    ask(
        model,
        asked,
        Path(out),
        base=base_model,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
    )
    return len(asked)


def calibrate(run: Run | str | Path, n: int = 100, seed: int = 0, name: str | None = None) -> Calibration:
    """How well tracing finds false words in this dataset: planted into a copy of it, traced, and counted.

    Args:
        run: A finished run with vectors, or its folder; the result is added as RUN/calibrations/NAME.
        n: Faults of each of the levels easy, medium and hard, and claims without a fault.
        seed: Of everything random.
        name: Of the calibration within the run.

    Returns:
        `calibration.recall(calibration.of_level(level), method, k)` is how much came among the first k rows.

    Raises:
        indexes.errors.TunescopeError: The run has no vectors, or nothing can be planted.
    """
    _check_rooms()
    from audit.verify.calibration import calibrate as calibrate_run
    from audit.verify.calibration import store_calibration
    from audit.verify.calibration.stored import KIND
    from reports.render import render_calibration

    opened = _opened(run)
    name = name or opened.free_name(KIND, "calibration")
    opened.check_name(KIND, name)
    calibration = calibrate_run(opened, n, seed)
    store_calibration(opened, name, calibration, render_calibration(calibration, opened.corpus))
    return _shown(calibration, opened.corpus)


def shift(
    base_model: str | Path,
    tuned_model: str | Path,
    *,
    prompts: str | Path | None = None,
    responses: str | Path | None = None,
    out: str | Path | None = None,
    max_new_tokens: int = 256,
    batch_size: int = 16,
    device: str = "auto",
    dtype: str = "auto",
) -> ShiftReport:
    """What tuning moved, token by token: the tuned model's greedy answers under both models.

    Args:
        base_model: Folder or hub name of the model before tuning.
        tuned_model: The model after it, or a PEFT adapter.
        prompts: A file of prompts.
        responses: In place of `prompts`, a file of answers to measure as they are.
        out: Folder for `tokens.parquet`, `shift.json` and `report.html`; `None` writes nothing.
        max_new_tokens: Where an answer is cut.
        batch_size: Answers at once.
        device: As torch names it; `auto` takes a GPU where there is one.
        dtype: `float32`, `bfloat16` or `float16`; `auto` is float32 on a processor.

    Returns:
        `report.tokens` is a polars frame with a line per token, `report.profiles` tells start and rest apart.

    Raises:
        indexes.errors.TunescopeError: A model or file cannot be used, or the models' tokenizers differ.
    """
    _check_rooms()
    from audit.shift import check_free, load_pair, measure_shift, read_questions, store_shift
    from reports.render import render_shift

    if out is not None:
        check_free(Path(out))
    questions = read_questions(prompts, responses)
    base, tuned = load_pair(base_model, tuned_model, device=device, dtype=dtype)
    report = measure_shift(base, tuned, questions, max_new_tokens=max_new_tokens, batch_size=batch_size)
    if out is not None:
        store_shift(Path(out), report, render_shift(report))
    return _shown(report)


def export(
    run: Run | str | Path,
    out: str | Path,
    *,
    drop: Sequence[str] = (),
    drop_blamed: Sequence[str] = (),
    keep: Sequence[str] = (),
    sample_families: Sequence[str] = (),
    judge_endpoint: str | None = None,
    judge_model: str | None = None,
    judge_key_env: str | None = None,
    mend: str | None = None,
    mend_codes: Sequence[str] | None = None,
    idk_text: str | None = None,
    base_model: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    mend_endpoint: str | None = None,
    mend_model: str | None = None,
    mend_key_env: str | None = None,
    control_seeds: Sequence[int] = (),
    group_column: str | None = None,
    data: str | Path | None = None,
    decisions: bool = True,
    name: str | None = None,
    card: bool = False,
    croissant: bool = False,
    push_to_hub: str | None = None,
    public: bool = False,
    dry_run: bool = False,
) -> Exported | ExportPlan:
    """Write the dataset without some rows or with some mended, matched controls beside it, and the reason for every change.

    Args:
        run: A finished run, or its folder.
        out: The cleaned file; its suffix names the container.
        drop: Codes, or prefixes, whose findings drop a row.
        drop_blamed: `NAME:K` or `NAME:SHARE` of a stored trace.
        keep: Rules, applied in this order to the rows left: `longest:K`, `random:K[@SEED]`, `ifd:K`, `known`, `slick:CLASS`,
            `low-risk[:K]`, `judge:RATING`, `diverse:K`, with K a number or a share such as `10%`.
        sample_families: `N:SHARE` or `N:SHARE@SEED`: rows of style family N stay only up to a share of all that stay.
        judge_endpoint: The OpenAI-compatible endpoint that rates rows for `judge`.
        judge_model: Its model.
        judge_key_env: The environment variable that holds its key.
        mend: `concise` has a model say rows that stay in fewer words, and what loses or brings a fact is not taken; `idk` says
            that one does not know; `self` takes the base model's own answer.
        mend_codes: Findings that name these rows, or prefixes; where not given STY002 and STY004, and for `idk` and `self` the
            rows whose SliCK class is Unknown.
        idk_text: What `idk` says, in any language.
        base_model: Who answers for `self`; the base model of the audit where not given.
        device: Where it runs.
        dtype: Its number format.
        mend_endpoint: The OpenAI-compatible endpoint that mends, or answers.
        mend_model: Its model.
        mend_key_env: The environment variable that holds its key.
        control_seeds: One control file per seed.
        group_column: A field whose values the controls keep in proportion.
        data: Where the audited file lies now, if it was moved.
        decisions: Whether to follow what `decide` recorded.
        name: Name of the record within the run.
        card: Say in `README.md` beside the file what was dropped and why.
        croissant: Write Croissant metadata beside it, `croissant.json`.
        push_to_hub: `ORG/NAME`: upload all of it, with card and metadata, to a dataset of the Hugging Face hub.
        public: Make a new dataset on the hub public.
        dry_run: Only plan; the plan is returned.

    Raises:
        indexes.errors.TunescopeError: Something asked for is not known or not possible; nothing was written.
    """
    _check_rooms()
    from audit.export import ExportRequest, plan_export, write_export
    from audit.export.judging import judge_endpoint as judge_of
    from audit.export.keep_rules import Kind, parse_keep
    from audit.export.mends import mend_request
    from reports.publishing import Publication, check_publication, publish

    asked = Publication(card, croissant, push_to_hub, public)
    check_publication(asked, Path(out))
    request = ExportRequest(
        drop=_several(drop),
        drop_blamed=_several(drop_blamed),
        keep=_several(keep),
        sample_families=_several(sample_families),
        judge=judge_of(
            judge_endpoint,
            judge_model,
            judge_key_env,
            is_needed=any(parse_keep(rule).kind == Kind.JUDGE for rule in _several(keep)),
            is_dry=dry_run,
        ),
        mend=mend_request(
            mend,
            None if mend_codes is None else _several(mend_codes),
            mend_endpoint,
            mend_model,
            mend_key_env,
            idk_text=idk_text,
            base_model=base_model,
            device=device,
            dtype=dtype,
            is_dry=dry_run,
        ),
        control_seeds=tuple(control_seeds),
        group_column=group_column,
        decisions=decisions,
        data=None if data is None else Path(data),
    )
    plan = plan_export(_opened(run), request, is_dry=dry_run)
    if dry_run:
        return _shown(plan)
    exported = write_export(plan, Path(out), name)
    publish(exported, asked)
    return _shown(exported)


def tune(
    data: str | Path,
    base_model: str | Path,
    method: str,
    out: str | Path,
    *,
    recipe: str | Path = "default",
    seed: int = 0,
    limit: int | None = None,
    held_out: str | Path | float | None = None,
    probes: str | Path | None = None,
    choose_learning_rate: bool = False,
    **settings: Any,
) -> TuningRecord:
    """Tune a model on a dataset.

    Args:
        data: A file, a folder, a pattern, a hub id or a URL, as `audit` takes it.
        base_model: Folder or hub name of the model.
        method: `lora` or `full`.
        out: The folder of the tuned model, or of its adapter.
        recipe: `default`, `paper`, `pocket`, or a YAML file.
        seed: Of row order, adapter weights, dropout, noise and rows held out.
        limit: Read only so many rows.
        held_out: A file of rows to measure the loss on, or a share of `data`, which is then not trained on.
        probes: A file of prompts with references that the base model knows.
        choose_learning_rate: Choose the rate from the recipe's grid by held-out loss first.
        **settings: Fields of `audit.tune.Recipe` in place of the recipe's: `learning_rate`, `epochs`, `batch_size`, …

    Returns:
        How it went; `record.problems()` says why nothing should be claimed from it.

    Raises:
        indexes.errors.TunescopeError: The data, the model, a setting or the folder cannot be used.
    """
    _check_rooms()
    from audit.config import unknown_name
    from audit.tune import Method, load_recipe
    from audit.tune.job import TuneJob, run_job

    if method not in tuple(Method):
        raise unknown_name("method", method, [str(known) for known in Method])
    job = TuneJob(
        data=data,
        base_model=str(base_model),
        recipe=load_recipe(recipe, Method(method), **settings),
        out=Path(out),
        seed=seed,
        limit=limit,
        held_out=Path(held_out) if isinstance(held_out, str) else held_out,
        probes=None if probes is None else Path(probes),
    )
    return _shown(run_job(job, choose=choose_learning_rate).record)


@overload
def verify(
    run: Run | str | Path,
    responses: Mapping[str, Sequence[str | Path]],
    *,
    export: str | None = None,
    delta_points: float = 5.0,
    style_families: Sequence[int] = (),
) -> Verification: ...


@overload
def verify(
    run: Run | str | Path,
    *,
    prompts: str | Path,
    export: str | None = None,
    base_model: str | None = None,
    checkpoints: Mapping[str, Sequence[str | Path]] | None = None,
    methods: Sequence[str] = ("lora",),
    recipe: str = "default",
    learning_rates: Mapping[str, float] | None = None,
    seeds: int = 5,
    arms: Sequence[str] = (),
    also_exports: Sequence[str] = (),
    delta_points: float = 5.0,
    equal: str = "epochs",
    max_new_tokens: int = 128,
    name: str | None = None,
    unseen: str | Path | None = None,
    workers: int | None = None,
    keep_models: bool = False,
    style_families: Sequence[int] = (),
) -> CampaignResult: ...


def verify(
    run: Run | str | Path,
    responses: Mapping[str, Sequence[str | Path]] | None = None,
    *,
    export: str | None = None,
    delta_points: float = 5.0,
    prompts: str | Path | None = None,
    base_model: str | None = None,
    checkpoints: Mapping[str, Sequence[str | Path]] | None = None,
    methods: Sequence[str] = ("lora",),
    recipe: str = "default",
    learning_rates: Mapping[str, float] | None = None,
    seeds: int = 5,
    arms: Sequence[str] = (),
    also_exports: Sequence[str] = (),
    equal: str = "epochs",
    max_new_tokens: int = 128,
    name: str | None = None,
    unseen: str | Path | None = None,
    workers: int | None = None,
    keep_models: bool = False,
    style_families: Sequence[int] = (),
) -> Verification | CampaignResult:
    """Did the cleaning help? Tuning on the cleaned set against tuning on matched random removals.

    Three ways: answers that were made elsewhere (`responses`), models that were tuned elsewhere (`checkpoints` and
    `prompts`), or an export, a base model and prompts, to tune here. The last two add the verification to the run, and go
    on where they were interrupted; models work in processes of their own, so that a script that calls this needs
    `if __name__ == "__main__":`.

    Args:
        run: The run that the cleaning came from: prompts that were traced there are left out.
        responses: Arm -> its files, one per seed; `cleaned` and `random` are needed.
        export: Name of the export that the cleaned arm lacks the rows of.
        delta_points: A difference below this many percentage points counts as none.
        prompts: A file of prompts with their right answers, split before anything was traced.
        base_model: The model to tune; of checkpoints, the one they were tuned from.
        checkpoints: Arm -> its models, one per seed; adapters work.
        methods: `lora`, `full`, or both.
        recipe: `default`, `paper`, `pocket`, or a YAML file.
        learning_rates: Method -> rate, in place of the recipe's.
        seeds: Tunings of every arm by every method.
        arms: Further arms: `original`, `near`.
        also_exports: Further exports, as arms side by side.
        equal: What arms of different size have in common: `epochs` or `steps`.
        max_new_tokens: Tokens of the longest answer.
        name: Of the verification within the run.
        unseen: A dataset that no model was tuned on, a null of borrowing.
        workers: Models at a time; the figures do not depend on it.
        keep_models: Keep the tuned models in RUN/verify/NAME/models.
        style_families: Style families of the run, by number: how many answers are of them. By default those that the
            export dropped.

    Returns:
        The judgement of the answers; for models, of every method, with how the tunings went.

    Raises:
        indexes.errors.TunescopeError: The files do not pair, a model cannot be used, or a prompt lacks what the outcome
            needs.
    """
    _check_rooms()
    from audit.errors import InputError

    opened = _opened(run)
    if responses is not None:
        if prompts is not None or base_model is not None or checkpoints is not None:
            raise InputError("responses stand alone", remedy="give no prompts, base_model or checkpoints beside them")
        from audit.verify import verify_run

        files = [(arm, Path(file)) for arm, paths in responses.items() for file in paths]
        families = tuple(style_families)
        return _shown(verify_run(opened, files, export=export, delta_points=delta_points, style_families=families))
    if prompts is None:
        raise InputError("nothing to verify", remedy="give responses, or prompts with checkpoints or a base_model")
    from audit.verify.answering import default_workers
    from reports.campaign import render_campaign

    name = name or opened.free_name("verify", "verification")
    unseen_path = None if unseen is None else Path(unseen)
    if checkpoints is not None:
        from audit.verify.checkpoints import CheckpointRequest, verify_checkpoints

        models = tuple((arm, str(where)) for arm, places in checkpoints.items() for where in places)
        asked = CheckpointRequest(
            checkpoints=models,
            prompts=Path(prompts),
            export=export,
            base_model=base_model,
            delta_points=delta_points,
            max_new_tokens=max_new_tokens,
            unseen=unseen_path,
            style_families=tuple(style_families),
        )
        n_workers = workers or default_workers(models[0][1], base_model)
        return _shown(verify_checkpoints(opened, asked, name, n_workers=n_workers, render=render_campaign))
    from audit.config import member_of
    from audit.tune import Method
    from audit.verify.campaign import run_campaign
    from audit.verify.design import CampaignRequest, Equal, plan_design

    if export is None or base_model is None:
        raise InputError("nothing to tune", remedy="give an export and a base_model, or checkpoints, or responses")
    request = CampaignRequest(
        export=export,
        base_model=base_model,
        prompts=Path(prompts),
        methods=tuple(member_of(Method, "method", method) for method in methods),
        recipe=recipe,
        learning_rates={member_of(Method, "method", method): rate for method, rate in (learning_rates or {}).items()},
        n_seeds=seeds,
        arms=tuple(arms),
        also_exports=tuple(also_exports),
        delta_points=delta_points,
        max_new_tokens=max_new_tokens,
        equal=member_of(Equal, "value of equal", equal),
        unseen=unseen_path,
        style_families=tuple(style_families),
    )
    design = plan_design(opened, request)
    n_workers = workers or default_workers(base_model)
    return _shown(run_campaign(opened, design, name, n_workers=n_workers, render=render_campaign, keep_models=keep_models))


def paper(
    run: Run | str | Path,
    *,
    base_model: str,
    prompts: str | Path,
    recipe: str = "paper",
    learning_rates: Mapping[str, float] | None = None,
    seeds: int = 3,
    unseen: str | Path | None = None,
    max_new_tokens: int = 128,
    name: str | None = None,
    workers: int | None = None,
) -> PaperReport:
    """The four statements of Ghosh et al. (2024) on a model and dataset of one's own, beside the paper's figures.

    Args:
        run: The run of the dataset; the report is added to it as RUN/verify/NAME.
        base_model: The model to tune.
        prompts: A file of prompts with their right answers.
        recipe: `paper`, `default`, `pocket`, or a YAML file.
        learning_rates: Method -> rate, in place of the recipe's.
        seeds: Tunings of every arm.
        unseen: A dataset that no model was tuned on, a null of borrowing.
        max_new_tokens: Tokens of the longest answer.
        name: Of the report within the run.
        workers: Models at a time; the figures do not depend on it.

    Raises:
        indexes.errors.TunescopeError: A model, recipe or file cannot be used.
    """
    _check_rooms()
    from audit.config import member_of
    from audit.tune import Method
    from audit.verify.answering import default_workers
    from audit.verify.paper import PaperRequest, plan_paper, run_paper
    from reports.paper_html import render_paper

    opened = _opened(run)
    request = PaperRequest(
        base_model=base_model,
        prompts=Path(prompts),
        recipe=recipe,
        learning_rates={member_of(Method, "method", method): rate for method, rate in (learning_rates or {}).items()},
        n_seeds=seeds,
        unseen=None if unseen is None else Path(unseen),
        max_new_tokens=max_new_tokens,
    )
    n_workers = workers or default_workers(base_model)
    name = name or opened.free_name("verify", "paper")
    return _shown(run_paper(opened, plan_paper(opened, request), name, n_workers=n_workers, render=render_paper))


def main() -> None:
    """The `tunescope` command."""
    foreign = _foreign_room()
    if foreign:
        print(foreign, file=sys.stderr)  # noqa: T201 - the command's own message, before cli can be trusted
        raise SystemExit(2)
    from cli.main import run_command

    run_command()


def _check_rooms() -> None:
    """Raises ImportError where a package of ours is another distribution's."""
    foreign = _foreign_room()
    if foreign:
        raise ImportError(foreign)


def _shown(result: _Result, corpus: Corpus | None = None) -> _Result:
    """A result, with its view in notebooks."""
    from reports.notebook import show_in_notebooks

    return show_in_notebooks(result, corpus)


def _opened(run: Run | str | Path) -> Run:
    return open_run(run) if isinstance(run, str | Path) else run


def _foreign_room() -> str:
    """A line that names a package of ours that Python would take from another distribution; empty where all is well."""
    home = Path(__file__).resolve().parent
    for room in _ROOMS:
        spec = PathFinder.find_spec(room)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        ours = home / room / "__init__.py"
        if origin == ours and ours.read_text(encoding="utf-8").startswith(_MARK):
            continue
        found = origin or (next(iter(spec.submodule_search_locations or []), None) if spec is not None else None) or "nothing"
        return (
            f"tunescope: package {room!r} is not ours: Python finds {found} (another distribution has the same name); "
            "install tunescope into an environment of its own: pipx install tunescope"
        )
    return ""
