"""Plots of a page: classes as bars, losses and validations as curves."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..comparison.scores import MAIN_METRIC, BySeed, Scores
from .palette import color_of, dash_of
from .scalars import Curve

_PANELS = 5
"""Classes in a row, at most."""
_NAME = 28
"""Letters of a name in a line."""
_CLASS = 22
"""Letters of the name of a class."""
_LINE = 0.17
"""Height of a line of names, in inches."""
IOU = 'IoU/'


@dataclass(frozen=True)
class _Bar:
    """A method in a panel."""

    name: str
    figure: BySeed
    color: str


def wrapped(name: str, most: int = 2, letters: int = _NAME) -> str:
    r"""A name in lines that a plot has room for.

    Args:
        name (str): Of any length.
        most (int): Lines; what is beyond is left out: in the middle, or at the end of a single line.
        letters (int): In a line.

    Returns:
        str: Broken behind hyphens, if it has any.

    Examples:
        >>> wrapped('early'), wrapped('uaafusion-views-attribution-without-memory')
        ('early', 'uaafusion-views-attribution-\nwithout-memory')
    """
    lines = textwrap.wrap(name, letters, break_on_hyphens=True, drop_whitespace=False)
    if len(lines) > most:
        # Long names differ at their ends.
        lines = [*lines[: most - 1], '…' + name[1 - letters :]] if most > 1 else [name[: letters - 1] + '…']
    return '\n'.join(lines)


def draw_class_bars(scores: Scores, column: str) -> Figure | None:
    """IoU by class, a bar for each method.

    Args:
        scores (Scores): All figures.
        column (str): The data set.

    Returns:
        Figure | None: A panel for each class; whiskers are sample standard deviations over the seeds. None where no run
        has classes.
    """
    classes = [name for name in scores.metrics(column) if name.startswith(IOU)]
    methods = [method for method in scores.methods if len(scores.get(method, column))]
    if not classes or not methods:
        return None
    high = math.ceil(len(classes) / _PANELS)
    wide = math.ceil(len(classes) / high)
    names = [wrapped(method) for method in methods]
    lines = sum(max(1.35, 1.1 * (name.count('\n') + 1)) for name in names)
    size = (1.0 + 0.065 * max(len(line) for name in names for line in name.split('\n')) + 1.75 * wide, 0)
    figure = Figure(figsize=(size[0], high * (_LINE * lines + 0.75)), layout='constrained')
    axes = figure.subplots(high, wide, squeeze=False, sharex=True, sharey=True).ravel()
    for ax, name in zip(axes, classes):
        bars = []
        for method, label in zip(methods, names):
            bars.append(_Bar(label, scores.get(method, column, name), color_of(scores.methods.index(method))))
        _draw_bars(ax, bars)
        ax.set_title(wrapped(name.removeprefix(IOU), 1, _CLASS), fontsize=9, loc='left', parse_math=False)
    for ax in axes[len(classes) :]:
        ax.axis('off')
    for ax in axes[max(0, len(classes) - wide) : len(classes)]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel('IoU, %', fontsize=8)
    return figure


def _draw_bars(ax: Axes, bars: Sequence[_Bar]) -> None:
    places = range(len(bars))
    for place, bar in zip(places, bars):
        mean, spread = bar.figure.mean, bar.figure.spread
        if math.isnan(mean):
            ax.text(1, place, 'none', va='center', fontsize=7, alpha=0.7)
            continue
        ax.barh(place, mean, height=0.72, color=bar.color)
        if not math.isnan(spread):
            ax.errorbar(mean, place, xerr=spread, fmt='none', ecolor='black', elinewidth=1, capsize=2.5)
    ax.set_yticks(list(places), [bar.name for bar in bars], fontsize=8, parse_math=False)
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_xlim(0, 100)
    ax.set_xticks([0, 25, 50, 75, 100])
    ax.tick_params(axis='x', labelsize=8)
    _clear(ax, 'x')
    ax.tick_params(axis='y', length=0)


def draw_curves(curves: Mapping[int, Curve], title: str, label: str, log: bool = False) -> Figure | None:
    """A figure over the iterations, a line for each method.

    Args:
        curves (Mapping[int, Curve]): By number of the method, which says how it is drawn.
        title (str): What it is.
        label (str): Unit or scale.
        log (bool): Whether the axis is logarithmic, if all values are positive.

    Returns:
        Figure | None: Bands are sample standard deviations over the runs. None where no curve has two points.

    Examples:
        >>> draw_curves({0: Curve((10,), (1.0,))}, 'loss', '') is None
        True
        >>> draw_curves({0: Curve((10, 20), (1.0, 0.5))}, 'loss', '').axes[0].get_xlabel()
        'iteration'
    """
    drawn = {number: curve for number, curve in curves.items() if len(curve.steps) > 1}
    if not drawn:
        return None
    figure = Figure(figsize=(4.2, 2.7), layout='constrained')
    ax = figure.subplots()
    for number, curve in drawn.items():
        color = color_of(number)
        ax.plot(curve.steps, curve.means, color=color, linestyle=dash_of(number), linewidth=1.6)
        if curve.spreads:
            low = [mean - spread for mean, spread in zip(curve.means, curve.spreads)]
            high = [mean + spread for mean, spread in zip(curve.means, curve.spreads)]
            ax.fill_between(curve.steps, low, high, color=color, alpha=0.13, linewidth=0)
    if log and all(mean > 0 for curve in drawn.values() for mean in curve.means):
        ax.set_yscale('log')
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f'{tick:g}'))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title(title if len(title) < 45 else f'{title[:44]}…', fontsize=9, loc='left', parse_math=False)
    ax.set_xlabel('iteration', fontsize=8)
    ax.set_ylabel(label, fontsize=8, parse_math=False)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.tick_params(labelsize=8)
    _clear(ax, 'both')
    return figure


def _clear(ax: Axes, axis: str) -> None:
    """Light lines behind the data, and no frame."""
    ax.set_axisbelow(True)
    ax.grid(axis=axis, color='black', alpha=0.14, linewidth=0.7)  # type: ignore[arg-type]
    ax.spines[['top', 'right']].set_visible(False)
    for side in ('left', 'bottom'):
        ax.spines[side].set(alpha=0.5, linewidth=0.8)


def describe_bars(scores: Scores, column: str) -> str:
    """The bars in words, for those who do not see them.

    Args:
        scores (Scores): All figures.
        column (str): The data set.

    Returns:
        str: A sentence; the figures are in the table beside.
    """
    means = {method: scores.get(method, column).mean for method in scores.methods}
    known = {method: mean for method, mean in means.items() if not math.isnan(mean)}
    best = max(known, key=lambda method: known[method])
    return (
        f'Bars of the IoU by class on {column}, of {len(known)} methods. The highest {MAIN_METRIC} is that of {best}, '
        f'{known[best]:.1f} %. The table below holds the figures.'
    )
