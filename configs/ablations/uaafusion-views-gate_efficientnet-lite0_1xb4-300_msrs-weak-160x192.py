# A gate learns the weights from the other losses, in the place of the rule.
_base_ = '../uaafusion/uaafusion-views_efficientnet-lite0_1xb4-300_msrs-weak-160x192.py'
model = dict(fusion=dict(gate=dict(_delete_=True, type='FusionGate')))
