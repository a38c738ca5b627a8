# The unfolding does not move towards the weighted mean: the weights reach the image through the loss only.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(fusion=dict(head=dict(data_step=False)))
