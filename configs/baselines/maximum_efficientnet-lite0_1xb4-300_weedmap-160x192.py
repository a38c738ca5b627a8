# The brighter of both images, pixel by pixel.
_base_ = '../uaafusion/uaafusion_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(fusion=dict(_delete_=True, type='MaximumFusion'), reads='fused', refine=None)
