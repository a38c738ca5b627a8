# A run on real pairs that two CPU cores finish: the small network of the demonstration, half of the resolution.
_base_ = [
    '../_base_/models/uaafusion_unet-tiny.py', '../_base_/datasets/msrs_256x256.py',
    '../_base_/default_runtime.py', '../_base_/schedules/schedule_300.py'
]
scale = (320, 240)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25), keep_ratio=True)
train_pipeline[3] = dict(type='RandomCrop', crop_size=(128, 160))
# The labels are loaded behind Resize and stay at full resolution, as in mmseg.
test_pipeline = [*_base_.test_pipeline[:1], dict(type='Resize', scale=scale, keep_ratio=True), *_base_.test_pipeline[1:]]
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Rare classes count more than the background.
model = dict(
    segmentor=dict(decode_head=dict(num_classes=9, loss_decode=dict(class_weight=[0.2] + [2.0] * 8))))
env_cfg = dict(cudnn_benchmark=False, dist_cfg=dict(backend='gloo'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='AttributionFusionLossHook', warmup_iters=60, ramp_iters=60, interval=20),
]
