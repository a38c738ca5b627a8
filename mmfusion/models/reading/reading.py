"""What a segmentor reads of a pair and its fused image."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..color import merge_luminance, split_luminance
from .stem import extend_stem
from .views import MERGES, ViewsBackbone

# What stands first, with as many channels as the segmentor was made for, and what is added: its name, and how the
# stem treats it (see `stem.inflate`).
_STACKS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    'fused': ('fused', ()),
    'visible': ('visible', ()),
    'infrared': ('infrared', ()),
    'pair': ('visible', (('infrared', 'mean'),)),
    'fused+infrared': ('fused', (('infrared', 'mean'),)),
    'pair+fused': ('visible', (('infrared', 'mean'), ('luminance', 'zero'))),
}
READINGS = ('fused', 'pair', 'fused+infrared', 'pair+fused', 'views')
VIEWS = tuple(_STACKS)
_DEFAULT_VIEWS = ('fused', 'visible', 'infrared')


@dataclass
class Inputs:
    """All that a segmentor may read of a batch. B pairs of H x W pixels, values in [0, 1].

    Examples:
        >>> pair = torch.tensor([0.2, 0.2, 0.2, 0.8]).view(1, 4, 1, 1)
        >>> inputs = Inputs.of_mean(pair[:, :3], pair[:, 3:])
        >>> round(inputs.luminance.item(), 4), round(inputs.image('fused')[0, 0].item(), 4)
        (0.5, 0.5)
    """

    visible: Tensor
    """Visible images (B, 3, H, W): red, green, blue."""
    infrared: Tensor
    """Infrared images (B, 1, H, W)."""
    luminance: Tensor
    """Fused luminance (B, 1, H, W)."""
    colored: Tensor
    """Fused image (B, 1 or 3, H, W), with or without the chroma of the visible one."""
    weight_ir: Tensor
    """Weight of the infrared image (B, 1, H, W)."""

    @classmethod
    def of_mean(cls, visible: Tensor, infrared: Tensor, color: str = 'rgb') -> 'Inputs':
        """The inputs as they are before the fusion has done anything: its first iterate is the mean of both sources.

        Attribution reads these, since it asks for scores of sources that are not there, which nobody fuses.

        Args:
            visible (Tensor): (B, 3, H, W).
            infrared (Tensor): (B, 1, H, W).
            color (str): 'rgb' or 'gray'.

        Returns:
            Inputs: With weights of one half.
        """
        luminance, chroma = split_luminance(visible)
        mean = (luminance + infrared) / 2
        colored = merge_luminance(mean, chroma) if color == 'rgb' else mean
        return cls(visible, infrared, mean, colored, torch.full_like(infrared, 0.5))

    def image(self, name: str) -> Tensor:
        """One image by its name: 'fused', 'visible' or 'infrared'."""
        return {'fused': self.colored, 'visible': self.visible, 'infrared': self.infrared}[name]


@dataclass(frozen=True)
class Reading:
    """What a segmentor reads, and what has to be changed in it for that.

    Attributes:
        name (str): 'fused' is the fused image alone (the paper). 'pair' is the visible image and the infrared one as a
            further channel, which is early fusion without any fused image. 'fused+infrared' is the fused image and the
            infrared one as a further channel; 'pair+fused' the pair and the fused luminance as one channel more, which
            has no effect at first, so that training starts from early fusion. 'views' are several images, each by
            itself, whose features are merged.
        views (tuple[str, ...]): For 'views': which ones, of 'fused', 'visible', 'infrared', and the readings of more
            channels above, such as ``('pair+fused', 'infrared')``.
        merge (str): For 'views': 'mean' or 'weights' merge features, the latter by the fusion's weights (a view of both
            sensors counts as much as the two together); 'scores' is the mean of the probabilities that a segmentor of
            one image gives for each view.
        shared (bool): For 'views': one backbone for all of them, which then have equally many channels, or one each.

    Raises:
        ValueError: An option is unknown, or there is no segmentor that could do what they ask for.

    Examples:
        >>> Reading.of('pair+fused').added, Reading.of(dict(type='views', views=('visible', 'infrared'))).merge
        (('infrared', 'luminance'), 'mean')
    """

    name: str = 'fused'
    views: tuple[str, ...] = _DEFAULT_VIEWS
    merge: str = 'mean'
    shared: bool = True

    def __post_init__(self) -> None:
        if self.name not in READINGS:
            raise ValueError(f'unknown reads {self.name!r}; choose one of {", ".join(READINGS)}')
        if len(self.views) < 2 or not set(self.views) <= set(VIEWS) or len(set(self.views)) < len(self.views):
            raise ValueError(f'views must be at least two different ones of {", ".join(VIEWS)}, got {self.views!r}')
        if self.merge not in (*MERGES, 'scores'):
            raise ValueError(f'unknown merge {self.merge!r}; choose one of {", ".join((*MERGES, "scores"))}')
        if self.name == 'views' and self.shared and len({_plan(view) for view in self.views}) > 1:
            raise ValueError(
                f'views {self.views!r} have different numbers of channels: set shared=False, a backbone for each'
            )
        if self.merge == 'scores' and not self.shared:
            raise ValueError("merge='scores' takes one segmentor for all views; leave out shared=False")

    @classmethod
    def of(cls, reads: 'str | Mapping[str, Any] | Reading') -> 'Reading':
        """From a config.

        Args:
            reads (str | Mapping | Reading): A name, or ``dict(type='views', ...)`` with options.

        Returns:
            Reading: Checked.

        Raises:
            TypeError: An option that no reading has.
        """
        if isinstance(reads, Reading):
            return reads
        if isinstance(reads, str):
            return cls(reads)
        options = dict(reads)
        name = options.pop('type', 'views')
        unknown = sorted(set(options) - {'views', 'merge', 'shared'})
        if unknown or (options and name != 'views'):
            raise TypeError(f'reads={dict(reads)!r}: options are views, merge and shared, for the type views')
        if 'views' in options:
            options['views'] = tuple(options['views'])
        return cls(name, **options)

    @property
    def added(self) -> tuple[str, ...]:
        """tuple[str, ...]: Channels beyond those that the segmentor was made for."""
        names = self.views if self.name == 'views' else (self.name,)
        return tuple(dict.fromkeys(name for view in names for name, _ in _STACKS[view][1]))

    @property
    def merges_features(self) -> bool:
        """bool: Whether views meet inside the segmentor."""
        return self.name == 'views' and self.merge != 'scores'

    @property
    def merges_scores(self) -> bool:
        """bool: Whether views meet behind the segmentor, each being an image of its own."""
        return self.name == 'views' and self.merge == 'scores'

    @property
    def uses_fused(self) -> bool:
        """bool: Whether the fused image has an effect on what is read."""
        return any('fused' in view for view in self.views) if self.name == 'views' else self.name != 'pair'

    def adapt(self, segmentor: nn.Module, channels: int) -> None:
        """Change a segmentor in place, so that it can read this.

        Args:
            segmentor (nn.Module): Of mmseg, with a ``backbone``.
            channels (int): Channels of the images that it was made for.

        Raises:
            ValueError: The segmentor has no backbone, or that cannot be extended.
        """
        plans = [_plan(view) for view in (self.views if self.name == 'views' else (self.name,))]
        if not any(plans) and not self.merges_features:
            return
        owner: Any = segmentor
        if not isinstance(getattr(owner, 'backbone', None), nn.Module):
            raise ValueError(
                f"{type(segmentor).__name__} has no backbone that could read {self.name!r}; use reads='fused'"
            )
        backbones = [owner.backbone]
        if self.merges_features:
            added = [len(plan) for plan in plans]
            owner.backbone = ViewsBackbone(owner.backbone, len(self.views), self.merge, self.shared, added)
            backbones.extend(owner.backbone.others)
        for backbone, plan in zip(backbones, plans, strict=False):
            if plan:
                extend_stem(backbone, channels, plan)

    def compose(
        self, inputs: Inputs, normalize: Callable[[Tensor], Tensor], normalize_channel: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """What the segmentor gets.

        Args:
            inputs (Inputs): The batch.
            normalize (Callable): An image (B, 1 or 3, H, W) in [0, 1] as the backbone wants it.
            normalize_channel (Callable): A further channel (B, 1, H, W) likewise.

        Returns:
            Tensor: (B, C, H, W); (V * B, C, H, W), view after view, where their scores are merged.
        """

        def stack(view: str) -> Tensor:
            first, added = _STACKS[view]
            extra = [normalize_channel(getattr(inputs, name)) for name, _ in added]
            return torch.cat([normalize(inputs.image(first)), *extra], dim=1)

        if self.name != 'views':
            return stack(self.name)
        views = [stack(view) for view in self.views]
        if self.merge == 'scores':
            return torch.cat(views)
        if self.merge == 'weights':
            views.append(self._weights(inputs).to(views[0]))
        return torch.cat(views, dim=1)

    def merge_scores(self, logits: Tensor) -> Tensor:
        """Logits of views that were read one after the other (V * B, C, H, W) to those of the batch.

        Args:
            logits (Tensor): Of a single output channel, the logit of the foreground.

        Returns:
            Tensor: (B, C, H, W), whose probabilities are the mean of those of the views; ``logits`` as they are where
            no scores are merged.

        Examples:
            >>> reading = Reading('views', views=('visible', 'infrared'), merge='scores')
            >>> merged = reading.merge_scores(torch.tensor([[2.0, 0.0], [0.0, 2.0]]).view(2, 2, 1, 1))
            >>> merged.softmax(1).flatten().tolist()
            [0.5, 0.5]
        """
        if not self.merges_scores:
            return logits
        views = logits.unflatten(0, (len(self.views), -1))
        if logits.shape[1] == 1:
            return views.sigmoid().mean(0).logit(eps=1e-6)
        return views.log_softmax(2).logsumexp(0) - math.log(len(self.views))

    def _weights(self, inputs: Inputs) -> Tensor:
        """Weights of the views (B, V, H, W), which add to one."""
        infrared = inputs.weight_ir
        of_one_sensor = {'infrared': infrared, 'visible': 1 - infrared}
        weights = torch.cat([of_one_sensor.get(view, torch.ones_like(infrared)) for view in self.views], dim=1)
        return weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).eps)


def _plan(view: str) -> tuple[str, ...]:
    """How the stem treats the channels that a view adds."""
    return tuple(word for _, word in _STACKS[view][1])
