"""A figure of what becomes of the mIoU when a sensor fails or sees badly."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .html_report.palette import LIGHT, dash_of
from .html_report.plots import wrapped
from .robustness import INTACT, Row, parse_degradation
from .run_summary import mean_and_spread

_PANEL = 4.4
_COLUMNS = 3
# Amounts of which a degradation changes nothing.
_NEUTRAL = {'shift': 0.0, 'noise': 0.0, 'blur': 1.0, 'dark': 1.0}
_UNITS = {
    'shift': 'pixels',
    'noise': 'standard deviation, grey levels',
    'blur': 'side of the box, pixels',
    'dark': 'factor',
}


def amounts_of(degradations: Sequence[str]) -> dict[str, dict[str, float]]:
    """Degradations that come with several amounts.

    Args:
        degradations (Sequence[str]): See :func:`~mmfusion.analysis.robustness.parse_degradation`; what is intact may be
            among them.

    Returns:
        dict[str, dict[str, float]]: By ``SENSOR:KIND``, of which there are two amounts or more: degradation to amount,
        smallest first.

    Examples:
        >>> amounts_of(['both sensors', 'infrared:shift=8', 'infrared:shift=2', 'visible:black', 'visible:dark=0.5'])
        {'infrared:shift': {'infrared:shift=2': 2.0, 'infrared:shift=8': 8.0}}
    """
    found: dict[str, dict[str, float]] = {}
    for text in degradations:
        if text == INTACT:
            continue
        amount = parse_degradation(text).amount
        if amount is not None:
            found.setdefault(text.partition('=')[0], {})[text] = amount
    several = {name: amounts for name, amounts in found.items() if len(set(amounts.values())) > 1}
    return {name: dict(sorted(amounts.items(), key=lambda item: item[1])) for name, amounts in several.items()}


def draw_robustness(rows: Sequence[Row]) -> Figure:
    """Draw the mIoU of all models.

    Args:
        rows (Sequence[Row]): Of :func:`~mmfusion.analysis.robustness.measure_robustness`.

    Returns:
        Figure: Bars of both sensors as they are and of every degradation; and, for each degradation with several
        amounts, lines over the amount, which begin where both sensors are as they are. Whiskers and bands are sample
        standard deviations over the checkpoints of a model.

    Raises:
        ValueError: There is no model.

    Examples:
        >>> figures = {INTACT: [70.0, 72.0], 'infrared:shift=2': [60.0, 62.0], 'infrared:shift=4': [40.0, 45.0]}
        >>> rows = [Row('early', figures)]
        >>> [ax.get_title() for ax in draw_robustness(rows).axes]
        ['infrared:shift']
    """
    if not rows:
        raise ValueError('no model was measured, so there is nothing to draw')
    degradations = list(rows[0].figures)
    series = amounts_of(degradations)
    over_amounts = {text for amounts in series.values() for text in amounts}
    alone = [text for text in degradations if text not in over_amounts]
    bars = len(alone) > 1 or not series
    wide = min(len(series), _COLUMNS)
    high = math.ceil(len(series) / _COLUMNS)
    names = [wrapped(row.name) for row in rows]
    # Legend and bars are as wide as they have to be.
    width = max(_PANEL * max(wide, 1), (0.9 + len(alone) * (0.45 + 0.2 * len(rows))) if bars else 0.0) + 2.4
    figure = Figure(figsize=(width, 3.4 * (bars + high)), layout='constrained', dpi=120)
    heights = [*([1] if bars else []), *([high] if series else [])]
    parts = iter(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights).ravel())
    if bars:
        _draw_bars(next(parts).subplots(), rows, alone)
    if series:
        axes = next(parts).subplots(high, wide, squeeze=False, sharey=True).ravel()
        for ax, (name, amounts) in zip(axes, series.items()):
            _draw_lines(ax, rows, name, amounts)
        for ax in axes[len(series) :]:
            ax.axis('off')
    handles, _ = figure.axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, names, loc='outside right upper', frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _draw_bars(ax: Axes, rows: Sequence[Row], degradations: Sequence[str]) -> None:
    share = 0.8 / len(rows)
    for number, row in enumerate(rows):
        told = [mean_and_spread(row.figures[text]) for text in degradations]
        places = [place + (number + 0.5) * share - 0.4 for place in range(len(degradations))]
        means = [mean for mean, _ in told]
        ax.bar(places, means, 0.9 * share, color=_color(number), label=f'{number}')
        known = [(place, mean, spread) for place, (mean, spread) in zip(places, told) if not math.isnan(spread)]
        if known:
            x, y, spreads = zip(*known)
            ax.errorbar(x, y, spreads, fmt='none', ecolor='black', elinewidth=1, capsize=2)
    labels = [text.replace(':', ':\n', 1) for text in degradations]
    ax.set_xticks(range(len(degradations)), labels, fontsize=8)
    ax.set(ylabel='mIoU, %', ylim=(0, None))
    _clear(ax, 'y')


def _draw_lines(ax: Axes, rows: Sequence[Row], name: str, amounts: Mapping[str, float]) -> None:
    kind = name.partition(':')[2]
    points = {**amounts, INTACT: _NEUTRAL[kind]}
    if list(amounts.values()).count(_NEUTRAL[kind]):
        del points[INTACT]  # It was measured.
    for number, row in enumerate(rows):
        drawn = sorted((amount, *mean_and_spread(row.figures[text])) for text, amount in points.items())
        x, means, spreads = zip(*drawn)
        color = _color(number)
        ax.plot(x, means, color=color, linestyle=dash_of(number), marker='o', markersize=3.5, label=f'{number}')
        if not any(map(math.isnan, spreads)):
            low = [mean - spread for mean, spread in zip(means, spreads)]
            upper = [mean + spread for mean, spread in zip(means, spreads)]
            ax.fill_between(x, low, upper, color=color, alpha=0.15, linewidth=0)
    if kind == 'dark':
        ax.invert_xaxis()  # From as it is to black.
    ax.set_title(name, fontsize=10)
    ax.set(xlabel=_UNITS[kind], ylabel='mIoU, %')
    _clear(ax, 'both')


def _color(number: int) -> str:
    return LIGHT[number % len(LIGHT)]


def _clear(ax: Axes, axis: str) -> None:
    ax.set_axisbelow(True)
    ax.grid(axis=axis, alpha=0.3)  # type: ignore[arg-type]
    ax.spines[['top', 'right']].set_visible(False)
    ax.tick_params(labelsize=8)
