"""One scene from its random streams: who stands where, drawn from far to near and seen by two sensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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

    Example:
        >>> SceneOptions(noise_level=0).crossover_fraction
        0.2
        >>> SceneOptions(glare_fraction=25)
        Traceback (most recent call last):
        ValueError: glare_fraction must be in 0..1, got 25
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


class _Motif(NamedTuple):
    """What a class is drawn as, about: width and height of its box in metres, its area in square metres."""

    name: str
    wide: float
    tall: float
    area: float


_MOTIFS = dict(
    warm=(_Motif('person', 0.8, 1.75, 0.55), _Motif('animal', 1.5, 1.3, 0.70)),
    printed=(_Motif('sign', 1.1, 3.0, 0.75), _Motif('poster', 1.6, 1.9, 2.0)),
    vehicle=(_Motif('side', 4.4, 1.6, 4.6), _Motif('front', 1.8, 1.5, 2.4), _Motif('rear', 1.8, 1.5, 2.4)),
)


@dataclass(frozen=True)
class _Thing:
    """Something to draw: what, where, how large, and the seed of its looks."""

    motif: str
    x: float
    y: float
    unit: float
    seed: int


def render_scene(
    seed: np.random.SeedSequence, size: tuple[int, int], night: bool, options: SceneOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene and take both pictures of it.

    Layout, difficulty and the two sensors have a random stream each: the same seed gives the same labels by day
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
        >>> blue, green, red, infrared = pair[label == 1].mean(axis=0).round() - pair[label == 0].mean(axis=0).round()
        >>> float(green), float(infrared)  # By night infrared shows people much better than visible light.
        (23.0, 76.0)
    """
    layout, trouble, visible, infrared = (np.random.default_rng(child) for child in _children(seed, 4))
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
    present = dict(zip(('warm', 'printed', 'vehicle'), rng.random(3) >= ABSENT))
    marks = _road_marks(rng, camera, ground) if present['printed'] else []
    draw_marks(canvas, rng, marks, night)
    paint = sum(cv2.contourArea(mark.astype(np.float32)) for mark in marks)
    boxes: list[_Box] = [(*mark.min(0).tolist(), *mark.max(0).tolist()) for mark in marks]
    things: list[_Thing] = []
    for class_name in ('vehicle', 'warm', 'printed'):
        if present[class_name]:
            wanted = rng.uniform(*SHARES[class_name]) * camera.width * camera.height
            if class_name == 'printed':
                wanted -= paint
            things += _place_class(rng, camera, ground, class_name, wanted, boxes)
    for thing in sorted(things, key=lambda thing: thing.y):
        _draw_thing(canvas, thing, night, glare, options.camouflage_contrast)


def _draw_thing(canvas: Canvas, thing: _Thing, night: bool, glare: bool, contrast: float) -> None:
    rng = np.random.default_rng(thing.seed)
    x, y, unit = thing.x, thing.y, thing.unit
    match thing.motif:
        case 'side':
            draw_vehicle_side(canvas, rng, x, y, unit, night, glare)
        case 'front' | 'rear':
            draw_vehicle_end(canvas, rng, x, y, unit, night, glare, front=thing.motif == 'front')
        case 'person':
            draw_person(canvas, rng, x, y, unit, contrast)
        case 'animal':
            draw_animal(canvas, rng, x, y, unit, contrast)
        case 'sign':
            draw_sign(canvas, rng, x, y, unit, night)
        case 'poster':
            draw_poster(canvas, rng, x, y, unit, night)


def _place_class(
    rng: np.random.Generator, camera: Camera, ground: Ground, class_name: str, wanted: float, boxes: list[_Box]
) -> list[_Thing]:
    """Find places for objects of one class until they cover about ``wanted`` drawing pixels; adds their boxes."""
    least = 0.02 * camera.width * camera.height
    things: list[_Thing] = []
    for attempt in range(_ATTEMPTS):
        if wanted <= 0 or len(things) >= MAX_OBJECTS[class_name]:
            break
        motif = _choose_motif(rng, ground, class_name)
        depth, x = _stand(rng, camera, ground, class_name, motif.name)
        _, y = camera.project(0.0, depth)
        unit = camera.unit(depth)
        covered = motif.area * unit**2
        if covered > 1.6 * max(wanted, least):
            continue
        frame = (x - motif.wide / 2 * unit, y - motif.tall * unit, x + motif.wide / 2 * unit, y)
        # Where nothing of a class has found its place for long, it may be crowded.
        crowding = MAX_OVERLAP if things or attempt < _ATTEMPTS // 2 else 2.5 * MAX_OVERLAP
        if not _is_in_view(frame, camera) or any(_overlap(frame, other) > crowding for other in boxes):
            continue
        boxes.append(frame)
        wanted -= covered
        things.append(_Thing(motif.name, x, y, unit, int(rng.integers(2**62))))
    return things


def _choose_motif(rng: np.random.Generator, ground: Ground, class_name: str) -> _Motif:
    motifs: Sequence[_Motif] = _MOTIFS[class_name]
    chosen = motifs[int(rng.integers(len(motifs)))]
    # A road that crosses shows its vehicles from the side.
    return motifs[0] if ground.setting == 'park' and class_name == 'vehicle' else chosen


def _is_in_view(frame: _Box, camera: Camera) -> bool:
    seen = min(frame[2], camera.width) - max(frame[0], 0)
    return seen >= 0.75 * (frame[2] - frame[0])


def _stand(
    rng: np.random.Generator, camera: Camera, ground: Ground, class_name: str, motif: str
) -> tuple[float, float]:
    """Depth in metres and column in pixels of a plausible place for an object."""
    anywhere = rng.uniform(0.04, 0.96) * camera.width
    if class_name == 'vehicle':
        return _stand_on_road(rng, camera, ground, motif, anywhere)
    if class_name == 'warm':
        return camera.nearest * rng.uniform(1.12, 2.2), anywhere
    depth = camera.nearest * rng.uniform(1.12, 1.9)
    return depth, _column_beside_road(rng, camera, ground, depth)


def _stand_on_road(
    rng: np.random.Generator, camera: Camera, ground: Ground, motif: str, anywhere: float
) -> tuple[float, float]:
    """Depth and column of a vehicle: in its lane, or anywhere across the picture when it is seen from the side."""
    if ground.setting == 'park':
        return rng.uniform(ground.near * 1.06, ground.far * 0.92), anywhere
    if motif == 'side':
        return camera.nearest * rng.uniform(1.7, 2.6), anywhere
    depth, middle = camera.nearest * rng.uniform(1.2, 2.4), (ground.left + ground.right) / 2
    lane = (ground.right - middle) / 2 * (-1 if motif == 'front' else 1)
    return depth, camera.project(middle + lane + rng.uniform(-0.3, 0.3), depth)[0]


def _column_beside_road(rng: np.random.Generator, camera: Camera, ground: Ground, depth: float) -> float:
    """Column of a sign or poster: beside a street, if that is in the picture, else towards one of its edges."""
    if ground.setting == 'street':
        on_the_right = rng.random() < 0.5
        away = rng.uniform(0.3, 1.5)
        column = camera.project(ground.right + away if on_the_right else ground.left - away, depth)[0]
        if 0.06 * camera.width < column < 0.94 * camera.width:
            return column
    edge = rng.uniform(0.06, 0.30) * camera.width
    return edge if rng.random() < 0.5 else camera.width - edge


def _road_marks(rng: np.random.Generator, camera: Camera, ground: Ground) -> list[np.ndarray]:
    """Polygons of paint on the road, as far as it is wide enough to be resolved."""
    if ground.setting == 'park':
        return _crossing_ahead(rng, camera, ground)
    near, middle = camera.nearest, (ground.left + ground.right) / 2
    design = rng.integers(3)
    if design == 0:
        return _zebra(rng, camera, ground)
    starts = near * (rng.uniform(0.9, 1.1) + np.array([0.0, 0.55, 1.1]))
    dashes = [camera.strip(middle - 0.13, middle + 0.13, start, start + 0.28 * near) for start in starts]
    if design == 1:
        return dashes
    lane, depth = (middle + ground.right) / 2, near * rng.uniform(1.15, 1.35)
    return [*dashes, *_arrow(camera, lane, depth)]


def _crossing_ahead(rng: np.random.Generator, camera: Camera, ground: Ground) -> list[np.ndarray]:
    """Dashes along the middle of a road that crosses; some roads have none."""
    if rng.random() < 0.4:
        return []
    middle, step = (ground.near + ground.far) / 2, rng.uniform(2.0, 2.8)
    first = rng.uniform(-9, -7)
    starts = [first + i * step for i in range(8)]
    return [camera.strip(start, start + 1.1, middle * 0.96, middle * 1.04) for start in starts]


def _zebra(rng: np.random.Generator, camera: Camera, ground: Ground) -> list[np.ndarray]:
    """Stripes of a crossing for those on foot."""
    depth = camera.nearest * rng.uniform(1.25, 1.7)
    stripes = np.arange(ground.left + 0.3, ground.right - 0.6, 1.05)
    return [camera.strip(stripe, stripe + 0.5, depth, depth + 1.6) for stripe in stripes]


def _arrow(camera: Camera, lane: float, depth: float) -> list[np.ndarray]:
    """Shaft and head of an arrow that points ahead."""
    shaft = camera.strip(lane - 0.12, lane + 0.12, depth, depth + 1.5)
    corners = ((-0.42, 1.5), (0.0, 2.6), (0.42, 1.5))
    head = np.array([camera.project(lane + side, depth + ahead) for side, ahead in corners])
    return [shaft, head]


def _overlap(first: _Box, second: _Box) -> float:
    """Shared area of two boxes as a share of the smaller one."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (first, second)]
    return wide * tall / min(areas)


def _reduce_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The class that covers most of each image pixel; objects win a tie."""
    votes = [
        cv2.resize((label == class_id).view(np.uint8) * 200, size[::-1], interpolation=cv2.INTER_AREA)
        for class_id in reversed(range(NUM_CLASSES))
    ]
    return (NUM_CLASSES - 1 - np.argmax(votes, axis=0)).astype(np.uint8)
