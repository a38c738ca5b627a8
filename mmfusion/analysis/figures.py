"""A figure of where the segmentor finds its evidence in one pair, and what the fusion makes of it."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from mmfusion.visualization import colorize_labels

from .attribution_report import SOURCES, AttributionReport, sigmoid

# The ends of the map of the weights.
_INFRARED, _VISIBLE = matplotlib.colormaps['coolwarm']([0.95, 0.05])
_LINES = ('--', '-', ':', '-.')
_MARKERS = 'os^Dv'
_WIDTH = 15.0
# Below it a difference of float32 scores is rounding.
_LEAST_DELTA = 1e-8


def _show(ax: Axes, picture: np.ndarray, title: str, **options: Any) -> AxesImage:
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax.imshow(picture, interpolation='nearest', **options)


def _draw_pictures(panel: SubFigure, report: AttributionReport) -> None:
    # A row of pictures, all of one size, and a low row for their keys.
    grid = panel.add_gridspec(2, 6, height_ratios=[1, 0.05])
    axes = [panel.add_subplot(grid[0, i]) for i in range(6)]
    _show(axes[0], report.visible, 'visible')
    _show(axes[1], report.infrared, 'infrared', cmap='gray', vmin=0, vmax=255)
    _show(axes[2], report.fused, 'fused', cmap='gray', vmin=0, vmax=255)
    weights = _show(axes[3], report.weight_ir, 'weight of infrared', cmap='coolwarm', vmin=0, vmax=1)
    bar = panel.colorbar(weights, cax=panel.add_subplot(grid[1, 3]), orientation='horizontal', ticks=[0, 0.5, 1])
    labels = bar.ax.set_xticklabels(['0 visible', '½', '1 infrared'], fontsize=8)
    # Inside of the column, so that the pictures keep their distance.
    labels[0].set_horizontalalignment('left')
    labels[2].set_horizontalalignment('right')
    _show(axes[4], colorize_labels(report.prediction, report.palette), 'prediction of the fused image')
    _show(axes[5], colorize_labels(report.labels, report.palette), f'regions: {report.labels_from}')
    shown = sorted({*report.present, *np.unique(report.prediction).tolist()} & set(range(len(report.classes))))
    patches = []
    for c in shown:
        red, green, blue = (value / 255 for value in report.palette[c])
        patches.append(Patch(facecolor=(red, green, blue), edgecolor='gray', label=report.classes[c]))
    key = panel.add_subplot(grid[1, 4:])
    key.axis('off')
    key.legend(handles=patches, loc='upper center', ncols=min(len(patches), 5), fontsize=8, frameon=False)


def _draw_regions(panel: SubFigure, report: AttributionReport) -> None:
    places = np.arange(len(report.present))
    left, right = panel.subplots(1, 2)
    _draw_shares(left, report, places)
    _draw_attributions(right, report, places)
    names = [report.classes[c] for c in report.present]
    for ax in (left, right):
        ax.set_yticks(places, names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.spines[['top', 'right']].set_visible(False)
    handles = [Patch(color=_INFRARED, label='infrared'), Patch(color=_VISIBLE, label='visible')]
    panel.legend(handles=handles, loc='outside right center', fontsize=9, frameon=False)


def _draw_shares(ax: Axes, report: AttributionReport, places: np.ndarray) -> None:
    for place, share in zip(places, report.share()[report.present]):
        known = not np.isnan(share)
        # No evidence counts as an even share.
        value, alpha = (share, 1.0) if known else (0.5, 0.3)
        ax.barh(place, value, color=_INFRARED, alpha=alpha)
        ax.barh(place, 1 - value, left=value, color=_VISIBLE, alpha=alpha)
        ax.text(1.02, place, f'{value:.2f}' if known else 'no evidence', va='center', fontsize=9)
    ax.axvline(0.5, color='black', linewidth=0.8, linestyle=':')
    ax.set(xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel='share of the evidence')
    title = 'infrared share, smoothed' if report.smoothing else 'infrared share $A_I / (A_I + A_V)$'
    if not report.options['used']:
        title += ' (not used by this fusion)'
    ax.set_title(title, fontsize=10)


def _draw_attributions(ax: Axes, report: AttributionReport, places: np.ndarray) -> None:
    options = report.options
    pairs = np.stack([report.region_ir[report.present], report.region_vi[report.present]])
    positive = pairs[pairs > 0]
    low, high = (positive.min() / 3, positive.max() * 8) if positive.size else (0.1, 1)
    for s, (values, color) in enumerate(zip(pairs, (_INFRARED, _VISIBLE))):
        y = places + 0.2 * (2 * s - 1)
        ax.barh(y, np.maximum(values - low, 0), 0.38, left=low, color=color, label=SOURCES[s])
        for place, value in zip(y, values):
            ax.text(max(value, low) * 1.1, place, f'{value:.1e}' if value > 0 else '0', va='center', fontsize=8)
    unit, how = 'score', ''
    if options['estimator'] in ('exact', 'multiplexed'):
        unit, how = 'score per pixel of the region', f', {options["steps"]} nodes, {options["rule"]} rule'
    ax.set(xscale='log', xlim=(low, high), xlabel=f'attribution $A$ ({unit})')
    ax.set_title(f'attribution: {options["estimator"]}, {options["baseline"]} baseline{how}', fontsize=10)


def _stage_rows(stages: int) -> int:
    """Rows of the maps of the stages: side by side with their gates as long as there is room for both."""
    return 1 if stages <= 3 else 2


def _draw_attention(panel: SubFigure, attention: np.ndarray) -> None:
    stages = len(attention)
    rows = _stage_rows(stages)
    axes = panel.subplots(rows, 2 * stages // rows, squeeze=False).reshape(2, stages)
    # A gradient has few large values, which would leave the rest blank.
    limit = float(np.quantile(np.abs(attention), 0.99)) or 1.0
    for k, values in enumerate(attention):
        maps = _show(
            axes[0, k],
            values,
            f'attention $a_{{{k}}}$' + ('' if values.any() else ' = 0'),
            cmap='RdBu_r',
            vmin=-limit,
            vmax=limit,
        )
        gates = _show(
            axes[1, k], sigmoid(values), f'gate $\\sigma(a_{{{k}}})$ of stage {k + 1}', cmap='PuOr_r', vmin=0, vmax=1
        )
    size: dict[str, Any] = dict(shrink=0.85, pad=0.01, aspect=15)
    panel.colorbar(maps, ax=axes[0].tolist(), extend='both', **size)
    panel.colorbar(gates, ax=axes[1].tolist(), ticks=[0, 0.5, 1], **size)


def _draw_convergence(panel: SubFigure, report: AttributionReport) -> None:
    axes = panel.subplots(1, 2, sharey=True)
    for s, (ax, source) in enumerate(zip(axes, SOURCES)):
        for i, c in enumerate(report.present):
            _draw_class_convergence(ax, report, s, c, _MARKERS[i % len(_MARKERS)])
        for n, rule in enumerate(report.integrals):
            ax.plot([], [], color='black', linestyle=_LINES[n % len(_LINES)], label=f'{rule} rule')
        ax.set(yscale='log', xscale='log', xlabel='nodes of the path integral')
        ax.set_xticks(report.nodes, [str(n) for n in report.nodes])
        ax.set_xticks([], minor=True)
        ax.grid(alpha=0.3)
        ax.set_title(f'{source}: $|\\Sigma\\, IG - (s_c(X) - s_c(X_0))|$', fontsize=10)
        ax.legend(
            loc='upper left',
            bbox_to_anchor=(1.01, 1),
            fontsize=8,
            title='class ($s_c(X) - s_c(X_0)$)',
            title_fontsize=8,
        )
    axes[0].set_ylabel('convergence delta (score)')


def _draw_class_convergence(ax: Axes, report: AttributionReport, source: int, c: int, marker: str) -> None:
    # Light colours are made out on a screen, but not as lines on white.
    color = np.asarray(report.palette[c]) / 255
    color = color * min(1.0, 0.7 / max(color.mean(), 1e-6))
    style: dict[str, Any] = dict(color=color, marker=marker, markersize=4)
    ax.plot([], [], label=f'{report.classes[c]}  ({report.score_difference[source, c]:+.3f})', **style)
    for n, rule in enumerate(report.integrals):
        delta = np.maximum(report.delta(rule)[:, source, c], _LEAST_DELTA)
        ax.plot(report.nodes, delta, linestyle=_LINES[n % len(_LINES)], **style)


def draw_attribution(report: AttributionReport, title: str = '') -> Figure:
    """Draw the figure of one pair.

    From top to bottom: sources, fused image, weights, prediction and regions; share and attribution per class; the
    attention of every stage and its gate (left out where there is none); how far the path integral is from what
    completeness demands, over its number of nodes.

    Args:
        report (AttributionReport): What to draw.
        title (str): Title of the whole.

    Returns:
        Figure: Without a window; write it with ``figure.savefig``.

    Raises:
        ValueError: No class has a region.
    """
    if not report.present:
        raise ValueError('the labels hold no class, so there is nothing to attribute; give another label map')
    height, width = report.infrared.shape
    ratio, stages = height / width, len(report.attention)
    heights = [0.85 + _WIDTH / 6 * ratio, 1.1 + 0.42 * len(report.present)]
    if stages:
        rows = _stage_rows(stages)
        heights.append(0.3 + rows * (0.4 + 0.9 * _WIDTH * rows / (2 * stages) * ratio))
    heights.append(3.4)
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.4), layout='constrained', dpi=110)
    figure.suptitle(title, fontsize=12)
    below_each_other: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    parts = list(below_each_other)
    _draw_pictures(parts.pop(0), report)
    _draw_regions(parts.pop(0), report)
    if stages:
        _draw_attention(parts.pop(0), report.attention)
    _draw_convergence(parts.pop(0), report)
    return figure
