"""Operations of a prediction, and parameters part by part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.registry import DefaultScope

from mmfusion.registry import MODELS

from .counting import flop_counter


@dataclass(frozen=True)
class PredictionCost:
    """Of a model."""

    shape: tuple[int, int]
    """Height and width of the pair, which a preprocessor may have padded."""
    operations: int
    """Floating point operations of matrix products and convolutions; 2 per multiply-add."""
    parameters: dict[str, int]
    """Number of parameters by the name of a direct child, of those that have any."""


def cost_of_prediction(config: Mapping[str, Any], shape: Sequence[int] = (480, 640)) -> PredictionCost:
    """Count what a prediction of one pair takes, on random weights and a random pair.

    Args:
        config (Mapping): Config of a joint model.
        shape (Sequence[int]): Height and width of the pair, or one number for both.

    Returns:
        PredictionCost: Of one pair.

    Raises:
        ValueError: The shape is not one or two positive numbers.

    Examples:
        >>> from mmfusion.apis import load_config
        >>> model = load_config('average_unet-tiny_1xb4-300_synthetic-96x128').model
        >>> cost = cost_of_prediction(model, [32])
        >>> cost.shape, list(cost.parameters), cost.operations > 1_000_000
        ((32, 32), ['segmentor'], True)
    """
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise ValueError(f'a shape is height and width, or one number for both, got {" ".join(map(str, shape))}')
    with DefaultScope.overwrite_default_scope('mmfusion'):
        model = MODELS.build({**config, 'pretrained': False}).eval()
    pair = torch.randint(0, 256, (4, shape[0], shape[-1]), dtype=torch.uint8)
    batch = model.data_preprocessor(dict(inputs=[pair]))
    counter = flop_counter()
    with torch.no_grad(), counter:
        model.predict(batch['inputs'], batch['data_samples'])
    parameters = {name: sum(value.numel() for value in child.parameters()) for name, child in model.named_children()}
    height, width = batch['inputs'].shape[-2:]
    return PredictionCost(
        (height, width), counter.get_total_flops(), {name: number for name, number in parameters.items() if number}
    )
