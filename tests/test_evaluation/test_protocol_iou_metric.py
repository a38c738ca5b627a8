"""Conventions of papers by hand and against a confusion matrix; their names; several batches and ranks."""

import math
import os
import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmseg.evaluation import IoUMetric

from mmfusion.evaluation import ProtocolIoUMetric
from mmfusion.registry import METRICS

META = dict(classes=('background', 'car', 'person', 'bicycle', 'pole'))
IMAGES = [
    dict(label=[[0, 0, 0, 1, 255]], prediction=[[0, 0, 1, 1, 2]]),
    dict(label=[[0, 1, 1, 2]], prediction=[[4, 1, 4, 0]]),
]


def sample(image):
    return dict(
        pred_sem_seg=dict(data=torch.tensor([image['prediction']])),
        gt_sem_seg=dict(data=torch.tensor([image['label']])),
        img_path='a.png',
    )


def evaluate(images=IMAGES, meta=META, **options):
    metric = ProtocolIoUMetric(**options)
    metric.dataset_meta = meta
    for image in images:
        metric.process({}, [sample(image)])
    return metric.evaluate(size=len(images))


def areas(images, ignored, classes=5):
    """Of a confusion matrix, which is counted pixel by pixel."""
    matrix = np.zeros((classes, classes))
    for image in images:
        for true, found in zip(np.ravel(image['label']), np.ravel(image['prediction'])):
            if true != ignored:
                matrix[true, found] += 1
    intersect = np.diag(matrix)
    return intersect, matrix.sum(0) + matrix.sum(1) - intersect, matrix.sum(1)


def test_the_example_is_what_it_says():
    intersect, union, labelled = areas(IMAGES, 255)
    assert intersect.tolist() == [2, 2, 0, 0, 0]
    assert union.tolist() == [5, 4, 1, 0, 2]
    assert labelled.tolist() == [4, 3, 1, 0, 0]


# By hand: background 2/5, car 2/4, person 0/1, bicycle 0/0, pole 0/2.
@pytest.mark.parametrize(
    ('options', 'name', 'iou', 'accuracy'),
    [
        (dict(absent='zero'), 'absent=0', (40 + 50) / 5, (50 + 200 / 3) / 5),
        (dict(absent='unlabelled_nan'), 'unlabelled=nan', (40 + 50) / 3, (50 + 200 / 3) / 3),
        (dict(background='excluded'), 'no background', 50 / 3, (200 / 3) / 2),
        (dict(background='excluded', absent='zero'), 'no background, absent=0', 50 / 4, (200 / 3) / 4),
        (
            dict(background='excluded', absent='unlabelled_nan'),
            'no background, unlabelled=nan',
            50 / 2,
            (200 / 3) / 2,
        ),
        (dict(background='excluded', background_id=1), 'no class 1', 40 / 3, 50 / 2),
        # The second image without its background: car 1 of 2, person 0 of 1, bicycle nowhere, pole where a car is.
        (
            dict(ignore_index=0, background='excluded', absent='zero', images=[IMAGES[1]]),
            'ignore_index=0, no background, absent=0',
            50 / 4,
            50 / 4,
        ),
    ],
)
def test_conventions_by_hand(options, name, iou, accuracy):
    figures = evaluate(**options)
    assert figures[f'mIoU ({name})'] == pytest.approx(iou, abs=0.006)
    assert figures[f'mAcc ({name})'] == pytest.approx(accuracy, abs=0.006)
    assert sum(key.startswith('mIoU') for key in figures) == 2


def reference():
    metric = IoUMetric()
    metric.dataset_meta = META
    for image in IMAGES:
        metric.process({}, [sample(image)])
    return metric.evaluate(size=len(IMAGES))


@pytest.mark.parametrize('options', [{}, dict(absent='zero'), dict(background='excluded')])
def test_plain_figures_are_those_of_mmseg(options):
    expected, figures = reference(), evaluate(**options)
    assert {name: figures[name] for name in expected} == expected
    assert figures['mIoU'] == pytest.approx((40 + 50 + 0 + 0) / 4)
    more = {name for name in figures if not name.startswith('IoU/')} - set(expected)
    assert len(more) == (2 if options else 0)


def test_random_images_against_a_confusion_matrix():
    """Of fifteen classes, two of which are nowhere and one is never labelled; and more than one image a batch."""
    rng = np.random.RandomState(0)
    classes = tuple(map(str, range(15)))
    images = []
    for _ in range(6):
        label = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255], (20, 30))
        prediction = np.where(rng.rand(20, 30) < 0.6, label % 255, rng.choice(13, (20, 30)))
        images.append(dict(label=label.tolist(), prediction=prediction.tolist()))
    metric = ProtocolIoUMetric(background='excluded', absent='zero')
    metric.dataset_meta = dict(classes=classes)
    for batch in (images[:4], images[4:]):
        metric.process({}, [sample(image) for image in batch])
    intersect, union, _ = areas(images, 255, 15)
    with np.errstate(invalid='ignore'):
        expected = np.nan_to_num(intersect / union)[1:].mean() * 100
    found = metric.evaluate(size=6)
    assert found['mIoU (no background, absent=0)'] == pytest.approx(expected, abs=0.006)
    assert found['mIoU'] > expected + 5


def test_the_two_conventions_of_fmb():
    """Bicycle is nowhere: 14 classes with zeros count it, 15 with nanmean do not, but count what is unlabelled."""
    classes = ('unlabelled', *map(str, range(1, 13)), 'bicycle', 'pole')
    label = np.arange(15).repeat(4)
    label[label == 13] = 1
    prediction = label.copy()
    prediction[label == 0] = 14  # A model that never predicts 'unlabelled'.
    image = [dict(label=[label.tolist()], prediction=[prediction.tolist()])]
    fifteen = evaluate(image, dict(classes=classes))
    assert fifteen['mIoU'] == pytest.approx((12 + 0 + 50 / 100) / 14 * 100, abs=0.006)
    fourteen = evaluate(image, dict(classes=classes), ignore_index=0, background='excluded', absent='zero')
    assert fourteen['mIoU (ignore_index=0, no background, absent=0)'] == pytest.approx(13 / 14 * 100, abs=0.006)
    # The same of a data set that has the fourteen, and ignores the rest as 255.
    reduced = [dict(label=[np.where(label == 0, 255, label - 1).tolist()], prediction=[(prediction - 1).tolist()])]
    same = evaluate(reduced, dict(classes=classes[1:]), absent='zero')
    assert same['mIoU (absent=0)'] == fourteen['mIoU (ignore_index=0, no background, absent=0)']
    assert same['mIoU'] == pytest.approx(100)


def test_nothing_labelled():
    figures = evaluate([dict(label=[[255]], prediction=[[0]])], absent='unlabelled_nan')
    assert math.isnan(figures['mIoU (unlabelled=nan)'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(background='ignored'), "background is one of .*'ignored'"),
        (dict(absent=0), 'absent is one of .*not 0'),
        (dict(background_id=True), 'background_id is the id of a class'),
        (dict(background_id=-1), 'not -1'),
        (dict(nan_to_num=0), "use absent='zero'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ProtocolIoUMetric(**options)


def test_a_background_that_no_class_has():
    with pytest.raises(ValueError, match='background_id=7, but the data set has 5 classes'):
        evaluate(background='excluded', background_id=7)


def test_writing_only(tmp_path):
    assert evaluate(absent='zero', format_only=True, output_dir=str(tmp_path)) == {}


def test_from_the_registry_with_a_prefix():
    metric = METRICS.build(dict(type='ProtocolIoUMetric', absent='zero', prefix='seg'))
    metric.dataset_meta = META
    metric.process({}, [sample(IMAGES[0])])
    assert 'seg/mIoU (absent=0)' in metric.evaluate(size=1)


def free_port():
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


def evaluate_one_rank(rank, port, folder):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK='0')
    dist.init_process_group('gloo', rank=rank, world_size=2)
    metric = ProtocolIoUMetric(background='excluded', absent='zero')
    metric.dataset_meta = META
    metric.process({}, [sample(IMAGES[rank])])
    torch.save(metric.evaluate(size=2), folder / f'{rank}.pt')
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks(tmp_path):
    """Areas of both are added before anything is divided; every rank has the figures."""
    mp.spawn(evaluate_one_rank, (free_port(), tmp_path), nprocs=2)
    for rank in (0, 1):
        figures = torch.load(tmp_path / f'{rank}.pt', weights_only=False)
        assert figures['mIoU (no background, absent=0)'] == pytest.approx(50 / 4)
