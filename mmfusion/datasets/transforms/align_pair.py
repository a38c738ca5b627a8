"""Laying the infrared image over the visible one."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmfusion.registry import TRANSFORMS

_MOTIONS = {
    'translation': cv2.MOTION_TRANSLATION,
    'euclidean': cv2.MOTION_EUCLIDEAN,
    'affine': cv2.MOTION_AFFINE,
    'homography': cv2.MOTION_HOMOGRAPHY,
}
# Sides of the coarsest image of the pyramid, in pixels: below, edges are a few pixels of noise.
_COARSEST = 64
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-5)
_WINDOW = 5
# A corner that moves by more than this part of the larger side is no misalignment of two cameras side by side.
_FARTHEST = 0.25


def _edges(image: np.ndarray) -> np.ndarray:
    """What the sensors have in common: where something ends, whichever side of it is brighter."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    strength = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    # A few strong edges of one sensor must not be all that counts.
    return np.log1p(strength / (strength.mean() + 1e-6))


def _halved(image: np.ndarray, times: int) -> np.ndarray:
    size = image.shape[1] >> times, image.shape[0] >> times
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if times else image


def estimate_motion(vi: np.ndarray, ir: np.ndarray, motion: str = 'translation') -> tuple[np.ndarray, float]:
    """Where each pixel of the visible image lies in the infrared one.

    Evangelidis, Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization", IEEE TPAMI
    30(10), 2008 (OpenCV's ``findTransformECC``) on the strength of the gradients, from coarse to fine.

    Args:
        vi (np.ndarray): Grey visible image (H, W) in 0..255.
        ir (np.ndarray): Infrared image, likewise.
        motion (str): 'translation', 'euclidean' (and a rotation), 'affine' or 'homography'.

    Returns:
        tuple[np.ndarray, float]: The matrix (3, 3) from (x, y, 1) of the visible to the infrared image, and the
        correlation of both images' gradients once aligned, in [-1, 1].

    Raises:
        ValueError: It does not converge, as for images without edges.

    Examples:
        >>> scene = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (96, 128)).astype(np.float32), (0, 0), 3)
        >>> matrix, correlation = estimate_motion(scene, np.roll(255 - scene, (3, 5), (0, 1)))
        >>> matrix[:2, 2].round().tolist(), correlation > 0.9
        ([5.0, 3.0], True)
    """
    vi, ir = (np.ascontiguousarray(image, dtype=np.float32) for image in (vi, ir))
    levels = int(np.log2(max(min(vi.shape) / _COARSEST, 1)))
    matrix, correlation = np.eye(3, dtype=np.float32), -1.0
    for times in range(levels, -1, -1):
        # From the pixels of the images to those of this level.
        scale = np.diag([0.5**times, 0.5**times, 1.0]).astype(np.float32)
        start = (scale @ matrix @ np.linalg.inv(scale)).astype(np.float32)
        rows = 3 if motion == 'homography' else 2
        fixed, moving = (_edges(_halved(image, times)) for image in (vi, ir))
        try:
            correlation, found = cv2.findTransformECC(  # type: ignore[call-overload]
                fixed,
                moving,
                np.ascontiguousarray(start[:rows]),
                _MOTIONS[motion],
                _STOP,
                None,
                _WINDOW,
            )
        except cv2.error as error:
            raise ValueError('the alignment does not converge') from error
        matrix = np.linalg.inv(scale) @ np.vstack([found, [[0, 0, 1]]])[:3] @ scale
    return matrix, float(correlation)


@TRANSFORMS.register_module()
class AlignPair(BaseTransform):
    """Lay the infrared image of a pair over the visible one, where two cameras are a little apart.

    For pairs that are nearly registered; a pair that cannot be aligned is refused, with the figure, since a wrong
    alignment is worse than none. Labels are those of the visible image and stay. What the infrared camera has not
    seen is filled with the nearest pixel that it has.

    Required keys: ``img`` of :class:`LoadPairFromFile`. Changed: ``img``. Added: ``alignment``, the matrix and the
    correlation of :func:`estimate_motion`.

    Args:
        motion (str): 'translation', 'euclidean', 'affine' or 'homography'. The more it can move, the more structure
            both images have to share.
        min_correlation (float): Least correlation of both images' gradients once aligned, in [0, 1). Pairs of road
            scenes have .25 to .7; .1 comes by chance.

    Raises:
        ValueError: An option is unknown or out of range. In a pipeline: no such alignment is found.

    Examples:
        >>> scene = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (96, 128)).astype(np.float32), (0, 0), 3)
        >>> shifted = np.roll(255 - scene, (3, 5), (0, 1))
        >>> pair = AlignPair()(dict(img=np.dstack([scene, scene, scene, shifted]).round().astype(np.uint8)))
        >>> float(np.abs(pair['img'][8:-8, 8:-8, 3] - (255 - scene)[8:-8, 8:-8]).max()) < 2
        True
    """

    def __init__(self, motion: str = 'translation', min_correlation: float = 0.2) -> None:
        if motion not in _MOTIONS:
            raise ValueError(f'motion must be one of {", ".join(_MOTIONS)}, but is {motion!r}')
        if not 0 <= min_correlation < 1:
            raise ValueError(f'min_correlation must be in [0, 1), but is {min_correlation!r}')
        self.motion = motion
        self.min_correlation = min_correlation

    def transform(self, results: dict) -> dict:
        """Align.

        Args:
            results (dict): With ``img`` (H, W, 4).

        Returns:
            dict: With the infrared channel moved, and ``alignment``.
        """
        img = results['img']
        name = results.get('ir_path') or results.get('img_path') or 'the infrared image'
        grey = cv2.cvtColor(np.ascontiguousarray(img[..., :3]), cv2.COLOR_BGR2GRAY)
        try:
            matrix, correlation = estimate_motion(grey, img[..., 3], self.motion)
        except ValueError as error:
            raise ValueError(f'{name}: {error}; leave the pair out, or align it by hand') from error
        self._check(matrix, correlation, img.shape[:2], name)
        moved = cv2.warpPerspective(
            np.ascontiguousarray(img[..., 3]),
            matrix,
            img.shape[1::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        results['img'] = np.dstack([img[..., :3], moved])
        results['alignment'] = dict(matrix=matrix.tolist(), correlation=correlation)
        return results

    def _check(self, matrix: np.ndarray, correlation: float, size: tuple[int, int], name: str) -> None:
        if correlation < self.min_correlation:
            raise ValueError(
                f'{name} cannot be aligned: once aligned, the gradients of both images correlate by {correlation:.2f}, '
                f'below min_correlation={self.min_correlation:g}; leave the pair out, or align it by hand'
            )
        height, width = size
        corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], dtype=np.float64)
        there = matrix @ corners
        shift = float(np.linalg.norm(there[:2] / there[2] - corners[:2], axis=0).max())
        if not shift <= _FARTHEST * max(size):
            raise ValueError(
                f'{name} cannot be aligned: a corner would move by {shift:.0f} pixels of {width}x{height}, more than a '
                'quarter; leave the pair out, or align it by hand'
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(motion={self.motion!r}, min_correlation={self.min_correlation})'
