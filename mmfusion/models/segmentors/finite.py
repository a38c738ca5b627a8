"""Refusing to train on with losses that are no numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.logging import MessageHub
from torch import Tensor

# A scaler of losses begins with a scale that is too large, and skips iterations until it fits.
_SKIPPED = 20


@dataclass
class _Terms:
    """Losses of one iteration, on their way to the CPU."""

    iteration: Any
    names: list[str]
    values: Tensor
    """The sum of the terms, and the terms."""
    copied: Any = None
    """On CUDA, what tells that they have arrived."""


class FiniteWatch:
    """Looks at losses, and stops the training where they are NaN or infinite.

    Looking at a value waits for an accelerator. There only every so many iterations are looked at, and each when the
    next one begins: the value is there by then. Several processes agree, so that none waits for one that has stopped.

    Args:
        interval (int): On an accelerator, how often to look; on the CPU in every iteration, before it changes a weight.

    Attributes:
        scaled (bool): Losses are scaled (float16), and the scaler skips iterations that overflow: only twenty in a row
            are an error.

    Examples:
        >>> watch = FiniteWatch(50)
        >>> watch.look(torch.tensor(1.0), {'loss_ce': torch.tensor(1.0)})
        >>> nan = torch.tensor(float('nan'))
        >>> watch.look(nan, {'loss_ce': nan})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FloatingPointError: the loss is nan in iteration ...; not finite: loss_ce. All terms: loss_ce=nan...
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.scaled = False
        self._count = 0
        self._bad = 0
        self._pending: _Terms | None = None

    def look(self, loss: Tensor, log_vars: Mapping[str, Tensor]) -> None:
        """Look at the losses of this iteration, now or when the next one begins.

        Args:
            loss (Tensor): The sum of the terms.
            log_vars (Mapping[str, Tensor]): The terms by their names.

        Raises:
            FloatingPointError: The message names the iteration and the terms.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            self._judge(pending)
        self._count += 1
        at_once = loss.device.type == 'cpu'
        # Where something is wrong already, every iteration counts.
        if not at_once and self._count < self.interval and not self._bad:
            return
        self._count = 0
        names = [name for name in log_vars if 'loss' in name and name != 'loss']
        values = torch.stack([loss.detach(), *(log_vars[name].detach() for name in names)])
        iteration = MessageHub.get_current_instance().get_info('iter', default='unknown')
        terms = _Terms(iteration, names, values)
        if at_once:
            self._judge(terms)
            return
        if values.device.type == 'cuda':
            terms.values = values.to('cpu', non_blocking=True)
            terms.copied = torch.cuda.Event()
            terms.copied.record()
        self._pending = terms

    def _judge(self, terms: _Terms) -> None:
        if terms.copied is not None:
            terms.copied.synchronize()
        loss, *values = terms.values.tolist()
        bad = not math.isfinite(loss)
        anywhere = bad
        if get_world_size() > 1:
            told = torch.tensor(int(bad))
            all_reduce(told, 'max')
            anywhere = bool(told)
        self._bad = self._bad + 1 if anywhere else 0
        if not anywhere or (self.scaled and self._bad < _SKIPPED):
            return
        if not bad:
            raise FloatingPointError(f'the loss of another process is not finite in iteration {terms.iteration}')
        named = dict(zip(terms.names, values))
        wrong = [name for name, value in named.items() if not math.isfinite(value)]
        raise FloatingPointError(
            f'the loss is {loss} in iteration {terms.iteration}; not finite: {", ".join(wrong) or "the sum"}. All '
            f'terms: {", ".join(f"{name}={value:.6g}" for name, value in named.items())}. Lower the learning rate, '
            'clip the gradients (optim_wrapper.clip_grad), or look at the images of this iteration'
        )
