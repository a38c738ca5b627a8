"""No config looks at its test pairs before the test: validation has a list of its own, or pairs held out."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmfusion.apis import load_config
from mmfusion.command_line import read_config
from mmfusion.datasets.splits import part_of

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
FOLDER = CONFIGS / '_base_/datasets'
# Pairs of the training list, of those held out of it, and of the rest; None where the authors have a validation list.
HELD_OUT = {
    'msrs_256x256': (1083, 108, 975),
    'msrs_128x160': (1083, 108, 975),
    'cwfid_256x256': (39, 7, 32),
    'cwfid_128x160': (39, 7, 32),
    'fmb_256x256': (1220, 122, 1098),
    'fmb14_256x256': (1220, 122, 1098),
    'fmb15_256x256': (1220, 122, 1098),
    'pst900_256x256': (606, 60, 546),
}
BASES = sorted(path.stem for path in FOLDER.glob('*.py') if not path.stem.startswith(('paired', 'synthetic')))
# One config of each, with everything that its run reads.
RUNS = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')


def source(dataset):
    """Which files a data set reads, as far as its config says."""
    prefix = dict(dataset.get('data_prefix') or {})
    part = (dataset.get('hold_out'), dataset.get('part', 'train'))
    return dataset.get('data_root'), prefix, dataset.get('ann_file', ''), part, dataset.get('split')


@pytest.mark.parametrize('name', RUNS)
def test_validation_is_neither_test_nor_training(name):
    cfg = load_config(str(CONFIGS / name))
    train, val, test = (source(cfg[f'{split}_dataloader'].dataset) for split in ('train', 'val', 'test'))
    assert train != val
    assert val != test
    assert train != test


@pytest.mark.parametrize('name', BASES)
def test_held_out_of_the_training_list(name):
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    train, val, test = (cfg[f'{split}_dataloader'].dataset for split in ('train', 'val', 'test'))
    assert val.test_mode
    assert test.test_mode
    if train.get('hold_out') is None:
        # A list or a folder of its own, which the authors name.
        places = {str((each.get('ann_file'), each.get('data_prefix'))) for each in (train, val, test)}
        assert len(places) == 3
        return
    assert (train.get('part', 'train'), val.part) == ('train', 'held_out')
    assert train.hold_out == val.hold_out
    assert train.get('data_prefix') == val.get('data_prefix') != test.get('data_prefix')
    assert 'hold_out' not in test
    if name in HELD_OUT:
        everything, held_out, rest = HELD_OUT[name]
        names = list(map(str, range(everything)))
        assert len(part_of(names, val.hold_out, 'held_out')) == held_out
        assert len(part_of(names, train.hold_out, 'train')) == rest


def test_all_are_looked_at():
    assert set(HELD_OUT) <= set(BASES)
    assert {'mfnet_256x256', 'semanticrt_256x256'} <= set(BASES)


@pytest.mark.parametrize('schedule', sorted(path.stem for path in (CONFIGS / '_base_/schedules').glob('*.py')))
def test_the_best_checkpoint_of_validation_is_kept_or_can_be(schedule):
    """By every schedule that validates on the way; the short ones do with two options."""
    cfg = Config.fromfile(CONFIGS / f'_base_/schedules/{schedule}.py')
    if schedule.startswith('schedule_300'):
        assert cfg.default_hooks.checkpoint.get('save_best') is None
        options = {'default_hooks.checkpoint.save_best': 'mIoU', 'train_cfg.val_interval': 100}
        cfg = read_config(CONFIGS / 'uaafusion/uaafusion_unet-tiny_1xb4-300_msrs-128x160.py', options)
        assert cfg.train_cfg.val_interval == 100
    assert cfg.default_hooks.checkpoint.save_best == 'mIoU'
