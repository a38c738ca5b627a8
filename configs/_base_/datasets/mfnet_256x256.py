# MFNet, 480x640, nine classes, colours and thermal image in one file: data/mfnet/{images,labels} and the authors'
# lists, one of which is for validation.
_base_ = './paired_256x256.py'
dataset_type = 'MFNetDataset'
data_root = 'data/mfnet'
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, ann_file='train.txt'))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, ann_file='val.txt'))
# test_day.txt and test_night.txt are parts of the test.
test_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, ann_file='test.txt'))
