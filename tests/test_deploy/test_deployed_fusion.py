"""The deployed path says what the public ways of predicting say."""

import numpy as np
import pytest
import torch
from mmseg.models.data_preprocessor import SegDataPreProcessor

from mmfusion.deploy import DeployedFusion
from mmfusion.models import FusionModel

DEMONSTRATION = 'uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128'
PREPROCESSOR = dict(type='FusionDataPreProcessor')


def call(deployed, pair):
    with torch.no_grad():
        return dict(zip(deployed.output_names, deployed(pair), strict=True))


def test_as_the_inferencer(named, pairs, as_input):
    """Images as OpenCV reads them, of a size that is padded: B, G, R in, R, G, B out."""
    inferencer, pair = named(DEMONSTRATION), pairs(1, 70, 85)
    wanted = inferencer(ir=pair[0, ..., 3], vi=pair[0, ..., :3])
    found = call(DeployedFusion(inferencer.model), as_input(pair))
    fused = (255 * found['fused'][0]).round().byte().permute(1, 2, 0).numpy()
    assert (fused.astype(int) != wanted['fused'][0]).mean() < 1e-3  # A half may be rounded either way.
    np.testing.assert_allclose(fused.astype(int), wanted['fused'][0], atol=1)
    np.testing.assert_allclose(found['weight_ir'][0, 0].numpy(), wanted['weights'][0], atol=1e-5)
    labels = call(DeployedFusion(inferencer.model, labels=True), as_input(pair))['labels']
    np.testing.assert_array_equal(labels[0].numpy(), wanted['labels'][0])
    assert len(np.unique(wanted['labels'][0])) > 1


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(color='gray', stretch=True),
        dict(data_preprocessor=dict(PREPROCESSOR, size_divisor=4, pad_mode='constant', pad_val=90, bgr_to_rgb=False)),
        dict(data_preprocessor=dict(PREPROCESSOR, size=(80, 80))),
        dict(data_preprocessor=dict(PREPROCESSOR, size_divisor=64, test_cfg=dict(size_divisor=2))),
        dict(reads='fused', refine=None),
        dict(reads=dict(type='views', views=('visible', 'infrared'))),
        dict(reads=dict(type='views', views=('visible', 'infrared'), merge='weights')),
        dict(reads=dict(type='views', views=('visible', 'infrared'), merge='scores')),
    ],
    ids=lambda options: '-'.join(options) or 'as it is',
)
def test_as_the_model(tiny, pairs, predicted, as_input, options):
    model, pair = tiny(**options), pairs(2, 66, 70)
    wanted = predicted(model, pair)
    for size in (None, (66, 70)):
        found = call(DeployedFusion(model, size=size), as_input(pair))
        assert list(found) == ['fused', 'weight_ir', 'scores']
        for name, value in found.items():
            torch.testing.assert_close(value, wanted[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    'fusion',
    [
        dict(type='SalienceFusion'),
        dict(type='UAAFusion', weights='gate', gate=dict(type='SalienceGate'), num_stages=2, channels=4),
    ],
    ids=['rule', 'unfolding'],
)
def test_without_a_segmentor(pairs, as_input, fusion):
    model, pair = FusionModel(fusion, dict(type='FusionDataPreProcessor', size_divisor=4)).eval(), pairs(2, 66, 70)
    deployed = DeployedFusion(model)
    assert (deployed.part, deployed.output_names) == ('fusion', ('fused', 'weight_ir'))
    found = call(deployed, as_input(pair))
    wanted = model.test_step(dict(inputs=[torch.from_numpy(each).permute(2, 0, 1) for each in pair]))
    for name, theirs in (('fused', 'fused_img'), ('weight_ir', 'fusion_weights')):
        expected = torch.stack([sample.get(theirs).data for sample in wanted])
        torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-5)
    for options in (dict(part='joint'), dict(labels=True)):
        with pytest.raises(ValueError, match='the model fuses only, and has neither scores nor labels'):
            DeployedFusion(model, **options)


@pytest.mark.parametrize('fusion', ['AverageFusion', 'LaplacianPyramidFusion', 'ConcatenationFusion'])
def test_other_fusions(tiny, pairs, predicted, as_input, fusion):
    model, pair = tiny(fusion=dict(type=fusion), reads='fused', refine=None), pairs(1, 65, 67)
    found = call(DeployedFusion(model, part='fusion'), as_input(pair))
    assert list(found) == ['fused', 'weight_ir']
    for name, value in found.items():
        torch.testing.assert_close(value, predicted(model, pair)[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('threshold', [None, 0.45])
def test_one_channel(tiny, unet_config, pairs, predicted, as_input, threshold):
    model, pair = tiny(unet_config(2, out_channels=1, threshold=threshold)), pairs(1, 64, 66)
    wanted = predicted(model, pair)
    scores = call(DeployedFusion(model), as_input(pair))['scores']
    torch.testing.assert_close(scores, wanted['scores'], atol=1e-5, rtol=1e-5)
    labels = call(DeployedFusion(model, labels=True), as_input(pair))['labels']
    assert torch.equal(labels, wanted['labels'])
    assert 0 < labels.float().mean() < 1


def test_the_model_is_not_changed(tiny, make_batch):
    """After a step of training, whose evidence cannot be copied, too."""
    model = tiny(loss_gate=dict(type='GateLoss')).train()
    sum(value for name, value in model.loss(*make_batch()).items() if 'loss' in name)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evidence = model.last_evidence
    assert evidence is not None
    deployed = DeployedFusion(model)
    assert model.training
    assert model.last_evidence is evidence
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.loss_gate is not None
    assert not deployed.training
    assert not any(value.requires_grad for value in deployed.parameters())


def test_the_fusion_alone_holds_no_segmentor(tiny):
    names = [name for name, _ in DeployedFusion(tiny(), part='fusion').named_parameters()]
    assert names
    assert all(name.startswith('fusion.') for name in names)


@pytest.mark.parametrize('options', [dict(), dict(weights='even')])
def test_attribution_is_refused(tiny, options):
    model = tiny(fusion=dict(type='UAAFusion', num_stages=2, channels=4, **options))
    with pytest.raises(ValueError, match='gradients that no exported graph has; train with weights="gate"'):
        DeployedFusion(model)
    assert DeployedFusion(tiny(fusion=dict(type='UAAFusion', num_stages=2, weights='even', attention=None)))


def test_what_is_refused(tiny, unet_config):
    model = tiny()
    for options, message in [
        (dict(part='gate'), "unknown part 'gate'; choose one of joint, fusion"),
        (dict(part='fusion', labels=True), 'labels are of the segmentor'),
        (dict(size=(64,)), 'a size is height and width in pixels'),
        (dict(size=(64, -2)), 'a size is height and width in pixels'),
    ]:
        with pytest.raises(ValueError, match=message):
            DeployedFusion(model, **options)
    with pytest.raises(TypeError, match='a FusionSegmentor or a FusionModel is deployed, got a Linear'):
        DeployedFusion(torch.nn.Linear(1, 1))
    sliding = tiny({**unet_config(), 'test_cfg': dict(mode='slide', crop_size=(32, 32), stride=(16, 16))})
    with pytest.raises(ValueError, match='sliding windows'):
        DeployedFusion(sliding)
    assert DeployedFusion(sliding, size=(64, 64))
    model.data_preprocessor = SegDataPreProcessor()
    with pytest.raises(TypeError, match='SegDataPreProcessor'):
        DeployedFusion(model)
