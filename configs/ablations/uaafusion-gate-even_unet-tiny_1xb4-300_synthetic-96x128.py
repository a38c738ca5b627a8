# Weights of one half everywhere, and nothing gates the stages.
_base_ = '../uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(fusion=dict(weights='even', attention=None))
