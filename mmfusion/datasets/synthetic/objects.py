"""The things that carry a label: people and animals, printed signs, vehicles.

Every drawing function takes the point where the object stands and ``unit``, the drawing pixels per metre there, so
that perspective is the caller's only concern. Heights and widths below are metres, or shares of the object's height.
"""

import numpy as np

from .canvas import Canvas, box, ellipse, limb, linear

BACKGROUND, WARM, PRINTED, VEHICLE = range(4)

# Heat of a body's parts (see Canvas.heat). Bare skin is warmest; clothes and fur keep part of it in.
SKIN_HEAT = (0.88, 0.97)
CLOTHES_HEAT = (0.74, 0.88)

# Heat of a vehicle's parts: paint a little above the road (0.40..0.50), glass mirrors the cold sky, tyres and engine
# are warm, exhaust and grille hot. No part alone tells it from warm distractors: its shape does.
BODY_HEAT = (0.50, 0.62)
GLASS_HEAT = 0.27
TYRE_HEAT = 0.70
ENGINE_HEAT = (0.66, 0.78)
HOT_HEAT = 0.93

# Retro-reflection of sign sheeting and road paint by night: linear light relative to a saturated sensor.
SIGN_RETRO = (0.30, 0.65)
MARK_RETRO = (0.10, 0.22)

# What infrared may still see of a printed thing: its emissivity differs a little from what is around it.
PRINTED_TRACE = 0.008

PAINTS = tuple(
    linear(c)
    for c in (
        (236, 238, 240),
        (196, 194, 190),
        (40, 38, 205),
        (190, 92, 32),
        (38, 36, 34),
        (40, 190, 235),
        (70, 130, 60),
    )
)
_WHITE, _BLACK, _RED = linear((238, 240, 242)), linear((28, 28, 30)), linear((36, 30, 205))
_BLUE, _GREEN, _YELLOW = linear((185, 92, 24)), linear((84, 122, 20)), linear((30, 200, 245))


def _place(points: np.ndarray, x: float, y: float, unit: float, mirror: float = 1.0) -> np.ndarray:
    """Local metres, y upwards, to drawing pixels."""
    return np.asarray(points) * (mirror * unit, -unit) + (x, y)


def draw_person(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, contrast: float) -> None:
    """Draw an upright person who walks or stands (label ``WARM``).

    Args:
        canvas: The drawing.
        rng: Source of the pose, the size and the clothes.
        x: Column of the point between the feet, drawing pixels.
        y: Row of the ground there.
        unit: Drawing pixels per metre.
        contrast: Relative difference of reflectance to the surroundings, 0..1; its sign is drawn.
    """
    size = rng.uniform(1.6, 1.9) * unit
    mirror = rng.choice((-1.0, 1.0))
    stride, lean, bend = rng.uniform(0.05, 0.5), rng.uniform(-0.02, 0.06), rng.uniform(0, 0.35)
    broad = rng.uniform(1.15, 1.5)
    upper, lower, skin = rng.uniform(*CLOTHES_HEAT), rng.uniform(*CLOTHES_HEAT), rng.uniform(*SKIN_HEAT)
    gain = 1 + contrast * rng.choice((-1.0, 1.0))
    hip, shoulder = np.array([0.0, 0.49]), np.array([lean, 0.80])
    parts = []
    for side, angle in ((0.03, stride), (-0.03, -stride)):
        start = hip + (side, 0)
        knee = start + 0.24 * np.array([np.sin(angle + bend * (angle < 0) * 0.4), -np.cos(angle)])
        foot = np.array([knee[0] + 0.25 * np.sin(angle - bend), 0.0])
        parts += [
            (limb(start, knee, 0.105 * broad, 0.085 * broad), lower),
            (limb(knee, foot, 0.085 * broad, 0.06 * broad), lower),
            (limb(foot, foot + (0.07, 0.012), 0.045, 0.03), lower - 0.08),
        ]
    chest = np.array(
        [
            (lean - 0.105 * broad, 0.82),
            (lean + 0.105 * broad, 0.82),
            (0.095 * broad, 0.62),
            (0.085 * broad, 0.45),
            (-0.085 * broad, 0.45),
            (-0.095 * broad, 0.62),
        ]
    )
    parts.append((chest, upper))
    for side, angle in ((0.10, -stride * 0.8), (-0.10, stride * 0.8)):
        start = shoulder + (side * broad, -0.01)
        elbow = start + 0.17 * np.array([np.sin(angle), -np.cos(angle)])
        hand = elbow + 0.17 * np.array([np.sin(angle + bend), -np.cos(angle + bend)])
        parts += [
            (limb(start, elbow, 0.06 * broad, 0.05 * broad), upper),
            (limb(elbow, hand, 0.05 * broad, 0.04), skin),
        ]
    parts += [
        (limb(shoulder, shoulder + (0.01, 0.07), 0.07, 0.06), skin),
        (ellipse(lean + 0.012, 0.925, 0.062, 0.078), skin),
    ]
    _draw_warm(canvas, parts, x, y, size, mirror, gain)


def draw_animal(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, contrast: float) -> None:
    """Draw a four-legged animal from the side, from a large dog to a deer (label ``WARM``); see ``draw_person``."""
    size = rng.uniform(0.95, 1.35) * unit  # height of the raised head
    mirror = rng.choice((-1.0, 1.0))
    swing, neck_lean = rng.uniform(0.05, 0.35), rng.uniform(0.10, 0.26)
    fur, skin = rng.uniform(*CLOTHES_HEAT), rng.uniform(*SKIN_HEAT)
    gain = 1 + contrast * rng.choice((-1.0, 1.0))
    half, back = rng.uniform(0.36, 0.46), 0.58
    head = np.array([half + neck_lean, 0.90])
    parts = []
    for root, angle in ((half - 0.06, swing), (half - 0.10, -swing), (0.08 - half, swing), (0.12 - half, -swing)):
        knee = np.array([root + 0.18 * np.sin(angle), 0.24])
        parts += [
            (limb((root, 0.50), knee, 0.15, 0.08), fur - 0.03),
            (limb(knee, (knee[0] - 0.06 * np.sin(angle), 0.0), 0.08, 0.055), fur - 0.07),
        ]
    parts += [
        (ellipse(0.0, back - 0.02, half + 0.05, 0.16), fur),
        (ellipse(half - 0.14, back, 0.18, 0.19), fur + 0.04),
        (limb((half - 0.04, back + 0.05), head, 0.24, 0.13), fur + 0.02),
        (limb(head - (0.05, -0.02), head + (0.19, -0.09), 0.16, 0.08), skin),
        (limb(head + (-0.03, 0.04), head + (-0.06, 0.15), 0.07, 0.02), skin),
        (limb((-half, back + 0.05), (-half - 0.12, back - 0.16), 0.06, 0.03), fur),
    ]
    _draw_warm(canvas, parts, x, y, size, mirror, gain)


def _draw_warm(canvas: Canvas, parts: list, x: float, y: float, size: float, mirror: float, gain: float) -> None:
    placed = [_place(points, x, y, size, mirror) for points, _ in parts]
    canvas.camouflage(placed, gain)
    for points, (_, heat) in zip(placed, parts):
        canvas.fill(points, heat=heat, label=WARM)


def draw_sign(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, night: bool) -> None:
    """Draw a traffic sign on a pole: warning, prohibition, stop, mandatory or direction sign (label ``PRINTED``).

    The pole is background and seen by both sensors; the plate has the temperature of what is behind it.
    """
    kind = rng.integers(6)
    size, height = rng.uniform(0.42, 0.56) * unit, rng.uniform(1.35, 2.1) * unit
    retro, trace = rng.uniform(*SIGN_RETRO) * night, rng.uniform(-1, 1) * PRINTED_TRACE
    top = y - height - 2 * size
    canvas.fill(
        box(x - 0.045 * unit, top + size, x + 0.045 * unit, y),
        colour=linear((128, 126, 124)),
        heat=_pole_heat(canvas, x, y),
    )
    cx, cy = x, y - height - size

    def around(corners: int, turn: float, radius: float) -> np.ndarray:
        angle = turn + 2 * np.pi * np.arange(corners) / corners
        return np.stack([cx + radius * np.sin(angle), cy - radius * np.cos(angle)], 1)

    if kind == 0:
        shapes = [
            (around(3, 0, 1.25 * size), _RED),
            (around(3, 0, 0.75 * size), _WHITE),
            (box(cx - 0.08 * size, cy - 0.4 * size, cx + 0.08 * size, cy + 0.25 * size), _BLACK),
        ]
    elif kind == 1:
        shapes = [
            (around(16, 0, size), _RED),
            (around(16, 0, 0.68 * size), _WHITE),
            (box(cx - 0.4 * size, cy - 0.14 * size, cx + 0.4 * size, cy + 0.14 * size), _BLACK),
        ]
    elif kind == 2:
        shapes = [
            (around(8, np.pi / 8, size), _RED),
            (box(cx - 0.6 * size, cy - 0.16 * size, cx + 0.6 * size, cy + 0.16 * size), _WHITE),
        ]
    elif kind == 3:
        arrow = np.array(
            [(-0.14, 0.6), (-0.14, -0.1), (-0.42, -0.1), (0, -0.62), (0.42, -0.1), (0.14, -0.1), (0.14, 0.6)]
        )
        shapes = [(around(16, 0, size), _BLUE), (arrow * size + (cx, cy), _WHITE)]
    elif kind == 4:
        shapes = [(around(4, 0, 1.2 * size), _WHITE), (around(4, 0, 0.85 * size), _YELLOW)]
    else:
        half = rng.uniform(1.3, 1.7) * size
        shapes = [(box(cx - half, cy - size, cx + half, cy + size), rng.choice([_BLUE, _GREEN]))]
        shapes += [
            (box(cx - 0.8 * half, cy + (row - 0.14) * size, cx + end * half, cy + (row + 0.14) * size), _WHITE)
            for row, end in ((-0.5, rng.uniform(0.1, 0.8)), (0.05, rng.uniform(0.1, 0.8)), (0.6, 0.0))
        ]
    _draw_printed(canvas, shapes, retro, trace)


def draw_poster(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, night: bool) -> None:
    """Draw a poster board on two posts, lit from within by night (label ``PRINTED``)."""
    half, tall, lift = rng.uniform(0.65, 1.0) * unit, rng.uniform(1.1, 1.5) * unit, rng.uniform(0.4, 0.7) * unit
    retro, trace = rng.uniform(*SIGN_RETRO) * night, rng.uniform(-1, 1) * PRINTED_TRACE
    for side in (-0.8, 0.8):
        canvas.fill(
            box(x + side * half - 0.04 * unit, y - lift - 0.2 * tall, x + side * half + 0.04 * unit, y),
            colour=linear((96, 94, 92)),
            heat=_pole_heat(canvas, x, y),
        )
    inks = rng.permutation(np.stack([_WHITE, _YELLOW, _RED, _BLUE, _GREEN]))
    x0, y0, x1, y1 = x - half, y - lift - tall, x + half, y - lift
    split = rng.uniform(0.3, 0.6)
    shapes = [
        (box(x0, y0, x1, y1), inks[0]),
        (box(x0 + 0.1 * half, y0 + 0.06 * tall, x1 - 0.1 * half, y0 + split * tall), inks[1]),
        (ellipse(x + rng.uniform(-0.4, 0.4) * half, y0 + 0.5 * split * tall, 0.35 * half, 0.18 * tall), inks[2]),
    ]
    shapes += [
        (box(x0 + 0.15 * half, y0 + row * tall, x0 + end * half, y0 + (row + 0.09) * tall), _BLACK)
        for row, end in ((split + 0.08, rng.uniform(1.2, 1.8)), (split + 0.24, rng.uniform(0.8, 1.8)))
    ]
    _draw_printed(canvas, shapes, retro, trace)


def draw_marks(canvas: Canvas, rng: np.random.Generator, shapes: list[np.ndarray], night: bool) -> None:
    """Draw white or yellow paint on the road (label ``PRINTED``): lane marks, arrows, zebra crossings."""
    ink = _YELLOW if rng.random() < 0.15 else _WHITE * rng.uniform(0.7, 1.0)
    retro = rng.uniform(*MARK_RETRO) * night
    _draw_printed(canvas, [(shape, ink) for shape in shapes], retro, rng.uniform(-1, 1) * PRINTED_TRACE)


def _pole_heat(canvas: Canvas, x: float, y: float) -> float:
    """A little colder than the ground it stands in, which may have crossed over."""
    height, width = canvas.still_heat.shape
    return float(canvas.still_heat[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)]) - 0.04


def _draw_printed(canvas: Canvas, shapes: list, retro: float, trace: float) -> None:
    if not shapes:
        return
    canvas.chill([points for points, _ in shapes], trace)
    for points, ink in shapes:
        canvas.fill(points, colour=ink, light=retro * ink, label=PRINTED)
