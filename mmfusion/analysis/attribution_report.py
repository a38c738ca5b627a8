"""What attribution analysis finds out about one pair, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SOURCES = ('infrared', 'visible')


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function, by tanh, which does not overflow.

    Examples:
        >>> sigmoid(np.array([-1e4, 0.0])).tolist()
        [0.0, 0.5]
    """
    return 0.5 * (1 + np.tanh(0.5 * values))


@dataclass
class AttributionReport:
    """What attribution analysis finds out about one pair. H x W pixels, C classes, K stages, N numbers of nodes.

    Examples:
        A pair of two pixels, one of each class; neither source holds evidence for the first:

        >>> image, labels, zeros = np.zeros((1, 2), np.uint8), np.array([[0, 1]]), np.zeros((1, 2))
        >>> report = AttributionReport(
        ...     visible=np.zeros((1, 2, 3), np.uint8), infrared=image, fused=image, weight_ir=zeros, prediction=labels,
        ...     labels=labels, labels_from='given', classes=('cold', 'warm'), palette=[[0, 0, 0], [255, 0, 0]],
        ...     region_ir=np.array([0.0, 0.3]), region_vi=np.array([0.0, 0.1]), shares=np.array([0.5, 0.75]),
        ...     options=dict(used=True),
        ...     attention=np.zeros((0, 1, 2)), nodes=(1,), score_difference=np.zeros((2, 2)),
        ... )
        >>> report.present, [round(float(share), 3) for share in report.share()]
        ([0, 1], [nan, 0.75])
        >>> report.numbers()['classes']['warm']['pixels']
        1
    """

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
    shares: np.ndarray
    """Share of the infrared image in the evidence per class (C,), as it weighs the sources; see
    :meth:`mmfusion.attribution.Evidence.share`."""
    options: dict[str, Any]
    """How the regions were attributed: ``baseline``, ``rule``, ``steps``, ``estimator``; and ``used``, whether the
    fusion weighs the sources by it."""
    attention: np.ndarray
    """Attention per stage (K, H, W), before the sigmoid; K = 0 for a fusion without."""
    nodes: Sequence[int]
    """Numbers of nodes of the path integral, ascending."""
    score_difference: np.ndarray
    """``s_c(X) - s_c(X0)`` (2, C): infrared, visible."""
    smoothing: float = 0.0
    """What each source is credited with in advance, in units of the score; ``shares`` have it in them."""
    integrals: dict[str, np.ndarray] = field(default_factory=dict)
    """Sum of the integrated gradients over all pixels (N, 2, C), by quadrature rule."""

    @property
    def present(self) -> list[int]:
        """list[int]: Classes that have a region."""
        return [int(c) for c in np.unique(self.labels) if c < len(self.classes)]

    def share(self) -> np.ndarray:
        """Infrared share of the evidence per class.

        Returns:
            np.ndarray: ``shares`` (C,); NaN where neither source holds any evidence.
        """
        return np.where(self.region_ir + self.region_vi > 0, self.shares, np.nan)

    def delta(self, rule: str) -> np.ndarray:
        """Convergence delta of the path integral.

        By completeness, integrated gradients add up to the difference of the scores at the ends of the path
        (Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017).

        Args:
            rule (str): One of ``integrals``.

        Returns:
            np.ndarray: Absolute error of the sum (N, 2, C), in units of the score.

        Raises:
            KeyError: No integrals by this rule.
        """
        return np.abs(self.integrals[rule] - self.score_difference)

    def numbers(self) -> dict[str, Any]:
        """The figures behind the figure, for a JSON file.

        Returns:
            dict: Per class that is present: pixels, attributions, share (None without evidence) and, per source, score
            difference, integrals and deltas by rule, in the order of ``nodes``; per stage: range and root mean square
            of the attention and range of its gate.
        """
        return dict(
            labels=self.labels_from,
            **self.options,
            nodes=list(self.nodes),
            classes={self.classes[c]: self._class_numbers(c) for c in self.present},
            stages=[_stage_numbers(attention) for attention in self.attention],
        )

    def _class_numbers(self, c: int) -> dict[str, Any]:
        share = self.share()[c]
        return dict(
            pixels=int((self.labels == c).sum()),
            attribution_infrared=float(self.region_ir[c]),
            attribution_visible=float(self.region_vi[c]),
            share_infrared=None if np.isnan(share) else float(share),
            convergence={source: self._convergence_numbers(s, c) for s, source in enumerate(SOURCES)},
        )

    def _convergence_numbers(self, source: int, c: int) -> dict[str, Any]:
        return dict(
            score_difference=float(self.score_difference[source, c]),
            integral={rule: values[:, source, c].tolist() for rule, values in self.integrals.items()},
            delta={rule: self.delta(rule)[:, source, c].tolist() for rule in self.integrals},
        )


def _stage_numbers(attention: np.ndarray) -> dict[str, float]:
    return dict(
        attention_min=float(attention.min()),
        attention_max=float(attention.max()),
        attention_rms=float(np.sqrt((attention**2).mean())),
        gate_min=float(sigmoid(attention.min())),
        gate_max=float(sigmoid(attention.max())),
    )
