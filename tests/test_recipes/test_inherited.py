"""A complete config of mmseg becomes a joint model by nine lines, with all that it says of data and schedule."""

import os
import subprocess
import sys

import pytest
import recipes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# mmseg takes their heads from mmdet as it finds it when it is imported.
IN_A_PROCESS = ('mask2former',)


def test_at_most_ten_lines():
    assert len(recipes.CHILD.splitlines()) <= 10


@pytest.mark.parametrize('family', [family for family in recipes.FAMILIES if family not in IN_A_PROCESS])
def test_a_recipe(family, pair_folder, tmp_path):
    recipes.stand_in_for_extensions()
    recipes.step(family, pair_folder(tmp_path / 'data'), tmp_path)


@pytest.mark.parametrize('family', IN_A_PROCESS)
def test_a_recipe_of_masks(family, pair_folder, tmp_path):
    command = [sys.executable, recipes.__file__, family, str(pair_folder(tmp_path / 'data')), str(tmp_path)]
    path = os.pathsep.join(filter(None, [ROOT, os.environ.get('PYTHONPATH')]))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, 'PYTHONPATH': path}, check=False
    )
    assert done.returncode == 0, done.stderr
