# The whole method with our defaults: the row that the ablations are compared with.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_cwfid-128x160.py'
