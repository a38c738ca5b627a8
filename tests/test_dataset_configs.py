"""Data sets of `configs/_base_/datasets/*_160x192.py`: their splits and what their pipelines make of real pairs."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmfusion  # noqa: F401
from mmfusion.registry import DATASETS

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'configs/_base_/datasets'
DATA = (ROOT / '../shared/data').resolve()
CROP = (160, 192)
# Of 39, 624 and 160 training pairs every fifth, tenth and fifth is for validation; WeedMap has a folder of its own.
COUNTS = {
    'weedmap': (287, 67, 73),
    'cwfid': (32, 7, 21),
    'ombria': (562, 62, 64),
    'msrs-weak': (128, 32, 60),
}
CLASSES = {'weedmap': 3, 'cwfid': 3, 'ombria': 2, 'msrs-weak': 4}
# Height and width of an image and of its labels in evaluation.
SIZES = {
    'weedmap': ((360, 480), (360, 480)),
    'cwfid': ((242, 324), (483, 648)),
    'ombria': ((256, 256), (256, 256)),
    'msrs-weak': ((240, 320), (480, 640)),
}
NAMES = sorted(COUNTS)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmfusion'):
        yield


def load(name):
    return Config.fromfile(FOLDER / f'{name}_160x192.py')


def build(name, split, **options):
    """The data set of a split, with the real pairs beside the checkout."""
    dataset = load(name)[f'{split}_dataloader'].dataset
    dataset.data_root = str(DATA / Path(dataset.data_root).name)
    if not Path(dataset.data_root).is_dir():
        pytest.skip(f'no pairs at {dataset.data_root}')
    return DATASETS.build({**dataset, **options})


def files(dataset):
    return [dataset.get_data_info(number)['vi_path'] for number in range(len(dataset))]


@pytest.mark.parametrize('name', NAMES)
def test_recipe(name):
    cfg = load(name)
    assert cfg.data_root == f'data/{name.replace("-", "_")}'
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        assert (loader.num_workers, loader.persistent_workers) == (0, False)
        dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
        assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == CLASSES[name]
        assert dataset.test_mode == (split != 'train')
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.train_dataloader.dataset.pipeline[2].scale == cfg.scale
    # Fusion metrics take longer than a small segmentor; they are for the test.
    assert [metric.type for metric in cfg.val_evaluator] == ['PerClassIoUMetric']
    assert [metric.type for metric in cfg.test_evaluator] == ['PerClassIoUMetric', 'FusionMetric']


@pytest.mark.parametrize('name', NAMES)
def test_no_crop_is_larger_than_the_smallest_image(name):
    width, height = load(name).scale
    assert min(width / CROP[1], height / CROP[0]) * 0.75 >= 1


@pytest.mark.parametrize('name', NAMES)
def test_splits(name):
    train, val, test = (files(build(name, split)) for split in ('train', 'val', 'test'))
    assert (len(train), len(val), len(test)) == COUNTS[name]
    assert not set(train) & set(val)
    assert not set(test) & {*train, *val}


@pytest.mark.parametrize('name', [name for name in NAMES if name != 'weedmap'])
def test_nothing_is_lost_between_training_and_validation(name):
    train, val = (files(build(name, split)) for split in ('train', 'val'))
    everything = files(build(name, 'train', hold_out=None))
    assert sorted(train + val) == everything
    every = 10 if name == 'ombria' else 5
    assert val == everything[every - 1 :: every]


@pytest.mark.parametrize('name', NAMES)
def test_training_items(name):
    np.random.seed(0)
    dataset = build(name, 'train', indices=6)
    seen = set()
    for item in dataset:
        assert item['inputs'].shape == (4, *CROP)
        labels = item['data_samples'].gt_sem_seg.data
        assert labels.shape == (1, *CROP)
        seen |= set(labels.unique().tolist())
    assert {0, 1} <= seen <= {*range(CLASSES[name]), 255}
    assert name == 'weedmap' or 255 not in seen, 'padding'


@pytest.mark.parametrize('split', ['val', 'test'])
@pytest.mark.parametrize('name', NAMES)
def test_evaluation_items(name, split):
    (item,) = build(name, split, indices=1)
    image, labels = SIZES[name]
    assert item['inputs'].shape == (4, *image)
    sample = item['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, *labels)
    assert sample.img_shape == image
    assert sample.ori_shape == labels


def test_crops_of_weedmap_show_the_field():
    """On tiles of which nearly half lies outside the mosaic."""
    np.random.seed(0)
    dataset = build('weedmap', 'train', indices=130)
    dataset.pipeline.transforms = dataset.pipeline.transforms[:2]
    dark = [number for number, item in enumerate(dataset) if (item['gt_seg_map'] == 255).mean() > 0.4]
    assert len(dark) >= 3

    def largest_ignored_share(**options):
        crops = build('weedmap', 'train', indices=dark, **options)
        return max((item['data_samples'].gt_sem_seg.data == 255).float().mean() for _ in range(10) for item in crops)

    assert largest_ignored_share() <= 0.5
    pipeline = load('weedmap').train_dataloader.dataset.pipeline
    assert pipeline.pop(4).type == 'SkipUnlabelled'
    assert largest_ignored_share(pipeline=pipeline) > 0.75
