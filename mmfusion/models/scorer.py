"""An mmseg segmentor seen as a function of one luminance image."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor, nn

from .head_scores import gives_masses, logits_of_masses, probabilities_of_masses, steady_bases
from .precision import at_least_float32, uncached_autocast

SCORES = ('softmax', 'sigmoid', 'logit')
MODES = ('eval', 'keep')
DTYPES = ('bfloat16',)


def plain_metas(images: Tensor) -> list[dict]:
    """Image meta information for images that were neither resized nor padded.

    Args:
        images (Tensor): (B, C, H, W).

    Returns:
        list[dict]: One per image, with the keys that mmseg's heads read.

    Examples:
        >>> plain_metas(torch.zeros(1, 3, 30, 40))
        [{'ori_shape': (30, 40), 'img_shape': (30, 40), 'pad_shape': (30, 40), 'padding_size': [0, 0, 0, 0]}]
    """
    size = tuple(images.shape[-2:])
    return [dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0, 0, 0, 0]) for _ in images]


@contextmanager
def without_checkpointing(module: nn.Module) -> Iterator[None]:
    """Switch off mmseg's activation checkpointing.

    It is PyTorch's reentrant kind, of which no gradient can be taken with respect to the input alone.

    Args:
        module (nn.Module): Its submodules with a true ``with_cp`` have a false one inside the context.

    Yields:
        None

    Examples:
        >>> module = nn.Identity()
        >>> module.with_cp = True
        >>> with without_checkpointing(module):
        ...     module.with_cp
        False
        >>> module.with_cp
        True
    """
    switched: list[Any] = [child for child in module.modules() if getattr(child, 'with_cp', False) is True]
    for child in switched:
        child.with_cp = False
    try:
        yield
    finally:
        for child in switched:
            child.with_cp = True


class SegmentorScorer:
    """Callable that attribution looks at: luminance (B, 1, H, W) in [0, 1] to scores (B, C, H, W).

    Args:
        segmentor (BaseSegmentor): An mmseg segmentor: a module with ``encode_decode`` and ``out_channels``.
        prepare (Callable): Luminance (B, 1, H, W) in [0, 1] to what the backbone takes (B, 1 or 3, H, W).
        score (str): 'softmax' or 'sigmoid' probabilities, or the 'logit'. Probabilities are what the attributions of
            two sources can be compared in. A head with a single output channel always gives the two probabilities of a
            binary task. A head that classifies masks (MaskFormer, Mask2Former, SAN) has its own, whose logarithm stands
            for the logit.
        mode (str): 'eval' attributes the segmentor in evaluation mode. 'keep' leaves it as it is, in training mode
            while training, as released: then scaled images enter the batch norms' statistics and dropout adds noise.
        dtype (str, optional): 'bfloat16' attributes the segmentor in bfloat16 autocast, also where training is in
            float32; probabilities are float32 again. By default, whatever the surroundings are (float16 never).
        merge (Callable, optional): Logits of several views (V * B, C, H, W) to those of the batch.

    Attributes:
        module (nn.Module | None): What :func:`mmfusion.attribution.isolated` puts into evaluation mode.
        num_classes (int): Classes C.

    Raises:
        ValueError: An option is unknown.
    """

    def __init__(
        self,
        segmentor: BaseSegmentor,
        prepare: Callable[[Tensor], Tensor],
        score: str = 'softmax',
        mode: str = 'eval',
        dtype: str | None = None,
        merge: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if score not in SCORES:
            raise ValueError(f'unknown score {score!r}; choose one of {", ".join(SCORES)}')
        if mode not in MODES:
            raise ValueError(f'unknown mode {mode!r}; choose one of {", ".join(MODES)}')
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(f'unknown dtype {dtype!r}; choose one of {", ".join(DTYPES)}, or None')
        self.dtype = dtype
        self.segmentor = segmentor
        self.prepare = prepare
        self.score = score
        self.merge = merge
        self.module = segmentor if mode == 'eval' else None
        self._masses = gives_masses(getattr(segmentor, 'decode_head', None))
        self.num_classes = max(2, segmentor.out_channels)

    def __call__(self, luminance: Tensor) -> Tensor:
        """Score one batch of luminance images.

        Args:
            luminance (Tensor): (B, 1, H, W) in [0, 1].

        Returns:
            Tensor: (B, C, H, W).

        Raises:
            ValueError: ``dtype`` asks for autocast on a device that knows none.
        """
        return self.score_images(self.prepare(luminance))

    def score_images(self, images: Tensor) -> Tensor:
        """Score what the segmentor reads.

        Args:
            images (Tensor): As the segmentor wants them, (B, C', H, W).

        Returns:
            Tensor: (B, C, H, W).
        """
        with ExitStack() as stack:
            stack.enter_context(without_checkpointing(self.segmentor))
            stack.enter_context(steady_bases(self.segmentor))
            if self.dtype is not None:
                stack.enter_context(uncached_autocast(images.device, getattr(torch, self.dtype)))
            logits = self.segmentor.encode_decode(images, plain_metas(images))
        if self.dtype is not None:
            logits = at_least_float32(logits)
        if self._masses and self.merge is None and self.score != 'logit':
            return probabilities_of_masses(logits)
        if self._masses:
            logits = logits_of_masses(logits)
        if self.merge is not None:
            logits = self.merge(logits)
        if logits.shape[1] == 1:
            foreground = logits.sigmoid()
            return torch.cat([1 - foreground, foreground], dim=1)
        if self.score == 'logit':
            return logits
        return logits.softmax(1) if self.score == 'softmax' else logits.sigmoid()


class PairScorer(SegmentorScorer):
    """The same for a segmentor that reads both sources: infrared (B, 1, H, W) and visible (B, 3, H, W) to scores.

    Args:
        segmentor (BaseSegmentor): An mmseg segmentor.
        prepare (Callable): Infrared and visible images in [0, 1] to what the segmentor reads.
        **options: As of :class:`SegmentorScorer`.
    """

    def __init__(self, segmentor: BaseSegmentor, prepare: Callable[[Tensor, Tensor], Tensor], **options: Any) -> None:
        super().__init__(segmentor, lambda image: image, **options)
        self.prepare_pair = prepare

    def __call__(self, infrared: Tensor, visible: Tensor) -> Tensor:  # type: ignore[override]
        """Score one batch of pairs.

        Args:
            infrared (Tensor): (B, 1, H, W) in [0, 1].
            visible (Tensor): (B, 3, H, W) in [0, 1].

        Returns:
            Tensor: (B, C, H, W).
        """
        return self.score_images(self.prepare_pair(infrared, visible))
