"""Pairs per second of models as they are and exported to ONNX, beside their segmentor without any fusion."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmfusion.apis import load_config
from mmfusion.deploy import Run, checked_size, export_onnx, onnx_runner, trace_onnx
from mmfusion.models import FusionSegmentor
from mmfusion.models.scorer import plain_metas
from mmfusion.models.segmentors.build import segmentor_config
from mmfusion.registry import MODELS

from .benchmark import device_name
from .tables import Sheet
from .taught_model import random_model


@dataclass
class Speed:
    """Of one contender.

    Examples:
        >>> Speed('joint', 'PyTorch', [0.5, 0.25, 0.2]).per_second
        4.0
    """

    name: str
    """What it computes."""
    runtime: str
    """'PyTorch' or 'ONNX Runtime'."""
    seconds: list[float] = field(default_factory=list)
    """Of each pass of one pair."""

    @property
    def per_second(self) -> float:
        """float: Pairs per second, by the median pass."""
        return 1 / median(self.seconds)


class _PlainSegmentor(nn.Module):
    """An mmseg segmentor of visible images: what is there without this project."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.segmentor = MODELS.build(segmentor_config(config)[0])

    def forward(self, pair: Tensor) -> Tensor:
        """Scores of the visible image of a pair (1, 4, H, W)."""
        image = (pair[:, :3].flip(1) - 127.5) / 64  # Which statistics does not matter for time.
        size = image.shape[2:]
        return self.segmentor.encode_decode(image, [dict(ori_shape=size, img_shape=size, pad_shape=size)])


def export_speed(
    configs: Sequence[str | Config],
    size: Sequence[int] = (480, 640),
    threads: int | None = None,
    repeats: int = 10,
    tell: Callable[[str], object] = lambda doing: None,
) -> list[Speed]:
    """Time predictions of one pair, with random weights, which take as long as trained ones.

    Of each config: the joint model and its fusion alone, and the segmentor alone on the visible image; each in PyTorch
    and as ONNX for this size, the joint model also as ONNX for any size. Passes of all of them take turns, so that a
    machine's mood meets all.

    Args:
        configs (Sequence[str | Config]): Names, files or configs. The segmentor alone is that of the first.
        size (Sequence[int]): Height and width of a pair, to be divided by what the models pad to.
        threads (int, optional): Of PyTorch and of ONNX Runtime; PyTorch's own choice by default.
        repeats (int): Timed passes of each.
        tell (Callable): Called with what is being done.

    Returns:
        list[Speed]: In this order.

    Raises:
        ModuleNotFoundError: onnx or onnxruntime is not installed.
        ValueError: A model cannot be exported, or a number is not positive.
    """
    if repeats < 1 or (threads is not None and threads < 1):
        raise ValueError(f'repeats and threads must be positive, got {repeats} and {threads}')
    size = checked_size(size)
    if threads is not None:
        torch.set_num_threads(threads)
    pair = 255 * torch.rand(1, 4, *size, generator=torch.Generator().manual_seed(0))
    contenders: list[tuple[Speed, Run]] = []
    with tempfile.TemporaryDirectory() as folder, DefaultScope.overwrite_default_scope('mmfusion'):
        for number, config in enumerate(configs):
            cfg = load_config(config)
            name = Path(cfg.filename).stem if cfg.filename else f'config {number + 1}'
            tell(f'exporting {name}')
            if number == 0:
                contenders.extend(_segmentor_alone(cfg, pair))
            contenders.extend(_of_config(cfg, name, size, Path(folder)))
        tell('measuring')
        _take_turns(contenders, pair, repeats)
    return [speed for speed, _ in contenders]


def export_speed_sheet(speeds: Sequence[Speed], size: Sequence[int]) -> Sheet:
    """What :func:`export_speed` found, for readers.

    Args:
        speeds (Sequence[Speed]): Times; the first is what the others are compared with, in the same runtime.
        size (Sequence[int]): Height and width.

    Returns:
        Sheet: A row each.

    Examples:
        >>> sheet = export_speed_sheet([Speed('a', 'PyTorch', [0.5]), Speed('b', 'PyTorch', [1.0])], (480, 640))
        >>> sheet.rows[1]
        ['b', 'PyTorch', '1.00', '1000', '1000', '2.00']
    """
    first: dict[str, float] = {}
    rows = []
    for speed in speeds:
        unit = first.setdefault(speed.runtime, median(speed.seconds))
        times = [f'{1000 * value:.0f}' for value in (median(speed.seconds), min(speed.seconds))]
        cost = f'{median(speed.seconds) / unit:.2f}'
        rows.append([speed.name, speed.runtime, f'{speed.per_second:.2f}', *times, cost])
    note = (
        f'{device_name(torch.device("cpu"))}, {torch.get_num_threads()} thread(s), torch {torch.__version__}, '
        f'{len(speeds[0].seconds)} passes of each in turns'
    )
    header = ['model', 'runtime', 'pairs per second', 'ms, median', 'ms, least', 'times the segmentor']
    return Sheet(f'one pair of {size[0]} x {size[1]}', header, rows, note)


def _segmentor_alone(cfg: Config, pair: Tensor) -> Iterator[tuple[Speed, Run]]:
    torch.manual_seed(0)
    plain = _PlainSegmentor(cfg.model.segmentor).eval()
    yield Speed('segmentor alone', 'PyTorch'), plain
    yield Speed('segmentor alone', 'ONNX Runtime'), onnx_runner(trace_onnx(plain, pair, ['scores']))


def _of_config(cfg: Config, name: str, size: tuple[int, int], folder: Path) -> Iterator[tuple[Speed, Run]]:
    model = random_model(cfg, torch.device('cpu')).eval()
    for part, fixed, told in (('fusion', size, 'fusion'), ('joint', size, 'joint'), ('joint', None, 'joint, any size')):
        path = folder / f'{name}-{told}.onnx'
        export_onnx(model, path, part, size=fixed)
        if fixed is not None:
            yield Speed(f'{name}: {told}', 'PyTorch'), _in_torch(model, part)
        yield Speed(f'{name}: {told}', 'ONNX Runtime'), onnx_runner(str(path))


def _in_torch(model: FusionSegmentor, part: str) -> Run:
    """The model itself, with what its preprocessor does."""

    def run(pair: Tensor) -> list[Tensor]:
        inputs = model.data_preprocessor(dict(inputs=pair))['inputs']
        image, result = model.fuse(inputs, training=False)
        if part == 'fusion':
            return [image, result.weight_ir]
        return [image, result.weight_ir, model.segment(inputs, image, result, plain_metas(inputs))]

    return run


@torch.inference_mode()
def _take_turns(contenders: Sequence[tuple[Speed, Run]], pair: Tensor, repeats: int) -> None:
    for _, run in contenders:
        run(pair)  # Memory is got once.
    for _ in range(repeats):
        for speed, run in contenders:
            started = time.perf_counter()
            run(pair)
            speed.seconds.append(time.perf_counter() - started)
