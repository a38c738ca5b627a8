# The demonstration: the segmentor reads the pair and the fused image, whose weights a gate tells.
_base_ = './uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(
    fusion=dict(
        weights='gate',
        head=dict(scale=2),
        # A gate takes the mean over all lessons by itself: a single one needs little smoothing.
        attribution=dict(estimator='endpoint', smoothing=0.02),
    ),
    reads='pair+fused',
    refine=dict(type='DetailRefiner', channels=16),
)
