"""Refuses checkpoints of another architecture."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmfusion.registry import HOOKS

from ..checkpoint import check_content, compare_checkpoint
from .bare_model import bare_model


@HOOKS.register_module()
class CheckpointArchitectureHook(Hook):
    """Compares a checkpoint with the model before its weights are loaded.

    mmengine loads what fits and mentions the rest in the log, so that a test of the wrong checkpoint evaluates random
    weights. Here testing and resuming need every weight, and fine-tuning (``load_from``) at least one. Weights that the
    model does not have are mentioned in the log as before, unless nothing fits.

    Args:
        strict (bool): Whether testing and resuming need every weight. Fine-tuning needs one in any case.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> runner = SimpleNamespace(model=torch.nn.Linear(2, 3), _train_loop=None, _load_from='linear.pth')
        >>> partly = dict(state_dict=dict(weight=torch.zeros(3, 2)))
        >>> CheckpointArchitectureHook(strict=False).after_load_checkpoint(runner, partly)
        >>> CheckpointArchitectureHook().after_load_checkpoint(runner, partly)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: the checkpoint linear.pth is of another architecture than the config: 1 of 2 weights fit, ...
    """

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes.

        Args:
            runner (Runner): With the model, the training loop and the path of the checkpoint.
            checkpoint (dict): Content of the file.

        Raises:
            ValueError: The checkpoint is of another architecture, and the message lists the weights that tell; or
                there are none in it, or NaN.
        """
        check_content(bare_model(runner), checkpoint, runner._load_from)
        fit = compare_checkpoint(bare_model(runner), checkpoint)
        # Only training may start with some of the weights. A config for training can be tested as well: `train` has
        # built its loop by now, `test` leaves a mere config there.
        fine_tuning = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if fit.complete or (fit.fitting and (fine_tuning or not self.strict)):
            return
        raise ValueError(fit.describe(runner._load_from))
