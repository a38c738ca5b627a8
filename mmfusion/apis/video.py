"""Pairs of videos, frame by frame."""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import mmcv
import numpy as np

from mmfusion.visualization import colorize_weights, draw_overlay

from .inferencer import FusionInferencer, progress
from .output import kinds_to_save

SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.m4v', '.webm')
"""What a video ends with, in upper or lower case."""

KINDS = ('fused', 'weights', 'overlays')
"""What can be written of a video, each to a file of this name."""

_CODECS = {'.avi': 'MJPG'}
_USUAL_RATE = 25.0


def is_video(path: object) -> bool:
    """Whether a path is that of a video, by its suffix.

    Args:
        path (object): Anything.

    Returns:
        bool: False for what is no path.

    Examples:
        >>> is_video('night.MP4'), is_video('night.png'), is_video(None)
        (True, False, False)
    """
    return isinstance(path, (str, os.PathLike)) and Path(path).suffix.lower() in SUFFIXES


class FrameWriter:
    """Writes frames of one size to a file.

    Args:
        path (Path): Its suffix decides on the codec; its folder is made.
        rate (float): Frames per second.

    Raises:
        OSError: The file cannot be written, or not with this suffix.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> 'FrameWriter':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()

    def write(self, picture: np.ndarray) -> None:
        """Add a frame.

        Args:
            picture (np.ndarray): (H, W, 3) RGB or (H, W), uint8; all of one size.
        """
        frame = picture[..., ::-1] if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter.fourcc(*_CODECS.get(self.path.suffix.lower(), 'mp4v'))
            self._writer = cv2.VideoWriter(str(self.path), codec, self.rate, (frame.shape[1], frame.shape[0]))
            if not self._writer.isOpened():
                raise OSError(f'{self.path} cannot be written; OpenCV writes .mp4 and .avi everywhere')
        self._writer.write(np.ascontiguousarray(frame))


def _open(path: str | os.PathLike, name: str) -> mmcv.VideoReader:
    if not Path(path).is_file():
        raise FileNotFoundError(f'{name}: there is no video {path}')
    reader = mmcv.VideoReader(os.fspath(path))
    if not reader.opened or not len(reader):
        raise ValueError(f'{name}: {path} is no video that OpenCV can read')
    return reader


def fuse_video(
    fuse: FusionInferencer,
    ir: str | os.PathLike,
    vi: str | os.PathLike,
    out_dir: str | os.PathLike,
    save: Sequence[str] = ('fused',),
    suffix: str = '.mp4',
    show_bar: bool = True,
) -> dict[str, Any]:
    """Fuse two videos of one scene, frame by frame.

    Nothing is carried from frame to frame: the n-th frames of both are a pair like any other. Sound is left out.

    Args:
        fuse (FusionInferencer): The model; its ``resize_to`` and ``align`` hold for every frame.
        ir (str | os.PathLike): Infrared video.
        vi (str | os.PathLike): Visible video, with as many frames.
        out_dir (str | os.PathLike): Folder for ``fused.mp4`` and the like.
        save (Sequence[str]): Which of :data:`KINDS`; overlays take a model that knows classes.
        suffix (str): '.mp4' or '.avi'.
        show_bar (bool): Show progress on a terminal.

    Returns:
        dict[str, Any]: ``frames``, their number, ``rate``, frames per second, and ``files``, what was written.

    Raises:
        FileNotFoundError: A video does not exist.
        OSError: A file cannot be written.
        ValueError: A file is no video or ends early, the videos differ in length, or there is nothing of that kind.
    """
    kinds_to_save(save, fuse.model.num_classes)
    unknown = [kind for kind in save if kind not in KINDS]
    if unknown:
        raise ValueError(f'of a video {", ".join(KINDS)} can be written, not {", ".join(unknown)}')
    infrared, visible = _open(ir, 'ir'), _open(vi, 'vi')
    if len(infrared) != len(visible):
        raise ValueError(
            f'the infrared video has {len(infrared)} frames, the visible one {len(visible)}; cut them to the same'
        )
    rate = float(visible.fps)
    rate = rate if math.isfinite(rate) and rate > 0 else _USUAL_RATE
    files = {kind: Path(out_dir) / f'{kind}{suffix}' for kind in save}
    with ExitStack() as stack:
        writers = {kind: stack.enter_context(FrameWriter(path, rate)) for kind, path in files.items()}
        for number in progress(range(len(visible)), show_bar):
            frames = infrared.read(), visible.read()
            if frames[0] is None or frames[1] is None:
                raise ValueError(f'frame {number} of {len(visible)} cannot be read; what is before it is written')
            found = fuse(ir=frames[0], vi=frames[1])
            for kind, writer in writers.items():
                writer.write(_DRAW[kind](found))
    return dict(frames=len(visible), rate=rate, files=list(files.values()))


def _overlay(found: dict) -> np.ndarray:
    """Classes over the image; the legend below would be of another size in every frame."""
    fused = found['fused'][0]
    return draw_overlay(fused, found['labels'][0], found['classes'], found['palette'])[: len(fused)]


_DRAW: dict[str, Callable[[dict], np.ndarray]] = {
    'fused': lambda found: found['fused'][0],
    'weights': lambda found: colorize_weights(found['weights'][0]),
    'overlays': _overlay,
}
