"""A GPU's view without a GPU: what would make it wait, seen on the meta device.

Tensors on the meta device have shapes and types but no values. Whatever asks for a value there is what makes a GPU
finish all its work before the host may go on.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import mmfusion

META = torch.device('meta')
_PACKAGE = str(Path(mmfusion.__file__).parent)
_TORCH = str(Path(torch.__file__).parent)
_ATEN = torch.ops.aten

# How a GPU's tensor is indexed by values that are on the host, or by as many values as are true.
_INDEXING = (_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default, _ATEN._index_put_impl_.default)
# They look at values without PyTorch saying so in their tags.
_CHECKING = (_ATEN._linalg_check_errors.default,)
_FROM_HOST = {
    torch.tensor: 'torch.tensor',
    torch.as_tensor: 'torch.as_tensor',
    torch.asarray: 'torch.asarray',
    Tensor.new_tensor: 'Tensor.new_tensor',
}
_ITEMS = (Tensor.__getitem__, Tensor.__setitem__)


class SynchronisationError(RuntimeError):
    """The host would wait for the device, or a tensor is not where it belongs."""


def _place() -> str:
    """The line that called PyTorch, and that of our package behind it."""
    frame = sys._getframe(1)
    caller = ours = None
    while frame is not None and ours is None:
        path = frame.f_code.co_filename
        line = f'{path}:{frame.f_lineno}'
        if path.startswith(_PACKAGE):
            ours = line
        if caller is None and path != __file__ and not path.startswith((_TORCH, '<')):
            caller = line
        frame = frame.f_back
    return caller if ours in (None, caller) else f'{caller}, called at {ours}'


def _refuse(name: str, reason: str) -> None:
    raise SynchronisationError(f'{name}: {reason} ({_place()})')


def _is_meta(value: object) -> bool:
    return isinstance(value, Tensor) and value.device.type == 'meta'


def _check_copy(name: str, source: Tensor, target: torch.device, non_blocking: bool) -> None:
    if source.device.type == target.type:
        return
    if _is_meta(source):
        _refuse(name, 'values go to the host')
    if target.type == 'meta' and not non_blocking:
        _refuse(name, 'a blocking copy to the device; say non_blocking=True')


def _check_operands(func: torch._ops.OpOverload, tensors: list[Tensor]) -> None:
    """Refuse operands of two devices; a number in a tensor of the host is handed over with the kernel."""
    others = [tensor for tensor in tensors if not _is_meta(tensor)]
    if len(others) == len(tensors):
        return
    if func in _INDEXING and others:
        _refuse(str(func), f'an index or value on {others[0].device} is copied to the device')
    for tensor in others:
        if tensor.ndim:
            _refuse(str(func), f'an operand {tuple(tensor.shape)} on {tensor.device}, another on the device')


def _check_values(func: torch._ops.OpOverload, args: tuple, kwargs: dict) -> None:
    """Refuse what looks at values, or whose result's shape follows from them."""
    if func in _INDEXING:
        if any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]):
            _refuse(str(func), 'indexing by a mask, whose true elements the host has to count')
        return
    if func is _ATEN.repeat_interleave.Tensor and kwargs.get('output_size') is not None:
        return
    if func in _CHECKING or torch.Tag.data_dependent_output in func.tags:
        _refuse(str(func), 'the host asks for a value')
    if torch.Tag.dynamic_output_shape in func.tags:
        _refuse(str(func), 'the shape of the result depends on values')


class _Operators(TorchDispatchMode):
    """Looks at every operator that runs."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Under inference mode operators arrive that are made of others, such as `Tensor.to`.
        with self:
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        if func is _ATEN._to_copy.default:
            target = kwargs.get('device') or args[0].device
            _check_copy(str(func), args[0], torch.device(target), kwargs.get('non_blocking', False))
        elif func is _ATEN.copy_.default:
            non_blocking = args[2] if len(args) > 2 else kwargs.get('non_blocking', False)
            _check_copy(str(func), args[1], args[0].device, non_blocking)
        else:
            tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            _check_operands(func, tensors)
            if any(_is_meta(tensor) for tensor in tensors):
                _check_values(func, args, kwargs)
        result = func(*args, **kwargs)
        for leaf in tree_leaves(result):
            if _is_meta(leaf) and leaf.dtype == torch.float64:
                _refuse(str(func), 'a float64 result, which not every device has')
        return result


def _from_host(index: object) -> bool:
    """Whether an index holds numbers of the host that become a tensor of the device."""
    items = index if isinstance(index, tuple) else (index,)
    return any(isinstance(item, (list, range, tuple, np.ndarray)) for item in items)


class _Calls(TorchFunctionMode):
    """Looks at calls in which PyTorch makes a tensor of the device from Python's numbers, by no operator."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _ITEMS and _is_meta(args[0]) and _from_host(args[1]):
            _refuse(f'Tensor.{func.__name__}', f'the index {args[1]!r} is copied to the device')
        result = func(*args, **kwargs)
        if func in _FROM_HOST and _is_meta(result) and not isinstance(_data_of(func, args, kwargs), Tensor):
            _refuse(_FROM_HOST[func], "Python's numbers are copied to the device")
        return result


def _data_of(func: Callable, args: tuple, kwargs: dict) -> object:
    """What a new tensor is made of. A tensor is copied by an operator, which is looked at by itself."""
    if func is Tensor.new_tensor:
        args = args[1:]
    return args[0] if args else kwargs.get('data', kwargs.get('obj'))


@contextmanager
def no_synchronisation() -> Iterator[None]:
    """Fail where work on the meta device would make a GPU wait, or mixes devices.

    Refused are: values asked for (``item``, ``if tensor:``, ``equal``), shapes that depend on values (``nonzero``,
    masks as indices, ``unique``), copies to the host, blocking copies to the device, tensors of the device made from
    Python's numbers or indexed by them, operands of two devices, and float64, which some devices lack. Work on the CPU
    alone is left in peace.

    Yields:
        None

    Raises:
        SynchronisationError: Names the operator and the line.
    """
    with _Calls(), _Operators():
        yield
