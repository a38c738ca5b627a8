"""Checkpoints are data: nothing in a file is executed when it is loaded, unless its owner says so.

A pickle runs whatever its author wrote into it. PyTorch can read weights without running anything
(``weights_only=True``), but mmengine's checkpoints hold a few more classes, its maintained fork falls back to running
the file where that reader refuses, and upstream reads it as a whole with older releases of PyTorch. Importing mmfusion
makes mmengine's loader, through which configs, runners and inferencers load, refuse such files.
"""

import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import CheckpointLoader, checkpoint

_ONLY, _ALL = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
_trusted: ContextVar[bool] = ContextVar('trusted', default=False)


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or holds more than data."""


@contextmanager
def trust_checkpoints(trusted: bool = True) -> Iterator[None]:
    """Load checkpoints of one's own as a whole, whatever they hold.

    Args:
        trusted (bool): False changes nothing.

    Yields:
        None: Inside, a file may run code of its own.

    Examples:
        >>> with trust_checkpoints():
        ...     pass  # torch.load reads here whatever there is.
    """
    token = _trusted.set(trusted or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


@contextmanager
def only_weights() -> Iterator[None]:
    """Make every ``torch.load`` read tensors, plain data and what mmengine writes, whatever it was asked for.

    Yields:
        None: What is allowed besides is allowed inside only.

    Raises:
        pickle.UnpicklingError: By ``torch.load``, of a file that holds anything else.

    Examples:
        >>> import io
        >>> file = io.BytesIO()
        >>> torch.save(dict(loss=HistoryBuffer([0.7, 0.5], [1, 1])), file)
        >>> _ = file.seek(0)
        >>> with only_weights():
        ...     float(torch.load(file, weights_only=False)['loss'].current())
        0.5
    """
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(_allowed())
    try:
        with _environment(_ONLY, _ALL):
            yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


@contextmanager
def _environment(on: str, off: str) -> Iterator[None]:
    """Two opposite switches of PyTorch."""
    before = {name: os.environ.pop(name, None) for name in (on, off)}
    os.environ[on] = '1'
    try:
        yield
    finally:
        os.environ.pop(on, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _statistic(owner: Any, name: Any) -> Any:
    """In the place of ``getattr``, which would reach into anything: a history buffer names its statistics by it."""
    if owner is HistoryBuffer and name in HistoryBuffer._statistics_methods:
        return HistoryBuffer._statistics_methods[name]
    raise pickle.UnpicklingError(f'Unsupported global: GLOBAL builtins.getattr of {owner!r} and {name!r}')


# PyTorch allows objects by the name that they tell.
_statistic.__module__, _statistic.__name__, _statistic.__qualname__ = 'builtins', 'getattr', 'getattr'


def _allowed() -> list[Any]:
    """What mmengine writes besides tensors and plain data: the history of the log, in arrays."""
    HistoryBuffer()  # The first one names the statistics.
    core = getattr(np, '_core', None) or np.core
    dtypes = [dtype for name, dtype in vars(np.dtypes).items() if name.endswith('DType')]
    rebuild = [core.multiarray._reconstruct, core.multiarray.scalar]
    return [HistoryBuffer, _statistic, *rebuild, np.ndarray, np.dtype, slice, *dtypes]


def explain(filename: str, error: Exception) -> CheckpointError:
    """What is wrong with a file that cannot be loaded.

    Args:
        filename (str): As it was given.
        error (Exception): What the reader said.

    Returns:
        CheckpointError: One sentence with the remedy.

    Examples:
        >>> refused = pickle.UnpicklingError('Unsupported global: GLOBAL posix.system was not an allowed global')
        >>> print(explain('epoch_8.pth', refused))  # doctest: +ELLIPSIS
        the checkpoint epoch_8.pth holds more than data, namely posix.system, and loading it could run ...
        >>> print(explain('notes.txt', EOFError('Ran out of input')))  # doctest: +ELLIPSIS
        the checkpoint notes.txt cannot be read: it is no file of PyTorch, or was cut off (Ran out of input); ...
    """
    found = re.search(r'GLOBAL ([\w.]+\w)', str(error))
    if found:
        return CheckpointError(
            f'the checkpoint {filename} holds more than data, namely {found[1]}, and loading it could run code of '
            'whoever made it; nothing was loaded. If you made it yourself, pass --trust-checkpoint, or load it under '
            'mmfusion.engine.trust_checkpoints()'
        )
    return CheckpointError(
        f'the checkpoint {filename} cannot be read: it is no file of PyTorch, or was cut off{_told(error)}; give a '
        'file that torch.save has written, such as an iter_*.pth of a work folder'
    )


def _told(error: Exception) -> str:
    """The first sentence of what the reader said, if it said one."""
    lines = str(error).split('WeightsUnpickler error:')[-1].strip().splitlines() or ['']
    told = lines[0].split('. ')[0].rstrip('.')
    return f' ({told})' if ' ' in told else ''


def _check_sums(filename: str) -> None:
    """Refuse a local file whose content is not what was written: PyTorch does not look."""
    if '://' in filename or not zipfile.is_zipfile(filename):
        return  # Files of old releases of PyTorch have no sums.
    with zipfile.ZipFile(filename) as file:
        damaged = file.testzip()
    if damaged is not None:
        raise CheckpointError(
            f'the checkpoint {filename} is damaged: the checksum of {damaged} is not that of its content; take another '
            'copy of it, or an earlier checkpoint'
        )


def load_data_only() -> None:
    """Make mmengine's loader of checkpoints refuse files that would run code; once is enough.

    It is what ``load_from``, ``resume``, ``init_cfg``, mmseg's ``init_model`` and mmfusion's inferencer load by.
    """
    # The function itself, unbound.
    original: Callable[..., Any] = CheckpointLoader.load_checkpoint.__func__
    if getattr(original, 'data_only', False):
        return
    # The fork's own reader allows `getattr`, and reads the file as a whole where PyTorch refuses it.
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = torch.load

    @wraps(original)
    def load_checkpoint(cls: type, filename: str, *args: Any, **kwargs: Any) -> Any:
        if _trusted.get():
            with _environment(_ALL, _ONLY):
                return original(cls, filename, *args, **kwargs)
        _check_sums(str(filename))
        try:
            with only_weights():
                content = original(cls, filename, *args, **kwargs)
        except (pickle.UnpicklingError, EOFError, RuntimeError, UnicodeDecodeError, KeyError, AttributeError) as error:
            raise explain(str(filename), error) from error
        if not isinstance(content, Mapping):
            raise CheckpointError(
                f'the checkpoint {filename} holds a {type(content).__name__}, not weights by name; give a state dict, '
                'or a dict that has it as `state_dict`'
            )
        return content

    load_checkpoint.data_only = True  # type: ignore[attr-defined]
    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)
