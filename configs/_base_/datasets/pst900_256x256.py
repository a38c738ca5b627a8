# PST900, 720x1280, five classes: data/pst900/{train,test}/{rgb,thermal,labels}. Looked at in 360x640, as by the
# authors; labels stay at full resolution. Every tenth training pair is for validation.
_base_ = './paired_256x256.py'
dataset_type = 'PST900Dataset'
data_root = 'data/pst900'
scale = (640, 360)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True)
# The labels are loaded behind Resize and stay at full resolution, as in mmseg.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=scale, keep_ratio=True),
    *_base_.test_pipeline[1:],
]
dataset_options = dict(type=dataset_type, data_root=data_root)
train_folders = dict(vi_path='train/rgb', ir_path='train/thermal', seg_map_path='train/labels')
test_folders = dict(vi_path='test/rgb', ir_path='test/thermal', seg_map_path='test/labels')
train_dataloader = dict(
    dataset=dict(data_prefix=train_folders, hold_out=10, pipeline=train_pipeline, **dataset_options)
)
val_dataloader = dict(
    dataset=dict(data_prefix=train_folders, hold_out=10, part='held_out', pipeline=test_pipeline, **dataset_options)
)
test_dataloader = dict(dataset=dict(data_prefix=test_folders, pipeline=test_pipeline, **dataset_options))
