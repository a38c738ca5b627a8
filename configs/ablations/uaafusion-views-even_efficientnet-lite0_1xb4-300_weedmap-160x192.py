# The same with weights of one half everywhere, and nothing gates the stages.
_base_ = '../uaafusion/uaafusion-views_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(fusion=dict(gate=None, weights='even', attention=None))
