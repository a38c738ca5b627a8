# Every stage sees the features of the sources alone: neither short- nor long-term memory.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(fusion=dict(head=dict(memory=False)))
