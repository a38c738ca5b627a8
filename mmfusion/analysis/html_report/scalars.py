"""What a run logged over its iterations."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..run_summary import mean_and_spread

SCALARS = 'vis_data/scalars.json'


@dataclass(frozen=True)
class Curve:
    """A figure over the iterations, of one run or of several."""

    steps: tuple[int, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...] = ()
    """Sample standard deviations over the runs; empty for a single run."""
    runs: int = 1


def read_scalars(folder: Path) -> list[dict[str, Any]]:
    r"""Records of a run: ``TIME/vis_data/scalars.json``, a line each.

    A resumed run goes on in a folder of a new time. What an earlier start logged counts up to where the next one
    begins, so that a run that began anew has the records of its latest start alone.

    Args:
        folder (Path): Its work folder.

    Returns:
        list[dict[str, Any]]: In their order. A line that is not whole, as of a run that writes right now, is left out.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for time, lines in {'1': '{"iter": 2}\n{"iter": 4}', '2': '{"iter": 4, "loss": 1.0}\n{"it'}.items():
        ...         Path(folder, time, 'vis_data').mkdir(parents=True)
        ...         _ = Path(folder, time, SCALARS).write_text(lines)
        ...     read_scalars(Path(folder))
        [{'iter': 2}, {'iter': 4, 'loss': 1.0}]
    """
    records: list[dict[str, Any]] = []
    for log in sorted(folder.glob(f'*/{SCALARS}')):
        found = _lines(log)
        if found:
            first = _step(found[0])
            records = [record for record in records if _step(record) < first] + found
    return records


def _lines(log: Path) -> list[dict[str, Any]]:
    found = []
    for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and ('step' in record or 'iter' in record):
            found.append(record)
    return found


def _step(record: dict[str, Any]) -> int:
    return int(record.get('step', record.get('iter', 0)))


def loss_curves(records: Sequence[dict[str, Any]]) -> dict[str, Curve]:
    """Losses of the training.

    Args:
        records (Sequence[dict[str, Any]]): Of :func:`read_scalars`.

    Returns:
        dict[str, Curve]: By name; the sum of all, ``loss``, comes first.

    Examples:
        >>> losses = loss_curves([{'iter': 5, 'head.loss_ce': 1.0, 'loss': 2.0, 'lr': 0.1}, {'step': 5, 'mIoU': 50.0}])
        >>> {name: curve.means for name, curve in losses.items()}
        {'loss': (2.0,), 'head.loss_ce': (1.0,)}
    """
    training = [record for record in records if 'iter' in record]
    names = dict.fromkeys(name for record in training for name in record if 'loss' in name)
    ordered = sorted(names, key=lambda name: name != 'loss')
    return {name: _curve(training, name) for name in ordered}


def validation_curve(records: Sequence[dict[str, Any]], metric: str = 'mIoU') -> Curve:
    """A metric of the validations.

    Args:
        records (Sequence[dict[str, Any]]): Of :func:`read_scalars`.
        metric (str): Its name.

    Returns:
        Curve: Empty where there is none.

    Examples:
        >>> validation_curve([{'iter': 5, 'loss': 2.0}, {'step': 5, 'mIoU': 50.0}]).means
        (50.0,)
    """
    return _curve([record for record in records if 'iter' not in record], metric)


def _curve(records: Sequence[dict[str, Any]], name: str) -> Curve:
    points = {_step(record): float(record[name]) for record in records if name in record}
    return Curve(tuple(points), tuple(points.values()))


def average_curves(curves: Sequence[Curve]) -> Curve:
    """Mean and spread over runs.

    Args:
        curves (Sequence[Curve]): One of each run, such as of each seed.

    Returns:
        Curve: At the steps that all of them have.

    Examples:
        >>> curve = average_curves([Curve((10, 20), (1.0, 3.0)), Curve((10, 20, 30), (2.0, 5.0, 9.0))])
        >>> curve.steps, curve.means, [round(spread, 3) for spread in curve.spreads], curve.runs
        ((10, 20), (1.5, 4.0), [0.707, 1.414], 2)
    """
    points = [dict(zip(curve.steps, curve.means)) for curve in curves if curve.steps]
    if not points:
        return Curve((), ())
    shared = sorted(step for step in points[0] if all(step in others for others in points))
    told = [mean_and_spread([others[step] for others in points]) for step in shared]
    means = tuple(mean for mean, _ in told)
    spreads = tuple(spread for _, spread in told) if len(points) > 1 else ()
    return Curve(tuple(shared), means, spreads, len(points))
