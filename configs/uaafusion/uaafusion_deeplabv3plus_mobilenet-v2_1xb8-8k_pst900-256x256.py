_base_ = [
    '../_base_/models/uaafusion_deeplabv3plus_mobilenet-v2.py',
    '../_base_/datasets/pst900_256x256.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_8k.py',
]
model = dict(segmentor=dict(decode_head=dict(num_classes=5), auxiliary_head=dict(num_classes=5)))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='AttributionFusionLossHook', warmup_iters=1000, ramp_iters=1000),
]
