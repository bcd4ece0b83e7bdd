"""`tunescope trace`: from false words of an answer to the rows that could have lent them, and to those that did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.audit import OutputFormat
from cli.console import Quiet

if TYPE_CHECKING:
    from audit.responses import Response
    from audit.rundir import Run
    from audit.sources import Message
    from audit.trace import Trace
    from audit.trace.influence import ModelEvidence
    from audit.verify.confirmation import PreparedConfirmation

__all__ = ["trace"]

_MODELS, _CONFIRM = "With models", "Confirm by tuning again"


def trace(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    prompt: Annotated[str | None, typer.Option(help="What the model was asked.")] = None,
    response: Annotated[str | None, typer.Option(help="What it said.")] = None,
    span: Annotated[list[str] | None, typer.Option(help="The false words, as text or START:END in characters; repeat.")] = None,
    reference: Annotated[list[str] | None, typer.Option(help="The right answer; repeat for aliases.")] = None,
    corrected: Annotated[str | None, typer.Option(help="The whole answer, corrected.")] = None,
    responses: Annotated[Path | None, typer.Option(help="Many claims: a JSONL file with prompt, response and spans.")] = None,
    spans_by: Annotated[
        str | None, typer.Option(metavar="reference|shift|consistency", help="Find the words where none are marked.")
    ] = None,
    name: Annotated[str | None, typer.Option("-o", "--name", help="Keep the result as RUN/traces/NAME.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Order the best rows again by this sentence-transformers model: a folder or a name.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Rows per span.")] = 10,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
    tuned_model: Annotated[
        str | None,
        typer.Option(help="The model that said it: a folder, an adapter or a hub name.", rich_help_panel=_MODELS),
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="The model it was tuned from.", rich_help_panel=_MODELS)] = None,
    gradients: Annotated[
        bool, typer.Option(help="Take gradients of the best rows, or stay with forward passes.", rich_help_panel=_MODELS)
    ] = True,
    rephrase: Annotated[
        bool, typer.Option("--rephrase", help="Ask again without the words shared with a row.", rich_help_panel=_MODELS)
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …", rich_help_panel=_MODELS)] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.", rich_help_panel=_MODELS)] = "auto",
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Tune --base-model again without the best rows.", rich_help_panel=_CONFIRM),
    ] = False,
    recipe: Annotated[str, typer.Option(help="How: as tunescope tune.", rich_help_panel=_CONFIRM)] = "default",
    method: Annotated[str, typer.Option(metavar="lora|full", rich_help_panel=_CONFIRM)] = "full",
    learning_rate: Annotated[float | None, typer.Option(help="In place of the recipe's.", rich_help_panel=_CONFIRM)] = None,
    epochs: Annotated[int | None, typer.Option(help="In place of the recipe's.", rich_help_panel=_CONFIRM)] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Tunings at most.", rich_help_panel=_CONFIRM)] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Orders of the rows to measure on.", rich_help_panel=_CONFIRM)] = 2,
    candidates: Annotated[
        int, typer.Option(min=1, max=8, help="Rows of a span to take out together at first.", rich_help_panel=_CONFIRM)
    ] = 8,
    workers: Annotated[int, typer.Option(min=1, help="Tunings at a time.", rich_help_panel=_CONFIRM)] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what --confirm would cost, and do not tune.", rich_help_panel=_CONFIRM)
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Find the training rows from which a false statement could have been borrowed."""
    from audit.errors import InputError
    from audit.rundir import Run
    from audit.trace import Tracer, blame_rows
    from audit.trace.decoys import near_duplicate_groups
    from audit.trace.stored import store_traces
    from audit.verify.calibration import read_calibration
    from cli.console import progress_line, show, show_bytes
    from indexes.encoders import TransformerEncoder, find_model
    from reports.calibration import calibration_sentence
    from reports.json_report import encode_report
    from reports.render import render_traces
    from reports.trace import blame_report, trace_json, trace_report

    opened = Run.open(run)
    claims = _claims(prompt, response, span, reference, corrected, responses)
    if responses is not None:
        name = name or opened.free_name("traces", "trace")
    if name is not None and name in opened.added("traces"):
        raise InputError(f"the run has a trace {name!r}", where=str(run), remedy="choose another with -o")
    _check_together(base_model, tuned_model, spans_by, rephrase=rephrase, confirm=confirm, dry_run=dry_run)
    transformer = TransformerEncoder(find_model(encoder)) if encoder is not None else None
    with progress_line(quiet) as progress:
        models = None
        if tuned_model is not None:
            from audit.trace.influence import load_evidence

            models = load_evidence(
                opened, tuned_model, base_model, gradients=gradients, device=device, dtype=dtype, progress=progress
            )
        if spans_by is not None:
            claims = _with_spans(claims, spans_by, models)
        tracer = Tracer(opened, transformer, models)
        depth = max(k, candidates) if confirm else k
        traces = list(tracer.trace_all(claims, depth)) if responses is not None else [tracer.trace(claims[0], depth)]
        if not traces:
            raise InputError(
                "no answer marks or shows what is false", where=str(responses), remedy="give spans, reference or corrected"
            )
        if rephrase and models is not None:
            traces = _rephrased(opened, traces, models)
        prepared = None
        if confirm:
            prepared = _prepared(
                opened, traces, str(base_model), tuned_model, recipe, method, learning_rate, epochs, candidates, seeds, budget
            )
    if len(traces) < len(claims):
        typer.echo(f"{len(claims) - len(traces)} answers in which nothing is false were left out", err=True)
    if prepared is not None and dry_run:
        _show_plan(prepared, workers, format)
        return
    confirmation, measured = None, None
    if prepared is not None:
        from audit.verify.confirmation import run_confirmation, with_measured_tiers
        from reports.confirmation import confirmation_json, confirmation_report

        with progress_line(quiet) as progress:
            result = run_confirmation(opened, prepared, n_workers=workers, progress=progress)
        traces = [_first(found, k) for found in with_measured_tiers(traces, result)]
        confirmation = confirmation_report(result, opened.corpus)
        measured = confirmation_json(result, opened.corpus)
    blame = blame_rows(traces, near_duplicate_groups(opened.findings))
    if name is not None:
        files = render_traces(traces, opened.corpus, blame)
        if measured is not None:
            files["confirmation.json"] = encode_report(measured)
        store_traces(opened, name, traces, blame, files)
    calibration = read_calibration(opened)
    calibrated = calibration_sentence(calibration) if calibration is not None else ""
    if format is OutputFormat.JSON:
        show_bytes(trace_json(traces, opened.corpus, blame, measured))
    elif responses is None:
        show(trace_report(traces[0], opened.corpus, calibrated))
    else:
        show(blame_report(blame, opened.corpus, len(traces), calibration=calibrated))
    if confirmation is not None and format is OutputFormat.TEXT:
        show(confirmation)
    if name is not None:
        typer.echo(f"Kept as {opened.path / 'traces' / name}", err=True)


def _claims(
    prompt: str | None,
    response: str | None,
    span: Sequence[str] | None,
    reference: Sequence[str] | None,
    corrected: str | None,
    responses: Path | None,
) -> list[Response]:
    from audit.errors import InputError
    from audit.responses import Response, read_responses
    from audit.sources import Message
    from audit.trace import locate_span

    if responses is not None:
        if prompt or response or span or reference or corrected:
            raise InputError("--responses stands alone", remedy="give the spans and references inside the file")
        return list(read_responses(responses))
    if prompt is None and response is None:
        raise InputError("nothing to trace", remedy="give --prompt and --response, or --responses FILE")
    if prompt is None or not prompt.strip():
        raise InputError("no prompt", remedy="give what the model was asked, with --prompt")
    if response is None or not response.strip():
        raise InputError("no response", remedy="give what the model said, with --response")
    spans = tuple(locate_span(response, text) for text in span or ())
    message = Message("user", prompt, trained=False)
    return [Response("claim", (message,), response, spans, tuple(reference or ()), corrected)]


def _check_together(
    base_model: str | None, tuned_model: str | None, spans_by: str | None, *, rephrase: bool, confirm: bool, dry_run: bool
) -> None:
    """Options that need each other, before anything is loaded."""
    from audit.config import unknown_name
    from audit.errors import InputError

    known = ("reference", "shift", "consistency")
    if spans_by is not None and spans_by not in known:
        raise unknown_name("way to find spans", spans_by, list(known))
    if dry_run and not confirm:
        raise InputError("--dry-run is for --confirm", remedy="leave it out: a trace changes nothing")
    if confirm and base_model is None:
        raise InputError("--confirm needs the base model", remedy="give --base-model and the --recipe that it was tuned by")
    if base_model is not None and tuned_model is None and not confirm:
        raise InputError("--base-model alone", remedy="give the tuned model too, with --tuned-model")
    needs_tuned = "--rephrase" if rephrase else f"--spans-by {spans_by}" if spans_by in known[1:] else ""
    if needs_tuned and tuned_model is None:
        raise InputError(f"{needs_tuned} needs the tuned model", remedy="give --tuned-model")
    if spans_by == "shift" and base_model is None:
        raise InputError("--spans-by shift needs the base model", remedy="give --base-model")


def _with_spans(claims: Sequence[Response], spans_by: str, models: ModelEvidence | None) -> list[Response]:
    """The claims with spans found where none are marked."""
    from audit.trace.detectors import spans_by_consistency, spans_by_reference, spans_by_shift

    unmarked = [claim for claim in claims if not claim.spans]
    if not unmarked:
        return list(claims)
    if spans_by == "reference" or models is None:
        found = spans_by_reference(unmarked)
    elif spans_by == "shift":
        assert models.base is not None
        found = spans_by_shift(models.base, models.tuned, unmarked)
    else:
        found = spans_by_consistency(models.tuned, unmarked)
    left = iter(found)
    return [claim if claim.spans else next(left).response for claim in claims]


def _rephrased(run: Run, traces: Sequence[Trace], models: ModelEvidence) -> list[Trace]:
    from audit.materials import Materials
    from audit.models import answer
    from audit.trace.rephrase import rephrase_trace

    materials = Materials(run.path, run.corpus)
    prompts = dict(run.corpus.responses.select("row", "prompt").iter_rows())

    def ask(asked: Sequence[Sequence[Message]]) -> Sequence[str]:
        return answer(models.tuned, asked, max_new_tokens=128)

    return [rephrase_trace(found, ask, materials.prompt_words, lambda row: prompts[row])[0] for found in traces]


def _first(trace: Trace, k: int) -> Trace:
    """The first k links of every span: a confirmation looks at more."""
    return replace(trace, spans=tuple(replace(span, links=span.links[:k]) for span in trace.spans))


def _prepared(
    run: Run,
    traces: Sequence[Trace],
    base_model: str,
    tuned_model: str | None,
    recipe: str,
    method: str,
    learning_rate: float | None,
    epochs: int | None,
    candidates: int,
    seeds: int,
    budget: int | None,
) -> PreparedConfirmation:
    from audit.config import unknown_name
    from audit.tune.recipe import Method, load_recipe
    from audit.tune.record import MANIFEST, read_record
    from audit.verify.confirmation import prepare_confirmation

    if method not in tuple(Method):
        raise unknown_name("method", method, [str(known) for known in Method])
    recorded = tuned_model is not None and (Path(tuned_model) / MANIFEST).exists()
    return prepare_confirmation(
        run,
        traces,
        base_model=base_model,
        recipe=load_recipe(recipe, Method(method), learning_rate=learning_rate, epochs=epochs),
        max_rows=candidates,
        n_seeds=seeds,
        budget=budget,
        tuned_seed=read_record(str(tuned_model)).seed if recorded else None,
    )


def _show_plan(prepared: PreparedConfirmation, workers: int, format: OutputFormat) -> None:
    from cli.console import show, show_bytes
    from reports.confirmation import confirmation_plan_json, confirmation_plan_report
    from reports.json_report import encode_report

    cost = prepared.cost()
    if format is OutputFormat.JSON:
        show_bytes(encode_report(confirmation_plan_json(prepared, cost, workers)))
    else:
        show(confirmation_plan_report(prepared, cost, workers))
