# What the released network computes and learns from, on a small scale; see mmfusion/released/options.py.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_cwfid-128x160.py'
model = dict(
    fusion=dict(
        attribution=dict(
            rule='right',
            baseline='black',
            estimator='exact',
            smoothing=0.0,
            region='batch',
            label_source='mean',
            max_batch='batch',
        ),
        attention='none',
        attention_interval=1,
        head=dict(data_step=False, residual=False, squash_first_cell=False),
    ),
    scorer=dict(mode='keep'),
    loss_fusion=dict(type='AttributionFusionLoss', form='released'),
    loss_gradient=dict(type='JointGradientLoss', padding='zeros'),
    batch_sources=False,
)
# It attributes from the first iteration on; the hook only keeps the record.
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(type='AttributionFusionLossHook', interval=20),
]
