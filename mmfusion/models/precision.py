"""Precision of what is summed up or saturates."""

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
