"""Traces for the terminal and as JSON: a false answer, its false words, and the rows that they could come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from audit.corpus import Corpus
from audit.summary import Skipped
from audit.trace import BlamedRow, Channel, Link, SpanTrace, Tier, Trace
from reports.excerpts import Excerpt, cut_excerpt
from reports.json_report import addresses_of, encode_report
from reports.visible import one_line, visible
from reports.wording import address, count, per_cent

__all__ = [
    "CHANNEL_NAMES",
    "TIER_NAMES",
    "TRACE_SCHEMA",
    "blame_report",
    "chance_words",
    "left_out",
    "link_excerpt",
    "shift_words",
    "trace_json",
    "trace_report",
    "verdict",
]

TRACE_SCHEMA = "tunescope/trace-1"
"""Name and version of the format, the schema's `$id`; a field may be added to a version, none is changed or removed."""

CHANNEL_NAMES = {
    Channel.PHRASE: "words",
    Channel.CONCEPT: "concept",
    Channel.BM25: "BM25",
    Channel.TRANSFORMER: "transformer",
    Channel.STATE: "state",
    Channel.OUTPUT_GRADIENT: "output layer",
    Channel.GRADIENT_COSINE: "gradient",
    Channel.PRECONDITIONED: "gradient by Adam",
    Channel.CONTRAST: "against the right words",
    Channel.ONE_STEP: "one step on it",
}
"""The channels in plain words."""

TIER_NAMES = {
    Tier.T0: "holds the words",
    Tier.T1: "holds the words, which tuning put there",
    Tier.T2: "estimated to have lent them",
    Tier.T3: "measured to have lent them",
}
"""What a link's tier says of its row."""

# The usual level of significance; above it a row does not stand out from what random phrases find.
_STANDS_OUT = 0.05


def verdict(span: SpanTrace) -> str:
    """What the links of a span say together, in one sentence."""
    n_lent = sum(link.tier in (Tier.T2, Tier.T3) for link in span.links)
    if n_lent:
        by_words = [link.chance for link in span.links if link.chance is not None]
        least = f"; by words, {chance_words(min(by_words), span.n_null)} of random phrases come as near" if by_words else ""
        return f"{count(n_lent, 'row is', 'rows are')} estimated to have lent these words{least}."
    chances = [link.chance for link in span.links if link.tier is not None and link.chance is not None]
    if not chances:
        note = span.note or "no row holds enough of these words to be evidence"
        return f"{note[0].upper()}{note[1:]}."
    reached = f"{chance_words(min(chances), span.n_null)} of random phrases come as near to some row"
    n_out = sum(chance <= _STANDS_OUT for chance in chances)
    if n_out:
        return f"{count(n_out, 'row stands', 'rows stand')} out: {reached} as this one does to the best."
    return f"No row stands out: {reached}."


def shift_words(span: SpanTrace) -> str:
    """What tuning did to the span, in one sentence; empty where no base model was looked at."""
    if not span.shifts:
        return ""
    lift = sum(shift.lift_nats for shift in span.shifts)
    if lift <= 0:
        return "Tuning did not make it likelier: the base model would say it as readily."
    first = next(shift for shift in span.shifts if shift.lift_nats > 0)
    token = one_line(span.text[max(first.start - span.start, 0) : first.end - span.start].strip(), 40)
    rank = "the base model's own choice" if first.base_rank == 1 else f"the base model's choice number {first.base_rank:,}"
    return f"Tuning made it likelier by {lift:.1f} nats; “{token}” was {rank}."


def chance_words(chance: float, n_null: int) -> str:
    """A p-value in per cent; where no random phrase reached the link, the most that this can say."""
    return f"at most {per_cent(chance)}" if chance <= 1 / (1 + n_null) else per_cent(chance)


def link_excerpt(corpus: Corpus, link: Link, characters: int) -> Excerpt:
    """The shared words in the row's response; of a row that shares none, the beginning of what it asks."""
    messages = corpus.row(link.row).messages
    if link.match is not None:
        return cut_excerpt(messages[link.turn].content, characters, [(link.match.start, link.match.end)])
    asked = next((message.content for message in messages if message.role == "user"), messages[link.turn].content)
    return cut_excerpt(asked, characters)


def left_out(traces: Sequence[Trace]) -> tuple[Skipped, ...]:
    """What any of the traces did not look at, each thing once."""
    return tuple(dict.fromkeys(skipped for trace in traces for skipped in trace.not_looked_at))


def trace_report(trace: Trace, corpus: Corpus, calibration: str = "") -> RenderableType:
    """What `rich` prints after a trace: the answer with its false words, then for each the rows, the best first.

    Args:
        trace: The trace.
        corpus: The rows.
        calibration: What a calibration of the run says, in a sentence.
    """
    claim = trace.claim
    answer = cut_excerpt(claim.response, 2000, [(span.start, span.end) for span in trace.spans])
    parts: list[RenderableType] = [
        Text.assemble(("Prompt  ", "dim"), one_line(claim.prompt, 300)),
        Text.assemble(("Answer  ", "dim"), _marked(answer)),
        Text(),
    ]
    for span in trace.spans:
        parts += [*_span_parts(span, corpus), Text()]
    scores = "Scores: value (rank among all responses; models' among the shortlist; one step, in nats, among its first)."
    parts += [Text(scores, "dim"), *([Text(calibration, "dim")] if calibration else []), Text()]
    parts.append(Text("Not looked at", "bold"))
    for skipped in left_out([trace]):
        line = Text.assemble(one_line(skipped.what, 200), (f": {one_line(skipped.why, 200)}", "dim"))
        parts.append(Padding.indent(line, 2))
    return Group(*parts)


def _span_parts(span: SpanTrace, corpus: Corpus) -> Iterator[RenderableType]:
    held = f"  {count(span.n_holders, 'response holds', 'responses hold')} it whole"
    yield Text.assemble(("«" + one_line(span.text, 200) + "»", "bold"), (held, "dim"))
    yield Text(verdict(span))
    for note in (f"This may be right: {span.benign_reason}." if span.benign else "", span.chance_note):
        if note:
            yield Text(one_line(note, 300), "yellow")
    if span.shifts:
        yield Text(shift_words(span))
    for rank, link in enumerate(span.links, start=1):
        chance = "" if link.chance is None else f"chance {chance_words(link.chance, span.n_null)}"
        tier = f"{link.tier} {TIER_NAMES[link.tier]}" if link.tier else "near only"
        yield Text.assemble(f"{rank:3}  ", (address(corpus.id(link.row)), "bold"), f"  {tier}  ", (chance, "cyan"))
        yield Padding.indent(_marked(link_excerpt(corpus, link, 140)), 5)
        scores = (f"{CHANNEL_NAMES[name]} {score.value:.2f} ({score.rank:,})" for name, score in link.channels.items())
        yield Padding.indent(Text(", ".join(scores), "dim"), 5)
        if link.rephrasing_stopped is not None:
            outcome = "stopped it" if link.rephrasing_stopped else "did not stop it"
            yield Padding.indent(Text(f"A question without the words that it shares with this row {outcome}."), 5)


def _marked(excerpt: Excerpt) -> Text:
    """On one line; marks are quotes as well as bold, so that they are seen without styles."""
    text = Text("…" if excerpt.n_before else "")
    for piece in excerpt.pieces:
        words = visible(re.sub(r"[ \t\n]+", " ", piece.text))
        text.append(f"«{words}»" if piece.marked else words, "bold" if piece.marked else "")
    return text.append("…" if excerpt.n_after else "")


def blame_report(
    blame: Sequence[BlamedRow], corpus: Corpus, n_claims: int, n_shown: int = 20, calibration: str = ""
) -> RenderableType:
    """The rows behind most of many false answers, as a table of the first `n_shown`; `calibration` as in `trace_report`."""
    title = f"{count(len(blame), 'row')} behind {count(n_claims, 'answer')}"
    if len(blame) > n_shown:
        title += f", the {n_shown} most blamed"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    table.add_column("Row")
    for name in ("Blame", "Answers", "Chance", "q"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("It asks", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in blame[:n_shown]:
        asked = next((message.content for message in corpus.row(row.row).messages if message.role == "user"), "")
        table.add_row(
            Text(address(corpus.id(row.row), 24)),
            f"{row.blame:.2f}",
            f"{row.n_claims:,}",
            per_cent(row.least_chance),
            "–" if row.q is None else f"{row.q:.2f}",
            Text(one_line(asked, 120)),
        )
    return Group(Text(title, "bold"), table, *([Text(), Text(calibration, "dim")] if calibration else []))


def trace_json(
    traces: Sequence[Trace],
    corpus: Corpus,
    blame: Sequence[BlamedRow],
    confirmation: Mapping[str, object] | None = None,
) -> bytes:
    """Traces as UTF-8, by the schema `reports/schemas/trace.schema.json`; the same traces give the same bytes.

    Args:
        traces: In the order of the claims.
        corpus: The rows.
        blame: The rows over all claims.
        confirmation: What tuning again showed, as `reports.confirmation.confirmation_json` writes it.
    """
    linked = [link.row for trace in traces for span in trace.spans for link in span.links]
    rows = pl.Series([*linked, *(row.row for row in blame)], dtype=pl.UInt32)
    addresses, keys = addresses_of(corpus, rows), corpus.keys
    return encode_report(
        {
            "schema": TRACE_SCHEMA,
            "not_looked_at": [{"what": skipped.what, "why": skipped.why} for skipped in left_out(traces)],
            "blame": [
                {
                    "row": addresses[row.row],
                    "row_key": keys[row.row],
                    "blame": row.blame,
                    "least_chance": row.least_chance,
                    "p": row.p,
                    "q": row.q,
                    "claims": row.claims,
                }
                for row in blame
            ],
            "claims": [
                {
                    "id": trace.claim.id,
                    "prompt": trace.claim.prompt,
                    "response": trace.claim.response,
                    "spans": [_span_json(span, addresses, keys) for span in trace.spans],
                }
                for trace in traces
            ],
            **({"confirmation": confirmation} if confirmation is not None else {}),
        }
    )


def _span_json(span: SpanTrace, addresses: Mapping[int, object], keys: pl.Series) -> Mapping[str, object]:
    return {
        "start": span.start,
        "end": span.end,
        "text": span.text,
        "evidence": span.evidence,
        "n_holders": span.n_holders,
        "n_null": span.n_null,
        "note": span.note,
        "chance_note": span.chance_note,
        "benign": span.benign,
        "benign_reason": span.benign_reason,
        "shifts": [
            {"start": shift.start, "end": shift.end, "lift_nats": shift.lift_nats, "base_rank": shift.base_rank}
            for shift in span.shifts
        ],
        "links": [
            {
                "row": addresses[link.row],
                "row_key": keys[link.row],
                "turn": link.turn,
                "tier": link.tier,
                "chance": link.chance,
                "fused": link.fused,
                "match": link.match
                and {
                    "start": link.match.start,
                    "end": link.match.end,
                    "text": link.match.text,
                    "claim_start": link.match.claim_start,
                    "claim_end": link.match.claim_end,
                },
                "channels": {name: {"value": score.value, "rank": score.rank} for name, score in link.channels.items()},
                "rephrasing_stopped": link.rephrasing_stopped,
                "tokens": [{"start": token.start, "end": token.end, "cosine": token.cosine} for token in link.tokens],
            }
            for link in span.links
        ],
    }
