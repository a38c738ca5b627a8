# Real pairs in crops of 256x256, for a GPU. A data set says what differs: its type, folders or lists, the scale at
# which it is looked at, and where its validation pairs come from.
dataset_type = 'PairedSegDataset'
data_root = 'data/mine'
crop_size = (256, 256)
scale = (640, 480)
train_pipeline = [
    dict(type='LoadPairFromFile'),
    dict(type='LoadPairAnnotations'),
    # Never smaller than the crop: padding has no label, but the fusion losses would see it.
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ApplyToModality', modality='visible', transforms=[dict(type='PhotoMetricDistortion')]),
    dict(type='PackFusionInputs'),
]
test_pipeline = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations'), dict(type='PackFusionInputs')]
# DefaultSampler serves training by epochs as well as by iterations.
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, pipeline=train_pipeline),
)
# Never the test pairs: the test is looked at once, at the end, with the last or the best checkpoint of validation.
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, test_mode=True, pipeline=test_pipeline),
)

# Fusion metrics take long: they are for the test.
val_evaluator = [dict(type='PerClassIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = [*val_evaluator, dict(type='FusionMetric')]
