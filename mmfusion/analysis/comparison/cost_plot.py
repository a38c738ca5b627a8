"""A figure of what methods reach over what they cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter

from .costs import Cost
from .scores import BySeed, Scores

_BASELINE, _OTHER = '#6b7280', '#c2410c'
_PANEL = 4.6
_COLUMNS = 3
# Of a name, as shares of the height and, for each letter and beside the point, of the width of the panel.
_NAME_HEIGHT, _LETTER, _GAP = 0.055, 0.017, 0.025
_MARK = 0.012
"""Half of the width of a point."""
_LETTERS = 26
"""Of a name that is shown whole; the panel has room for two of them."""


def draw_scores_over_cost(
    scores: Scores, costs: Sequence[Cost], split: str, note: str = '', colors: Mapping[str, str] | None = None
) -> Figure:
    """Draw mIoU over the time per image.

    Args:
        scores (Scores): All figures.
        costs (Sequence[Cost]): Methods without one are left out.
        split (str): 'val' or 'test'.
        note (str): Written below, such as the hardware.
        colors (Mapping[str, str], optional): By method. By default one for baselines and one for the others.

    Returns:
        Figure: A panel per data set; where there are several, one of the mean difference to the best baseline comes
        first. Bars are sample standard deviations over the seeds.
    """
    milliseconds = {cost.method: 1e3 * median(cost.predict_seconds) for cost in costs}
    panels: list[tuple[str, str, Callable[[str], BySeed]]] = []
    if len(scores.columns) > 1 and scores.baselines:
        label = 'mIoU against the best baseline, points'
        panels.append((f'mean of {len(scores.columns)} data sets', label, scores.average_gain))
    for column in scores.columns:
        panels.append((column, 'mIoU, %', _reader(scores, column)))
    wide = 2 if len(panels) == 4 else min(len(panels), _COLUMNS)
    high = math.ceil(len(panels) / wide)
    figure = Figure(figsize=(_PANEL * wide + 0.6, 0.8 * _PANEL * high + 0.6), layout='constrained', dpi=120)
    axes = figure.subplots(high, wide, squeeze=False).ravel()
    for ax, (title, label, figures) in zip(axes, panels):
        _draw_panel(ax, scores, milliseconds, figures, colors or {})
        ax.set(title=f'{title}, {split}', ylabel=label, xlabel='ms per image')
        if figures == scores.average_gain:
            ax.axhline(0, color='black', linewidth=0.8, linestyle=':')
    for ax in axes[len(panels) :]:
        ax.axis('off')
    if note:
        figure.supxlabel(note, fontsize=8, color='#4b5563')
    return figure


def _reader(scores: Scores, column: str) -> Callable[[str], BySeed]:
    return lambda method: scores.get(method, column)


def _draw_panel(
    ax: Axes,
    scores: Scores,
    milliseconds: Mapping[str, float],
    figures: Callable[[str], BySeed],
    colors: Mapping[str, str],
) -> None:
    drawn = []
    for method in scores.methods:
        figure = figures(method)
        if method not in milliseconds or math.isnan(figure.mean):
            continue
        is_baseline = scores.is_baseline(method)
        color = colors.get(method, _BASELINE if is_baseline else _OTHER)
        spread = None if math.isnan(figure.spread) else figure.spread
        marker = 'o' if is_baseline else 's'
        x = milliseconds[method]
        ax.errorbar(x, figure.mean, spread, fmt='none', ecolor=color, alpha=0.35, capsize=3)
        ax.plot(x, figure.mean, marker, color=color, markersize=6, zorder=4)
        drawn.append((x, figure.mean, method, color))
    ax.set_xscale('log')
    ax.grid(alpha=0.25)
    ax.spines[['top', 'right']].set_visible(False)
    # Few methods lie within one decade, where a log scale has no numbers of its own.
    if drawn:
        _set_ticks(ax, [x for x, *_ in drawn])
    _write_names(ax, drawn)


def _set_ticks(ax: Axes, places: Sequence[float]) -> None:
    low, high = min(places) / 1.15, max(places) * 1.6
    ax.set_xlim(low, high)
    ticks = []
    # As many as there is room for.
    digits = (1, 2, 3, 5, 7) if high / low < 15 else (1, 2, 5) if high / low < 150 else (1,)
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        ticks += [digit * 10.0**exponent for digit in digits]
    ax.set_xticks([tick for tick in ticks if low <= tick <= high])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f'{tick:g}'))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _shown(name: str) -> str:
    """A name, without its middle where it is long: long names differ at their ends."""
    return name if len(name) <= _LETTERS else f'{name[: _LETTERS // 2]}…{name[1 - _LETTERS // 2 :]}'


def _free_height(
    begin: float, end: float, height: float, taken: Sequence[tuple[float, float, float]], distance: float
) -> float:
    """Where a name covers neither another one nor a point: as high as it is, or higher."""
    moved = True
    while moved:
        moved = False
        for other_begin, other_end, other_height in taken:
            if begin < other_end and other_begin < end and abs(height - other_height) < distance * 0.999:
                height, moved = other_height + distance, True
    return height


def _write_names(ax: Axes, drawn: Sequence[tuple[float, float, str, str]]) -> None:
    """Names beside their points, pushed up where one would cover another."""
    bottom, top = ax.get_ylim()
    low, high = (math.log(limit) for limit in ax.get_xlim())
    distance = _NAME_HEIGHT * (top - bottom)
    width = high - low
    taken = [((math.log(x) - low) / width - _MARK, (math.log(x) - low) / width + _MARK, y) for x, y, *_ in drawn]
    for x, y, method, color in sorted(drawn, key=lambda point: point[1]):
        name = _shown(method)
        place = (math.log(x) - low) / width
        # At the left of points that lie far at the right: there is no room beside them.
        to_left = place + _GAP + _LETTER * len(name) > 1 and place > 0.5
        side = place - _GAP if to_left else place + _GAP
        begin, end = sorted((side, side + _LETTER * len(name) * (-1 if to_left else 1)))
        height = _free_height(begin, end, y, taken, distance)
        taken.append((begin, end, height))
        line = None if height == y else dict(arrowstyle='-', color=color, linewidth=0.5, alpha=0.6)
        text = ax.annotate(
            name,
            (x, y),
            (math.exp(low + side * width), height),
            textcoords='data',
            va='center',
            ha='right' if to_left else 'left',
            fontsize=8,
            color=color,
            arrowprops=line,
            parse_math=False,
        )
        text.set_in_layout(False)
        text.set_path_effects([withStroke(linewidth=2.5, foreground='white')])
