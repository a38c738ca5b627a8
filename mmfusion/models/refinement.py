"""Detail for the segmentation: what the fusion sees at high resolution, added to the segmentor's scores."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmfusion.registry import MODELS

from .precision import at_least_float32


@MODELS.register_module()
class DetailRefiner(BaseModule):
    """A few convolutions at half of the resolution that correct the scores of a segmentor.

    Heads of segmentors tell their scores at a quarter of the resolution or less, where a leaf or a person far away has
    a few places, and both sensors' borders are blurred. The fusion works at high resolution and on both sensors anyway:
    its features and the pair say where borders are. The correction is zero at first, so that training starts from the
    segmentor as it is.

    Args:
        num_classes (int): Channels of the scores.
        feature_channels (int): Channels of the unfolding's features; 0 without an unfolding.
        channels (int): Feature channels here.
        norm_cfg (dict, optional): Config of the norms; batch norm by default.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: A number of channels is out of range.

    Examples:
        >>> refine = DetailRefiner(num_classes=3, channels=8)
        >>> coarse = torch.rand(2, 3, 5, 6)
        >>> fine = refine(coarse, torch.rand(2, 4, 20, 24))
        >>> torch.equal(fine, F.interpolate(coarse, size=(20, 24), mode='bilinear'))  # It has learned nothing yet.
        True
    """

    def __init__(
        self,
        num_classes: int,
        feature_channels: int = 0,
        channels: int = 16,
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_classes < 1 or feature_channels < 0 or channels < 1:
            raise ValueError(
                'num_classes and channels must be positive and feature_channels not negative, got '
                f'{num_classes}, {channels} and {feature_channels}'
            )
        self.feature_channels = feature_channels
        norm_cfg = norm_cfg or dict(type='BN')
        # The four pixels of a square are channels. 1x1 convolutions bring odd numbers of channels to one that fast
        # kernels like.
        self.see = nn.Sequential(
            ConvModule(4 * 4 + feature_channels, channels, 1, norm_cfg=norm_cfg),
            ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg),
        )
        self.join = nn.Sequential(
            ConvModule(channels + num_classes, channels, 1, norm_cfg=norm_cfg),
            ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg),
        )
        self.correct = nn.Conv2d(channels, 4 * num_classes, 1)
        self.silence()

    def silence(self) -> None:
        """Correct nothing, as at first."""
        nn.init.zeros_(self.correct.weight)
        if self.correct.bias is not None:
            nn.init.zeros_(self.correct.bias)

    def init_weights(self) -> None:
        """Initialise; the correction stays zero."""
        super().init_weights()
        if self.init_cfg is None:
            self.silence()

    def forward(
        self, logits: Tensor, pair: Tensor, features: Tensor | None = None, align_corners: bool = False
    ) -> Tensor:
        """Correct scores.

        Args:
            logits (Tensor): Scores (B, C, h, w) of the segmentor, at any resolution.
            pair (Tensor): Pairs (B, 4, H, W) in [0, 1].
            features (Tensor, optional): Of the unfolding, (B, C', H', W') at any resolution.
            align_corners (bool): How the scores are brought to the size of the pair.

        Returns:
            Tensor: Scores (B, C, H, W).

        Raises:
            ValueError: Features are missing, or there are too many.
        """
        if (features is None) != (self.feature_channels == 0):
            raise ValueError(
                f'made for {self.feature_channels} channels of the unfolding, got '
                f'{"none" if features is None else features.shape[1]}; set refine.feature_channels'
            )
        height, width = pair.shape[-2:]
        padded = F.pad(2 * pair - 1, (0, width % 2, 0, height % 2), mode='replicate')
        seen = F.pixel_unshuffle(padded, 2)
        size = seen.shape[-2], seen.shape[-1]
        if features is not None:
            if features.shape[-2:] == (2 * size[0], 2 * size[1]):
                # The same as below; unlike that, an exported graph has it for any size.
                features = F.avg_pool2d(features, 2)
            elif features.shape[-2:] != size:
                features = F.adaptive_avg_pool2d(features, size)
            seen = torch.cat([seen, features.to(seen)], dim=1)
        fine = F.interpolate(logits, size=(height, width), mode='bilinear', align_corners=align_corners)
        scores = F.interpolate(logits, size=size, mode='bilinear', align_corners=align_corners)
        corrected = self.correct(self.join(torch.cat([self.see(seen), scores.to(seen)], dim=1)))
        correction = F.pixel_shuffle(at_least_float32(corrected), 2)[..., :height, :width]
        return fine + correction
