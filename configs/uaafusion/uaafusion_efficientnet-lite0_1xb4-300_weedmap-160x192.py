# WeedMap: soil, crop and weed. Minutes on a CPU core.
_base_ = [
    '../_base_/models/uaafusion_efficientnet-lite0_segformer.py',
    '../_base_/datasets/weedmap_160x192.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_300_finetune.py',
]
class_weight = [0.28, 1.27, 1.45]
model = dict(
    segmentor=dict(decode_head=dict(num_classes=3, loss_decode=dict(class_weight=class_weight))),
    loss_refined=[
        dict(type='WeightedCrossEntropy', class_weight=class_weight),
        dict(type='LovaszLoss', loss_type='multi_class', reduction='none'),
    ],
)
env_cfg = dict(cudnn_benchmark=False, dist_cfg=dict(backend='gloo'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='AttributionFusionLossHook', warmup_iters=30, ramp_iters=30, interval=20),
]
