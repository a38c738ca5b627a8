"""The contract of SyntheticThermalScenes: what an item holds, and what it depends on."""

import multiprocessing
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import mmfusion.datasets  # noqa: F401 - registers the transforms of the pipelines below
from mmfusion.datasets.synthetic import SyntheticThermalScenes
from mmfusion.registry import DATASETS

SMALL = (48, 64)
CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/synthetic_96x128.py'


def _same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


def _render_elsewhere(arguments, scene, queue):
    np.random.seed(99)
    queue.put(SyntheticThermalScenes(**arguments).render(scene))


def test_item_contract():
    dataset = DATASETS.build(dict(type='SyntheticThermalScenes', num_scenes=13, size=SMALL, split='test'))
    assert len(dataset) == 13
    item = dataset[11]
    assert item['img'].shape == (48, 64, 4)
    assert item['img'].dtype == np.uint8
    assert item['gt_seg_map'].shape == (48, 64)
    assert item['gt_seg_map'].dtype == np.uint8
    assert item['seg_fields'] == ['gt_seg_map']
    assert item['img_path'] == 'synthetic/test_00011_night'
    assert item['ir_path'] != item['img_path']
    assert item['img_shape'] == item['ori_shape'] == (48, 64)
    assert item['reduce_zero_label'] is False
    assert item['daytime'] == 'night'
    assert dataset[12]['daytime'] == 'day'
    assert _same((item['img'], item['gt_seg_map']), dataset.render(11))
    assert len({dataset.get_data_info(i)['img_path'] for i in range(13)}) == 13
    assert dataset.metainfo['classes'] == ('background', 'warm', 'printed', 'vehicle')
    assert set(dataset.evidence) == set(dataset.metainfo['classes'])


def test_item_is_the_same_in_another_process():
    arguments = dict(num_scenes=9, size=SMALL, seed=7)
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    process = context.Process(target=_render_elsewhere, args=(arguments, 5, queue))
    process.start()
    elsewhere = queue.get(timeout=120)
    process.join()
    assert _same(elsewhere, SyntheticThermalScenes(**arguments).render(5))


def test_item_is_the_same_in_workers_and_epochs():
    dataset = SyntheticThermalScenes(num_scenes=4, size=SMALL)
    loader = DataLoader(dataset, batch_size=1, num_workers=2, collate_fn=pseudo_collate)
    for _ in range(2):
        for index, item in enumerate(loader):
            assert np.array_equal(item['img'][0], dataset[index]['img'])


def test_item_is_independent_of_others_and_of_global_random_state():
    of_three, of_fifty = (
        SyntheticThermalScenes(num_scenes=3, size=SMALL),
        SyntheticThermalScenes(num_scenes=50, size=SMALL),
    )
    first = of_three.render(2)
    np.random.seed(1)
    random.seed(1)
    torch.manual_seed(1)
    states = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    of_fifty.render(40)
    assert _same(first, of_fifty.render(2))
    assert np.array_equal(states[0], np.random.get_state()[1])
    assert states[1] == random.getstate()
    assert torch.equal(states[2], torch.get_rng_state())


def test_splits_seeds_and_scenes_differ():
    datasets = [
        SyntheticThermalScenes(num_scenes=8, size=SMALL, split=split, seed=seed)
        for split in ('train', 'val', 'test')
        for seed in (0, 1)
    ]
    rendered = [dataset.render(scene)[0] for dataset in datasets for scene in range(8)]
    assert len({pair.tobytes() for pair in rendered}) == len(rendered) == 48


@pytest.mark.parametrize(('fraction', 'nights'), [(0, 0), (0.1, 3), (1 / 3, 10), (0.5, 15), (0.7, 21), (1, 30)])
def test_night_fraction_is_met_exactly(fraction, nights):
    dataset = SyntheticThermalScenes(num_scenes=30, size=SMALL, night_fraction=fraction)
    assert sum(dataset.get_data_info(i)['daytime'] == 'night' for i in range(30)) == nights


def test_night_changes_the_visible_image_only():
    day, night = (SyntheticThermalScenes(num_scenes=2, night_fraction=f) for f in (0, 1))
    (by_day, label), (by_night, same) = day.render(1), night.render(1)
    assert np.array_equal(label, same)
    assert np.array_equal(by_day[..., 3], by_night[..., 3])
    assert by_night[..., :3].mean() < 0.5 * by_day[..., :3].mean()


def test_cache_draws_once_and_hands_out_copies(monkeypatch):
    from mmfusion.datasets.synthetic import dataset as module

    calls = []
    draw = module.render_scene
    monkeypatch.setattr(module, 'render_scene', lambda *args: calls.append(1) or draw(*args))
    fresh = SyntheticThermalScenes(num_scenes=2, size=SMALL).render(0)
    dataset = SyntheticThermalScenes(num_scenes=2, size=SMALL, cache=True)
    calls.clear()
    for _ in range(3):
        item = dataset[0]
        assert _same(fresh, (item['img'], item['gt_seg_map']))
        item['img'][:] = 0
        item['gt_seg_map'][:] = 9
    assert len(calls) == 1
    dataset[1]
    assert len(calls) == 2


def test_indices_do_not_renumber_scenes():
    whole = SyntheticThermalScenes(num_scenes=6, size=SMALL)
    chosen = SyntheticThermalScenes(num_scenes=6, size=SMALL, indices=[4, 1])
    assert len(chosen) == 2
    assert np.array_equal(chosen[0]['img'], whole[4]['img'])
    assert chosen[1]['img_path'] == whole[1]['img_path']


def test_subset_of_classes_maps_labels():
    whole = SyntheticThermalScenes(num_scenes=1)
    subset = SyntheticThermalScenes(num_scenes=1, metainfo=dict(classes=('background', 'vehicle')))
    labels, mapped = whole[0]['gt_seg_map'], subset[0]['gt_seg_map']
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    expected = np.choose(labels, (0, 255, 255, 1))
    assert np.array_equal(mapped, expected)
    assert len(subset.metainfo['palette']) == 2


@pytest.mark.parametrize('size', [(48, 48), (61, 97), (150, 101)])
def test_any_size(size):
    pair, label = SyntheticThermalScenes(num_scenes=1, size=size).render(0)
    assert pair.shape == (*size, 4)
    assert label.shape == size
    assert len(np.unique(label)) > 2


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (dict(num_scenes=0), 'num_scenes.*0'),
        (dict(num_scenes=2.5), 'num_scenes.*2.5'),
        (dict(size=(40, 64)), 'size.*40'),
        (dict(size=(64, 64, 3)), 'size'),
        (dict(seed=-1), 'seed.*-1'),
        (dict(seed=2**32), 'seed'),
        (dict(split='training'), "split.*'training'"),
        (dict(night_fraction=1.5), 'night_fraction.*1.5'),
        (dict(noise_level=-0.1), 'noise_level.*-0.1'),
        (dict(camouflage_contrast=2), 'camouflage_contrast.*2'),
        (dict(crossover_fraction=-1), 'crossover_fraction.*-1'),
        (dict(glare_fraction=float('nan')), 'glare_fraction.*nan'),
        (dict(max_distractors=-1), 'max_distractors.*-1'),
        (dict(max_distractors=0.5), 'max_distractors.*0.5'),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        SyntheticThermalScenes(**arguments)


def test_render_refuses_unknown_scenes():
    dataset = SyntheticThermalScenes(num_scenes=2, size=SMALL)
    for scene in (-1, 2):
        with pytest.raises(ValueError, match=r'0\.\.1'):
            dataset.render(scene)


def test_base_config_feeds_loaders():
    init_default_scope('mmfusion')
    config = Config.fromfile(CONFIG)
    config.train_dataloader.dataset.num_scenes = 16
    batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=0)))
    assert len(batch['inputs']) == 8
    assert batch['inputs'][0].shape == (4, 96, 128)
    for name, split in (('val_dataloader', 'val'), ('test_dataloader', 'test')):
        config[name].dataset.num_scenes = 8
        loader = Runner.build_dataloader(config[name])
        batch = next(iter(loader))
        sample = batch['data_samples'][1]
        pair, label = SyntheticThermalScenes(num_scenes=8, split=split).render(1)
        assert sample.img_path == f'synthetic/{split}_00001_night'
        assert sample.daytime == 'night'
        assert np.array_equal(batch['inputs'][1].permute(1, 2, 0).numpy(), pair)
        assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), label)
        assert loader.dataset.test_mode
    assert {'IoU', 'FusionMetric'} <= {'IoU' if 'IoU' in m['type'] else m['type'] for m in config.test_evaluator}
