"""Several passes of a pair, by test time augmentation, to one prediction."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.registry import MODELS

from ..head_scores import gives_masses, probabilities_of_masses
from .fused_prediction import attach_classes

_FUSED = ('fused_img', 'fusion_weights')


@MODELS.register_module()
class FusionTTAModel(SegTTAModel):
    """mmseg's model for test time augmentation, which also keeps what the fusion gives.

    Probabilities, fused images and weights are the mean over all passes, at the original size and unflipped.

    Args:
        module (dict | nn.Module): The joint model.
        data_preprocessor (dict, optional): Of the joint model.
    """

    module: Any

    def merge_preds(self, data_samples_list: Sequence[Sequence[SegDataSample]]) -> list[SegDataSample]:
        """Merge the passes of every pair.

        Args:
            data_samples_list (Sequence[Sequence[SegDataSample]]): For each pair, its predictions.

        Returns:
            list[SegDataSample]: With ``seg_logits`` (the probabilities), ``pred_sem_seg``, ``fused_img`` and
            ``fusion_weights``, and the labels of the first pass.
        """
        return [self._merged(samples) for samples in data_samples_list]

    def _merged(self, samples: Sequence[SegDataSample]) -> SegDataSample:
        first = samples[0]
        merged = SegDataSample(metainfo=first.metainfo)
        scores = torch.stack([self._probabilities(sample.seg_logits.data) for sample in samples]).mean(0)
        attach_classes(merged, scores, getattr(self.module.decode_head, 'threshold', None))
        for key in _FUSED:
            if key in first:
                mean = torch.stack([getattr(sample, key).data for sample in samples]).mean(0)
                merged.set_data({key: PixelData(data=mean)})
        if 'gt_sem_seg' in first:
            merged.set_data({'gt_sem_seg': first.gt_sem_seg})
        return merged

    def _probabilities(self, scores: Tensor) -> Tensor:
        """Of one pass (C, H, W)."""
        if len(scores) == 1:
            return scores  # A prediction has the probability of the foreground already.
        if gives_masses(self.module.decode_head) and self.module.refine is None:
            return probabilities_of_masses(scores[None])[0]
        return scores.softmax(0)
