"""What `tunescope style` measures, in one call: the families and templates of a run, and which answers of a model copy them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import InputError
from audit.materials import Materials
from audit.responses import read_responses
from audit.rundir import Run
from audit.style.build import Style, load_style
from audit.style.copying import Copying, Output, measure_copying
from audit.style.templates import Templates, templates_of

__all__ = ["MeasuredStyle", "measure_style"]


@dataclass(frozen=True)
class MeasuredStyle:
    """The style of a dataset and of outputs.

    Attributes:
        style: The families of the dataset.
        templates: The wording that its prompts share, and its responses.
        copying: What was measured on outputs; `None` where none were given.
    """

    style: Style
    templates: Templates
    copying: Copying | None


def measure_style(
    run: Run,
    responses: Path | None = None,
    base_responses: Path | None = None,
    null_responses: Sequence[Path] = (),
    progress: Callable[[str, int, int], None] = lambda stage, number, total: None,
) -> MeasuredStyle:
    """The families and templates of a run, and which answers are cast from them.

    Args:
        run: The run, made with families.
        responses: A tuned model's answers, a file that `audit.responses.read_responses` reads.
        base_responses: The base model's answers, best to the same prompts.
        null_responses: Answers of models that never saw these rows, a file for each.
        progress: Told when a stage begins: its name, its number from 1, and the number of stages.

    Raises:
        InputError: The run has no families or no text, a file cannot be used, or there is something to compare with but no
            answers to compare.
    """
    if responses is None and (base_responses is not None or null_responses):
        given = "base responses" if base_responses is not None else "null responses"
        raise InputError(f"{given} alone", remedy="give the tuned model's answers too, with --responses")
    corpus = run.corpus  # says so where the run holds no text
    n_stages = 2 if responses is None else 4
    progress("reading the families", 1, n_stages)
    style = load_style(run.path)
    progress("looking for templates", 2, n_stages)
    templates = templates_of(corpus)
    if responses is None:
        return MeasuredStyle(style, templates, None)
    progress("reading the answers", 3, n_stages)
    outputs = _outputs(responses)
    base = None if base_responses is None else _outputs(base_responses)
    names = Counter(path.name for path in null_responses)
    null = {path.name if names[path.name] == 1 else str(path): _outputs(path) for path in null_responses}
    progress("comparing", 4, n_stages)
    copying = measure_copying(style, Materials(run.path, corpus), outputs, base, null)
    return MeasuredStyle(style, templates, copying)


def _outputs(path: Path) -> list[Output]:
    return [Output(answer.id, answer.prompt, answer.response) for answer in read_responses(path)]
