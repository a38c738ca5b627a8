"""Keeps the attribution fusion loss in step with the state of the segmentation network."""

import math
from typing import Protocol, cast

from mmengine.hooks import Hook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import Runner
from torch import Tensor, nn

from mmfusion.attribution import Evidence
from mmfusion.registry import HOOKS

from .bare_model import bare_model

SOURCES = ('live', 'ema')
_CHECKPOINT_KEY = 'attribution_source'


class AttributedModel(Protocol):
    """What the hook knows of a ``FusionSegmentor``."""

    segmentor: nn.Module
    attribution_strength: float
    last_evidence: Evidence | None

    def set_attribution_source(self, segmentor: nn.Module | None) -> None:
        """Choose the network that is attributed while training."""


def attributed_model(runner: Runner) -> AttributedModel:
    """The model of a runner.

    Raises:
        TypeError: It is no ``FusionSegmentor``.
    """
    model = bare_model(runner)
    if not hasattr(model, 'set_attribution_source'):
        raise TypeError(
            f'AttributionFusionLossHook works on a FusionSegmentor, but the model is a {type(model).__name__}; remove '
            'the hook or wrap the model'
        )
    return cast(AttributedModel, model)


@HOOKS.register_module()
class AttributionFusionLossHook(Hook):
    """Decides which copy of the segmentor is attributed, from which iteration on, and puts what it finds on the record.

    An untrained segmentor knows nothing about either source, so its attribution is noise. During the warm-up both
    sources weigh one half; then the strength of the attribution rises linearly to one. Without this hook the
    attribution is on from the first iteration, with the live segmentor.

    The strength depends on the iteration alone and the running mean is in the checkpoint, so that a resumed run equals
    an uninterrupted one. Fine-tuning (``load_from``) starts a new mean from the weights that were loaded.

    Iterations are the runner's. With accumulated gradients (``accumulative_counts``) an update takes several of them,
    and the running mean takes the same weights in as often; as many times the iterations, and a momentum smaller by as
    much, come to about the same in updates. The mean has running statistics of norms of its own, averaged as the
    weights are; ``SafeCheckpointHook`` averages them over several processes. The log tells of the first process.

    Args:
        warmup_iters (int): Iterations with neutral weights; no attribution is computed.
        ramp_iters (int): Iterations over which the strength rises from 0 to 1.
        source (str): 'live' attributes the segmentor that is being trained, 'ema' an exponential moving average of it.
        momentum (float): Weight of the newest state in that average, in (0, 1).
        interval (int): Every so many iterations the infrared share of each class that is present goes to the log as
            ``share_ir/<class>``: the mean of :meth:`mmfusion.attribution.Evidence.share`, which is also the weight,
            over the samples that hold the class. With it goes the strength as ``attribution_strength``. 0 for never.

    Raises:
        ValueError: An option is unknown or out of range.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        warmup_iters: int = 0,
        ramp_iters: int = 0,
        source: str = 'live',
        momentum: float = 0.001,
        interval: int = 50,
    ) -> None:
        for name, value in (('warmup_iters', warmup_iters), ('ramp_iters', ramp_iters), ('interval', interval)):
            if value < 0:
                raise ValueError(f'{name} must not be negative, got {value}')
        if source not in SOURCES:
            raise ValueError(f'unknown source {source!r}; choose one of {", ".join(SOURCES)}')
        if not 0 < momentum < 1:
            raise ValueError(f'momentum must be between 0 and 1, got {momentum}')
        self.warmup_iters = warmup_iters
        self.ramp_iters = ramp_iters
        self.source = source
        self.momentum = momentum
        self.interval = interval
        self._average: ExponentialMovingAverage | None = None
        self._resumed: dict[str, Tensor] | None = None

    def strength(self, iteration: int) -> float:
        """Strength of the attribution in an iteration (from 0), in [0, 1].

        Examples:
            >>> hook = AttributionFusionLossHook(warmup_iters=2, ramp_iters=3)
            >>> [hook.strength(iteration) for iteration in range(6)]
            [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
        """
        if iteration < self.warmup_iters:
            return 0.0
        if iteration >= self.warmup_iters + self.ramp_iters:
            return 1.0
        return (iteration - self.warmup_iters + 1) / (self.ramp_iters + 1)

    def before_run(self, runner: Runner) -> None:
        """Refuse a model that cannot be attributed.

        Raises:
            TypeError: The model is no ``FusionSegmentor``.
        """
        attributed_model(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the running mean of a run that is resumed until training starts."""
        if runner._resume:
            self._resumed = checkpoint.get(_CHECKPOINT_KEY)

    def before_train(self, runner: Runner) -> None:
        """Start the running mean, from that of a resumed run or from the weights that training starts from.

        Only training needs it: a test would copy the segmentor for nothing.
        """
        if self.source != 'ema':
            return
        model = attributed_model(runner)
        self._average = ExponentialMovingAverage(model.segmentor, momentum=self.momentum, update_buffers=True)
        if self._resumed is not None:
            self._average.load_state_dict(self._resumed)
            self._resumed = None
        model.set_attribution_source(self._average.module)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Set the strength of this iteration."""
        attributed_model(runner).attribution_strength = self.strength(runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Update the running mean and the record."""
        model = attributed_model(runner)
        if self._average is not None:
            self._average.update_parameters(model.segmentor)
        if not self.every_n_inner_iters(batch_idx, self.interval):
            return
        runner.message_hub.update_scalar('train/attribution_strength', model.attribution_strength)
        if model.last_evidence is None:
            return
        # A binary task may name its foreground alone, or nothing at all.
        classes = (getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}).get('classes') or ()
        for c, share in enumerate(model.last_evidence.mean_share().tolist()):
            if not math.isnan(share):  # The class is in this batch.
                runner.message_hub.update_scalar(f'train/share_ir/{classes[c] if c < len(classes) else c}', share)

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it would be without the hook."""
        model = attributed_model(runner)
        model.attribution_strength = 1.0
        model.set_attribution_source(None)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the running mean into the checkpoint."""
        if self._average is not None:
            checkpoint[_CHECKPOINT_KEY] = self._average.state_dict()
