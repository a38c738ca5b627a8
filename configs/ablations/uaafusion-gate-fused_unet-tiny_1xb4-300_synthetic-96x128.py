# The segmentor reads the fused image alone, as in the paper.
_base_ = '../uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(reads='fused')
