"""Tokens of an answer whose sources are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from audit.errors import InputError
from audit.rendering import RenderedResponse

__all__ = ["TokenQuery", "query_of_span"]


@dataclass(frozen=True)
class TokenQuery:
    """Tokens of an answer whose sources are asked for.

    Attributes:
        input_ids: Prompt and response as the model reads them.
        targets: Positions in `input_ids` of the tokens in question, ascending, each at least 1: the model predicts the
            token at `t` from its state at `t - 1`.

    Raises:
        InputError: No token, or one that has nothing before it.
    """

    input_ids: tuple[int, ...]
    targets: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.targets:
            raise InputError("no token is asked for", remedy="mark a span that holds a token of the answer")
        rising = all(first < second for first, second in zip(self.targets, self.targets[1:], strict=False))
        if not rising or not 1 <= self.targets[0] <= self.targets[-1] < len(self.input_ids):
            raise InputError(
                f"tokens at {list(self.targets)[:8]} are asked for in a text of {len(self.input_ids)}",
                why="they must ascend, and the first token of a text is predicted from nothing",
                remedy="name tokens of the answer, in their order",
            )


def query_of_span(rendered: RenderedResponse, response: str, start: int, end: int) -> TokenQuery:
    """The tokens of a span of a response.

    A token counts as part of the span where they share a visible character: white space that a tokenizer puts before a
    word does not matter, and a token that reaches over an edge of the span belongs to it as a whole.

    Args:
        rendered: Prompt and response, as `ChatFormat.response` gives them.
        response: Its text.
        start: Where the span begins, in code points.
        end: Where it ends, exclusive.

    Raises:
        InputError: The span holds no visible character of a token, or only a part of one.
    """
    places, outside = [], []
    for place, (first, last) in enumerate(rendered.spans):
        visible = [at for at in range(first, last) if not response[at].isspace()]
        if any(start <= at < end for at in visible):
            places.append(place)
            outside.append(any(not start <= at < end for at in visible))
    quoted = response[start:end]
    if not places:
        raise InputError(
            f"the span {quoted!r} holds no token of the answer",
            where=f"characters {start} to {end}",
            remedy="mark words of the answer",
        )
    if all(outside) and len({rendered.spans[place] for place in places}) == 1:
        first, last = rendered.spans[places[0]]
        raise InputError(
            f"the span {quoted!r} lies inside the token {response[first:last]!r}",
            where=f"characters {start} to {end}",
            why="the model chose that token as a whole",
            remedy=f"mark characters {first} to {last}",
        )
    n_prompt = len(rendered.prompt_ids)
    return TokenQuery((*rendered.prompt_ids, *rendered.response_ids), tuple(n_prompt + place for place in places))
