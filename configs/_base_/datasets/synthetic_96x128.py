# Drawn scenes, 96x128, half of them night, no files: background, warm, printed, vehicle (see SyntheticThermalScenes).
dataset_type = 'SyntheticThermalScenes'
crop_size = (96, 128)
# Drawing a scene costs about as much as a small network's step, hence the cache (25 MB for training). The dataset puts
# the picture and the labels into the results itself: pipelines have no loading transform.
dataset_options = dict(type=dataset_type, size=crop_size, seed=0, night_fraction=0.5, cache=True)
meta_keys = (
    'img_path',
    'ir_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
    'daytime',
)
train_pipeline = [dict(type='RandomFlip', prob=0.5), dict(type='PackFusionInputs', meta_keys=meta_keys)]
test_pipeline = [dict(type='PackFusionInputs', meta_keys=meta_keys)]
# No workers: they would each keep a cache of their own, and the scenes are small.
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(split='train', num_scenes=400, pipeline=train_pipeline, **dataset_options),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', num_scenes=60, test_mode=True, pipeline=test_pipeline, **dataset_options),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', num_scenes=100, test_mode=True, pipeline=test_pipeline, **dataset_options),
)

val_evaluator = [dict(type='PerClassIoUMetric', iou_metrics=['mIoU']), dict(type='FusionMetric')]
test_evaluator = val_evaluator
