# MSRS at half of the resolution in small crops, loaded in one process: for a CPU.
_base_ = './msrs_256x256.py'
scale = (320, 240)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25), keep_ratio=True)
train_pipeline[3] = dict(type='RandomCrop', crop_size=(128, 160))
# The labels are loaded behind Resize and stay at full resolution, as in mmseg.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=scale, keep_ratio=True),
    *_base_.test_pipeline[1:],
]
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
