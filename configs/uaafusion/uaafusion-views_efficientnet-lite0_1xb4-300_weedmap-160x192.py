# A backbone for each sensor, and the unfolding's features in the refiner: about twice the cost of reading the pair.
_base_ = './uaafusion_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(
    reads=dict(_delete_=True, type='views', views=('visible', 'infrared'), shared=False),
    # Weights by what stands out in the pair, a rule. A gate that learns them, taught by attribution or not, adds
    # nothing to mIoU here, and its pictures are worse (docs/results.md).
    fusion=dict(gate=dict(type='SalienceGate')),
    loss_gate=None,
)
