"""The things that carry a label: people and animals, printed signs, vehicles.

Every drawing function takes the point where the object stands and ``unit``, the drawing pixels per metre there, so
that perspective is the caller's only concern. Heights and widths below are metres, or shares of the object's height.
"""

import numpy as np

from .canvas import Canvas, Points, box, ellipse, limb, linear

BACKGROUND, WARM, PRINTED, VEHICLE = range(4)

# Heat of a body (see Canvas.heat). Bare skin is warmest; clothes and fur keep some of it in.
SKIN_HEAT = (0.88, 0.97)
CLOTHES_HEAT = (0.74, 0.88)

# Heat of a vehicle: paint a little above the road (0.40..0.50), glass mirrors the cold sky, tyres and engine are warm,
# exhaust and grille hot. None of them alone tells it from warm distractors: its shape does.
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
    linear(bgr)
    for bgr in (
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

_WarmShapes = list[tuple[np.ndarray, float]]
"""Polygons of a body in local metres, with their heat."""
_PrintedShapes = list[tuple[np.ndarray, np.ndarray]]
"""Polygons of a print in drawing pixels, with their ink."""


def _place(points: Points, x: float, y: float, unit: float, mirror: float = 1.0) -> np.ndarray:
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

    Example:
        >>> canvas = Canvas(80, 60)
        >>> canvas.fill(box(0, 0, 59, 79), colour=(0.5, 0.5, 0.5), heat=0.3)
        >>> canvas.keep_background()
        >>> draw_person(canvas, np.random.default_rng(0), x=30, y=75, unit=38, contrast=0.1)
        >>> body = canvas.label == WARM
        >>> bool(canvas.heat[body].min() > 0.6), round(float(canvas.albedo[body].mean()), 2)  # Here 0.1 darker.
        (True, 0.45)
    """
    size = rng.uniform(1.6, 1.9) * unit
    mirror = rng.choice((-1.0, 1.0))
    stride, lean, bend = rng.uniform(0.05, 0.5), rng.uniform(-0.02, 0.06), rng.uniform(0, 0.35)
    broad = rng.uniform(1.15, 1.5)
    upper, lower, skin = rng.uniform(*CLOTHES_HEAT), rng.uniform(*CLOTHES_HEAT), rng.uniform(*SKIN_HEAT)
    gain = 1 + contrast * rng.choice((-1.0, 1.0))
    hip, shoulder = np.array([0.0, 0.49]), np.array([lean, 0.80])
    shapes: _WarmShapes = []
    for side, angle in ((0.03, stride), (-0.03, -stride)):
        start = hip + (side, 0)
        knee = start + 0.24 * np.array([np.sin(angle + bend * (angle < 0) * 0.4), -np.cos(angle)])
        foot = np.array([knee[0] + 0.25 * np.sin(angle - bend), 0.0])
        shapes += [
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
    shapes.append((chest, upper))
    for side, angle in ((0.10, -stride * 0.8), (-0.10, stride * 0.8)):
        start = shoulder + (side * broad, -0.01)
        elbow = start + 0.17 * np.array([np.sin(angle), -np.cos(angle)])
        hand = elbow + 0.17 * np.array([np.sin(angle + bend), -np.cos(angle + bend)])
        shapes += [
            (limb(start, elbow, 0.06 * broad, 0.05 * broad), upper),
            (limb(elbow, hand, 0.05 * broad, 0.04), skin),
        ]
    shapes += [
        (limb(shoulder, shoulder + (0.01, 0.07), 0.07, 0.06), skin),
        (ellipse(lean + 0.012, 0.925, 0.062, 0.078), skin),
    ]
    _draw_warm(canvas, shapes, x, y, size, mirror, gain)


def draw_animal(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, contrast: float) -> None:
    """Draw a four-legged animal from the side, from a large dog to a deer (label ``WARM``); see ``draw_person``.

    Example:
        >>> canvas = Canvas(80, 90)
        >>> canvas.fill(box(0, 0, 89, 79), colour=(0.5, 0.5, 0.5), heat=0.3)
        >>> canvas.keep_background()
        >>> draw_animal(canvas, np.random.default_rng(0), x=45, y=75, unit=50, contrast=0)  # Without any contrast,
        >>> bool((canvas.label == WARM).any()), float(np.ptp(canvas.albedo))  # visible light shows nothing.
        (True, 0.0)
    """
    size = rng.uniform(0.95, 1.35) * unit  # height of the raised head
    mirror = rng.choice((-1.0, 1.0))
    swing, neck_lean = rng.uniform(0.05, 0.35), rng.uniform(0.10, 0.26)
    fur, skin = rng.uniform(*CLOTHES_HEAT), rng.uniform(*SKIN_HEAT)
    gain = 1 + contrast * rng.choice((-1.0, 1.0))
    half, back = rng.uniform(0.36, 0.46), 0.58
    head = np.array([half + neck_lean, 0.90])
    shapes: _WarmShapes = []
    for root, angle in ((half - 0.06, swing), (half - 0.10, -swing), (0.08 - half, swing), (0.12 - half, -swing)):
        knee = np.array([root + 0.18 * np.sin(angle), 0.24])
        shapes += [
            (limb((root, 0.50), knee, 0.15, 0.08), fur - 0.03),
            (limb(knee, (knee[0] - 0.06 * np.sin(angle), 0.0), 0.08, 0.055), fur - 0.07),
        ]
    shapes += [
        (ellipse(0.0, back - 0.02, half + 0.05, 0.16), fur),
        (ellipse(half - 0.14, back, 0.18, 0.19), fur + 0.04),
        (limb((half - 0.04, back + 0.05), head, 0.24, 0.13), fur + 0.02),
        (limb(head - (0.05, -0.02), head + (0.19, -0.09), 0.16, 0.08), skin),
        (limb(head + (-0.03, 0.04), head + (-0.06, 0.15), 0.07, 0.02), skin),
        (limb((-half, back + 0.05), (-half - 0.12, back - 0.16), 0.06, 0.03), fur),
    ]
    _draw_warm(canvas, shapes, x, y, size, mirror, gain)


def _draw_warm(
    canvas: Canvas, shapes: _WarmShapes, x: float, y: float, size: float, mirror: float, gain: float
) -> None:
    placed = [_place(points, x, y, size, mirror) for points, _ in shapes]
    canvas.camouflage(placed, gain)
    for points, (_, heat) in zip(placed, shapes):
        canvas.fill(points, heat=heat, label=WARM)


def draw_sign(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, night: bool) -> None:
    """Draw a traffic sign on a pole: warning, prohibition, stop, mandatory or direction sign (label ``PRINTED``).

    The pole is background and seen by both sensors; the plate has the temperature of what is behind it.

    Example:
        >>> canvas = Canvas(120, 60)
        >>> canvas.fill(box(0, 0, 59, 119), colour=(0.2, 0.2, 0.2), heat=0.4)
        >>> canvas.keep_background()
        >>> draw_sign(canvas, np.random.default_rng(0), x=30, y=110, unit=30, night=False)
        >>> plate = canvas.label == PRINTED
        >>> bool(abs(canvas.heat[plate] - 0.4).max() <= PRINTED_TRACE + 1e-6), bool(np.ptp(canvas.albedo[plate]) > 0.7)
        (True, True)
    """
    design = rng.integers(6)
    size, height = rng.uniform(0.42, 0.56) * unit, rng.uniform(1.35, 2.1) * unit
    retro, trace = rng.uniform(*SIGN_RETRO) * night, rng.uniform(-1, 1) * PRINTED_TRACE
    top = y - height - 2 * size
    canvas.fill(
        box(x - 0.045 * unit, top + size, x + 0.045 * unit, y),
        colour=linear((128, 126, 124)),
        heat=_pole_heat(canvas, x, y),
    )
    middle = x, y - height - size
    if design < len(_SIGN_FACES):
        shapes = _SIGN_FACES[design](*middle, size)
    else:
        shapes = _direction_face(rng, *middle, size)
    _draw_printed(canvas, shapes, retro, trace)


def _regular(corners: int, cx: float, cy: float, radius: float, turn: float = 0.0) -> np.ndarray:
    """Corners of a regular polygon; without a turn the first of them is on top."""
    angle = turn + 2 * np.pi * np.arange(corners) / corners
    return np.stack([cx + radius * np.sin(angle), cy - radius * np.cos(angle)], 1)


def _warning_face(cx: float, cy: float, size: float) -> _PrintedShapes:
    return [
        (_regular(3, cx, cy, 1.25 * size), _RED),
        (_regular(3, cx, cy, 0.75 * size), _WHITE),
        (box(cx - 0.08 * size, cy - 0.4 * size, cx + 0.08 * size, cy + 0.25 * size), _BLACK),
    ]


def _prohibition_face(cx: float, cy: float, size: float) -> _PrintedShapes:
    return [
        (_regular(16, cx, cy, size), _RED),
        (_regular(16, cx, cy, 0.68 * size), _WHITE),
        (box(cx - 0.4 * size, cy - 0.14 * size, cx + 0.4 * size, cy + 0.14 * size), _BLACK),
    ]


def _stop_face(cx: float, cy: float, size: float) -> _PrintedShapes:
    return [
        (_regular(8, cx, cy, size, turn=np.pi / 8), _RED),
        (box(cx - 0.6 * size, cy - 0.16 * size, cx + 0.6 * size, cy + 0.16 * size), _WHITE),
    ]


def _mandatory_face(cx: float, cy: float, size: float) -> _PrintedShapes:
    arrow = np.array([(-0.14, 0.6), (-0.14, -0.1), (-0.42, -0.1), (0, -0.62), (0.42, -0.1), (0.14, -0.1), (0.14, 0.6)])
    return [(_regular(16, cx, cy, size), _BLUE), (arrow * size + (cx, cy), _WHITE)]


def _priority_face(cx: float, cy: float, size: float) -> _PrintedShapes:
    return [(_regular(4, cx, cy, 1.2 * size), _WHITE), (_regular(4, cx, cy, 0.85 * size), _YELLOW)]


_SIGN_FACES = (_warning_face, _prohibition_face, _stop_face, _mandatory_face, _priority_face)
"""Signs that look alike wherever they stand; a direction sign has its own width, colour and text."""


def _direction_face(rng: np.random.Generator, cx: float, cy: float, size: float) -> _PrintedShapes:
    half = rng.uniform(1.3, 1.7) * size
    board = box(cx - half, cy - size, cx + half, cy + size), rng.choice([_BLUE, _GREEN])
    lines_of_text = ((-0.5, rng.uniform(0.1, 0.8)), (0.05, rng.uniform(0.1, 0.8)), (0.6, 0.0))
    text = [
        (box(cx - 0.8 * half, cy + (row - 0.14) * size, cx + end * half, cy + (row + 0.14) * size), _WHITE)
        for row, end in lines_of_text
    ]
    return [board, *text]


def draw_poster(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, night: bool) -> None:
    """Draw a poster board on two posts, lit from within by night (label ``PRINTED``).

    Example:
        >>> canvas = Canvas(100, 80)
        >>> canvas.keep_background()
        >>> draw_poster(canvas, np.random.default_rng(0), x=40, y=90, unit=30, night=True)
        >>> bool(canvas.light[canvas.label == PRINTED].mean() > 0.05), float(canvas.light[canvas.label == 0].max())
        (True, 0.0)
    """
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
    """Draw white or yellow paint on the road (label ``PRINTED``): lane marks, arrows, zebra crossings.

    Example:
        >>> canvas = Canvas(40, 60)
        >>> draw_marks(canvas, np.random.default_rng(0), [box(5, 10, 14, 19), box(25, 10, 34, 19)], night=False)
        >>> int((canvas.label == PRINTED).sum()), bool(canvas.albedo[15, 10].min() > 0.6)
        (200, True)
    """
    ink = _YELLOW if rng.random() < 0.15 else _WHITE * rng.uniform(0.7, 1.0)
    retro = rng.uniform(*MARK_RETRO) * night
    _draw_printed(canvas, [(shape, ink) for shape in shapes], retro, rng.uniform(-1, 1) * PRINTED_TRACE)


def _pole_heat(canvas: Canvas, x: float, y: float) -> float:
    """A little colder than the ground it stands in, which may have crossed over."""
    height, width = canvas.still_heat.shape
    row, column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
    return float(canvas.still_heat[row, column]) - 0.04


def _draw_printed(canvas: Canvas, shapes: _PrintedShapes, retro: float, trace: float) -> None:
    if not shapes:
        return
    canvas.chill([points for points, _ in shapes], trace)
    for points, ink in shapes:
        canvas.fill(points, colour=ink, light=retro * ink, label=PRINTED)
