"""Cars and vans, seen from the side, from the front and from behind (label ``VEHICLE``)."""

from collections.abc import Callable, Sequence

import numpy as np

from .canvas import Canvas, box, ellipse, linear
from .objects import (
    BODY_HEAT,
    ENGINE_HEAT,
    GLASS_HEAT,
    HOT_HEAT,
    PAINTS,
    TYRE_HEAT,
    VEHICLE,
)

_GLASS, _TYRE, _DARK = linear((72, 62, 54)), linear((30, 30, 30)), linear((46, 46, 46))
_HEAD_LIGHT, _TAIL_LIGHT = np.array([0.85, 0.95, 1.0]), np.array([0.06, 0.05, 1.0])
_LAMP_GLASS, _TAIL_GLASS = linear((200, 205, 210)), linear((40, 30, 160))

HEAD_LIGHT, TAIL_LIGHT = 5.0, 1.3
"""Emission of lights by night, relative to a saturated sensor (see ``Canvas.light``)."""
GLARE = 10.0
"""By how much brighter a full beam is."""
NIGHT_SHEEN = (0.035, 0.07)
"""What roof and shoulders mirror of the night sky and of lamps: the faint outline of a vehicle in the dark."""

# Outlines in shares of length and height, nose to the right, y upwards: (body, windows).
_SALOON = (
    (
        (-0.50, 0.22),
        (-0.50, 0.56),
        (-0.46, 0.64),
        (-0.33, 0.67),
        (-0.22, 0.98),
        (0.06, 1.0),
        (0.22, 0.66),
        (0.44, 0.58),
        (0.50, 0.48),
        (0.50, 0.22),
    ),
    (
        ((-0.29, 0.67), (-0.20, 0.93), (-0.07, 0.94), (-0.07, 0.67)),
        ((-0.04, 0.67), (-0.04, 0.94), (0.05, 0.94), (0.17, 0.67)),
    ),
)
_HATCHBACK = (
    ((-0.50, 0.22), (-0.50, 0.60), (-0.42, 0.97), (0.04, 1.0), (0.24, 0.68), (0.45, 0.60), (0.50, 0.48), (0.50, 0.22)),
    (
        ((-0.44, 0.66), (-0.37, 0.92), (-0.14, 0.94), (-0.14, 0.66)),
        ((-0.11, 0.66), (-0.11, 0.94), (0.03, 0.94), (0.18, 0.66)),
    ),
)
_VAN = (
    ((-0.50, 0.17), (-0.50, 0.97), (-0.47, 1.0), (0.26, 1.0), (0.40, 0.62), (0.48, 0.54), (0.50, 0.44), (0.50, 0.17)),
    (((0.10, 0.60), (0.10, 0.90), (0.24, 0.90), (0.34, 0.60)),),
)
_TYPES = ((_SALOON, 4.3, 1.48), (_HATCHBACK, 3.8, 1.52), (_VAN, 4.9, 2.15))

# Both ends, in shares of half the width and of the height.
_LAMP_SIDES, _LAMP_HEIGHT = (-0.74, 0.74), 0.47

_Place = Callable[[np.ndarray | Sequence], np.ndarray]
"""Shares of a vehicle to drawing pixels."""


def _draw_body(
    canvas: Canvas, rng: np.random.Generator, outline: np.ndarray, night: bool, unit: float, heat: float
) -> None:
    paint = PAINTS[rng.integers(len(PAINTS))] * rng.uniform(0.8, 1.0)
    sheen = rng.uniform(*NIGHT_SHEEN)
    canvas.fill(outline, colour=paint, heat=heat, label=VEHICLE)
    if night:
        # The upper edge mirrors the sky: what is above the outline's middle, minus the same shape a little lower.
        middle = outline[:, 1].mean()
        canvas.fill(outline, light=sheen)
        canvas.fill(np.where(outline[:, 1:] < middle, outline + (0, 0.12 * unit), outline), light=0.006 + 0.03 * paint)


def _draw_wheel(canvas: Canvas, x: float, y: float, radius: float, night: bool) -> None:
    canvas.fill(ellipse(x, y, radius, radius), colour=_TYRE, heat=TYRE_HEAT, label=VEHICLE)
    canvas.fill(
        ellipse(x, y, 0.5 * radius, 0.5 * radius),
        colour=linear((150, 150, 150)),
        heat=TYRE_HEAT + 0.12,
        light=0.03 * night,
    )


def draw_vehicle_side(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, night: bool, glare: bool
) -> None:
    """Draw a vehicle from the side.

    Args:
        canvas: The drawing.
        rng: Source of type, paint and direction.
        x: Column of the vehicle's middle, drawing pixels.
        y: Row of the ground under it.
        unit: Drawing pixels per metre.
        night: Lights are on.
        glare: The head lights are full beams: from the side, a larger patch of lit road.

    Example:
        >>> canvas = Canvas(60, 120)
        >>> draw_vehicle_side(canvas, np.random.default_rng(0), 60, 50, unit=20, night=True, glare=False)
        >>> car = canvas.label == VEHICLE
        >>> bool(canvas.heat[car].max() > 0.9), bool(canvas.light[car].max() > 2)  # Exhaust and head light.
        (True, True)
    """
    (body, windows), length, height = _TYPES[rng.integers(len(_TYPES))]
    mirror = rng.choice((-1.0, 1.0))
    engine, skin = rng.uniform(*ENGINE_HEAT), rng.uniform(*BODY_HEAT)
    size = np.array([length * unit, height * unit])

    def place(points: np.ndarray | Sequence) -> np.ndarray:
        return np.asarray(points) * size * (mirror, -1) + (x, y)

    canvas.fill(ellipse(x, y - 0.02 * unit, 0.52 * size[0], 0.16 * unit), colour=linear((34, 34, 34)), heat=0.53)
    outline = place(body)
    _draw_body(canvas, rng, outline, night, unit, skin)
    canvas.fill(place([(0.20, 0.26), (0.20, 0.60), (0.45, 0.56), (0.48, 0.26)]), heat=engine)
    canvas.fill(place([(-0.5, 0.17), (-0.5, 0.27), (0.5, 0.27), (0.5, 0.17)]), colour=_DARK, label=VEHICLE)
    for window in windows:
        canvas.fill(place(window), colour=_GLASS, heat=GLASS_HEAT, light=0.02 * night)
    radius = 0.34 * unit
    for share in (-0.30, 0.31):
        wheel_x, wheel_y = place((share, 0.0)) - (0, radius)
        _draw_wheel(canvas, wheel_x, wheel_y, radius, night)
    canvas.fill(
        place([(-0.53, 0.08), (-0.53, 0.18), (-0.42, 0.18), (-0.42, 0.08)]), colour=_DARK, heat=HOT_HEAT, label=VEHICLE
    )
    (front_x, front_y), (rear_x, rear_y) = place((0.475, 0.45)), place((-0.485, 0.52))
    lamp = 0.13 * unit
    canvas.fill(ellipse(front_x, front_y, lamp, lamp), colour=_LAMP_GLASS, light=_HEAD_LIGHT * HEAD_LIGHT * night * 0.6)
    canvas.fill(
        ellipse(rear_x, rear_y, 0.7 * lamp, 1.2 * lamp), colour=_TAIL_GLASS, light=_TAIL_LIGHT * TAIL_LIGHT * night
    )
    canvas.pools.append((x + mirror * 0.85 * size[0], y, (1.8 if glare else 1.3) * unit, 0.35 * unit, 0.5))


def draw_vehicle_end(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, night: bool, glare: bool, front: bool
) -> None:
    """Draw a vehicle from the front or from behind; see ``draw_vehicle_side``.

    Args:
        canvas: The drawing.
        rng: Source of type and paint.
        x: Column of the vehicle's middle, drawing pixels.
        y: Row of the ground under it.
        unit: Drawing pixels per metre.
        night: Lights are on.
        glare: The head lights are full beams (front only).
        front: Front with head lights and a hot grille, else rear with tail lights, exhaust and plate.

    Example:
        >>> def brightest(front):
        ...     canvas = Canvas(60, 60)
        ...     draw_vehicle_end(canvas, np.random.default_rng(0), 30, 50, 20, night=True, glare=False, front=front)
        ...     return canvas.light.max(axis=(0, 1)).round(1).astype(float).tolist()
        >>> [round(value, 1) for value in brightest(front=True)]  # Blue, green, red: white head lights,
        [4.2, 4.8, 5.0]
        >>> [round(value, 1) for value in brightest(front=False)]  # and red tail lights.
        [0.1, 0.1, 1.3]
    """
    van = rng.random() < 0.3
    half, height = (0.95, 2.1) if van else (rng.uniform(0.84, 0.92), rng.uniform(1.42, 1.55))
    skin, engine = rng.uniform(*BODY_HEAT), rng.uniform(*ENGINE_HEAT)

    def place(points: np.ndarray | Sequence) -> np.ndarray:
        return np.asarray(points) * (half * unit, -height * unit) + (x, y)

    canvas.fill(ellipse(x, y - 0.02 * unit, 1.05 * half * unit, 0.14 * unit), colour=linear((34, 34, 34)), heat=0.55)
    for side in (-1, 1):
        canvas.fill(
            place([(side * 0.62, 0.0), (side * 0.94, 0.0), (side * 0.94, 0.26), (side * 0.62, 0.26)]),
            colour=_TYRE,
            heat=TYRE_HEAT,
            label=VEHICLE,
        )
    shoulder, roof = (0.66, 0.88) if van else (0.60, 0.66)
    outline = place(
        [
            (-0.98, 0.14),
            (-1.0, 0.50),
            (-0.95, shoulder),
            (-roof, 0.97),
            (-roof + 0.1, 1.0),
            (roof - 0.1, 1.0),
            (roof, 0.97),
            (0.95, shoulder),
            (1.0, 0.50),
            (0.98, 0.14),
        ]
    )
    _draw_body(canvas, rng, outline, night, unit, skin)
    canvas.fill(
        place([(-0.84, shoulder), (-roof + 0.08, 0.93), (roof - 0.08, 0.93), (0.84, shoulder)]),
        colour=_GLASS,
        heat=GLASS_HEAT,
        light=0.02 * night,
    )
    canvas.fill(place([(-0.96, 0.14), (-0.96, 0.22), (0.96, 0.22), (0.96, 0.14)]), colour=_DARK, label=VEHICLE)
    if front:
        _draw_front(canvas, place, shoulder, unit, engine, night, glare)
    else:
        _draw_rear(canvas, place, unit, night)
    canvas.pools.append((x, y + 0.25 * unit, 1.6 * unit, 0.4 * unit, 0.5 if front else 0.08))


def _draw_front(
    canvas: Canvas, place: _Place, shoulder: float, unit: float, engine: float, night: bool, glare: bool
) -> None:
    """Bonnet, grille and head lights."""
    canvas.fill(place([(-0.9, 0.42), (-0.86, shoulder - 0.02), (0.86, shoulder - 0.02), (0.9, 0.42)]), heat=engine)
    canvas.fill(place([(-0.42, 0.26), (-0.42, 0.44), (0.42, 0.44), (0.42, 0.26)]), colour=_DARK, heat=HOT_HEAT - 0.06)
    lamp = 0.15 * unit
    power = _HEAD_LIGHT * HEAD_LIGHT * (GLARE if glare else 1.0)
    for side in _LAMP_SIDES:
        lamp_x, lamp_y = place((side, _LAMP_HEIGHT))
        canvas.fill(ellipse(lamp_x, lamp_y, 1.1 * lamp, lamp), colour=_LAMP_GLASS, light=power * night)


def _draw_rear(canvas: Canvas, place: _Place, unit: float, night: bool) -> None:
    """Plate, exhaust and tail lights."""
    canvas.fill(
        place([(-0.25, 0.30), (-0.25, 0.42), (0.25, 0.42), (0.25, 0.30)]),
        colour=linear((214, 220, 222)),
        light=0.05 * night,
    )
    exhaust_x, exhaust_y = place((-0.55, 0.13))
    canvas.fill(ellipse(exhaust_x, exhaust_y, 0.13 * unit, 0.10 * unit), colour=_DARK, heat=HOT_HEAT, label=VEHICLE)
    lamp = 0.15 * unit
    power = _TAIL_LIGHT * TAIL_LIGHT
    for side in _LAMP_SIDES:
        lamp_x, lamp_y = place((side, _LAMP_HEIGHT))
        shape = box(lamp_x - lamp, lamp_y - lamp, lamp_x + lamp, lamp_y + lamp)
        canvas.fill(shape, colour=_TAIL_GLASS, light=power * night)
