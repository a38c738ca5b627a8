"""Several processes at a time, which end together."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Job = TypeVar('Job')
Result = TypeVar('Result')


class Stopped(Exception):
    """Nothing is started any more."""


class Processes:
    """Starts processes and can stop them all.

    Args:
        threads (int): Threads that each of them computes with.
        patience (float): Seconds that a process has to end by itself when all are stopped.

    Raises:
        ValueError: Fewer threads than one.

    Examples:
        >>> import sys, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Processes().run([sys.executable, '-c', 'print(1 + 1)'], Path(folder, 'log.txt'))
        ...     last_lines(Path(folder, 'log.txt'), 1)
        0
        ['2']
    """

    def __init__(self, threads: int = 1, patience: float = 10.0) -> None:
        if threads < 1:
            raise ValueError(f'threads must be at least 1, got {threads}')
        self.environment = {**os.environ, **_thread_limits(threads)}
        self.patience = patience
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], log: Path) -> int:
        """Run a command to its end.

        Args:
            command (Sequence[str]): Program and arguments.
            log (Path): What it prints is added there, under the command.

        Returns:
            int: Its exit status.

        Raises:
            Stopped: All were stopped, before it was started or while it ran.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('a', encoding='utf-8') as file:
            file.write(f'$ {shlex.join(command)}\n')
            file.flush()
            process = self._start(command, file.fileno())
            try:
                status = process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)
        if self._stopped:
            raise Stopped
        return status

    def _start(self, command: Sequence[str], output: int) -> subprocess.Popen:
        with self._lock:
            if self._stopped:
                raise Stopped
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                # A group of its own: Ctrl-C reaches this program alone, and stopping it the workers of its loaders.
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def stop(self) -> None:
        """Stop all processes, and their children; those that do not go in time are killed."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _send(process, signal.SIGTERM)
        deadline = time.monotonic() + self.patience
        try:
            for process in running:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(deadline - time.monotonic(), 0))
        finally:  # Also after a second Ctrl-C. Workers outlive a parent that was too busy to take them along.
            for process in running:
                _send(process, getattr(signal, 'SIGKILL', signal.SIGTERM))


def _thread_limits(threads: int) -> Mapping[str, str]:
    return {f'{library}_NUM_THREADS': str(threads) for library in ('OMP', 'MKL', 'OPENBLAS')}


def _send(process: subprocess.Popen, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # It is gone.
        if hasattr(os, 'killpg'):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def last_lines(path: Path, number: int) -> list[str]:
    """The end of a text file.

    Args:
        path (Path): The file; one that is not there has no lines.
        number (int): Lines at most.

    Returns:
        list[str]: Without empty ones.
    """
    if not path.is_file():
        return []
    with path.open(encoding='utf-8', errors='replace') as file:
        return list(deque((line.rstrip() for line in file if line.strip()), number))


def work_through(
    jobs: Sequence[Job], work: Callable[[Job], Result], workers: int, stop: Callable[[], None]
) -> Iterator[Result]:
    """Do jobs, several at a time.

    Args:
        jobs (Sequence): What is to be done, in this order.
        work (Callable): Does one, in a thread.
        workers (int): How many at a time.
        stop (Callable): Makes running work end early; called if this loop is left before all is done, as by Ctrl-C.

    Yields:
        Result: What ``work`` returns, as soon as it is there.

    Raises:
        ValueError: Fewer workers than one.

    Examples:
        >>> sorted(work_through([1, 2, 3], lambda number: 2 * number, workers=2, stop=lambda: None))
        [2, 4, 6]
    """
    if workers < 1:
        raise ValueError(f'at least 1 run at a time is needed, got {workers}')
    executor = ThreadPoolExecutor(workers)
    finished = False
    try:
        futures = [executor.submit(work, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
        finished = True
    finally:
        if not finished:
            executor.shutdown(wait=False, cancel_futures=True)
            stop()
        executor.shutdown()
