# Integrated gradients start at black, which credits a source for being bright.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_cwfid-128x160.py'
model = dict(fusion=dict(attribution=dict(baseline='black')))
