# WeedMap, 360x480, soil, crop and weed: data/weedmap/{train,val,test}/{vi,ir,labels}. For research.
_base_ = './paired_160x192.py'
dataset_type = 'WeedMapDataset'
data_root = 'data/weedmap'
scale = (480, 360)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25), keep_ratio=True)
# Without it 3.5 % of the crops lie by more than half outside the mosaic, and 1 % by more than nine tenths.
train_pipeline.insert(4, dict(type='SkipUnlabelled', max_ignored=0.5))
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(vi_path='val/vi', ir_path='val/ir', seg_map_path='val/labels'),
    )
)
test_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
