"""A figure of where the segmentor finds its evidence in one pair, and what the fusion makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from mmfusion.visualization import colorize_labels

# The ends of the map of the weights.
_INFRARED, _VISIBLE = matplotlib.colormaps['coolwarm']([0.95, 0.05])
_SOURCES = ('infrared', 'visible')
_LINES = ('--', '-', ':', '-.')
_MARKERS = 'os^Dv'
_WIDTH = 15.0
# Below it a difference of float32 scores is rounding.
_LEAST_DELTA = 1e-8


@dataclass
class AttributionReport:
    """What attribution analysis finds out about one pair. H x W pixels, C classes, K stages, N numbers of nodes."""

    visible: np.ndarray
    """(H, W, 3) RGB uint8."""
    infrared: np.ndarray
    """(H, W) uint8."""
    fused: np.ndarray
    """(H, W, 3) RGB or (H, W), uint8."""
    weight_ir: np.ndarray
    """Weight of the infrared image (H, W) in [0, 1]."""
    prediction: np.ndarray
    """Class ids (H, W) predicted from the fused image."""
    labels: np.ndarray
    """Class ids (H, W) whose regions are attributed."""
    labels_from: str
    """Where ``labels`` come from, for a title."""
    classes: Sequence[str]
    """Class names."""
    palette: Sequence[Sequence[int]]
    """R, G and B in 0..255 per class."""
    region_ir: np.ndarray
    """Attribution of the infrared image per class (C,), at least 0."""
    region_vi: np.ndarray
    """Attribution of the visible image per class (C,), at least 0."""
    options: dict
    """How the regions were attributed: ``baseline``, ``rule``, ``steps``, ``estimator``; and ``used``, whether the
    fusion weighs the sources by it."""
    attention: np.ndarray
    """Attention per stage (K, H, W), before the sigmoid; K = 0 for a fusion without."""
    nodes: Sequence[int]
    """Numbers of nodes of the path integral, ascending."""
    score_difference: np.ndarray
    """``s_c(X) - s_c(X0)`` (2, C): infrared, visible."""
    prior: np.ndarray | float = 0.0
    """What each source is credited with in advance, in units of the attributions, as a number or per class (C,); see
    :func:`mmfusion.attribution.infrared_share`."""
    integrals: dict[str, np.ndarray] = field(default_factory=dict)
    """Sum of the integrated gradients over all pixels (N, 2, C), by quadrature rule."""

    @property
    def present(self) -> list[int]:
        """list[int]: Classes that have a region."""
        return [int(c) for c in np.unique(self.labels) if c < len(self.classes)]

    def share(self) -> np.ndarray:
        """Infrared share of the evidence per class.

        Returns:
            np.ndarray: ``(A_I + p) / (A_I + A_V + 2 p)`` with the prior p (C,); NaN where neither source holds any
            evidence.
        """
        total = self.region_ir + self.region_vi
        share = np.full(len(total), np.nan)
        return np.divide(self.region_ir + self.prior, total + 2 * self.prior, out=share, where=total > 0)

    def delta(self, rule: str) -> np.ndarray:
        """Convergence delta of the path integral.

        By completeness, integrated gradients add up to the difference of the scores at the ends of the path
        (Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017).

        Args:
            rule (str): One of ``integrals``.

        Returns:
            np.ndarray: Absolute error of the sum (N, 2, C), in units of the score.
        """
        return np.abs(self.integrals[rule] - self.score_difference)

    def numbers(self) -> dict:
        """The figures behind the figure, for a JSON file.

        Returns:
            dict: Per class that is present: pixels, attributions, share (None without evidence) and, per source, score
            difference, integrals and deltas by rule, in the order of ``nodes``; per stage: range and root mean square
            of the attention and range of its gate.
        """
        share, per_class = self.share(), {}
        for c in self.present:
            convergence = {
                source: dict(
                    score_difference=float(self.score_difference[s, c]),
                    integral={rule: values[:, s, c].tolist() for rule, values in self.integrals.items()},
                    delta={rule: self.delta(rule)[:, s, c].tolist() for rule in self.integrals},
                )
                for s, source in enumerate(_SOURCES)
            }
            per_class[self.classes[c]] = dict(
                pixels=int((self.labels == c).sum()),
                attribution_infrared=float(self.region_ir[c]),
                attribution_visible=float(self.region_vi[c]),
                share_infrared=None if np.isnan(share[c]) else float(share[c]),
                convergence=convergence,
            )
        stages = [
            dict(
                attention_min=float(a.min()),
                attention_max=float(a.max()),
                attention_rms=float(np.sqrt((a**2).mean())),
                gate_min=float(_sigmoid(a.min())),
                gate_max=float(_sigmoid(a.max())),
            )
            for a in self.attention
        ]
        return dict(labels=self.labels_from, **self.options, nodes=list(self.nodes), classes=per_class, stages=stages)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    # By tanh, which does not overflow.
    return 0.5 * (1 + np.tanh(0.5 * values))


def _show(ax: Axes, picture: np.ndarray, title: str, **options):
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax.imshow(picture, interpolation='nearest', **options)


def _draw_pictures(part: SubFigure, report: AttributionReport) -> None:
    # A row of pictures, all of one size, and a low row for their keys.
    grid = part.add_gridspec(2, 6, height_ratios=[1, 0.05])
    axes = [part.add_subplot(grid[0, i]) for i in range(6)]
    _show(axes[0], report.visible, 'visible')
    _show(axes[1], report.infrared, 'infrared', cmap='gray', vmin=0, vmax=255)
    _show(axes[2], report.fused, 'fused', cmap='gray', vmin=0, vmax=255)
    weights = _show(axes[3], report.weight_ir, 'weight of infrared', cmap='coolwarm', vmin=0, vmax=1)
    bar = part.colorbar(weights, cax=part.add_subplot(grid[1, 3]), orientation='horizontal', ticks=[0, 0.5, 1])
    for label, place in zip(
        bar.ax.set_xticklabels(['0 visible', '½', '1 infrared'], fontsize=8), ('left', 'center', 'right')
    ):
        label.set_horizontalalignment(place)  # Inside of the column, so that the pictures keep their distance.
    _show(axes[4], colorize_labels(report.prediction, report.palette), 'prediction of the fused image')
    _show(axes[5], colorize_labels(report.labels, report.palette), f'regions: {report.labels_from}')
    shown = sorted({*report.present, *np.unique(report.prediction).tolist()} & set(range(len(report.classes))))
    patches = [
        Patch(facecolor=np.asarray(report.palette[c]) / 255, edgecolor='gray', label=report.classes[c]) for c in shown
    ]
    key = part.add_subplot(grid[1, 4:])
    key.axis('off')
    key.legend(handles=patches, loc='upper center', ncols=min(len(patches), 5), fontsize=8, frameon=False)


def _draw_regions(part: SubFigure, report: AttributionReport) -> None:
    present, share = report.present, report.share()
    options = report.options
    places = np.arange(len(present))
    names = [report.classes[c] for c in present]
    left, right = part.subplots(1, 2)

    # No evidence counts as an even share.
    values = np.nan_to_num(share[present], nan=0.5)
    faint = [0.3 if np.isnan(share[c]) else 1.0 for c in present]
    for place, value, alpha in zip(places, values, faint):
        left.barh(place, value, color=_INFRARED, alpha=alpha)
        left.barh(place, 1 - value, left=value, color=_VISIBLE, alpha=alpha)
        left.text(1.02, place, 'no evidence' if alpha < 1 else f'{value:.2f}', va='center', fontsize=9)
    left.axvline(0.5, color='black', linewidth=0.8, linestyle=':')
    left.set(xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel='share of the evidence')
    what = 'infrared share, smoothed' if np.any(report.prior) else 'infrared share $A_I / (A_I + A_V)$'
    left.set_title(what + ('' if options['used'] else ' (not used by this fusion)'), fontsize=10)

    pairs = np.stack([report.region_ir[present], report.region_vi[present]])
    positive = pairs[pairs > 0]
    low, high = (positive.min() / 3, positive.max() * 8) if positive.size else (0.1, 1)
    for s, (row, color) in enumerate(zip(pairs, (_INFRARED, _VISIBLE))):
        y = places + 0.2 * (2 * s - 1)
        right.barh(y, np.maximum(row - low, 0), 0.38, left=low, color=color, label=_SOURCES[s])
        for place, value in zip(y, row):
            right.text(max(value, low) * 1.1, place, f'{value:.1e}' if value > 0 else '0', va='center', fontsize=8)
    integral = options['estimator'] in ('exact', 'multiplexed')
    unit = 'score per pixel of the region' if integral else 'score'
    right.set(xscale='log', xlim=(low, high), xlabel=f'attribution $A$ ({unit})')
    how = f', {options["steps"]} nodes, {options["rule"]} rule' if integral else ''
    right.set_title(f'attribution: {options["estimator"]}, {options["baseline"]} baseline{how}', fontsize=10)
    for ax in (left, right):
        ax.set_yticks(places, names)
        ax.set_ylim(len(present) - 0.5, -0.5)
        ax.spines[['top', 'right']].set_visible(False)
    handles = [Patch(color=_INFRARED, label='infrared'), Patch(color=_VISIBLE, label='visible')]
    part.legend(handles=handles, loc='outside right center', fontsize=9, frameon=False)


def _stage_rows(stages: int) -> int:
    """Rows of the maps of the stages: side by side with their gates as long as there is room for both."""
    return 1 if stages <= 3 else 2


def _draw_attention(part: SubFigure, attention: np.ndarray) -> None:
    stages = len(attention)
    rows = _stage_rows(stages)
    axes = part.subplots(rows, 2 * stages // rows, squeeze=False).reshape(2, stages)
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
            axes[1, k], _sigmoid(values), f'gate $\\sigma(a_{{{k}}})$ of stage {k + 1}', cmap='PuOr_r', vmin=0, vmax=1
        )
    size = dict(shrink=0.85, pad=0.01, aspect=15)
    part.colorbar(maps, ax=axes[0].tolist(), extend='both', **size)
    part.colorbar(gates, ax=axes[1].tolist(), ticks=[0, 0.5, 1], **size)


def _draw_convergence(part: SubFigure, report: AttributionReport) -> None:
    axes = part.subplots(1, 2, sharey=True)
    for s, (ax, source) in enumerate(zip(axes, _SOURCES)):
        for i, c in enumerate(report.present):
            # Light colours are made out on a screen, but not as lines on white.
            color = np.asarray(report.palette[c]) / 255
            color = color * min(1.0, 0.7 / max(color.mean(), 1e-6))
            style = dict(color=color, marker=_MARKERS[i % len(_MARKERS)], markersize=4)
            ax.plot([], [], label=f'{report.classes[c]}  ({report.score_difference[s, c]:+.3f})', **style)
            for n, rule in enumerate(report.integrals):
                delta = np.maximum(report.delta(rule)[:, s, c], _LEAST_DELTA)
                ax.plot(report.nodes, delta, linestyle=_LINES[n % len(_LINES)], **style)
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
    parts = list(figure.subfigures(len(heights), 1, height_ratios=heights))
    _draw_pictures(parts.pop(0), report)
    _draw_regions(parts.pop(0), report)
    if stages:
        _draw_attention(parts.pop(0), report.attention)
    _draw_convergence(parts.pop(0), report)
    return figure
