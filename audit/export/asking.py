"""Many questions to one endpoint, some at a time, their answers in the order of the questions."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from audit.endpoints import Endpoint

__all__ = ["answers_in_order", "with_budget"]

Q = TypeVar("Q")
A = TypeVar("A")

_N_AHEAD = 2  # times the requests under way: how far asking runs ahead of reading, so that nonsense is noticed early


def answers_in_order(ask: Callable[[Q], A], questions: Sequence[Q], *, n_parallel: int) -> Generator[A]:
    """Ask all questions in threads; when it is closed, what is under way is waited for, and nothing more is asked.

    Raises:
        Exception: What `ask` raised, at the place of its question.
    """
    with ThreadPoolExecutor(max_workers=n_parallel) as threads:
        under_way: deque[Future[A]] = deque()
        to_ask = iter(questions)
        try:
            for _ in questions:
                for following in itertools.islice(to_ask, _N_AHEAD * n_parallel + 1 - len(under_way)):
                    under_way.append(threads.submit(ask, following))
                yield under_way.popleft().result()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def with_budget(endpoint: Endpoint, max_requests: int) -> Endpoint:
    """The endpoint with as many requests as the plan that the user was shown can need."""
    return replace(endpoint, max_requests=max_requests)
