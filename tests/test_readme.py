"""What the README shows runs, and what it and the other pages name is there."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmfusion.registry import DATASETS, MODELS

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


def test_ten_lines(tmp_path):
    """The child of a complete config of mmseg builds what it says, with the recipe's schedule and augmentation."""
    (example,) = (block for block in code('python') if '_base_.model' in block)
    assert len(example.splitlines()) <= 10
    (tmp_path / 'child.py').write_text(example)
    cfg = Config.fromfile(str(tmp_path / 'child.py'))
    assert (cfg.default_scope, cfg.train_cfg.max_iters) == ('mmseg', 160000)
    DefaultScope.get_instance('ten_lines', scope_name='mmseg')
    model = MODELS.build({**cfg.model, 'pretrained': False})
    assert model.num_classes == 9
    folders = []
    for split, part in (('train', 'train'), ('val', 'held_out'), ('test', 'train')):
        data = DATASETS.build({**cfg[f'{split}_dataloader'].dataset, 'lazy_init': True})
        assert data.part == part
        folders.append(Path(data.data_root).name)
    assert folders == ['train', 'train', 'test']
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert 'PhotoMetricDistortion' in kinds


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
