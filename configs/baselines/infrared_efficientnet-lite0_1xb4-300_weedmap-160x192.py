# The second sensor alone.
_base_ = '../uaafusion/uaafusion_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(fusion=dict(_delete_=True, type='InfraredOnly'), color='gray', reads='fused', refine=None)
