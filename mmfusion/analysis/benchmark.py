"""What the contenders of the benchmark cost: counted in one step, timed in turns."""

import platform
from pathlib import Path
from statistics import median

import torch

from .contenders import RELEASED, Batch, Contender
from .stopwatch import Stopwatch, counting

TASKS = ('train', 'inference')


PARTS = ('labels', 'attribution', 'attention', 'stages', 'segmentor', 'losses', 'backward', 'optimizer', 'other')


def summary(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return dict(median=median(values), min=min(values), max=max(values))


def compare(contenders: list[Contender], task: str, batch: Batch, repeats: int, device: torch.device) -> list[dict]:
    """Count one step of each, then time steps in turns.

    Args:
        contenders (list[Contender]): The released computation, if any, comes first.
        task (str): 'train' or 'inference'.
        batch (Batch): What they work on.
        repeats (int): Timed steps of each.
        device (torch.device): Where.

    Returns:
        list[dict]: The entries of ``results`` that are measured here; see the module.
    """
    rows = []
    for contender in contenders:  # These steps warm up as well.
        with counting(contender.segmentor.backbone) as counts:
            contender.run(task, batch)
        size = len(batch.inputs)
        rows.append(
            dict(
                implementation=contender.name,
                forward_images=counts.forward_images / size,
                backward_images=counts.backward_images / size,
                autograd_calls=counts.autograd_calls,
                flops=counts.flops,
                flops_fusion=contender.fusion_flops(task, batch),
            )
        )
    totals: list[list[float]] = [[] for _ in contenders]
    parts: list[list[dict]] = [[] for _ in contenders]
    for _ in range(repeats):
        for number, contender in enumerate(contenders):
            watch = Stopwatch(device)
            if device.type == 'cuda':
                # Waiting for the device at every section would change the time that is told.
                started = watch.now()
                contender.run(task, batch)
                totals[number].append(watch.now() - started)
            with watch.watching(contender.sections):
                contender.run(task, batch, watch)
            parts[number].append(watch.seconds)
            if device.type != 'cuda':
                totals[number].append(sum(watch.seconds.values()))
    for row, times, shares in zip(rows, totals, parts):
        row['seconds'] = dict(summary(times), all=times)
        row['parts'] = {
            name: median(share.get(name, 0.0) for share in shares)
            for name in PARTS
            if any(name in share for share in shares)
        }
        row['speedup'] = None
        if contenders[0].name == RELEASED:
            row['speedup'] = summary([theirs / mine for theirs, mine in zip(totals[0], times)])
            row['speedup']['median'] = median(totals[0]) / row['seconds']['median']
    return rows


def device_name(device: torch.device) -> str:
    """The model of the processor or of the GPU."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()
