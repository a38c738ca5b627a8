# No gradient of the segmentor is ever taken for the fusion: weights from forward passes, and no attention. What that
# saves and what it loses is in docs/performance.md.
_base_ = './uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(fusion=dict(attribution=dict(estimator='banzhaf'), attention=None))
