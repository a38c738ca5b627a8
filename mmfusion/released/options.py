"""What the released UAAFusion code does, in terms of our options: the only copy, which the configs take too.

Source: the code released with Bai et al., "Deep Unfolding Multi-modal Image Fusion Network via Attribution Analysis",
IEEE TCSVT 2025, arXiv 2502.01467. Nothing here is to be changed by whoever imports it: copy first.

Examples:
    >>> from mmfusion.models import UAAFusion
    >>> fusion = UAAFusion(num_stages=2, channels=4, **RELEASED_FUSION, head=dict(RELEASED_HEAD))
    >>> fusion.attribution.estimator, fusion.unfolding.alpha
    ('exact', None)
"""

from typing import Any

RELEASED_FUSION: dict[str, Any] = dict(
    weights='attribution',
    attribution=dict(
        steps=5,
        rule='right',
        baseline='black',
        estimator='exact',
        smoothing=0.0,
        region='batch',
        label_source='mean',
        max_batch='batch',
    ),
    attention='none',
    attention_interval=1,
)
"""Options of :class:`~mmfusion.models.UAAFusion` that compute what the released network computes."""

RELEASED_HEAD: dict[str, Any] = dict(data_step=False, residual=False, squash_first_cell=False)
"""Options of :class:`~mmfusion.models.MemoryUnfoldingHead` that compute what the released network computes."""

RELEASED_LEARNING: dict[str, Any] = dict(
    scorer=dict(mode='keep'),
    loss_fusion=dict(type='AttributionFusionLoss', form='released'),
    loss_gradient=dict(type='JointGradientLoss', padding='zeros'),
    batch_sources=False,
    source_loss_weight=2 / 3,
    train_labels='given',
)
"""Options of :class:`~mmfusion.models.FusionSegmentor` by which it learns as the released model, in front of any
segmentor: the segmentor is attributed in training mode, and sees the three images one after the other."""

RELEASED_MODEL: dict[str, Any] = dict(
    RELEASED_LEARNING,
    scorer=dict(RELEASED_LEARNING['scorer'], score='sigmoid'),
    loss_seg_weight=0.1,
    color='gray',
    normalize=dict(mean=[0.0], std=[255.0]),
    stretch=True,
)
"""All options of :class:`~mmfusion.models.FusionSegmentor` in front of the released segmentor, which takes one channel
in [0, 1] and puts a sigmoid behind its scores."""
