"""Photometric transforms for one image of the pair."""

from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmfusion.registry import TRANSFORMS

_CHANNELS = {'visible': slice(0, 3), 'infrared': slice(3, 4)}
# What a geometric transform would change. It has to see both images, so that it is refused here.
_GEOMETRY = ('img_shape', 'ori_shape', 'pad_shape', 'scale', 'scale_factor', 'flip', 'flip_direction', 'gt_seg_map')


def _is_same(old: object, new: object) -> bool:
    """Whether a value was left alone. An array has to be the same object: to compare its content costs too much."""
    if old is new:
        return True
    return not isinstance(old, np.ndarray) and not isinstance(new, np.ndarray) and old == new


@TRANSFORMS.register_module()
class ApplyToModality(BaseTransform):
    """Run transforms on one modality of the pair and leave the other as it is, bit for bit.

    The wrapped transforms see an ordinary image in ``results['img']``: (H, W, 3) in B, G, R order, or (H, W, 1) for the
    infrared image (``CLAHE`` and ``AdjustGamma`` of mmseg accept that; ``PhotoMetricDistortion`` needs colours).
    The type of the whole image stays: uint8 or float32. What they give back as float in a uint8 image is rounded and
    clipped to 0..255.

    mmseg's photometric transforms compute in 8 bit: ``CLAHE`` and ``AdjustGamma`` cast to it, and
    ``PhotoMetricDistortion`` destroys the colours of a float image (OpenCV has the saturation of float images in 0..1,
    which it rounds). The wrapped transforms therefore get uint8 by default: the float32 image of a 16-bit pair is
    rounded for them. Where they change nothing, it keeps its precision.

    Args:
        transforms (dict | Callable | Sequence): What to apply, in order.
        modality (str): ``'visible'`` or ``'infrared'``.
        dtype (str): The type that the wrapped transforms get, ``'uint8'`` or ``'float32'``. Choose ``'float32'`` for
            transforms of your own that compute in float on the 0..255 scale.

    Raises:
        ValueError: The image is no pair, or a wrapped transform changed the geometry of the image (its size, a flip,
            the labels), which would break the registration of the pair.

    Examples:
        >>> import numpy as np
        >>> brighten = lambda results: dict(results, img=results['img'] + 10)
        >>> results = ApplyToModality(brighten, 'infrared')(dict(img=np.zeros((2, 2, 4), np.uint8)))
        >>> results['img'][0, 0].tolist()
        [0, 0, 0, 10]
    """

    def __init__(
        self, transforms: dict | Callable | Sequence[dict | Callable], modality: str = 'visible', dtype: str = 'uint8'
    ) -> None:
        if modality not in _CHANNELS:
            raise ValueError(f'modality must be one of {tuple(_CHANNELS)}, but is {modality!r}.')
        if dtype not in ('uint8', 'float32'):
            raise ValueError(f"dtype must be 'uint8' or 'float32', but is {dtype!r}.")
        if isinstance(transforms, dict) or callable(transforms):
            transforms = [transforms]
        if not transforms:
            raise ValueError('ApplyToModality needs at least one transform.')
        # Built here, not by Compose: without a default scope Compose would look in mmengine's registry only.
        self.transforms = Compose([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in transforms])
        self.modality = modality
        self.dtype = np.dtype(dtype)

    @staticmethod
    def _cast(img: np.ndarray, dtype: np.dtype) -> np.ndarray:
        if img.dtype == dtype:
            return img
        if dtype == np.uint8:
            img = np.clip(np.rint(img), 0, 255)
        return img.astype(dtype)

    def _check_geometry(self, before: dict, after: dict) -> None:
        for key in _GEOMETRY:
            if not _is_same(before.get(key, ...), after.get(key, ...)):
                raise ValueError(
                    f'A transform wrapped for the {self.modality} image changed {key!r}: '
                    f'{self.transforms}. Geometric transforms must treat both images alike; put them '
                    'outside of ApplyToModality.'
                )

    def transform(self, results: dict) -> dict | None:
        """Apply the wrapped transforms to the chosen channels of ``results['img']``.

        Args:
            results (dict): With ``img``, (H, W, 4) uint8 or float32.

        Returns:
            dict | None: With ``img`` of the same shape and type; None if a wrapped transform gave None.
        """
        img = results['img']
        if img.ndim != 3 or img.shape[2] != 4:
            raise ValueError(
                f'A pair is one image with four channels (B, G, R, infrared), but this one has shape '
                f'{img.shape}. Load it with LoadPairFromFile.'
            )
        channels = _CHANNELS[self.modality]
        chosen = img[..., channels]
        # A copy, since some transforms write in place.
        given = np.array(self._cast(chosen, self.dtype), order='C')
        after = self.transforms(dict(results, img=given.copy()))
        if after is None:
            return None
        self._check_geometry(results, after)
        changed = after['img']
        changed = changed[..., None] if changed.ndim == 2 else changed
        if changed.shape != chosen.shape:
            raise ValueError(
                f'A transform wrapped for the {self.modality} image changed its shape from {chosen.shape} '
                f'to {changed.shape}: {self.transforms}. Geometric transforms must treat both images '
                'alike; put them outside of ApplyToModality.'
            )
        results = dict(after, img=img.copy())
        if not np.array_equal(changed, given):
            results['img'][..., channels] = self._cast(changed, img.dtype)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.transforms}, modality={self.modality!r}, dtype={self.dtype.name!r})'
