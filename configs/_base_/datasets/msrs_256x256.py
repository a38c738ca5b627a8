# MSRS, 480x640, nine classes: data/msrs/{train,test}/{vi,ir,Segmentation_labels}
# No cat_max_ratio: nine tenths of most images are background, so that nearly every crop would be rejected.
_base_ = './paired_256x256.py'
dataset_type = 'MSRSDataset'
data_root = 'data/msrs'
dataset_options = dict(type=dataset_type, data_root=data_root)
train_folders = dict(vi_path='train/vi', ir_path='train/ir', seg_map_path='train/Segmentation_labels')
test_folders = dict(vi_path='test/vi', ir_path='test/ir', seg_map_path='test/Segmentation_labels')
# MSRS has no validation split: every tenth training pair is for validation. hold_out=None trains with all of them.
train_dataloader = dict(dataset=dict(data_prefix=train_folders, hold_out=10, **dataset_options))
val_dataloader = dict(dataset=dict(data_prefix=train_folders, hold_out=10, part='held_out', **dataset_options))
test_dataloader = dict(dataset=dict(data_prefix=test_folders, **dataset_options))

val_evaluator = _base_.test_evaluator
