"""Pairs with a training and a test folder, and a config that reads them: fixtures."""

import pytest


@pytest.fixture
def split_data(pair_folder, tmp_path):
    """Six pairs for training and two for the test."""
    for split, number in (('train', 6), ('test', 2)):
        pair_folder(tmp_path / 'data' / split, number=number)
    return tmp_path / 'data'


@pytest.fixture
def split_config(run_config, model_config, split_data, tmp_path):
    """Function of (**options of the model) that gives a config; every third training pair is for validation."""

    def make(max_iters=3, **options):
        cfg = run_config(model_config(**options), split_data, tmp_path / 'run', max_iters=max_iters)
        cfg.custom_imports = dict(imports=['mmfusion'], allow_failed_imports=False)
        for loader, split in (('train', 'train'), ('val', 'train'), ('test', 'test')):
            dataset = cfg[f'{loader}_dataloader'].dataset
            dataset.data_prefix = dict(vi_path=f'{split}/vi', ir_path=f'{split}/ir', seg_map_path=f'{split}/labels')
        cfg.train_dataloader.dataset.hold_out = 3
        cfg.val_dataloader.dataset.update(hold_out=3, part='held_out')
        return cfg

    return make
