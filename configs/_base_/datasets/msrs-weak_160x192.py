# A selection of MSRS at half of its 480x640 with weak masks: data/msrs_weak/{train,test}/{vi,ir,Segmentation_labels}.
# Its masks were grown from boxes and know four classes: good for comparing runs with each other, but its mIoU is not
# the MSRS mIoU and must not be compared with published figures. Every fifth training pair is for validation.
_base_ = './paired_160x192.py'
dataset_type = 'MSRSDataset'
data_root = 'data/msrs_weak'
scale = (320, 240)
metainfo = dict(classes=('background', 'car', 'person', 'bike'))
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25), keep_ratio=True)
# The labels are loaded behind Resize and stay at full resolution, as in mmseg.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=scale, keep_ratio=True),
    *_base_.test_pipeline[1:],
]
dataset_options = dict(type=dataset_type, data_root=data_root, metainfo=metainfo)
train_folders = dict(vi_path='train/vi', ir_path='train/ir', seg_map_path='train/Segmentation_labels')
test_folders = dict(vi_path='test/vi', ir_path='test/ir', seg_map_path='test/Segmentation_labels')
train_dataloader = dict(dataset=dict(data_prefix=train_folders, hold_out=5, pipeline=train_pipeline, **dataset_options))
val_dataloader = dict(
    dataset=dict(data_prefix=train_folders, hold_out=5, part='held_out', pipeline=test_pipeline, **dataset_options)
)
test_dataloader = dict(dataset=dict(data_prefix=test_folders, pipeline=test_pipeline, **dataset_options))
