"""One sensor of a pair that fails, or sees badly."""

import zlib
from collections.abc import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmfusion.registry import TRANSFORMS

_CHANNELS = {'visible': slice(0, 3), 'infrared': slice(3, 4)}
# What happens, and how much of it unless that is said.
DEFAULT_AMOUNTS: dict[str, float | None] = {'black': None, 'blur': None, 'noise': 20.0, 'dark': 0.3, 'shift': 4.0}


@TRANSFORMS.register_module()
class DegradeSensor(BaseTransform):
    """Take one image of the pair away, or make it worse, to see what a network does then.

    The other image and the labels stay as they are. The same file always gets the same noise.

    Args:
        modality (str): 'visible' or 'infrared'.
        kind (str): 'black': the sensor is off. 'blur': it is out of focus. 'noise': white noise. 'dark': the image is
            multiplied by a factor. 'shift': it is moved to the right, and its left border repeated, as of two sensors
            that are not registered.
        amount (float, optional): Of 'blur' the side of the box in pixels (default: a third of the shorter side, after
            which nothing can be recognised), of 'noise' the standard deviation in grey levels (20), of 'dark' the
            factor (0.3), of 'shift' the pixels (4).

    Raises:
        ValueError: An option is unknown, the amount is out of range, or the image is no pair.

    Examples:
        >>> results = dict(img=np.full((2, 2, 4), 100, np.uint8))
        >>> DegradeSensor('infrared', 'black')(dict(results))['img'][0, 0].tolist()
        [100, 100, 100, 0]
        >>> DegradeSensor('visible', 'dark', 0.5)(dict(results))['img'][0, 0].tolist()
        [50, 50, 50, 100]
    """

    def __init__(self, modality: str, kind: str = 'black', amount: float | None = None) -> None:
        if modality not in _CHANNELS:
            raise ValueError(f'modality must be one of {tuple(_CHANNELS)}, but is {modality!r}')
        if kind not in DEFAULT_AMOUNTS:
            raise ValueError(f'unknown kind {kind!r}; choose one of {", ".join(DEFAULT_AMOUNTS)}')
        if amount is None:
            amount = DEFAULT_AMOUNTS[kind]
        elif kind == 'black':
            raise ValueError(f"a sensor that is off has no amount, got {amount}; or use kind='dark'")
        elif not 0 <= amount < float('inf') or (kind in ('blur', 'shift') and amount != int(amount)):
            raise ValueError(
                f'amount is {amount}, but of {kind!r} it must be '
                f'{"a whole number of pixels" if kind in ("blur", "shift") else "a finite number that is not negative"}'
            )
        self.modality = modality
        self.kind = kind
        self.amount = amount

    def transform(self, results: dict) -> dict:
        """Change the pair.

        Args:
            results (dict): With ``img``, (H, W, 4) uint8 or float32 on the 0..255 scale; ``img_path`` seeds the noise.

        Returns:
            dict: With another ``img`` of the same shape and type.
        """
        if 'img' not in results:
            raise ValueError('there is no image yet: DegradeSensor comes behind LoadPairFromFile')
        img = results['img']
        if img.ndim != 3 or img.shape[2] != 4:
            raise ValueError(
                f'A pair is one image with four channels (B, G, R, infrared), but this one has shape '
                f'{img.shape}. Load it with LoadPairFromFile.'
            )
        chosen = img[..., _CHANNELS[self.modality]].astype(np.float32)
        seed = zlib.crc32(str(results.get('img_path', '')).encode())
        changed = _CHANGES[self.kind](chosen, self.amount, seed).clip(0, 255)
        degraded = img.copy()
        degraded[..., _CHANNELS[self.modality]] = np.rint(changed) if img.dtype == np.uint8 else changed
        return dict(results, img=degraded)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(modality={self.modality!r}, kind={self.kind!r}, amount={self.amount!r})'


def _black(image: np.ndarray, amount: float | None, seed: int) -> np.ndarray:
    return np.zeros_like(image)


def _blur(image: np.ndarray, amount: float | None, seed: int) -> np.ndarray:
    side = int(amount) if amount else max(3, min(image.shape[:2]) // 3)
    # OpenCV drops a single channel.
    return cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT).reshape(image.shape)


def _noise(image: np.ndarray, amount: float, seed: int) -> np.ndarray:
    return image + amount * np.random.default_rng(seed).standard_normal(image.shape, np.float32)


def _dark(image: np.ndarray, amount: float, seed: int) -> np.ndarray:
    return image * amount


def _shift(image: np.ndarray, amount: float, seed: int) -> np.ndarray:
    columns = np.maximum(np.arange(image.shape[1]) - int(amount), 0)
    return image[:, columns]


_CHANGES: dict[str, Callable[..., np.ndarray]] = dict(black=_black, blur=_blur, noise=_noise, dark=_dark, shift=_shift)
