# FMB, 600x800, fourteen classes and 0 for unlabelled pixels: data/fmb/{train,test}/{Visible,Infrared,Label}.
# The released recipe keeps the id 0 as an output that is never trained. Every tenth training pair is for validation.
dataset_type = 'FMBDataset'
data_root = 'data/fmb'
crop_size = (256, 256)
train_pipeline = [
    dict(type='LoadPairFromFile'),
    dict(type='LoadPairAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='SkipLowContrast'),
    dict(type='PackFusionInputs'),
]
test_pipeline = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations'), dict(type='PackFusionInputs')]
dataset_options = dict(type=dataset_type, data_root=data_root, ignore_index=0)
train_folders = dict(vi_path='train/Visible', ir_path='train/Infrared', seg_map_path='train/Label')
test_folders = dict(vi_path='test/Visible', ir_path='test/Infrared', seg_map_path='test/Label')
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_prefix=train_folders, hold_out=10, pipeline=train_pipeline, **dataset_options),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=train_folders,
        hold_out=10,
        part='held_out',
        test_mode=True,
        pipeline=test_pipeline,
        **dataset_options,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix=test_folders, test_mode=True, pipeline=test_pipeline, **dataset_options),
)

# Unlabelled pixels do not count, and the class of them is no class.
val_evaluator = [
    dict(type='ProtocolIoUMetric', iou_metrics=['mIoU'], ignore_index=0, background='excluded', absent='zero'),
    dict(type='FusionMetric'),
]
test_evaluator = val_evaluator
