# For deployment: a gate in the place of attribution, a lean unfolding, and a segmentor that reads the pair and the
# fused image. No pass of the segmentor but its own.
_base_ = './uaafusion_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256.py'
model = dict(
    fusion=dict(
        weights='gate',
        num_stages=3,
        channels=8,
        head=dict(scale=2),
        attribution=dict(estimator='endpoint', smoothing=0.02),
    ),
    reads='pair+fused',
    refine=dict(type='DetailRefiner', channels=16),
    teach_interval=2,
)
