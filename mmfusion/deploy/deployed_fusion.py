"""The deployed path of a model: a pair in, fused image and segmentation out, and nothing that a graph cannot hold."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmfusion.models import FusionDataPreProcessor, FusionModel, FusionResult, FusionSegmentor
from mmfusion.models.segmentors.pair import Pair

from .any_size import replace_layers

PARTS = ('joint', 'fusion')
"""What can be deployed: fusion and segmentation, or the fused image alone."""


class DeployedFusion(nn.Module):
    """A trained model as a function of tensors, which can be traced, exported and compiled.

    It does what the preprocessor and the prediction of the model do, padding included: fused images, weights and scores
    are those of :class:`~mmfusion.apis.FusionInferencer` for pairs that its pipeline does not resize.

    Args:
        model (FusionSegmentor | FusionModel): It is copied, not changed.
        part (str, optional): 'joint' for fusion and segmentation, 'fusion' for the fused image and its weights alone.
            By default all that the model does.
        labels (bool): Tell classes instead of scores.
        size (Sequence[int], optional): Height and width of all pairs to come. By default they vary: then layers that
            compute with sizes as plain numbers are replaced, which takes sides that those can be divided by; a
            ``size_divisor`` of the preprocessor sees to that.

    Attributes:
        part (str): As given, or what the model does.
        output_names (tuple[str, ...]): 'fused', 'weight_ir', and for the joint model 'scores' or 'labels'.
        size (tuple[int, int] | None): As given.

    Raises:
        TypeError: It is no ``FusionSegmentor`` or ``FusionModel``, or its preprocessor is not of this project.
        ValueError: An option is unknown; there is no segmentor to deploy; the fusion asks the segmentor (attribution),
            which takes gradients that no graph has; or sliding windows for any size.

    Examples:
        >>> import logging
        >>> from mmengine.logging import MMLogger
        >>> from mmfusion.apis import FusionInferencer
        >>> MMLogger.get_current_instance().setLevel(logging.ERROR)  # No warning of random weights.
        >>> model = FusionInferencer('average_unet-tiny_1xb4-300_synthetic-96x128', device='cpu').model
        >>> deployed = DeployedFusion(model)
        >>> pair = torch.tensor([0.0, 0.0, 0.0, 102.0]).view(1, 4, 1, 1).expand(1, 4, 50, 70)  # B, G, R, infrared
        >>> dict(zip(deployed.output_names, [tuple(output.shape) for output in deployed(pair)]))
        {'fused': (1, 3, 50, 70), 'weight_ir': (1, 1, 50, 70), 'scores': (1, 4, 50, 70)}
        >>> round(deployed(pair)[0].mean().item(), 3)
        0.2
    """

    def __init__(
        self,
        model: FusionSegmentor | FusionModel,
        part: str | None = None,
        labels: bool = False,
        size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        _refuse(model, size)
        part = _checked_part(part, labels, bool(model.num_classes))
        self.size = None if size is None else checked_size(size)
        self.part = part
        self.labels = labels
        self.output_names = ('fused', 'weight_ir', *([] if part == 'fusion' else ['labels' if labels else 'scores']))
        preprocessor = model.data_preprocessor
        least, divisor = preprocessor.test_target
        self.least = least or (1, 1)
        self.divisor = divisor or 1
        self.pad_value = preprocessor.pad_val if preprocessor.pad_mode == 'constant' else None
        self.bgr_to_rgb = preprocessor.bgr_to_rgb
        self.color = model.color
        self.stretch = getattr(model, 'stretch', False)
        copied = _for_export(model, any_size=self.size is None)
        self.fusion = copied.fusion
        self.model = copied if part == 'joint' else None
        self.threshold = getattr(getattr(copied, 'decode_head', None), 'threshold', None)
        self.eval()

    def forward(self, pair: Tensor) -> tuple[Tensor, ...]:
        """Fuse and segment.

        Args:
            pair (Tensor): (N, 4, H, W) float32 on the 0..255 scale: blue, green, red, infrared, as OpenCV reads images
                and ``LoadPairFromFile`` stacks them.

        Returns:
            tuple[Tensor, ...]: What ``output_names`` says, at the size of the pair: the fused image (N, 3 or 1, H, W)
            in [0, 1], red, green, blue, with the chroma of the visible image, or grey, by the model's ``color``; the
            weight of the infrared image (N, 1, H, W) in [0, 1]; scores (N, C, H, W), or the probability of the
            foreground (N, 1, H, W) where the head has one channel; or class ids (N, H, W) as int64.
        """
        height, width = self.size or pair.shape[-2:]
        inputs = self._prepare(pair, height, width)
        parts = Pair.split(inputs)
        result = self.fusion(parts.ir, parts.luminance)
        image = parts.colored(result.fused, self.color)
        outputs = [image, result.weight_ir]
        if self.model is not None:
            outputs.append(self._segment(inputs, image, result))
        image, *others = (self._crop(output, height, width) for output in outputs)
        return (_stretched(image) if self.stretch else image, *others)

    def _prepare(self, pair: Tensor, height: int, width: int) -> Tensor:
        """What the preprocessor does: order of the colours, padding, range."""
        if self.bgr_to_rgb:
            pair = torch.cat([pair[:, 2:3], pair[:, 1:2], pair[:, 0:1], pair[:, 3:]], dim=1)
        for axis, length in ((2, height), (3, width)):
            pair = self._pad(pair, axis, length)
        return (pair / 255).clamp(0, 1)

    def _pad(self, pair: Tensor, axis: int, length: int) -> Tensor:
        """Repeat the last row or column, or fill in a value, as far as the preprocessor pads."""
        wanted = _at_least(length, self.least[axis - 2])
        wanted = (wanted + self.divisor - 1) // self.divisor * self.divisor
        if self._unpadded(length, wanted):
            return pair
        # By places instead of `F.pad`: an exporter then knows how long the result is.
        places = torch.arange(wanted, device=pair.device)
        padded = pair.index_select(axis, places.clamp(max=length - 1))
        if self.pad_value is None:
            return padded
        inside = (places < length).view((-1, 1) if axis == 2 else (1, -1))
        return torch.where(inside, padded, torch.full_like(padded, self.pad_value))

    def _unpadded(self, length: int, padded: int) -> bool:
        """Whether there is no padding; for any size, whether there never is."""
        return length == padded if self.size is not None else self.least == (1, 1) and self.divisor == 1

    def _crop(self, image: Tensor, height: int, width: int) -> Tensor:
        """Leave the padding out of what came of a pair (N, ..., H, W)."""
        for axis, length in ((-2, height), (-1, width)):
            if not self._unpadded(length, image.shape[axis]):
                image = image.index_select(axis, torch.arange(length, device=image.device))
        return image

    def _segment(self, inputs: Tensor, image: Tensor, result: FusionResult) -> Tensor:
        """Scores or classes, at the size that the network saw."""
        assert self.model is not None
        size = inputs.shape[2:]
        meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0, 0, 0, 0])
        scores = self.model.segment(inputs, image, result, [meta])
        if scores.shape[1] == 1:
            scores = scores.sigmoid()
        if not self.labels:
            return scores
        if scores.shape[1] == 1:
            return (scores[:, 0] > (0.5 if self.threshold is None else self.threshold)).long()
        return scores.argmax(1)


def _checked_part(part: str | None, labels: bool, has_classes: bool) -> str:
    """What is deployed."""
    if part not in (None, *PARTS):
        raise ValueError(f'unknown part {part!r}; choose one of {", ".join(PARTS)}')
    if not has_classes and (part == 'joint' or labels):
        raise ValueError("the model fuses only, and has neither scores nor labels; use part='fusion'")
    part = part or ('joint' if has_classes else 'fusion')
    if part == 'fusion' and labels:
        raise ValueError("labels are of the segmentor, which part='fusion' leaves out; use part='joint'")
    return part


def without_evidence(model: FusionSegmentor | FusionModel) -> Any:
    """A copy of a model.

    Args:
        model (FusionSegmentor | FusionModel): The evidence of its last training step is part of that step's graph,
            which cannot be copied.

    Returns:
        FusionSegmentor | FusionModel: Without it.
    """
    evidence = getattr(model, 'last_evidence', None)
    return copy.deepcopy(model, memo={} if evidence is None else {id(evidence): None})


def _for_export(model: FusionSegmentor | FusionModel, any_size: bool) -> Any:
    """A copy that only predicts, on the CPU."""
    copied = without_evidence(model)
    for name in ('loss_fusion', 'loss_gradient', 'loss_gate', 'sensor_dropout', 'last_evidence'):
        if hasattr(copied, name):
            setattr(copied, name, None)
    if isinstance(model, FusionSegmentor):
        copied.set_attribution_source(None)
        copied.loss_refined = nn.ModuleList()
        if getattr(copied.segmentor, 'with_auxiliary_head', False):
            del copied.segmentor.auxiliary_head
    unfolding = getattr(copied.fusion, 'unfolding', None)
    if unfolding is not None:
        unfolding.channels_last = False  # Whoever runs the graph decides where channels lie.
        unfolding.compile_options = None
    if any_size:
        replace_layers(copied)
    for value in (*copied.parameters(), *copied.buffers()):
        value.data = value.data.cpu().contiguous()
    return copied.cpu().requires_grad_(False).eval()


def _refuse(model: Any, size: Sequence[int] | None) -> None:
    """Refuse models whose predictions are no graph."""
    if not isinstance(model, (FusionSegmentor, FusionModel)):
        raise TypeError(f'a FusionSegmentor or a FusionModel is deployed, got a {type(model).__name__}')
    if not isinstance(model.data_preprocessor, FusionDataPreProcessor):
        raise TypeError(
            f'the model has a {type(model.data_preprocessor).__name__}; what is done to a pair is known of a '
            'FusionDataPreProcessor only'
        )
    if getattr(model.fusion, 'asks_segmentor', False):
        raise ValueError(
            f'weights={model.fusion.weights!r} with attention={model.fusion.attention!r} attributes the segmentor in '
            'every prediction, which takes gradients that no exported graph has; train with weights="gate" as '
            'configs/uaafusion/uaafusion-gate_*.py do, or with weights="even" and attention=None'
        )
    mode = (getattr(getattr(model, 'segmentor', None), 'test_cfg', None) or {}).get('mode', 'whole')
    if mode == 'slide' and size is None:
        raise ValueError(
            "the segmentor predicts in sliding windows (test_cfg mode='slide'), as many as the size takes; fix the "
            "size, or set model.segmentor.test_cfg=dict(mode='whole')"
        )


def checked_size(size: Sequence[int]) -> tuple[int, int]:
    """Height and width in pixels.

    Args:
        size (Sequence[int]): Two positive whole numbers.

    Returns:
        tuple[int, int]: The same.

    Raises:
        ValueError: Anything else.

    Examples:
        >>> checked_size([480, 640])
        (480, 640)
    """
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f'a size is height and width in pixels, got {tuple(size)!r}')
    return size[0], size[1]


def _at_least(length: Any, least: int) -> Any:
    """The greater one of a side, which a graph may only know by name, and a number."""
    if least <= 1:
        return length
    return length.clamp(min=least) if isinstance(length, Tensor) else torch.sym_max(length, least)


def _stretched(image: Tensor) -> Tensor:
    """Each image (N, C, H, W) to its own minimum and maximum."""
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    return (image - low) / (high - low).clamp(min=torch.finfo(image.dtype).tiny)
