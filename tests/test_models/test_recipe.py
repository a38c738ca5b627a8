"""What is changed in a segmentor's config, and what is taken over."""

import copy

import pytest
from mmengine.config import ConfigDict

from mmfusion.models.segmentors.recipe import pair_preprocessor, with_classes, with_pretrained
from mmfusion.registry import MODELS


def test_all_heads():
    config = ConfigDict(
        decode_head=[dict(num_classes=19), dict(num_classes=19, out_channels=19)],
        auxiliary_head=dict(num_classes=19, loss_decode=[dict(class_weight=[1.0] * 19), dict(type='DiceLoss')]),
    )
    with_classes(config, 4)
    assert config == dict(
        decode_head=[dict(num_classes=4), dict(num_classes=4, out_channels=4)],
        auxiliary_head=dict(num_classes=4, loss_decode=[dict(), dict(type='DiceLoss')]),
    )


def test_no_object():
    """A head that classifies masks has one weight more, that of masks which hold nothing."""
    for kind in ('Mask2FormerHead', 'mmseg.MaskFormerHead', 'SideAdapterCLIPHead'):
        head = dict(type=kind, num_classes=150, loss_cls=dict(class_weight=[1.0] * 150 + [0.1]))
        config = ConfigDict(decode_head=head)
        with_classes(config, 3)
        assert config.decode_head.loss_cls.class_weight == [1.0, 1.0, 1.0, 0.1]


def test_class_weights_of_another_number_go():
    heads = [dict(num_classes=4, loss_decode=dict(class_weight=[1.0] * n)) for n in (4, 5)]
    config = ConfigDict(decode_head=heads[0], auxiliary_head=[heads[1]])
    with_classes(config, 5)
    heads = [config.decode_head, *config.auxiliary_head]
    assert [head.num_classes for head in heads] == [5, 5]
    assert [head.loss_decode.get('class_weight') for head in heads] == [None, [1.0] * 5]


def test_the_same_number():
    config = ConfigDict(decode_head=dict(num_classes=3, loss_decode=dict(class_weight=[1.0, 2.0, 3.0])))
    before = copy.deepcopy(config)
    with_classes(config, 3)
    with_classes(config, None)
    assert config == before


@pytest.mark.parametrize('wrong', [0, -1, 2.5, True, '3'])
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match=f'num_classes must be a whole number of at least 1, got {wrong!r}'):
        with_classes(ConfigDict(), wrong)


def weights(path='https://host/backbone.pth'):
    return dict(type='Pretrained', checkpoint=path)


def test_pretrained():
    given = ConfigDict(
        pretrained='open-mmlab://resnet50',
        backbone=dict(type='ResNet', init_cfg=weights()),
        neck=[dict(init_cfg=weights())],
        decode_head=dict(init_cfg=dict(type='Normal')),
    )
    for as_it_is in (None, True):
        config = copy.deepcopy(given)
        with_pretrained(config, as_it_is)
        assert config == given
    config = copy.deepcopy(given)
    with_pretrained(config, 'mine.pth')
    assert 'pretrained' not in config
    assert config.backbone.init_cfg == weights('mine.pth')
    assert config.neck == given.neck
    config = copy.deepcopy(given)
    with_pretrained(config, False)
    assert config == dict(backbone=dict(type='ResNet'), neck=[dict()], decode_head=dict(init_cfg=dict(type='Normal')))


def test_preprocessors():
    own = dict(
        type='SegDataPreProcessor', mean=[1.0], std=[2.0], size=(8, 8), test_cfg=dict(size_divisor=32), pad_val=0
    )
    config, expects = pair_preprocessor(None, own)
    assert config == dict(type='FusionDataPreProcessor', size=(8, 8), test_cfg=dict(size_divisor=32))
    assert expects == own
    # One that the runner hands over from the top of a config of mmseg's.
    config, expects = pair_preprocessor(dict(type='mmseg.SegDataPreProcessor', mean=[3.0], size=(4, 4)), own)
    assert config == dict(type='FusionDataPreProcessor', size=(4, 4), test_cfg=dict(size_divisor=32))
    assert expects['mean'] == [3.0]
    mine = dict(type='mmfusion.FusionDataPreProcessor', size_divisor=2)
    assert pair_preprocessor(mine, own) == (mine, own)
    assert pair_preprocessor(None, {}) == (dict(type='FusionDataPreProcessor'), {})


def test_in_the_model(model_config, unet_config):
    segmentor = dict(unet_config(), data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[51.0] * 3))
    config = model_config(segmentor=segmentor, num_classes=5, data_preprocessor=None, normalize=None)
    before = copy.deepcopy(config)
    model = MODELS.build(config)
    assert config == before
    assert model.out_channels == model.decode_head.num_classes == 5
    assert model.std.flatten().tolist() == pytest.approx([0.2] * 3)
    inherited = dict(segmentor['data_preprocessor'], std=[102.0] * 3, size=(16, 16))
    model = MODELS.build({**config, 'data_preprocessor': inherited})
    assert model.std.flatten().tolist() == pytest.approx([0.4] * 3)
    assert model.data_preprocessor.train_target == ((16, 16), None)
