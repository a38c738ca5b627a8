# A gate whose teacher is attribution, in every fourth iteration: a lesson passes both backbones four times.
_base_ = './uaafusion-views-gate_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(loss_gate=dict(_delete_=True, type='GateLoss'), teach_interval=4)
