"""What the README shows runs, and what it and the other pages name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')


def code(language):
    return re.findall(rf'```{language}\n(.*?)```', README, flags=re.S)


def test_python_example_runs():
    (example,) = (block for block in code('python') if 'import torch' in block)
    scope = {}
    exec(example, scope)
    assert scope['result'].fused.shape == (1, 1, 64, 96)
    assert (scope['result'].weight_ir + scope['result'].weight_vi - 1).abs().max() < 1e-6


def test_config_example_is_the_config():
    (example,) = (block for block in code('python') if '_base_.model' in block)
    assert example in (ROOT / 'configs/_base_/models/uaafusion_segformer_mit-b0.py').read_text(encoding='utf-8')


def test_reading_example_is_the_config():
    (example,) = (block for block in code('python') if 'reads=' in block)
    name = 'uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
    assert example in (ROOT / 'configs' / name).read_text(encoding='utf-8')


def test_named_files_exist():
    named = set(re.findall(r'(?<!_)((?:configs|tools|docs)/[\w./-]+\.(?:py|md))', README))
    named |= {f'configs/{name}' for name in re.findall(r'`((?:uaafusion|baselines)/[^`{*]+\.py)`', README)}
    assert len(named) >= 8
    missing = [name for name in named if not (ROOT / name).is_file()]
    assert not missing


@pytest.mark.parametrize(
    'page', [*sorted((ROOT / 'docs').glob('*.md')), ROOT / 'CONTRIBUTING.md'], ids=lambda page: page.stem
)
def test_pages_name_files_that_exist(page):
    folders = '(?:configs|tools|docs|tests|mmfusion)'
    named = set(re.findall(rf'(?<![\w/]){folders}/[\w./-]+\.(?:py|md)', page.read_text('utf-8')))
    assert named
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_ci_runs_the_test_command():
    (command,) = (line for block in code('bash') for line in block.splitlines() if line.endswith('bootstrap.py test'))
    assert command in (ROOT / '.ci/run').read_text(encoding='utf-8').splitlines()
