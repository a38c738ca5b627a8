# No fidelity loss: the weights act in the data step only; gradient and segmentation losses remain.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_cwfid-128x160.py'
model = dict(loss_fusion=None)
