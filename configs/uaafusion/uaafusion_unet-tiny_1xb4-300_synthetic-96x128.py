# The embedded default: drawn scenes, a small network, minutes on two CPU cores.
_base_ = [
    '../_base_/models/uaafusion_unet-tiny.py',
    '../_base_/datasets/synthetic_96x128.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_300.py',
]
train_dataloader = dict(batch_size=4)
env_cfg = dict(cudnn_benchmark=False, dist_cfg=dict(backend='gloo'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='AttributionFusionLossHook', warmup_iters=60, ramp_iters=60, interval=20),
]
