"""Refusing to train on with losses that are no numbers."""

import math
from collections.abc import Mapping

import torch
from mmengine.logging import MessageHub
from torch import Tensor


def check_finite(loss: Tensor, log_vars: Mapping[str, Tensor]) -> None:
    """Refuse a loss that is NaN or infinite.

    Args:
        loss (Tensor): The sum of the terms.
        log_vars (Mapping[str, Tensor]): The terms by their names.

    Raises:
        FloatingPointError: The message names the iteration and the terms.

    Examples:
        >>> check_finite(torch.tensor(1.0), {'loss_ce': torch.tensor(1.0)})
        >>> nan = torch.tensor(float('nan'))
        >>> check_finite(nan, {'loss_ce': nan})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FloatingPointError: the loss is nan in iteration ...; not finite: loss_ce. All terms: loss_ce=nan...
    """
    if torch.isfinite(loss):
        return
    terms = {name: value.item() for name, value in log_vars.items() if 'loss' in name and name != 'loss'}
    bad = [name for name, value in terms.items() if not math.isfinite(value)]
    iteration = MessageHub.get_current_instance().get_info('iter', default='unknown')
    raise FloatingPointError(
        f'the loss is {loss.item()} in iteration {iteration}; not finite: {", ".join(bad) or "the sum"}. All '
        f'terms: {", ".join(f"{name}={value:.6g}" for name, value in terms.items())}. Lower the learning rate, '
        'clip the gradients (optim_wrapper.clip_grad), or look at the images of this iteration'
    )
