"""The client for chat endpoints: what is sent, kept, repeated and said when it fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.endpoints import ChatClient, Endpoint, RefusedError
from audit.errors import InputError, MissingDependencyError
from audit.sources import Message
from tests.chat_server import Failure, Request, serve_chat

QUESTION = (Message("user", "How long is Lake Vorn?", trained=False),)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / "cache"))


def ask(endpoint: Endpoint, *questions: str) -> list[str]:
    with ChatClient(endpoint) as client:
        return [client.complete([Message("user", text, trained=False)], max_tokens=8) for text in questions]


def error_of(url: str, endpoint: Callable[[str], Endpoint] = lambda url: Endpoint(url, "judge")) -> str:
    with pytest.raises(InputError) as caught:
        ask(endpoint(url), "Q?")
    return str(caught.value)


def last_content(request: Request) -> str:
    content: str = request["messages"][-1]["content"]
    return content


def test_a_conversation_is_sent_as_it_stands_without_sampling_and_without_a_key() -> None:
    with serve_chat(lambda request: f"about {last_content(request)}") as server:
        turns = [Message("system", "Be brief.", trained=False), Message("user", "Vorn?", trained=False)]
        with ChatClient(Endpoint(server.url, "judge")) as client:
            assert client.complete(turns, max_tokens=8) == "about Vorn?"
    assert server.requests == [
        {
            "path": "/v1/chat/completions",
            "model": "judge",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Vorn?"}],
            "max_tokens": 8,
            "temperature": 0.0,
        }
    ]
    assert server.keys == ["Bearer none"]


def test_only_the_named_variable_holds_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of another service")
    monkeypatch.setenv("JUDGE_KEY", "secret")
    with serve_chat(lambda request: "yes") as server:
        ask(Endpoint(server.url, "judge"), "a")
        ask(Endpoint(server.url, "judge", key_env="JUDGE_KEY"), "b")
        assert server.keys == ["Bearer none", "Bearer secret"]
        monkeypatch.delenv("JUDGE_KEY")
        sentence = error_of(server.url, lambda url: Endpoint(url, "judge", key_env="JUDGE_KEY"))
    assert sentence.startswith("the environment variable JUDGE_KEY is not set")


def test_a_reply_is_kept_for_the_same_request_and_no_other() -> None:
    with serve_chat(lambda request: f"{len(server.requests)}") as server:
        endpoint = Endpoint(server.url, "judge")
        assert ask(endpoint, "a", "b", "a") == ["1", "2", "1"]
        assert ask(endpoint, "b") == ["2"]
        assert ask(Endpoint(server.url, "other"), "a") == ["3"]
        with ChatClient(endpoint) as client:
            assert client.complete([Message("user", "a", trained=False)], max_tokens=9) == "4"
            assert client.complete([Message("user", "a", trained=False)], max_tokens=8) == "1"
            assert client.n_sent == 1


def test_what_is_not_accepted_is_not_kept_and_a_damaged_reply_is_asked_for_again(tmp_path: Path) -> None:
    with serve_chat(lambda request: f"{len(server.requests)}") as server, ChatClient(Endpoint(server.url, "judge")) as client:
        assert client.complete(QUESTION, max_tokens=8, accept=lambda reply: reply != "1") == "1"
        assert client.complete(QUESTION, max_tokens=8, accept=lambda reply: reply != "1") == "2"
        assert client.complete(QUESTION, max_tokens=8) == "2"
        (kept,) = (tmp_path / "cache").rglob("*.txt")
        kept.write_text("5")
        assert client.complete(QUESTION, max_tokens=8) == "3"


def test_the_budget_counts_requests_and_not_kept_replies() -> None:
    with serve_chat(lambda request: "yes") as server:
        endpoint = Endpoint(server.url, "judge", max_requests=2)
        with pytest.raises(InputError, match="the budget of 2 requests is spent"):
            ask(endpoint, "a", "b", "c")
        assert ask(endpoint, "a", "b", "c") == ["yes"] * 3
        assert len(server.requests) == 3


def test_a_passing_failure_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)
    with serve_chat(lambda request: "yes" if len(server.requests) > 3 else Failure(503)) as server:
        assert ask(Endpoint(server.url, "judge"), "a") == ["yes"]
    assert len(server.requests) == 4
    with serve_chat(lambda request: Failure(500, "no memory")) as server:
        sentence = error_of(server.url)
    assert sentence.startswith(f"{server.url}: the endpoint fails (status 500: ")
    assert "no memory" in sentence
    assert sentence.endswith("what came before is kept: repeat the command to go on")


def test_an_endpoint_that_is_down_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)
    with serve_chat(lambda request: "yes") as server:
        url = server.url
    sentence = error_of(url)
    assert sentence.startswith(f"{url}: the endpoint does not answer (")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (Failure(401, "bad key"), "the endpoint refuses the key (status 401: "),
        (b"<html>welcome</html>", "the endpoint does not speak the chat protocol of OpenAI ("),
        (b'{"choices": []}', "the endpoint does not speak the chat protocol of OpenAI ("),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_said_in_a_line(said: Failure | bytes, sentence: str) -> None:
    with serve_chat(lambda request: said) as server:
        assert error_of(server.url).startswith(f"{server.url}: {sentence}")


def test_a_page_that_is_not_there_may_be_the_address_or_the_model() -> None:
    with serve_chat(lambda request: Failure(404, "Not Found")) as server:
        sentence = error_of(f"{server.url}/")
    assert sentence.startswith(
        f"{server.url}/chat/completions: no such address, or no model 'judge' there (status 404: Not Found); check /v1 in"
    )


def test_a_refused_request_can_be_told_from_a_failing_endpoint() -> None:
    with (
        serve_chat(lambda request: Failure(400, "the prompt is too long")) as server,
        pytest.raises(RefusedError, match="too long"),
    ):
        ask(Endpoint(server.url, "judge"), "a")


def test_options_that_a_model_does_not_take_are_left_out_from_then_on() -> None:
    def reply(request: Request) -> str | Failure:
        unknown = next((name for name in ("max_tokens", "temperature") if name in request), None)
        return "yes" if unknown is None else Failure(400, f"unsupported parameter {unknown}")

    with serve_chat(reply) as server:
        assert ask(Endpoint(server.url, "judge"), "a", "b") == ["yes", "yes"]
    assert [sorted({"max_tokens", "temperature"} & request.keys()) for request in server.requests] == [
        ["max_tokens", "temperature"],
        ["temperature"],
        [],
        [],
    ]


def test_a_key_is_never_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "s3cret")
    with serve_chat(lambda request: Failure(401, "bad key s3cret")) as server:
        sentence = error_of(server.url, lambda url: Endpoint(url, "judge", key_env="JUDGE_KEY"))
    assert "bad key …" in sentence
    assert sentence.endswith("check what JUDGE_KEY holds")


@pytest.mark.parametrize("key", ["s3cret\n", 's3"cret', "s3\\cret"])
@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_key_is_quoted_in_no_form(monkeypatch: pytest.MonkeyPatch, key: str, status: int) -> None:
    """White space around it is none of it; a body may hold it as JSON."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)
    monkeypatch.setenv("JUDGE_KEY", key)
    for body in (f"bad key {key.strip()}", json.dumps({"given": f"Bearer {key.strip()}"})):
        with serve_chat(lambda request, body=body: Failure(status, body)) as server:  # type: ignore[misc]
            sentence = error_of(server.url, lambda url: Endpoint(url, "judge", key_env="JUDGE_KEY"))
        assert "…" in sentence
        assert "cret" not in sentence


def test_texts_that_utf_8_cannot_hold_are_sent_all_the_same() -> None:
    with serve_chat(lambda request: last_content(request)) as server:
        assert ask(Endpoint(server.url, "judge"), "a\ud800b") == ["a?b"]


def test_an_address_without_a_scheme_is_none() -> None:
    assert error_of("localhost:8000").startswith("'localhost:8000' is no address of an endpoint")


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tunescope\[judge\]'"):
        ask(Endpoint("http://127.0.0.1:1/v1", "judge"), "a")
