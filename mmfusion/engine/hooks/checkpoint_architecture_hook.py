"""Refuses checkpoints of another architecture."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmfusion.registry import HOOKS


@HOOKS.register_module()
class CheckpointArchitectureHook(Hook):
    """Compares a checkpoint with the model before its weights are loaded.

    mmengine loads what fits and mentions the rest in the log, so that a test of the wrong checkpoint evaluates random
    weights. Here testing and resuming need every weight, and fine-tuning (``load_from``) at least one. Weights that the model does not
    have are mentioned in the log as before, unless nothing fits.

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
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        theirs = {
            name.removeprefix('module.'): tuple(value.shape)
            for name, value in checkpoint.get('state_dict', checkpoint).items() if hasattr(value, 'shape')
        }
        other = sorted(name for name in ours if name in theirs and ours[name] != theirs[name])
        missing = sorted(name for name in ours if name not in theirs)
        fitting = len(ours) - len(other) - len(missing)
        # Only a run that goes on from somewhere may start with a part of the weights.
        fine_tuning = runner._train_loop is not None and not runner._resume
        if fitting and (fine_tuning or not self.strict or not (other or missing)):
            return
        shapes = ', '.join(f'{name} {theirs[name]} where the model has {ours[name]}' for name in other[:3])
        raise ValueError(
            f'the checkpoint {runner._load_from or ""} is of another architecture than the config: {fitting} of {len(ours)} '
            f'weights fit, {len(missing)} are missing, such as {missing[:3]}, and {len(other)} have another shape'
            f'{": " + shapes if shapes else ""}. The checkpoint has {len(set(theirs) - set(ours))} that the model has not. Use the '
            'config that the checkpoint was trained with')
