# Both sensors through one backbone, features merged.
_base_ = '../uaafusion/uaafusion_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(
    fusion=dict(_delete_=True, type='AverageFusion'),
    reads=dict(_delete_=True, type='views', views=('visible', 'infrared')),
    refine=None,
)
