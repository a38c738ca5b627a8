# Early fusion: the pair as four channels.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(fusion=dict(_delete_=True, type='AverageFusion'), reads='pair')
test_evaluator = [dict(type='PerClassIoUMetric', iou_metrics=['mIoU'])]
