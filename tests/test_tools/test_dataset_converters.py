"""The command lines of tools/dataset_converters."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(path.stem for path in (ROOT / 'tools/dataset_converters').glob('*.py'))
PUBLISHED = [name for name in TOOLS if name != 'generic']


@pytest.fixture
def converter(load_tool, capsys):
    """Function of a name and arguments that gives the exit code, what was printed, and what was told as an error."""

    def run(name, *arguments):
        status = load_tool(f'dataset_converters/{name}.py').main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_there_is_one_for_every_data_set():
    assert TOOLS == ['cwfid', 'fmb', 'generic', 'mfnet', 'msrs', 'pst900', 'semanticrt']


@pytest.mark.parametrize('kind', ['folder', 'zip'])
@pytest.mark.parametrize('name', PUBLISHED)
def test_converts(converter, published, tmp_path, name, kind):
    out = tmp_path / 'out'
    status, printed, told = converter(name, published(name, kind), '--out', out)
    assert (status, told) == (0, '')
    assert f'wrote {out}' in printed
    assert re.search(r'│ test +│ +\d+ │ +\d+x\d+ │ +\d+ to \d+ \(uint8\) │', printed)
    assert (out / 'train.txt').is_file()
    status, printed, told = converter(name, published(name, kind), '--out', out)
    assert (status, printed) == (1, '')
    assert re.fullmatch(r'error: .*out holds \d+ of the files already, such as .*; --force replaces them\n', told)
    assert converter(name, published(name, kind), '--out', out, '--force')[0] == 0


@pytest.mark.parametrize('name', PUBLISHED)
def test_dry_run(converter, published, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    status, printed, _ = converter(name, published(name, 'tar.gz'), '--dry-run')
    assert status == 0
    assert printed.endswith('nothing written (--dry-run)\n')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['download']


def test_options_of_single_tools(converter, published, tmp_path):
    assert converter('pst900', published('pst900'), '--out', tmp_path / 'raw', '--raw')[0] == 0
    assert (tmp_path / 'raw/train/thermal_raw').is_dir()
    bands = ('--nir-channel', 0, '--red-channel', 2, '--scale', 1)
    assert converter('cwfid', published('cwfid'), '--out', tmp_path / 'whole', *bands)[0] == 0
    assert cv2.imread(str(tmp_path / 'whole/train/vi/002.png'), cv2.IMREAD_UNCHANGED).shape == (12, 16)


def test_generic(converter, tmp_path):
    source = tmp_path / 'rec'
    for folder in ('rgb', 'ir', 'masks'):
        (source / folder).mkdir(parents=True)
        for stem in 'abc':
            assert cv2.imwrite(str(source / folder / f'{stem}.png'), np.zeros((8, 9), np.uint8))
    (tmp_path / 'test.txt').write_text('b\n')
    (tmp_path / 'empty.txt').write_text('\n')
    options = ('--vi', 'rgb', '--ir', 'ir/', '--labels', 'masks', '--classes', 'soil', 'crop')
    command = ('generic', source, '--out', tmp_path / 'out', *options, '--test-list')
    assert converter(*command, tmp_path / 'test.txt')[0] == 0
    assert (tmp_path / 'out/train.txt').read_text() == 'a\nc\n'
    assert 'empty.txt names no pair' in converter(*command, tmp_path / 'empty.txt')[2]
    assert 'nowhere.txt' in converter(*command, tmp_path / 'nowhere.txt')[2]


def test_errors_are_one_line(converter, published, tmp_path):
    for arguments, message in [
        (('msrs', tmp_path / 'nowhere.zip'), 'there is no folder or archive at .*nowhere'),
        (('fmb', published('msrs')), 'not the layout of FMB: missing are train/Visible'),
        (('cwfid', published('cwfid'), '--scale', 3), r'scale must be in \(0, 1\], got 3'),
        (('cwfid', published('cwfid'), '--nir-channel', 1, '--red-channel', 1), 'are both 1'),
        (('msrs', published('msrs')), 'the result would be in the source'),
    ]:
        out = published('msrs') / 'out' if 'would be' in message else tmp_path / 'out'
        status, printed, told = converter(*arguments, '--out', out)
        assert (status, printed) == (1, '')
        assert re.fullmatch(rf'error: .*{message}.*\n', told), told
        assert not out.exists()


@pytest.mark.parametrize('name', TOOLS)
def test_help(load_tool, capsys, name):
    """With an example, and the default that the configs read."""
    with pytest.raises(SystemExit) as stopped:
        load_tool(f'dataset_converters/{name}.py').main(['--help'])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f'python tools/dataset_converters/{name}.py' in shown
    assert '--force' in shown
    assert f'(default: data/{"mine" if name == "generic" else name})' in ' '.join(shown.split())


def test_help_from_anywhere(tmp_path):
    command = [sys.executable, '-W', 'ignore', ROOT / 'tools/dataset_converters/msrs.py', '--help']
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert 'MSRS-main.zip' in run.stdout
