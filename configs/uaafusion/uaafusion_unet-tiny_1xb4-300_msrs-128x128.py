# A run on real pairs that two CPU cores finish: the small network of the demonstration on small crops.
_base_ = [
    '../_base_/models/uaafusion_unet-tiny.py', '../_base_/datasets/msrs_256x256.py',
    '../_base_/default_runtime.py', '../_base_/schedules/schedule_300.py'
]
crop_size = (128, 128)
train_pipeline = _base_.train_pipeline
train_pipeline[3] = dict(type='RandomCrop', crop_size=crop_size)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
model = dict(
    segmentor=dict(decode_head=dict(num_classes=9, loss_decode=dict(class_weight=[0.3] + [1.5] * 8))))
env_cfg = dict(cudnn_benchmark=False, dist_cfg=dict(backend='gloo'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='AttributionFusionLossHook', warmup_iters=60, ramp_iters=60, interval=20),
]
