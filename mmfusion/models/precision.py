"""Precision of what is summed up or saturates."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision (of autocast) to float32; float32 and float64 stay.

    Args:
        values (Tensor): Of any floating type.

    Returns:
        Tensor: The same values.

    Examples:
        >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype, at_least_float32(torch.ones(1).double()).dtype
        (torch.float32, torch.float64)
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Compute in the types of the operands, whatever autocast surrounds it.

    Args:
        device (torch.device): Where is computed. On a device that knows no autocast there is nothing to switch off,
            where ``torch.autocast`` itself would raise.

    Returns:
        AbstractContextManager: To be entered with ``with``.

    Examples:
        >>> ones = torch.ones(2, 2)
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     with without_autocast(ones.device):
        ...         inside = ones @ ones
        ...     outside = ones @ ones
        >>> inside.dtype, outside.dtype
        (torch.float32, torch.bfloat16)
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def uncached_autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Autocast that keeps no converted weights.

    Weights converted under ``no_grad`` are cut off from their parameters; from the cache they would get into a training
    pass that follows in the same context.

    Args:
        device (torch.device): Where is computed.
        dtype (torch.dtype): ``torch.bfloat16`` or ``torch.float16``.

    Returns:
        AbstractContextManager: To be entered with ``with``.

    Raises:
        ValueError: The device knows no autocast.

    Examples:
        >>> ones = torch.ones(2, 2)
        >>> with uncached_autocast(ones.device, torch.bfloat16):
        ...     (ones @ ones).dtype
        torch.bfloat16
    """
    if not torch.amp.is_autocast_available(device.type):
        raise ValueError(
            f'there is no autocast to {dtype} on a device of type {device.type!r}; stay with float32 there'
        )
    return torch.autocast(device.type, dtype, cache_enabled=False)
