"""What the benchmark compares: our model in several settings, and the released computation, on striped images."""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmfusion.attribution import TrajectoryAttribution
from mmfusion.models import FusionSegmentor, UAAFusion
from mmfusion.models.color import split_luminance
from mmfusion.models.fusion import uaafusion
from mmfusion.registry import MODELS
from mmfusion.released.reference import ReleasedModel, ReleasedNetwork

from .stopwatch import Stopwatch, flop_counter

RELEASED = 'released'
# Settings besides the estimators, with the estimator of the config.
VARIANTS = ('gradient-free', 'bfloat16', 'checkpointed', 'compiled')


@dataclass
class Batch:
    """Pairs and their labels."""

    inputs: Tensor
    """(B, 4, H, W) in [0, 1]: red, green, blue, infrared."""
    samples: list[SegDataSample]
    """With ``gt_sem_seg``."""

    @property
    def labels(self) -> Tensor:
        """Tensor: Class ids (B, H, W)."""
        return torch.cat([sample.gt_sem_seg.data for sample in self.samples])

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Infrared (B, 1, H, W), luminance (B, 1, H, W) and chroma (B, 2, H, W)."""
        return self.inputs[:, 3:], *split_luminance(self.inputs[:, :3])


def striped_labels(batch_size: int, size: tuple[int, int], classes: int) -> Tensor:
    """Upright stripes of the classes 0, 1, ..., every sample shifted by half a stripe.

    Args:
        batch_size (int): Samples B.
        size (tuple[int, int]): Height and width in pixels.
        classes (int): Classes in every sample.

    Returns:
        Tensor: Class ids (B, H, W), int64.

    Raises:
        ValueError: Fewer columns than classes.

    Examples:
        >>> striped_labels(2, (1, 8), 2).tolist()
        [[[0, 0, 0, 0, 1, 1, 1, 1]], [[1, 1, 0, 0, 0, 0, 1, 1]]]
    """
    height, width = size
    if not 1 <= classes <= width:
        raise ValueError(f'{classes} stripes do not fit on {width} columns; ask for 1 to {width} classes')
    row = torch.arange(width) * classes // width
    rows = torch.stack([row.roll(i * width // (2 * classes)) for i in range(batch_size)])
    return rows[:, None].expand(-1, height, -1).contiguous()


def make_batch(batch_size: int, size: tuple[int, int], classes: int, device: torch.device) -> Batch:
    """Pairs in which every class has a colour and a temperature of its own, under noise; always the same ones."""
    generator = torch.Generator().manual_seed(0)
    labels = striped_labels(batch_size, size, classes)
    shades = torch.rand(classes, 4, generator=generator)
    inputs = shades[labels].permute(0, 3, 1, 2) + 0.1 * torch.randn(batch_size, 4, *size, generator=generator)
    samples = []
    for label in labels:
        sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, pad_shape=size))
        sample.gt_sem_seg = PixelData(data=label[None].to(device))
        samples.append(sample)
    return Batch(inputs.clamp(0, 1).contiguous().to(device), samples)


@dataclass
class Contender:
    """One implementation of the same work."""

    name: str
    model: nn.Module
    loss: Callable[[Batch], Tensor]
    predict: Callable[[Batch], object]
    unfold: Callable[[Batch], Tensor]
    """The fusion network alone, without attention."""
    segmentor: nn.Module
    optimizer: torch.optim.Optimizer
    sections: list[tuple]
    """What is timed by itself; see ``Stopwatch.watching``."""
    settings: Callable[[], None] | None = None
    """Called before every step, where contenders share a model."""

    def run(self, task: str, batch: Batch, watch: Stopwatch | None = None) -> None:
        """One training step, or one inference."""
        if self.settings is not None:
            self.settings()

        def part(name: str):
            return nullcontext() if watch is None else watch.section(name)

        self.model.train(task == 'train')
        with part('other'):
            if task == 'inference':
                with torch.no_grad():
                    self.predict(batch)
                return
            self.optimizer.zero_grad()
            loss = self.loss(batch)
            with part('backward'):
                loss.backward()
            with part('optimizer'):
                self.optimizer.step()

    def fusion_flops(self, task: str, batch: Batch) -> int:
        """Operations of the fusion network alone."""
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


def our_contenders(model: FusionSegmentor, names: list[str]) -> list[Contender]:
    """The model of the config, once per setting.

    Args:
        model (FusionSegmentor): With a :class:`UAAFusion`.
        names (list[str]): Estimators of the region attribution, or of ``VARIANTS``.

    Returns:
        list[Contender]: They share the model and its optimiser.
    """
    head, segmentor, optimizer = model.fusion.head, model.segmentor, _adam(model)
    usual = (
        model.fusion.estimator,
        model.fusion.attention,
        dict(model.scorer_options),
        head.with_cp,
        head.compile_options,
    )

    def settings(name: str) -> None:
        estimator, attention, scorer, with_cp, compile_options = usual
        model.fusion.estimator = estimator if name in VARIANTS else name
        model.fusion.attention = None if name == 'gradient-free' else attention
        model.scorer_options = dict(scorer, dtype='bfloat16') if name == 'bfloat16' else scorer
        head.with_cp = name == 'checkpointed' or with_cp
        head.compile_options = () if name == 'compiled' else compile_options

    def unfold(batch: Batch) -> Tensor:
        ir, vi, _ = batch.split()
        half = torch.full_like(ir, 0.5)
        return head(ir, vi, half, half)[0]

    sections = [
        (uaafusion, 'region_attribution', 'attribution'),
        (TrajectoryAttribution, 'update', 'attention'),
        (head, 'forward', 'stages'),
        (segmentor, 'loss', 'segmentor'),
        (segmentor, 'inference', 'segmentor'),
        (segmentor, 'encode_decode', 'labels', ('attribution', 'attention', 'segmentor')),
    ]
    sections += [(loss, 'forward', 'losses') for loss in (model.loss_fusion, model.loss_gradient) if loss is not None]
    return [
        Contender(
            name=name,
            model=model,
            loss=lambda batch: model.parse_losses(model.loss(batch.inputs, batch.samples))[0],
            predict=lambda batch: model.predict(batch.inputs),
            unfold=unfold,
            segmentor=segmentor,
            optimizer=optimizer,
            sections=sections,
            settings=functools.partial(settings, name),
        )
        for name in names
    ]


def released_contender(model: FusionSegmentor, segmentor: nn.Module, steps: int) -> Contender:
    """The released computation.

    Args:
        model (FusionSegmentor): Ours; gives stages, channels and normalisation.
        segmentor (nn.Module): A copy of its segmentor.
        steps (int): Nodes of the right-hand rule.

    Returns:
        Contender: With a fusion network of its own.
    """
    network = ReleasedNetwork(model.fusion.head.num_stages, model.fusion.head.channels).to(model.mean.device)
    score = model.scorer(segmentor)
    released = ReleasedModel(network, segmentor, model.normalize, score, score.num_classes, steps)

    def loss(batch: Batch) -> Tensor:
        ir, vi, _ = batch.split()
        return released.loss(ir, vi, batch.samples)

    def unfold(batch: Batch) -> Tensor:
        ir, vi, _ = batch.split()
        return network(ir, vi, lambda iterate, number: torch.zeros_like(ir))[0]

    sections = [
        (released, 'attribute', 'attribution'),
        (released, 'iterate_gradient', 'attention'),
        (network, 'forward', 'stages'),
        (released, 'segmentation_loss', 'segmentor'),
        (released, 'fusion_losses', 'losses'),
        (released, 'predict_labels', 'labels'),
        (segmentor, 'encode_decode', 'segmentor', ('attribution', 'attention', 'labels')),
    ]
    return Contender(
        RELEASED,
        released,
        loss,
        lambda batch: released.predict(*batch.split()),
        unfold,
        segmentor,
        _adam(released),
        sections,
    )


def set_num_classes(segmentor: dict, num_classes: int) -> None:
    """Give every head of a segmentor's config this many classes; class weights for another number are dropped."""
    for key in ('decode_head', 'auxiliary_head'):
        heads = segmentor.get(key) or []
        for head in [heads] if isinstance(heads, dict) else heads:
            head['num_classes'] = num_classes
            losses = head.get('loss_decode') or []
            for loss in [losses] if isinstance(losses, dict) else losses:
                if len(loss.get('class_weight') or ()) not in (0, num_classes):
                    loss['class_weight'] = None


def build_model(cfg: Config, num_classes: int, device: torch.device) -> FusionSegmentor:
    """The model of a config with random weights.

    Raises:
        ValueError: It is no ``FusionSegmentor`` with ``UAAFusion``.
    """
    torch.manual_seed(0)
    if cfg.model.get('segmentor') is not None:
        set_num_classes(cfg.model.segmentor, num_classes)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(device)
    if not isinstance(getattr(model, 'fusion', None), UAAFusion):
        raise ValueError(
            f'the benchmark is about attribution: give a config of FusionSegmentor with UAAFusion, not '
            f'{cfg.model.type} with {type(getattr(model, "fusion", None)).__name__}'
        )
    return model


@torch.no_grad()
def teach(model: FusionSegmentor, batch: Batch) -> int:
    """Fit the segmentor's last layer to the labels, so that a random network predicts them from either image or both.

    Args:
        model (FusionSegmentor): Its segmentor's norms get the statistics of this batch, its classifier new weights.
        batch (Batch): Pairs and labels.

    Returns:
        int: Number of classes that :class:`UAAFusion` now finds without labels.
    """
    ir, vi, _ = batch.split()
    norms = [module for module in model.segmentor.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # The mean of what it has seen.
    model.train()
    scorer = model.scorer()
    scorer(torch.cat([(ir + vi) / 2, ir, vi]))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.eval()
    classifier = getattr(model.decode_head, 'conv_seg', None)
    if isinstance(classifier, nn.Conv2d) and classifier.kernel_size == (1, 1):
        seen = []
        hook = classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        scorer(torch.cat([(ir + vi) / 2, ir, vi]))
        hook.remove()
        labels = F.interpolate(batch.labels[:, None].float(), size=seen[0].shape[2:]).long()[:, 0].repeat(3, 1, 1)
        features = F.pad(seen[0].permute(0, 2, 3, 1).flatten(0, 2).double(), (0, 1), value=1.0)
        targets = F.one_hot(labels.flatten(), len(classifier.weight)).double()
        gram = features.T @ features
        gram.diagonal().add_(1e-4 * gram.diagonal().mean())
        weights = torch.linalg.solve(gram, features.T @ targets).T
        classifier.weight.copy_(weights[:, :-1, None, None])
        if classifier.bias is not None:
            classifier.bias.copy_(weights[:, -1])
    return len(model.fusion(ir, vi, scorer).labels.unique())
