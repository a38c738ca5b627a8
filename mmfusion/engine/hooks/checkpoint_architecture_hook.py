"""Refuses checkpoints of another architecture."""
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmfusion.registry import HOOKS

from .bare_model import bare_model


@HOOKS.register_module()
class CheckpointArchitectureHook(Hook):
    """Compares a checkpoint with the model before its weights are loaded.

    mmengine loads what fits and mentions the rest in the log, so that a test of the wrong checkpoint evaluates random
    weights. Here testing and resuming need every weight, and fine-tuning (``load_from``) at least one. Weights that the
    model does not have are mentioned in the log as before, unless nothing fits.

    Args:
        strict (bool): Whether testing and resuming need every weight. Fine-tuning needs one in any case.
    """

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes.

        Raises:
            ValueError: The checkpoint is of another architecture; the message lists the weights that tell.
        """
        ours = {name: tuple(value.shape) for name, value in bare_model(runner).state_dict().items()}
        theirs = {
            name.removeprefix('module.'): tuple(value.shape)
            for name, value in checkpoint.get('state_dict', checkpoint).items() if hasattr(value, 'shape')
        }
        other = sorted(name for name in ours if name in theirs and ours[name] != theirs[name])
        missing = sorted(name for name in ours if name not in theirs)
        fitting = len(ours) - len(other) - len(missing)
        # Only training may start with a part of the weights. A config for training can be tested as well: `train` has
        # built its loop by now, `test` leaves a mere config there.
        fine_tuning = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if fitting and (fine_tuning or not self.strict or not (other or missing)):
            return
        shapes = ', '.join(f'{name} {theirs[name]} where the model has {ours[name]}' for name in other[:3])
        raise ValueError(
            f'the checkpoint{" " + runner._load_from if runner._load_from else ""} is of another architecture than the '
            f'config: {fitting} of {len(ours)} weights fit, {len(missing)} are missing, such as {missing[:3]}, and '
            f'{len(other)} have another shape{": " + shapes if shapes else ""}. The checkpoint has '
            f'{len(set(theirs) - set(ours))} that the model has not. Use the config that the checkpoint was trained '
            'with')
