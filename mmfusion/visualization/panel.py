"""One picture that tells what happened to a pair."""

from collections.abc import Mapping, Sequence

import cv2
import matplotlib
import numpy as np
from torch import Tensor

_GAP = 4
_BAR = 22
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Panels of less than this width would have no room for their titles.
_LEAST_WIDTH = 200
_IGNORED = (90, 90, 90)


def to_uint8(image: Tensor) -> np.ndarray:
    """An image tensor as an array that can be drawn or written.

    Args:
        image (Tensor): (3 or 1, H, W) in [0, 1]; values outside are clipped.

    Returns:
        np.ndarray: (H, W, 3), or (H, W) for one channel, uint8.

    Examples:
        >>> import torch
        >>> to_uint8(torch.tensor([[[-0.1, 0.0, 0.2, 1.0, 1.7]]])).tolist()
        [[0, 0, 51, 255, 255]]
        >>> to_uint8(torch.zeros(3, 4, 6)).shape
        (4, 6, 3)
    """
    array = (image.detach().cpu().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return array[..., 0] if array.shape[2] == 1 else array


def colorize_labels(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Class ids to colours.

    Args:
        labels (np.ndarray): Class ids (H, W); ids outside the palette, such as ignored pixels, become grey.
        palette (Sequence[Sequence[int]]): R, G and B in 0..255 per class.

    Returns:
        np.ndarray: (H, W, 3) uint8.

    Examples:
        >>> colorize_labels(np.array([[0, 1, 255]]), [[0, 0, 0], [255, 0, 0]]).tolist()
        [[[0, 0, 0], [255, 0, 0], [90, 90, 90]]]
    """
    table = np.full((256, 3), _IGNORED, dtype=np.uint8)
    table[: len(palette)] = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
    return table[np.where((labels < 0) | (labels > 255), 255, labels).astype(np.uint8)]


def colorize_weights(weight_ir: np.ndarray) -> np.ndarray:
    """Weight of the infrared image as a diverging map: red for infrared, blue for visible, grey for even.

    Args:
        weight_ir (np.ndarray): (H, W) in [0, 1].

    Returns:
        np.ndarray: (H, W, 3) uint8.

    Examples:
        >>> colorize_weights(np.array([[0.0, 0.5, 1.0]])).tolist()
        [[[58, 76, 192], [221, 220, 219], [179, 3, 38]]]
    """
    return matplotlib.colormaps['coolwarm'](np.clip(weight_ir, 0, 1), bytes=True)[..., :3]


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
    bar = np.full((_BAR, picture.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(bar, title, (2, _BAR - 7), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


def _legend(width: int, entries: Sequence[tuple[str, Sequence[int]]]) -> np.ndarray:
    """Rows of colour and name, as many as the width asks for."""
    rows, x = [np.full((_BAR, width, 3), 255, dtype=np.uint8)], 4
    for name, color in entries:
        needed = 26 + cv2.getTextSize(name, _FONT, 0.45, 1)[0][0]
        if x + needed > width and x > 4:
            rows.append(np.full((_BAR, width, 3), 255, dtype=np.uint8))
            x = 4
        cv2.rectangle(rows[-1], (x, 5), (x + 12, 17), [int(value) for value in color], -1)
        cv2.rectangle(rows[-1], (x, 5), (x + 12, 17), (120, 120, 120), 1)
        cv2.putText(rows[-1], name, (x + 17, 16), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        x += needed + 10
    return np.vstack(rows)


def _weight_entries() -> list[tuple[str, Sequence[int]]]:
    """The key of the weights."""
    names = (('weight: visible', 0.0), ('even', 0.5), ('infrared', 1.0))
    return [(name, colorize_weights(np.array([[weight_ir]]))[0, 0].tolist()) for name, weight_ir in names]


def _ignored_entry(ids: np.ndarray, num_classes: int) -> list[tuple[str, Sequence[int]]]:
    """The key of pixels without a class, if there are any."""
    return [('ignored', _IGNORED)] if ((ids < 0) | (ids >= num_classes)).any() else []


def _side_by_side(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pictures of one size in a row, each under its title, and large enough for it."""
    sizes = {name: picture.shape[:2] for name, picture in pictures.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f'the pictures of a panel must have one size, got {sizes}')
    height, width = next(iter(sizes.values()))
    factor = max(1, -(-_LEAST_WIDTH // width))
    columns = []
    for name, picture in pictures.items():
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        # Whole factors and nearest neighbours show the pixels as they are.
        picture = cv2.resize(picture, (width * factor, height * factor), interpolation=cv2.INTER_NEAREST)
        columns += [_titled(picture, name), np.full((height * factor + _BAR, _GAP, 3), 255, dtype=np.uint8)]
    return np.hstack(columns[:-1])


def draw_pair(
    visible: np.ndarray,
    infrared: np.ndarray,
    label: np.ndarray | None = None,
    classes: Sequence[str] = (),
    palette: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Draw a pair and its labels side by side, with a legend of the classes.

    Args:
        visible (np.ndarray): (H, W, 3) RGB uint8.
        infrared (np.ndarray): (H, W) uint8.
        label (np.ndarray, optional): Class ids (H, W); left out when there are none.
        classes (Sequence[str]): Class names for the legend.
        palette (Sequence[Sequence[int]]): R, G and B in 0..255 per class.

    Returns:
        np.ndarray: The picture (H', W', 3), RGB uint8.

    Raises:
        ValueError: The pictures differ in size.

    Examples:
        >>> grey, ids = np.full((48, 200), 90, np.uint8), np.zeros((48, 200), int)
        >>> draw_pair(np.dstack([grey] * 3), grey, ids, ['soil'], [(0, 0, 0)]).shape
        (92, 608, 3)
    """
    pictures = {'visible': visible, 'infrared': infrared}
    entries = list(zip(classes, palette))
    if label is not None:
        pictures['label'] = colorize_labels(label, palette)
        entries += _ignored_entry(label, len(palette))
    row = _side_by_side(pictures)
    return np.vstack([row, _legend(row.shape[1], entries)]) if entries else row


def draw_overlay(
    fused: np.ndarray,
    prediction: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    opacity: float = 0.5,
) -> np.ndarray:
    """Draw the classes over the fused image, with a legend of those that are there.

    Args:
        fused (np.ndarray): (H, W, 3) RGB or (H, W), uint8.
        prediction (np.ndarray): Class ids (H, W).
        classes (Sequence[str]): Class names.
        palette (Sequence[Sequence[int]]): R, G and B in 0..255 per class. A black class, such as most backgrounds,
            leaves the image as it is.
        opacity (float): Of the classes, in [0, 1].

    Returns:
        np.ndarray: The picture (H', W, 3), RGB uint8.

    Raises:
        ValueError: The pictures differ in size, or the opacity is out of range.

    Examples:
        >>> grey, ids = np.full((48, 200), 90, np.uint8), np.zeros((48, 200), int)
        >>> ids[:24] = 1
        >>> picture = draw_overlay(grey, ids, ['soil', 'crop'], [(0, 0, 0), (0, 210, 0)])
        >>> picture.shape, picture[0, 0].tolist(), picture[40, 0].tolist()
        ((70, 200, 3), [45, 150, 45], [90, 90, 90])
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f'opacity must be in [0, 1], got {opacity}')
    if fused.shape[:2] != prediction.shape:
        raise ValueError(f'fused image and prediction must have one size, got {fused.shape[:2]} and {prediction.shape}')
    image = fused if fused.ndim == 3 else np.repeat(fused[..., None], 3, axis=2)
    colors = colorize_labels(prediction, palette)
    mixed = (image * (1 - opacity) + colors * opacity).round().astype(np.uint8)
    picture = np.where(colors.any(axis=2, keepdims=True), mixed, image)
    there = [(classes[number], palette[number]) for number in np.unique(prediction) if number < len(classes)]
    there += _ignored_entry(prediction, len(palette))
    return np.vstack([picture, _legend(picture.shape[1], there)])


def draw_panel(
    visible: np.ndarray,
    infrared: np.ndarray,
    fused: np.ndarray,
    weight_ir: np.ndarray,
    prediction: np.ndarray | None = None,
    label: np.ndarray | None = None,
    classes: Sequence[str] = (),
    palette: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Draw visible, infrared, weights, fused, prediction and label side by side.

    Args:
        visible (np.ndarray): (H, W, 3) RGB uint8.
        infrared (np.ndarray): (H, W) uint8.
        fused (np.ndarray): (H, W, 3) RGB or (H, W), uint8.
        weight_ir (np.ndarray): Weight of the infrared image (H, W) in [0, 1].
        prediction (np.ndarray, optional): Class ids (H, W); left out when there are none.
        label (np.ndarray, optional): Likewise.
        classes (Sequence[str]): Class names for the legend.
        palette (Sequence[Sequence[int]]): R, G and B in 0..255 per class.

    Returns:
        np.ndarray: The picture (H', W', 3), RGB uint8.

    Raises:
        ValueError: The pictures differ in size.

    Examples:
        >>> grey, ids = np.full((48, 64), 90, np.uint8), np.zeros((48, 64), int)
        >>> visible = np.dstack([grey] * 3)  # Small pictures are enlarged, so that the titles have room.
        >>> draw_panel(visible, grey, grey, grey / 255, ids, classes=('soil',), palette=((0, 0, 0),)).shape
        (236, 1296, 3)
    """
    pictures = {
        'visible': visible,
        'infrared': infrared,
        'weights': colorize_weights(weight_ir),
        'fused': fused,
    }
    ids = {name: found for name, found in (('prediction', prediction), ('label', label)) if found is not None}
    pictures.update({name: colorize_labels(found, palette) for name, found in ids.items()})
    row = _side_by_side(pictures)
    entries = [*zip(classes, palette)] if ids else []
    for found in ids.values():
        entries += [entry for entry in _ignored_entry(found, len(palette)) if entry not in entries]
    return np.vstack([row, _legend(row.shape[1], [*entries, *_weight_entries()])])
