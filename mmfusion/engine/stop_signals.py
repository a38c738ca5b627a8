"""SIGINT and SIGTERM as a wish to stop: heard at once, followed where nothing is half done."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Hears the first signal and does what is to be done as soon as nothing is held; the second one stops at once.

    Args:
        act (Callable): What the first signal leads to, once nothing is held. It gets the signal's number.
        patience (float): Seconds to wait for the next thing that holds (:meth:`take`), before which it is done; after
            them it is done where the process stands. 0 does it at once.
        active (Callable, optional): Whether there is still something to stop, from the frame that the signal
            interrupted. Otherwise signals are left to whoever had them before.

    Attributes:
        received (int | None): Number of the signal that was heard.
        patience (float): As given; 0 where signals of time are unknown.

    Examples:
        >>> stop = StopSignals(lambda number: print('saved'))
        >>> stop.start()
        >>> with stop.hold():
        ...     os.kill(os.getpid(), signal.SIGTERM)
        ...     print('finished')
        finished
        saved
        >>> stop.end()
    """

    def __init__(
        self,
        act: Callable[[int], None],
        active: Callable[[FrameType | None], bool] | None = None,
        patience: float = 0,
    ) -> None:
        self.received: int | None = None
        self._act = act
        self.patience = patience if hasattr(signal, 'setitimer') else 0
        self._active = active
        self._held = 0
        self._process = 0
        self._before: dict[int, object] = {}

    def start(self) -> None:
        """Listen. Python hears signals in the main thread of a process only; elsewhere nothing changes."""
        if threading.current_thread() is threading.main_thread() and not self._before:
            self._process = os.getpid()
            self._before = {number: signal.signal(number, self._hear) for number in STOPPING}

    def end(self) -> None:
        """Leave signals to whoever had them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._before and self.patience and self.received is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self._before = {}

    def take(self) -> None:
        """Something begins that lasts until :meth:`give`; a signal that was heard comes before it."""
        if not self._held and self.received is not None:
            self._act(self.received)
        self._held += 1

    def give(self) -> None:
        """What was taken is done."""
        self._held -= 1
        if not self._held and self.received is not None:
            self._act(self.received)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """What is done inside is not to be interrupted.

        Yields:
            None: A signal is followed when the last one that holds is done; after an error it is not.
        """
        self._held += 1
        try:
            yield
        except BaseException:
            self._held -= 1
            raise
        self.give()

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """What is done inside may fail because a signal took whoever was to do it, and is no error then.

        Yields:
            None: An error that comes after a signal leads to what the signal leads to.
        """
        try:
            yield
        except StopIteration:
            raise
        except Exception:
            if self.received is not None and not self._held:
                self._act(self.received)
            raise

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # A worker of the data loader, forked with the handler; its owner decides.
        if self._active is not None and not self._active(frame):
            self.end()
            os.kill(os.getpid(), number)
            return
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = number
        # Whoever signals a process group takes the workers as well; what is in the queue is not needed any more.
        # With SIG_DFL in the place of a function, Python reports the end of a worker that it noted just before.
        if hasattr(signal, 'SIGCHLD'):
            signal.signal(signal.SIGCHLD, lambda *_: None)
        name = signal.Signals(number).name
        print(f'{name}: stopping as soon as all is saved; once more stops at once', file=sys.stderr, flush=True)
        if self._held:
            return
        if not self.patience:
            self._act(number)
            return
        # Something is being waited for, such as data of a worker, which would complain if nobody took them.
        signal.signal(signal.SIGALRM, lambda *_: None if self._held else self._act(number))
        signal.setitimer(signal.ITIMER_REAL, self.patience)


class AwaitedBatches:
    """A data loader, or an iterator of one, whose workers may have been signalled together with this process.

    A worker that ends while its data are being read shows as whatever reading them raises: a connection that is reset,
    a file that ends too early, a worker that exited.

    Args:
        source (Iterable): Of the batches. What else it can do, this can.
        stop (StopSignals): Has heard the signal.

    Examples:
        >>> stop = StopSignals(lambda number: print('saved'))
        >>> batches = AwaitedBatches([1, 2], stop)
        >>> len(batches), list(batches)
        (2, [1, 2])
    """

    def __init__(self, source: Any, stop: StopSignals) -> None:
        self._source = source
        self._stop = stop

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator:
        with self._stop.awaiting():
            return AwaitedBatches(iter(self._source), self._stop)

    def __next__(self) -> Any:
        with self._stop.awaiting():
            return next(self._source)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
