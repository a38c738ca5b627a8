"""docs/decoders.md tells what holds: every base model of mmseg behind a fusion."""

import os
import subprocess
import sys
from pathlib import Path

import decoders
import pytest
import recipes

from mmfusion import STACK

ROOT = Path(__file__).resolve().parents[2]
# mmseg takes operators of mmcv as it finds them when it is imported.
IN_A_PROCESS = ('ccnet_r50-d8', 'pointrend_r50', 'san_vit-b16')


def call(*arguments):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    env = {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, decoders.__file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def marked(names):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in decoders.SLOW else []) for name in names]


@pytest.mark.parametrize('name', marked(name for name in decoders.bases() if name not in decoders.NEEDS))
def test_as_it_is(name):
    decoders.step(name)


@pytest.mark.parametrize(
    'name', marked(name for name, need in decoders.NEEDS.items() if need.works and name not in IN_A_PROCESS)
)
def test_with_what_it_needs(name):
    recipes.stand_in_for_extensions()
    decoders.step(name)


@pytest.mark.parametrize('name', marked(IN_A_PROCESS))
def test_with_operators(name):
    call(name)


def test_no_segmentor():
    with pytest.raises(ValueError, match='the segmentor config has no decode_head'):
        decoders.build('vpd_sd')


def test_the_page():
    assert call() == decoders.page()
    if STACK['mmseg'] != 'onedl-mmsegmentation':
        pytest.skip('docs/decoders.md lists the base models of the fork')
    assert (ROOT / 'docs/decoders.md').read_text() == decoders.page(), 'python tests/decoders.py > docs/decoders.md'
