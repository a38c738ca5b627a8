# 300 iterations from a pretrained backbone, which learns at half of the rate of what is new.
_base_ = './schedule_300.py'
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'segmentor.backbone': dict(lr_mult=0.5)}),
    clip_grad=dict(max_norm=5.0, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.03, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=30, end=300, by_epoch=False),
]
