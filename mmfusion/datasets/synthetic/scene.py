"""One scene from its random streams: who stands where, drawn from far to near and seen by two sensors."""

from dataclasses import dataclass

import cv2
import numpy as np

from .backdrop import Camera, Ground, cross_over, draw_backdrop, draw_vents
from .canvas import SUPERSAMPLING, Canvas
from .objects import draw_animal, draw_marks, draw_person, draw_poster, draw_sign
from .sensors import infrared_image, visible_image
from .vehicles import draw_vehicle_end, draw_vehicle_side

NUM_CLASSES = 4
ABSENT = 0.03
"""Chance that a scene lacks a class, for each of the three object classes."""
SHARES = dict(warm=(0.025, 0.055), printed=(0.022, 0.050), vehicle=(0.055, 0.105))
"""Objects of a class are added until they cover about this share of the image."""
MAX_OBJECTS = dict(warm=6, printed=4, vehicle=3)
MAX_OVERLAP = 0.22
"""How much of the smaller of two objects' boxes the other may cover."""
_ATTEMPTS = 30


@dataclass(frozen=True)
class SceneOptions:
    """How hard the scenes are; every value can be checked without drawing one.

    Attributes:
        noise_level: Multiplies every noise of both sensors, >= 0; 0 is free of noise.
        camouflage_contrast: Relative difference between the reflectance of warm objects and of their surroundings,
            0..1; 0 leaves no more than a blurred patch.
        crossover_fraction: Share of scenes with thermal crossover (land nearly as warm as bodies, contrast partly
            inverted), 0..1.
        glare_fraction: Share of scenes with glare: full beams by night, a low sun by day, 0..1.
        max_distractors: Up to this many warm covers and vents in the ground that are background, >= 0.
    """

    noise_level: float = 1.0
    camouflage_contrast: float = 0.10
    crossover_fraction: float = 0.2
    glare_fraction: float = 0.25
    max_distractors: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.noise_level <= 10:
            raise ValueError(f'noise_level must be in 0..10 (1 is the usual sensor), got {self.noise_level!r}')
        for name in ('camouflage_contrast', 'crossover_fraction', 'glare_fraction'):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f'{name} must be in 0..1, got {value!r}')
        if not isinstance(self.max_distractors, int) or self.max_distractors < 0:
            raise ValueError(f'max_distractors must be an integer >= 0, got {self.max_distractors!r}')


_Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class _Thing:
    """Something to draw: what, where, how large, and the seed of its own look."""

    kind: str
    x: float
    y: float
    unit: float
    seed: int


def render_scene(
    seed: np.random.SeedSequence, size: tuple[int, int], night: bool, options: SceneOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene and take both pictures of it.

    Layout, difficulty and the two sensors have random streams of their own: the same seed gives the same labels by day
    and by night and at every noise level.

    Args:
        seed: Fixes the scene.
        size: Height and width of the images, pixels.
        night: By night, else by day.
        options: How hard it is.

    Returns:
        The pair, (H, W, 4) uint8 in the order blue, green, red, infrared, and the labels, (H, W) uint8.

    Example:
        >>> pair, label = render_scene(np.random.SeedSequence(3), (96, 128), True, SceneOptions())
        >>> pair.shape, label.shape, np.unique(label).tolist()
        ((96, 128, 4), (96, 128), [0, 1, 2, 3])
    """
    layout, trouble, visible, infrared = (np.random.default_rng(s) for s in _children(seed, 4))
    crossover = trouble.random() < options.crossover_fraction
    glare = trouble.random() < options.glare_fraction
    lift, vents = trouble.uniform(0.14, 0.20), trouble.random()
    height, width = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
    camera = Camera(
        width,
        height,
        horizon=height * layout.uniform(0.30, 0.40),
        vanishing=width * layout.uniform(0.38, 0.62),
        focal=height * layout.uniform(1.15, 1.3),
        eye=layout.uniform(1.9, 2.3),
    )
    canvas = Canvas(height, width)
    ground = draw_backdrop(canvas, layout, camera, night)
    if crossover:
        cross_over(canvas, lift)
    draw_vents(canvas, trouble, camera, int(vents * (options.max_distractors + 1)))
    canvas.keep_background()
    _draw_objects(canvas, layout, camera, ground, night, glare, options)
    label = _reduce_label(canvas.label, size)
    pair = np.empty((*size, 4), np.uint8)
    pair[..., :3] = visible_image(canvas, visible, camera, size, night, glare and not night, options.noise_level)
    pair[..., 3] = infrared_image(canvas, infrared, size, options.noise_level)
    return pair, label


def _children(seed: np.random.SeedSequence, count: int) -> list[np.random.SeedSequence]:
    """Spawn without the counter of ``SeedSequence.spawn``, so that a seed can be used again."""
    return [np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i)) for i in range(count)]


def _draw_objects(
    canvas: Canvas,
    rng: np.random.Generator,
    camera: Camera,
    ground: Ground,
    night: bool,
    glare: bool,
    options: SceneOptions,
) -> None:
    boxes: list[_Box] = []
    present = dict(zip(('warm', 'printed', 'vehicle'), rng.random(3) >= ABSENT))
    marks = _road_marks(rng, camera, ground) if present['printed'] else []
    draw_marks(canvas, rng, marks, night)
    paint = sum(cv2.contourArea(m.astype(np.float32)) for m in marks)
    boxes += [(*m.min(0).tolist(), *m.max(0).tolist()) for m in marks]
    things: list[_Thing] = []
    for name in ('vehicle', 'warm', 'printed'):
        if present[name]:
            wanted = rng.uniform(*SHARES[name]) * camera.width * camera.height
            things += _place_class(rng, camera, ground, name, wanted - paint * (name == 'printed'), boxes)
    for thing in sorted(things, key=lambda t: t.y):
        look = np.random.default_rng(thing.seed)
        at = (canvas, look, thing.x, thing.y, thing.unit)
        if thing.kind == 'side':
            draw_vehicle_side(*at, night, glare)
        elif thing.kind in ('front', 'rear'):
            draw_vehicle_end(*at, night, glare, thing.kind == 'front')
        elif thing.kind in ('person', 'animal'):
            (draw_person if thing.kind == 'person' else draw_animal)(*at, options.camouflage_contrast)
        else:
            (draw_sign if thing.kind == 'sign' else draw_poster)(*at, night)


# Kinds of every class with what is drawn about: width and height of the box in metres, area in square metres.
_KINDS = dict(
    warm=(('person', 0.8, 1.75, 0.55), ('animal', 1.5, 1.3, 0.70)),
    printed=(('sign', 1.1, 3.0, 0.75), ('poster', 1.6, 1.9, 2.0)),
    vehicle=(('side', 4.4, 1.6, 4.6), ('front', 1.8, 1.5, 2.4), ('rear', 1.8, 1.5, 2.4)),
)


def _place_class(
    rng: np.random.Generator, camera: Camera, ground: Ground, name: str, wanted: float, boxes: list[_Box]
) -> list[_Thing]:
    """Find places for objects of one class until they cover about ``wanted`` drawing pixels."""
    things: list[_Thing] = []
    for attempt in range(_ATTEMPTS):
        if wanted <= 0 or len(things) >= MAX_OBJECTS[name]:
            break
        kind, wide, tall, area = _KINDS[name][rng.integers(len(_KINDS[name]))]
        if ground.kind == 'park' and name == 'vehicle':
            kind, wide, tall, area = _KINDS[name][0]
        depth, x = _stand(rng, camera, ground, name, kind)
        _, y = camera.project(0.0, depth)
        unit = camera.unit(depth)
        if area * unit**2 > 1.6 * max(wanted, 0.02 * camera.width * camera.height):
            continue
        frame = (x - wide / 2 * unit, y - tall * unit, x + wide / 2 * unit, y)
        seen = min(frame[2], camera.width) - max(frame[0], 0)
        crowding = MAX_OVERLAP if things or attempt < _ATTEMPTS // 2 else 2.5 * MAX_OVERLAP
        if seen < 0.75 * (frame[2] - frame[0]) or any(_overlap(frame, other) > crowding for other in boxes):
            continue
        boxes.append(frame)
        wanted -= area * unit**2
        things.append(_Thing(kind, x, y, unit, int(rng.integers(2**62))))
    return things


def _stand(rng: np.random.Generator, camera: Camera, ground: Ground, name: str, kind: str) -> tuple[float, float]:
    """Depth in metres and column in pixels of a plausible place for a kind of object."""
    near, anywhere = camera.nearest, rng.uniform(0.04, 0.96) * camera.width
    if name == 'vehicle' and ground.kind == 'park':
        return rng.uniform(ground.near * 1.06, ground.far * 0.92), anywhere
    if kind in ('front', 'rear'):
        depth, middle = near * rng.uniform(1.2, 2.4), (ground.left + ground.right) / 2
        lane = (ground.right - middle) / 2 * (-1 if kind == 'front' else 1)
        return depth, camera.project(middle + lane + rng.uniform(-0.3, 0.3), depth)[0]
    if kind == 'side':
        return near * rng.uniform(1.7, 2.6), anywhere
    depth = near * rng.uniform(1.12, 2.2 if name == 'warm' else 1.9)
    if name == 'warm':
        return depth, anywhere
    if ground.kind == 'street':  # signs and posters stand beside the road
        side = ground.right + rng.uniform(0.3, 1.5) if rng.random() < 0.5 else ground.left - rng.uniform(0.3, 1.5)
        column = camera.project(side, depth)[0]
        if 0.06 * camera.width < column < 0.94 * camera.width:
            return depth, column
    edge = rng.uniform(0.06, 0.30) * camera.width
    return depth, edge if rng.random() < 0.5 else camera.width - edge


def _road_marks(rng: np.random.Generator, camera: Camera, ground: Ground) -> list[np.ndarray]:
    """Polygons of paint on the road, as far as it is wide enough to be resolved."""
    if ground.kind == 'park':
        if rng.random() < 0.4:
            return []
        middle, step = (ground.near + ground.far) / 2, rng.uniform(2.0, 2.8)
        start = rng.uniform(-9, -7)
        return [camera.strip(start + i * step, start + i * step + 1.1, middle * 0.96, middle * 1.04) for i in range(8)]
    near, middle = camera.nearest, (ground.left + ground.right) / 2
    kind = rng.integers(3)
    if kind == 0:  # zebra crossing
        depth = near * rng.uniform(1.25, 1.7)
        stripes = np.arange(ground.left + 0.3, ground.right - 0.6, 1.05)
        return [camera.strip(s, s + 0.5, depth, depth + 1.6) for s in stripes]
    dashes = [
        camera.strip(middle - 0.13, middle + 0.13, d, d + 0.28 * near)
        for d in near * (rng.uniform(0.9, 1.1) + np.array([0.0, 0.55, 1.1]))
    ]
    if kind == 1:
        return dashes
    lane, depth = (middle + ground.right) / 2, near * rng.uniform(1.15, 1.35)
    shaft = camera.strip(lane - 0.12, lane + 0.12, depth, depth + 1.5)
    head = np.array([camera.project(lane + s, depth + d) for s, d in ((-0.42, 1.5), (0.0, 2.6), (0.42, 1.5))])
    return dashes + [shaft, head]


def _overlap(one: _Box, other: _Box) -> float:
    """Shared area of two boxes as a share of the smaller one."""
    wide, tall = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    return wide * tall / min((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))


def _reduce_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The class that covers most of each image pixel; objects win a tie."""
    votes = [
        cv2.resize((label == c).view(np.uint8) * 200, size[::-1], interpolation=cv2.INTER_AREA)
        for c in reversed(range(NUM_CLASSES))
    ]
    return (NUM_CLASSES - 1 - np.argmax(votes, axis=0)).astype(np.uint8)
