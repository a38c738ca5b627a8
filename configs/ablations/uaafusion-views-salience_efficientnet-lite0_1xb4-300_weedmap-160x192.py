# Weights by what stands out in the pair, a rule, in the place of the gate's, which learned them.
_base_ = '../uaafusion/uaafusion-views_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(fusion=dict(gate=dict(type='SalienceGate')))
