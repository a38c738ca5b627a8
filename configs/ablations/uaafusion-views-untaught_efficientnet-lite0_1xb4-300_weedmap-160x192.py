# The same without a teacher: its gate learns from the other losses alone.
_base_ = '../uaafusion/uaafusion-views_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(loss_gate=None)
