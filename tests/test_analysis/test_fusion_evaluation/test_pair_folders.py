"""The pairs of a config, and where their fused images may lie."""

import copy

import pytest

from mmfusion.analysis.fusion_evaluation import PairFolder, pair_folders, split_names


def test_pairs_of_all_loaders(split_config, split_data):
    train, val, test = pair_folders(split_config())
    assert [folder.key for folder in (train, val, test)] == [
        f'{name}_dataloader.dataset' for name in ('train', 'val', 'test')
    ]
    assert list(train.pairs) == ['000', '001', '003', '004']
    assert list(val.pairs) == ['002', '005']
    assert list(test.pairs) == ['000', '001']
    assert test.visible == split_data / 'test/vi'
    assert test.pairs['001']['ir_path'] == str(split_data / 'test/ir/001.png')
    assert test.belongs_to('test_dataloader')
    assert not train.belongs_to('test_dataloader')


def test_below_wrappers(split_config):
    cfg = split_config()
    single = copy.deepcopy(cfg.train_dataloader.dataset)
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[single, single])
    )
    first, second, *_ = pair_folders(cfg)
    assert first.key == 'train_dataloader.dataset.dataset.datasets.0'
    assert first.pairs == second.pairs
    assert list(first.pairs) == ['000', '001', '003', '004']


def test_names_keep_folders_and_lose_suffixes(split_config, split_data):
    for name in ('vi', 'ir', 'labels'):
        (split_data / 'test' / name / 'day').mkdir()
        (split_data / 'test' / name / '001.png').rename(split_data / 'test' / name / 'day/1.v2.png')
    assert list(pair_folders(split_config())[2].pairs) == ['000', 'day/1.v2']


def test_no_pairs_in_files(split_config):
    cfg = split_config()
    cfg.val_dataloader.dataset = dict(type='SyntheticThermalScenes', num_scenes=1)
    with pytest.raises(ValueError, match='val_dataloader has no pairs in folders'):
        pair_folders(cfg)


@pytest.mark.parametrize(
    ('visible', 'last'),
    [
        (('d/train/vi', 'd/test/vi'), ('train', 'test')),
        (('d/vi/train', 'd/vi/test'), ('train', 'test')),  # The sensor above the split.
        (('d/a/vi', 'd/b/rgb'), ('a/vi', 'b/rgb')),  # No name in common: as they are.
        (('d/vi',), ('.',)),  # Splits by lists.
        (('d/vi', 'd/vi/night'), ('.', 'night')),
    ],
)
def test_where_splits_may_lie(visible, last):
    folders = [PairFolder('', dict(vi_path=path), {}) for path in visible]
    assert tuple(names[-1] for names in split_names(folders).values()) == last
