"""Tasks in processes: order, errors, deaths and threads. The functions at the top run in the workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from audit.engines import LocalPool, run_tasks
from audit.errors import InputError, StorageError


class Nap(NamedTuple):
    number: int
    seconds: float


def _square(number: int) -> int:
    return number * number


def _sleep(nap: Nap) -> int:
    time.sleep(nap.seconds)
    return nap.number


def _wait_for_the_others(path: Path) -> str:
    """Task 0 ends once tasks 1 to 3 have."""
    while path.name == "0" and len(list(path.parent.iterdir())) < 3:
        time.sleep(0.01)
    path.touch()
    return path.name


def _fail_at_two(number: int) -> int:
    if number == 2:
        raise StorageError("cannot be written", where="there", why="full", remedy="free space")
    return number


class _AwkwardError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def _fail_awkwardly(number: int) -> int:
    raise _AwkwardError("this", "that")


def _divide(number: int) -> float:
    return 1 / number


def _return_unpicklable(number: int) -> object:
    return lambda: number


def _kill_itself(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _exit(number: int) -> int:
    raise SystemExit(7)


def _process_and_threads(number: int) -> tuple[int, str, int]:
    import torch

    return os.getpid(), os.environ["OMP_NUM_THREADS"], torch.get_num_threads()


def _touch_and_sleep(path: Path) -> None:
    path.with_suffix(".begun").touch()
    time.sleep(0.5)
    path.touch()


def test_results_come_in_the_order_of_the_tasks_whoever_is_done_first(tmp_path: Path) -> None:
    tasks = [tmp_path / str(number) for number in range(4)]
    told: list[tuple[int, str]] = []
    results = run_tasks(_wait_for_the_others, tasks, n_workers=2, n_threads=1, done=lambda n, r: told.append((n, r)))
    assert results == ("0", "1", "2", "3")
    assert told == [(1, "1"), (2, "2"), (3, "3"), (0, "0")]


def test_no_task_starts_no_process() -> None:
    with LocalPool(n_workers=2, n_threads=1) as pool:
        assert pool.run(_square, []) == ()
        assert pool._workers == []


def test_a_pool_keeps_its_processes_between_runs() -> None:
    with LocalPool(n_workers=1, n_threads=1) as pool:
        first = pool.run(_process_and_threads, [0, 1])
        second = pool.run(_process_and_threads, [2])
    assert len({process for process, _, _ in (*first, *second)}) == 1
    assert {process for process, _, _ in first} != {os.getpid()}, "one worker is a process of its own, too"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_workers_use_as_many_threads_as_they_are_given(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    ((_, variable, threads),) = run_tasks(_process_and_threads, [0], n_workers=1, n_threads=n_threads)
    assert (variable, threads) == (str(n_threads), n_threads)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_an_error_of_a_task_is_raised_as_it_was() -> None:
    with pytest.raises(StorageError, match=r"^there: cannot be written \(full\); free space$") as caught:
        run_tasks(_fail_at_two, [1, 2, 3], n_workers=2, n_threads=1)
    assert (caught.value.what, caught.value.remedy) == ("cannot be written", "free space")


def test_a_bug_comes_with_the_place_where_it_happened() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_tasks(_divide, [0], n_workers=1, n_threads=1)
    assert "return 1 / number" in caught.value.__notes__[0]


def test_a_pool_works_again_after_an_error() -> None:
    with LocalPool(n_workers=2, n_threads=1) as pool:
        with pytest.raises(StorageError):
            pool.run(_fail_at_two, [2])
        assert pool.run(_square, [3, 4]) == (9, 16)


def test_an_error_that_cannot_be_sent_is_sent_in_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        run_tasks(_fail_awkwardly, [0], n_workers=1, n_threads=1)
    assert str(caught.value) == "_AwkwardError: this and that"
    with pytest.raises(Exception, match=r"(?i)pickle"):
        run_tasks(_return_unpicklable, [0], n_workers=1, n_threads=1)


def test_a_killed_worker_is_named_by_its_task() -> None:
    with LocalPool(n_workers=2, n_threads=1) as pool, pytest.raises(InputError) as caught:
        pool.run(_kill_itself, [0, 1], describe=lambda number: f"arm {number}")
    assert caught.value.where == "arm 1"
    assert "SIGKILL" in caught.value.what
    assert "memory" in caught.value.why
    with pytest.raises(InputError, match="ended itself with code 7"):
        run_tasks(_exit, [0], n_workers=1, n_threads=1)


def test_an_error_stops_what_is_still_at_work(tmp_path: Path) -> None:
    def stop(number: int, result: int) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tasks(_sleep, [Nap(0, 0.0), Nap(1, 60.0)], n_workers=2, n_threads=1, done=stop)
    assert time.monotonic() - started < 30, "the task of a minute was not waited for"


def test_a_pool_of_nobody_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        LocalPool(n_workers=0, n_threads=1)


_PARENT = """
import sys
from pathlib import Path
from audit.engines import run_tasks
sys.path.insert(0, {tests!r})
from test_engines import _touch_and_sleep

if __name__ == "__main__":
    run_tasks(_touch_and_sleep, [Path({path!r}).with_name(f"task-{{n}}") for n in range(60)], n_workers=2, n_threads=1)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 1)])
def test_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals, code: int) -> None:
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(_PARENT.format(tests=str(Path(__file__).parent), path=str(script))), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL) as parent:
        while not list(tmp_path.glob("task-*.begun")):
            assert parent.poll() is None
            time.sleep(0.05)
        parent.send_signal(number)
        parent.wait()
    assert parent.returncode in (code, -signal.SIGINT)
    begun = len(list(tmp_path.glob("*.begun")))
    time.sleep(3)
    assert len(list(tmp_path.glob("*.begun"))) <= begun + 2, "a worker does more than what it had in hand"
