"""False words of an answer -> ranked rows with evidence -> blame over many answers."""

from audit.trace.blame import blame_rows
from audit.trace.model import BlamedRow, Channel, ChannelScore, Link, Match, SpanTrace, Tier, Trace
from audit.trace.spans import locate_span
from audit.trace.tracer import Tracer

__all__ = [
    "BlamedRow",
    "Channel",
    "ChannelScore",
    "Link",
    "Match",
    "SpanTrace",
    "Tier",
    "Trace",
    "Tracer",
    "blame_rows",
    "locate_span",
]
