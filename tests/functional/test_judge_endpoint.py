"""The judge of the real command: a server that rates, and `transformers serve` with a model that cannot but babble."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from audit.endpoints import ChatClient, Endpoint
from audit.errors import InputError
from audit.responses import Response
from audit.sources import Message
from audit.verify.arms import AnswerFile
from audit.verify.aspects import Aspect, judge_answers
from tests.chat_server import Failure, Request, serve_chat
from tests.functional.conftest import Command
from tests.models import tiny_model

QUESTION = (Message("user", "How long is Lake Vorn?", trained=False),)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def served(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server that is ready, and its model."""
    folder = tiny_model(tmp_path_factory.mktemp("served") / "model", n_positions=2048)
    port = free_port()
    command = Path(sys.executable).with_name("transformers")
    arguments = ["serve", str(folder), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    log = folder.with_name("serve.log")
    with (
        log.open("wb") as output,
        subprocess.Popen([command, *arguments], env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                        break
                except (urllib.error.URLError, OSError):
                    assert server.poll() is None, log.read_text()
                    time.sleep(0.1)
            else:
                pytest.fail(f"the server did not come up: {log.read_text()}")
            yield Endpoint(f"http://127.0.0.1:{port}/v1", str(folder))
        finally:
            server.terminate()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / "cache"))


def arms(n_prompts: int) -> dict[str, list[AnswerFile]]:
    return {
        arm: [
            AnswerFile(
                arm,
                tuple(
                    Response(
                        id=str(i),
                        messages=(Message("user", f"Lake {i}?", trained=False),),
                        response=f"{arm} {i}",
                        reference=(f"{i} km",),
                        line=i + 1,
                    )
                    for i in range(n_prompts)
                ),
            )
        ]
        for arm in ("cleaned", "random")
    }


def test_a_real_server_answers_and_its_reply_is_kept(served: Endpoint) -> None:
    with ChatClient(served) as client:
        reply = client.complete(QUESTION, max_tokens=6)
        assert reply
        assert client.complete(QUESTION, max_tokens=6) == reply
        assert client.n_sent == 1


def test_a_real_model_that_answers_nonsense_ends_in_a_line(served: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.verify.aspects._MAX_REPLY_TOKENS", 12)  # nonsense enough
    with pytest.raises(InputError) as caught:
        judge_answers(arms(3), served)
    assert str(caught.value).startswith(
        f"{served.url}: the judge {served.model} gave no usable rating of 6 of 6 answers (such as "
    )


def test_a_model_that_a_real_server_does_not_serve_is_said(served: Endpoint) -> None:
    with pytest.raises(InputError) as caught:
        judge_answers(arms(3), Endpoint(served.url, "another"))
    assert "gave no usable rating of 6 of 6 answers" in str(caught.value)
    assert "(such as 'status 400: " in str(caught.value)


def write_answers(folder: Path, n_prompts: int, n_runs: int) -> list[str]:
    """Answer files of both arms; the options that name them."""
    options = []
    for arm, wrong_up_to in (("cleaned", 1), ("random", 3)):
        for run in range(n_runs):
            records = [
                {
                    "prompt": f"How long is lake {i}?",
                    "response": f"{arm[0]}{run}: {99 if i < wrong_up_to + run % 2 else i} km",
                    "reference": f"{i} km",
                }
                for i in range(n_prompts)
            ]
            path = folder / f"{arm}-{run}.jsonl"
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
            options += ["--responses", f"{arm}={path}"]
    return options


def rate(request: Request) -> str:
    """Five for a right answer, one for a wrong one; the rest does not depend on it."""
    content: str = request["messages"][0]["content"]
    mark = re.findall(r"<<[0-9a-f]{12}>>", content)[0]
    _, reference, answer = (part.strip() for part in content.split(mark)[2::2])
    scores = {"factuality": 5 if answer.endswith(f" {reference}") else 1, "helpfulness": 3, "clarity": 4, "depth": 2}
    return json.dumps({**scores, "engagement": 2})


def test_the_command_has_answers_judged_and_tells_factuality_apart(
    tunescope: Command, finished_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    options = write_answers(tmp_path, n_prompts=8, n_runs=5)
    with serve_chat(rate) as server:
        judge = ["--judge", server.url, "--judge-model", "fair"]
        done = tunescope("verify", run, *options, *judge, "-o", "judged", "--format", "json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        n_asked = len(server.requests)
        again = tunescope("verify", run, *options, *judge, "-o", "again", "--format", "json", cwd=tmp_path)
        assert again.stdout == done.stdout
        assert len(server.requests) == n_asked == 80
    verification = json.loads(done.stdout)["methods"][0]["verification"]
    judged = {effect["name"]: effect for effect in verification["secondary"] if effect["unit"] == "score"}
    assert list(judged) == [f"judged {aspect}" for aspect in Aspect]
    points = verification["effect"]["difference_points"]
    assert points < 0
    assert judged["judged factuality"]["difference"] == pytest.approx(-4 * points / 100)
    assert judged["judged depth"]["difference"] == 0
    assert any(note.startswith(f"Judged scores are the opinion of fair ({server.url})") for note in verification["notes"])


def test_an_endpoint_that_is_down_is_one_line_and_writes_nothing(
    tunescope: Command, finished_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    options = write_answers(tmp_path, n_prompts=4, n_runs=1)
    with serve_chat(lambda request: Failure(401, "who are you?")) as server:
        judge = ["--judge", server.url, "--judge-model", "m"]
        refused = tunescope("verify", run, *options, *judge, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"tunescope: {server.url}: the endpoint refuses the key (status 401: who are you?)")
    down = tunescope("verify", run, *options, *judge, cwd=tmp_path)
    assert down.returncode == 2
    assert down.stderr.startswith(f"tunescope: {server.url}: the endpoint does not answer (")
    assert len(down.stderr.strip().splitlines()) == 1
    no_key = tunescope("verify", run, *options, *judge, "--judge-key-env", "NO_SUCH_KEY", cwd=tmp_path)
    assert (no_key.returncode, no_key.stderr.split(" (")[0]) == (
        2,
        "tunescope: the environment variable NO_SUCH_KEY is not set",
    )
    assert not (run / "verify").exists()


@pytest.mark.slow
def test_the_command_says_that_a_real_model_answers_nonsense(
    tunescope: Command, finished_run: Path, tmp_path: Path, served: Endpoint
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    options = write_answers(tmp_path, n_prompts=1, n_runs=1)
    done = tunescope("verify", run, *options, "--judge", served.url, "--judge-model", served.model, cwd=tmp_path)
    assert done.returncode == 2
    assert "gave no usable rating of 2 of 2 answers (such as " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (run / "verify").exists()
