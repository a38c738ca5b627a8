# UAAFusion in front of SegFormer-B0. The segmentor is mmseg's own base, taken over as it is; any other goes the same
# way. It starts from mmseg's weights for Cityscapes, fetched once; scores of other classes start anew
# (model.pretrained=False for random weights). Set num_classes of its head, and its norm (SyncBN in mmseg's bases does
# not train in processes on a CPU).
_base_ = ['./boot.py', 'mmseg::_base_/models/segformer_mit-b0.py']
model = dict(
    _delete_=True,
    type='FusionSegmentor',
    data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=32),
    fusion=dict(type='UAAFusion', num_stages=5, channels=32),
    segmentor=dict(
        **_base_.model,
        init_cfg=dict(
            type='Pretrained', checkpoint='mmseg://segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024'
        ),
    ),
)
