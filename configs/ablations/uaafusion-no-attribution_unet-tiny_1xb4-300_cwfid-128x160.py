# The sources weigh one half each, in the data step and in the loss. Attention stays.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_cwfid-128x160.py'
model = dict(fusion=dict(weights='even'))
