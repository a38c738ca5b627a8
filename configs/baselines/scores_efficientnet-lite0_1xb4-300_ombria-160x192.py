# One segmentor for each sensor by itself, scores averaged.
_base_ = '../uaafusion/uaafusion_efficientnet-lite0_1xb4-300_ombria-160x192.py'
model = dict(
    fusion=dict(_delete_=True, type='AverageFusion'),
    reads=dict(_delete_=True, type='views', views=('visible', 'infrared'), merge='scores'),
    refine=None,
)
