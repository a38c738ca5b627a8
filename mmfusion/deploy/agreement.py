"""Whether an exported model says what the model itself predicts, at sizes other than the one that it was traced at."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from mmfusion.models import FusionModel, FusionSegmentor

TOLERANCE = 1e-4
"""Largest difference of a fused image, a weight or a score; of scores, times their magnitude where that is above 1."""

Run = Callable[[Tensor], Sequence[Tensor]]


def differences(
    run: Run, names: Sequence[str], model: FusionSegmentor | FusionModel, shapes: Iterable[tuple[int, int, int]]
) -> dict[str, float]:
    """Largest differences to what the model predicts, on random pairs.

    Args:
        run (Callable): Pairs (N, 4, H, W) on the 0..255 scale to the outputs, on the CPU.
        names (Sequence[str]): What the outputs are; see :class:`~mmfusion.deploy.DeployedFusion`.
        model (FusionSegmentor | FusionModel): In evaluation mode. It gets the pairs by its preprocessor, as from a data
            loader.
        shapes (Iterable[tuple[int, int, int]]): Numbers of pairs, heights and widths.

    Returns:
        dict[str, float]: By output, over all shapes. For labels, how much less the score of the class told is than
        the greatest one.

    Raises:
        ValueError: A difference is above :data:`TOLERANCE`, an output has another shape, or the run fails. The message
            tells the size.

    Examples:
        >>> import logging
        >>> from mmengine.logging import MMLogger
        >>> from mmfusion.apis import FusionInferencer
        >>> from mmfusion.deploy import DeployedFusion
        >>> MMLogger.get_current_instance().setLevel(logging.ERROR)  # No warning of random weights.
        >>> model = FusionInferencer('average_unet-tiny_1xb4-300_synthetic-96x128', device='cpu').model
        >>> deployed = DeployedFusion(model, part='fusion')
        >>> found = differences(deployed, deployed.output_names, model, [(1, 64, 101)])
        >>> list(found), max(found.values()) <= TOLERANCE
        (['fused', 'weight_ir'], True)
    """
    worst = dict.fromkeys(names, 0.0)
    generator = torch.Generator().manual_seed(0)
    for number, height, width in shapes:
        pairs = 255 * torch.rand(number, 4, height, width, generator=generator)
        where = f'for {number} pair{"" if number == 1 else "s"} of {height} x {width}'
        wanted = _called('the model itself', where, _predict, model, pairs)
        told = dict(zip(names, _called('the exported model', where, run, pairs), strict=True))
        for name, value in told.items():
            worst[name] = max(worst[name], _difference(name, value, wanted, where))
    return worst


def _called(who: str, where: str, function: Callable, *arguments: Any) -> Any:
    """What a function gives; whatever it raises, each runtime and segmentor its own, is told in one way."""
    try:
        return function(*arguments)
    except Exception as error:
        raise ValueError(f'{who} fails {where}: {" ".join(str(error).split())[:300]}') from error


def _difference(name: str, told: Tensor, wanted: dict[str, Tensor], where: str) -> float:
    """Of one output; refused where it is too large."""
    if name == 'labels':
        difference, scale = _lost_score(told, wanted['scores'], wanted['labels']), 1.0
    elif told.shape != wanted[name].shape:
        raise ValueError(
            f'the exported model gives {name} of the shape {tuple(told.shape)} in the place of '
            f'{tuple(wanted[name].shape)} {where}'
        )
    else:
        difference, scale = float((told - wanted[name]).abs().max()), float(wanted[name].abs().max())
    if not difference <= TOLERANCE * max(1.0, scale) or math.isnan(difference):
        raise ValueError(
            f'the exported model differs from the prediction by {difference:.2g} in {name} {where}; at most '
            f'{TOLERANCE:g} is rounding'
        )
    return difference


def _lost_score(told: Tensor, scores: Tensor, labels: Tensor) -> float:
    """How far the classes told are from the greatest score; 0 where they are the predicted ones."""
    if told.shape != labels.shape or not bool(((told >= 0) & (told < max(2, scores.shape[1]))).all()):
        return math.inf
    if scores.shape[1] == 1:  # Foreground or not, by a threshold that the head has.
        other = scores[:, 0][told != labels]
        return float(other.max() - other.min()) if len(other) else 0.0
    return float((scores.amax(1) - scores.gather(1, told[:, None])[:, 0]).max())


@torch.no_grad()
def _predict(model: FusionSegmentor | FusionModel, pairs: Tensor) -> dict[str, Tensor]:
    """What the model predicts of pairs, by name of the output."""
    batch = model.data_preprocessor(dict(inputs=list(pairs)))
    samples = model.predict(batch['inputs'], batch['data_samples'])
    found = dict(
        fused=[sample.fused_img.data for sample in samples],
        weight_ir=[sample.fusion_weights.data for sample in samples],
    )
    if model.num_classes:
        found['scores'] = [sample.seg_logits.data for sample in samples]
        found['labels'] = [sample.pred_sem_seg.data[0].long() for sample in samples]
    return {name: torch.stack(values).cpu() for name, values in found.items()}
