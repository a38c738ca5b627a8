"""Fusion metrics as a metric of the runner."""

import logging
import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmfusion.models.geometry import undo_flip
from mmfusion.registry import METRICS

from ..functional import DEFAULT_METRICS, check_metric_names, fusion_metrics

_COLORS = ('luminance', 'channels')
_BT601 = (0.299, 0.587, 0.114)


def _luminance(rgb: Tensor) -> Tensor:
    """BT.601 luminance (1, H, W) of an image (3, H, W) in R, G, B order, on the scale of the image."""
    return torch.tensordot(rgb.new_tensor(_BT601), rgb, dims=1)[None]


def _fused_image(sample: Mapping) -> Tensor:
    """The fused image of a prediction, (3, H, W) or (1, H, W)."""
    if 'fused_img' not in sample:
        raise ValueError(
            f"the prediction has no 'fused_img', only {sorted(sample)}; FusionMetric needs a "
            'FusionSegmentor in prediction mode'
        )
    fused = sample['fused_img']['data']
    if fused.ndim != 3 or fused.shape[0] not in (1, 3):
        raise ValueError(f'fused_img must be (3, H, W) or (1, H, W), but is {tuple(fused.shape)}')
    return fused


def _as_they_are(data_batch: Mapping) -> tuple[list[Tensor], list[Mapping]]:
    """Of every pair the least reduced of its augmentations, and how that one was flipped."""
    passes, samples = data_batch['inputs'], data_batch.get('data_samples')
    if samples is None:
        raise ValueError("several passes of a pair need data_batch['data_samples'], which tell how each was flipped")
    chosen = [max(range(len(passes)), key=lambda k: passes[k][row].shape[-1]) for row in range(len(passes[0]))]
    pairs = [passes[k][row] for row, k in enumerate(chosen)]
    return pairs, [samples[k][row].metainfo for row, k in enumerate(chosen)]


@METRICS.register_module()
class FusionMetric(BaseMetric):
    """How well the fused images of a test run keep what the source images hold, without reference to labels.

    It stands beside ``IoUMetric`` in one test run and compares ``data_sample['fused_img']`` with the pair that went
    into the model, as it comes from the data pipeline, before the data preprocessor. If the pipeline resized the pair,
    it is brought to the size of the fused image (bilinear, as mmsegmentation brings predictions to the original size);
    if it flipped the pair, the pair is flipped back, as predictions are. Metrics of a resized pair see the
    resampling: for figures to be published, test at the original size. Under test-time augmentation, the prediction of
    all passes (of :class:`~mmfusion.models.FusionTTAModel`) is compared with the largest of the augmented pairs.

    Every image has its own figures, and the result is their mean over the test set, also in a distributed run. Nothing
    is left out of the mean: an infinite PSNR (fused equals both sources) makes the mean infinite, and a fused image
    with NaN or infinite pixels has NaN figures, makes every mean NaN and is reported in the log.

    Args:
        metrics (Sequence[str]): Names out of ``mmfusion.evaluation.FUSION_METRICS``. Default: the first twelve. 'LPIPS'
            and 'PI' need further packages.
        convention (str): 'original' (each metric as its paper defines it) or 'evaluator' (the evaluator most papers
            use); see :func:`mmfusion.evaluation.fusion_metrics`. With 'evaluator' the fused image is rounded to 8 bits
            per channel first, as if it had been written to a file.
        color (str): What happens to colour. 'luminance': fused and visible image are reduced to BT.601 luminance.
            'channels': R, G and B of the fused image are each compared with the same channel of the visible image and
            with the infrared image, and the three figures are averaged; a one-channel fused image is compared with
            the luminance all the same.
        collect_device (str): 'cpu' or 'gpu', where results of several processes are gathered.
        prefix (str, optional): Stands before the names in the log, as in ``fusion/EN``. Default: 'fusion'.
        collect_dir (str, optional): Directory for gathering on 'cpu'. Default: a temporary one.

    Raises:
        TypeError: ``metrics`` is a single string.
        ValueError: Unknown metric, convention or colour handling.
        ModuleNotFoundError: A metric needs a package that is not installed; the message has the command.

    Example:
        >>> metric = FusionMetric(metrics=('EN', 'MSE'))
        >>> pair = torch.full((4, 8, 8), 51, dtype=torch.uint8)
        >>> sample = dict(fused_img=dict(data=torch.full((1, 8, 8), 0.2)))
        >>> metric.process(dict(inputs=[pair]), [sample])
        >>> {name: round(value, 6) for name, value in metric.evaluate(size=1).items()}
        {'fusion/EN': 0.0, 'fusion/MSE': 0.0}
    """

    default_prefix = 'fusion'

    def __init__(
        self,
        metrics: Sequence[str] = DEFAULT_METRICS,
        convention: str = 'original',
        color: str = 'luminance',
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.metrics = check_metric_names(metrics, convention)
        if color not in _COLORS:
            raise ValueError(f'color must be one of {_COLORS}, but is {color!r}')
        self.convention = convention
        self.color = color

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compute and keep the figures of every image of a batch.

        Args:
            data_batch (dict): ``inputs``, a sequence of (4, h, w) tensors in B, G, R, IR order in 0..255, one a pair;
                under test-time augmentation, one such sequence for every pass, and ``data_samples`` likewise.
            data_samples (Sequence[dict]): Predictions; ``fused_img`` holds ``data`` (3, H, W) RGB or (1, H, W) in
                [0, 1], ``flip`` and ``flip_direction`` say how the pipeline flipped the pair.

        Raises:
            TypeError: A pair is not a tensor.
            ValueError: ``inputs`` or ``fused_img`` is missing, their numbers differ, a shape is wrong, the direction
                of a flip is unknown, or the values are outside the range.
        """
        pairs = (data_batch or {}).get('inputs')
        if pairs is None:
            raise ValueError(
                "FusionMetric needs the source images in data_batch['inputs'], but there are none; "
                'offline evaluation of saved predictions must pass the data as well'
            )
        flips: Sequence[Mapping] = data_samples
        if pairs and isinstance(pairs[0], (list, tuple)):
            pairs, flips = _as_they_are(data_batch)
        if len(pairs) != len(data_samples):
            raise ValueError(
                f"data_batch['inputs'] holds {len(pairs)} pairs, but there are {len(data_samples)} "
                'predictions; FusionMetric needs one each'
            )
        for pair, sample, flip in zip(pairs, data_samples, flips):
            self.results.append(self._figures(pair, sample, flip))

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Average the figures over all images.

        Args:
            results (list[dict[str, float]]): One dict of figures an image.

        Returns:
            dict[str, float]: Metric name to mean; NaN without any image.

        Example:
            >>> of_two_images = [dict(EN=6.0, PSNR=60.0), dict(EN=7.0, PSNR=math.inf)]
            >>> FusionMetric(metrics=('EN', 'PSNR')).compute_metrics(of_two_images)
            {'EN': 6.5, 'PSNR': inf}
        """
        broken = sum(any(math.isnan(value) for value in figures.values()) for figures in results)
        if broken:
            print_log(
                f'{broken} of {len(results)} fused images hold NaN or infinite pixels, so the fusion metrics are NaN',
                logger='current',
                level=logging.WARNING,
            )
        if not results:
            return dict.fromkeys(self.metrics, math.nan)
        return {name: sum(figures[name] for figures in results) / len(results) for name in self.metrics}

    def _figures(self, pair: Tensor, sample: Mapping, flip: Mapping) -> dict[str, float]:
        fused = _fused_image(sample)
        if not fused.isfinite().all():
            return dict.fromkeys(self.metrics, math.nan)
        # Not every device knows float64; Apple's GPU does not.
        if fused.device.type == 'mps':
            fused = fused.cpu()
        fused = fused.double() * 255
        if self.convention == 'evaluator':
            fused = fused.round()
        vi, ir = self._sources(pair, flip, fused)
        if self.color == 'luminance' and fused.shape[0] == 3:
            fused = _luminance(fused)
        if fused.shape[0] == 1:
            vi = _luminance(vi)
        ir = ir.expand_as(vi)
        figures = fusion_metrics(fused[:, None], ir[:, None], vi[:, None], self.metrics, self.convention)
        return {name: value.mean().item() for name, value in figures.items()}

    @staticmethod
    def _sources(pair: Tensor, flip: Mapping, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Visible (3, H, W) in R, G, B order and infrared (1, H, W), laid over the fused image."""
        if not isinstance(pair, Tensor):
            raise TypeError(f"data_batch['inputs'] must hold one tensor a pair, but holds {type(pair).__name__}")
        if pair.ndim != 3 or pair.shape[0] != 4:
            raise ValueError(f'a pair must be (4, h, w) in B, G, R, IR order, but is {tuple(pair.shape)}')
        pair = undo_flip(pair.to(fused), flip)
        if pair.shape[1:] != fused.shape[1:]:
            pair = F.interpolate(pair[None], size=fused.shape[1:], mode='bilinear', align_corners=False)[0]
        return pair[:3].flip(0), pair[3:]
