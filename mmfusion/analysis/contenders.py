"""What the benchmark compares: our model in several settings, and the released computation."""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmfusion.attribution import Attribution, TrajectoryAttribution
from mmfusion.models import FusionSegmentor
from mmfusion.released.reference import ReleasedModel, ReleasedNetwork

from .counting import flop_counter
from .fusion_options import attention_of, attribution_of, set_attention, vary_attribution
from .stopwatch import Stopwatch, Watched
from .striped_pairs import StripedBatch

RELEASED = 'released'
# Settings besides the estimators, with the estimator of the config; 'config' is all as it says.
VARIANTS = ('config', 'gradient-free', 'bfloat16', 'checkpointed', 'compiled')


@dataclass
class Contender:
    """One implementation of the same work."""

    name: str
    model: nn.Module
    loss: Callable[[StripedBatch], Tensor]
    predict: Callable[[StripedBatch], object]
    unfold: Callable[[StripedBatch], Tensor]
    """The fusion network alone, without attention."""
    segmentor: nn.Module
    optimizer: torch.optim.Optimizer
    sections: Sequence[Watched]
    """What is timed by itself."""
    prepare: Callable[[], None] | None = None
    """Called before every step, where contenders share a model."""

    def run(self, task: str, batch: StripedBatch, watch: Stopwatch | None = None) -> None:
        """One training step, or one inference.

        Args:
            task (str): 'train' or 'inference'.
            batch (StripedBatch): What it works on.
            watch (Stopwatch, optional): Times 'backward', 'optimizer' and all that has no section, as 'other'.
        """
        if self.prepare is not None:
            self.prepare()

        def section(name: str) -> AbstractContextManager:
            return nullcontext() if watch is None else watch.section(name)

        self.model.train(task == 'train')
        with section('other'):
            if task == 'inference':
                with torch.no_grad():
                    self.predict(batch)
                return
            self.optimizer.zero_grad()
            loss = self.loss(batch)
            with section('backward'):
                loss.backward()
            with section('optimizer'):
                self.optimizer.step()

    def fusion_flops(self, task: str, batch: StripedBatch) -> int:
        """Operations of the fusion network alone.

        Args:
            task (str): 'train', with the backward pass, or 'inference'.
            batch (StripedBatch): What it works on.

        Returns:
            int: Floating point operations, 2 per multiply-add.
        """
        with flop_counter() as flops, torch.set_grad_enabled(task == 'train'):
            fused = self.unfold(batch)
            if task == 'train':
                fused.sum().backward()
        self.optimizer.zero_grad()
        return flops.get_total_flops()


def _adam(module: nn.Module) -> torch.optim.Optimizer:
    """Adam as in the release, its states allocated. A step along gradients of zero moves nothing."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


class _Settings:
    """The settings of a model as its config has them, and how each contender changes them."""

    def __init__(self, model: FusionSegmentor) -> None:
        self.model = model
        self.estimator = attribution_of(model.fusion).estimator
        self.attention = attention_of(model.fusion)
        self.scorer_options = dict(model.scorer_options)
        self.with_cp = model.fusion.unfolding.with_cp
        self.compile_options = model.fusion.unfolding.compile_options

    def apply(self, name: str) -> None:
        """Set the model up as the contender of this name."""
        fusion, head = self.model.fusion, self.model.fusion.unfolding
        vary_attribution(fusion, estimator=self.estimator if name in VARIANTS else name)
        set_attention(fusion, None if name == 'gradient-free' else self.attention)
        dtype = dict(dtype='bfloat16') if name == 'bfloat16' else {}
        self.model.scorer_options = {**self.scorer_options, **dtype}
        head.with_cp = name == 'checkpointed' or self.with_cp
        head.compile_options = {} if name == 'compiled' else self.compile_options


def our_contenders(model: FusionSegmentor, names: Sequence[str]) -> list[Contender]:
    """The model of the config, once per setting.

    Args:
        model (FusionSegmentor): With a :class:`UAAFusion`.
        names (Sequence[str]): Estimators of the region attribution, or of ``VARIANTS``.

    Returns:
        list[Contender]: They share the model and its optimiser.
    """
    optimizer, settings, sections = _adam(model), _Settings(model), _our_sections(model)

    def loss(batch: StripedBatch) -> Tensor:
        return model.parse_losses(model.loss(batch.inputs, batch.samples))[0]

    def predict(batch: StripedBatch) -> object:
        return model.predict(batch.inputs)

    def unfold(batch: StripedBatch) -> Tensor:
        ir, vi, _ = batch.split()
        half = torch.full_like(ir, 0.5)
        return model.fusion.unfolding(ir, vi, half, half)[0]

    contenders = []
    for name in names:
        prepare = functools.partial(settings.apply, name)
        contender = Contender(name, model, loss, predict, unfold, model.segmentor, optimizer, sections, prepare)
        contenders.append(contender)
    return contenders


def _our_sections(model: FusionSegmentor) -> list[Watched]:
    segmentor = model.segmentor
    sections = [
        Watched(Attribution, 'evidence', 'attribution'),
        Watched(Attribution, 'joint_evidence', 'attribution'),
        Watched(TrajectoryAttribution, 'update', 'attention'),
        Watched(model.fusion.unfolding, 'forward', 'stages'),
        Watched(segmentor, 'loss', 'segmentor'),
        Watched(segmentor, 'inference', 'segmentor'),
        Watched(segmentor, 'encode_decode', 'labels', ('attribution', 'attention', 'segmentor')),
    ]
    for module, name in ((model.fusion.gate, 'gate'), (model.refine, 'refiner')):
        if module is not None:
            sections.append(Watched(module, 'forward', name))
    for loss in (model.loss_fusion, model.loss_gradient, model.loss_gate):
        if loss is not None:
            sections.append(Watched(loss, 'forward', 'losses'))
    return sections


def released_contender(model: FusionSegmentor, steps: int) -> Contender:
    """The released computation.

    Args:
        model (FusionSegmentor): Ours; gives stages, channels, normalisation and a segmentor of the fused image, which
            the contender trains.
        steps (int): Nodes of the right-hand rule.

    Returns:
        Contender: With a fusion network of its own.
    """
    segmentor = model.segmentor
    network = ReleasedNetwork(model.fusion.unfolding.num_stages, model.fusion.unfolding.channels).to(model.mean.device)
    score = model.scorer(segmentor)
    num_classes: Any = score.num_classes
    released = ReleasedModel(network, segmentor, model.normalize, score, num_classes, steps)

    def loss(batch: StripedBatch) -> Tensor:
        ir, vi, _ = batch.split()
        return released.loss(ir, vi, batch.samples)

    def predict(batch: StripedBatch) -> object:
        return released.predict(*batch.split())

    def unfold(batch: StripedBatch) -> Tensor:
        ir, vi, _ = batch.split()
        return network(ir, vi, lambda iterate, number: torch.zeros_like(ir))[0]

    sections = [
        Watched(released, 'attribute', 'attribution'),
        Watched(released, 'iterate_gradient', 'attention'),
        Watched(network, 'forward', 'stages'),
        Watched(released, 'segmentation_loss', 'segmentor'),
        Watched(released, 'fusion_losses', 'losses'),
        Watched(released, 'predict_labels', 'labels'),
        Watched(segmentor, 'encode_decode', 'segmentor', ('attribution', 'attention', 'labels')),
    ]
    return Contender(RELEASED, released, loss, predict, unfold, segmentor, _adam(released), sections)
