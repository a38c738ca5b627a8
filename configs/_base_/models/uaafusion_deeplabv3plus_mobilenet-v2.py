# UAAFusion in front of DeepLabV3+ on MobileNetV2. It starts from mmseg's weights for Cityscapes, fetched once; scores
# of other classes start anew (model.pretrained=False for random weights).
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='FusionSegmentor',
    data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=8),
    fusion=dict(type='UAAFusion', num_stages=5, channels=32),
    normalize=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    segmentor=dict(
        type='EncoderDecoder',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='mmseg://mobilenet_v2/mobilenet-v2-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024',
        ),
        backbone=dict(
            type='MobileNetV2',
            widen_factor=1.0,
            strides=(1, 2, 2, 1, 1, 1, 1),
            dilations=(1, 1, 1, 2, 2, 4, 4),
            out_indices=(1, 2, 4, 6),
            norm_cfg=norm_cfg,
        ),
        decode_head=dict(
            type='DepthwiseSeparableASPPHead',
            in_channels=320,
            in_index=3,
            channels=512,
            dilations=(1, 12, 24, 36),
            c1_in_channels=24,
            c1_channels=48,
            dropout_ratio=0.1,
            num_classes=9,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        ),
        auxiliary_head=dict(
            type='FCNHead',
            in_channels=96,
            in_index=2,
            channels=256,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0.1,
            num_classes=9,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
)
