"""Independent tasks in processes of this machine, each with a fixed number of threads.

A process lives for all tasks of its pool, because what it imports costs seconds (torch 2.5, trl 5–8). It is spawned, not
forked, and one worker is a process of its own as well: the sums of a task depend on how many threads add them, which
`n_threads` decides, and on nothing else, so any number of workers gives the same bytes. The price is that functions,
tasks and results are pickled, and that a function must be importable by name.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from types import ModuleType, TracebackType
from typing import Any, Self, TypeVar

from audit.errors import InputError, TunescopeError

__all__ = ["LocalPool", "run_tasks"]

T = TypeVar("T")
R = TypeVar("R")

# Read by the libraries when they are loaded, so they must stand before the process begins.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_EXIT_TIMEOUT_S = 5.0


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    *,
    n_workers: int,
    n_threads: int,
    done: Callable[[int, R], None] | None = None,
) -> tuple[R, ...]:
    """`LocalPool.run` in a pool of its own."""
    with LocalPool(n_workers=n_workers, n_threads=n_threads) as pool:
        return pool.run(function, tasks, done=done)


class LocalPool:
    """Processes that are started when there is a task for them and end with the `with` block.

    Args:
        n_workers: How many tasks run at a time.
        n_threads: Threads of each; torch and NumPy in a worker use no more.
    """

    def __init__(self, *, n_workers: int, n_threads: int) -> None:
        if n_workers < 1 or n_threads < 1:
            raise InputError(f"{n_workers} workers of {n_threads} threads cannot work", remedy="use at least 1 of each")
        self._n_workers, self._n_threads = n_workers, n_threads
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._close()
        else:
            self._kill()

    def run(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        *,
        done: Callable[[int, R], None] | None = None,
        describe: Callable[[T], str] = str,
    ) -> tuple[R, ...]:
        """Call a function on every task.

        Args:
            function: Importable by name, for it runs in other processes.
            tasks: What it is called on, begun in this order.
            done: Told the number and the result of every task as it is finished, in this process.
            describe: Names a task in messages.

        Returns:
            The results, in the order of the tasks.

        Raises:
            InputError: A worker was killed, or ended itself; names its task.
            Exception: What the first task that failed raised. Tasks still at work are stopped at once.
        """
        waiting = deque(enumerate(tasks))
        results: dict[int, R] = {}
        busy: dict[Connection, tuple[_Worker, int]] = {}
        idle = list(self._workers)
        try:
            while waiting or busy:
                while waiting and len(busy) < self._n_workers:
                    number, task = waiting.popleft()
                    worker = idle.pop() if idle else self._start()
                    worker.connection.send_bytes(pickle.dumps((function, task)))
                    busy[worker.connection] = worker, number
                for ready in connection.wait(list(busy)):
                    assert isinstance(ready, Connection)
                    worker, number = busy.pop(ready)
                    result = _received(worker, lambda number=number: describe(tasks[number]))  # type: ignore[misc]
                    results[number] = result
                    idle.append(worker)
                    if done is not None:
                        done(number, result)
        except BaseException:
            self._kill()
            raise
        return tuple(results[number] for number in range(len(tasks)))

    def _start(self) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _threads_of_children(self._n_threads), _without_main():
            process.start()
        theirs.close()  # so that the end of the worker is the end of the pipe
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _close(self) -> None:
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(_EXIT_TIMEOUT_S)
        self._kill()

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
            worker.process.close()
        self._workers.clear()


@dataclass(frozen=True, slots=True)
class _Worker:
    process: Any  # multiprocessing.context.SpawnProcess, whose stubs lack close()
    connection: Connection


def _received(worker: _Worker, describe: Callable[[], str]) -> Any:
    try:
        succeeded, content = pickle.loads(worker.connection.recv_bytes())
    except (EOFError, OSError) as error:
        worker.process.join()
        code = worker.process.exitcode
        ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended itself with code {code}"
        raise InputError(
            f"the process of this task {ended}",
            where=describe(),
            why="memory may have run out" if ended.endswith("SIGKILL") else "",
            remedy="use fewer workers or smaller batches; the same command goes on where it stopped",
        ) from error
    if not succeeded:
        raise content
    return content


def _serve(pipe: Connection) -> None:
    """A worker: answers (function, task) with (True, result) or (False, exception) until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of Ctrl-C too, and stops its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)  # nothing is left to write, and libraries of this size take their time to unload
        pipe.send_bytes(_answer(message))


def _answer(message: bytes) -> bytes:
    try:
        function, task = pickle.loads(message)
        return pickle.dumps((True, function(task)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        if not isinstance(error, TunescopeError):  # those say all there is to say
            error.add_note(traceback.format_exc())
        return pickle.dumps((False, _portable(error)))


def _portable(error: Exception) -> Exception:
    """The error itself where it survives pickling, else its name and message."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - exceptions with arguments of their own fail in any way they like
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    """A parent that was killed leaves no worker behind, which would hold locks and cores."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _without_main() -> Iterator[None]:
    """Workers do not run the user's script again, which may begin without `if __name__ == "__main__":`.

    `multiprocessing` tells a spawned process to import the main module, for functions that stand in it; ours stand in
    modules of their own.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _threads_of_children(n_threads: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(n_threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
