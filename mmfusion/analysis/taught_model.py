"""A model with random weights that finds the classes of striped pairs all the same."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from mmfusion.attribution import make_baseline
from mmfusion.models import FusionSegmentor, UAAFusion
from mmfusion.models.segmentors.recipe import with_classes
from mmfusion.registry import MODELS

from .striped_pairs import StripedBatch, make_batch

# Of height and width, where no preprocessor has padded an image yet.
_DIVISOR = 32


def random_model(cfg: Config, device: torch.device) -> Any:
    """The model of a config with random weights.

    Args:
        cfg (Config): With a ``model``.
        device (torch.device): Where it is to be.

    Returns:
        nn.Module: The same weights every time; norms that talk to other processes became plain ones.
    """
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(cfg.model)).to(device)


def build_model(cfg: Config, num_classes: int, device: torch.device) -> FusionSegmentor:
    """The model of a config with random weights.

    Args:
        cfg (Config): With a ``model``.
        num_classes (int): Classes of its segmentor.
        device (torch.device): Where it is to be.

    Returns:
        FusionSegmentor: The same weights every time.

    Raises:
        ValueError: It is no ``FusionSegmentor`` with ``UAAFusion``.
    """
    if cfg.model.get('segmentor') is not None:
        with_classes(cfg.model.segmentor, num_classes)
    model = random_model(cfg, device)
    fusion = getattr(model, 'fusion', None)
    if not isinstance(fusion, UAAFusion):
        raise ValueError(
            f'the benchmark is about attribution: give a config of FusionSegmentor with UAAFusion, not '
            f'{cfg.model.type} with {type(fusion).__name__}'
        )
    return model


@torch.no_grad()
def teach(model: FusionSegmentor, batch: StripedBatch) -> int:
    """Fit the segmentor's last layer to the labels, so that a random network predicts them from either image or both.

    Args:
        model (FusionSegmentor): Its segmentor's norms get the statistics of this batch, its classifier new weights.
        batch (StripedBatch): Pairs and labels.

    Returns:
        int: Number of classes that the model now finds without labels.
    """
    look = functools.partial(_look, model, batch)
    _fit_norms(model, look)
    model.eval()
    classifier = getattr(model.decode_head, 'conv_seg', None)
    if isinstance(classifier, nn.Conv2d) and classifier.kernel_size == (1, 1):
        _fit_classifier(classifier, look, batch.labels)
    if model.reading.name != 'fused':
        return len(model.pair_scorer()(batch.inputs[:, 3:], batch.inputs[:, :3]).argmax(1).unique())
    ir, vi, _ = batch.split()
    return len(model.fusion(ir, vi, model.scorer()).labels.unique())


def let_see_all_classes(model: Any, size: tuple[int, int], device: torch.device) -> None:
    """Teach a model that attributes stripes of all of its classes; leave others as they are.

    What attribution costs depends on the classes that are predicted; a random network predicts one.

    Args:
        model (nn.Module): With random weights.
        size (tuple[int, int]): Height and width of a pair.
        device (torch.device): Where the model is.
    """
    fusion = getattr(model, 'fusion', None)
    attributes = isinstance(fusion, UAAFusion) and (fusion.asks_segmentor or fusion.gate is not None)
    if attributes and model.out_channels > 1:
        height, width = (math.ceil(length / _DIVISOR) * _DIVISOR for length in size)
        teach(model, make_batch(1, (height, width), model.num_classes, device))


def _look(model: FusionSegmentor, batch: StripedBatch) -> None:
    """Let the segmentor see both sources together and each by itself, in one batch."""
    if model.reading.name == 'fused':
        ir, vi, _ = batch.split()
        model.scorer()(torch.cat([(ir + vi) / 2, ir, vi]))
        return
    visible, infrared = batch.inputs[:, :3], batch.inputs[:, 3:]
    nothing = make_baseline(infrared, 'blur'), make_baseline(visible, 'blur')
    model.pair_scorer()(torch.cat([infrared, infrared, nothing[0]]), torch.cat([visible, nothing[1], visible]))


def _fit_norms(model: FusionSegmentor, look: Callable[[], None]) -> None:
    """Give the norms of the segmentor the statistics of what it sees."""
    norms = [module for module in model.segmentor.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # The mean of what it has seen.
    model.train()
    look()
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


def _fit_classifier(classifier: nn.Conv2d, look: Callable[[], None], labels: Tensor) -> None:
    """Least squares from the features of what is seen, three images of each pair, to its labels (B, H, W)."""
    seen: list[Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    look()
    hook.remove()
    views = len(seen[0]) // len(labels)  # Of which there are more where views are a batch.
    small = F.interpolate(labels[:, None].float(), size=seen[0].shape[2:]).long()[:, 0].repeat(views, 1, 1)
    features = F.pad(seen[0].permute(0, 2, 3, 1).flatten(0, 2).double(), (0, 1), value=1.0)
    targets = F.one_hot(small.flatten(), len(classifier.weight)).double()
    gram = features.T @ features
    gram.diagonal().add_(1e-4 * gram.diagonal().mean())
    weights = torch.linalg.solve(gram, features.T @ targets).T
    classifier.weight.copy_(weights[:, :-1, None, None])
    if classifier.bias is not None:
        classifier.bias.copy_(weights[:, -1])
