"""Panels of predictions while validating and testing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.models.geometry import undo_flip
from mmfusion.registry import HOOKS
from mmfusion.visualization import draw_panel, to_uint8


def pictures_of(pair: Tensor, sample: SegDataSample) -> dict[str, np.ndarray | None]:
    """What there is to see of one prediction, laid over each other.

    Args:
        pair (Tensor): See :func:`panel_of`.
        sample (SegDataSample): As well.

    Returns:
        dict[str, np.ndarray | None]: All (H, W), the size of the prediction: ``visible``, with three channels RGB,
        ``infrared`` and ``fused`` (RGB or one channel), uint8; ``weight_ir`` in [0, 1]; ``prediction`` and ``label``,
        class ids. The prediction is None of a model without classes, the label where there is none of this size.

    Raises:
        ValueError: The pipeline flipped the pair in an unknown direction.

    Examples:
        >>> import torch
        >>> from mmengine.structures import PixelData
        >>> sample = SegDataSample()
        >>> sample.fused_img, sample.fusion_weights = (PixelData(data=torch.rand(1, 8, 12)) for _ in range(2))
        >>> sample.pred_sem_seg = PixelData(data=torch.zeros(1, 8, 12, dtype=torch.long))
        >>> pictures = pictures_of(torch.zeros(4, 4, 6, dtype=torch.uint8), sample)
        >>> pictures['visible'].shape, pictures['infrared'].shape, pictures['label']
        ((8, 12, 3), (8, 12), None)
    """
    fused = to_uint8(sample.fused_img.data)
    image = undo_flip(pair.detach().cpu().float(), sample.metainfo).permute(1, 2, 0).numpy()
    image = cv2.resize(np.ascontiguousarray(image), fused.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    image = image.clip(0, 255).round().astype(np.uint8)
    label = sample.gt_sem_seg.data[0].cpu().numpy() if 'gt_sem_seg' in sample else None
    if label is not None and label.shape != fused.shape[:2]:
        label = None  # The pipeline resized or padded the labels too; they no longer match the original.
    return dict(
        visible=np.ascontiguousarray(image[..., 2::-1]),
        infrared=image[..., 3],
        fused=fused,
        weight_ir=sample.fusion_weights.data[0].cpu().numpy(),
        prediction=sample.pred_sem_seg.data[0].cpu().numpy() if 'pred_sem_seg' in sample else None,
        label=label,
    )


def panel_of(
    pair: Tensor, sample: SegDataSample, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """Draw the panel of one prediction.

    Args:
        pair (Tensor): The pair as it left the pipeline (4, h, w): blue, green, red, infrared in 0..255. Brought to the
            size of the prediction, and flipped back if the pipeline flipped it.
        sample (SegDataSample): A prediction of :class:`~mmfusion.models.FusionSegmentor`, or of a
            :class:`~mmfusion.models.FusionModel`, which knows no classes.
        classes (Sequence[str]): Class names.
        palette (Sequence[Sequence[int]]): R, G and B in 0..255 per class.

    Returns:
        np.ndarray: (H', W', 3) RGB uint8; see :func:`~mmfusion.visualization.draw_panel`.

    Raises:
        ValueError: The pipeline flipped the pair in an unknown direction.

    Examples:
        >>> import torch
        >>> from mmengine.structures import PixelData
        >>> sample = SegDataSample(metainfo=dict(flip=True, flip_direction='diagonal'))
        >>> sample.fused_img, sample.fusion_weights = (PixelData(data=torch.rand(1, 30, 200)) for _ in range(2))
        >>> sample.pred_sem_seg = PixelData(data=torch.zeros(1, 30, 200, dtype=torch.long))
        >>> pair = torch.zeros(4, 30, 200, dtype=torch.uint8)
        >>> panel_of(pair, sample, ['background'], [[0, 0, 0]]).shape  # five pictures with titles, and a legend
        (74, 1016, 3)
    """
    pictures: dict[str, Any] = pictures_of(pair, sample)
    return draw_panel(**pictures, classes=classes, palette=palette)


@HOOKS.register_module()
class FusionVisualizationHook(Hook):
    """Writes a panel (visible, infrared, weights, fused, prediction, label) per prediction to the visualizer.

    It takes the place and the arguments of mmseg's ``SegVisualizationHook``; ``tools/test.py --show-dir`` switches it
    on.

    Args:
        draw (bool): Whether to draw at all.
        interval (int): While validating, the first image of every so many batches.
        show (bool): Show a window instead of writing files.
        wait_time (float): Seconds that a window stays open.

    Raises:
        ValueError: ``interval`` is not positive.
    """

    def __init__(self, draw: bool = False, interval: int = 50, show: bool = False, wait_time: float = 0.0) -> None:
        if interval < 1:
            raise ValueError(f'interval must be positive, got {interval}; use draw=False for no pictures')
        self._visualizer: Visualizer = Visualizer.get_current_instance()
        self.draw = draw
        self.interval = interval
        self.show = show
        self.wait_time = wait_time
        self._test_index = 0

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Draw the first prediction of some batches."""
        if self.draw and batch_idx % self.interval == 0:
            self._add('val', data_batch['inputs'][0], outputs[0], runner.iter)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Draw every prediction."""
        if not self.draw:
            return
        for pair, sample in zip(data_batch['inputs'], outputs):
            self._add('test', pair, sample, self._test_index)
            self._test_index += 1

    def _add(self, mode: str, pair: Tensor, sample: SegDataSample, step: int) -> None:
        meta = self._visualizer.dataset_meta or {}
        panel = panel_of(pair, sample, meta.get('classes', ()), meta.get('palette', ()))
        name = f'{mode}_{Path(sample.metainfo.get("img_path", str(step))).stem}'
        if self.show:
            self._visualizer.show(panel, win_name=name, wait_time=self.wait_time)
        else:
            self._visualizer.add_image(name, panel, step=step)
