"""torch.compile where it works."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch


def _failures() -> tuple[type[Exception], ...]:
    """What PyTorch raises when it cannot compile; a mistake in the function itself is not among it."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        from torch._inductor.exc import InductorError
    except ImportError:  # Before PyTorch 2.7 such errors came wrapped by Dynamo.
        return (TorchDynamoException,)
    return TorchDynamoException, InductorError


def compiled_or_eager(function: Callable, **options: Any) -> Callable:
    """A function that is compiled when it is first called, and runs as it is where compilation fails.

    The fallback is for good and comes with one warning. Nothing global is changed, as
    ``torch._dynamo.config.suppress_errors`` would.

    Args:
        function (Callable): Given its module as an argument rather than bound to it, so that copies of the module do
            not call the original.
        **options: Of :func:`torch.compile`.

    Returns:
        Callable: Takes and gives what ``function`` does.
    """
    compiled: Callable | None = None
    failed = False

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal compiled, failed
        if failed:
            return function(*args, **kwargs)
        if compiled is None:
            compiled = torch.compile(function, **options)
        try:
            return compiled(*args, **kwargs)
        except _failures() as error:
            failed = True
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = ' '.join(lines[:2]) or type(error).__name__  # The second line names the cause.
            warnings.warn(
                f'{function.__qualname__} could not be compiled and runs as it is ({reason}); '
                'torch.compile needs a compiler: a C++ one on a CPU, Triton on a GPU',
                stacklevel=2,
            )
            return function(*args, **kwargs)

    return call
