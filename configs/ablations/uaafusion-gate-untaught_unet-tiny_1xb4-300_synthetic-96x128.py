# The same gate without a teacher: it learns from the other losses alone.
_base_ = '../uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(loss_gate=None)
