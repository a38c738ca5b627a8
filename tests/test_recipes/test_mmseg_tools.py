"""mmseg's own functions and tools on a joint model."""

import os
import subprocess
import sys
from pathlib import Path

import mmseg
import pytest
import recipes
import torch
from mmseg.apis import init_model

from mmfusion import STACK

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(mmseg.__file__).parent / '.mim/tools'


def call(tool, *arguments, cwd):
    """Run a tool of mmseg in a process that knows nothing of mmfusion but where it is."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    env = {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture
def recipe(pair_folder, tmp_path):
    """A joint model in SegFormer's recipe, in one file, as a run keeps it in its work folder."""
    cfg = recipes.child_config('segformer', pair_folder(tmp_path / 'data'), tmp_path)
    recipes.shrink_run(cfg, 'segformer')
    cfg.log_level = 'INFO'
    cfg.model.segmentor.backbone.embed_dims = 8
    cfg.model.segmentor.decode_head.update(in_channels=[8, 16, 40, 64], channels=8)
    cfg.default_hooks.checkpoint.interval = cfg.default_hooks.logger.interval = 1
    cfg.env_cfg.mp_cfg.mp_start_method = 'fork'
    both = [dict(type='IoUMetric', iou_metrics=['mIoU']), dict(type='FusionMetric', metrics=('EN', 'SCD'))]
    cfg.test_evaluator = dict(type='FusionEvaluator', metrics=both)
    cfg.dump(tmp_path / 'joint.py')
    return tmp_path / 'joint.py'


@pytest.mark.slow
def test_train_test_benchmark(recipe, tmp_path):
    told = call('train.py', recipe, '--work-dir', tmp_path / 'run', cwd=tmp_path)
    assert 'Iter(train) [1/1]' in told
    checkpoint = tmp_path / 'run/iter_1.pth'
    told = call(
        'test.py', recipe, checkpoint, '--work-dir', tmp_path / 'run', '--out', tmp_path / 'labels', cwd=tmp_path
    )
    assert 'mIoU' in told
    assert 'fusion/SCD' in told
    assert len(list((tmp_path / 'labels').glob('*.png'))) == 6
    work, kind = ('--work-dir', tmp_path / 'run'), 'tta_model.type=FusionTTAModel'
    told = call('test.py', recipe, checkpoint, *work, '--tta', '--cfg-options', kind, cwd=tmp_path)
    assert 'mIoU' in told
    assert 'fusion/SCD' in told

    model = init_model(str(recipe), str(checkpoint), device='cpu')
    assert not model.training
    saved = torch.load(checkpoint, weights_only=False)['state_dict']
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
def test_our_tools(recipe, tool, tmp_path):
    assert tool('train', recipe, '--work-dir', tmp_path / 'run') == 0
    work, out = ('--work-dir', tmp_path / 'test'), ('--out', tmp_path / 'out')
    assert tool('test', recipe, tmp_path / 'run/iter_1.pth', *work, *out, '--tta') == 0
    assert len(list((tmp_path / 'out/labels').glob('*.png'))) == 6
    assert len(list((tmp_path / 'out/fused').glob('*.png'))) == 6


@pytest.mark.xfail(
    STACK['mmseg'] == 'mmsegmentation',
    reason='mmseg 1.2.2 draws labels into an array that OpenCV refuses, of its own data sets too; the fork copies it',
    strict=True,
)
def test_browse_dataset(recipe, tmp_path):
    call('analysis_tools/browse_dataset.py', recipe, '--not-show', '--output-dir', tmp_path / 'shown', cwd=tmp_path)
    assert len(list((tmp_path / 'shown').glob('*.png'))) == 6


def test_pretrained_as_mmseg_passes_it(recipe):
    """`init_model` says None, which leaves what the segmentor's config names; nothing is fetched until it is asked."""
    model = init_model(str(recipe), None, device='cpu', cfg_options={'model.segmentor.pretrained': None})
    assert type(model).__name__ == 'FusionSegmentor'


def test_bases_of_mmseg_under_its_own_tools(tmp_path):
    """The fork's mmengine does not know mmseg's distribution until mmfusion was imported: by a first base."""
    (tmp_path / 'boot.py').write_text("__import__('mmfusion')\n")
    text = recipes.CHILD.format(recipe=recipes.FAMILIES['segformer'], data='data')
    text = text.replace("_base_ = 'mmseg::", "_base_ = ['./boot.py', 'mmseg::", 1).replace(".py'\n", ".py']\n", 1)
    (tmp_path / 'child.py').write_text(text)
    script = f'from mmengine.config import Config; print(Config.fromfile({str(tmp_path / "child.py")!r}).model.type)'
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=120, env=env, check=False
    )
    assert done.stdout.strip().endswith('FusionSegmentor'), done.stderr
