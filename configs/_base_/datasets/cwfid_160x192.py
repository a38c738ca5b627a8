# CWFID at half of its 483x648, soil, crop and weed: data/cwfid/{train,test}/{vi,ir,labels}. Non-commercial research.
# Every fifth training pair is for validation.
_base_ = './paired_160x192.py'
dataset_type = 'CWFIDDataset'
data_root = 'data/cwfid'
scale = (324, 242)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25), keep_ratio=True)
# The labels are loaded behind Resize and stay at full resolution, as in mmseg.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=scale, keep_ratio=True),
    *_base_.test_pipeline[1:],
]
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, hold_out=5, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, hold_out=5, part='held_out', pipeline=test_pipeline)
)
test_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, pipeline=test_pipeline))
