"""Test time augmentation keeps the fusion, and the metrics of both."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.models import FusionTTAModel
from mmfusion.registry import MODELS

LOAD = [dict(type='LoadPairFromFile')]


def sample(scores, fused):
    data = SegDataSample(metainfo=dict(img_path='a.png', flip=False))
    for key, value in (('seg_logits', scores), ('fused_img', fused), ('fusion_weights', fused)):
        data.set_data({key: PixelData(data=torch.tensor(value).view(-1, 1, 2))})
    return data


def test_means(model_config):
    """By hand: probabilities .5/.5 and e/(1+e); images .2 and .4."""
    tta = FusionTTAModel(module=MODELS.build(model_config()))
    first, second = sample([0.0, 0.0, 0.0, 0.0], [0.2, 0.0]), sample([1.0, 0.0, 0.0, 0.0], [0.4, 1.0])
    (merged,) = tta.merge_preds([[first, second]])
    e = torch.tensor(1.0).sigmoid().item()
    assert merged.seg_logits.data.flatten().tolist() == pytest.approx([(0.5 + e) / 2, 0.5, (0.5 + 1 - e) / 2, 0.5])
    assert merged.pred_sem_seg.data.tolist() == [[[0, 0]]]
    assert merged.fused_img.data.flatten().tolist() == pytest.approx([0.3, 0.5])
    assert merged.fusion_weights.data.flatten().tolist() == pytest.approx([0.3, 0.5])
    assert merged.img_path == 'a.png'
    assert torch.equal(first.seg_logits.data, torch.zeros(2, 1, 2))


def test_one_channel(model_config, unet_config):
    """A prediction holds the probability of the foreground already."""
    tta = FusionTTAModel(module=MODELS.build(model_config(segmentor=unet_config(num_classes=2, out_channels=1))))
    tta.module.decode_head.threshold = 0.3
    (merged,) = tta.merge_preds([[sample([0.4, 0.1], [0.0, 0.0]), sample([0.3, 0.3], [0.0, 0.0])]])
    assert merged.seg_logits.data.flatten().tolist() == pytest.approx([0.35, 0.2])
    assert merged.pred_sem_seg.data.flatten().tolist() == [1, 0]


@pytest.fixture
def metrics(make_runner, model_config, random_checkpoint):
    """Function that tests with a pipeline."""

    def test(*choices, kind='FusionTTAModel', batch_size=2):
        module = model_config(fusion=dict(type='AverageFusion'))
        runner = make_runner(
            model=dict(type=kind, module=module) if choices else module,
            test_evaluator=[
                dict(type='PerClassIoUMetric', iou_metrics=['mIoU']),
                dict(type='FusionMetric', metrics=('EN', 'SCD', 'MSE')),
            ],
        )
        torch.manual_seed(0)
        if choices:
            transforms = [*copy.deepcopy(choices), [dict(type='LoadPairAnnotations')], [dict(type='PackFusionInputs')]]
            augment = dict(type='TestTimeAug', transforms=transforms)
            runner._test_dataloader['dataset']['pipeline'] = [*copy.deepcopy(LOAD), augment]
        runner._test_dataloader['batch_size'] = batch_size
        return runner.test()

    return test


def flips(*probabilities):
    return [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in probabilities]


def test_fusion_metrics_of_flips(metrics):
    """The average of a flipped pair is the flipped average, so that nothing changes, whichever comes first."""
    plain = {name: value for name, value in metrics().items() if name.startswith('fusion/')}
    for order in ((0.0, 1.0), (1.0, 0.0)):
        found = metrics(flips(*order))
        assert {name: found[name] for name in plain} == pytest.approx(plain, abs=1e-4)
        assert 0 <= found['mIoU'] <= 100


def test_fusion_metrics_of_sizes(metrics):
    """The pair at its full size is what the fused image is compared with."""
    sizes = [dict(type='Resize', scale_factor=factor, keep_ratio=True) for factor in (0.5, 1.0)]
    found = metrics(sizes, batch_size=1)
    plain = metrics()
    assert found['fusion/SCD'] == pytest.approx(plain['fusion/SCD'], abs=0.2)
    assert found['fusion/EN'] != plain['fusion/EN']
