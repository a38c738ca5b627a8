"""Running statistics of several processes."""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import nn


@torch.no_grad()
def average_buffers(model: nn.Module) -> None:
    """Give all processes the mean of their floating buffers, such as the running statistics of batch norms.

    Data-parallel training synchronises gradients. Statistics stay with the process that has seen the pairs, unless they
    are copied from the first one in every iteration; then those of all others are lost.

    Args:
        model (nn.Module): Changed in place; the same modules in every process. A single one has nothing to do.

    Examples:
        >>> norm = nn.BatchNorm1d(2)
        >>> average_buffers(norm)
        >>> norm.running_var
        tensor([1., 1.])
    """
    world = get_world_size()
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    if world == 1 or not buffers:
        return
    together = torch.cat([buffer.flatten().double() for buffer in buffers])
    all_reduce(together)
    for buffer, mean in zip(buffers, together.div(world).split([buffer.numel() for buffer in buffers])):
        buffer.copy_(mean.view_as(buffer))
