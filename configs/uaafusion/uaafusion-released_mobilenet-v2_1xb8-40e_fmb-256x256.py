_base_ = [
    '../_base_/models/uaafusion-released_mobilenet-v2.py',
    '../_base_/datasets/fmb_256x256.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_released_40e.py',
]
log_processor = dict(by_epoch=True)
