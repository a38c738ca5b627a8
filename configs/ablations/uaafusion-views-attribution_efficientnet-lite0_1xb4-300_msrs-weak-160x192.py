# Weights from attribution of the moment in the place of the rule's; this segmentor reads no iterate to attend to.
_base_ = '../uaafusion/uaafusion-views_efficientnet-lite0_1xb4-300_msrs-weak-160x192.py'
model = dict(fusion=dict(gate=None, weights='attribution', attention=None))
