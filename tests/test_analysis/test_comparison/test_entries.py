"""Configs as methods on data sets."""

from pathlib import Path

import pytest

from mmfusion.analysis.comparison.entries import (
    column_names,
    differing_recipes,
    entries_on,
    find_entries,
    read_entry,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def configs(tmp_path):
    """Function of names below a folder: writes them, returns the folder."""

    def write(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text('model = dict()')
        return tmp_path

    return write


def test_every_config_of_the_project_has_a_name_that_is_read():
    paths = [path for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name != '_base_']
    entries = {path.name: read_entry(path) for path in paths}
    assert len(entries) > 20
    entry = entries['uaafusion_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256.py']
    assert (entry.method, entry.recipe, entry.dataset) == ('uaafusion', 'deeplabv3plus_mobilenet-v2_1xb8-8k', 'msrs')
    assert {entry.crop for entry in entries.values()} == {'96x128', '128x160', '256x256'} | {
        entry.crop for entry in entries.values() if entry.dataset not in ('synthetic', 'cwfid', 'msrs', 'fmb')
    }


def test_patterns(configs):
    folder = configs('baselines/early_u_s_a-8x8.py', 'baselines/late_u_s_b-8x8.py', 'ours/ours_u_s_a-8x8.py')
    patterns = [f'{folder}/ours/*.py', f'{folder}/baselines/*', f'{folder}/*/early*']
    entries = find_entries(patterns)
    assert [(entry.method, entry.dataset, entry.is_baseline) for entry in entries] == [
        ('early', 'a', True),
        ('late', 'b', True),
        ('ours', 'a', False),
    ]
    named = find_entries(patterns, ['ours'])
    assert [entry.method for entry in named if entry.is_baseline] == ['ours']
    with pytest.raises(FileNotFoundError, match=r'no config matches .*nothing'):
        find_entries([*patterns, f'{folder}/nothing*.py'])
    with pytest.raises(ValueError, match="no config is of the baseline 'other'; methods are early, late, ours"):
        find_entries(patterns, ['other'])


def test_one_config_per_cell(configs):
    folder = configs('x/ours_unet_300_a-8x8.py', 'x/ours_segformer_8k_a-8x8.py', 'x/ours_unet_300_a-16x16.py')
    with pytest.raises(ValueError, match=r'are both ours on a-8x8.*one model and one schedule'):
        find_entries([f'{folder}/x/*.py'])
    assert len(find_entries([f'{folder}/x/*unet*'])) == 2  # Another crop is another column.


@pytest.mark.parametrize('name', ['demo.py', '_a.py', 'a_.py'])
def test_names_that_say_nothing(name):
    with pytest.raises(ValueError, match='does not say which method'):
        read_entry(Path(name))


def test_where_cost_is_measured():
    names = ['a_u_s_x-8x8', 'a_u_s_y-8x8', 'b_u_s_y-8x8', 'a_u_s_x-4x4']
    entries = [read_entry(Path(f'{name}.py')) for name in names]
    assert [entry.name for entry in entries_on(entries)] == names[1:3]
    assert [entry.name for entry in entries_on(entries, 'x-4x4')] == names[3:]
    with pytest.raises(ValueError, match="'x' is x-8x8 and x-4x4; name one"):
        entries_on(entries, 'x')
    with pytest.raises(ValueError, match="no config is on 'z'; they are on x-8x8, y-8x8, x-4x4"):
        entries_on(entries, 'z')
    assert column_names(entries) == {'x-8x8': 'x-8x8', 'y-8x8': 'y', 'x-4x4': 'x-4x4'}
    assert differing_recipes(entries) == []
