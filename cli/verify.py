"""`tunescope verify`: did the cleaned dataset help? Tune and ask here, or judge what was tuned or answered elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.audit import OutputFormat
from cli.console import Quiet

if TYPE_CHECKING:
    from audit.rundir import Run
    from audit.tune.recipe import Method
    from audit.verify.campaign import AspectJudge
    from audit.verify.design import Design
    from audit.verify.pilot import DryRun
    from audit.verify.result import CampaignResult

__all__ = ["verify"]

_OF_PAPER = ("--recipe", "--learning-rate", "--seeds")


def verify(
    run: Annotated[Path, typer.Argument(help="A run folder that tunescope audit wrote.")],
    export: Annotated[str | None, typer.Option(help="The export of RUN that is verified.")] = None,
    base_model: Annotated[str | None, typer.Option(help="The model to tune: a folder or a hub name.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="What models are asked: a JSONL file with prompt, reference and split.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="lora or full; repeat for both. Default lora.")] = None,
    recipe: Annotated[str | None, typer.Option(help="How to tune: default, paper, pocket, or a YAML file.")] = None,
    learning_rate: Annotated[
        list[str] | None, typer.Option(metavar="METHOD=RATE", help="In place of the recipe's; repeat per method.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Tunings of every arm by every method. Default 5.")] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=CHECKPOINT]",
            help="A further arm, original or near; or, as NAME=CHECKPOINT, a model tuned elsewhere: repeat per seed.",
        ),
    ] = None,
    also_export: Annotated[list[str] | None, typer.Option(help="A further export, as an arm side by side; repeat.")] = None,
    responses: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Answers made elsewhere, of one run of an arm: cleaned, random, or others."),
    ] = None,
    delta: Annotated[float, typer.Option(min=0.1, max=100, help="Smallest difference that matters, in points.")] = 5.0,
    equal: Annotated[str | None, typer.Option(help="What arms have in common: epochs or steps. Default epochs.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of the longest answer. Default 128.")] = None,
    unseen: Annotated[Path | None, typer.Option(help="Rows that no model was tuned on: a null of borrowing.")] = None,
    style_family: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            help="Measure how many answers are of this style family of RUN; repeat. Default: the families that the export"
            " dropped.",
        ),
    ] = None,
    judge: Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint that rates answers.")] = None,
    judge_model: Annotated[str | None, typer.Option(help="The judge's model.")] = None,
    judge_key_env: Annotated[str | None, typer.Option(metavar="NAME", help="Variable that holds the judge's key.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Models at a time; the figures do not depend on it.")] = None,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Keep the tuned models in RUN/verify/NAME/models.")
    ] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="Report four statements of the literature on your model and data instead.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be tuned, what it could see and cost; write nothing.")
    ] = False,
    name: Annotated[str | None, typer.Option("-o", "--name", help="Keep the result as RUN/verify/NAME.")] = None,
    format: Annotated[OutputFormat, typer.Option(help="What to print.")] = OutputFormat.TEXT,
    quiet: Quiet = False,
) -> None:
    """Compare tuning on the cleaned data with tuning after an equal random removal."""
    from audit.errors import InputError
    from audit.rundir import Run
    from cli.console import progress_line, show, show_bytes
    from reports.campaign import campaign_report, dry_run_json, dry_run_report, verification_json

    checkpoints = [_named_place("--arm", given) for given in arm or () if "=" in given]
    extra_arms = tuple(given for given in arm or () if "=" not in given)
    only_tuning: dict[str, object] = {
        "--method": method,
        "--recipe": recipe,
        "--learning-rate": learning_rate,
        "--seeds": seeds,
        "--arm without a checkpoint": extra_arms,
        "--also-export": also_export,
        "--equal": equal,
        "--keep-models": keep_models,
        "--dry-run": dry_run,
    }
    only_asking: dict[str, object] = {
        "--base-model": base_model,
        "--prompts": prompts,
        "--max-new-tokens": max_new_tokens,
        "--workers": workers,
    }
    if paper:
        others = {name: value for name, value in only_tuning.items() if name not in _OF_PAPER}
        answered = {"--responses": responses, "--arm": checkpoints, "--export": export}
        _refuse("--paper", {**answered, "--judge": judge, "--style-family": style_family, **others})
    elif responses:
        _refuse("--responses", {"--arm": checkpoints, **only_tuning, **only_asking})
    elif checkpoints:
        _refuse("--arm NAME=CHECKPOINT", only_tuning)
    opened = Run.open(run)
    name = name or opened.free_name("verify", "paper" if paper else "verification")
    if not dry_run:
        opened.check_name("verify", name)
    if paper:
        _report_paper(
            opened, name, base_model, prompts, recipe, learning_rate, seeds, unseen, max_new_tokens, workers, format, quiet
        )
        return
    with progress_line(quiet) as progress:
        asked = _judge(judge, judge_model, judge_key_env)
        ways = _Ways(opened, name, export, delta, unseen, tuple(style_family or ()), asked, progress)
        if responses:
            result = ways.judge_files([_named_place("--responses", given) for given in responses])
        elif checkpoints:
            if prompts is None:
                raise InputError("no prompts for the checkpoints", remedy="give --prompts FILE")
            result = ways.ask_checkpoints(checkpoints, prompts, base_model, max_new_tokens, workers)
        else:
            design = ways.design(
                base_model, prompts, method, recipe, learning_rate, seeds, extra_arms, also_export, equal, max_new_tokens
            )
            if dry_run:
                dry = ways.measure(design, workers)
            else:
                result = ways.tune(design, workers, keep_models=keep_models)
    if dry_run:
        show_bytes(dry_run_json(dry)) if format is OutputFormat.JSON else show(dry_run_report(dry))
        return
    show_bytes(verification_json(result)) if format is OutputFormat.JSON else show(campaign_report(result))
    typer.echo(f"Kept as {opened.path / 'verify' / name}", err=True)


def _report_paper(
    run: Run,
    name: str,
    base_model: str | None,
    prompts: Path | None,
    recipe: str | None,
    learning_rate: Sequence[str] | None,
    seeds: int | None,
    unseen: Path | None,
    max_new_tokens: int | None,
    workers: int | None,
    format: OutputFormat,
    quiet: bool,
) -> None:
    """Tune what the paper tuned, and set its figures beside one's own."""
    from audit.errors import InputError
    from audit.verify.answering import default_workers
    from audit.verify.paper import PaperRequest, plan_paper, run_paper
    from cli.console import progress_line, show, show_bytes
    from reports.paper import paper_json, paper_report
    from reports.paper_html import render_paper

    if base_model is None or prompts is None:
        needed = {"--base-model M": base_model, "--prompts FILE": prompts}
        missing = " and no ".join(option for option, value in needed.items() if value is None)
        raise InputError(f"no {missing}", why="--paper tunes and asks models", remedy="give both")
    request = PaperRequest(
        base_model=base_model,
        prompts=prompts,
        recipe=recipe or PaperRequest.recipe,
        learning_rates=dict(map(_learning_rate, learning_rate or ())),
        n_seeds=seeds or PaperRequest.n_seeds,
        unseen=unseen,
        max_new_tokens=max_new_tokens or PaperRequest.max_new_tokens,
    )
    with progress_line(quiet) as progress:
        report = run_paper(
            run,
            plan_paper(run, request),
            name,
            n_workers=workers or default_workers(base_model),
            render=render_paper,
            progress=progress,
        )
    show_bytes(paper_json(report)) if format is OutputFormat.JSON else show(paper_report(report))
    typer.echo(f"Kept as {run.path / 'verify' / name}", err=True)


@dataclass(frozen=True)
class _Ways:
    """The ways to a verification, with what they have in common."""

    run: Run
    name: str
    export: str | None
    delta_points: float
    unseen: Path | None
    style_families: tuple[int, ...]
    judge: AspectJudge | None
    progress: Callable[[str, int, int], None]

    def judge_files(self, files: Sequence[tuple[str, str]]) -> CampaignResult:
        """Answers made elsewhere."""
        from audit.verify.result import CampaignResult, MethodResult
        from audit.verify.run import verify_run
        from reports.campaign import render_campaign

        verification = verify_run(
            self.run,
            [(arm, Path(file)) for arm, file in files],
            export=self.export,
            delta_points=self.delta_points,
            unseen=self.unseen,
            judge=self.judge,
            style_families=self.style_families,
        )
        result = CampaignResult(self.export, None, (MethodResult(None, verification),))
        self.run.add("verify", self.name, render_campaign(result))
        return result

    def ask_checkpoints(
        self,
        checkpoints: Sequence[tuple[str, str]],
        prompts: Path,
        base_model: str | None,
        max_new_tokens: int | None,
        workers: int | None,
    ) -> CampaignResult:
        """Models tuned elsewhere."""
        from audit.verify.answering import default_workers
        from audit.verify.checkpoints import CheckpointRequest, verify_checkpoints
        from reports.campaign import render_campaign

        request = CheckpointRequest(
            checkpoints=tuple(checkpoints),
            prompts=prompts,
            export=self.export,
            base_model=base_model,
            delta_points=self.delta_points,
            max_new_tokens=max_new_tokens or CheckpointRequest.max_new_tokens,
            unseen=self.unseen,
            style_families=self.style_families,
        )
        return verify_checkpoints(
            self.run,
            request,
            self.name,
            n_workers=workers or default_workers(checkpoints[0][1], base_model),
            render=render_campaign,
            judge=self.judge,
            progress=self.progress,
        )

    def design(
        self,
        base_model: str | None,
        prompts: Path | None,
        method: Sequence[str] | None,
        recipe: str | None,
        learning_rate: Sequence[str] | None,
        seeds: int | None,
        arms: Sequence[str],
        also_export: Sequence[str] | None,
        equal: str | None,
        max_new_tokens: int | None,
    ) -> Design:
        """What will be tuned here."""
        from audit.config import member_of
        from audit.errors import InputError
        from audit.verify.design import CampaignRequest, Equal, plan_design

        if self.export is None or base_model is None or prompts is None:
            needed = {"--export NAME": self.export, "--base-model M": base_model, "--prompts FILE": prompts}
            raise InputError(
                f"no {' and no '.join(option for option, value in needed.items() if value is None)}",
                remedy="give all three to tune here, --arm NAME=CHECKPOINT for models tuned elsewhere, or --responses"
                " NAME=FILE for their answers",
            )
        request = CampaignRequest(
            export=self.export,
            base_model=base_model,
            prompts=prompts,
            methods=tuple(map(_method, method or ["lora"])),
            recipe=recipe or CampaignRequest.recipe,
            learning_rates=dict(map(_learning_rate, learning_rate or ())),
            n_seeds=seeds or CampaignRequest.n_seeds,
            arms=tuple(arms),
            also_exports=tuple(also_export or ()),
            delta_points=self.delta_points,
            max_new_tokens=max_new_tokens or CampaignRequest.max_new_tokens,
            equal=Equal.EPOCHS if equal is None else member_of(Equal, "value of --equal", equal),
            unseen=self.unseen,
            style_families=self.style_families,
        )
        return plan_design(self.run, request)

    def measure(self, design: Design, workers: int | None) -> DryRun:
        """What that would cost, and could see."""
        from audit.verify.answering import default_workers
        from audit.verify.pilot import dry_run

        return dry_run(design, n_workers=workers or default_workers(design.request.base_model))

    def tune(self, design: Design, workers: int | None, *, keep_models: bool) -> CampaignResult:
        """Carry it out."""
        from audit.verify.answering import default_workers
        from audit.verify.campaign import run_campaign
        from reports.campaign import render_campaign

        return run_campaign(
            self.run,
            design,
            self.name,
            n_workers=workers or default_workers(design.request.base_model),
            render=render_campaign,
            keep_models=keep_models,
            judge=self.judge,
            progress=self.progress,
        )


def _refuse(way: str, options: Mapping[str, object]) -> None:
    """Options that belong to another way are no silent surplus."""
    from audit.errors import InputError

    given = [option for option, value in options.items() if value]
    if given:
        raise InputError(
            f"{way} and {given[0]} exclude each other",
            remedy="tune here (--export, --base-model, --prompts), name checkpoints (--arm NAME=CHECKPOINT), or give answers"
            " (--responses)",
        )


def _named_place(option: str, given: str) -> tuple[str, str]:
    from audit.errors import InputError

    name, equals, place = given.partition("=")
    if not (name and equals and place):
        what = "file" if option == "--responses" else "checkpoint"
        raise InputError(
            f"{option} {given!r} names no arm and {what}",
            remedy=f"write it as cleaned={what.upper()} or random={what.upper()}",
        )
    return name, place


def _judge(url: str | None, model: str | None, key_env: str | None) -> AspectJudge | None:
    """A judge of answers, where one is named."""
    from audit.errors import InputError

    if url is None and model is None and key_env is None:
        return None
    if url is None or model is None:
        raise InputError("a judge needs an endpoint and a model", remedy="give both --judge URL and --judge-model M")
    from audit.endpoints import Endpoint
    from audit.verify.aspects import judge_answers

    endpoint = Endpoint(url=url, model=model, key_env=key_env)
    return lambda arms, traced: judge_answers(arms, endpoint, traced_prompts=traced)


def _method(given: str) -> Method:
    from audit.config import member_of
    from audit.tune.recipe import Method

    return member_of(Method, "method", given)


def _learning_rate(given: str) -> tuple[Method, float]:
    from audit.errors import InputError

    method, _, text = given.partition("=")
    try:
        rate = float(text)
    except ValueError as error:
        raise InputError(
            f"--learning-rate {given!r} names no method and rate", remedy="write it as lora=2e-4 or full=2e-5"
        ) from error
    return _method(method), rate
