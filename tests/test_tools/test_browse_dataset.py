"""The command line of tools/analysis_tools/browse_dataset.py."""

import re

import cv2
import pytest

DRAWN = 'uaafusion_unet-tiny_1xb4-300_synthetic-96x128'


@pytest.fixture
def tool(load_tool, capsys):
    def run(*arguments):
        status = load_tool('analysis_tools/browse_dataset.py').main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_drawn_scenes_by_name(tool, tmp_path):
    status, printed, told = tool(DRAWN, '--number', 2, '--out', tmp_path / 'out', '--seed', 4)
    assert (status, told) == (0, '')
    assert printed == f'wrote 2 of 400 pairs to {tmp_path / "out"}\n'
    files = sorted((tmp_path / 'out').iterdir())
    assert len(files) == 2
    for file in files:
        assert re.fullmatch(r'\d{5}_.*\.png', file.name)
        assert cv2.imread(str(file)).shape[1] == 3 * 256 + 2 * 4


def test_files_and_default_folder(tool, paired_config, tmp_path, monkeypatch):
    config = paired_config((32, 48), 3)
    monkeypatch.chdir(tmp_path)
    status, printed, _ = tool(config, '--split', 'test')
    assert status == 0
    assert printed == 'wrote 3 of 3 pairs to work_dirs/tiny/browse_test\n'
    names = [path.name for path in sorted((tmp_path / 'work_dirs/tiny/browse_test').iterdir())]
    assert names == ['00000_000.png', '00001_001.png', '00002_002.png']


def test_options_reach_the_data(tool, paired_config, tmp_path):
    config = paired_config((32, 48), 4)
    option = 'val_dataloader.dataset.hold_out=2'
    out = tmp_path / 'out'
    _, printed, _ = tool(config, '--split', 'val', '--out', out, '--cfg-options', option)
    assert printed.startswith('wrote 2 of 2 pairs')


def test_errors_are_one_line(tool, paired_config, tmp_path):
    config = paired_config((32, 48), 3)
    for arguments, message in [
        (('nowhere.py',), 'no config at nowhere'),
        ((config, '--number', 0), '--number must be at least 1, got 0'),
        ((config, '--cfg-options', 'train_dataloader.dataset.data_root=nowhere'), 'nowhere'),
    ]:
        status, printed, told = tool(*arguments, '--out', tmp_path / 'out')
        assert (status, printed) == (1, '')
        assert re.fullmatch(rf'error: .*{message}.*\n', told), told
        assert not (tmp_path / 'out').exists()
