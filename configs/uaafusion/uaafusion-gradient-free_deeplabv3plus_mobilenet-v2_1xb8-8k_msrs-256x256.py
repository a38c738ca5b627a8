# No gradient of the segmentor is ever taken for the fusion: weights from forward passes, and no attention. What that
# saves and what it loses is in docs/performance.md.
_base_ = './uaafusion_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256.py'
model = dict(fusion=dict(attribution=dict(estimator='banzhaf'), attention=None))
