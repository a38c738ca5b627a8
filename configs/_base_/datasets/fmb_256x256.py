# FMB, 600x800, fourteen classes and 0 for unlabelled pixels: data/fmb/{train,test}/{Visible,Infrared,Label}.
# The released recipe keeps the id 0 as an output that is never trained.
dataset_type = 'PairedSegDataset'
data_root = 'data/fmb'
crop_size = (256, 256)
metainfo = dict(
    classes=(
        'unlabelled',
        'road',
        'sidewalk',
        'building',
        'traffic lamp',
        'traffic sign',
        'vegetation',
        'sky',
        'person',
        'car',
        'truck',
        'bus',
        'motorcycle',
        'bicycle',
        'pole',
    ),
    palette=[
        [0, 0, 0],
        [179, 228, 228],
        [181, 57, 133],
        [67, 162, 177],
        [200, 178, 50],
        [132, 45, 199],
        [66, 172, 84],
        [179, 73, 79],
        [76, 99, 166],
        [66, 121, 253],
        [137, 165, 91],
        [155, 97, 152],
        [105, 153, 140],
        [222, 215, 158],
        [135, 113, 90],
    ],
)
train_pipeline = [
    dict(type='LoadPairFromFile'),
    dict(type='LoadPairAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='SkipLowContrast'),
    dict(type='PackFusionInputs'),
]
test_pipeline = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations'), dict(type='PackFusionInputs')]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(vi_path='train/Visible', ir_path='train/Infrared', seg_map_path='train/Label'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(vi_path='test/Visible', ir_path='test/Infrared', seg_map_path='test/Label'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

# Unlabelled pixels do not count.
val_evaluator = [dict(type='PerClassIoUMetric', iou_metrics=['mIoU'], ignore_index=0), dict(type='FusionMetric')]
test_evaluator = val_evaluator
