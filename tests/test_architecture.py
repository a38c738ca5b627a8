"""What each room may know (docs/architecture.md), read from the imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mmfusion

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmfusion'
# Roots that a pure room may import, besides Python's own.
PURE = {'torch', 'numpy'}
# What computes a metric that is asked for by name.
OPTIONAL = {'perceptual.py': {'torchmetrics', 'pyiqa'}}


def imports_of(path):
    """Full names of all modules and names that a file imports, also inside functions."""
    package = path.relative_to(ROOT).with_suffix('').parts[:-1]
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = list(package[: len(package) - node.level + 1]) if node.level else []
            module = '.'.join([*start, *([node.module] if node.module else [])])
            yield from (f'{module}.{alias.name}' for alias in node.names)


def knows(room, *others):
    """Imports of a room that lead into other rooms, as 'file: import'."""
    files = [room] if room.suffix == '.py' else sorted(room.rglob('*.py'))
    found = []
    for path in files:
        for name in imports_of(path):
            if name.startswith(tuple(f'mmfusion.{other}' for other in others)):
                found.append(f'{path.relative_to(ROOT).as_posix()}: {name}')
    return found


@pytest.mark.parametrize('room', ['attribution', 'evaluation/functional'])
def test_pure_rooms_know_torch_only(room):
    own = f'mmfusion.{room.replace("/", ".")}'
    foreign = []
    for path in sorted((PACKAGE / room).rglob('*.py')):
        for name in imports_of(path):
            root = name.split('.')[0]
            known = PURE | sys.stdlib_module_names | OPTIONAL.get(path.name, set())
            if root not in known and not name.startswith(own):
                foreign.append(f'{path.name}: {name}')
    assert not foreign


def test_fusions_know_no_segmentor():
    above = ('models.segmentors', 'models.scorer', 'datasets', 'engine', 'apis', 'analysis', 'visualization')
    assert not knows(PACKAGE / 'models/fusion', *above)


def test_readings_know_images_only():
    above = ('models.fusion', 'models.segmentors', 'models.scorer', 'attribution', 'datasets', 'engine', 'apis')
    assert not knows(PACKAGE / 'models/reading', *above)


def test_models_and_data_know_nothing_above_them():
    for room in ('models', 'datasets', 'evaluation'):
        assert not knows(PACKAGE / room, 'engine', 'apis', 'analysis', 'deploy')


def test_deployment_is_called_with_a_model():
    above = ('apis', 'analysis', 'datasets', 'evaluation', 'visualization', 'released')
    assert not knows(PACKAGE / 'deploy', *above)
    assert set(knows(PACKAGE / 'deploy', 'engine')) == {
        'mmfusion/deploy/export.py: mmfusion.engine.atomic_files.write_atomically'
    }
    assert not knows(PACKAGE / 'engine', 'deploy')


def test_hooks_know_no_inside_of_the_segmentor():
    assert not knows(PACKAGE / 'engine', 'models.segmentors.fusion_segmentor', 'models.fusion', 'apis', 'analysis')


def test_nothing_but_tools_knows_analysis():
    rooms = [path for path in PACKAGE.iterdir() if path.name not in ('analysis', '__pycache__')]
    assert not [line for room in rooms if room.is_dir() or room.suffix == '.py' for line in knows(room, 'analysis')]


def test_what_is_read_is_what_is_imported():
    """The reader of imports itself: relative ones, those inside functions, and names."""
    found = set(imports_of(PACKAGE / 'models/fusion/uaafusion.py'))
    assert {
        'mmfusion.models.fusion.base.BaseFusion',
        'mmfusion.attribution.Attribution',
        'mmfusion.released.build_released_fusion',
    } <= found
    assert knows(PACKAGE / 'models/fusion', 'released') == [
        'mmfusion/models/fusion/uaafusion.py: mmfusion.released.build_released_fusion'
    ]


def test_importing_models_imports_neither_released_nor_analysis():
    code = (
        'import sys, mmfusion.models, mmfusion.attribution, mmfusion.engine.hooks, mmfusion.apis\n'
        "print([name for name in sys.modules if name.startswith(('mmfusion.released', 'mmfusion.analysis'))])"
    )
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'


def test_no_file_bends_the_path():
    bent = f'sys.path.{"insert"}'
    files = [path for folder in (PACKAGE, ROOT / 'tools', ROOT / 'tests') for path in folder.rglob('*.py')]
    assert len(files) > 150
    assert not [path.name for path in files if bent in path.read_text('utf-8')]


def test_types_are_shipped():
    assert (Path(mmfusion.__file__).parent / 'py.typed').is_file()
