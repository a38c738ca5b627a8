# CWFID, 483x648, soil, crop and weed: data/cwfid/{train,test}/{vi,ir,labels}. Non-commercial research only.
# No cat_max_ratio: 93 % of the pixels are soil, so that nearly every crop would be rejected.
_base_ = './paired_256x256.py'
dataset_type = 'CWFIDDataset'
data_root = 'data/cwfid'
scale = (648, 483)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True)
dataset_options = dict(type=dataset_type, data_root=data_root)
train_folders = dict(vi_path='train/vi', ir_path='train/ir', seg_map_path='train/labels')
test_folders = dict(vi_path='test/vi', ir_path='test/ir', seg_map_path='test/labels')
# CWFID has no validation split: every fifth training pair is for validation. hold_out=None trains with all of them.
train_dataloader = dict(dataset=dict(data_prefix=train_folders, hold_out=5, pipeline=train_pipeline, **dataset_options))
val_dataloader = dict(dataset=dict(data_prefix=train_folders, hold_out=5, part='held_out', **dataset_options))
test_dataloader = dict(dataset=dict(data_prefix=test_folders, **dataset_options))

val_evaluator = _base_.test_evaluator
