# FMB, 600x800, by the convention of fourteen classes, where unlabelled pixels are ignored and an absent class counts
# as 0: data/fmb/{train,test}/{Visible,Infrared,Label}. Every tenth training pair is for validation.
_base_ = './paired_256x256.py'
dataset_type = 'FMBDataset'
data_root = 'data/fmb'
scale = (800, 600)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True)
# Without 'unlabelled', whose pixels become 255.
metainfo = dict(
    classes=(
        'road',
        'sidewalk',
        'building',
        'traffic lamp',
        'traffic sign',
        'vegetation',
        'sky',
        'person',
        'car',
        'truck',
        'bus',
        'motorcycle',
        'bicycle',
        'pole',
    )
)
dataset_options = dict(type=dataset_type, data_root=data_root, metainfo=metainfo)
train_folders = dict(vi_path='train/Visible', ir_path='train/Infrared', seg_map_path='train/Label')
test_folders = dict(vi_path='test/Visible', ir_path='test/Infrared', seg_map_path='test/Label')
train_dataloader = dict(
    dataset=dict(data_prefix=train_folders, hold_out=10, pipeline=train_pipeline, **dataset_options)
)
val_dataloader = dict(dataset=dict(data_prefix=train_folders, hold_out=10, part='held_out', **dataset_options))
test_dataloader = dict(dataset=dict(data_prefix=test_folders, **dataset_options))

# The figure is `mIoU (absent=0)`; mIoU, by which the best checkpoint is kept, leaves out what is absent.
val_evaluator = [dict(type='ProtocolIoUMetric', absent='zero', iou_metrics=['mIoU'])]
test_evaluator = [*val_evaluator, dict(type='FusionMetric')]
