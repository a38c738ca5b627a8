"""A stopwatch for the parts of a step."""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest import mock

import torch


class Watched(NamedTuple):
    """A function that is timed by itself."""

    owner: Any
    """Module, class or object that has it."""
    function: str
    """Its name there."""
    section: str
    """Under which its time goes."""
    unless: tuple[str, ...] = ()
    """Sections in which it is not timed by itself."""


@dataclass
class _OpenSection:
    name: str
    nested: float = 0.0
    """Seconds of the sections inside."""


class Stopwatch:
    """Times of nested sections, each without what is nested in it, so that they add up to the whole.

    Args:
        device (torch.device): A CUDA device is waited for at both ends of a section.

    Attributes:
        seconds (dict): Time per section.

    Examples:
        >>> watch = Stopwatch(torch.device('cpu'))
        >>> with watch.section('all'), watch.section('inside'):
        ...     pass
        >>> sorted(watch.seconds)
        ['all', 'inside']
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[_OpenSection] = []

    def now(self) -> float:
        """The time in seconds, after the device has done its work.

        Examples:
            >>> watch = Stopwatch(torch.device('cpu'))
            >>> watch.now() <= watch.now()
            True
        """
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time what is inside under a name."""
        section = _OpenSection(name)
        started = self.now()
        self._open.append(section)
        try:
            yield
        finally:
            self._open.pop()
            spent = self.now() - started
            self.seconds[name] += spent - section.nested
            if self._open:
                self._open[-1].nested += spent

    def wrap(self, function: Callable, name: str, unless: tuple[str, ...] = ()) -> Callable:
        """A function that is timed under a name, unless it is called from one of the other sections.

        Examples:
            >>> watch = Stopwatch(torch.device('cpu'))
            >>> watch.wrap(abs, 'absolute')(-3), list(watch.seconds)
            (3, ['absolute'])
        """

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if any(section.name in unless for section in self._open):
                return function(*args, **kwargs)
            with self.section(name):
                return function(*args, **kwargs)

        return timed

    @contextmanager
    def watching(self, targets: Sequence[Watched]) -> Iterator[None]:
        """Time functions of modules, classes or objects inside the context.

        Args:
            targets (Sequence[Watched]): The functions.

        Yields:
            None

        Examples:
            >>> watch, layer = Stopwatch(torch.device('cpu')), torch.nn.Identity()
            >>> with watch.watching([Watched(layer, 'forward', 'layers')]):
            ...     layer(2)
            2
            >>> list(watch.seconds)
            ['layers']
        """
        with ExitStack() as stack:
            for owner, function, section, unless in targets:
                timed = self.wrap(getattr(owner, function), section, unless)
                stack.enter_context(mock.patch.object(owner, function, timed))
            yield
