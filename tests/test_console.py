"""The command ``mmfusion``."""

import subprocess
import sys
from pathlib import Path

import pytest

import mmfusion
from mmfusion import console, shipped

ROOT = Path(__file__).resolve().parents[1]
AVERAGE = 'average_unet-tiny_1xb4-300_synthetic-96x128'


def test_every_tool_has_a_line(capsys):
    """Of what it says of itself, but for the one that only a checkout needs."""
    assert console.main(['--help']) == 0
    told = capsys.readouterr().out
    files = {path.stem for path in (ROOT / 'tools').rglob('*.py')} - {'bootstrap'}
    assert set(console.tools()) == files
    for name in files:
        (line,) = (line for line in told.splitlines() if line.split()[:1] == [name])
        assert len(line.split()) > 3, name
    assert told == console.usage() + '\n'


def test_names_are_unique():
    """A tool is called by its name alone."""
    names = [path.stem for path in (ROOT / 'tools').rglob('*.py')]
    assert len(names) == len(set(names))


@pytest.mark.parametrize('argv', [[], ['-h']])
def test_help(argv, capsys):
    assert console.main(argv) == 0
    assert capsys.readouterr().out.startswith('usage: mmfusion TOOL')


def test_version(capsys):
    assert console.main(['--version']) == 0
    assert capsys.readouterr().out == f'mmfusion {mmfusion.__version__}\n'


@pytest.mark.parametrize(('name', 'closest'), [('fues', 'closest are fuse'), ('compares', 'closest are compare')])
def test_unknown_tool(name, closest, capsys):
    assert console.main([name, '--help']) == 2
    told = capsys.readouterr().err
    assert f'no tool is called {name!r}; {closest}' in told


def test_a_tool_runs_and_leaves_by_itself(monkeypatch, capsys, pair_folder, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['mmfusion'])
    data = pair_folder(tmp_path / 'data')
    inputs = ['--ir', str(data / 'ir'), '--vi', str(data / 'vi'), '--out', str(tmp_path / 'out'), '--save', 'fused']
    with pytest.raises(SystemExit) as left:
        console.main(['fuse', AVERAGE, *inputs])
    assert left.value.code == 0
    assert len(list((tmp_path / 'out/fused').iterdir())) == 6
    with pytest.raises(SystemExit) as left:
        console.main(['fuse', AVERAGE, *inputs[:2], '--vi', 'nowhere', *inputs[4:]])
    assert left.value.code == 1
    with pytest.raises(SystemExit) as left:
        console.main(['fuse', '--help'])
    assert left.value.code == 0
    assert 'usage: fuse.py [-h] --ir PATH' in capsys.readouterr().out


def test_as_a_module(tmp_path):
    command = [sys.executable, '-m', 'mmfusion', 'fusion']
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: no tool is called 'fusion'; closest are")


def test_an_installation_without_tools(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(shipped, '__file__', str(tmp_path / 'mmfusion/shipped.py'))
    assert console.tools() == {}
    assert console.main(['fuse']) == 2
    assert 'this installation has none' in capsys.readouterr().err


def test_what_lies_beside_is_not_ours(monkeypatch, tmp_path):
    """Of a folder `tools` beside an installed package, unless our configs are there too."""
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/fuse.py').write_text('raise SystemExit(7)')
    monkeypatch.setattr(shipped, '__file__', str(tmp_path / 'mmfusion/shipped.py'))
    assert shipped.shipped('tools') is None
    (tmp_path / 'mmfusion/.mim/configs/_base_').mkdir(parents=True)
    (tmp_path / 'mmfusion/.mim/configs/_base_/default_runtime.py').touch()
    (tmp_path / 'mmfusion/.mim/tools').mkdir()
    assert shipped.shipped('tools') == tmp_path / 'mmfusion/.mim/tools'
    assert console.tools() == {}
