"""One protocol for all: the config that trains a segmentor on fused images."""

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmfusion.datasets.paired import IMAGE_SUFFIXES

from ..comparison import read_entry
from .fused_folder import FusedFolder
from .pair_folders import PairFolder

PROTOCOL = (
    "the config's segmentor, from the same weights and with the same schedule, loss, augmentation and pairs, is "
    'trained and evaluated on the fused images as they are in the files; the infrared image has no say, and nothing is '
    'learned but the segmentor'
)
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9.+-]*')


def method_name(text: str) -> str:
    """A name that can be the first field of the name of a config.

    Args:
        text (str): Such as the name of a folder.

    Returns:
        str: With hyphens in the place of underscores and spaces.

    Raises:
        ValueError: Something else is in it.

    Examples:
        >>> method_name('my_fusion v2')
        'my-fusion-v2'
    """
    name = re.sub(r'[_\s]+', '-', text.strip())
    if not _NAME.fullmatch(name):
        raise ValueError(
            f'{text!r} cannot name a method: letters, digits, dots and hyphens can. Give the folder as NAME=FOLDER'
        )
    return name


def on_fused_images(cfg: Config, fused: FusedFolder, pairs: Sequence[PairFolder], lists: Path) -> Config:
    """A config whose segmentor reads fused images from files.

    Args:
        cfg (Config): Of any model with a ``FusionSegmentor``.
        fused (FusedFolder): The images.
        pairs (Sequence[PairFolder]): Of that config.
        lists (Path): Folder for lists of the pairs; they are written.

    Returns:
        Config: The same, but for ``model.fusion`` and what asks it, and the folders of the visible images. Fusion
        metrics are left out: the file and itself are no pair.

    Raises:
        ValueError: The model is no ``FusionSegmentor``.
    """
    found = copy.deepcopy(cfg)
    kind = (found.get('model') or {}).get('type', '')
    if str(kind).rsplit('.', 1)[-1] != 'FusionSegmentor':
        raise ValueError(
            f'the model of the config is {kind or "missing"}, not FusionSegmentor; write a child of ten lines, as '
            'README.md shows for any recipe of mmseg'
        )
    replaced = dict(
        # The image of the file, luminance and colour.
        fusion=dict(type='VisibleOnly'),
        reads='fused',
        color='rgb',
        refine=None,
        sensor_dropout=None,
        source_loss_weight=0,
    )
    for name, value in replaced.items():
        found.model[name] = value  # `update` of a config would merge the two fusions.
    for folder in pairs:
        _read_from(_at(found, folder.key), folder, fused, lists)
    found.test_evaluator = _without_fusion_metrics(found.test_evaluator)
    found.val_evaluator = _without_fusion_metrics(found.val_evaluator)
    # So that runs of other images are told apart.
    found.fused_images = dict(method=fused.name, digest=fused.digest())
    return found


def _at(cfg: Config, key: str) -> dict:
    entry: Any = cfg
    for part in key.split('.'):
        entry = entry[int(part)] if part.isdigit() else entry[part]
    return entry


def _read_from(options: dict, folder: PairFolder, fused: FusedFolder, lists: Path) -> None:
    """Let a data set find fused images in the place of visible ones."""
    for name in ('hold_out', 'part', 'exclude_file'):
        options.pop(name, None)
    # The very same pairs, however the data set came to them.
    names = lists / f'{folder.key}.txt'
    names.parent.mkdir(parents=True, exist_ok=True)
    names.write_text('\n'.join(folder.pairs) + '\n', encoding='utf-8')
    prefix = {key: str(Path(path).absolute()) for key, path in folder.prefix.items()}
    options['ann_file'] = str(names.absolute())
    options['data_prefix'] = {**prefix, 'vi_path': str(fused.folders[folder.visible].absolute())}
    options['vi_suffix'] = IMAGE_SUFFIXES


def _without_fusion_metrics(evaluator: Any) -> Any:
    if not isinstance(evaluator, (list, tuple)):
        return evaluator
    return [metric for metric in evaluator if str(metric.get('type')).rsplit('.', 1)[-1] != 'FusionMetric']


def write_config(cfg: Config, method: str, segmentor: Path, folder: Path) -> Path:
    """Write a config under a name that a comparison understands.

    Args:
        cfg (Config): Of :func:`on_fused_images`.
        method (str): First field of the name.
        segmentor (Path): The config it was made of, which has the other fields.
        folder (Path): Where to.

    Returns:
        Path: The file.

    Raises:
        ValueError: The name of ``segmentor`` does not say which data it is for.
    """
    read_entry(segmentor)
    path = folder / f'{method}_{segmentor.stem.split("_", 1)[1]}.py'
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(path)
    return path
