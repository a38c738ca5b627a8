"""What the contenders cost: counted in one step, timed in turns."""

import copy
import functools
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.config import Config

from mmfusion.command_line import read_config
from mmfusion.models import FusionSegmentor

from .contenders import RELEASED, Contender, our_contenders, released_contender
from .counting import counting
from .step_memory import peak_memory
from .stopwatch import Stopwatch
from .striped_pairs import StripedBatch, make_batch
from .taught_model import build_model, teach

TASKS = ('train', 'inference')
PARTS = (
    'labels',
    'attribution',
    'attention',
    'gate',
    'stages',
    'segmentor',
    'refiner',
    'losses',
    'backward',
    'optimizer',
    'other',
)
# Training changes the weights, and with them the predicted classes.
_ORDER = ('inference', 'train')


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and range.

    Examples:
        >>> summary([3.0, 1.0, 2.0])
        {'median': 2.0, 'min': 1.0, 'max': 3.0}
    """
    return dict(median=median(values), min=min(values), max=max(values))


def device_name(device: torch.device) -> str:
    """The model of the processor or of the GPU.

    Examples:
        >>> len(device_name(torch.device('cpu'))) > 0
        True
    """
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def compare_contenders(
    contenders: Sequence[Contender], task: str, batch: StripedBatch, repeats: int, device: torch.device
) -> list[dict[str, Any]]:
    """Count one step of each, then time steps in turns.

    Args:
        contenders (Sequence[Contender]): The released computation, if any, comes first.
        task (str): 'train' or 'inference'.
        batch (StripedBatch): What they work on.
        repeats (int): Timed steps of each.
        device (torch.device): Where.

    Returns:
        list[dict]: Per contender: ``implementation``, its name; ``forward_images`` and ``backward_images`` (per
        sample), ``autograd_calls``, ``flops`` and ``flops_fusion``; ``seconds`` (``median``, ``min``, ``max``,
        ``all``); ``parts`` (median seconds by name); ``speedup`` (``median``, ``min``, ``max``) over the released
        computation, None without it.
    """
    counts = [_count(contender, task, batch) for contender in contenders]  # These steps warm up as well.
    times: list[_Times] = [_Times() for _ in contenders]
    for _ in range(repeats):
        for contender, taken in zip(contenders, times):
            taken.add(contender, task, batch, device)
    rows = []
    for row, taken in zip(counts, times):
        row['seconds'] = dict(summary(taken.totals), all=taken.totals)
        row['parts'] = _medians(taken.parts)
        row['speedup'] = _speedup(times[0].totals, taken.totals) if contenders[0].name == RELEASED else None
        rows.append(row)
    return rows


def _count(contender: Contender, task: str, batch: StripedBatch) -> dict[str, Any]:
    backbone: Any = contender.segmentor.backbone
    with counting(backbone) as counts:
        contender.run(task, batch)
    samples = len(batch.inputs)
    return dict(
        implementation=contender.name,
        forward_images=counts.forward_images / samples,
        backward_images=counts.backward_images / samples,
        autograd_calls=counts.autograd_calls,
        flops=counts.flops,
        flops_fusion=contender.fusion_flops(task, batch),
    )


@dataclass
class _Times:
    """Times of the steps of one contender."""

    totals: list[float] = field(default_factory=list)
    """Seconds of each step."""
    parts: list[dict[str, float]] = field(default_factory=list)
    """Seconds of each step by section."""

    def add(self, contender: Contender, task: str, batch: StripedBatch, device: torch.device) -> None:
        watch = Stopwatch(device)
        if device.type == 'cuda':
            # Waiting for the device at every section would change the time that is told.
            started = watch.now()
            contender.run(task, batch)
            self.totals.append(watch.now() - started)
        with watch.watching(contender.sections):
            contender.run(task, batch, watch)
        self.parts.append(watch.seconds)
        if device.type != 'cuda':
            self.totals.append(sum(watch.seconds.values()))


def _medians(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    medians = {}
    for name in PARTS:
        if any(name in step for step in parts):
            medians[name] = median(step.get(name, 0.0) for step in parts)
    return medians


def _speedup(released: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    speedup = summary([theirs / mine for theirs, mine in zip(released, ours)])
    speedup['median'] = median(released) / median(ours)
    return speedup


@dataclass(frozen=True)
class BenchmarkSettings:
    """What to measure."""

    config: str
    """Path of the config of a FusionSegmentor with UAAFusion."""
    cfg_options: dict[str, Any] = field(default_factory=dict)
    """Overrides of the config."""
    device: str = 'cpu'
    """'cpu' or 'cuda'."""
    threads: int | None = None
    """Threads of PyTorch; its own choice by default."""
    num_classes: int = 15
    """Classes of the segmentor."""
    classes_present: Sequence[int] = (6, 14)
    """Classes in every training sample, one measurement each."""
    contenders: Sequence[str] = ('banzhaf', 'endpoint', 'multiplexed', 'gradient-free', 'bfloat16')
    """Ours: estimators, or of :data:`~mmfusion.analysis.contenders.VARIANTS`."""
    reference: bool = True
    """Whether the released computation takes part; without it there are no ratios."""
    released_steps: int = 5
    """Its path points."""
    repeats: int = 5
    """Timed steps of each."""
    train_batch_size: int = 2
    """Pairs of a training step."""
    train_size: tuple[int, int] = (128, 128)
    """Their height and width in pixels."""
    inference_batch_size: int = 2
    """Pairs of an inference."""
    inference_size: tuple[int, int] = (128, 128)
    """Their height and width in pixels."""

    def reported(self) -> dict[str, Any]:
        """The entry ``settings`` of the report.

        Examples:
            >>> BenchmarkSettings('configs/some.py').reported()['config']
            'some.py'
        """
        return dict(
            config=Path(self.config).name,
            cfg_options={key: str(value) for key, value in self.cfg_options.items()},
            num_classes=self.num_classes,
            released_steps=self.released_steps,
            repeats=self.repeats,
            train_batch_size=self.train_batch_size,
            train_size=list(self.train_size),
            inference_batch_size=self.inference_batch_size,
            inference_size=list(self.inference_size),
        )


@dataclass
class _Prepared:
    """What one number of classes is measured on."""

    batches: dict[str, StripedBatch]
    """By task."""
    found: dict[str, int]
    """Number of classes in the labels, by task."""


# Bytes by task and contender; None where they cannot be measured.
_Peaks = dict[tuple[str, str], int | None]


def _reading_the_fused_image(cfg: Config, model: FusionSegmentor, num_classes: int) -> FusionSegmentor:
    """A model of its own whose segmentor reads the fused image, as the released one does.

    Where ours reads something else, its fusion has the size of the paper, whatever the config says: five stages, 32
    channels.
    """
    if model.reading.name == 'fused':
        return copy.deepcopy(model)
    plain = copy.deepcopy(cfg)
    for key, value in (('reads', 'fused'), ('refine', None), ('fusion', dict(type='mmfusion.UAAFusion'))):
        plain.model[key] = value  # `update` would merge.
    return build_model(plain, num_classes, model.mean.device)


class _Bench:
    """A model, its contenders, and what they are measured on."""

    def __init__(self, settings: BenchmarkSettings) -> None:
        self.settings = settings
        self.device = torch.device(settings.device)
        cfg = read_config(settings.config, settings.cfg_options)
        self.model: FusionSegmentor = build_model(cfg, settings.num_classes, self.device)
        self.contenders = our_contenders(self.model, settings.contenders)
        self.reference: FusionSegmentor | None = None
        if settings.reference:
            self.reference = _reading_the_fused_image(cfg, self.model, settings.num_classes)
            self.contenders.insert(0, released_contender(self.reference, settings.released_steps))

    def prepare(self, classes: int) -> _Prepared:
        """Batches with so many classes, and one state of all segmentors."""
        settings = self.settings
        batches = dict(
            train=make_batch(settings.train_batch_size, settings.train_size, classes, self.device),
            inference=make_batch(settings.inference_batch_size, settings.inference_size, classes, self.device),
        )
        found = dict(train=classes, inference=teach(self.model, batches['inference']))
        if self.reference is not None:
            if self.model.reading.name == 'fused':
                self.reference.segmentor.load_state_dict(self.model.segmentor.state_dict())
            else:
                teach(self.reference, batches['inference'])
        return _Prepared(batches, found)

    def memory(self, classes: int) -> _Peaks:
        """Bytes at the peak of a step, by task and contender."""
        batches = self.prepare(classes).batches
        peaks: _Peaks = {}
        for task in _ORDER:
            for contender in self.contenders:
                step = functools.partial(contender.run, task, batches[task])
                peaks[task, contender.name] = peak_memory(step, self.device)
        return peaks

    def costs(self, classes: int, memory: _Peaks, tell: Callable[[str], object]) -> Iterator[dict[str, Any]]:
        """Entries of ``results``, one per task and contender."""
        prepared = self.prepare(classes)
        for task in _ORDER:
            tell(f'measuring time: {task}, {classes} classes')
            batch = prepared.batches[task]
            head = dict(task=task, classes_present=classes, classes=prepared.found[task])
            for row in compare_contenders(self.contenders, task, batch, self.settings.repeats, self.device):
                yield dict(head, memory_bytes=memory[task, row['implementation']], **row)


def run_benchmark(settings: BenchmarkSettings, tell: Callable[[str], object] = lambda doing: None) -> dict[str, Any]:
    """All measurements.

    Args:
        settings (BenchmarkSettings): What to measure.
        tell (Callable): Called with what is being done.

    Returns:
        dict: ``environment`` (``device``, ``name``, ``threads``, ``torch``), ``settings``, and ``results``, a list
        with, for each ``task``, number of ``classes_present`` and implementation: ``classes`` that the labels hold,
        ``memory_bytes`` (None where it cannot be measured), and what :func:`compare_contenders` gives.

    Raises:
        FileNotFoundError: No such config.
        ValueError: Its model is no FusionSegmentor with UAAFusion.
    """
    device = torch.device(settings.device)
    threads = settings.threads or torch.get_num_threads()
    # On a CPU memory is measured in forked processes, which do not survive the thread pool of the parent.
    torch.set_num_threads(1 if device.type == 'cpu' else threads)
    bench = _Bench(settings)
    memory = {}
    for classes in settings.classes_present:
        tell('measuring memory')
        memory[classes] = bench.memory(classes)
    torch.set_num_threads(threads)
    results: dict[str, list[dict[str, Any]]] = {task: [] for task in TASKS}
    for classes in settings.classes_present:
        for row in bench.costs(classes, memory[classes], tell):
            results[row['task']].append(row)
    return dict(
        environment=dict(device=settings.device, name=device_name(device), threads=threads, torch=torch.__version__),
        settings=settings.reported(),
        results=[row for task in TASKS for row in results[task]],
    )
