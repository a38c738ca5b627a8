# CWFID, 483x648, soil, crop and weed: data/cwfid/{train,test}/{vi,ir,labels}. Non-commercial research only.
dataset_type = 'CWFIDDataset'
data_root = 'data/cwfid'
crop_size = (256, 256)
train_pipeline = [
    dict(type='LoadPairFromFile'),
    dict(type='LoadPairAnnotations'),
    # Never smaller than the crop: padding has no label, but the fusion losses would see it.
    dict(type='RandomResize', scale=(648, 483), ratio_range=(0.75, 1.5), keep_ratio=True),
    # No cat_max_ratio: 93 % of the pixels are soil, so that nearly every crop would be rejected.
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
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(vi_path='train/vi', ir_path='train/ir', seg_map_path='train/labels'),
        hold_out=5,
        pipeline=train_pipeline,
    ),
)
# CWFID has no validation split: every fifth training pair is for validation. hold_out=None trains with all of them.
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(vi_path='train/vi', ir_path='train/ir', seg_map_path='train/labels'),
        hold_out=5,
        part='held_out',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(vi_path='test/vi', ir_path='test/ir', seg_map_path='test/labels'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

val_evaluator = [dict(type='PerClassIoUMetric', iou_metrics=['mIoU']), dict(type='FusionMetric')]
test_evaluator = val_evaluator
