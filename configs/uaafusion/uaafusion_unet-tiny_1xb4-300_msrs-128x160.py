# A run on real pairs that two CPU cores finish, with the small network of the demonstration.
_base_ = [
    '../_base_/models/uaafusion_unet-tiny.py',
    '../_base_/datasets/msrs_128x160.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_300.py',
]
# Rare classes count more than the background.
model = dict(segmentor=dict(decode_head=dict(num_classes=9, loss_decode=dict(class_weight=[0.2] + [2.0] * 8))))
env_cfg = dict(cudnn_benchmark=False, dist_cfg=dict(backend='gloo'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='AttributionFusionLossHook', warmup_iters=60, ramp_iters=60, interval=20),
]
