"""A confirmation as a user orders it: the traces of a run, a base model and a recipe in, measured groups of rows out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from audit.answers import word_string
from audit.errors import InputError
from audit.export.control import strata_of
from audit.materials import Materials
from audit.rendering import load_chat_format
from audit.rundir import Run
from audit.summary import Skipped
from audit.trace import Trace
from audit.tune.job import n_positions
from audit.tune.recipe import Recipe
from audit.tune.rows import training_set
from audit.verify.answering import n_threads_for
from audit.verify.confirmation.bank import RowPool
from audit.verify.confirmation.model import ConfirmationResult
from audit.verify.confirmation.plan import MAX_CANDIDATES, ConfirmationPlan, plan_confirmation
from audit.verify.confirmation.procedure import confirm_spans
from audit.verify.confirmation.retrains import RetrainingCost, RetrainingSetup, check_tunable, measure_cost, open_retrainings
from audit.verify.confirmation.spans import spans_under_test

__all__ = ["PreparedConfirmation", "prepare_confirmation", "run_confirmation"]


@dataclass(frozen=True)
class PreparedConfirmation:
    """A confirmation before anything is tuned.

    Attributes:
        setup: What is tuned, and what is asked.
        plan: How often.
        pool: What random rows are drawn from.
        n_threads: Of a process; depends on the model and the machine alone.
        left_out: Spans that cannot be tested, and why.
    """

    setup: RetrainingSetup
    plan: ConfirmationPlan
    pool: RowPool
    n_threads: int
    left_out: tuple[Skipped, ...]

    def cost(self) -> RetrainingCost:
        """What a retraining costs here, measured."""
        return measure_cost(self.setup, n_threads=self.n_threads)


def prepare_confirmation(
    run: Run,
    traces: Sequence[Trace],
    *,
    base_model: str,
    recipe: Recipe,
    max_rows: int = MAX_CANDIDATES,
    n_seeds: int = 2,
    budget: int | None = None,
    tuned_seed: int | None = None,
    group_column: str | None = None,
) -> PreparedConfirmation:
    """Read and render everything, and share out the budget.

    Args:
        run: The run that was traced.
        traces: Claims with their links.
        base_model: Folder or hub name of the model that is tuned.
        recipe: How; with a learning rate.
        max_rows: Candidates of a span.
        n_seeds: Orders of the rows that everything is measured on.
        budget: Retrainings at most; `None` for what `N_RANDOM` random groups per size take.
        tuned_seed: The order of the model that gave the answers, which is not used again.
        group_column: A field of the rows whose values random rows share with the candidates, as they share the file.

    Raises:
        InputError: The model, the recipe, the rows or the budget cannot be used, or no span can be tested.
    """
    folder = check_tunable(base_model, recipe)
    chat, corpus = load_chat_format(folder), run.corpus
    max_length = min((limit for limit in (recipe.max_length, n_positions(folder)) if limit), default=None)
    training = training_set(corpus, chat, max_length)
    spans, left_out = spans_under_test(traces, training, chat, max_rows=max_rows)
    if not spans:
        reasons = "; ".join(dict.fromkeys(skipped.why for skipped in left_out))
        raise InputError(
            "no span has a row to remove", why=reasons, remedy="trace answers with false words that some rows hold"
        )
    setup = RetrainingSetup(base_model, training, recipe, spans)
    setup.check_format(chat)
    strata = strata_of(corpus.rows, group_column)
    return PreparedConfirmation(
        setup=setup,
        plan=plan_confirmation([len(span.candidates) for span in spans], budget=budget, n_seeds=n_seeds, tuned_seed=tuned_seed),
        pool=RowPool(training.n_trained_tokens, [strata[row] for row in training.rows], [span.candidates for span in spans]),
        n_threads=n_threads_for(base_model),
        left_out=left_out,
    )


def run_confirmation(
    run: Run, prepared: PreparedConfirmation, *, n_workers: int, progress: Callable[[str, int, int], None] | None = None
) -> ConfirmationResult:
    """Do the retrainings, or go on with those of an interrupted call, and judge.

    Args:
        run: The run that was traced.
        prepared: What `prepare_confirmation` made of it.
        n_workers: Processes at a time; the result does not depend on it.
        progress: Told the stage, and the number and total of retrainings of the round at work.

    Raises:
        InputError: A tuning fails, or there are not enough other rows to draw random ones from.
    """
    setup = prepared.setup
    phrases = Materials(run.path, run.corpus).phrases
    with open_retrainings(setup, n_workers=n_workers, n_threads=prepared.n_threads, progress=progress) as measure:
        result = confirm_spans(
            setup.spans,
            prepared.pool,
            prepared.plan,
            measure,
            row_numbers=setup.rows.rows,
            held=lambda words: bool(word_string(words).strip()) and phrases.n_texts_with(words) > 0,
        )
    return replace(result, left_out=prepared.left_out)
