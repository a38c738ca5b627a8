"""Operations and parameters of a prediction, against what can be counted by hand."""

import pytest
from mmengine.config import Config

from mmfusion.analysis import cost_of_prediction


def of(model):
    return Config(dict(model=model))


def convolution(channels, outputs, kernel, pixels):
    return 2 * channels * outputs * kernel**2 * pixels


def test_a_single_convolution(model_config):
    """A backbone and a head of a convolution each: 3 to 4 channels of 3 x 3, and 4 to 3 of 1 x 1."""
    segmentor = dict(
        type='EncoderDecoder',
        backbone=dict(
            type='UNet',
            in_channels=3,
            base_channels=4,
            num_stages=1,
            strides=(1,),
            enc_num_convs=(1,),
            dec_num_convs=(),
            downsamples=(),
            enc_dilations=(1,),
            dec_dilations=(),
        ),
        decode_head=dict(
            type='FCNHead', in_channels=4, in_index=0, channels=4, num_convs=0, concat_input=False, num_classes=3
        ),
    )
    cost = cost_of_prediction(of(model_config(segmentor=segmentor, fusion=dict(type='AverageFusion'))), (20, 30))
    assert cost.shape == (20, 30)
    assert cost.operations == convolution(3, 4, 3, 600) + convolution(4, 3, 1, 600)
    assert cost.parameters == {'segmentor': 3 * 4 * 9 + 2 * 4 + 4 * 3 + 3}


def test_attribution_counts(model_config):
    def fusion(**options):
        return dict(type='UAAFusion', num_stages=1, channels=2, attention=None, **options)

    even = cost_of_prediction(of(model_config(fusion=fusion(weights='even'))), [32])
    attributed = cost_of_prediction(of(model_config(fusion=fusion())), [32])
    assert attributed.parameters == even.parameters
    assert attributed.operations > 2 * even.operations


def test_padding(model_config):
    config = of(model_config(data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=32)))
    assert cost_of_prediction(config, (33, 20)).shape == (64, 32)


@pytest.mark.parametrize('shape', [(), (0,), (-1, 3), (1, 2, 3)])
def test_shapes(model_config, shape):
    with pytest.raises(ValueError, match='a shape is height and width, or one number for both'):
        cost_of_prediction(of(model_config()), shape)


def test_all_classes_are_there(model_config, unet_config, monkeypatch):
    """This estimator takes a gradient for each class that is predicted, of which a random network finds a few."""
    fusion = dict(type='UAAFusion', num_stages=1, channels=2, attention=None, attribution=dict(estimator='exact'))
    cfg = of(model_config(fusion=fusion, segmentor=unet_config(num_classes=9)))
    taught = cost_of_prediction(cfg, (32, 96))
    monkeypatch.setattr('mmfusion.analysis.prediction_cost.let_see_all_classes', lambda *_: None)
    assert taught.operations > 1.3 * cost_of_prediction(cfg, (32, 96)).operations
