# The refinement of every stage is gated by one half everywhere.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(fusion=dict(attention=None))
