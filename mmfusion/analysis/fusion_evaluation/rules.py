"""Fused images of fixed rules, as files: what everybody's method is compared with, in the same way."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mmfusion.datasets import LoadPairFromFile, PackFusionInputs

from ..fusion_quality import RULES, Fuse, by_rule
from ..report_files import write_text
from .fused_folder import FusedFolder, find_fused
from .pair_folders import PairFolder, sources_digest, split_names

_SOURCES = 'sources.txt'


def _visible(item: dict, pair: Tensor) -> Tensor:
    return pair[:3].flip(0).float() / 255


def _infrared(item: dict, pair: Tensor) -> Tensor:
    return pair[3:].float() / 255


def rule_fusions() -> dict[str, Fuse]:
    """The rules, and each sensor alone.

    Returns:
        dict[str, Fuse]: Name to what it does. Colour is that of the visible image; infrared alone has none.

    Examples:
        >>> list(rule_fusions())
        ['average', 'maximum', 'laplacian-pyramid', 'salience', 'visible', 'infrared']
    """
    return {**{name: by_rule(rule()) for name, rule in RULES.items()}, 'visible': _visible, 'infrared': _infrared}


def write_by_rule(name: str, root: Path, pairs: Sequence[PairFolder]) -> FusedFolder:
    """Fuse all pairs of a config by a rule, unless that was done already, of the same pairs and to the end.

    Args:
        name (str): Of :func:`rule_fusions`.
        root (Path): Where to; PNG files in a sub-folder for each split.
        pairs (Sequence[PairFolder]): Of :func:`~.pair_folders.pair_folders`.

    Returns:
        FusedFolder: The images.

    Raises:
        ValueError: There is no such rule.
        OSError: A file cannot be written.
    """
    fusions = rule_fusions()
    if name not in fusions:
        raise ValueError(f'no rule is called {name!r}; there are {", ".join(fusions)}')
    done, sources = root / _SOURCES, sources_digest(pairs)
    if done.is_file() and done.read_text('utf-8') == sources:
        with suppress(FileNotFoundError):  # Somebody removed one.
            return find_fused(name, root, pairs)
    load, pack = LoadPairFromFile(), PackFusionInputs()
    splits = split_names(pairs)
    for folder in pairs:
        for stem, item in folder.pairs.items():
            pair = pack(load(dict(item, seg_fields=[])))['inputs']
            _write(root / splits[folder.visible][-1] / f'{stem}.png', fusions[name](item, pair))
    write_text(done, sources)
    return find_fused(name, root, pairs)


def _write(path: Path, image: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = image.mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1])):
        raise OSError(f'{path} cannot be written')
