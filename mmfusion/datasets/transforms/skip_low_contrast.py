"""Leaves out crops that show next to nothing."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SkipLowContrast(BaseTransform):
    """Drops a training crop if one of its two images has little contrast; the dataset then draws another one.

    An image has little contrast if its grey values between two percentiles span less than a fraction of the upper
    one: ``(high - low) / high < fraction``. The released recipe of UAAFusion drops such patches before training.

    Args:
        fraction (float): Least span, in (0, 1).
        percentiles (tuple[float, float]): Lower and upper percentile, in 0..100.

    Raises:
        ValueError: An option is out of range.

    Examples:
        >>> import numpy as np
        >>> flat, ramp = np.full((4, 16), 100), np.arange(64).reshape(4, 16)
        >>> skip = SkipLowContrast()
        >>> skip(dict(img=np.dstack([ramp, ramp, ramp, flat]))) is None
        True
        >>> sorted(skip(dict(img=np.dstack([ramp, ramp, ramp, ramp]))))
        ['img']
    """

    def __init__(self, fraction: float = 0.1, percentiles: tuple[float, float] = (10, 90)) -> None:
        if not 0 < fraction < 1:
            raise ValueError(f'fraction must be between 0 and 1, got {fraction}')
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError(f'percentiles must rise within 0..100, got {tuple(percentiles)}')
        self.fraction = fraction
        self.percentiles = tuple(percentiles)

    def transform(self, results: dict) -> dict | None:
        """Look at one pair.

        Args:
            results (dict): With ``img`` (H, W, 4): blue, green, red, infrared.

        Returns:
            dict | None: The same, or None for mmengine to draw another one.
        """
        image = results['img']
        for grey in (image[..., :3].mean(axis=2), image[..., 3]):
            low, high = np.percentile(grey, self.percentiles)
            if high <= 0 or (high - low) / high < self.fraction:
                return None
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(fraction={self.fraction}, percentiles={self.percentiles})'
