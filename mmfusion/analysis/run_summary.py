"""One table of finished runs: mean and spread over the seeds of each config."""

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .tables import markdown_table
from .work_folders import Run

METRICS = ('mIoU', 'IoU/*', 'fusion/*')
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


def choose_results(runs: Sequence[Run], results: str) -> str:
    """Which results to compare: those asked for, or ('auto') tests if all runs have one, else validations.

    Args:
        runs (Sequence[Run]): Finished runs.
        results (str): 'auto', 'test' or 'val'.

    Returns:
        str: 'test' or 'val'.

    Raises:
        ValueError: Some runs have none of them; the message names the folders.

    Examples:
        >>> choose_results([Run(Path('a'), 'tiny', 1, {}, {'val': {'mIoU': 70.0}})], 'auto')
        'val'
    """
    lacking = {}
    for split in ('test', 'val'):
        lacking[split] = [str(run.folder) for run in runs if split not in run.results]
    chosen = results
    if results == 'auto':
        chosen = 'val' if lacking['test'] and not lacking['val'] else 'test'
    if lacking[chosen]:
        remedy = 'test them with tools/test.py' if chosen == 'test' else 'finish them, or use --results test'
        raise ValueError(
            f'no {chosen} results in {", ".join(lacking[chosen])}, so the runs cannot be compared; {remedy}'
        )
    return chosen


def choose_metrics(runs: Sequence[Run], split: str, patterns: Sequence[str]) -> list[str]:
    """Names that match the patterns, in their order.

    Args:
        runs (Sequence[Run]): Finished runs.
        split (str): 'test' or 'val'.
        patterns (Sequence[str]): Names, or patterns such as ``IoU/*``.

    Returns:
        list[str]: Each name once.

    Raises:
        ValueError: Nothing matches a pattern.

    Examples:
        >>> run = Run(Path('a'), 'tiny', 1, {}, {'val': {'mIoU': 70.0, 'IoU/warm': 80.0, 'IoU/cold': 60.0}})
        >>> choose_metrics([run], 'val', ['IoU/*', 'mIoU'])
        ['IoU/warm', 'IoU/cold', 'mIoU']
    """
    known = list(dict.fromkeys(name for run in runs for name in run.results[split]))
    chosen: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in known if fnmatchcase(name, pattern)]
        if not matching:
            raise ValueError(f'no metric matches {pattern!r}; the {split} results have {", ".join(known)}')
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

    Examples:
        >>> runs = [Run(Path(f'work{seed}'), 'tiny', seed, {'model.steps': 5}, {}) for seed in (1, 2)]
        >>> [(values, len(group)) for values, group in group_runs(runs, ['config', 'model.steps']).items()]
        [(('tiny', 5), 2)]
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
    first = group[0]
    seeds: dict[int, Run] = {}
    for run in group:
        differing = differing_keys(first.config, run.config)
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


def differing_keys(
    first: Mapping[str, object],
    second: Mapping[str, object],
    incidental: tuple[str, ...] = INCIDENTAL,
    incidental_ends: tuple[str, ...] = INCIDENTAL_ENDS,
) -> list[str]:
    """Keys in which two flat configs differ, without those that may differ.

    Args:
        first (Mapping[str, object]): Dotted keys to values.
        second (Mapping[str, object]): As well.
        incidental (tuple[str, ...]): Beginnings of keys that may differ.
        incidental_ends (tuple[str, ...]): Ends of keys that may differ.

    Returns:
        list[str]: Those that one of them lacks as well.

    Examples:
        >>> differing_keys({'a': 1, 'work_dir': 'x', 'b': 2}, {'a': 3, 'work_dir': 'y'})
        ['a', 'b']
    """
    missing = object()
    differing = []
    for key in {**first, **second}:
        may_differ = key.startswith(incidental) or key.endswith(incidental_ends)
        if not may_differ and first.get(key, missing) != second.get(key, missing):
            differing.append(key)
    return differing


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


def summarise(runs: Sequence[Run], split: str, metrics: Sequence[str], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Mean and spread of every group.

    Args:
        runs (Sequence[Run]): Finished runs.
        split (str): 'test' or 'val'.
        metrics (Sequence[str]): Names.
        keys (Sequence[str]): See :func:`group_runs`.

    Returns:
        list[dict]: Per group: the keys, ``n``, ``seeds`` (a list), and by metric (mean, spread), or None where no run
        of the group has it.

    Raises:
        ValueError: See :func:`group_runs`; or some runs of a group lack a metric.

    Examples:
        >>> runs = [Run(Path(f'work{s}'), 'tiny', s, {}, {'val': {'mIoU': 70.0 + s}}) for s in (1, 3)]
        >>> summarise(runs, 'val', ['mIoU'], ['config'])
        [{'config': 'tiny', 'n': 2, 'seeds': [1, 3], 'mIoU': (72.0, 1.4142135623730951)}]
    """
    rows = []
    for values, group in group_runs(runs, keys).items():
        row = dict(zip(keys, values), n=len(group), seeds=['?' if run.seed is None else run.seed for run in group])
        for name in metrics:
            row[name] = _summarise_metric(group, split, name)
        rows.append(row)
    return rows


def _summarise_metric(group: Sequence[Run], split: str, name: str) -> tuple[float, float] | None:
    lacking = [str(run.folder) for run in group if name not in run.results[split]]
    if len(lacking) == len(group):
        return None
    if lacking:
        raise ValueError(
            f'{", ".join(lacking)} lacks {name}, which other runs of the same row have; evaluate '
            'it again, or leave the metric out by --metrics'
        )
    return mean_and_spread([run.results[split][name] for run in group])


def summary_to_markdown(rows: Sequence[dict], keys: Sequence[str], metrics: Sequence[str], split: str) -> str:
    """The table for readers.

    Args:
        rows (Sequence[dict]): From :func:`summarise`.
        keys (Sequence[str]): As there.
        metrics (Sequence[str]): As there.
        split (str): 'test' or 'val'.

    Returns:
        str: A table in Markdown and a line that explains it.

    Examples:
        >>> row = dict(config='tiny', n=2, seeds=[1, 3], mIoU=(72.0, 1.414))
        >>> print(summary_to_markdown([row], ['config'], ['mIoU'], 'val'))
        | config | n | seeds | mIoU |
        | --- | ---: | --- | ---: |
        | tiny | 2 | 1, 3 | 72.00 ± 1.41 |
        <BLANKLINE>
        val results: mean ± sample standard deviation over the seeds (n runs).
        <BLANKLINE>
    """
    header = [*keys, 'n', 'seeds', *metrics]
    alignment = [*['---'] * len(keys), '---:', '---', *['---:'] * len(metrics)]
    lines = []
    for row in rows:
        cells = ['' if row[name] is None else format_cell(*row[name]) for name in metrics]
        lines.append([*(str(row[key]) for key in keys), str(row['n']), ', '.join(map(str, row['seeds'])), *cells])
    table = markdown_table(header, lines, alignment)
    return f'{table}\n\n{split} results: mean ± sample standard deviation over the seeds (n runs).\n'


def write_csv(path: Path, rows: Sequence[dict], keys: Sequence[str], metrics: Sequence[str]) -> None:
    """The table for programs: full precision, a column for the mean and one for the spread of each metric.

    Args:
        path (Path): The file; its folder is made where there is none.
        rows (Sequence[dict]): From :func:`summarise`.
        keys (Sequence[str]): As there.
        metrics (Sequence[str]): As there.

    Examples:
        >>> import tempfile
        >>> row = dict(config='tiny', n=2, seeds=[1, 3], mIoU=(72.0, 1.5))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_csv(Path(folder, 'runs.csv'), [row], ['config'], ['mIoU'])
        ...     print(Path(folder, 'runs.csv').read_text())
        config,n,seeds,mIoU mean,mIoU std
        tiny,2,1 3,72.0,1.5
        <BLANKLINE>
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow([*keys, 'n', 'seeds', *(f'{name} {what}' for name in metrics for what in ('mean', 'std'))])
        for row in rows:
            # An empty cell for what is not there: no such metric, no spread of a single run.
            numbers = [x for name in metrics for x in row[name] or (math.nan, math.nan)]
            cells = ['' if math.isnan(x) else repr(x) for x in numbers]
            writer.writerow([*(row[key] for key in keys), row['n'], ' '.join(map(str, row['seeds'])), *cells])
