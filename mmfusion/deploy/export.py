"""Models as files that run without this package: ONNX, and programs of torch.export."""

import importlib.util
import inspect
import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmfusion.engine.atomic_files import write_atomically
from mmfusion.models import FusionModel, FusionSegmentor
from mmfusion.version import __version__

from .agreement import Run, differences
from .deployed_fusion import DeployedFusion, without_evidence

FORMATS = ('onnx', 'pt2')
"""What a model can be exported to, which are the suffixes of the files."""

SMALLEST_SIDE = 64
"""Of a pair in pixels, for models of any size. Below, features have sides of one place, which code treats apart."""

_OPSET = 17
# What PyTorch cannot prove of all sizes, such as that 1 is no multiple of a width, the program asserts when it is run.
_DEFER = 'prefer_deferred_runtime_asserts_over_guards'
_INPUT = 'pair'
_BATCH, _HEIGHT, _WIDTH = 'batch', 'height', 'width'
# Two pairs, sides that no preprocessor leaves as they are. Then others, each odd in its own way.
_TRACED = (2, 90, 123)
_OTHERS = ((1, 64, 101), (2, 131, 96))
_MEANINGS = dict(
    pair='float32 (N, 4, H, W), 0..255: blue, green, red, infrared',
    fused='float32 (N, 3 or 1, H, W), 0..1: red, green, blue, or grey',
    weight_ir='float32 (N, 1, H, W), 0..1: weight of the infrared image; 1 minus it is that of the visible one',
    scores='float32 (N, C, H, W): raw scores of the classes; with C = 1 the probability of the foreground',
    labels='int64 (N, H, W): class ids',
)


class _Export:
    """What both exporters do alike: the module to trace, its example, and the comparison."""

    def __init__(
        self,
        model: FusionSegmentor | FusionModel,
        path: str | os.PathLike,
        part: str | None,
        labels: bool,
        size: Sequence[int] | None,
        classes: Sequence[str],
    ) -> None:
        self.path = _writable(Path(path))
        self.deployed = DeployedFusion(model, part, labels, size)
        self.reference = without_evidence(model).cpu().eval()
        self.names = self.deployed.output_names
        if self.deployed.size is None:
            least = self.deployed.least
            beyond = [(1, least[0] + 3, least[1] + 21)] if least != (1, 1) else []
            shape, self.shapes = _TRACED, [*_OTHERS, *beyond]
            sizes = f'any number of pairs, sides of at least {SMALLEST_SIDE} pixels'
        else:
            shape = (1, *self.deployed.size)
            self.shapes, sizes = [shape], f'one pair of {shape[1]} x {shape[2]} pixels'
        self.example = 255 * torch.rand(shape[0], 4, *shape[1:], generator=torch.Generator().manual_seed(0))
        self.notes = {
            'mmfusion': __version__,
            'sizes': sizes,
            'classes': json.dumps(list(classes)),
            **{name: _MEANINGS[name] for name in (_INPUT, *self.names)},
        }

    def trace(self, trace: Callable[[], Any]) -> Any:
        """Call an exporter; tell in one way what it cannot do."""
        try:
            with torch.no_grad():
                return trace()
        except Exception as error:  # A segmentor may do anything, and so may an exporter.
            told = ' '.join(str(error).split())[:300]
            raise ValueError(
                f'this model cannot be exported{self._remedy()}. {type(error).__name__}: {told}'
            ) from error

    def compare(self, run: Run) -> dict[str, float]:
        """Differences to the model's own predictions, at other sizes."""
        try:
            return differences(run, self.names, self.reference, self.shapes)
        except ValueError as error:
            raise ValueError(f'{error}; {self.path} is not written{self._remedy()}') from error

    def _remedy(self) -> str:
        if self.deployed.size is None:
            return (
                '; fix the size of its pairs (size=, or --fixed-size HEIGHT WIDTH), or set '
                'data_preprocessor.size_divisor to what its layers divide sides by'
            )
        return '' if self.deployed.part == 'fusion' else "; its fusion alone may be (part='fusion', or --part fusion)"


def export_onnx(
    model: FusionSegmentor | FusionModel,
    path: str | os.PathLike,
    part: str | None = None,
    labels: bool = False,
    size: Sequence[int] | None = None,
    classes: Sequence[str] = (),
) -> dict[str, float]:
    """Write a model as ONNX, after ONNX Runtime has been seen to say what the model predicts.

    It is traced by PyTorch's TorchScript exporter, whose graphs have the fewest requirements. A graph may tacitly hold
    for the traced size only: so the outputs are compared with the ``predict`` of the model at other sizes and
    numbers of pairs before the file is written.

    Args:
        model (FusionSegmentor | FusionModel): Trained; such as ``FusionInferencer(...).model``. It is not changed.
        path (str | os.PathLike): The file; its folder is made.
        part (str, optional): 'joint' or 'fusion'; see :class:`~mmfusion.deploy.DeployedFusion`, which tells input and
            outputs.
        labels (bool): Class ids in the place of scores.
        size (Sequence[int], optional): Height and width of all pairs to come, one at a time; for runtimes and models
            that take no other. By default any number of pairs with sides of at least :data:`SMALLEST_SIDE` pixels.
        classes (Sequence[str]): Class names. Like the meaning of input and outputs they are in the model's metadata.

    Returns:
        dict[str, float]: Largest differences to the predictions by output, on random pairs.

    Raises:
        ModuleNotFoundError: onnx or onnxruntime is not installed.
        OSError: The file cannot be written.
        TypeError, ValueError: As :class:`~mmfusion.deploy.DeployedFusion` does; or the model cannot be exported, or
            not for any size. Then no file is written.
    """
    _require('onnx', 'onnxruntime')
    export = _Export(model, path, part, labels, size, classes)
    traced = export.trace(lambda: trace_onnx(export.deployed, export.example, export.names, any_size=size is None))
    content = _with_notes(traced, export.notes)
    found = export.compare(onnx_runner(content))
    write_atomically(export.path, content)
    return found


def export_program(
    model: FusionSegmentor | FusionModel,
    path: str | os.PathLike,
    part: str | None = None,
    labels: bool = False,
    size: Sequence[int] | None = None,
    classes: Sequence[str] = (),
) -> dict[str, float]:
    """Write a model as a program of ``torch.export``, which ``torch.export.load`` reads without this package.

    ``torch.export.load(path).module()`` is a module that takes pairs. Sizes that a graph does not hold for are refused
    when it is made or when it is run.

    Args:
        model (FusionSegmentor | FusionModel): See :func:`export_onnx`, as for all others.
        path (str | os.PathLike): The file.
        part (str, optional): 'joint' or 'fusion'.
        labels (bool): Class ids in the place of scores.
        size (Sequence[int], optional): Height and width of all pairs to come.
        classes (Sequence[str]): Class names. With the meaning of input and outputs they are the extra file
            ``mmfusion.json`` of the program.

    Returns:
        dict[str, float]: Largest differences to the predictions by output, on random pairs.

    Raises:
        OSError, TypeError, ValueError: As in :func:`export_onnx`.
    """
    export = _Export(model, path, part, labels, size, classes)
    shapes = None
    if size is None:
        sides = [torch.export.Dim(name, min=SMALLEST_SIDE) for name in (_HEIGHT, _WIDTH)]
        shapes = ({0: torch.export.Dim(_BATCH, min=1), 2: sides[0], 3: sides[1]},)
    options: dict[str, Any] = dict(dynamic_shapes=shapes, strict=False)
    if _DEFER in inspect.signature(torch.export.export).parameters:  # Not in the first releases.
        options[_DEFER] = True
    program = export.trace(lambda: torch.export.export(export.deployed, (export.example,), **options))
    module = program.module()
    with torch.no_grad():
        found = export.compare(module)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={'mmfusion.json': json.dumps(export.notes)})
    write_atomically(export.path, content.getvalue())
    return found


def trace_onnx(module: nn.Module, pair: Tensor, names: Sequence[str], any_size: bool = False) -> bytes:
    """Trace a module that takes pairs, without looking at what came of it.

    Args:
        module (nn.Module): In evaluation mode.
        pair (Tensor): An example (N, 4, H, W).
        names (Sequence[str]): Of the outputs.
        any_size (bool): Whether numbers of pairs, heights and widths are to vary.

    Returns:
        bytes: The ONNX model.

    Raises:
        ModuleNotFoundError: onnx is not installed.
    """
    _require('onnx')
    maps = {0: _BATCH, 2: _HEIGHT, 3: _WIDTH}
    axes = {_INPUT: maps, **dict.fromkeys(names, maps)}
    if 'labels' in names:
        axes['labels'] = {0: _BATCH, 1: _HEIGHT, 2: _WIDTH}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        # Of plain numbers that become constants, which a comparison finds, and of exporters to come.
        warnings.simplefilter('ignore')
        file = Path(folder) / 'model.onnx'
        torch.onnx.export(
            module,
            (pair,),
            str(file),
            input_names=[_INPUT],
            output_names=list(names),
            dynamic_axes=axes if any_size else None,
            opset_version=_OPSET,
            dynamo=False,
        )
        return file.read_bytes()


def onnx_runner(content: bytes | str, threads: int | None = None) -> Run:
    """An ONNX model as a function of tensors.

    Args:
        content (bytes | str): The model, or its file.
        threads (int, optional): For ONNX Runtime; as many as PyTorch has by default.

    Returns:
        Callable: A pair (N, 4, H, W) to the outputs.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    _require('onnxruntime')
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # Errors. Warnings are of names of dimensions.
    session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name

    def run(pair: Tensor) -> list[Tensor]:
        return [torch.from_numpy(output) for output in session.run(None, {name: pair.numpy()})]

    return run


def _require(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"an export to ONNX needs {' and '.join(missing)}, not installed here: pip install 'mmfusion[onnx]' (or "
            f'{" ".join(missing)}); the format pt2 needs neither',
            name=missing[0],
        )


def _writable(path: Path) -> Path:
    """Refuse a path now that could not be written later; an export takes a while."""
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder; give the path of the file to write')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f'{path} cannot be written ({error.strerror}); choose another place') from error
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f'{path} cannot be written: no permission in {path.parent}; choose another place')
    return path


def _with_notes(content: bytes, notes: dict[str, str]) -> bytes:
    """An ONNX model with metadata, and with the meaning of its input and outputs."""
    import onnx

    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, notes)
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = _MEANINGS[value.name]
    model.producer_name, model.producer_version = 'mmfusion', __version__
    onnx.checker.check_model(model)
    return model.SerializeToString()
