"""The two cameras: what a silicon sensor and an uncooled thermal sensor make of a drawn scene."""

import cv2
import numpy as np

from .backdrop import Camera
from .canvas import Canvas

DAYLIGHT, NIGHTLIGHT = 1.15, (0.09, 0.15)
"""Light that falls on everything: linear, 1 lets a white surface just saturate; by night a range over scenes."""
SHOT_NOISE = dict(day=2.5e-4, night=9e-4)
"""Variance of the linear signal per unit of signal: photon noise; less light, more gain."""
READ_NOISE = dict(day=2e-6, night=1.6e-5)
"""Variance of the linear signal in the dark."""
VISIBLE_BLUR, INFRARED_BLUR = 0.0035, 0.0085
"""Standard deviation of the optical blur as a share of the image height: infrared optics are coarser."""
BLOOM = ((0.02, 0.10), (0.09, 0.035))
"""Glare of saturated lights: (blur as a share of the height, share of the light that is spread)."""
VIGNETTE = (0.05, 0.30)
"""Darkening of the corners."""
CAST = 0.06
"""Standard deviation of the gain of blue and red against green."""
INFRARED_GAIN, INFRARED_OFFSET = (0.88, 1.06), (-0.03, 0.05)
"""What automatic gain control leaves of scene to scene differences."""
INFRARED_NOISE = dict(pixel=0.010, row=0.006, column=0.008, shading=0.015)
"""Standard deviations in units of heat: temporal noise, row and column offsets, warm optics (low frequency)."""


def visible_image(
    canvas: Canvas,
    rng: np.random.Generator,
    camera: Camera,
    size: tuple[int, int],
    night: bool,
    sun: bool,
    noise_level: float,
) -> np.ndarray:
    """Photograph the scene in visible light.

    Light falls on the scene, saturated lights bloom, optics blur, photons and electronics add noise, gamma 2 encodes.

    Args:
        canvas: The drawn scene.
        rng: Source of exposure, cast and noise; the numbers drawn do not depend on the other arguments.
        camera: Where the horizon is (for a low sun).
        size: Height and width of the image, pixels.
        night: Little light but that of lamps; else daylight.
        sun: A low sun stands in the picture and veils it (by day).
        noise_level: Multiplies the noise.

    Returns:
        (H, W, 3) uint8, blue, green, red.

    Example:
        >>> canvas = Canvas(96, 128)
        >>> canvas.albedo[:] = 0.3  # A grey wall, and nothing else.
        >>> camera = Camera(width=128, height=96, horizon=34, vanishing=64, focal=115, eye=2)
        >>> def photograph(night):
        ...     rng = np.random.default_rng(0)
        ...     return visible_image(canvas, rng, camera, (48, 64), night=night, sun=False, noise_level=1)
        >>> day, night = photograph(night=False), photograph(night=True)
        >>> day.shape, bool(day.mean() > 2 * night.mean())
        ((48, 64, 3), True)
    """
    exposure, dark, corner = rng.uniform(0.8, 1.2), rng.uniform(*NIGHTLIGHT), rng.uniform(*VIGNETTE)
    cast = np.float32(1 + CAST * rng.standard_normal(3) * (1, 0.2, 1))
    shade, sun_x = rng.standard_normal((4, 5), dtype=np.float32), rng.uniform(0.1, 0.9)
    noise = rng.standard_normal((*size, 3), dtype=np.float32)
    height, width = size
    scale = height / camera.height
    fall = _lamp_light(canvas, size, scale, dark) if night else _cloudy_daylight(size, shade)
    light: np.ndarray = cv2.resize(canvas.light, (width, height), interpolation=cv2.INTER_AREA)
    albedo = cv2.resize(canvas.albedo, (width, height), interpolation=cv2.INTER_AREA)
    if sun:
        disc = np.zeros((height, width), np.float32)
        _add_spot(disc, sun_x * width, 0.5 * camera.horizon * scale, 0.04 * height, 0.04 * height, 12.0)
        disc[albedo[..., 1] > 0] = 0  # behind everything that reflects light: the sky does not
        light += disc[..., None] * np.array((0.75, 0.93, 1.0), np.float32)
    image: np.ndarray = albedo * fall[..., None] + light
    image += _bloom(np.maximum(light - 1, 0))
    image = cv2.GaussianBlur(image, (0, 0), VISIBLE_BLUR * height)
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    image *= ((1 - np.float32(corner) * (x * x + y * y) / 2) * np.float32(exposure))[..., None] * cast
    time = 'night' if night else 'day'
    variance = SHOT_NOISE[time] * image + READ_NOISE[time]
    image += np.float32(noise_level) * noise * np.sqrt(variance)
    return _quantise(np.sqrt(np.clip(image, 0, 1)))


def _lamp_light(canvas: Canvas, size: tuple[int, int], scale: float, dark: float) -> np.ndarray:
    """Light that falls on the scene by night (H, W): a little everywhere, more where lamps shine."""
    fall = np.full(size, dark, np.float32)
    for x, y, radius_x, radius_y, strength in canvas.pools:
        _add_spot(fall, scale * x, scale * y, scale * radius_x, scale * radius_y, strength)
    return fall


def _cloudy_daylight(size: tuple[int, int], shade: np.ndarray) -> np.ndarray:
    """Light that falls on the scene by day (H, W), with the shadows of clouds."""
    return DAYLIGHT * (1 + 0.12 * np.tanh(cv2.resize(shade, size[::-1], interpolation=cv2.INTER_CUBIC)))


def _bloom(excess: np.ndarray) -> np.ndarray:
    """Spread the light above saturation over its surroundings."""
    if not excess.any():
        return np.zeros_like(excess)
    height, width = excess.shape[:2]
    small = cv2.resize(excess, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    spread: np.ndarray = np.zeros_like(small)
    for blur, share in BLOOM:
        spread += share * cv2.GaussianBlur(small, (0, 0), blur * height / 2)
    return cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)


def _add_spot(image: np.ndarray, x: float, y: float, rx: float, ry: float, strength: float) -> None:
    """Add a bell-shaped spot to an image in place."""
    rows = np.exp(-0.5 * ((np.arange(image.shape[0], dtype=np.float32) - y) / max(ry, 0.5)) ** 2)
    columns = np.exp(-0.5 * ((np.arange(image.shape[1], dtype=np.float32) - x) / max(rx, 0.5)) ** 2)
    image += np.float32(strength) * rows[:, None] * columns[None]


def infrared_image(canvas: Canvas, rng: np.random.Generator, size: tuple[int, int], noise_level: float) -> np.ndarray:
    """Photograph the scene in the thermal infrared.

    Args:
        canvas: The drawn scene.
        rng: Source of gain and noise.
        size: Height and width of the image, pixels.
        noise_level: Multiplies the noise.

    Returns:
        (H, W) uint8, white is hot.

    Example:
        >>> canvas = Canvas(96, 128)
        >>> canvas.heat[:, 64:] = 0.8  # Its light does not matter: this camera sees heat alone.
        >>> image = infrared_image(canvas, np.random.default_rng(0), size=(48, 64), noise_level=1)
        >>> image.shape, bool(image[:, 40:].mean() > image[:, :24].mean() + 150)
        ((48, 64), True)
    """
    height, width = size
    gain, offset = rng.uniform(*INFRARED_GAIN), rng.uniform(*INFRARED_OFFSET)
    image = cv2.resize(canvas.heat, (width, height), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), INFRARED_BLUR * height)
    shading = cv2.resize(rng.standard_normal((3, 4), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = (
        INFRARED_NOISE['pixel'] * rng.standard_normal((height, width), dtype=np.float32)
        + INFRARED_NOISE['row'] * rng.standard_normal((height, 1), dtype=np.float32)
        + INFRARED_NOISE['column'] * rng.standard_normal((1, width), dtype=np.float32)
        + INFRARED_NOISE['shading'] * shading
    )
    return _quantise(gain * (image + noise_level * noise) + offset)


def _quantise(image: np.ndarray) -> np.ndarray:
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
