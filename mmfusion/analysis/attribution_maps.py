"""The attribution of one pair: where the segmentor finds its evidence, and what the fusion does with it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor

from mmfusion.apis import FusionInferencer
from mmfusion.attribution import Attribution, Scorer, isolated, make_baseline, quadrature
from mmfusion.models import FusionSegmentor
from mmfusion.models.color import split_luminance
from mmfusion.models.fusion import FusionResult
from mmfusion.visualization import to_uint8

from .attribution_report import AttributionReport
from .fusion_options import attention_of, attribution_of, vary_attribution
from .labels import IGNORE, fit_labels

NODES = (1, 2, 3, 5, 9)
CONVERGENCE_RULES = ('right', 'gauss_legendre')
_REPORTED = ('steps', 'rule', 'baseline', 'estimator')


def class_scores(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean score of each class over its own region.

    Args:
        scores (Tensor): (B, C, H, W).
        labels (Tensor): Class ids (B, H, W); others than 0..C-1 belong to no region.

    Returns:
        Tensor: (B, C); 0 for a class without a region.

    Examples:
        >>> class_scores(torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]]]), torch.tensor([[[0, 255]]]))
        tensor([[1., 0.]])
    """
    masks = labels[:, None] == torch.arange(scores.shape[1], device=labels.device).view(1, -1, 1, 1)
    return (scores * masks).sum((2, 3)) / masks.sum((2, 3)).clamp(min=1)


def path_integral(scorer: Scorer, image: Tensor, start: Tensor, labels: Tensor, steps: int, rule: str) -> Tensor:
    """Integrated gradients of the class scores, added over **all** pixels of the image.

    Args:
        scorer (Callable): (B, 1, H, W) to scores (B, C, H, W).
        image (Tensor): End of the path (B, 1, H, W).
        start (Tensor): Its start, the baseline, likewise.
        labels (Tensor): Class ids (B, H, W).
        steps (int): Nodes.
        rule (str): Quadrature rule.

    Returns:
        Tensor: (B, C). Converges to the difference of the scores at the two ends.

    Examples:
        Of a linear scorer it is that difference with any number of nodes:

        >>> image, labels = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 2, 2, dtype=torch.long)
        >>> path_integral(lambda x: 3 * x, image, torch.zeros_like(image), labels, 1, 'midpoint')
        tensor([[1.5000]])
    """
    total = image.new_zeros(())
    with isolated(scorer, image.device):
        for node, weight in zip(*quadrature(rule, steps)):
            point = (start + node * (image - start)).requires_grad_()
            total = total + weight * _along_path(class_scores(scorer(point), labels), point, image - start)
    return total


def _along_path(scores: Tensor, point: Tensor, difference: Tensor) -> Tensor:
    """Derivative of the scores (B, C) along the path."""
    derivatives = []
    for score in scores.unbind(1):
        # Samples do not depend on each other, so a class is one backward pass for all of them.
        (gradient,) = torch.autograd.grad(score.sum(), point, retain_graph=True)
        derivatives.append((gradient * difference).sum((1, 2, 3)))
    return torch.stack(derivatives, dim=1)


def attribution_options(model: FusionSegmentor, steps: int | None) -> Attribution:
    """How the regions are attributed: as the fusion does, else by the defaults of UAAFusion.

    Args:
        model (FusionSegmentor): Its fusion attributes with so many steps from now on.
        steps (int, optional): Nodes of the path integral; those of the fusion by default.

    Returns:
        Attribution: With so many steps.

    Raises:
        ValueError: So many nodes do not go with the fusion's rule or estimator.
    """
    options = attribution_of(model.fusion)
    if steps is None:
        return options
    if options.estimator not in ('exact', 'multiplexed'):
        raise ValueError(
            f'--steps has no effect on the estimator {options.estimator!r}, which integrates nothing; leave it out'
        )
    vary_attribution(model.fusion, steps=steps)
    return replace(options, steps=steps)


def predicted_classes(model: FusionSegmentor, logits: Tensor) -> Tensor:
    """Most likely classes, by mmseg's rule: heads of one channel have a threshold.

    Args:
        model (FusionSegmentor): Whose segmentor gave the logits.
        logits (Tensor): Raw outputs (B, C, H, W).

    Returns:
        Tensor: Class ids (B, H, W).

    Examples:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(decode_head=SimpleNamespace(threshold=0.3))
        >>> predicted_classes(model, torch.tensor([[[[0.0, -2.0]]]]))
        tensor([[[1, 0]]])
    """
    if logits.shape[1] > 1:
        return logits.argmax(1)
    threshold: Any = model.decode_head.threshold
    return (logits.sigmoid() > threshold)[:, 0].long()


def convergence(
    scorer: Scorer, images: Tensor, labels: Tensor, baseline: str, nodes: Sequence[int] = NODES
) -> tuple[Tensor, dict[str, Tensor]]:
    """The path integral at several numbers of nodes, and what it converges to.

    Args:
        scorer (Callable): (B, 1, H, W) to scores (B, C, H, W).
        images (Tensor): Ends of the paths (B, 1, H, W).
        labels (Tensor): Class ids (B, H, W).
        baseline (str): Start of the paths.
        nodes (Sequence[int]): N numbers of nodes.

    Returns:
        tuple[Tensor, dict[str, Tensor]]: Difference of the class scores at the two ends (B, C); by quadrature rule the
        integrals (N, B, C).

    Examples:
        >>> image, labels = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 2, 2, dtype=torch.long)
        >>> difference, integrals = convergence(lambda x: x**2, image, labels, 'black', nodes=(1, 2))
        >>> difference, integrals['right'].flatten()
        (tensor([[0.2500]]), tensor([0.5000, 0.3750]))
    """
    start = make_baseline(images, baseline)
    with isolated(scorer, images.device), torch.no_grad():
        difference = class_scores(scorer(images), labels) - class_scores(scorer(start), labels)
    integrals = {}
    for rule in CONVERGENCE_RULES:
        at_nodes = [path_integral(scorer, images, start, labels, number, rule) for number in nodes]
        integrals[rule] = torch.stack(at_nodes)
    return difference, integrals


def analyse(
    inferencer: FusionInferencer, packed: dict, labels: np.ndarray | None = None, steps: int | None = None
) -> AttributionReport:
    """Attribute the segmentor on one pair.

    Args:
        inferencer (FusionInferencer): The model.
        packed (dict): The pair as it leaves the pipeline.
        labels (np.ndarray, optional): Class ids (H, W) at the original size. Without them the regions are those that
            the fusion predicts.
        steps (int, optional): Nodes of the attribution; those of the fusion by default.

    Returns:
        AttributionReport: At the size that the network sees, without padding.

    Raises:
        ValueError: The model has no segmentor; and see :func:`attribution_options`.
    """
    model = inferencer.model
    if not isinstance(model, FusionSegmentor):
        raise ValueError(f'a {type(model).__name__} has no segmentor that could be attributed; take a joint model')
    options = attribution_options(model, steps)
    data = model.data_preprocessor(pseudo_collate([packed]), False)
    inputs, metas = data['inputs'], [data['data_samples'][0].metainfo]
    height, width = metas[0]['img_shape'][:2]
    padding = torch.ones(1, *inputs.shape[-2:], dtype=torch.bool, device=inputs.device)
    padding[:, :height, :width] = False
    given = None if labels is None else fit_labels(labels, (height, width), inputs.shape[-2:]).to(inputs.device)
    scorer = model.scorer()
    sources = torch.cat([inputs[:, 3:], split_luminance(inputs[:, :3])[0]])
    with torch.no_grad():
        image, result = model.fuse(inputs, given, ignore=padding)
        prediction = predicted_classes(model, model.segment(inputs, image, result, metas))
        if given is None:
            given = _regions_of(result, scorer, sources).masked_fill(padding, IGNORE)
    evidence = result.evidence
    if evidence is None:
        infrared, visible = sources.chunk(2)
        evidence = options.evidence(scorer, infrared, visible, given)
    difference, integrals = convergence(scorer, sources, given.expand(2, -1, -1), options.baseline)
    return AttributionReport(
        visible=to_uint8(inputs[0, :3, :height, :width]),
        infrared=to_uint8(inputs[0, 3:, :height, :width]),
        fused=to_uint8(image[0, :, :height, :width]),
        weight_ir=result.weight_ir[0, 0, :height, :width].cpu().float().numpy(),
        prediction=prediction[0, :height, :width].cpu().numpy(),
        labels=given[0, :height, :width].cpu().numpy(),
        labels_from='predicted' if labels is None else 'given',
        classes=inferencer.classes,
        palette=inferencer.palette,
        region_ir=evidence.ir[0].cpu().numpy(),
        region_vi=evidence.vi[0].cpu().numpy(),
        shares=evidence.share()[0].cpu().numpy(),
        options=dict({name: getattr(options, name) for name in _REPORTED}, used=result.evidence is not None),
        smoothing=options.smoothing,
        attention=_attention_maps(model, result, height, width),
        nodes=NODES,
        score_difference=difference.cpu().numpy(),
        integrals={rule: values.cpu().numpy() for rule, values in integrals.items()},
    )


def _regions_of(result: FusionResult, scorer: Scorer, sources: Tensor) -> Tensor:
    """The labels (1, H, W) that the fusion took, or those of the mean image where it needs none."""
    if result.labels is not None:
        return result.labels
    return scorer(sources.mean(0, keepdim=True)).argmax(1)


def _attention_maps(model: FusionSegmentor, result: FusionResult, height: int, width: int) -> np.ndarray:
    """Attention per stage (K, H, W); K = 0 for a fusion without."""
    if attention_of(model.fusion) is None or not result.attention:
        return np.zeros((0, height, width), np.float32)
    return np.stack([attention[0, 0, :height, :width].cpu().float().numpy() for attention in result.attention])
