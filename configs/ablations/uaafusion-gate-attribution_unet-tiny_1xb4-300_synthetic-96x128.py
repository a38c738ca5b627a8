# Weights and attention from attribution of the moment (the paper's way) in the place of the gate's.
_base_ = '../uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(fusion=dict(weights='attribution'))
