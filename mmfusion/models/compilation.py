"""torch.compile where it works."""

import functools
import warnings
from collections.abc import Callable, Hashable, Mapping
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

    Examples:
        >>> double = compiled_or_eager(lambda values: 2 * values, backend='eager')
        >>> double(torch.tensor([1.0, 2.0])).tolist()
        [2.0, 4.0]
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


_shared: dict[Hashable, Callable] = {}


def _as_key(value: Any) -> Hashable:
    """Options as something to look up by: equal for equal options, in whatever order they stand."""
    if isinstance(value, Mapping):
        return 'mapping', frozenset((name, _as_key(item)) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return 'sequence', tuple(_as_key(item) for item in value)
    # 1 and True are equal, but not the same option.
    return type(value), value


def _as_plain(value: Any) -> Any:
    """Options as PyTorch knows them, without the dict classes of a config."""
    if isinstance(value, Mapping):
        return {name: _as_plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_as_plain(item) for item in value)
    return value


def shared_compiled(function: Callable, options: Mapping[str, Any]) -> Callable:
    """A compiled function that all callers with equal options share.

    Args:
        function (Callable): See :func:`compiled_or_eager`.
        options (Mapping): Of :func:`torch.compile`; dicts and lists may be nested in it, as in
            ``dict(options={'max_autotune': True})``.

    Returns:
        Callable: Takes and gives what ``function`` does; the same object for the same function and equal options.

    Raises:
        ValueError: An option cannot be compared with those of other callers.

    Examples:
        >>> def double(values):
        ...     return 2 * values
        >>> first = shared_compiled(double, dict(options={'max_autotune': True, 'debug': False}))
        >>> first is shared_compiled(double, dict(options={'debug': False, 'max_autotune': True}))
        True
        >>> first is shared_compiled(double, dict(options={'max_autotune': False}))
        False
    """
    try:
        key = function, _as_key(options)
        if key not in _shared:
            _shared[key] = compiled_or_eager(function, **_as_plain(options))
    except TypeError as error:
        raise ValueError(
            f'options of torch.compile are numbers, strings, functions, and dicts and lists of them; got {options!r}'
        ) from error
    return _shared[key]
