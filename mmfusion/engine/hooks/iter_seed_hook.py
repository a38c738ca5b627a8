"""Random numbers that depend on the iteration, or on the epoch and the sample, not on what ran before."""

import random
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
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
    in the checkpoint. torch's streams, from which dropout and drop-path draw, depend on the iteration alone. For
    numpy's and Python's, from which augmentations draw:

    - In an iteration-based loop, data that was trained on before an interruption is loaded once more, so that these
      streams stand where they stood. Upstream mmengine does so by itself; the fork, left to itself, skips the files.
      The loop's ``fast_forward_on_resume=True`` spares the time and gives that equality up.
    - In an epoch-based loop every sample is augmented from a seed of its own, made of the runner's seed, the rank, the
      epoch and its number in the data set: however many workers there are, persistent or not. (mmengine's workers, left
      to themselves, draw the same numbers in every epoch unless they are persistent.) A run that a signal stopped in
      the middle of an epoch passes over the batches of that epoch which it has had.

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

    def __init__(self) -> None:
        self._whole: Any = None  # The data loader, while a rest of it is in its place.
        self._epoch: torch.Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Make a resumed run draw, or load again, what it passes over."""
        iterator = getattr(runner.train_loop, 'dataloader_iterator', None)
        if iterator is None:
            self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
            seed = runner.seed * 1_000_003 + get_rank()
            for pipeline in _pipelines(runner.train_dataloader.dataset):
                pipeline.transforms.insert(0, SeedSample(seed, self._epoch))
        elif hasattr(iterator, 'skip_iter'):
            iterator.skip_iter = partial(_replay, iterator)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the samples which epoch it is; pass over what an interrupted run has had of it."""
        if self._epoch is None:
            return
        self._epoch.fill_(runner.epoch)
        # The data loader draws a seed for its workers.
        torch.manual_seed(_mixed(runner.seed * 1_000_003 + get_rank(), runner.epoch))
        loop: Any = runner.train_loop
        done = runner.iter - runner.epoch * len(loop.dataloader)
        if done > 0:
            self._whole, loop.dataloader = loop.dataloader, _Rest(loop.dataloader, done)

    def after_train_epoch(self, runner: Runner) -> None:
        """The next epoch is a whole one."""
        if self._whole is not None:
            loop: Any = runner.train_loop
            loop.dataloader, self._whole = self._whole, None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed this iteration."""
        torch.manual_seed(_mixed(runner.seed * 1_000_003 + get_rank(), runner.iter))


def _mixed(seed: int, number: int) -> int:
    """Another seed; mixing by a large odd number keeps neighbouring seeds, ranks and numbers apart."""
    return (seed * 1_000_003 + number) % 2**63


class SeedSample:
    """First step of a pipeline, after which all others draw what this sample draws in this epoch.

    Args:
        seed (int): Of the run and the rank.
        epoch (Tensor): In memory that workers share, so that they see it change.

    Examples:
        >>> seed = SeedSample(3, torch.tensor(0))
        >>> def draw(sample):
        ...     seed(dict(sample_idx=sample))
        ...     return np.random.randint(1000), random.random(), torch.rand(1).item()
        >>> draw(5) == draw(5), draw(5) == draw(6)
        (True, False)
    """

    def __init__(self, seed: int, epoch: torch.Tensor) -> None:
        self.seed = seed
        self.epoch = epoch

    def __call__(self, results: dict) -> dict:
        """Seed.

        Args:
            results (dict): With ``sample_idx``.

        Returns:
            dict: The same.
        """
        seed = _mixed(_mixed(self.seed, int(self.epoch)), results['sample_idx'])
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        return results


class _Rest:
    """What is left of a data loader's batches."""

    def __init__(self, loader: Any, passed: int) -> None:
        self.loader = loader
        self.passed = min(passed, len(loader))

    def __len__(self) -> int:
        return len(self.loader) - self.passed

    def __iter__(self) -> Iterator:
        batches = iter(self.loader)
        _replay(batches, self.passed)
        return batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def _pipelines(dataset: Any) -> Iterable[Any]:
    """Pipelines of a data set and of those that it wraps."""
    if hasattr(getattr(dataset, 'pipeline', None), 'transforms'):
        yield dataset.pipeline
    for part in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]:
        if part is not None:
            yield from _pipelines(part)
