"""What a joint model's segmentor reads, and the segmentor as those see it who attribute it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmfusion.attribution import Attribution, Evidence

from ..color import split_luminance
from ..fusion import FusionResult
from ..head_scores import gives_masses, logits_of_masses, steady_bases
from ..normalization import Normalization
from ..reading import Inputs, Reading
from ..scorer import PairScorer, SegmentorScorer
from .fused_prediction import attach_segmentation
from .pair import Pair
from .weight_names import own_names


class AttributedReading(BaseSegmentor):
    """The part of a joint model that turns images into what its segmentor reads, and asks it for scores of them.

    Attributes:
        fusion (nn.Module): The fusion.
        segmentor (nn.Module): The segmentor.
        reading (Reading): What the segmentor reads.
        refine (nn.Module | None): The refiner of its scores.
        color (str): 'rgb' or 'gray': whether a fused image has the chroma of the visible one.
        scorer_options (dict): Options of :class:`~mmfusion.models.scorer.SegmentorScorer`.
    """

    fusion: Any
    segmentor: Any
    reading: Reading
    color: str
    scorer_options: dict[str, Any]
    refine: Any
    mean: Tensor
    std: Tensor
    bgr: bool
    _attribution_source: nn.Module | None

    # What mmseg asks a segmentor for -------------------------------------------------------------------------------
    @property
    def backbone(self) -> nn.Module:
        """nn.Module: The segmentor's backbone."""
        return self.segmentor.backbone

    @property
    def decode_head(self) -> nn.Module:
        """nn.Module: The segmentor's decode head."""
        return self.segmentor.decode_head

    @property
    def align_corners(self) -> bool:
        """bool: How the segmentor's maps are resized."""
        return self.segmentor.align_corners

    @property
    def num_classes(self) -> int:
        """int: Classes of the segmentor."""
        return self.segmentor.num_classes

    @property
    def out_channels(self) -> int:
        """int: Output channels of the segmentor."""
        return self.segmentor.out_channels

    def own_names(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Weights of a checkpoint under the names that they have here; those of a plain mmseg segmentor as well."""
        return own_names(weights, self.segmentor, self.fusion)

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Scores at the original size, and the classes they tell, as of any mmseg segmentor.

        mmseg's own method does not know images that were flipped both ways.

        Args:
            seg_logits (Tensor): Raw scores (B, C, H, W) at the size that the network saw.
            data_samples (list[SegDataSample], optional): Their meta information tells padding, flips and size.

        Returns:
            list[SegDataSample]: With ``seg_logits`` (C, H', W') and ``pred_sem_seg`` (1, H', W').
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        threshold = getattr(self.decode_head, 'threshold', None)
        return attach_segmentation(data_samples, seg_logits, self.align_corners, threshold)

    # Attribution ---------------------------------------------------------------------------------------------------
    @property
    def _gate(self) -> nn.Module | None:
        """The fusion's gate."""
        return getattr(self.fusion, 'gate', None)

    @property
    def _attributes(self) -> bool:
        """Whether the fusion asks the segmentor for evidence or attention."""
        return getattr(self.fusion, 'asks_segmentor', False)

    def _init_normalization(self, expects: dict, normalize: dict | None) -> None:
        """Mean and std on the [0, 1] scale, and whether the backbone wants its channels as B, G, R."""
        wanted = Normalization.of(expects, normalize)
        for name, values in (('mean', wanted.mean), ('std', wanted.std)):
            scaled = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) / 255
            self.register_buffer(name, scaled, persistent=False)
        self.bgr = wanted.bgr

    def set_attribution_source(self, segmentor: nn.Module | None) -> None:
        """Choose the network that is attributed while training.

        Args:
            segmentor (nn.Module, optional): A copy of the segmentor, such as a running mean of it. It does not become
                a part of this model. None for the segmentor itself.
        """
        self.__dict__['_attribution_source'] = segmentor  # Past nn.Module, which would register it.

    def scorer(self, segmentor: nn.Module | None = None) -> SegmentorScorer:
        """A segmentor (this model's by default) as a function of one luminance image.

        It raises a ValueError when it is called for a segmentor that reads more than that; see :meth:`pair_scorer`.
        """
        prepare = self.normalize if self.reading.name == 'fused' else self._refuse_one_image
        return SegmentorScorer(segmentor or self.segmentor, prepare, **self.scorer_options)

    def _refuse_one_image(self, luminance: Tensor) -> Tensor:
        raise ValueError(
            f'the segmentor reads {self.reading.name!r} and is no function of one luminance image; ask pair_scorer() '
            "and Attribution.joint_evidence, or attribute a model with reads='fused'"
        )

    def pair_scorer(self, segmentor: nn.Module | None = None) -> PairScorer:
        """A segmentor (this model's by default) as a function of infrared and visible image, whatever it reads.

        Where it reads a fused image, that is the mean of the two, with which every fusion starts.
        """

        def prepare(infrared: Tensor, visible: Tensor) -> Tensor:
            return self.compose(Inputs.of_mean(visible, infrared, self.color))

        return PairScorer(segmentor or self.segmentor, prepare, merge=self.reading.merge_scores, **self.scorer_options)

    def compose(self, inputs: Inputs) -> Tensor:
        """What the segmentor reads, normalised: (B, C, H, W), or one after the other where scores are merged."""
        return self.reading.compose(inputs, self.normalize, self._normalize_channel)

    def _normalize_channel(self, image: Tensor) -> Tensor:
        """A further channel (B, 1, H, W) on the scale of the others."""
        return (image - self.mean.mean()) / self.std.mean()

    def normalize(self, image: Tensor) -> Tensor:
        """An image (B, 1 or 3, H, W) in [0, 1] as the backbone wants it.

        A grey image is repeated for a backbone of three channels; of a colour image, a backbone of one channel gets the
        luminance.
        """
        if self.mean.shape[1] == 1 and image.shape[1] == 3:
            image = split_luminance(image)[0]
        if self.bgr and image.shape[1] == 3:
            image = image.flip(1)
        return (image - self.mean) / self.std

    def _joint_evidence(
        self, pair: Pair, labels: Tensor | None, ignore: Tensor | None = None, training: bool = True
    ) -> Evidence:
        """What attribution finds in the pair, in the regions of these labels."""
        scorer = self.pair_scorer(self._attribution_source if training else None)
        options: Attribution = getattr(self.fusion, 'attribution', Attribution())
        return options.joint_evidence(scorer, pair.ir, pair.visible, labels, training=training, ignore=ignore)

    def _iterate_scorer(self, pair: Pair, segmentor: nn.Module | None) -> SegmentorScorer:
        """The segmentor as a function of the fused luminance of this batch, the pair being what it is."""

        def prepare(luminance: Tensor) -> Tensor:
            image = pair.colored(luminance, self.color)
            return self.compose(Inputs(pair.visible, pair.ir, luminance, image, torch.full_like(pair.ir, 0.5)))

        return SegmentorScorer(
            segmentor or self.segmentor, prepare, merge=self.reading.merge_scores, **self.scorer_options
        )

    # Segmentation --------------------------------------------------------------------------------------------------
    @staticmethod
    def _inputs(image: Tensor, result: FusionResult, pair: Pair) -> Inputs:
        return Inputs(pair.visible, pair.ir, result.fused, image, result.weight_ir)

    def segment(self, inputs: Tensor, image: Tensor, result: FusionResult, metas: list[dict]) -> Tensor:
        """Scores of pairs that were fused, whatever the segmentor reads of them.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            image (Tensor): Their fused images, as from :meth:`fuse`.
            result (FusionResult): Likewise.
            metas (list[dict]): Meta information, one per pair.

        Returns:
            Tensor: Raw scores (B, C, H, W) at the size that the network saw.
        """
        return self._scores(image, result, Pair.split(inputs), metas, self.segmentor.inference)

    def _scores(
        self, image: Tensor, result: FusionResult, pair: Pair, metas: list[dict], infer: Callable[..., Tensor]
    ) -> Tensor:
        """Class scores (B, C, H, W) of whatever the segmentor reads, by its ``inference`` or ``encode_decode``."""
        batch = self.compose(self._inputs(image, result, pair))
        with steady_bases(self.segmentor):
            # Sizes are read as shapes, of which an exported graph knows that they vary: len() is a fixed number there.
            scores = infer(batch, metas * (batch.shape[0] // image.shape[0]))
        return self._finished(scores, result, pair)

    def _finished(self, scores: Tensor, result: FusionResult, pair: Pair) -> Tensor:
        """What the segmentor says of each view, merged and refined; of as many pairs as were fused."""
        if gives_masses(self.decode_head) and (self.reading.merges_scores or self.refine is not None):
            scores = logits_of_masses(scores)
        return self._refined(self.reading.merge_scores(scores)[: pair.ir.shape[0]], result, pair)

    def _refined(self, logits: Tensor, result: FusionResult, pair: Pair) -> Tensor:
        """Scores at full resolution, corrected where there is a refiner."""
        if self.refine is None:
            return logits
        features = None if result.features is None or not self.refine.feature_channels else result.features
        inputs = torch.cat([pair.visible, pair.ir], dim=1)
        return self.refine(logits, inputs, features, self.align_corners)
