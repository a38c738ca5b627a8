# The visible image alone.
_base_ = '../uaafusion/uaafusion_efficientnet-lite0_1xb4-300_cwfid-160x192.py'
model = dict(fusion=dict(_delete_=True, type='VisibleOnly'), reads='fused', refine=None)
