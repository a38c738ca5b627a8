"""CWFID: bands of one picture and annotations in colour become pairs with ids."""

from collections.abc import Mapping

import cv2
import numpy as np
import yaml

from ..cwfid import CWFIDDataset
from .layout import Found, Pair, complete_pairs, find_root, listed, stems_in
from .recipes import FolderRecipe
from .sources import Source
from .summary import decode

# R, G, B of the annotations, in the order of the ids: soil, crop, weed.
_COLOURS = ((0, 0, 0), (0, 255, 0), (255, 0, 0))
# Vegetation has to be brighter in one band than in another by this factor, to tell near-infrared from red.
_LEAST_CONTRAST = 1.1
_LOOKED_AT = 10


def ids_of_colours(annotation: np.ndarray, name: str) -> np.ndarray:
    """Class ids of an annotation in colour.

    Args:
        annotation (np.ndarray): (H, W, 3) or (H, W, 4), blue, green, red as OpenCV reads them.
        name (str): What messages call it.

    Returns:
        np.ndarray: (H, W) uint8: 0 black, soil; 1 green, crop; 2 red, weed.

    Raises:
        ValueError: It has another colour.

    Examples:
        >>> ids_of_colours(np.array([[[0, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8), 'a.png').tolist()
        [[0, 1, 2]]
    """
    if annotation.ndim != 3:
        raise ValueError(f'{name} is no annotation in colour: its shape is {annotation.shape}')
    rgb = annotation[..., 2::-1]
    ids = np.full(rgb.shape[:2], 255, np.uint8)
    for number, colour in enumerate(_COLOURS):
        ids[(rgb == colour).all(axis=2)] = number
    strange = np.unique(rgb[ids == 255].reshape(-1, 3), axis=0)
    if len(strange):
        raise ValueError(f'{name} has other colours than black, green and red: {listed(map(str, strange.tolist()))}')
    return ids


def plant_contrast(image: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """How much brighter plants are than soil, in every band.

    Args:
        image (np.ndarray): (H, W, C).
        ids (np.ndarray): (H, W): 0 is soil, all else a plant.

    Returns:
        np.ndarray: Ratio of the means, (C,); NaN without plants.

    Examples:
        >>> plant_contrast(np.array([[[10, 20], [40, 10]]]), np.array([[0, 1]])).round(2).tolist()
        [4.0, 0.5]
    """
    if not (ids > 0).any() or not (ids == 0).any():
        return np.full(image.shape[2], np.nan)
    return image[ids > 0].mean(axis=0) / np.maximum(image[ids == 0].mean(axis=0), 1e-6)


class CWFIDRecipe(FolderRecipe):
    """CWFID as its authors publish it: ``images``, ``annotations`` and ``train_test_split.yaml``.

    The bands of an image become two images of one channel, the red band as visible and near-infrared as infrared.
    Which band is which is found from the plants, which reflect near-infrared and swallow red light, unless it is given.
    A pair that both lists of the authors name, 28, is a test pair only.

    Args:
        nir_channel (int, optional): Band of near-infrared, in the order R, G, B of the files. Default: that in which
            plants are brightest.
        red_channel (int, optional): Band of red light. Default: that in which plants are darkest.
        scale (float): Size of the result; 0.5 gives the 483x648 of the data set class.

    Raises:
        ValueError: A band is none of 0, 1 and 2, or both are the same; the scale is not in (0, 1].

    Examples:
        >>> CWFIDRecipe().scale
        0.5
        >>> CWFIDRecipe(nir_channel=3)
        Traceback (most recent call last):
        ValueError: nir_channel is 0, 1 or 2 (R, G, B), not 3
    """

    def __init__(self, nir_channel: int | None = None, red_channel: int | None = None, scale: float = 0.5) -> None:
        super().__init__('CWFID', CWFIDDataset, dict(vi='vi', ir='ir', labels='labels'), hold_out=5)
        for name, channel in (('nir_channel', nir_channel), ('red_channel', red_channel)):
            if channel not in (None, 0, 1, 2):
                raise ValueError(f'{name} is 0, 1 or 2 (R, G, B), not {channel!r}')
        if nir_channel is not None and nir_channel == red_channel:
            raise ValueError(f'nir_channel and red_channel are both {nir_channel}')
        if not 0 < scale <= 1:
            raise ValueError(f'scale must be in (0, 1], got {scale}')
        self.scale = scale
        self.given = dict(vi=red_channel, ir=nir_channel)
        self.channels: dict[str, int] = {}

    def find(self, source: Source, allow_unpaired: bool = False) -> Found:
        """Look for the pairs; see :class:`Recipe`."""
        root = find_root(source, ['images', 'annotations', 'train_test_split.yaml'], self.title)
        images = _by_number(stems_in(source, f'{root}images/', ('.png',)), '_image')
        annotations = _by_number(stems_in(source, f'{root}annotations/', ('.png',)), '_annotation')
        files = dict(vi=images, ir=images, labels=annotations)
        lists = _read_split(source, f'{root}train_test_split.yaml')
        found = Found([], {})
        both = sorted(set(lists['train']) & set(lists['test']))
        if both:
            found.notes.append(f"in both of the authors' lists, and a test pair only here: {listed(both)}")
        lists['train'] = [stem for stem in lists['train'] if stem not in both]
        for split in self.splits:
            pairs, notes = complete_pairs(split, lists[split], files, allow_unpaired)
            found.pairs += pairs
            found.notes += notes
            found.lists[split] = [pair.stem for pair in pairs]
        self._find_channels(source, found)
        return found

    def targets(self, pair: Pair) -> dict[str, str]:
        """Where the files of a pair go; see :class:`Recipe`."""
        return {role: f'{self.folder_of(pair.split, role)}/{pair.stem}.png' for role in pair.files}

    def names(self, pair: Pair) -> Mapping[str, str]:
        """What messages call the files of a pair; both images are bands of one file."""
        bands = dict(vi='red band of ', ir='near-infrared band of ', labels='')
        return {role: f'{bands[role]}{name}' for role, name in pair.files.items()}

    def contents(self, source: Source, pair: Pair) -> dict[str, bytes]:
        """Bands and ids of a pair as PNG files; see :class:`Recipe`. Only behind :meth:`find`."""
        image, ids = _read_pair(source, pair)
        height, width = (round(self.scale * length) for length in ids.shape)
        size = width, height
        small = {role: _resized(image[..., band], size, cv2.INTER_AREA) for role, band in self.channels.items()}
        small['labels'] = _resized(ids, size, cv2.INTER_NEAREST)
        return {role: cv2.imencode('.png', picture)[1].tobytes() for role, picture in small.items()}

    def _find_channels(self, source: Source, found: Found) -> None:
        """Tell near-infrared from red light, where that was not given."""
        red, nir = self.given['vi'], self.given['ir']
        if red is None or nir is None:
            contrasts = [plant_contrast(*_read_pair(source, pair)) for pair in found.pairs[:_LOOKED_AT]]
            contrast = np.nanmean(contrasts, axis=0) if np.isfinite(contrasts).any() else np.ones(3)
            nir = int(contrast.argmax()) if nir is None else nir
            red = int(contrast.argmin()) if red is None else red
            if contrast[nir] < _LEAST_CONTRAST * contrast[red]:
                raise ValueError(
                    'the bands of the images cannot be told apart: plants are '
                    f'{", ".join(f"{value:.2f}" for value in contrast)} times as bright as soil in R, G, B; give '
                    '--nir-channel and --red-channel'
                )
        self.channels = dict(vi=red, ir=nir)
        found.notes.append(f'bands: near-infrared is {"RGB"[nir]}, red is {"RGB"[red]}')


def _resized(image: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """An image of another width and height, or the same one."""
    if image.shape[1::-1] == size:
        return np.ascontiguousarray(image)
    return cv2.resize(image, size, interpolation=interpolation)


def _by_number(files: Mapping[str, str], ending: str) -> dict[str, str]:
    """Of ``001_image`` the key ``001``."""
    return {stem.removesuffix(ending): name for stem, name in files.items() if stem.endswith(ending)}


def _read_split(source: Source, name: str) -> dict[str, list[str]]:
    """The authors' lists of numbers as stems."""
    try:
        lists = yaml.safe_load(source.read(name))
        return {split: [f'{int(number):03d}' for number in lists[split]] for split in ('train', 'test')}
    except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f'{name} has not the lists of numbers train and test') from error


def _read_pair(source: Source, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Image in R, G, B order and ids."""
    image = decode(source.read(pair.files['vi']), pair.files['vi'])
    if image.ndim != 3:
        raise ValueError(f'{pair.files["vi"]} has one band only, and should have those of red light and near-infrared')
    annotation = decode(source.read(pair.files['labels']), pair.files['labels'])
    ids = ids_of_colours(annotation, pair.files['labels'])
    if image.shape[:2] != ids.shape:
        raise ValueError(f'{pair.files["vi"]} and {pair.files["labels"]} differ in size: {image.shape}, {ids.shape}')
    return image[..., 2::-1], ids
