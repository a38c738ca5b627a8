# The refinement of every stage is gated by one half everywhere.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_cwfid-128x160.py'
model = dict(fusion=dict(attention=None))
