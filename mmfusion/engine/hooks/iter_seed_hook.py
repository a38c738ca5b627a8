"""Random numbers of the model that depend on the iteration, not on what ran before it."""

from collections.abc import Iterator
from functools import partial

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmfusion.registry import HOOKS


def _replay(iterator: Iterator, number: int) -> None:
    for _ in range(number):
        next(iterator)


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seeds torch at the start of every training iteration from the runner's seed, the rank and the iteration.

    A run that was interrupted and resumed then draws what an uninterrupted one draws, on every rank, without anything
    in the checkpoint. torch's streams, from which dropout and drop-path draw, depend on the iteration alone. numpy's
    and Python's, from which augmentations draw, are left alone in training; where a resumed run passes over the data
    that was trained on already (iteration-based loop), that data is loaded once more, so that these streams stand where
    they stood. Upstream mmengine does so by itself; the fork, left to itself, skips the files. The loop's
    ``fast_forward_on_resume=True`` spares the time and gives that equality up.

    It takes a fixed seed (``randomness = dict(seed=...)``); mmengine draws another one for every run otherwise.

    Examples:
        >>> from types import SimpleNamespace
        >>> def draw(iteration):
        ...     IterSeedHook().before_train_iter(SimpleNamespace(seed=0, iter=iteration), batch_idx=0)
        ...     return torch.rand(1).item()
        >>> draw(7) == draw(7), draw(7) == draw(8)
        (True, False)
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Make a resumed run load again what it passes over."""
        iterator = getattr(runner.train_loop, 'dataloader_iterator', None)
        if iterator is not None and hasattr(iterator, 'skip_iter'):
            iterator.skip_iter = partial(_replay, iterator)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed this iteration."""
        # Mixing by a large odd number keeps neighbouring seeds, ranks and iterations apart.
        mixed = (runner.seed * 1_000_003 + get_rank()) * 1_000_003 + runner.iter
        torch.manual_seed(mixed % 2**63)
