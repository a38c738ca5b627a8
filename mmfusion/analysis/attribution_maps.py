"""The attribution of one pair: where the segmentor finds its evidence, and what the fusion does with it."""

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from torch import Tensor

from mmfusion.apis import FusionInferencer
from mmfusion.attribution import Scorer, evidence_prior, isolated, make_baseline, quadrature, region_attribution
from mmfusion.models import FusionSegmentor
from mmfusion.models.color import split_luminance
from mmfusion.visualization import to_uint8

from .figures import AttributionReport

NODES = (1, 2, 3, 5, 9)


CONVERGENCE_RULES = ('right', 'gauss_legendre')


# Defaults of UAAFusion, for fusions that attribute nothing themselves.
DEFAULTS = dict(steps=5, rule='midpoint', baseline='blur', estimator='exact')


SMOOTHING = 0.075


IGNORE = 255


def class_scores(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean score of each class over its own region.

    Args:
        scores (Tensor): (B, C, H, W).
        labels (Tensor): Class ids (B, H, W); others than 0..C-1 belong to no region.

    Returns:
        Tensor: (B, C); 0 for a class without a region.
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
    """
    total: Tensor | float = 0.0
    with isolated(scorer, image.device):
        for node, weight in zip(*quadrature(rule, steps)):
            point = (start + node * (image - start)).requires_grad_()
            scores = class_scores(scorer(point), labels)
            # Samples do not depend on each other, so a class is one backward pass for all of them.
            gradients = [torch.autograd.grad(one.sum(), point, retain_graph=True)[0] for one in scores.unbind(1)]
            total = total + weight * torch.stack([(g * (image - start)).sum((1, 2, 3)) for g in gradients], dim=1)
    return total


def fit_labels(labels: np.ndarray, image_size: tuple[int, int], input_size: tuple[int, int]) -> Tensor:
    """Labels as large as the network's input.

    Args:
        labels (np.ndarray): Class ids (H, W) at the original size.
        image_size (tuple[int, int]): Height and width of the image in the network's input, in pixels.
        input_size (tuple[int, int]): Height and width of the input, in pixels: padded at the right and the bottom.

    Returns:
        Tensor: (1, H', W') int64; 255 in the padding.
    """
    resized = F.interpolate(torch.from_numpy(labels.astype(np.float32))[None, None], image_size, mode='nearest-exact')
    padding = (0, input_size[1] - image_size[1], 0, input_size[0] - image_size[0])
    return F.pad(resized[0], padding, value=IGNORE).long()


def attribution_options(model: FusionSegmentor, steps: int | None) -> dict:
    """How the regions are attributed: as the fusion does, else by our defaults.

    Raises:
        ValueError: So many nodes do not go with the fusion's rule or estimator.
    """
    fusion = model.fusion
    options = {name: getattr(fusion, name, value) for name, value in DEFAULTS.items()}
    if steps is not None:
        if options['estimator'] not in ('exact', 'multiplexed'):
            raise ValueError(
                f'--steps has no effect on the estimator {options["estimator"]!r}, which integrates '
                'nothing; leave it out'
            )
        quadrature(options['rule'], steps)
        options['steps'] = steps
        if hasattr(fusion, 'steps'):
            fusion.steps = steps
    return options


def labels_of(model: FusionSegmentor, logits: Tensor) -> Tensor:
    """Class ids (B, H, W) of raw outputs (B, C, H, W), by mmseg's rule; heads of one channel have a threshold."""
    return logits.argmax(1) if logits.shape[1] > 1 else (logits.sigmoid() > model.decode_head.threshold)[:, 0].long()


def analyse(fuse: FusionInferencer, packed: dict, labels: np.ndarray | None, steps: int | None) -> AttributionReport:
    """Attribute the segmentor on one pair.

    Args:
        fuse (FusionInferencer): The model.
        packed (dict): The pair as it leaves the pipeline.
        labels (np.ndarray, optional): Class ids (H, W) at the original size. Without them the regions are those that
            the fusion predicts.
        steps (int, optional): Nodes of the attribution; those of the fusion by default.

    Returns:
        AttributionReport: At the size that the network sees, without padding.

    Raises:
        ValueError: See :func:`attribution_options`.
    """
    model = fuse.model
    options = attribution_options(model, steps)
    data = model.data_preprocessor(pseudo_collate([packed]), False)
    inputs, metas = data['inputs'], [data['data_samples'][0].metainfo]
    size = height, width = tuple(metas[0]['img_shape'])
    padding = torch.ones(1, *inputs.shape[-2:], dtype=torch.bool, device=inputs.device)
    padding[:, :height, :width] = False
    given = None if labels is None else fit_labels(labels, size, inputs.shape[-2:]).to(inputs.device)
    scorer = model.scorer()
    both = torch.cat([inputs[:, 3:], split_luminance(inputs[:, :3])[0]])
    with torch.no_grad():
        image, result = model.fuse(inputs, given, ignore=padding)
        prediction = labels_of(model, model.segmentor.inference(model.normalize(image), metas))
        if given is None:
            given = result.labels if result.labels is not None else scorer(both.mean(0, keepdim=True)).argmax(1)
            given = given.masked_fill(padding, IGNORE)
    twice = given.expand(2, -1, -1)
    used = result.region_ir is not None
    regions = (
        torch.cat([result.region_ir, result.region_vi])
        if used
        else region_attribution(
            scorer, both, twice, scorer.num_classes, **options, pairs=getattr(model.fusion, 'test_pairs', 1)
        )
    )

    start = make_baseline(both, options['baseline'])
    with isolated(scorer, both.device), torch.no_grad():
        difference = class_scores(scorer(both), twice) - class_scores(scorer(start), twice)
    integrals = {
        rule: torch.stack([path_integral(scorer, both, start, twice, steps, rule) for steps in NODES]).cpu().numpy()
        for rule in CONVERGENCE_RULES
    }
    prior = evidence_prior(
        given,
        scorer.num_classes,
        estimator=options['estimator'],
        region=getattr(model.fusion, 'region', 'sample'),
        smoothing=getattr(model.fusion, 'smoothing', SMOOTHING),
    )
    attention = [one[0, 0, :height, :width].cpu().float().numpy() for one in result.attention]
    shown = getattr(model.fusion, 'attention', None) is not None
    return AttributionReport(
        visible=to_uint8(inputs[0, :3, :height, :width]),
        infrared=to_uint8(inputs[0, 3:, :height, :width]),
        fused=to_uint8(image[0, :, :height, :width]),
        weight_ir=result.weight_ir[0, 0, :height, :width].cpu().float().numpy(),
        prediction=prediction[0, :height, :width].cpu().numpy(),
        labels=given[0, :height, :width].cpu().numpy(),
        labels_from='predicted' if labels is None else 'given',
        classes=fuse.classes,
        palette=fuse.palette,
        region_ir=regions[0].cpu().numpy(),
        region_vi=regions[1].cpu().numpy(),
        options=dict(options, used=used),
        prior=prior[0].cpu().numpy(),
        attention=np.stack(attention) if shown and attention else np.zeros((0, height, width), np.float32),
        nodes=NODES,
        score_difference=difference.cpu().numpy(),
        integrals=integrals,
    )
