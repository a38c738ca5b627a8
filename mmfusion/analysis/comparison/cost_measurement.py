"""Costs of methods: counted once, timed in turns in one process."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import Tensor

from mmfusion.registry import DATASETS

from ..benchmark import device_name
from ..counting import flop_counter
from ..quiet import quiet
from ..scenes import read_scene
from ..stopwatch import Stopwatch
from ..striped_pairs import StripedBatch, make_batch
from ..taught_model import let_see_all_classes, random_model
from .costs import Cost, CostReport


@dataclass(frozen=True)
class CostSettings:
    """How costs are measured."""

    device: str = 'cpu'
    """Such as 'cpu' or 'cuda:0'."""
    threads: int = 1
    """Threads of PyTorch."""
    repeats: int = 10
    """Timed steps of each method."""

    def __post_init__(self) -> None:
        for name in ('threads', 'repeats'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} of the cost must be at least 1, got {getattr(self, name)}')


class _Candidate:
    """A model with random weights, and the steps that are timed."""

    def __init__(self, name: str, cfg: Config, device: torch.device, test_loader: str) -> None:
        self.model: Any = random_model(cfg, device)
        self.optim: OptimWrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
        for group in self.optim.param_groups:
            group['lr'] = 0.0  # What a step costs does not depend on its length, but on predictions that it changes.
        classes = max(self.model.num_classes, 2)
        train_size, test_size = sample_size(cfg, 'train_dataloader'), sample_size(cfg, test_loader)
        batch_size = cfg.train_dataloader.batch_size
        self.train_batch = make_batch(batch_size, train_size, classes, device)
        self.test_batch = make_batch(1, test_size, classes, device)
        let_see_all_classes(self.model, test_size, device)
        height, width = test_size
        self.told = (
            f'Prediction of one pair of {height}x{width}, iteration of {batch_size} of {train_size[0]}x{train_size[1]}'
        )
        self.cost = Cost(name, sum(parameter.numel() for parameter in self.model.parameters()), 0)

    def predict(self, watch: Stopwatch) -> float:
        """Seconds of one prediction."""
        self.model.eval()
        data = _data(self.test_batch)
        started = watch.now()
        with torch.no_grad():
            self.model.test_step(data)
        return watch.now() - started

    def train(self, watch: Stopwatch) -> float:
        """Seconds of one training step."""
        self.model.train()
        data = _data(self.train_batch)
        started = watch.now()
        self.model.train_step(data, self.optim)
        return watch.now() - started

    def count(self, watch: Stopwatch) -> None:
        """Count the operations of a prediction, and warm up."""
        with flop_counter() as flops:
            self.predict(watch)
        self.cost.flops = flops.get_total_flops()


def _data(batch: StripedBatch) -> dict[str, Any]:
    """A batch as a data loader gives it: B, G, R, infrared in bytes; nothing of it is shared with another step."""
    pixels: Tensor = (255 * batch.inputs[:, [2, 1, 0, 3]]).round().byte()
    return dict(inputs=list(pixels), data_samples=[sample.clone() for sample in batch.samples])


def sample_size(cfg: Config, loader: str) -> tuple[int, int]:
    """Height and width of the first pair that a data loader of a config gives.

    Args:
        cfg (Config): With its data in place.
        loader (str): Such as 'train_dataloader'.

    Returns:
        tuple[int, int]: In pixels, as the pipeline leaves it.

    Raises:
        ValueError: The pipeline rejects it.
    """
    dataset = DATASETS.build(cfg[loader].dataset)
    height, width = read_scene(dataset, 0)['inputs'].shape[-2:]
    return height, width


def measure_costs(configs: Mapping[str, Config], split: str, settings: CostSettings) -> CostReport:
    """Parameters, operations and times of several methods.

    Steps are those of the runner, from the preprocessor to predictions at the original size and to updated weights,
    without reading data and without hooks. Each works on stripes of all classes, at the size of the first pair of the
    data and at the batch size of the config.

    Args:
        configs (Mapping[str, Config]): By method.
        split (str): 'val' or 'test': whose first pair tells the size of a prediction.
        settings (CostSettings): Where and how often.

    Returns:
        CostReport: One entry per method, in order.

    Raises:
        FileNotFoundError: The data are not in place.
    """
    device = torch.device(settings.device)
    with _threads(settings.threads), quiet():
        candidates = []
        for name, cfg in configs.items():
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmfusion'):
                candidates.append(_Candidate(name, cfg, device, f'{split}_dataloader'))
        _measure(candidates, settings.repeats, Stopwatch(device))
    sizes = {candidate.cost.method: candidate.told for candidate in candidates}
    return CostReport([candidate.cost for candidate in candidates], hardware(device, settings.threads), sizes)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure(candidates: Sequence[_Candidate], repeats: int, watch: Stopwatch) -> None:
    for candidate in candidates:
        candidate.count(watch)
        candidate.train(watch)
    # In turns, so that a machine's mood meets all.
    for _ in range(repeats):
        for candidate in candidates:
            candidate.cost.predict_seconds.append(candidate.predict(watch))
    for _ in range(repeats):
        for candidate in candidates:
            candidate.cost.train_seconds.append(candidate.train(watch))


def hardware(device: torch.device, threads: int) -> str:
    """The machine in words.

    Args:
        device (torch.device): That is measured on.
        threads (int): Threads of PyTorch.

    Returns:
        str: Processor or GPU, number of processors, threads, version of PyTorch.

    Examples:
        >>> f'torch {torch.__version__}' in hardware(torch.device('cpu'), 1)
        True
    """
    cores = f'{os.cpu_count()} cores, ' if device.type == 'cpu' else ''
    return f'{device_name(device)}, {cores}{threads} thread{"s" * (threads > 1)}, torch {torch.__version__}'
