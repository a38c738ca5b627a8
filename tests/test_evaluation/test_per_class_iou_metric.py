"""IoU of every class by hand."""

import math

import pytest
import torch

from mmfusion.evaluation import PerClassIoUMetric
from mmfusion.registry import METRICS

META = dict(classes=('soil', 'crop', 'weed', 'stone'))


def pair(prediction, label):
    return dict(
        pred_sem_seg=dict(data=torch.tensor([prediction])),
        gt_sem_seg=dict(data=torch.tensor([label])),
        img_path='a.png',
    )


def evaluate(*pairs, **options):
    metric = PerClassIoUMetric(iou_metrics=['mIoU'], **options)
    metric.dataset_meta = META
    for sample in pairs:
        metric.process({}, [sample])
    return metric.evaluate(size=len(pairs))


def test_by_hand():
    # Class 0: 3 of 4 pixels; class 1: 2 of 4; class 2: 0 of 1; class 3 nowhere; 255 does not count.
    first = pair([[0, 0, 1, 1, 2]], [[0, 0, 0, 1, 255]])
    second = pair([[0, 1, 1, 0, 2]], [[0, 1, 2, 255, 1]])
    figures = evaluate(first, second)
    # Over both: 0: I = 2 + 1, U = 3 + 1; 1: I = 1 + 1, U = 2 + 3; 2: I = 0, U = 2.
    assert figures['IoU/soil'] == pytest.approx(75.0)
    assert figures['IoU/crop'] == pytest.approx(40.0)
    assert figures['IoU/weed'] == 0.0
    assert math.isnan(figures['IoU/stone'])
    assert figures['mIoU'] == pytest.approx((75 + 40 + 0) / 3, abs=0.01)
    assert {'aAcc', 'mAcc'} <= set(figures)


def test_areas_are_added_before_dividing():
    figures = evaluate(pair([[0, 0, 0, 0]], [[0, 0, 0, 0]]), pair([[1, 0, 0, 0]], [[0, 1, 1, 1]]))
    assert figures['IoU/soil'] == pytest.approx(100 * 4 / 8)
    assert figures['IoU/crop'] == 0


def test_order_follows_the_classes():
    names = [name for name in evaluate(pair([[0, 1, 2, 3]], [[0, 1, 2, 3]])) if name.startswith('IoU/')]
    assert names == ['IoU/soil', 'IoU/crop', 'IoU/weed', 'IoU/stone']


def test_writing_only(tmp_path):
    assert evaluate(pair([[0, 1]], [[0, 1]]), format_only=True, output_dir=str(tmp_path)) == {}
    assert (tmp_path / 'a.png').is_file()


def test_from_the_registry():
    metric = METRICS.build(dict(type='PerClassIoUMetric', iou_metrics=['mIoU'], prefix='seg'))
    metric.dataset_meta = META
    metric.process({}, [pair([[0, 1]], [[0, 0]])])
    assert metric.evaluate(size=1)['seg/IoU/soil'] == pytest.approx(50.0)
