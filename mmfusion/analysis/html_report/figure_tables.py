"""Tables of a page: cells that say what they are sorted by and which are best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from mmfusion.evaluation import FUSION_METRICS

from ..comparison.costs import CostReport, choose_reference
from ..comparison.scores import BySeed
from ..comparison.sheets import AVERAGE, MISSING, cell
from ..run_summary import format_cell
from .plots import IOU
from .study import Study

FUSION = 'fusion/'
LOWER_IS_BETTER = ('MSE', 'Nabf', 'Qcv', 'LPIPS', 'PI')
"""Fusion metrics of which less is better."""
UNITS = {
    'EN': 'entropy, bits',
    'SD': 'standard deviation, grey levels',
    'SF': 'spatial frequency, grey levels',
    'AG': 'average gradient, grey levels',
    'MI': 'mutual information with both sources, bits, summed',
    'SCD': 'correlations of differences, summed',
    'VIF': 'visual information fidelity, pixel domain, summed over the sources',
    'Qabf': 'edges kept, 0 to 1',
    'SSIM': 'structural similarity, 11 x 11 Gaussian window, summed over the sources (at most 2)',
    'CC': 'correlation, mean over the sources',
    'PSNR': 'dB, peak 255',
    'MSE': 'squared grey levels, mean over the sources',
    'NMI': 'normalised mutual information, summed over the sources',
    'Nabf': 'artefacts: edges stronger than in both sources',
    'FMI': 'mutual information of 3 x 3 windows',
    'MS-SSIM': 'structural similarity at five scales, mean over the sources',
    'Qcb': 'contrast as seen (Chen-Blum)',
    'Qcv': 'difference as seen (Chen-Varshney)',
    'LPIPS': 'learned perceptual distance (AlexNet), mean over the sources',
    'PI': 'perceptual index of the fused image: ((10 - Ma) + NIQE) / 2',
}
"""What fusion metrics are by the convention 'original'."""


@dataclass
class Cell:
    """A figure of a table."""

    text: str
    value: float = math.nan
    """That rows are sorted by."""
    below: str = ''
    """A second line."""
    best: bool = False
    """Whether it is the best of its column."""


@dataclass
class Table:
    """A table of the page: a row for each method."""

    caption: str
    header: list[str]
    """The first is that of the methods."""
    rows: list[tuple[str, list[Cell]]] = field(default_factory=list)
    """Method and figures."""


def _mark_best(rows: Sequence[tuple[str, list[Cell]]], lower: Mapping[int, bool]) -> None:
    """Mark the best figure of columns, by whether less is better there, if there are several methods."""
    for number, less in lower.items():
        known = [cells[number] for _, cells in rows if not math.isnan(cells[number].value)]
        if len(known) < 2:
            continue
        choose: Callable = min if less else max
        best = choose(found.value for found in known)
        for found in known:
            found.best = found.value == best


def score_table(study: Study) -> Table:
    """The mIoU by method and data set, and below it the difference to the best baseline.

    Args:
        study (Study): All runs.

    Returns:
        Table: Figures as :func:`~mmfusion.analysis.comparison.sheets.score_sheet` has them.
    """
    scores, expected = study.scores, study.expected
    table = Table('', ['method', *scores.columns, *([AVERAGE] if len(scores.columns) > 1 else [])])
    for method in scores.methods:
        cells = []
        for column in scores.columns:
            itself = method == scores.best_baseline(column)
            gain = 'best baseline' if itself else _gain(scores.gain(method, column), expected)
            cells.append(_score_cell(scores.get(method, column), gain, expected))
        if len(scores.columns) > 1:
            gain = _gain(scores.average_gain(method), expected)
            cells.append(_score_cell(scores.average(method), gain, expected))
        table.rows.append((method, cells))
    _mark_best(table.rows, dict.fromkeys(range(len(table.header) - 1), False))
    return table


def _gain(figure: BySeed, expected: int) -> str:
    return cell(figure, expected, signed=True) if len(figure) else ''


def _score_cell(figure: BySeed, gain: str, expected: int) -> Cell:
    return Cell(cell(figure, expected), figure.mean, gain)


def class_table(study: Study, column: str) -> Table | None:
    """IoU by method and class.

    Args:
        study (Study): All runs.
        column (str): The data set.

    Returns:
        Table | None: None where no run has classes.
    """
    names = [name for name in study.scores.metrics(column) if name.startswith(IOU)]
    if not names:
        return None
    table = Table(f'IoU in %, {column}', ['method', *(name.removeprefix(IOU) for name in names)])
    for method in _with_figures(study, column):
        figures = [study.scores.get(method, column, name) for name in names]
        table.rows.append((method, [Cell(cell(figure, study.expected), figure.mean) for figure in figures]))
    _mark_best(table.rows, dict.fromkeys(range(len(names)), False))
    return table


def _with_figures(study: Study, column: str) -> list[str]:
    return [method for method in study.scores.methods if study.finished(method, column)]


def fusion_table(study: Study, column: str) -> Table | None:
    """Fusion metrics by method.

    Args:
        study (Study): All runs.
        column (str): The data set.

    Returns:
        Table | None: None where no run has some.
    """
    known = {name for name in study.scores.metrics(column) if name.startswith(FUSION)}
    ordered = [f'{FUSION}{name}' for name in FUSION_METRICS if f'{FUSION}{name}' in known]
    names = ordered + sorted(known - set(ordered))
    if not names:
        return None
    short = [name.removeprefix(FUSION) for name in names]
    arrows = [f'{name} {"↓" if name in LOWER_IS_BETTER else "↑"}' for name in short]
    table = Table(f'Fusion metrics, {column}', ['method', 'n', *arrows])
    for method in _with_figures(study, column):
        figures = [study.scores.get(method, column, name) for name in names]
        if any(len(figure) for figure in figures):
            number = max(map(len, figures))
            table.rows.append((method, [Cell(str(number), number), *(_fusion_cell(figure) for figure in figures)]))
    _mark_best(table.rows, {place: name in LOWER_IS_BETTER for place, name in enumerate(short, start=1)})
    return table


def _fusion_cell(figure: BySeed) -> Cell:
    if not len(figure):
        return Cell(MISSING)
    # Twelve columns are too many for figures with their spread in one line.
    mean, separator, spread = format_cell(figure.mean, figure.spread).partition(' ± ')
    return Cell(mean, figure.mean, f'± {spread}' if separator else '')


def cost_table(study: Study, costs: CostReport) -> tuple[Table, str]:
    """What methods cost.

    Args:
        study (Study): All runs.
        costs (CostReport): What compare.py measured.

    Returns:
        tuple[Table, str]: Figures and their ratios to a baseline, and the note on how they were measured.
    """
    measured = [cost.method for cost in costs.costs]
    reference = choose_reference(measured, [name for name in measured if study.scores.is_baseline(name)])
    sheet = costs.sheet(reference)
    table = Table(sheet.title, sheet.header)
    for row, cost in zip(sheet.rows, costs.costs):
        values = [median(figures) for figures in cost.figures().values()]
        table.rows.append((row[0], [Cell(text, value) for text, value in zip(row[1:], values)]))
    return table, sheet.note
