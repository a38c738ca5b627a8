"""Random numbers of the model that depend on the iteration, not on what ran before it."""
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmfusion.registry import HOOKS


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seeds torch at the start of every training iteration from the runner's seed, the rank and the iteration.

    mmengine replays the data of a resumed run, but not the state of torch's random number streams, from which dropout
    and drop-path draw. With this hook a run that was interrupted and resumed draws what an uninterrupted one draws, on every
    rank, without anything in the checkpoint. numpy and Python's own streams, from which augmentations draw, are left alone. It has an effect
    only if the config fixes a seed (``randomness = dict(seed=...)``) or the same one is drawn.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed this iteration."""
        # Mixing by a large odd number keeps neighbouring seeds, ranks and iterations apart.
        mixed = (runner.seed * 1_000_003 + get_rank()) * 1_000_003 + runner.iter
        torch.manual_seed(mixed % 2**63)
