"""Numbers that all processes of a training share."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


@torch.no_grad()
def mean_over_processes(value: Tensor) -> Tensor:
    """Mean of a number over all processes, such as the count that a loss is divided by.

    Data-parallel training takes the mean of the processes' gradients. A sum over the pixels of one process, divided by
    the mean of the counts of all, then has the gradient of the larger batch: each pixel counts the same, wherever it
    is. Divided by a process's own count, those of a process that has few would count more.

    All processes have to call it, in the same order. It does not wait for an accelerator.

    Args:
        value (Tensor): Of any shape; one process has no need of the others and gets it as it is.

    Returns:
        Tensor: Of the same shape; whole numbers become float32.

    Examples:
        >>> mean_over_processes(torch.tensor(3)).item()
        3.0
    """
    mean = value.detach().clone() if value.is_floating_point() else value.float()
    all_reduce(mean, 'mean')
    return mean
