"""Finished runs, read from their work folders: mean and spread over the seeds of each config."""

import csv
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mmengine.config import Config

METRICS = ('mIoU', 'IoU/*', 'fusion/*')


# Written next to the metrics, but none.
NO_METRICS = ('data_time', 'time', 'step', 'memory')


# What may differ between runs that are repetitions of each other. `seed` is what does.
INCIDENTAL = (
    'randomness.',
    'work_dir',
    'load_from',
    'resume',
    'launcher',
    'log_level',
    'experiment_name',
    'visualizer.',
    'vis_backends',
    'env_cfg.',
)


INCIDENTAL_ENDS = ('data_root', '.num_workers', '.persistent_workers', '.output_dir')


@dataclass
class Run:
    """What a work folder holds of one run."""

    folder: Path
    config_name: str
    seed: int | None
    """None where it is not known: the folder of a test whose training is not there any more."""
    config: dict[str, object]
    """The config, flat: dotted key to value."""
    results: dict[str, dict[str, float]]
    """'test' and 'val', as far as there are any: metric to value."""


def flatten(value: object, prefix: str = '') -> dict[str, object]:
    """Nested mappings and sequences to one level.

    Args:
        value (object): Such as a config.
        prefix (str): Put in front of the keys.

    Returns:
        dict[str, object]: Dotted keys, such as ``train_dataloader.dataset.pipeline.0.type``.

    Examples:
        >>> flatten(dict(model=dict(steps=2, size=[4, 8])))
        {'model.steps': 2, 'model.size.0': 4, 'model.size.1': 8}
    """
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {prefix: value}
    flat = {}
    for key, one in items:
        flat.update(flatten(one, f'{prefix}.{key}' if prefix else str(key)))
    return flat


def _read_config(path: Path) -> Config:
    # A dumped config has no bases and needs none of the modules that its run needed.
    return Config.fromfile(path, import_custom_modules=False)


def _metrics_of(record: dict) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in record.items()
        if name not in NO_METRICS and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _validation(log: Path, cfg: Config, folder: Path) -> dict[str, float] | None:
    """The validation after the last iteration, from a training log; None if the training did not get there."""
    train_cfg = cfg.get('train_cfg') or {}
    last = train_cfg.get('max_iters', train_cfg.get('max_epochs'))
    # Lines of training have the iteration, those of validation only the step at which they were written.
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    validations = [line for line in lines if 'iter' not in line and _metrics_of(line)]
    if not validations or last is None:
        return None
    marker = folder / 'last_checkpoint'
    name = Path(marker.read_text().strip()).stem if marker.is_file() else ''
    # The step may count epochs while the run counts iterations; then the name of the last checkpoint tells.
    unit = 'iter' if 'max_iters' in train_cfg else 'epoch'
    finished = validations[-1].get('step') == last or name == f'{unit}_{last}'
    return _metrics_of(validations[-1]) if finished else None


def read_run(folder: Path) -> Run:
    """Read a work folder.

    mmengine writes ``NAME.py``, the config, and a folder per start: ``TIME/vis_data/scalars.json`` has a line per
    record of training and validation, ``TIME/vis_data/config.py`` the config of that start; ``TIME/TIME.json`` is a
    test.

    Args:
        folder (Path): Work folder.

    Returns:
        Run: With the latest results.

    Raises:
        FileNotFoundError: There is no such folder, no config in it or no finished run.
        ValueError: It holds runs of several configs.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'no work folder at {folder}')
    configs = sorted(folder.glob('*.py'))
    if not configs:
        raise FileNotFoundError(f'{folder} is no work folder of a run: there is no config (NAME.py) in it')
    if len(configs) > 1:
        raise ValueError(
            f'{folder} holds runs of several configs ({", ".join(path.name for path in configs)}); give '
            'each run a work folder of its own'
        )
    cfg = _read_config(configs[0])
    results: dict[str, dict[str, float]] = {}
    trained: Config | None = None
    for start in sorted(path for path in folder.iterdir() if path.is_dir()):  # The names are times: the latest wins.
        log, test = start / 'vis_data/scalars.json', start / f'{start.name}.json'
        if log.is_file():
            of_start = start / 'vis_data/config.py'
            trained = _read_config(of_start) if of_start.is_file() else cfg
            validation = _validation(log, trained, folder)
            if validation is not None:
                results['val'] = validation
        if test.is_file():
            results['test'] = _metrics_of(json.loads(test.read_text()))
    if not results:
        raise FileNotFoundError(
            f'{folder} has no finished run: neither a test nor a validation after the last '
            'iteration (train_cfg.max_iters or max_epochs). Finish the training, or test a '
            f'checkpoint of it with --work-dir {folder}'
        )
    if trained is None:  # Tested only: the training is where the checkpoint was.
        beside = sorted(Path(cfg.get('load_from') or '').parent.glob('*.py')) if cfg.get('load_from') else []
        trained = _read_config(beside[0]) if len(beside) == 1 else None
    seed = None if trained is None else (trained.get('randomness') or {}).get('seed')
    return Run(folder, configs[0].stem, seed, flatten((trained or cfg).to_dict()), results)


def choose_results(runs: Sequence[Run], results: str) -> str:
    """Which results to compare: those asked for, or ('auto') tests if all runs have one, else validations.

    Raises:
        ValueError: Some runs have none of them; the message names the folders.
    """
    lacking = {kind: [str(run.folder) for run in runs if kind not in run.results] for kind in ('test', 'val')}
    kind = results if results != 'auto' else 'val' if lacking['test'] and not lacking['val'] else 'test'
    if lacking[kind]:
        remedy = 'test them with tools/test.py' if kind == 'test' else 'finish them, or use --results test'
        raise ValueError(f'no {kind} results in {", ".join(lacking[kind])}, so the runs cannot be compared; {remedy}')
    return kind


def choose_metrics(runs: Sequence[Run], kind: str, patterns: Sequence[str]) -> list[str]:
    """Names that match the patterns, in their order.

    Raises:
        ValueError: Nothing matches a pattern.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.results[kind]))
    chosen: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            raise ValueError(f'no metric matches {pattern!r}; the {kind} results have {", ".join(known)}')
        chosen.update(dict.fromkeys(matching))
    return list(chosen)


def group_runs(runs: Sequence[Run], keys: Sequence[str]) -> dict[tuple, list[Run]]:
    """Repetitions of the same thing.

    Args:
        runs (Sequence[Run]): All runs.
        keys (Sequence[str]): 'config' for the name of the config, or dotted keys into it.

    Returns:
        dict[tuple, list[Run]]: By the values of the keys, in the order of the runs.

    Raises:
        ValueError: No config has a key, or the runs of a group are no repetitions of each other: they differ in more
            than the seed, or not in the seed.
    """
    for key in keys:
        if key != 'config' and not any(key in run.config for run in runs):
            raise ValueError(f'no config has the key {key!r} to group by; for example model.fusion.type')
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        values = tuple(run.config_name if key == 'config' else run.config.get(key, '') for key in keys)
        groups.setdefault(values, []).append(run)
    for group in groups.values():
        _check_repetitions(group, keys)
    return groups


def _check_repetitions(group: list[Run], keys: Sequence[str]) -> None:
    first, missing = group[0], object()
    seeds: dict[int, Run] = {}
    for run in group:
        differing = [
            key
            for key in {**first.config, **run.config}
            if first.config.get(key, missing) != run.config.get(key, missing)
            and not key.startswith(INCIDENTAL)
            and not key.endswith(INCIDENTAL_ENDS)
        ]
        if differing:
            raise ValueError(
                f'{first.folder} and {run.folder} are in one row, but differ in more than the seed: '
                f'{", ".join(differing[:5])}. Give them rows of their own: --group-by {" ".join(keys)} '
                f'{differing[0]}'
            )
        if run.seed is not None and seeds.setdefault(run.seed, run) is not run:
            raise ValueError(
                f'{seeds[run.seed].folder} and {run.folder} are in one row and have one seed, {run.seed}, '
                'so they say nothing about the spread. Leave one out'
            )


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation.

    Args:
        values (Sequence[float]): At least one.

    Returns:
        tuple[float, float]: The second is NaN for a single value.

    Examples:
        >>> mean_and_spread([1., 2., 3.])
        (2.0, 1.0)
    """
    mean = statistics.fmean(values)
    finite = len(values) > 1 and not math.isnan(mean)
    return mean, statistics.stdev(values) if finite else math.nan


def format_cell(mean: float, spread: float) -> str:
    """Four digits of the mean, and as many decimals of the spread.

    Examples:
        >>> format_cell(72.8712, 0.5), format_cell(0.50814, float('nan')), format_cell(1721.7, 12.3)
        ('72.87 ± 0.50', '0.5081', '1722 ± 12')
    """
    if not math.isfinite(mean):
        return f'{mean}'
    decimals = 3 if mean == 0 else min(max(3 - math.floor(math.log10(abs(mean))), 0), 6)
    return f'{mean:.{decimals}f}' + ('' if math.isnan(spread) else f' ± {spread:.{decimals}f}')


def summarise(runs: Sequence[Run], kind: str, metrics: Sequence[str], keys: Sequence[str]) -> list[dict]:
    """Mean and spread of every group.

    Args:
        runs (Sequence[Run]): Finished runs.
        kind (str): 'test' or 'val'.
        metrics (Sequence[str]): Names.
        keys (Sequence[str]): See :func:`group_runs`.

    Returns:
        list[dict]: Per group: the keys, ``n``, ``seeds`` (a list), and by metric (mean, spread), or None where no run
        of the group has it.

    Raises:
        ValueError: See :func:`group_runs`; or some runs of a group lack a metric.
    """
    rows = []
    for values, group in group_runs(runs, keys).items():
        row = dict(zip(keys, values), n=len(group), seeds=['?' if run.seed is None else run.seed for run in group])
        for name in metrics:
            lacking = [str(run.folder) for run in group if name not in run.results[kind]]
            if 0 < len(lacking) < len(group):
                raise ValueError(
                    f'{", ".join(lacking)} lacks {name}, which other runs of the same row have; evaluate '
                    'it again, or leave the metric out by --metrics'
                )
            row[name] = None if lacking else mean_and_spread([run.results[kind][name] for run in group])
        rows.append(row)
    return rows


def to_markdown(rows: Sequence[dict], keys: Sequence[str], metrics: Sequence[str], kind: str) -> str:
    """The table for readers."""
    lines = [[*keys, 'n', 'seeds', *metrics], ['---'] * len(keys) + ['---:', '---'] + ['---:'] * len(metrics)]
    for row in rows:
        cells = ['' if row[name] is None else format_cell(*row[name]) for name in metrics]
        lines.append([*(str(row[key]) for key in keys), str(row['n']), ', '.join(map(str, row['seeds'])), *cells])
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return f'{table}\n\n{kind} results: mean ± sample standard deviation over the seeds (n runs).\n'


def write_csv(path: Path, rows: Sequence[dict], keys: Sequence[str], metrics: Sequence[str]) -> None:
    """The table for programs: full precision, a column for the mean and one for the spread of each metric."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow([*keys, 'n', 'seeds', *(f'{name} {what}' for name in metrics for what in ('mean', 'std'))])
        for row in rows:
            # An empty cell for what is not there: no such metric, no spread of a single run.
            numbers = [x for name in metrics for x in row[name] or (math.nan, math.nan)]
            writer.writerow(
                [
                    *(row[key] for key in keys),
                    row['n'],
                    ' '.join(map(str, row['seeds'])),
                    *('' if math.isnan(x) else repr(x) for x in numbers),
                ]
            )
