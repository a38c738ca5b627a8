"""Part of the segmentation loss that comes from single sources, and the former name of it."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmfusion.deprecation import MMFusionDeprecationWarning
from mmfusion.models import FusionSegmentor
from mmfusion.models.color import split_luminance
from mmfusion.models.segmentors.source_losses import THIRDS, source_weight, with_sources
from mmfusion.registry import MODELS

ATTRIBUTED = dict(type='UAAFusion', num_stages=1, channels=4)
GATED = dict(ATTRIBUTED, weights='gate')


@pytest.fixture
def build(model_config, unet_config):
    def make(**options):
        torch.manual_seed(0)
        model = MODELS.build(model_config(unet_config(norm=None), **options))
        nn.init.normal_(model.decode_head.conv_seg.weight)
        return model

    return make


def losses_by_hand(model, inputs, samples):
    """Cross entropy of the fused image, infrared and visible luminance."""
    with torch.no_grad():
        fused = model.fuse(inputs, training=True)[0]
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples])
    images = fused, inputs[:, 3:], split_luminance(inputs[:, :3])[0]
    found = [F.cross_entropy(model.segmentor._forward(model.normalize(image)), labels) for image in images]
    assert len({round(value.item(), 6) for value in found}) == 3
    return found


@pytest.mark.parametrize('batch_sources', [True, False])
@pytest.mark.parametrize('weight', [0.0, 0.3, THIRDS])
def test_parts(build, make_batch, weight, batch_sources):
    inputs, samples = make_batch()
    model = build(fusion=dict(type='AverageFusion'), source_loss_weight=weight, batch_sources=batch_sources)
    fused, infrared, visible = losses_by_hand(model, inputs, samples)
    losses = {name: value for name, value in model.loss(inputs, samples).items() if 'loss' in name}
    expected = (1 - weight) * fused + weight / 2 * (infrared + visible)
    torch.testing.assert_close(sum(losses.values()), expected)
    prefixes = {name.split('decode')[0] for name in losses}
    if weight == 0 or (batch_sources and weight == THIRDS):
        assert prefixes == {''}
    else:
        assert prefixes == ({'fused.', 'sources.'} if batch_sources else {'fused.', 'infrared.', 'visible.'})


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), THIRDS),
        (dict(fusion=dict(ATTRIBUTED, weights='even')), THIRDS),  # The attention asks for scores of one image.
        (dict(fusion=dict(ATTRIBUTED, weights='even', attention=None)), 0.0),
        (dict(fusion=GATED), 0.0),
        (dict(fusion=dict(type='AverageFusion')), 0.0),
        (dict(reads='pair+fused'), 0.0),
        (dict(reads='views'), 0.0),
        (dict(fusion=GATED, source_loss_weight=0.5), 0.5),
        (dict(source_loss_weight=0.0), 0.0),
    ],
)
def test_default(build, options, expected):
    """Two thirds where single sources are attributed, which the segmentor has to know, and nothing elsewhere."""
    assert build(**options).source_loss_weight == expected


@pytest.mark.parametrize('weight', [-0.1, 1.0, float('nan')])
def test_out_of_range(build, weight):
    with pytest.raises(ValueError, match=r'part of the segmentation loss in \[0, 1\), got'):
        build(source_loss_weight=weight)


def test_single_sources_cannot_be_read_as_a_pair(build):
    with pytest.raises(ValueError, match=r"reads 'pair' cannot segment one source; use source_loss_weight=0, and sens"):
        build(reads='pair', source_loss_weight=0.5, fusion=dict(type='AverageFusion'))


def test_batches():
    fused, infrared, visible = (torch.full((2, 1, 1, 1), value) for value in (1.0, 2.0, 3.0))
    images = fused, infrared, visible
    for weight, batched in ((THIRDS, True), (0.5, True), (THIRDS, False), (0.5, False)):
        parts = with_sources(*images, weight, batched)
        assert sum(part for part, _ in parts.values()) == pytest.approx(1)
        assert torch.equal(torch.cat([batch for _, batch in parts.values()]), torch.cat(images))
        # Of the mean over a batch, each image has its part.
        mean = sum(part * batch.mean() for part, batch in parts.values())
        assert mean.item() == pytest.approx((1 - weight) * 1 + weight / 2 * (2 + 3))


# The former name -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(('former', 'weight', 'written'), [(True, THIRDS, '0.6667'), (False, 0.0, '0')])
def test_segment_sources_still_works_with_one_warning(model_config, former, weight, written):
    config = model_config(fusion=dict(type='AverageFusion'), segment_sources=former)
    config.pop('type')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        model = FusionSegmentor(**config)
    (warning,) = (found for found in caught if issubclass(found.category, MMFusionDeprecationWarning))
    message = f'FusionSegmentor: segment_sources is deprecated; write source_loss_weight={written}'
    assert str(warning.message) == message
    assert warning.filename == __file__
    assert model.source_loss_weight == weight


def test_the_new_name_does_not_warn(build):
    with warnings.catch_warnings():
        warnings.simplefilter('error', MMFusionDeprecationWarning)
        build(source_loss_weight=0.5)
        assert source_weight(None, {}, 'fused', single_sources=True) == THIRDS


def test_unknown_arguments(build):
    with pytest.raises(TypeError, match='FusionSegmentor has no argument segment_source'):
        build(segment_source=True)
    with pytest.raises(TypeError, match='FusionSegmentor has no argument colour'):
        build(segment_sources=True, colour='rgb')
