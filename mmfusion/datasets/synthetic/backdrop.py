"""Everything without a label: sky, land, road, woods, houses and street lamps.

All of it has structure in both sensors. Warm things among it (chimneys, lamps, lit windows, vents) carry the
background label on purpose: brightness in infrared alone must not decide.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Canvas, box, ellipse, limb, linear, smooth_noise

SKY_HEAT = (0.08, 0.16)
"""Clear sky; clouds are up to 0.12 warmer."""
LAND_HEAT = dict(grass=0.31, pavement=0.40, road=0.47, earth=0.36)
"""Mean heat per surface of the ground; each scene shifts them by up to 0.03, their texture by about as much."""
LEAF_HEAT = (0.24, 0.38)
WALL_HEAT = (0.36, 0.50)
DISTRACTOR_HEAT = (0.74, 0.92)
"""Heat of small warm things that are background: the range of people and animals."""

_SKY = ((206, 150, 96), (224, 212, 200), (232, 230, 228))  # zenith, haze at the horizon, clouds
_GROUND = dict(
    grass=((52, 108, 84), (58, 120, 112), (48, 92, 76)),
    pavement=((150, 156, 160), (128, 138, 150)),
    road=((96, 94, 92), (78, 78, 80), (112, 108, 104)),
    earth=((88, 112, 138), (74, 98, 120)),
)
_LEAVES = ((40, 84, 58), (34, 70, 60), (44, 96, 92), (38, 60, 44))
_WALLS = ((92, 108, 142), (150, 170, 182), (84, 94, 128), (160, 158, 152), (116, 140, 166))


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera above flat ground.

    Attributes:
        width: Columns of the drawing, pixels.
        height: Rows of the drawing, pixels.
        horizon: Row of the horizon, pixels.
        vanishing: Column that straight roads run to, pixels.
        focal: Focal length, pixels.
        eye: Height of the camera over the ground, metres.

    Example:
        >>> camera = Camera(width=256, height=192, horizon=64, vanishing=128, focal=240, eye=2)
        >>> camera.unit(10), camera.unit(20)  # Twice as far away, half as large.
        (24.0, 12.0)
        >>> camera.project(0, 10), camera.nearest  # Column and row; the depth that the lower edge shows.
        ((128.0, 112.0), 3.75)
        >>> camera.strip(-1, 1, near=5, far=20).tolist()  # A road narrows towards the horizon.
        [[80.0, 160.0], [116.0, 88.0], [140.0, 88.0], [176.0, 160.0]]
    """

    width: int
    height: int
    horizon: float
    vanishing: float
    focal: float
    eye: float

    def unit(self, depth: float) -> float:
        """Drawing pixels per metre at a depth in metres."""
        return self.focal / depth

    def project(self, side: float, depth: float) -> tuple[float, float]:
        """Column and row of a ground point ``side`` metres right of the vanishing line, ``depth`` metres ahead."""
        return self.vanishing + self.focal * side / depth, self.horizon + self.focal * self.eye / depth

    def strip(self, left: float, right: float, near: float, far: float) -> np.ndarray:
        """Corners of a ground rectangle, metres to pixels, shape (4, 2)."""
        corners = ((left, near), (left, far), (right, far), (right, near))
        return np.array([self.project(side, depth) for side, depth in corners])

    @property
    def nearest(self) -> float:
        """Depth in metres of the ground at the lower edge of the drawing."""
        return self.focal * self.eye / (self.height - self.horizon)


@dataclass(frozen=True)
class Ground:
    """Where things may stand.

    Attributes:
        setting: 'street' (the road runs ahead) or 'park' (the road crosses).
        left: Left kerb in metres (street), ignored by a park's crossing road.
        right: Right kerb in metres (street).
        near: Near kerb in metres of depth (park); 0 for a street.
        far: Far kerb in metres of depth (park); 0 for a street.

    Example:
        >>> street = Ground('street', left=-3.2, right=3.8)
        >>> street.near, street.far
        (0.0, 0.0)
    """

    setting: str
    left: float
    right: float
    near: float = 0.0
    far: float = 0.0


def draw_backdrop(canvas: Canvas, rng: np.random.Generator, camera: Camera, night: bool) -> Ground:
    """Draw sky and land from far to near, texture included.

    Args:
        canvas: An empty drawing.
        rng: Source of the layout; the numbers drawn do not depend on ``night``.
        camera: The camera.
        night: Windows and lamps are lit, the sky is dark.

    Returns:
        The setting and where its road is.

    Example:
        >>> camera = Camera(width=256, height=192, horizon=64, vanishing=128, focal=240, eye=2)
        >>> def draw(night):
        ...     canvas = Canvas(192, 256)
        ...     ground = draw_backdrop(canvas, np.random.default_rng(1), camera, night=night)
        ...     return canvas, ground
        >>> (day, by_day), (night, by_night) = draw(night=False), draw(night=True)
        >>> by_day == by_night, bool((day.albedo == night.albedo).all()), int(day.label.max())
        (True, True, 0)
        >>> bool(day.light[:40].mean() > 0.3), bool(night.light[:40].mean() < 0.1)  # The sky.
        (True, True)
    """
    street = rng.random() < 0.5
    _draw_sky(canvas, rng, camera, night)
    ground = _draw_land(canvas, rng, camera, street)
    _texture_land(canvas, rng, camera)
    _draw_skyline(canvas, rng, camera, night)
    for side in (-1, 1):
        _draw_roadside(canvas, rng, camera, ground, side, night)
    _texture_upright(canvas, rng, camera)
    return ground


def _draw_sky(canvas: Canvas, rng: np.random.Generator, camera: Camera, night: bool) -> None:
    rows = int(np.ceil(camera.horizon)) + 1
    share = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    clouds = smooth_noise(rng, (rows, camera.width), ((3, 4), (5, 9), (9, 18)))
    clouds = np.clip(0.5 * (clouds - rng.uniform(-0.6, 0.6)), 0, 1)
    zenith, haze, white = (linear(bgr).astype(np.float32) for bgr in _SKY)
    if night:
        colour: np.ndarray = (0.012 + 0.03 * share**2 + 0.03 * clouds)[..., None] * np.array(
            (1.1, 0.85, 0.8), np.float32
        )
    else:
        colour = zenith + share[..., None] * (haze - zenith)
        colour = colour + (0.8 * clouds[..., None]) * (white - colour)
    canvas.light[:rows] = colour
    canvas.heat[:rows] = rng.uniform(*SKY_HEAT) + 0.05 * share**2 + 0.12 * clouds


def _draw_land(canvas: Canvas, rng: np.random.Generator, camera: Camera, street: bool) -> Ground:
    drift = rng.uniform(-0.03, 0.03)

    def cover(surface: str, points: np.ndarray) -> None:
        colours = _GROUND[surface]
        canvas.fill(
            points,
            colour=linear(colours[rng.integers(len(colours))]) * rng.uniform(0.85, 1.15),
            heat=LAND_HEAT[surface] + drift + rng.uniform(-0.02, 0.02),
        )

    cover('grass', box(-1, camera.horizon, camera.width + 1, camera.height + 1))
    near, far = 0.8 * camera.nearest, 200.0
    if street:
        half, shift, walk = rng.uniform(2.8, 3.8), rng.uniform(-1.2, 1.2), rng.uniform(1.2, 2.2)
        left, right = shift - half, shift + half
        cover('pavement', camera.strip(left - walk, right + walk, near, far))
        cover('road', camera.strip(left, right, near, far))
        for kerb in (left, right):
            canvas.fill(camera.strip(kerb - 0.10, kerb + 0.10, near, far), colour=linear((168, 168, 168)), heat=0.38)
        return Ground('street', left, right)
    road_near = rng.uniform(1.7, 2.1) * camera.nearest
    road_far = road_near * rng.uniform(1.45, 1.7)
    edge = 300.0
    start, end, broad = rng.uniform(-2.5, 2.5), rng.uniform(-3, 3), rng.uniform(0.7, 1.1)
    path = np.array(
        [
            camera.project(start - broad, near),
            camera.project(end - broad, road_near),
            camera.project(end + broad, road_near),
            camera.project(start + broad, near),
        ]
    )
    cover('earth', path)
    cover('pavement', camera.strip(-edge, edge, road_near * 0.93, road_far * 1.12))
    cover('road', camera.strip(-edge, edge, road_near, road_far))
    return Ground('park', -edge, edge, road_near, road_far)


def _texture_land(canvas: Canvas, rng: np.random.Generator, camera: Camera) -> None:
    """Lay a texture in perspective over the ground; reflectance and heat share some of it."""
    top = int(np.ceil(camera.horizon)) + 1
    shared_tile = smooth_noise(rng, (128, 128), ((12, 12), (32, 32), (128, 128)))
    heat_tile = smooth_noise(rng, (128, 128), ((10, 10), (40, 40)))
    rows = np.arange(top, camera.height, dtype=np.float32)[:, None]
    depth = camera.focal * camera.eye / np.maximum(rows - camera.horizon, 1.0)
    columns = np.arange(camera.width, dtype=np.float32)[None]
    scale = 9.0  # texels per metre
    map_x = (columns - camera.vanishing) / camera.focal * depth * scale
    map_y = np.ascontiguousarray(np.broadcast_to(depth * scale, map_x.shape))
    tiles = np.dstack([shared_tile, heat_tile])
    laid = cv2.remap(tiles, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    shared, of_heat = laid[..., 0], laid[..., 1]
    fade = np.clip(6.0 / depth, 0.15, 1.0)  # far away the texture is finer than a pixel
    canvas.albedo[top:] *= np.clip(1 + 0.22 * fade * shared, 0.3, 2.0)[..., None]
    canvas.heat[top:] += fade * (0.020 * shared + 0.016 * of_heat)


def _draw_skyline(canvas: Canvas, rng: np.random.Generator, camera: Camera, night: bool) -> None:
    """Woods and, in front of some, a row of distant houses."""
    width, foot = camera.width, camera.horizon + 0.01 * camera.height
    top = camera.horizon - camera.height * rng.uniform(0.03, 0.10)
    steps = 24
    edge = top + 0.03 * camera.height * rng.standard_normal(steps)
    outline = np.stack([np.linspace(-1, width, steps), np.minimum(edge, camera.horizon - 1)], 1)
    canvas.fill(
        np.concatenate([outline, [(width, foot), (-1, foot)]]),
        colour=linear(_LEAVES[rng.integers(len(_LEAVES))]),
        heat=rng.uniform(*LEAF_HEAT),
    )
    for _ in range(rng.integers(1, 4)):
        x, wide, tall = rng.uniform(0, width), width * rng.uniform(0.08, 0.2), camera.height * rng.uniform(0.10, 0.22)
        _draw_house(canvas, rng, x - wide / 2, foot - tall, x + wide / 2, foot, night)


def _draw_house(
    canvas: Canvas, rng: np.random.Generator, x0: float, y0: float, x1: float, y1: float, night: bool
) -> None:
    wall, heat = linear(_WALLS[rng.integers(len(_WALLS))]), rng.uniform(*WALL_HEAT)
    wide, tall = x1 - x0, y1 - y0
    has_gable, has_chimney, chimney = rng.random() < 0.6, rng.random() < 0.6, rng.uniform(0.2, 0.7)
    if has_chimney:
        canvas.fill(
            box(x0 + chimney * wide, y0 - 0.30 * tall, x0 + (chimney + 0.09) * wide, y0),
            colour=0.7 * wall,
            heat=rng.uniform(*DISTRACTOR_HEAT),
        )
    canvas.fill(box(x0, y0, x1, y1), colour=wall, heat=heat)
    if has_gable:
        roof = [(x0 - 0.05 * wide, y0 + 1), (x0 + 0.5 * wide, y0 - 0.28 * tall), (x1 + 0.05 * wide, y0 + 1)]
        canvas.fill(roof, colour=linear((60, 64, 110)), heat=heat - 0.12)
    _draw_windows(canvas, rng, x0, y0, wide, tall, heat, night)


def _draw_windows(
    canvas: Canvas,
    rng: np.random.Generator,
    x0: float,
    y0: float,
    wide: float,
    tall: float,
    wall_heat: float,
    night: bool,
) -> None:
    """Three storeys of windows, some with somebody at home: warmer than the wall, and bright by night."""
    columns, rows = max(2, round(wide / tall * 3)), 3
    dx, dy = 0.26 * wide / columns, 0.27 * tall / rows
    lit = rng.random((rows, columns)) < 0.3
    warmth, bright = rng.uniform(0.05, 0.20, (rows, columns)), rng.uniform(0.10, 0.5, (rows, columns))
    for row in range(rows):
        for column in range(columns):
            cx, cy = x0 + (column + 0.5) / columns * wide, y0 + (row + 0.55) / (rows + 0.3) * tall
            if night and lit[row, column]:
                glow = bright[row, column] * np.array([0.45, 0.8, 1.0])
            else:
                glow = np.full(3, 0.006 * night)
            canvas.fill(
                box(cx - dx, cy - dy, cx + dx, cy + dy),
                colour=linear((84, 76, 68)),
                light=glow,
                heat=wall_heat + (warmth[row, column] if lit[row, column] else -0.08),
            )


def _draw_roadside(
    canvas: Canvas, rng: np.random.Generator, camera: Camera, ground: Ground, side: int, night: bool
) -> None:
    """Trees, a hedge and a lamp along one side, from far to near."""
    kerb = 0.0
    if ground.setting == 'street':
        kerb = ground.right if side > 0 else -ground.left
    things = [(rng.uniform(9, 26), 'tree') for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.75:
        things.append((rng.uniform(9, 16), 'lamp'))
    if rng.random() < 0.6:
        things.append((rng.uniform(12, 24), 'hedge'))
    for depth, thing in sorted(things, reverse=True):
        away = rng.uniform(2.6, 7.0) if thing != 'lamp' else rng.uniform(0.5, 1.0)
        depth = max(depth, 1.15 * ground.far)  # behind a road that crosses
        x, y = camera.project(side * (kerb + away), depth)
        unit = camera.unit(depth)
        if thing == 'lamp':
            _draw_lamp(canvas, rng, x, y, unit, -side, night)
        elif thing == 'hedge':
            half = rng.uniform(1.5, 3.0)
            canvas.fill(
                box(x - half * unit, y - rng.uniform(0.8, 1.3) * unit, x + half * unit, y),
                colour=linear(_LEAVES[rng.integers(len(_LEAVES))]),
                heat=rng.uniform(*LEAF_HEAT),
            )
        else:
            _draw_tree(canvas, rng, x, y, unit)


def _draw_tree(canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float) -> None:
    tall, wide = rng.uniform(3.5, 6.5) * unit, rng.uniform(1.1, 2.0) * unit
    leaves, heat = linear(_LEAVES[rng.integers(len(_LEAVES))]), rng.uniform(*LEAF_HEAT)
    canvas.fill(ellipse(x, y, 1.1 * wide, 0.12 * wide), colour=0.5 * leaves, heat=heat + 0.02)
    trunk = limb((x, y), (x, y - 0.6 * tall), 0.34 * unit, 0.22 * unit)
    canvas.fill(trunk, colour=linear((48, 58, 72)), heat=heat + 0.10)
    for _ in range(10):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.75)
        cx, cy = x + wide * reach * np.cos(angle), y - 0.68 * tall + 0.26 * tall * reach * np.sin(angle)
        tone = rng.uniform(0.7, 1.5)
        canvas.fill(ellipse(cx, cy, 0.5 * wide, 0.16 * tall, 10), colour=leaves * tone, heat=heat + 0.05 * (tone - 1))


def _draw_lamp(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, unit: float, inwards: int, night: bool
) -> None:
    tall, arm = rng.uniform(3.6, 5.0) * unit, inwards * 0.9 * unit
    metal = linear((104, 104, 100))
    canvas.fill(limb((x, y), (x, y - tall), 0.14 * unit, 0.10 * unit), colour=metal, heat=0.41)
    canvas.fill(limb((x, y - tall), (x + arm, y - tall), 0.10 * unit, 0.10 * unit), colour=metal, heat=0.41)
    canvas.fill(
        ellipse(x + arm, y - tall + 0.1 * unit, 0.30 * unit, 0.13 * unit),
        colour=metal,
        heat=rng.uniform(*DISTRACTOR_HEAT),
        light=4.0 * night * np.array([0.55, 0.85, 1.0]),
    )
    canvas.pools.append((x + arm, y, 3.2 * unit, 0.9 * unit, 0.22))


def _texture_upright(canvas: Canvas, rng: np.random.Generator, camera: Camera) -> None:
    """Leaves and plaster: fine structure above the ground, in reflectance and heat alike."""
    rows, width = int(camera.horizon) + 2, camera.width
    grain = smooth_noise(rng, (rows, width), ((rows // 6, width // 6), (rows // 2, width // 2)))
    canvas.albedo[:rows] *= np.clip(1 + 0.28 * grain, 0.3, 2.0)[..., None]
    canvas.heat[:rows] += np.where(canvas.albedo[:rows, :, 1] > 0, 0.022 * grain, 0)


def draw_vents(canvas: Canvas, rng: np.random.Generator, camera: Camera, count: int) -> None:
    """Draw warm covers and vents in the ground: background that is as warm as people.

    Example:
        >>> canvas = Canvas(192, 256)
        >>> camera = Camera(width=256, height=192, horizon=64, vanishing=128, focal=240, eye=2)
        >>> draw_vents(canvas, np.random.default_rng(0), camera, count=2)
        >>> bool(canvas.heat.max() >= min(DISTRACTOR_HEAT)), int(canvas.label.max())  # Warm, and still background.
        (True, 0)
    """
    for _ in range(count):
        depth = rng.uniform(1.3, 3.2) * camera.nearest
        x, y, unit = rng.uniform(0.05, 0.95) * camera.width, camera.project(0.0, depth)[1], camera.unit(depth)
        canvas.fill(
            ellipse(x, y, 0.34 * unit, 0.10 * unit), colour=linear((70, 70, 72)), heat=rng.uniform(*DISTRACTOR_HEAT)
        )


def cross_over(canvas: Canvas, strength: float) -> None:
    """Thermal crossover of the land: as warm as the objects nearly, and partly inverted.

    Everything below the sky is mirrored at its middle with 0.6 of its contrast and lifted, so that road and grass swap
    and warm objects (0.70 and more) keep a fraction of their contrast.

    Args:
        canvas: The drawing before objects stand in it.
        strength: How far the middle is lifted, 0..0.3.

    Example:
        >>> canvas = Canvas(40, 60)
        >>> canvas.fill(box(0, 10, 59, 24), colour=(0.2, 0.2, 0.2), heat=0.47)  # Road,
        >>> canvas.fill(box(0, 25, 59, 39), colour=(0.2, 0.4, 0.2), heat=0.31)  # grass; the sky stays as it is.
        >>> cross_over(canvas, strength=0.2)
        >>> canvas.heat[[5, 20, 30], 0].astype(float).round(3).tolist()
        [0.0, 0.59, 0.686]
    """
    land = (canvas.albedo[..., 1] > 0) & (canvas.heat < min(DISTRACTOR_HEAT) - 0.1)  # the sky reflects nothing
    middle = np.float32(0.42)
    canvas.heat = np.where(land, middle + np.float32(strength) - np.float32(0.6) * (canvas.heat - middle), canvas.heat)
