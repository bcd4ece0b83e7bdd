"""`tunescope trace`: from false words of an answer to the rows that could have lent them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.audit import OutputFormat

__all__ = ["trace"]


def trace(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    prompt: Annotated[str | None, typer.Option(help="What the model was asked.")] = None,
    response: Annotated[str | None, typer.Option(help="What it said.")] = None,
    span: Annotated[list[str] | None, typer.Option(help="The false words, as text or START:END in characters; repeat.")] = None,
    reference: Annotated[list[str] | None, typer.Option(help="The right answer; repeat for aliases.")] = None,
    corrected: Annotated[str | None, typer.Option(help="The whole answer, corrected.")] = None,
    responses: Annotated[Path | None, typer.Option(help="Many claims: a JSONL file with prompt, response and spans.")] = None,
    name: Annotated[str | None, typer.Option("-o", "--name", help="Keep the result as RUN/traces/NAME.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Order the best rows again by this sentence-transformers model: a folder or a name.")
    ] = None,
    tuned_model: Annotated[
        str | None, typer.Option(help="The model that said it: a folder, an adapter or a hub name; orders rows by influence.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="The model that it was tuned from: shows what tuning changed.")] = None,
    gradients: Annotated[bool, typer.Option(help="Take gradients of the shortlist; without, forward passes alone.")] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "auto",
    k: Annotated[int, typer.Option("-k", min=1, help="Rows per span.")] = 10,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
) -> None:
    """Find the training rows from which a false statement could have been borrowed."""
    from audit.errors import InputError
    from audit.responses import Response, read_responses
    from audit.rundir import Run
    from audit.sources import Message
    from audit.trace import Tracer, blame_rows, locate_span
    from audit.trace.stored import store_traces
    from audit.verify.calibration import read_calibration
    from cli.console import progress_line, show, show_bytes
    from indexes.encoders import TransformerEncoder, find_model
    from reports.calibration import calibration_sentence
    from reports.render import render_traces
    from reports.trace import blame_report, trace_json, trace_report

    opened = Run.open(run)
    if responses is not None:
        if prompt or response or span or reference or corrected:
            raise InputError("--responses stands alone", remedy="give the spans and references inside the file")
        claims = list(read_responses(responses))
        name = name or opened.free_name("traces", "trace")
    elif prompt is not None and response is not None:
        spans = tuple(locate_span(response, text) for text in span or ())
        message = Message("user", prompt, trained=False)
        claims = [Response("claim", (message,), response, spans, tuple(reference or ()), corrected)]
    else:
        raise InputError("nothing to trace", remedy="give --prompt and --response, or --responses FILE")
    if name is not None and name in opened.added("traces"):
        raise InputError(f"the run has a trace {name!r}", where=str(run), remedy="choose another with -o")
    transformer = TransformerEncoder(find_model(encoder)) if encoder is not None else None
    if base_model is not None and tuned_model is None:
        raise InputError("--base-model alone", remedy="give the tuned model too, with --tuned-model")
    with progress_line() as progress:
        models = None
        if tuned_model is not None:
            from audit.trace.influence import load_evidence

            models = load_evidence(
                opened, tuned_model, base_model, gradients=gradients, device=device, dtype=dtype, progress=progress
            )
        tracer = Tracer(opened, transformer, models)
        traces = list(tracer.trace_all(claims, k)) if responses is not None else [tracer.trace(claims[0], k)]
    if not traces:
        raise InputError(
            "no answer marks or shows what is false", where=str(responses), remedy="give spans, reference or corrected"
        )
    if len(traces) < len(claims):
        typer.echo(f"{len(claims) - len(traces)} answers in which nothing is false were left out", err=True)
    blame = blame_rows(traces)
    if name is not None:
        store_traces(opened, name, traces, blame, render_traces(traces, opened.corpus, blame))
    calibration = read_calibration(opened)
    calibrated = calibration_sentence(calibration) if calibration is not None else ""
    if format is OutputFormat.JSON:
        show_bytes(trace_json(traces, opened.corpus, blame))
    elif responses is None:
        show(trace_report(traces[0], opened.corpus, calibrated))
    else:
        show(blame_report(blame, opened.corpus, len(traces), calibration=calibrated))
    if name is not None:
        typer.echo(f"Kept as {opened.path / 'traces' / name}", err=True)
