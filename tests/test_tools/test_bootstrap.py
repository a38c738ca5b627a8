"""The commands that the bootstrap runs once its environment is there."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap(load_tool, monkeypatch):
    """The tool in an environment that is ready; its value is a function of the arguments: (exit code, command)."""
    module = load_tool('bootstrap.py')
    commands = []

    def run(command, **options):
        assert options['cwd'] == ROOT
        commands.append(command)
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(module, 'set_up', lambda folder, torch, extras: Path(f'python-with-{extras}'))
    monkeypatch.setattr(subprocess, 'run', run)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['bootstrap.py', *arguments])
        code = module.main()
        return code, commands.pop()

    return call


def test_demonstration(bootstrap):
    code, command = bootstrap('demo', '--work-dir', 'elsewhere')
    assert command == ['python-with-onedl,pretrained', 'tools/demo.py', '--work-dir', 'elsewhere']
    assert code == 3


def test_tests_print_coverage(bootstrap):
    code, command = bootstrap('test', '-m', 'slow')
    assert command[:3] == ['python-with-onedl,tests,pretrained', '-m', 'pytest']
    assert {'--cov', '--cov-report=term:skip-covered'} <= set(command)
    assert command[-2:] == ['-m', 'slow']
    assert code == 3


def test_single_test_measures_no_coverage(pytestconfig):
    """Coverage is the bootstrap's, not a default of pytest: it makes a test run slower by about a third."""
    assert not [option for option in pytestconfig.getini('addopts') if 'cov' in option]
