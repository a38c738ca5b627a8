# OMBRIA, 256x256, other and flooded: data/ombria/{train,test}/{vi,ir,labels}. The second sensor is a radar, whatever is
# called infrared elsewhere. Every tenth training pair is for validation. Test patches that overlap training are left
# out; without a list of them, set test_dataloader.dataset.exclude_file=''.
_base_ = './paired_160x192.py'
dataset_type = 'OmbriaDataset'
data_root = 'data/ombria'
scale = (256, 256)
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, hold_out=10))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, hold_out=10, part='held_out'))
test_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, exclude_file='overlaps_train.txt'))
