from pathlib import Path

import numpy as np
import pytest
from mmseg.evaluation import IoUMetric
from PIL import Image

from mmfusion.datasets import LoadPairAnnotations, LoadPairFromFile, MSRSDataset

DATA = (Path(__file__).resolve().parents[2] / '../shared/data').resolve()
needs_data = pytest.mark.skipif(not (DATA / 'msrs_weak').is_dir(), reason=f'no MSRS pairs at {DATA}')
PIPELINE = [LoadPairFromFile(), LoadPairAnnotations()]


def test_ids_and_palette_are_those_of_mfnet():
    meta = MSRSDataset(lazy_init=True).metainfo
    assert meta['classes'] == (
        'background',
        'car',
        'person',
        'bike',
        'curve',
        'car_stop',
        'guardrail',
        'color_cone',
        'bump',
    )
    # The palette of MFNet's tools, keyed by class name.
    official = dict(
        background=(0, 0, 0),
        car=(64, 0, 128),
        person=(64, 64, 0),
        bike=(0, 128, 192),
        curve=(0, 0, 192),
        car_stop=(128, 128, 0),
        guardrail=(64, 64, 128),
        color_cone=(192, 128, 128),
        bump=(192, 64, 0),
    )
    assert {name: tuple(colour) for name, colour in zip(meta['classes'], meta['palette'])} == official


@needs_data
@pytest.mark.parametrize(('folder', 'count'), [('msrs_weak/train', 160), ('msrs_weak/test', 60), ('msrs_png/test', 4)])
def test_reads_both_layouts(folder, count):
    dataset = MSRSDataset(data_root=str(DATA / folder), pipeline=PIPELINE)
    assert len(dataset) == count
    results = dataset[count // 2]
    assert results['img'].shape == (480, 640, 4)
    assert results['img'].dtype == np.uint8
    stems = {Path(results[key]).stem for key in ('vi_path', 'ir_path', 'seg_map_path')}
    assert len(stems) == 1
    oracle = np.asarray(Image.open(results['seg_map_path']))
    np.testing.assert_array_equal(results['gt_seg_map'], oracle)
    if folder.startswith('msrs_png'):  # lossless, so that another decoder gives the same values
        np.testing.assert_array_equal(results['img'][..., 2::-1], np.asarray(Image.open(results['vi_path'])))
        np.testing.assert_array_equal(results['img'][..., 3], np.asarray(Image.open(results['ir_path'])))


@needs_data
def test_class_subset_renames_the_labels():
    full = MSRSDataset(data_root=str(DATA / 'msrs_png/test'), pipeline=PIPELINE)
    subset = MSRSDataset(
        data_root=str(DATA / 'msrs_png/test'), pipeline=PIPELINE, metainfo=dict(classes=('person', 'car'))
    )
    assert subset.metainfo['palette'] == [[64, 64, 0], [64, 0, 128]]
    seen = set()
    for before, after in zip(full, subset):
        old, new = before['gt_seg_map'], after['gt_seg_map']
        seen |= set(np.unique(new).tolist())
        np.testing.assert_array_equal(new, np.select([old == 2, old == 1], [0, 1], 255))
    assert seen == {0, 1, 255}


@needs_data
def test_too_few_classes_name_the_label_file():
    dataset = MSRSDataset(
        data_root=str(DATA / 'msrs_png/test'), pipeline=[LoadPairFromFile(), LoadPairAnnotations(num_classes=3)]
    )
    with pytest.raises(ValueError, match=r'Segmentation_labels/\d+[ND]\.png holds the id\(s\) \[3\].*0\.\.2'):
        [dataset[i] for i in range(4)]


def test_protocol_of_absent_classes():
    """What the docstring says: unlabelled and unpredicted is nan and left out, predicted only is zero and counts."""
    import torch

    metric = IoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = MSRSDataset(lazy_init=True).metainfo
    label = torch.zeros(1, 4, 4, dtype=torch.long)
    label[:, :2] = 1

    def score(prediction):
        metric.results.clear()
        metric.process({}, [dict(pred_sem_seg=dict(data=prediction), gt_sem_seg=dict(data=label))])
        return metric.compute_metrics(metric.results)['mIoU']

    assert score(label.clone()) == 100
    wrong = label.clone()
    wrong[0, 3] = 8  # bump, which no label has: half of the background is lost, and bump counts as 0
    assert score(wrong) == pytest.approx((50 + 100 + 0) / 3, abs=0.01)
