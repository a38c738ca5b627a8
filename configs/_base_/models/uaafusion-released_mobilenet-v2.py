# The released network with its behaviour, for published checkpoints and to compare with. Convert a checkpoint with
# tools/model_converters/released_to_mmfusion.py. Its options, written out, are in mmfusion/released/options.py. A plain
# `import` here would turn the file into mmengine's lazy kind of config.
released = __import__('mmfusion.released').released
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='FusionSegmentor',
    data_preprocessor=dict(type='FusionDataPreProcessor'),
    fusion=dict(type='UAAFusion', num_stages=5, channels=32, head=released.RELEASED_HEAD, **released.RELEASED_FUSION),
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
    # Losses, scorer, and images of one luminance channel in [0, 1].
    **released.RELEASED_MODEL,
)
