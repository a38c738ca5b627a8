"""The same test pairs as all methods fuse and segment them."""

import base64
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dataset import BaseDataset, pseudo_collate

from mmfusion.apis import FusionInferencer, load_config
from mmfusion.command_line import EXPECTED_ERRORS
from mmfusion.engine.hooks.fusion_visualization_hook import pictures_of
from mmfusion.visualization import colorize_labels

from ..comparison.plan import data_root_options, parse_options
from ..quiet import quiet
from ..scenes import build_dataset, read_scene
from .runs import ReportRun
from .study import Study

NO_CHECKPOINT = 'no checkpoint kept'
_SIDE = 224
"""Longest side of a picture, in pixels."""
_QUALITY = 80
_LOOKED_AT = 12
"""Pairs of each part of the test data of which the one with most classes is shown."""


@dataclass
class MethodPictures:
    """What one method makes of a pair."""

    method: str
    fused: str = ''
    prediction: str = ''
    """Data URIs; empty where there is a problem, the prediction also of a model without classes."""
    seed: int | None = None
    problem: str = ''


@dataclass
class Scene:
    """A pair, and what the methods make of it."""

    name: str
    number: int
    """In the test data."""
    visible: str = ''
    infrared: str = ''
    label: str = ''
    """Data URIs; the label is empty where there is none."""
    methods: list[MethodPictures] = field(default_factory=list)


@dataclass
class Gallery:
    """Scenes of one data set."""

    column: str
    scenes: list[Scene] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    """Classes and their colours, hexadecimal."""
    without: dict[str, str] = field(default_factory=dict)
    """Methods that cannot be shown, and why."""

    @property
    def reasons(self) -> dict[str, list[str]]:
        """dict[str, list[str]]: Why methods cannot be shown, and which."""
        told: dict[str, list[str]] = {}
        for method, reason in self.without.items():
            told.setdefault(reason, []).append(method)
        return told


def data_uri(image: np.ndarray, exact: bool = False) -> str:
    """A picture as a part of the page, made small.

    Args:
        image (np.ndarray): (H, W, 3) RGB or (H, W), uint8.
        exact (bool): PNG with its pixels as they are, for colours that mean classes; else JPEG.

    Returns:
        str: ``data:image/...``.

    Examples:
        >>> data_uri(np.zeros((4, 4), np.uint8), exact=True)[:22]
        'data:image/png;base64,'
    """
    factor = min(1.0, _SIDE / max(image.shape[:2]))
    if factor < 1:
        size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST if exact else cv2.INTER_AREA)
    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., ::-1])
    if exact:
        kind, (_, encoded) = 'png', cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    else:
        kind, (_, encoded) = 'jpeg', cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f'data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}'


def choose_runs(study: Study, column: str) -> tuple[dict[str, ReportRun], dict[str, str]]:
    """A run of each method whose pictures are shown: of one seed, as far as its checkpoints were kept.

    Args:
        study (Study): All runs.
        column (str): The data set.

    Returns:
        tuple[dict[str, ReportRun], dict[str, str]]: Runs by method, and methods without one, with the reason.
    """
    kept: dict[str, list[ReportRun]] = {}
    without = {}
    for method in study.scores.methods:
        runs = study.runs_of(method, column)
        # A checkpoint of a training that goes on is no result of it.
        kept[method] = [run for run in runs if run.results and run.checkpoint is not None]
        if runs and not kept[method]:
            without[method] = NO_CHECKPOINT
    seeds = [run.seed for runs in kept.values() for run in runs]
    common = max(seeds, key=seeds.count) if seeds else None
    chosen = {}
    for method, runs in kept.items():
        if runs:
            chosen[method] = next((run for run in runs if run.seed == common), runs[0])
    return chosen, without


def choose_pairs(dataset: BaseDataset, number: int) -> list[int]:
    """Test pairs to show: of each part of the data, in equal parts, the one in which most classes are.

    Labels alone decide, no prediction.

    Args:
        dataset (BaseDataset): Test data.
        number (int): How many.

    Returns:
        list[int]: Numbers of the pairs, in order; fewer where the data have fewer.

    Examples:
        >>> choose_pairs([None] * 2, 0)
        []
    """
    total = len(dataset)
    parts = np.array_split(np.arange(total), min(number, total)) if number and total else []
    chosen = []
    for part in parts:
        candidates = part[:: max(1, len(part) // _LOOKED_AT)].tolist()
        chosen.append(max(candidates, key=lambda index: _classes_in(dataset, index)))
    return chosen


def _classes_in(dataset: BaseDataset, index: int) -> int:
    sample = read_scene(dataset, index)['data_samples']
    return len(sample.gt_sem_seg.data.unique()) if 'gt_sem_seg' in sample else 0


class GalleryMaker:
    """Fuses and segments the pairs of a page.

    Args:
        study (Study): All runs.
        number (int): Pairs of each data set.
        data_roots (Mapping[str, str], optional): Folders of data by data set, with or without its crop.
        device (str, optional): Where models run.
        tell (Callable, optional): Called with a line before each model is loaded.

    Raises:
        ValueError: The number is negative, or a data root is for no data set.
    """

    def __init__(
        self,
        study: Study,
        number: int,
        data_roots: Mapping[str, str] | None = None,
        device: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        known = {name for run in study.runs for name in (run.entry.dataset, run.entry.field)}
        for name in data_roots or {}:
            if name not in known:
                raise ValueError(
                    f'--data-root {name}=...: no run is on {name!r}; they are on {", ".join(sorted(known))}'
                )
        if number < 0:
            raise ValueError(f'--panels must not be negative, got {number}')
        self.study, self.number, self.data_roots, self.device = study, number, data_roots or {}, device
        self.tell = tell or (lambda line: None)

    def make(self, column: str) -> Gallery:
        """The pairs of one data set.

        Args:
            column (str): The data set.

        Returns:
            Gallery: What cannot be shown is told in it.
        """
        chosen, without = choose_runs(self.study, column)
        gallery = Gallery(column, without=dict(without))
        for method, run in chosen.items():
            self.tell(f'pictures: {run.folder.name}')
            try:
                with quiet(), warnings.catch_warnings(), torch.no_grad():
                    warnings.simplefilter('ignore')  # What the training would have been told about its config.
                    self._add(gallery, method, run)
            except (*EXPECTED_ERRORS, RuntimeError) as error:
                gallery.without[method] = f'cannot be shown: {" ".join(str(error).split())[:300]}'
        return gallery

    def _add(self, gallery: Gallery, method: str, run: ReportRun) -> None:
        inferencer = self._load(run)
        dataset = build_dataset(inferencer)
        first = not gallery.scenes
        numbers = choose_pairs(dataset, self.number) if first else [scene.number for scene in gallery.scenes]
        scenes = gallery.scenes
        if first:
            scenes = [Scene(_pair_name(dataset, index), index) for index in numbers]
        elif max(numbers, default=-1) >= len(dataset) or _names(dataset, numbers) != [scene.name for scene in scenes]:
            raise ValueError('its test data are others')
        made = [self._pictures(inferencer, dataset, index) for index in numbers]
        for scene, pictures in zip(scenes, made):
            if first:
                _show_inputs(scene, pictures, inferencer.palette)
            prediction = _classes_uri(pictures['prediction'], inferencer.palette)
            scene.methods.append(MethodPictures(method, data_uri(pictures['fused']), prediction, run.seed))
        if first:
            gallery.scenes = scenes
            colors = ('#{:02x}{:02x}{:02x}'.format(*color) for color in inferencer.palette)
            gallery.legend = list(zip(inferencer.classes, colors))

    def _load(self, run: ReportRun) -> FusionInferencer:
        (path,) = run.folder.glob('*.py')
        cfg = load_config(path)
        root = self.data_roots.get(run.entry.field, self.data_roots.get(run.entry.dataset))
        if root is not None:
            cfg.merge_from_dict(parse_options(data_root_options(cfg, root)))
        return FusionInferencer(cfg, run.checkpoint, self.device)

    @staticmethod
    def _pictures(inferencer: FusionInferencer, dataset: BaseDataset, index: int) -> dict:
        packed = read_scene(dataset, index)
        (sample,) = inferencer.model.test_step(pseudo_collate([packed]))
        return pictures_of(packed['inputs'], sample)


def _show_inputs(scene: Scene, pictures: Mapping[str, np.ndarray], palette: Sequence[Sequence[int]]) -> None:
    scene.visible, scene.infrared = data_uri(pictures['visible']), data_uri(pictures['infrared'])
    scene.label = _classes_uri(pictures['label'], palette)


def _classes_uri(ids: np.ndarray | None, palette: Sequence[Sequence[int]]) -> str:
    """A label map; empty where there is none, as of a fusion without a segmentor."""
    return '' if ids is None or not palette else data_uri(colorize_labels(ids, palette), exact=True)


def _names(dataset: BaseDataset, numbers: Sequence[int]) -> list[str]:
    return [_pair_name(dataset, index) for index in numbers]


def _pair_name(dataset: BaseDataset, index: int) -> str:
    """As the file is called, or as its number where it is drawn."""
    path = dataset.get_data_info(index).get('img_path') or dataset.get_data_info(index).get('vi_path')
    return Path(path).name if path else f'pair {index}'
