# A backbone for each sensor, and the unfolding's features in the refiner: about twice the cost of reading the pair.
_base_ = './uaafusion_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(
    reads=dict(_delete_=True, type='views', views=('visible', 'infrared'), shared=False),
    # The gate learns from the other losses. Attribution as its teacher adds nothing to mIoU here, and its pictures
    # are worse (docs/results.md).
    loss_gate=None,
)
