"""Looking at a network without touching it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

Scorer = Callable[[Tensor], Tensor]
"""A segmentation network as a function of one luminance image: (B, 1, H, W) in [0, 1] to scores (B, C, H, W)."""
PairScorer = Callable[[Tensor, Tensor], Tensor]
"""A network that reads both sources: infrared (B, 1, H, W) and visible (B, 1 or 3, H, W) to scores (B, C, H, W)."""


def _module_of(scorer: Scorer | PairScorer) -> nn.Module | None:
    """The module whose modes decide what ``scorer`` computes: itself, or what it names as its ``module``."""
    module = scorer if isinstance(scorer, nn.Module) else getattr(scorer, 'module', None)
    return module if isinstance(module, nn.Module) else None


@contextmanager
def isolated(scorer: Scorer | PairScorer, device: torch.device) -> Iterator[None]:
    """Attribute a network and leave no trace in it.

    Inside the context gradients are on whatever surrounds it (``no_grad``, ``inference_mode``), the network is in
    evaluation mode, so that batch statistics are not updated and dropout is off, and float16 autocast is off: gradients
    of a mean of probabilities underflow in float16. bfloat16 autocast stays, without its cache of converted weights. On
    leaving, train flags (of each submodule by itself: frozen batch norms stay frozen) and random number streams are as
    before.

    Args:
        scorer (Callable): A module, a callable with an attribute ``module``, or any other callable; the mode of the
            last kind cannot be reached and stays as it is.
        device (torch.device): Where the scorer computes.

    Yields:
        None
    """
    module = _module_of(scorer)
    modes = {} if module is None else {child: child.training for child in module.modules()}
    with ExitStack() as stack:
        # The CPU stream is cheap to keep. Nothing on the way draws from it in evaluation mode, but a scorer may.
        devices = [device] if device.type == 'cuda' else []
        stack.enter_context(torch.random.fork_rng(devices=devices))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        # Not every device knows autocast, and those that do not may not be asked whether it is on.
        if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
            # PyTorch releases that cache weights converted under no_grad would hand them, cut off from their
            # parameters, to the training pass that follows in the same autocast context.
            stack.enter_context(torch.autocast(device.type, dtype, enabled=dtype != torch.float16, cache_enabled=False))
        try:
            # `train` is overridden in backbones with frozen parts, so every flag is set by itself, as it is restored.
            for child in modes:
                child.training = False
            yield
        finally:
            for child, mode in modes.items():
                child.training = mode
