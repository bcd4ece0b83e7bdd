"""One client for OpenAI-compatible endpoints: replies are kept, requests repeated where that helps, and counted.

A reply is kept on disk under the digest of the whole request, so that a command that was stopped, by the user, the
budget or an endpoint that went down, goes on where it stood and asks nothing twice. Sampling is off (temperature 0).
Only what the caller accepts is kept: an endpoint that answers nonsense is asked again the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from audit.errors import CorruptFileError, InputError, MissingDependencyError
from audit.sources import Message
from indexes.encoders import cache_folder
from indexes.store import read_bytes, write_bytes

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

__all__ = ["ChatClient", "Endpoint", "RefusedError"]

_REQUEST_VERSION = 1
_N_RETRIES = 4  # after 0.5, 1, 2 and 4 s, or as long as the endpoint asks for
_KEPT = "what came before is kept: repeat the command to go on"


class RefusedError(InputError):
    """One request that the endpoint does not take, such as a prompt beyond its context; others may pass."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served, and how much may be asked of it.

    Attributes:
        url: The address of the API, with `/v1` where the server has it there.
        model: The model's name there.
        key_env: The environment variable that holds the key; `None` for a server that needs none. No other variable is
            looked at: a key must not go to an address that it was not meant for.
        max_requests: How many requests a client may send; kept replies cost none.
        timeout_s: How long one request may take.
        n_parallel: How many requests may be under way at once.
    """

    url: str
    model: str
    key_env: str | None = None
    max_requests: int = 10_000
    timeout_s: float = 120.0
    n_parallel: int = 4


class ChatClient:
    """Sends chat requests to one endpoint; threads may share it. Use it as a context, so that connections are closed.

    Raises:
        InputError: The address is none, or the variable of the key is not set.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        if not endpoint.url.startswith(("http://", "https://")):
            raise InputError(
                f"{endpoint.url!r} is no address of an endpoint", remedy="give one such as http://127.0.0.1:8000/v1"
            )
        # The package takes any text for a key; servers without keys do not look at it.
        self._key = "none" if endpoint.key_env is None else os.environ.get(endpoint.key_env, "").strip()
        if not self._key:
            raise InputError(
                f"the environment variable {endpoint.key_env} is not set",
                why=f"it is to hold the key for {endpoint.url}",
                remedy="set it, or name another variable",
            )
        self.endpoint = endpoint
        self._n_sent = 0
        self._lock = threading.Lock()
        self._left_out: frozenset[str] = frozenset()

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if "_openai" in self.__dict__:
            self._openai.close()

    @property
    def n_sent(self) -> int:
        """Requests sent so far; those answered from disk do not count."""
        return self._n_sent

    def complete(
        self, messages: Sequence[Message], *, max_tokens: int, accept: Callable[[str], bool] = lambda reply: True
    ) -> str:
        """The model's reply to a conversation, from disk where it was given before.

        Args:
            messages: The turns; role and content are sent.
            max_tokens: How long the reply may be.
            accept: Whether a reply is worth keeping.

        Raises:
            RefusedError: The endpoint does not take this request.
            InputError: It is down, refuses the key, does not know the model or speaks another protocol; or the budget
                is spent.
            MissingDependencyError: The package `openai` is not installed.
        """
        kept = self._place(messages, max_tokens)
        try:
            reply = read_bytes(kept).decode()
            if accept(reply):
                return reply
        except CorruptFileError:  # also: not there
            pass
        self._count()
        reply = self._send(messages, max_tokens)
        if accept(reply):
            write_bytes(kept, reply.encode("utf-8", "replace"))
        return reply

    def _place(self, messages: Sequence[Message], max_tokens: int) -> Path:
        request = {
            "version": _REQUEST_VERSION,
            "url": self.endpoint.url.rstrip("/"),
            "model": self.endpoint.model,
            "messages": [[message.role, message.content] for message in messages],
            "max_tokens": max_tokens,
        }
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        return cache_folder() / "endpoints" / digest[:2] / f"{digest}.txt"

    def _count(self) -> None:
        with self._lock:
            if self._n_sent >= self.endpoint.max_requests:
                raise InputError(
                    f"the budget of {self.endpoint.max_requests} requests is spent",
                    where=self.endpoint.url,
                    remedy=f"allow more; {_KEPT}",
                )
            self._n_sent += 1

    @cached_property
    def _openai(self) -> OpenAI:
        try:
            from openai import OpenAI
        except ImportError as error:
            raise MissingDependencyError(
                "the package openai is not installed", why="it talks to the endpoint", remedy="pip install 'tunescope[judge]'"
            ) from error
        return OpenAI(base_url=self.endpoint.url, api_key=self._key, timeout=self.endpoint.timeout_s, max_retries=_N_RETRIES)

    def _send(self, messages: Sequence[Message], max_tokens: int) -> str:
        with self._lock:
            client = self._openai  # made by one thread
        import openai

        options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": 0.0}
        turns: list[Any] = [{"role": message.role, "content": _sendable(message.content)} for message in messages]
        taken = {name: value for name, value in options.items() if name not in self._left_out}
        try:
            completion = client.chat.completions.create(model=self.endpoint.model, messages=turns, **taken)
        except openai.APIStatusError as error:
            # Some models take no temperature, or call the length otherwise, and say so.
            said = self._line(_body(error))
            unknown = {name for name in options if name in said} - self._left_out
            if error.status_code == 400 and unknown:
                self._left_out |= unknown
                return self._send(messages, max_tokens)
            raise self._status_error(error.status_code, said) from error
        except openai.APIConnectionError as error:  # a timeout is one too
            raise self._error(
                "the endpoint does not answer", self._said(error), f"start it, or mend the address; {_KEPT}"
            ) from error
        except (openai.OpenAIError, ValueError) as error:
            raise self._no_protocol(self._said(error)) from error
        choices = getattr(completion, "choices", None)
        if not choices:
            raise self._no_protocol("its reply holds no choices")
        return choices[0].message.content or ""

    def _status_error(self, status: int, said: str) -> InputError:
        why = f"status {status}: {said}"
        match status:
            case 401 | 403:
                named = "name its variable" if self.endpoint.key_env is None else f"check what {self.endpoint.key_env} holds"
                return self._error("the endpoint refuses the key", why, named)
            case 404:
                return InputError(
                    f"no such address, or no model {self.endpoint.model!r} there",
                    where=f"{self.endpoint.url.rstrip('/')}/chat/completions",
                    why=why,
                    remedy="check /v1 in the address, and the model's name",
                )
            case 400 | 413 | 422:
                return RefusedError(
                    "the endpoint does not take the request", where=self.endpoint.url, why=why, remedy="use another model"
                )
        return self._error("the endpoint fails", why, _KEPT)

    def _no_protocol(self, why: str) -> InputError:
        return self._error("the endpoint does not speak the chat protocol of OpenAI", why, "check the address")

    def _error(self, what: str, why: str, remedy: str) -> InputError:
        return InputError(what, where=self.endpoint.url, why=why, remedy=remedy)

    def _said(self, error: Exception) -> str:
        """What an error says; the cause beneath says more than `Connection error.`."""
        cause = error.__cause__
        return self._line(str(error) if cause is None else f"{error} {cause}")

    def _line(self, text: str) -> str:
        """A text as a short line, without the key."""
        if self.endpoint.key_env is not None:
            for written in (self._key, json.dumps(self._key)[1:-1]):  # as it is, and within JSON
                text = text.replace(written, "…")
        return " ".join(text.split())[:300]


def _body(error: APIStatusError) -> str:
    """What the endpoint says: OpenAI's form of an error, or any other."""
    message = error.body.get("message") if isinstance(error.body, dict) else None
    return message if isinstance(message, str) else error.response.text


def _sendable(text: str) -> str:
    """The text without lone surrogates, which JSON files may hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
