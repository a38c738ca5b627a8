"""Tables of a comparison: for readers, and as CSV."""

import csv
import io
import math
from collections.abc import Sequence

from ..run_summary import mean_and_spread
from ..tables import Sheet
from .costs import Cost
from .scores import MAIN_METRIC, BySeed, Scores

AVERAGE = 'average'
MISSING = '-'
_IOU = 'IoU/'
CSV_COLUMNS = (
    'split',
    'data set',
    'method',
    'baseline',
    'metric',
    'n',
    'seeds',
    'values',
    'mean',
    'std',
    'best baseline',
    'difference n',
    'difference mean',
    'difference std',
)


def cell(figure: BySeed, seeds: int, signed: bool = False) -> str:
    """Mean and spread in percent points, to two decimals.

    Args:
        figure (BySeed): What is told.
        seeds (int): How many there should be; fewer are told.
        signed (bool): Whether a plus is written.

    Returns:
        str: '-' where there is nothing.

    Examples:
        >>> cell(BySeed({0: 70.0, 1: 72.0}), 2), cell(BySeed({0: 0.5}), 2, signed=True), cell(BySeed(), 2)
        ('71.00 ± 1.41', '+0.50 (n=1)', '-')
    """
    if not len(figure):
        return MISSING
    text = f'{figure.mean:+.2f}' if signed else f'{figure.mean:.2f}'
    if not math.isnan(figure.spread):
        text += f' ± {figure.spread:.2f}'
    return text if len(figure) == seeds else f'{text} (n={len(figure)})'


def _row_name(scores: Scores, method: str) -> str:
    return f'{method} (baseline)' if scores.is_baseline(method) else method


def _with_average(scores: Scores) -> bool:
    return len(scores.columns) > 1


def score_sheet(scores: Scores, split: str, seeds: Sequence[int]) -> Sheet:
    """The mIoU by method and data set.

    Args:
        scores (Scores): All figures.
        split (str): 'val' or 'test'.
        seeds (Sequence[int]): That were asked for.

    Returns:
        Sheet: A row per method, a column per data set, and their average where there are several.
    """
    rows = []
    for method in scores.methods:
        cells = [cell(scores.get(method, column), len(seeds)) for column in scores.columns]
        if _with_average(scores):
            cells.append(cell(scores.average(method), len(seeds)))
        rows.append([_row_name(scores, method), *cells])
    counted = f'{len(seeds)} seed{"s" * (len(seeds) > 1)}'
    note = (
        f'{split} results of the last checkpoint: mean ± sample standard deviation over n = {counted} '
        f'({", ".join(map(str, seeds))}); where fewer are there, their n is told.'
    )
    return Sheet(f'mIoU in %, {split}', ['method', *scores.columns, *_average_heading(scores)], rows, note)


def _average_heading(scores: Scores) -> list[str]:
    return [AVERAGE] if _with_average(scores) else []


def gain_sheet(scores: Scores, split: str, seeds: Sequence[int]) -> Sheet:
    """Difference to the best baseline of each data set, paired by seed.

    Args:
        scores (Scores): All figures.
        split (str): 'val' or 'test'.
        seeds (Sequence[int]): That were asked for.

    Returns:
        Sheet: Rows and columns as :func:`score_sheet` has them. The note names the baselines.
    """
    best = {column: scores.best_baseline(column) for column in scores.columns}
    rows = []
    for method in scores.methods:
        cells = []
        for column in scores.columns:
            itself = method == best[column]
            cells.append('best baseline' if itself else cell(scores.gain(method, column), len(seeds), signed=True))
        if _with_average(scores):
            cells.append(cell(scores.average_gain(method), len(seeds), signed=True))
        rows.append([_row_name(scores, method), *cells])
    named = ', '.join(f'{column}: {method or "none yet"}' for column, method in best.items())
    note = (
        'Differences of runs with the same seed, mean ± sample standard deviation, in percent points, to the baseline '
        f'of the highest mean ({named}).'
    )
    if _with_average(scores):
        note += f' {AVERAGE}: mean over the data sets seed by seed, over seeds that are there for all.'
    title = f'mIoU against the best baseline, {split}'
    return Sheet(title, ['method', *scores.columns, *_average_heading(scores)], rows, note)


def class_sheet(scores: Scores, column: str, split: str, seeds: Sequence[int]) -> Sheet:
    """IoU by method and class on one data set.

    Args:
        scores (Scores): All figures.
        column (str): The data set.
        split (str): 'val' or 'test'.
        seeds (Sequence[int]): That were asked for.

    Returns:
        Sheet: A row per method that has a config for the data set, a column per class.
    """
    names = [name for name in scores.metrics(column) if name.startswith(_IOU)]
    rows = []
    for method in scores.methods:
        cells = [cell(scores.get(method, column, name), len(seeds)) for name in names]
        rows.append([_row_name(scores, method), *cells])
    return Sheet(f'IoU in %, {column}, {split}', ['method', *(name.removeprefix(_IOU) for name in names)], rows)


def score_sheets(scores: Scores, split: str, seeds: Sequence[int]) -> list[Sheet]:
    """All tables of the figures.

    Args:
        scores (Scores): All figures.
        split (str): 'val' or 'test'.
        seeds (Sequence[int]): That were asked for.

    Returns:
        list[Sheet]: Means; differences, if there are baselines; classes of each data set that has any.
    """
    sheets = [score_sheet(scores, split, seeds)]
    if scores.baselines:
        sheets.append(gain_sheet(scores, split, seeds))
    for column in scores.columns:
        if any(name.startswith(_IOU) for name in scores.metrics(column)):
            sheets.append(class_sheet(scores, column, split, seeds))
    return sheets


def scores_to_csv(scores: Scores, split: str, costs: Sequence[Cost] = ()) -> str:
    """All figures for programs, with full precision.

    Args:
        scores (Scores): All figures.
        split (str): 'val' or 'test'.
        costs (Sequence[Cost]): Added as metrics of their own; their n counts repeats.

    Returns:
        str: A line per data set, method and metric, mIoU and the classes; an empty cell for what is not there.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(CSV_COLUMNS)
    for column in scores.columns:
        metrics = [name for name in scores.metrics(column) if name == MAIN_METRIC or name.startswith(_IOU)]
        for method in scores.methods:
            for metric in metrics:
                writer.writerow([split, column, *_csv_cells(scores, column, method, metric)])
    for cost in costs:
        for metric, values in cost.figures().items():
            numbers = [_number(value) for value in mean_and_spread(values)]
            baseline = int(scores.is_baseline(cost.method))
            told = ' '.join(map(repr, values))
            writer.writerow(['', '', cost.method, baseline, metric, len(values), '', told, *numbers, '', '', '', ''])
    return file.getvalue()


def _csv_cells(scores: Scores, column: str, method: str, metric: str) -> list[object]:
    figure, gain = scores.get(method, column, metric), scores.gain(method, column, metric)
    seeds, values = ' '.join(map(str, figure.values)), ' '.join(map(repr, figure.values.values()))
    return [
        method,
        int((method, column) in scores.baselines),
        metric,
        len(figure),
        seeds,
        values,
        _number(figure.mean),
        _number(figure.spread),
        scores.best_baseline(column) or '',
        len(gain),
        _number(gain.mean),
        _number(gain.spread),
    ]


def _number(value: float) -> str:
    return '' if math.isnan(value) else repr(value)
