# What the released network computes and learns from, on a small scale; mmfusion/released/options.py has it written out.
_base_ = '../uaafusion/uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py'
released = __import__('mmfusion.released').released
model = dict(
    fusion=dict(head=released.RELEASED_HEAD, **released.RELEASED_FUSION),
    **released.RELEASED_LEARNING,
)
# It attributes from the first iteration on; the hook only keeps the record.
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(type='AttributionFusionLossHook', interval=20),
]
