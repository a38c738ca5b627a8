"""Operations of a prediction, and parameters part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from .counting import flop_counter
from .taught_model import let_see_all_classes, random_model


@dataclass(frozen=True)
class PredictionCost:
    """Of a model."""

    shape: tuple[int, int]
    """Height and width of the pair, which a preprocessor may have padded."""
    operations: int
    """Floating point operations of matrix products and convolutions; 2 per multiply-add."""
    parameters: dict[str, int]
    """Number of parameters by the name of a direct child, of those that have any."""


def cost_of_prediction(cfg: Config, shape: Sequence[int] = (480, 640)) -> PredictionCost:
    """Count what a prediction of one pair takes, on a random pair and by random weights that know all classes.

    Args:
        cfg (Config): With a joint ``model``.
        shape (Sequence[int]): Height and width of the pair, or one number for both.

    Returns:
        PredictionCost: Of one pair.

    Raises:
        ValueError: The shape is not one or two positive numbers.

    Examples:
        >>> from mmfusion.apis import load_config
        >>> cost = cost_of_prediction(load_config('average_unet-tiny_1xb4-300_synthetic-96x128'), [32])
        >>> cost.shape, list(cost.parameters), cost.operations > 1_000_000
        ((32, 32), ['segmentor'], True)
    """
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise ValueError(f'a shape is height and width, or one number for both, got {" ".join(map(str, shape))}')
    with DefaultScope.overwrite_default_scope('mmfusion'):
        model = random_model(cfg, torch.device('cpu'))
    size = (shape[0], shape[-1])
    let_see_all_classes(model, size, torch.device('cpu'))
    model.eval()
    pair = torch.randint(0, 256, (4, *size), dtype=torch.uint8)
    batch = model.data_preprocessor(dict(inputs=[pair]))
    counter = flop_counter()
    with torch.no_grad(), counter:
        model.predict(batch['inputs'], batch['data_samples'])
    parameters = {name: sum(value.numel() for value in child.parameters()) for name, child in model.named_children()}
    height, width = batch['inputs'].shape[-2:]
    return PredictionCost(
        (height, width), counter.get_total_flops(), {name: number for name, number in parameters.items() if number}
    )
