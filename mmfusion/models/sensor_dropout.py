"""Training with sensors missing, so that a network can do with either."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmfusion.attribution import BASELINES, make_baseline
from mmfusion.registry import MODELS

SENSORS = ('either', 'infrared', 'visible')


@MODELS.register_module()
class SensorDropout(nn.Module):
    """Replaces one sensor of some training pairs by an image without evidence.

    A network that reads both sensors may lean on one, and fails when that one does. How much accuracy with both it
    costs to be ready for it is measured in docs/results.md.

    Args:
        prob (float): Share of the pairs that lose a sensor, in [0, 1].
        sensor (str): Which one: 'infrared', 'visible', or 'either', by chance.
        replacement (str | Sequence[str]): What is there instead: 'blur', 'mean' or 'black'; see
            :func:`~mmfusion.attribution.make_baseline`. Of several, each pair gets one by chance.

    Raises:
        ValueError: An option is unknown or out of range.

    Examples:
        >>> pairs = torch.rand(2, 4, 8, 8)
        >>> dropped = SensorDropout(prob=1.0, sensor='infrared', replacement='black')(pairs)
        >>> torch.equal(dropped[:, :3], pairs[:, :3]), dropped[:, 3].max().item()
        (True, 0.0)
    """

    def __init__(self, prob: float = 0.1, sensor: str = 'either', replacement: str | Sequence[str] = 'blur') -> None:
        super().__init__()
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is a probability in [0, 1], got {prob}')
        if sensor not in SENSORS:
            raise ValueError(f'unknown sensor {sensor!r}; choose one of {", ".join(SENSORS)}')
        self.replacements = (replacement,) if isinstance(replacement, str) else tuple(replacement)
        if not self.replacements or not set(self.replacements) <= set(BASELINES):
            raise ValueError(
                f'unknown replacement {replacement!r}; choose one of {", ".join(BASELINES)}, or several in a list'
            )
        self.prob = prob
        self.sensor = sensor

    def forward(self, pairs: Tensor) -> Tensor:
        """Drop sensors.

        Args:
            pairs (Tensor): (B, 4, H, W) in [0, 1]: red, green, blue, infrared.

        Returns:
            Tensor: Likewise.
        """
        chance = torch.rand(2, len(pairs), 1, 1, 1, device=pairs.device)
        drop = chance[0] < self.prob
        infrared = chance[1] < 0.5 if self.sensor == 'either' else torch.full_like(drop, self.sensor == 'infrared')
        # Drawn only where there is a choice: a single replacement leaves the stream of random numbers as it was.
        count = len(self.replacements)
        choice = torch.randint(count, drop.shape, device=pairs.device) if count > 1 else torch.zeros_like(drop).long()
        visible, ir = pairs[:, :3], pairs[:, 3:]
        for number, replacement in enumerate(self.replacements):
            here = drop & (choice == number)
            # Channels of visible images have one baseline each; a grey level of their own would be a colour.
            visible = torch.where(here & ~infrared, make_baseline(pairs[:, :3], replacement), visible)
            ir = torch.where(here & infrared, make_baseline(pairs[:, 3:], replacement), ir)
        return torch.cat([visible, ir], dim=1)
