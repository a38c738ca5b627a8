# Early fusion: the pair as four channels.
_base_ = '../uaafusion/uaafusion_efficientnet-lite0_1xb4-300_msrs-weak-160x192.py'
model = dict(fusion=dict(_delete_=True, type='AverageFusion'), reads='pair', refine=None)
