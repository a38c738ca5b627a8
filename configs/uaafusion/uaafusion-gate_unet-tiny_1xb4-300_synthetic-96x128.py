# The demonstration: the segmentor reads the pair and the fused image, whose weights a gate tells.
_base_ = './uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(
    fusion=dict(weights='gate', head=dict(scale=2), attribution=dict(estimator='endpoint')),
    reads='pair+fused',
    refine=dict(type='DetailRefiner', channels=16),
)
