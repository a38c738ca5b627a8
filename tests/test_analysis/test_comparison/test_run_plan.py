"""Runs of a comparison and the options that they are started with."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmfusion.analysis.comparison.entries import find_entries
from mmfusion.analysis.comparison.plan import data_root_options, parse_options, plan_runs


@pytest.fixture
def entries(tmp_path):
    for method, dataset in (('early', 'a'), ('ours', 'a'), ('ours', 'b')):
        loader = dict(dataset=dict(data_root=f'data/{dataset}'))
        config = dict(model=dict(width=4), train_dataloader=loader, val_dataloader=loader, test_dataloader=loader)
        Config(config).dump(tmp_path / f'{method}_u_s_{dataset}-8x8.py')
    return find_entries([f'{tmp_path}/*.py'])


def test_seed_by_seed(entries):
    plan = plan_runs(entries, [3, 1], Path('w'), ['model.width=8'], {'b': '/mnt/b'})
    assert [str(run.folder) for run in plan] == [
        *('w/early_u_s_a-8x8_s3', 'w/ours_u_s_a-8x8_s3', 'w/ours_u_s_b-8x8_s3'),
        *('w/early_u_s_a-8x8_s1', 'w/ours_u_s_a-8x8_s1', 'w/ours_u_s_b-8x8_s1'),
    ]
    last = plan[-1]
    assert last.options == (
        'train_dataloader.dataset.data_root=/mnt/b',
        'val_dataloader.dataset.data_root=/mnt/b',
        'test_dataloader.dataset.data_root=/mnt/b',
        'model.width=8',
        'randomness.seed=1',
    )
    assert last.config['model.width'] == 8
    assert last.config['randomness.seed'] == 1
    assert last.config['val_dataloader.dataset.data_root'] == '/mnt/b'
    assert plan[0].config['val_dataloader.dataset.data_root'] == 'data/a'


def test_roots_of_loaders_keep_their_places():
    wrapped = dict(type='ConcatDataset', datasets=[dict(data_root='data/x/one'), dict(data_root='data/x/two/')])
    cfg = Config(dict(train_dataloader=dict(dataset=wrapped), val_dataloader=dict(dataset=dict(data_root='data/x'))))
    options = data_root_options(cfg, '/mnt/x')
    assert options == [
        'train_dataloader.dataset.datasets.0.data_root=/mnt/x/one',
        'train_dataloader.dataset.datasets.1.data_root=/mnt/x/two',
        'val_dataloader.dataset.data_root=/mnt/x',
    ]
    cfg.merge_from_dict(parse_options(options))
    assert cfg.train_dataloader.dataset.datasets[1].data_root == '/mnt/x/two'
    with pytest.raises(ValueError, match='no data_root'):
        data_root_options(Config(dict(train_dataloader=dict(dataset=dict(type='Drawn')))), '/mnt/x')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(seeds=[]), 'got none'),
        (dict(seeds=[1, 1]), 'seeds must differ'),
        (dict(seeds=[-1]), 'seeds must differ and not be negative'),
        (dict(options=['randomness.seed=3']), 'is what --seeds sets'),
        (dict(options=['model.width']), "KEY=VALUE, got 'model.width'"),
        (dict(data_roots={'c': 'x'}), "no config is on 'c'; they are on a, a-8x8, b, b-8x8"),
    ],
)
def test_refusals(entries, change, message):
    with pytest.raises(ValueError, match=message):
        plan_runs(**{**dict(entries=entries, seeds=[0], work_dir=Path('w')), **change})
