# Real pairs in small crops, loaded in one process: for a CPU. A data set says what differs: its type and folder, the
# scale at which it is looked at, and where its validation pairs come from.
dataset_type = 'PairedSegDataset'
data_root = 'data/mine'
crop_size = (160, 192)
scale = (256, 256)
train_pipeline = [
    dict(type='LoadPairFromFile'),
    dict(type='LoadPairAnnotations'),
    # Never smaller than the crop: padding has no label, but the fusion losses would see it.
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ApplyToModality', modality='visible', transforms=[dict(type='PhotoMetricDistortion')]),
    dict(type='PackFusionInputs'),
]
test_pipeline = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations'), dict(type='PackFusionInputs')]
# DefaultSampler serves training by epochs as well as by iterations.
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(vi_path='train/vi', ir_path='train/ir', seg_map_path='train/labels'),
        pipeline=train_pipeline,
    ),
)
# Validation pairs are held out of the training folder, so that the test split is looked at once, at the end.
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(vi_path='train/vi', ir_path='train/ir', seg_map_path='train/labels'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(vi_path='test/vi', ir_path='test/ir', seg_map_path='test/labels'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

# Fusion metrics take longer than the segmentation of a small network: they are for the test.
val_evaluator = [dict(type='PerClassIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = [*val_evaluator, dict(type='FusionMetric')]
