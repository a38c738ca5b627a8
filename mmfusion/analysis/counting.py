"""What a step does, whatever the machine: images through the backbone, calls of autograd, operations."""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.autograd.graph import register_multi_grad_hook
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Counts:
    """What a step does, whatever the machine."""

    forward_images: int = 0
    """Images that went through the backbone."""
    backward_images: int = 0
    """Images whose gradient came back to the backbone, counted again in every backward pass."""
    autograd_calls: int = 0
    """Calls of ``torch.autograd.grad`` and ``backward``."""
    flops: int = 0
    """Floating point operations of matrix products and convolutions, forward and backward; 2 per multiply-add."""


def _convolution_backward(grad_shape: list, x_shape: list, weight_shape: list, *args: Any, **kwargs: Any) -> int:
    """Operations of a convolution's backward pass: as many as forward for the image, and again for the weight.

    PyTorch's own formula takes the weight of a depthwise convolution for a full one.
    """
    transposed, output_mask = args[4], args[7]
    positions = math.prod((x_shape if transposed else grad_shape)[2:])
    return 2 * x_shape[0] * positions * math.prod(weight_shape) * sum(output_mask[:2])


def flop_counter() -> FlopCounterMode:
    """Counts operations of matrix products and convolutions, silently.

    Examples:
        >>> with flop_counter() as flops:
        ...     _ = torch.rand(2, 3) @ torch.rand(3, 5)
        >>> flops.get_total_flops()  # 2 x 2 x 3 x 5
        60
    """
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward})


@contextmanager
def counting(backbone: nn.Module) -> Iterator[Counts]:
    """Count what happens inside the context.

    Args:
        backbone (nn.Module): Every pass of the segmentor goes through it once.

    Yields:
        Counts: ``flops`` is filled in on leaving.

    Examples:
        >>> backbone = nn.Linear(2, 2)
        >>> with counting(backbone) as counts:
        ...     backbone(torch.rand(3, 2)).sum().backward()
        >>> counts.forward_images, counts.backward_images, counts.autograd_calls
        (3, 3, 1)
    """
    counts = Counts()

    def passed(module: nn.Module, inputs: tuple, outputs: Tensor | tuple[Tensor, ...]) -> None:
        images = len(inputs[0])
        counts.forward_images += images
        maps = (outputs,) if isinstance(outputs, Tensor) else outputs
        differentiable = [feature for feature in maps if feature.requires_grad]
        if differentiable:

            def came_back(gradient: Tensor) -> None:
                counts.backward_images += images

            # Once per backward pass, whichever of the feature maps it comes through first.
            register_multi_grad_hook(differentiable, came_back, mode='any')

    def counted(function: Callable) -> Callable:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            counts.autograd_calls += 1
            return function(*args, **kwargs)

        return call

    hook = backbone.register_forward_hook(passed)
    try:
        with (
            mock.patch.object(torch.autograd, 'grad', counted(torch.autograd.grad)),
            mock.patch.object(torch.autograd, 'backward', counted(torch.autograd.backward)),
            flop_counter() as flops,
        ):
            yield counts
    finally:
        hook.remove()
    counts.flops = flops.get_total_flops()
