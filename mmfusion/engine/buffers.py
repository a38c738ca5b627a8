"""Running statistics of several processes."""

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseAveragedModel
from mmengine.runner import Runner
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


def average_buffers_of_run(runner: Runner) -> None:
    """Give all processes the mean of the floating buffers of a run: its model, and the running means that hooks keep.

    A hook such as mmengine's ``EMAHook`` puts its running mean into the checkpoint in the place of the model; with the
    statistics of one process alone it would be another one than was tested.

    Args:
        runner (Runner): Of every process, with the same hooks.

    Examples:
        >>> from types import SimpleNamespace
        >>> from mmengine.model import ExponentialMovingAverage
        >>> model = nn.BatchNorm1d(2)
        >>> hook = SimpleNamespace(ema_model=ExponentialMovingAverage(model), interval=1)
        >>> average_buffers_of_run(SimpleNamespace(model=model, hooks=[hook]))
    """
    average_buffers(runner.model)
    for hook in runner.hooks:
        for kept in vars(hook).values():
            if isinstance(kept, BaseAveragedModel):
                average_buffers(kept)
