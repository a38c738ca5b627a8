# A network that two CPU cores train in minutes: a small unfolding in front of a small U-Net.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='FusionSegmentor',
    data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=16),
    fusion=dict(type='UAAFusion', num_stages=3, channels=8),
    normalize=dict(mean=[127.5, 127.5, 127.5], std=[64.0, 64.0, 64.0]),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(
            type='UNet',
            in_channels=3,
            base_channels=16,
            num_stages=4,
            strides=(2, 1, 1, 1),
            enc_num_convs=(2, 2, 2, 2),
            dec_num_convs=(2, 2, 2),
            downsamples=(True, True, True),
            enc_dilations=(1, 1, 1, 1),
            dec_dilations=(1, 1, 1),
            norm_cfg=norm_cfg,
            upsample_cfg=dict(type='InterpConv'),
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=16,
            in_index=3,
            channels=16,
            num_convs=0,
            concat_input=False,
            dropout_ratio=0.0,
            num_classes=4,
            norm_cfg=norm_cfg,
            align_corners=False,
            # Nine tenths of a scene are background.
            loss_decode=dict(
                type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0, class_weight=[0.3, 1.5, 1.5, 1.0]
            ),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
)
