# The segmentor's own scores.
_base_ = '../uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(refine=None)
