"""The drawing surface of a synthetic scene: what light a point reflects and emits, how warm it is, what it is."""

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

SUPERSAMPLING = 2
"""Scenes are drawn at this multiple of the image size and averaged down, which smooths the edges of polygons."""

_SHIFT = 4  # fractional bits of the polygon coordinates given to OpenCV

Colour = np.ndarray | Sequence[float]
"""Blue, green, red."""
Points = np.ndarray | Sequence[Sequence[float]]
"""Corners of a polygon (N, 2) as x, y."""


def linear(bgr: Colour) -> np.ndarray:
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

    Example:
        >>> field = smooth_noise(np.random.default_rng(0), (60, 60), [(6, 6)])
        >>> step = np.abs(np.diff(field)).mean()  # Between neighbours: ten pixels share one independent value.
        >>> round(float(field.std()), 1), bool(step < 0.15 * field.std())
        (0.6, True)
    """
    field = np.zeros(shape, np.float32)
    for rows, columns in cells:
        coarse = rng.standard_normal((max(rows, 2), max(columns, 2)), dtype=np.float32)
        field += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return field / np.float32(np.sqrt(len(cells)))


def ellipse(x: float, y: float, rx: float, ry: float, corners: int = 14) -> np.ndarray:
    """Corners of a polygon inscribed in an axis-parallel ellipse, shape (corners, 2) as x, y.

    Example:
        >>> ellipse(10, 20, 3, 2, corners=4).round(6).tolist()
        [[13.0, 20.0], [10.0, 22.0], [7.0, 20.0], [10.0, 18.0]]
    """
    return _circle(corners) * (rx, ry) + (x, y)


def _scalars(colour: Colour | float) -> tuple[float, ...]:
    """A colour as OpenCV takes it; a number is a grey."""
    if isinstance(colour, (int, float)):
        return (float(colour),) * 3
    return tuple(float(value) for value in colour)


@lru_cache
def _circle(corners: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Corners of an axis-parallel rectangle, shape (4, 2) as x, y.

    Example:
        >>> box(0, 1, 4, 3).tolist()
        [[0.0, 1.0], [4.0, 1.0], [4.0, 3.0], [0.0, 3.0]]
    """
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)


def limb(
    start: np.ndarray | Sequence[float], end: np.ndarray | Sequence[float], width: float, end_width: float
) -> np.ndarray:
    """Corners of a tapering bar between two points, shape (4, 2) as x, y; widths in the unit of the points.

    Example:
        >>> limb((0, 0), (10, 0), width=4, end_width=2).tolist()
        [[0.0, 2.0], [10.0, 1.0], [10.0, -1.0], [0.0, -2.0]]
    """
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

    Example:
        >>> canvas = Canvas(height=40, width=60)
        >>> canvas.fill(box(0, 0, 59, 39), colour=(0.5, 0.5, 0.5), heat=0.3)
        >>> canvas.fill(box(10, 10, 19, 19), heat=0.9, label=1)  # Hot, without a colour: visible light sees no change.
        >>> round(float(canvas.heat[15, 15]), 3), canvas.albedo[15, 15].tolist(), int((canvas.label == 1).sum())
        (0.9, [0.5, 0.5, 0.5], 100)
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
        colour: Colour | None = None,
        heat: float | None = None,
        light: Colour | float | None = None,
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
            cv2.fillPoly(self.albedo, corners, _scalars(colour), cv2.LINE_8, _SHIFT)
            light = 0.0 if light is None else light
        if light is not None:
            cv2.fillPoly(self.light, corners, _scalars(light), cv2.LINE_8, _SHIFT)
        if heat is not None:
            cv2.fillPoly(self.heat, corners, float(heat), cv2.LINE_8, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.label, corners, int(label), cv2.LINE_8, _SHIFT)

    def region(self, shapes: Sequence[Points]) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Rasterise the union of polygons.

        Returns:
            The window that holds them and a boolean mask of the window's shape, or None when nothing is inside the
            drawing.

        Example:
            >>> window, mask = Canvas(40, 60).region([box(4, 2, 7, 5), box(6, 2, 9, 5)])
            >>> window, int(mask.sum())
            ((slice(1, 7, None), slice(3, 11, None)), 24)
            >>> Canvas(40, 60).region([box(70, 0, 80, 9)]) is None
            True
        """
        stacked = np.concatenate([np.asarray(shape, np.float64) for shape in shapes])
        height, width = self.heat.shape
        x0, y0 = np.maximum(np.floor(stacked.min(0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(stacked.max(0)).astype(int) + 2, (width, height))
        if x1 <= x0 or y1 <= y0:
            return None
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for shape in shapes:
            corners = np.round((np.asarray(shape, np.float64) - (x0, y0)) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(mask, [corners], 1, cv2.LINE_8, _SHIFT)
        return (slice(int(y0), int(y1)), slice(int(x0), int(x1))), mask.astype(bool)

    def camouflage(self, shapes: Sequence[Points], gain: float) -> None:
        """Give the union of polygons the colours of its surroundings, times ``gain``, and no light of its own.

        Example:
            >>> canvas = Canvas(40, 60)
            >>> canvas.fill(box(0, 0, 59, 39), colour=(0.25, 0.5, 0.5))
            >>> canvas.keep_background()
            >>> canvas.camouflage([box(20, 10, 29, 19)], gain=1.5)
            >>> canvas.albedo[15, 25].tolist(), canvas.albedo[15, 35].tolist()
            ([0.375, 0.75, 0.75], [0.25, 0.5, 0.5])
        """
        found = self.region(shapes)
        if found is None:
            return
        window, mask = found
        self.albedo[window][mask] = self.still_albedo[window][mask] * np.float32(gain)
        self.light[window][mask] = 0

    def chill(self, shapes: Sequence[Points], trace: float) -> None:
        """Give the union of polygons the temperature of the background behind it, plus ``trace``.

        Example:
            >>> canvas = Canvas(40, 60)
            >>> canvas.fill(box(0, 0, 59, 39), heat=0.4)
            >>> canvas.keep_background()
            >>> canvas.fill(box(20, 10, 29, 19), heat=0.9)  # A warm post,
            >>> canvas.chill([box(20, 10, 29, 19)], trace=0.01)  # and a sheet of metal that hides it.
            >>> round(float(canvas.heat[15, 25]), 3)
            0.41
        """
        found = self.region(shapes)
        if found is None:
            return
        window, mask = found
        self.heat[window][mask] = self.still_heat[window][mask] + np.float32(trace)
