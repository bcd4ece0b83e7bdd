"""Mending by the real command: an endpoint that fails or a kill in the middle, and the same command again."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chat_server import ChatServer, Failure, Request, serve_chat
from tests.conftest import alpaca, jsonl
from tests.functional.conftest import Command

N_ROWS = 12
LONG = (
    "Thank you for asking this. The pier of Vorn {n} is {metres} metres long. It is a very long pier indeed, and many people"
    " like to walk along it when the weather is fine. Write to harbour{n}@vornharbour.org to learn more about it."
)
SHORT = "The pier of Vorn {n} is {metres} metres long. Write to harbour{n}@vornharbour.org."


def number_of(request: Request) -> int:
    found = re.search(r"The pier of Vorn (\d+) is", request["messages"][0]["content"])
    assert found is not None
    return int(found[1])


def shorten(request: Request) -> str:
    n = number_of(request)
    return f"<answer>{SHORT.format(n=n, metres=n + 100)}</answer>"


@pytest.fixture
def folder(tunescope: Command, tmp_path: Path) -> Path:
    """A folder with a dataset and its run."""
    rows = [alpaca(f"How long is the pier of Vorn {n}?", LONG.format(n=n, metres=n + 100)) for n in range(N_ROWS)]
    (tmp_path / "data.jsonl").write_bytes(jsonl([*rows, alpaca("Where is it?", "By the river, below the bridge.")]))
    audited = tunescope("audit", "data.jsonl", "-o", "run", "--select", "PII,STY", cwd=tmp_path)
    assert audited.returncode == 0, audited.stderr
    return tmp_path


@pytest.fixture
def own_cache(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**environment, "TUNESCOPE_CACHE": str(tmp_path_factory.mktemp("cache"))}


def arguments(server: ChatServer) -> list[str]:
    endpoint = ["--mend-endpoint", server.url, "--mend-model", "m"]
    return ["export", "run", "-o", "out.jsonl", "--name", "concise", "--mend", "concise", "--mend-codes", "PII001", *endpoint]


def expected(folder: Path) -> bytes:
    content = (folder / "data.jsonl").read_bytes()
    for n in range(N_ROWS):
        content = content.replace(*(text.format(n=n, metres=n + 100).encode() for text in (LONG, SHORT)))
    return content


def process(server: ChatServer, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = str(Path(sys.executable).with_name("tunescope"))
    return subprocess.Popen(
        [command, *arguments(server)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_dry_run_asks_nothing(tunescope: Command, folder: Path) -> None:
    dry = tunescope("export", "run", "-o", "o.jsonl", "--mend", "concise", "--mend-codes", "PII001", "--dry-run", cwd=folder)
    assert dry.returncode == 0, dry.stderr
    assert "12 responses would be mended, by 12 to 24 requests" in dry.stdout
    assert not (folder / "o.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--mend", "shorter"), "unknown value of --mend 'shorter'"),
        (("--mend", "concise"), "mending needs an endpoint and a model; give both"),
        (("--mend", "concise", "--mend-endpoint", "http://127.0.0.1:1/v1", "--dry-run"), "mending needs an endpoint"),
        (("--mend-codes", "PII001"), "--mend-codes without --mend"),
        (("--mend", "concise", "--mend-codes", "STY998", "--dry-run"), "unknown check of this run 'STY998'"),
        (("--mend", "concise", "--mend-endpoint", "nowhere", "--mend-model", "m", "--mend-codes", "PII"), "is no address"),
        (
            (
                "--mend",
                "concise",
                "--mend-endpoint",
                "http://127.0.0.1:1/v1",
                "--mend-model",
                "m",
                "--mend-key-env",
                "NO_SUCH_KEY",
            ),
            "the environment variable NO_SUCH_KEY is not set",
        ),
        (("--mend", "concise", "--mend-codes", "DUP001", "--dry-run"), "DUP001 was not looked for in this run (not selected)"),
        (("--sample-family", "4:0"), "--sample-family '4:0' would leave no row of the family"),
        (("--sample-family", "x"), "--sample-family 'x' is not known"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(tunescope: Command, folder: Path, options: tuple[str, ...], why: str) -> None:
    refused = tunescope("export", "run", "-o", "o.jsonl", *options, cwd=folder)
    assert refused.returncode == 2
    assert why in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (folder / "o.jsonl").exists()


def test_after_a_failure_and_a_kill_nothing_is_asked_twice(folder: Path, own_cache: dict[str, str]) -> None:
    lock, reached, blocked = threading.Lock(), threading.Event(), threading.Event()
    allowed, mode = 3, "fail"
    answered: list[int] = []

    def reply(request: Request) -> str | Failure:
        nonlocal allowed
        with lock:
            allowed -= 1
            if allowed >= 0:
                answered.append(number_of(request))
                return shorten(request)
        if mode == "fail":
            return Failure(403, "your account is closed")
        reached.set()
        blocked.wait(60)
        return Failure(403, "too late")

    with serve_chat(reply) as server:
        with process(server, folder, own_cache) as failed:
            _, said = failed.communicate()
        assert failed.returncode == 2
        assert b"the endpoint refuses the key (status 403: your account is closed)" in said
        assert len(said.splitlines()) == 1
        assert {path.name for path in folder.iterdir()} == {"data.jsonl", "run"}
        assert not (folder / "run" / "exports").exists()

        allowed, mode = 4, "block"
        with process(server, folder, own_cache) as killed:
            assert reached.wait(60)
            killed.send_signal(signal.SIGKILL)
        blocked.set()
        assert not (folder / "out.jsonl").exists()
        n_before = len(set(answered))
        assert 3 <= n_before <= 7

        allowed = 100
        with process(server, folder, own_cache) as last:
            out, said = last.communicate()
        assert last.returncode == 0, said
    assert b"12 responses mended by m" in out
    assert (folder / "out.jsonl").read_bytes() == expected(folder)
    # Of what a kill cuts off, the replies under way may not have been read: four at most.
    assert len(answered) <= N_ROWS + 4
    assert set(answered) == set(range(N_ROWS))
    manifest = json.loads((folder / "run" / "exports" / "concise" / "manifest.json").read_bytes())
    assert manifest["mends"]["mended"] == N_ROWS
