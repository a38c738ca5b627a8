# The released network with its behaviour, for published checkpoints and to compare with. Convert a checkpoint with
# tools/model_converters/released_to_mmfusion.py.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='FusionSegmentor',
    data_preprocessor=dict(type='FusionDataPreProcessor'),
    fusion=dict(
        type='UAAFusion',
        num_stages=5,
        channels=32,
        attribution=dict(
            steps=5,
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
    # One luminance channel in [0, 1].
    normalize=dict(mean=[0.0], std=[255.0]),
    color='gray',
    scorer=dict(score='sigmoid', mode='keep'),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(
            type='DilatedMobileNetV2',
            in_channels=1,
            strides=(1, 2, 2, 2, 1, 1, 1),
            dilations=(1, 1, 1, 1, 1, 1, 2),
            rest_dilations=(1, 1, 1, 1, 1, 2, 1),
            out_indices=(1, 6),
            norm_cfg=norm_cfg,
        ),
        decode_head=dict(
            type='ReleasedDeepLabHead',
            num_classes=15,
            norm_cfg=norm_cfg,
            ignore_index=0,
            # avg_non_ignore: cross entropy of PyTorch averages over the pixels that count.
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    loss_fusion=dict(type='AttributionFusionLoss', form='released'),
    loss_gradient=dict(type='JointGradientLoss', padding='zeros'),
    loss_seg_weight=0.1,
    batch_sources=False,
    stretch=True,
)
