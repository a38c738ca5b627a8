# SemanticRT, thirteen classes: data/semanticrt/{rgb,thermal,labels} and the authors' lists, one of which is for
# validation. Looked at in 512x640, as by the authors; labels stay at full resolution. Non-commercial research only.
_base_ = './paired_256x256.py'
dataset_type = 'SemanticRTDataset'
data_root = 'data/semanticrt'
scale = (640, 512)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True)
# The labels are loaded behind Resize and stay at full resolution, as in mmseg.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=scale, keep_ratio=True),
    *_base_.test_pipeline[1:],
]
dataset_options = dict(type=dataset_type, data_root=data_root)
train_dataloader = dict(dataset=dict(ann_file='train.txt', pipeline=train_pipeline, **dataset_options))
val_dataloader = dict(dataset=dict(ann_file='val.txt', pipeline=test_pipeline, **dataset_options))
# test_day.txt, test_night.txt and others are parts of the test.
test_dataloader = dict(dataset=dict(ann_file='test.txt', pipeline=test_pipeline, **dataset_options))
