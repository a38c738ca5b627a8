"""The drawing surface of a synthetic scene: what light a point reflects and emits, how warm it is, what it is."""

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

SUPERSAMPLING = 2
"""Scenes are drawn at this multiple of the image size and averaged down, which smooths the edges of polygons."""

_SHIFT = 4  # fractional bits of the polygon coordinates given to OpenCV

Points = Sequence[Sequence[float]]


def linear(bgr: Sequence[float]) -> np.ndarray:
    """Turn a display colour into linear light.

    The display curve is ``sqrt`` (gamma 2): near enough to sRGB for drawing, and cheap in both directions.

    Args:
        bgr: Display values in 0..255, order blue, green, red.

    Returns:
        float64 array of the same length, values in 0..1.

    Example:
        >>> linear((0, 127.5, 255)).tolist()
        [0.0, 0.25, 1.0]
    """
    return (np.asarray(bgr, dtype=np.float64) / 255) ** 2


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: Sequence[tuple[int, int]]) -> np.ndarray:
    """Sum smooth random fields of several scales.

    Args:
        rng: Source of the random numbers.
        shape: Height and width of the result in pixels.
        cells: For every scale, the number of independent values along height and width.

    Returns:
        float32 array of ``shape``, mean about 0 and standard deviation about 1 before interpolation smooths it.
    """
    field = np.zeros(shape, np.float32)
    for rows, columns in cells:
        coarse = rng.standard_normal((max(rows, 2), max(columns, 2)), dtype=np.float32)
        field += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return field / np.float32(np.sqrt(len(cells)))


def ellipse(x: float, y: float, rx: float, ry: float, corners: int = 14) -> np.ndarray:
    """Corners of a polygon inscribed in an axis-parallel ellipse, shape (corners, 2) as x, y."""
    return _circle(corners) * (rx, ry) + (x, y)


@lru_cache
def _circle(corners: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Corners of an axis-parallel rectangle, shape (4, 2) as x, y."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)


def limb(start: Sequence[float], end: Sequence[float], width: float, end_width: float) -> np.ndarray:
    """Corners of a tapering bar between two points, shape (4, 2) as x, y; widths in the unit of the points."""
    (x0, y0), (x1, y1) = start, end
    length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
    nx, ny = (y0 - y1) / length / 2, (x1 - x0) / length / 2
    return np.array(
        [
            (x0 + nx * width, y0 + ny * width),
            (x1 + nx * end_width, y1 + ny * end_width),
            (x1 - nx * end_width, y1 - ny * end_width),
            (x0 - nx * width, y0 - ny * width),
        ]
    )


class Canvas:
    """Layers of a scene that is drawn from far to near.

    Attributes:
        albedo: (H, W, 3) float32, reflected share of the light in linear BGR, 0..1.
        light: (H, W, 3) float32, emitted or mirrored light in linear BGR; 1 saturates the sensor, more makes glare.
        heat: (H, W) float32, thermal radiance; 0 is a clear winter sky, 1 a hot exhaust.
        label: (H, W) uint8, class ids.
        pools: Lit patches as (x, y, radius x, radius y, strength): what lamps and head lights shine on.

    Args:
        height: Rows of the drawing (supersampled pixels).
        width: Columns of the drawing.
    """

    def __init__(self, height: int, width: int) -> None:
        self.albedo = np.zeros((height, width, 3), np.float32)
        self.light = np.zeros((height, width, 3), np.float32)
        self.heat = np.zeros((height, width), np.float32)
        self.label = np.zeros((height, width), np.uint8)
        self.pools: list[tuple[float, float, float, float, float]] = []
        self.still_heat = self.heat
        self.still_albedo = self.albedo

    def keep_background(self) -> None:
        """Remember the scene as it is now, before objects stand in it: camouflage and printed things refer to it."""
        self.still_heat = self.heat.copy()
        height = self.heat.shape[0]
        # Half of the colour behind, half of the colours around: a silhouette without colour or outline of its own.
        reach = max(3, height // 14)
        self.still_albedo = 0.5 * self.albedo + 0.5 * cv2.blur(self.albedo, (2 * reach + 1, reach | 1))

    def fill(
        self,
        points: Points,
        colour: Sequence[float] | None = None,
        heat: float | None = None,
        light: Sequence[float] | float | None = None,
        label: int | None = None,
    ) -> None:
        """Fill a polygon on the layers that are given; a new colour also hides the light behind it.

        Args:
            points: Corners as (x, y) in drawing pixels.
            colour: Linear BGR reflectance.
            heat: Thermal radiance.
            light: Linear BGR emission; a number means white light.
            label: Class id.
        """
        corners = [np.rint(np.asarray(points) * float(1 << _SHIFT)).astype(np.int32)]
        if colour is not None:
            cv2.fillPoly(self.albedo, corners, tuple(float(c) for c in colour), cv2.LINE_8, _SHIFT)
            light = 0.0 if light is None else light
        if light is not None:
            light = (light,) * 3 if np.isscalar(light) else light
            cv2.fillPoly(self.light, corners, tuple(float(c) for c in light), cv2.LINE_8, _SHIFT)
        if heat is not None:
            cv2.fillPoly(self.heat, corners, float(heat), cv2.LINE_8, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.label, corners, int(label), cv2.LINE_8, _SHIFT)

    def region(self, shapes: Sequence[Points]) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Rasterise the union of polygons.

        Returns:
            The window that holds them and a boolean mask of the window's shape, or None when nothing is inside the
            drawing.
        """
        stacked = np.concatenate([np.asarray(s, np.float64) for s in shapes])
        height, width = self.heat.shape
        x0, y0 = np.maximum(np.floor(stacked.min(0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(stacked.max(0)).astype(int) + 2, (width, height))
        if x1 <= x0 or y1 <= y0:
            return None
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for shape in shapes:
            corners = np.round((np.asarray(shape, np.float64) - (x0, y0)) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(mask, [corners], 1, cv2.LINE_8, _SHIFT)
        return (slice(y0, y1), slice(x0, x1)), mask.astype(bool)

    def camouflage(self, shapes: Sequence[Points], gain: float) -> None:
        """Give the union of polygons the colours of its surroundings, times ``gain``, and no light of its own."""
        found = self.region(shapes)
        if found is None:
            return
        window, mask = found
        self.albedo[window][mask] = self.still_albedo[window][mask] * np.float32(gain)
        self.light[window][mask] = 0

    def chill(self, shapes: Sequence[Points], trace: float) -> None:
        """Give the union of polygons the temperature of the background behind it, plus ``trace``."""
        found = self.region(shapes)
        if found is None:
            return
        window, mask = found
        self.heat[window][mask] = self.still_heat[window][mask] + np.float32(trace)
