"""The commands that the bootstrap runs, to set an environment up and once it is there."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
STUB = ROOT / 'tests/stubs/mmcv_ext.py'


@pytest.fixture
def bootstrap(load_tool, monkeypatch):
    """The tool in an environment that is ready; its value is a function of the arguments: (exit code, command)."""
    module = load_tool('bootstrap.py')
    commands = []

    def run(command, **options):
        assert options['cwd'] == ROOT
        commands.append(command)
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(module, 'set_up', lambda folder, torch, contents: f'{folder.name} with {contents.extras}')
    monkeypatch.setattr(subprocess, 'run', run)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['bootstrap.py', *arguments])
        code = module.main()
        return code, commands.pop()

    return call


@pytest.fixture
def installing(load_tool, monkeypatch, tmp_path):
    """The tool where nothing is installed yet; its value is a function of a stack: (what pip is told, the packages)."""
    module = load_tool('bootstrap.py')
    calls, site = [], tmp_path / 'site'
    (site / 'mmcv').mkdir(parents=True)

    def run(command, **options):
        assert options['check']
        calls.append(command)
        return SimpleNamespace(stdout=f'{site}\n')

    monkeypatch.setattr(subprocess, 'run', run)
    monkeypatch.setattr(module.venv, 'create', lambda folder, with_pip: folder.mkdir())

    def call(stack):
        calls.clear()
        module.set_up(tmp_path / stack, 'torch==0', module.TESTS[stack])
        return [command[6:] for command in calls if command[1:4] == ['-m', 'pip', 'install']], site

    return call


def test_demonstration(bootstrap):
    code, command = bootstrap('demo', '--work-dir', 'elsewhere')
    assert command == ['.venv with onedl,pretrained', 'tools/demo.py', '--work-dir', 'elsewhere']
    assert code == 3


def test_tests(bootstrap):
    code, command = bootstrap('test')
    assert command == ['.venv with onedl,tests,pretrained', '-m', 'pytest', '--numprocesses', '2']
    assert code == 3


def test_a_part_of_the_tests(bootstrap):
    _, command = bootstrap('test', '-m', 'slow', '--cov')
    assert command[3:] == ['--numprocesses', '2', '-m', 'slow', '--cov']


def test_slow_tests_are_asked_for(pytestconfig):
    options = pytestconfig.getini('addopts')
    assert options[options.index('-m') + 1] == 'not slow'


def test_tests_on_upstream(bootstrap):
    code, command = bootstrap('test', '--stack', 'upstream', 'tests/test_compat.py')
    assert command[:3] == ['.venv-upstream with tests-upstream,tests,pretrained', '-m', 'pytest']
    assert command[3:] == ['--numprocesses', '2', 'tests/test_compat.py']
    assert code == 3


def test_another_folder(bootstrap):
    _, command = bootstrap('test', '--stack', 'upstream', '--venv', 'elsewhere')
    assert command[0].startswith('elsewhere with')


@pytest.mark.parametrize('arguments', [('demo', '--stack', 'upstream'), ('test', '--stack', 'other')])
def test_refused(bootstrap, arguments, capsys):
    with pytest.raises(SystemExit):
        bootstrap(*arguments)
    assert '--stack' in capsys.readouterr().err


def test_what_is_installed(installing):
    told, site = installing('onedl')
    apart = str(site.parent / 'onedl/tests-onedl')
    assert told == [
        ['torch==0'],
        ['--editable', '.[onedl,tests,pretrained]'],
        ['--target', apart, '--no-deps', '--requirement', 'requirements/tests-onedl.txt'],
    ]
    assert not list((site / 'mmcv').iterdir())
    assert not installing('onedl')[0]  # It is up to date.

    told, site = installing('upstream')
    assert told == [['torch==0'], ['--editable', '.[tests-upstream,tests,pretrained]']]
    assert (site / 'mmcv/_ext.py').read_text('utf-8') == STUB.read_text('utf-8')


@pytest.mark.parametrize('stack', ['onedl', 'upstream'])
def test_requirements_of_recipes(stack):
    """Mask2Former's heads are in mmdet, ConvNeXt in mmpretrain; they are of the family of the stack."""
    lines = (ROOT / f'requirements/tests-{stack}.txt').read_text('utf-8').splitlines()
    named = {Requirement(line).name for line in lines if not line.startswith('#')}
    wanted = {'mmdet', 'mmpretrain'} if stack == 'upstream' else {'onedl-mmdetection', 'onedl-mmpretrain'}
    assert {name for name in named if name.removeprefix('onedl-').startswith(('mmdet', 'mmpretrain'))} == wanted


def test_stand_in_for_compiled_operators():
    """Every operator can be looked up, as mmcv does when it is imported, and none called."""
    find = runpy.run_path(str(STUB))['__getattr__']
    with pytest.raises(NotImplementedError, match="without its operator 'psamask_forward'; install mmcv"):
        find('psamask_forward')(1, out=2)
    with pytest.raises(AttributeError, match='__path__'):
        find('__path__')


def test_coverage_is_asked_for(pytestconfig):
    """It takes half as long again."""
    assert not [option for option in pytestconfig.getini('addopts') if 'cov' in option]
