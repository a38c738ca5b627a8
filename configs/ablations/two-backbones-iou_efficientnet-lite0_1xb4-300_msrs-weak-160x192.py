# Two backbones whose head learns IoU as our refiner does: what of the difference is the loss.
_base_ = '../baselines/two-backbones_efficientnet-lite0_1xb4-300_msrs-weak-160x192.py'
model = dict(segmentor=dict(decode_head=dict(loss_decode={{_base_.model.loss_refined}})))
