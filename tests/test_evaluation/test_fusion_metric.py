"""The registered metric, through mmengine's Evaluator."""

import logging
import math

import mmseg.registry
import pytest
import torch
import torch.nn.functional as F
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.evaluation import DEFAULT_METRICS, FusionMetric, fusion_metrics
from mmfusion.registry import METRICS

_H, _W = 44, 48


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _pair(generator: torch.Generator, height: int = _H, width: int = _W) -> torch.Tensor:
    return torch.randint(0, 256, (4, height, width), generator=generator, dtype=torch.uint8)


def _sample(fused: torch.Tensor, **metainfo) -> SegDataSample:
    sample = SegDataSample(metainfo=metainfo)
    sample.fused_img = PixelData(data=fused)
    return sample


def _luminance(red, green, blue) -> torch.Tensor:
    return 0.299 * red.double() + 0.587 * green.double() + 0.114 * blue.double()


def _grey_figures(fused, ir, vi, metrics, convention='original') -> dict[str, float]:
    images = (image.double()[None, None] for image in (fused, ir, vi))
    return {name: value.item() for name, value in fusion_metrics(*images, metrics, convention).items()}


def _run(pairs, samples, **options) -> dict[str, float]:
    evaluator = Evaluator(FusionMetric(**options))
    evaluator.process(data_samples=samples, data_batch=dict(inputs=pairs))
    return evaluator.evaluate(len(pairs))


def test_colour_is_reduced_to_luminance(generator):
    pair, fused = _pair(generator), torch.rand(3, _H, _W, generator=generator, dtype=torch.float64)
    figures = _run([pair], [_sample(fused)])
    blue, green, red, ir = pair
    expected = _grey_figures(_luminance(*fused) * 255, ir, _luminance(red, green, blue), tuple(DEFAULT_METRICS))
    assert set(figures) == {f'fusion/{name}' for name in DEFAULT_METRICS}
    for name, value in expected.items():
        assert figures[f'fusion/{name}'] == pytest.approx(value, rel=1e-9), name


def test_evaluator_convention_sees_an_8_bit_file(generator):
    pair, fused = _pair(generator), torch.rand(3, _H, _W, generator=generator)
    figures = _run([pair], [_sample(fused)], convention='evaluator', metrics=('MSE', 'SSIM'))
    written = (fused.double() * 255).round()
    blue, green, red, ir = pair
    fused, vi = _luminance(*written), _luminance(red, green, blue)
    expected = _grey_figures(fused, ir, vi, ('MSE', 'SSIM'), 'evaluator')
    assert figures == pytest.approx({f'fusion/{name}': value for name, value in expected.items()}, rel=1e-12)


def test_channels_are_averaged(generator):
    pair, fused = _pair(generator), torch.rand(3, _H, _W, generator=generator, dtype=torch.float64)
    metrics = ('SF', 'SCD', 'MI')
    figures = _run([pair], [_sample(fused)], color='channels', metrics=metrics)
    each = [_grey_figures(fused[rgb] * 255, pair[3], pair[bgr], metrics) for rgb, bgr in ((0, 2), (1, 1), (2, 0))]
    for name in metrics:
        assert figures[f'fusion/{name}'] == pytest.approx(sum(part[name] for part in each) / 3, rel=1e-9)


@pytest.mark.parametrize('color', ['luminance', 'channels'])
def test_one_channel_against_luminance(generator, color):
    pair, fused = _pair(generator), torch.rand(1, _H, _W, generator=generator, dtype=torch.float64)
    figures = _run([pair], [_sample(fused)], color=color, metrics=('CC',))
    blue, green, red, ir = pair
    expected = _grey_figures(fused[0] * 255, ir, _luminance(red, green, blue), ('CC',))['CC']
    assert figures['fusion/CC'] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(('direction', 'axes'), [('horizontal', (2,)), ('vertical', (1,)), ('diagonal', (1, 2))])
def test_flipped_pair_is_flipped_back(generator, direction, axes):
    pair = _pair(generator)
    fused = pair[3:].double() / 255  # a fusion that shows infrared only, as it was before the flip
    flipped = pair.flip(axes)
    figures = _run([flipped], [_sample(fused, flip=True, flip_direction=direction)], metrics=('CC', 'MSE'))
    straight = _run([pair], [_sample(fused, flip=False, flip_direction=None)], metrics=('CC', 'MSE'))
    assert figures == pytest.approx(straight, rel=1e-12)
    unaware = _run([flipped], [_sample(fused)], metrics=('CC', 'MSE'))
    assert unaware['fusion/CC'] < figures['fusion/CC'] - 0.3


def test_resized_pair_is_brought_to_the_fused_size(generator):
    pair, fused = _pair(generator, 22, 24), torch.rand(1, _H, _W, generator=generator, dtype=torch.float64)
    figures = _run([pair], [_sample(fused)], metrics=('MSE',))
    blue, green, red, ir = F.interpolate(pair[None].double(), size=(_H, _W), mode='bilinear', align_corners=False)[0]
    expected = _grey_figures(fused[0] * 255, ir, _luminance(red, green, blue), ('MSE',))['MSE']
    assert figures['fusion/MSE'] == pytest.approx(expected, rel=1e-9)


def test_mean_over_images_of_different_sizes_and_batches(generator):
    sizes = ((44, 48), (50, 60), (44, 70))
    pairs = [_pair(generator, *size) for size in sizes]
    samples = [_sample(torch.rand(3, *size, generator=generator)) for size in sizes]
    metrics = ('EN', 'Qabf')
    single = [_run([pair], [sample], metrics=metrics) for pair, sample in zip(pairs, samples)]
    with DefaultScope.overwrite_default_scope('mmseg'):
        evaluator = Evaluator([dict(type='mmfusion.FusionMetric', metrics=metrics)])
    evaluator.process(data_samples=samples[:2], data_batch=dict(inputs=pairs[:2]))
    evaluator.process(data_samples=samples[2:], data_batch=dict(inputs=pairs[2:]))
    figures = evaluator.evaluate(3)
    for name in ('fusion/EN', 'fusion/Qabf'):
        assert figures[name] == pytest.approx(sum(part[name] for part in single) / 3, rel=1e-12)
    # The evaluator starts afresh for the next epoch.
    evaluator.process(data_samples=samples[:1], data_batch=dict(inputs=pairs[:1]))
    assert evaluator.evaluate(1) == pytest.approx(single[0])


def test_stays_beside_iou_metric(generator):
    pair, fused = _pair(generator), torch.rand(3, _H, _W, generator=generator)
    sample = _sample(fused)
    label = torch.randint(0, 2, (1, _H, _W), generator=generator)
    sample.gt_sem_seg, sample.pred_sem_seg = PixelData(data=label), PixelData(data=label.clone())
    with DefaultScope.overwrite_default_scope('mmfusion'):
        evaluator = Evaluator([dict(type='IoUMetric'), dict(type='FusionMetric', metrics=('EN',), prefix='image')])
    evaluator.dataset_meta = dict(classes=('a', 'b'))
    evaluator.process(data_samples=[sample], data_batch=dict(inputs=[pair]))
    figures = evaluator.evaluate(1)
    assert figures['mIoU'] == pytest.approx(100)
    assert figures['image/EN'] > 5


def test_registered_under_both_scopes():
    assert METRICS.get('FusionMetric') is FusionMetric
    assert mmseg.registry.METRICS.get('mmfusion.FusionMetric') is FusionMetric
    assert METRICS.get('IoUMetric') is mmseg.evaluation.IoUMetric


def test_broken_image_is_not_hidden(generator, monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmfusion.evaluation.metrics.fusion_metric.print_log',
        lambda message, **options: messages.append((message, options['level'])),
    )
    pairs = [_pair(generator), _pair(generator)]
    samples = [_sample(torch.rand(3, _H, _W, generator=generator)), _sample(torch.full((3, _H, _W), math.nan))]
    metric = FusionMetric(metrics=('EN', 'CC'))
    metric.process(dict(inputs=pairs), [sample.to_dict() for sample in samples])
    assert all(math.isnan(value) for value in metric.results[1].values())
    assert not any(math.isnan(value) for value in metric.results[0].values())
    assert all(math.isnan(value) for value in metric.evaluate(2).values())
    assert messages == [
        ('1 of 2 fused images hold NaN or infinite pixels, so the fusion metrics are NaN', logging.WARNING)
    ]


def test_no_images_give_nan():
    assert math.isnan(FusionMetric(metrics=('EN',)).compute_metrics([])['EN'])


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(metrics=('FID',)), ValueError, 'FID'),
        (dict(metrics='EN'), TypeError, 'sequence'),
        (dict(convention='paper'), ValueError, 'paper'),
        (dict(color='rgb'), ValueError, "'rgb'"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        FusionMetric(**options)


@pytest.mark.parametrize(
    ('batch', 'sample', 'error', 'message'),
    [
        (None, dict(), ValueError, r"data_batch\['inputs'\]"),
        (dict(inputs=[]), dict(), ValueError, '0 pairs'),
        (dict(inputs=[torch.zeros(4, 8, 8)]), dict(seg_logits=1), ValueError, "no 'fused_img'.*seg_logits"),
        (
            dict(inputs=[torch.zeros(3, 8, 8)]),
            dict(fused_img=dict(data=torch.zeros(1, 8, 8))),
            ValueError,
            r'\(3, 8, 8\)',
        ),
        (dict(inputs=['a.png']), dict(fused_img=dict(data=torch.zeros(1, 8, 8))), TypeError, 'str'),
        (dict(inputs=[[torch.zeros(4, 8, 8)]]), dict(fused_img=dict(data=torch.zeros(1, 8, 8))), ValueError, 'flipped'),
        (dict(inputs=[torch.zeros(4, 8, 8)]), dict(fused_img=dict(data=torch.zeros(8, 8))), ValueError, r'\(8, 8\)'),
        (dict(inputs=[torch.zeros(4, 8, 8)]), dict(fused_img=dict(data=torch.full((1, 8, 8), 2.0))), ValueError, '510'),
        (
            dict(inputs=[torch.zeros(4, 8, 8)]),
            dict(fused_img=dict(data=torch.zeros(1, 8, 8)), flip=True, flip_direction='left'),
            ValueError,
            "'left'",
        ),
    ],
)
def test_bad_batches(batch, sample, error, message):
    with pytest.raises(error, match=message):
        FusionMetric(metrics=('EN',)).process(batch, [sample])
