"""A batch of pairs on its way to the device and into the model's range."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import BaseDataElement
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.registry import MODELS

_PAD_MODES = ('replicate', 'constant')
_LABELS = ('gt_sem_seg', 'gt_edge_map', 'gt_depth_map')
# Copies to them need not be waited for. 'meta' stands in for a GPU in tests.
_ASYNCHRONOUS = ('cuda', 'meta')
# Cubic interpolation may leave 0..255 by a tenth at an edge. Anything farther off is on another scale.
_OVERSHOOT = 64


def _check_target(size: Sequence[int] | None, size_divisor: int | None, where: str) -> tuple:
    if size is not None and size_divisor is not None:
        raise ValueError(f'{where}: give size={size!r} or size_divisor={size_divisor!r}, not both.')
    if size is not None:
        if isinstance(size, str) or not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1:
            raise ValueError(f'{where}: size must be (height, width) in pixels, but is {size!r}.')
        size = (int(size[0]), int(size[1]))
    if size_divisor is not None and (int(size_divisor) != size_divisor or size_divisor < 1):
        raise ValueError(f'{where}: size_divisor must be a positive whole number, but is {size_divisor!r}.')
    return size, size_divisor


@MODELS.register_module()
class FusionDataPreProcessor(BaseDataPreprocessor):
    """Collate pairs to one batch: (B, 4, H, W) float32 in [0, 1], channels R, G, B, infrared.

    It takes what ``PackFusionInputs`` gives: tensors (4, h, w) on the 0..255 scale in B, G, R, infrared order, as a
    list or already stacked. Images are padded at the right and the bottom to the largest of the batch, and beyond to
    ``size`` or to a multiple of ``size_divisor``. Predictions of :class:`~mmfusion.models.FusionSegmentor` do not
    depend on the largest: each size is a batch of its own. It has no parameters and does not normalise: the backbone's
    statistics belong to the fused image.

    In training the labels are padded along with ``seg_pad_val``. In testing they stay at ``ori_shape``, which they are
    compared at, and predictions lose the padding again: every data sample gets ``img_shape`` (h, w) without padding,
    ``pad_shape`` (H, W), and ``padding_size`` = ``img_padding_size`` = (left, right, top, bottom), as mmseg's
    ``BaseSegmentor.postprocess_result`` reads them.

    Args:
        size (tuple[int, int], optional): Pad at least to this (height, width). Larger images stay as they are.
        size_divisor (int, optional): Pad height and width to a multiple of this.
        pad_mode (str): ``'replicate'`` repeats the last row and column, so that the border makes no edge;
            ``'constant'`` fills in ``pad_val``.
        pad_val (float): For ``'constant'``, on the 0..255 scale.
        seg_pad_val (int): Label of padded pixels.
        bgr_to_rgb (bool): Swap blue and red of the visible image.
        test_cfg (dict, optional): ``size`` or ``size_divisor`` for testing instead of those above; an empty dict pads
            to the largest image only.
        non_blocking (bool, optional): Go on while a batch is copied to the device. By default wherever that is safe:
            on CUDA, but not on MPS, where PyTorch may read memory that has been freed meanwhile (its issue 189690).

    Raises:
        ValueError: Contradicting or impossible arguments.

    Examples:
        >>> import torch
        >>> preprocess = FusionDataPreProcessor(size_divisor=32)
        >>> batch = preprocess(dict(inputs=[torch.full((4, 30, 40), 51, dtype=torch.uint8)]))
        >>> tuple(batch['inputs'].shape), round(batch['inputs'].mean().item(), 4)
        ((1, 4, 32, 64), 0.2)
        >>> batch['data_samples'][0].padding_size
        (0, 24, 0, 2)
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        size_divisor: int | None = None,
        pad_mode: str = 'replicate',
        pad_val: float = 0,
        seg_pad_val: int = 255,
        bgr_to_rgb: bool = True,
        test_cfg: dict | None = None,
        non_blocking: bool | None = None,
    ) -> None:
        super().__init__(non_blocking=bool(non_blocking))
        self.non_blocking = non_blocking
        if pad_mode not in _PAD_MODES:
            raise ValueError(f'pad_mode must be one of {_PAD_MODES}, but is {pad_mode!r}.')
        if not 0 <= pad_val <= 255:
            raise ValueError(f'pad_val is on the 0..255 scale, but is {pad_val!r}.')
        if pad_val and pad_mode != 'constant':
            raise ValueError(f"pad_val={pad_val!r} has no effect with pad_mode={pad_mode!r}: set pad_mode='constant'.")
        self.train_target = _check_target(size, size_divisor, 'FusionDataPreProcessor')
        self.test_target = self.train_target
        if test_cfg is not None:
            unknown = sorted(set(test_cfg) - {'size', 'size_divisor'})
            if unknown:
                raise ValueError(f"test_cfg knows only 'size' and 'size_divisor', not {unknown}.")
            self.test_target = _check_target(test_cfg.get('size'), test_cfg.get('size_divisor'), 'test_cfg')
        self.pad_mode = pad_mode
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val
        self.bgr_to_rgb = bgr_to_rgb
        self._mentioned = False

    def cast_data(self, data: Any) -> Any:
        """Copy to the device, without waiting where ``non_blocking`` says so.

        Args:
            data (Any): Tensors, data samples, or lists and dicts of them.

        Returns:
            Any: The same on the device.
        """
        if self.non_blocking is None:
            self._non_blocking = self.device.type in _ASYNCHRONOUS
        return super().cast_data(data)

    @staticmethod
    def _unpack(data: Mapping, training: bool) -> tuple[list[Tensor], list[BaseDataElement] | None]:
        if not isinstance(data, Mapping) or 'inputs' not in data:
            raise TypeError(
                "A batch must be a dict with 'inputs' and 'data_samples', as pseudo_collate makes it, but "
                f'is {list(data) if isinstance(data, Mapping) else type(data).__name__}. Let the pipeline end with '
                "dict(type='PackFusionInputs')."
            )
        inputs, samples = data['inputs'], data.get('data_samples')
        if isinstance(inputs, Tensor):
            if inputs.ndim != 4:
                raise ValueError(f'A stacked batch must have shape (B, 4, H, W), but has {tuple(inputs.shape)}.')
            inputs = list(inputs)
        if not isinstance(inputs, (list, tuple)) or not all(isinstance(image, Tensor) for image in inputs):
            raise TypeError(
                "'inputs' must be a list of tensors (4, h, w) or one tensor (B, 4, H, W), but is "
                f'{type(inputs).__name__}.'
            )
        if not inputs:
            raise ValueError('The batch is empty.')
        if samples is None:
            if training:
                raise ValueError("Training needs 'data_samples' with labels: end the pipeline with PackFusionInputs.")
            return list(inputs), None
        if not isinstance(samples, (list, tuple)) or not all(isinstance(sample, BaseDataElement) for sample in samples):
            raise TypeError(
                f"'data_samples' must be a list of SegDataSample, but is {type(samples).__name__}; use "
                'pseudo_collate as collate_fn.'
            )
        if len(samples) != len(inputs):
            raise ValueError(f'{len(inputs)} images, but {len(samples)} data samples.')
        return list(inputs), list(samples)

    @staticmethod
    def _check_image(image: Tensor, name: str) -> None:
        if image.ndim != 3 or image.shape[0] != 4 or 0 in image.shape:
            raise ValueError(
                f'A pair has shape (4, h, w), channels B, G, R, infrared, but {name} has '
                f'{tuple(image.shape)}. Load it with LoadPairFromFile and end with PackFusionInputs.'
            )
        # A value on an accelerator can only be looked at by waiting for it.
        if image.dtype == torch.uint8 or image.device.type != 'cpu':
            return
        low, high = image.min().item(), image.max().item()  # both are NaN as soon as one pixel is
        if not -_OVERSHOOT <= low <= high <= 255 + _OVERSHOOT:
            raise ValueError(
                f'{name} holds values from {low} to {high}; a pair is finite and on the 0..255 scale. '
                'Check the file; sources of more than 8 bit may need ir_range or vi_range of '
                'LoadPairFromFile.'
            )

    def _target_size(self, inputs: list[Tensor], training: bool) -> tuple[int, int]:
        size, divisor = self.train_target if training else self.test_target
        height = max(image.shape[1] for image in inputs)
        width = max(image.shape[2] for image in inputs)
        if size is not None:
            return max(height, size[0]), max(width, size[1])
        divisor = divisor or 1
        return -(-height // divisor) * divisor, -(-width // divisor) * divisor

    def _to_model_range(self, image: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
        if self.bgr_to_rgb:
            image = torch.cat([image[:3].flip(0), image[3:]])
        image = image.float()
        if any(padding):
            value = self.pad_val if self.pad_mode == 'constant' else None
            image = F.pad(image[None], padding, mode=self.pad_mode, value=value)[0]
        return (image / 255).clamp_(0, 1)

    def _pad_labels(
        self, sample: BaseDataElement, shape: tuple[int, int], padding: tuple[int, int, int, int], name: str
    ) -> None:
        for key in _LABELS:
            if key not in sample:
                continue
            label = getattr(sample, key)
            data = label.data
            if tuple(data.shape[-2:]) != shape:
                raise ValueError(
                    f'{key} of {name} has {tuple(data.shape[-2:])} pixels, but its image {shape}. In a '
                    'training pipeline LoadPairAnnotations stands before the geometric transforms.'
                )
            # PixelData refuses another size while the old data is there.
            del label.data
            label.data = F.pad(data, padding, value=self.seg_pad_val)

    def _mention_sizes(self) -> None:
        if not self._mentioned:
            self._mentioned = True
            print_log(
                'pairs of a training batch have different sizes, and the padding of the smaller ones depends on their '
                'neighbours; let the pipeline crop them, or set data_preprocessor.size',
                'current',
                logging.WARNING,
            )

    def forward(self, data: dict, training: bool = False) -> dict:
        """Collate, move to the device, scale and pad.

        Args:
            data (dict): ``inputs``: list of (4, h, w) tensors, uint8 or float on the 0..255 scale, or one (B, 4, H, W)
                tensor. ``data_samples``: list of ``SegDataSample``; may be None or absent outside training.
            training (bool): Whether labels are padded along and the training size applies.

        Returns:
            dict: ``inputs`` (B, 4, H, W) float32 in [0, 1]; ``data_samples``, a list of B ``SegDataSample`` (new ones,
            with ``ori_shape`` equal to the size of the input, where there were none).

        Raises:
            TypeError: The batch is not made of tensors and data samples.
            ValueError: An image has not four channels, holds NaN or infinite values or is not on the 0..255 scale;
                labels do not fit. The message names the file. Values are checked where a data loader leaves them, on
                the CPU; those of images that are on an accelerator already are not.
        """
        inputs, samples = self._unpack(data, training)
        names = [
            f'image {i} of the batch'
            if samples is None
            else samples[i].metainfo.get('img_path') or f'image {i} of the batch'
            for i in range(len(inputs))
        ]
        # Before the copy to the device, where looking at a value would wait for it.
        for image, name in zip(inputs, names):
            self._check_image(image, name)
        if samples is None:
            samples = [SegDataSample(metainfo=dict(ori_shape=tuple(image.shape[1:]))) for image in inputs]

        if training and self.train_target[0] is None and len({image.shape for image in inputs}) > 1:
            self._mention_sizes()
        inputs, samples = self.cast_data(inputs), self.cast_data(samples)
        height, width = self._target_size(inputs, training)
        batch = []
        for image, sample, name in zip(inputs, samples, names):
            shape = tuple(image.shape[1:])
            padding = (0, width - shape[1], 0, height - shape[0])
            batch.append(self._to_model_range(image, padding))
            if training:
                self._pad_labels(sample, shape, padding, name)
            sample.set_metainfo(
                dict(img_shape=shape, pad_shape=(height, width), padding_size=padding, img_padding_size=padding)
            )
        return dict(inputs=torch.stack(batch), data_samples=samples)
