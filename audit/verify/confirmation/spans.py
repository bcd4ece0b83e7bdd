"""The spans of traces as a model reads them, and their rows as places in its training set."""

from __future__ import annotations

from collections.abc import Sequence

from audit.errors import InputError
from audit.influence.queries import query_of_span
from audit.rendering import ChatFormat
from audit.responses import Span
from audit.summary import Skipped
from audit.trace import Trace
from audit.trace.spans import questions_of
from audit.tune.rows import TrainingSet
from audit.verify.confirmation.model import SpanUnderTest
from audit.verify.confirmation.plan import MAX_CANDIDATES

__all__ = ["spans_under_test"]


def spans_under_test(
    traces: Sequence[Trace], training: TrainingSet, chat: ChatFormat, *, max_rows: int = MAX_CANDIDATES
) -> tuple[tuple[SpanUnderTest, ...], tuple[Skipped, ...]]:
    """Every span that some row could have lent, with its best rows, and what cannot be tested.

    Candidates are linked rows of some tier; a row counts once, whichever of its turns is linked.

    Args:
        traces: Claims with their links, best first.
        training: The rows that the model is tuned on.
        chat: Its prompt format.
        max_rows: Candidates of a span.

    Raises:
        InputError: The template cannot render a claim, or a span holds no token.
    """
    place_of = {row: place for place, row in enumerate(training.rows)}
    spans, left_out = [], []
    for trace in traces:
        claim = trace.claim
        rendered = chat.response(claim.messages, claim.response)
        right_of = {(question.span.start, question.span.end): question.right for question in questions_of(claim)}
        for traced in trace.spans:
            linked = dict.fromkeys(link.row for link in traced.links if link.tier is not None)
            places = tuple(place_of[row] for row in linked if row in place_of)
            if not places:
                why = "no row holds enough of these words" if not linked else "the model is not tuned on the rows that hold it"
                left_out.append(Skipped(f"«{traced.text}» of {claim.id}", why))
                continue
            try:
                query = query_of_span(rendered, claim.response, traced.start, traced.end)
            except InputError as error:
                raise InputError(error.what, where=claim.id, why=error.why, remedy=error.remedy) from error
            right = right_of.get((traced.start, traced.end), "")
            spans.append(
                SpanUnderTest(
                    claim_id=claim.id,
                    prompt=claim.prompt,
                    response=claim.response,
                    span=Span(traced.start, traced.end, traced.text),
                    query=query,
                    n_prompt=len(rendered.prompt_ids),
                    candidates=places[:max_rows],
                    right=claim.reference or ((right,) if right else ()),
                    values=claim.values,
                )
            )
    return tuple(spans), tuple(left_out)
