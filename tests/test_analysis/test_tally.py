"""mIoU and change of the fused image, against mmseg and by hand."""

import math

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmfusion.analysis.tally import Tally, difference_error


def test_tally_against_mmseg_and_by_hand():
    rng = np.random.RandomState(0)
    tally, metric = Tally(4), IoUMetric()
    metric.dataset_meta = dict(classes='abcd')
    pictures = []
    for size in ((5, 7), (8, 3), (6, 6)):
        labels, prediction = (torch.from_numpy(rng.randint(0, 3, size)) for _ in range(2))  # class 3 does not occur
        labels[0, :2] = 255
        fused, reference = (torch.from_numpy(rng.rand(*size)) for _ in range(2))
        tally.add(prediction, labels, fused, reference)
        metric.process({}, [dict(pred_sem_seg=dict(data=prediction[None]), gt_sem_seg=dict(data=labels[None]))])
        pictures.append([x.numpy().ravel() for x in (labels, prediction, fused, reference)])
    result = tally.result()
    assert round(result['mIoU'], 2) == pytest.approx(metric.compute_metrics(metric.results)['mIoU'])
    labels, prediction, fused, reference = (np.concatenate(x) for x in zip(*pictures))
    for c in range(3):
        inside = (labels == c) & (labels != 255)
        union = inside | ((prediction == c) & (labels != 255))
        assert result['IoU'][c] == pytest.approx(100 * (inside & (prediction == c)).sum() / union.sum(), rel=1e-6)
        assert result['change_by_class'][c] == pytest.approx(255 * np.abs(fused - reference)[inside].mean())
    assert result['mIoU'] == pytest.approx(np.mean(result['IoU'][:3]), rel=1e-6)
    assert result['change'] == pytest.approx(255 * np.abs(fused - reference).mean())  # ignored pixels as well
    assert math.isnan(result['IoU'][3])
    assert math.isnan(result['change_by_class'][3])


def test_standard_error_against_theory():
    """Labels of one class, images of one size: mIoU is half a mean over the images, whose error is known."""
    right = np.random.RandomState(0).randint(0, 100, (40, 2))
    labels, image = torch.zeros(10, 10, dtype=torch.long), torch.zeros(10, 10)
    tallies = [Tally(2) for _ in range(2)]
    for row in right:
        for tally, hits in zip(tallies, row):
            # Class 1 is always wrong: its IoU is 0.
            tally.add((torch.arange(100) >= hits).long().view(10, 10), labels, image, image)
    assert tallies[0].result()['mIoU'] == pytest.approx(right[:, 0].mean() / 2, rel=1e-6)
    difference = (right[:, 0] - right[:, 1]) / 2
    assert difference_error(*tallies) == pytest.approx(difference.std() / 40**0.5, rel=0.1)
    assert difference_error(tallies[0], tallies[0]) == 0
    single = Tally(2)
    single.areas = tallies[0].areas[:1]
    assert math.isnan(difference_error(single, single))
