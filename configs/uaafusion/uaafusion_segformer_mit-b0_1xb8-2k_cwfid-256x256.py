_base_ = [
    '../_base_/models/uaafusion_segformer_mit-b0.py',
    '../_base_/datasets/cwfid_256x256.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_2k.py',
]
model = dict(segmentor=dict(decode_head=dict(num_classes=3, norm_cfg=dict(type='BN'))))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='AttributionFusionLossHook', warmup_iters=200, ramp_iters=200),
]
