"""The room of the released code: what it may know, who may know it, and how a config finds what is in it."""

import ast
import copy
import pkgutil
import subprocess
import sys
from pathlib import Path

import mmseg.registry
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmfusion
import mmfusion.released
from mmfusion import registry
from mmfusion.released import options

PACKAGE = Path(mmfusion.__file__).parent
CONFIGS = PACKAGE.parent / 'configs'
ROOM = PACKAGE / 'released'
# The released code, and those who compare with it.
MAY_KNOW = ('released', 'analysis')
RELEASED_CONFIGS = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob('*.py') if path.stem.startswith('uaafusion-released')
)


def imported_modules(path, statements=None):
    """Dotted names of all modules that a file imports, at the top (statements of the module) or anywhere."""
    tree = ast.parse(path.read_text())
    package = ['mmfusion', *path.relative_to(PACKAGE).parent.parts]
    found = set()
    for node in statements(tree) if statements else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            found |= {f'{module}.{alias.name}' for alias in node.names}
    return found


def outside_functions(tree):
    """Every node but those that run only when a function is called."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def run(*lines):
    """Standard output of a new Python."""
    done = subprocess.run(
        [sys.executable, '-c', '\n'.join(lines)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_module_imports_the_room():
    """But one method, when it is called."""
    knows, knows_at_import = set(), set()
    for path in PACKAGE.rglob('*.py'):
        place = path.relative_to(PACKAGE)
        if place.parts[0] in (*MAY_KNOW, '.mim'):
            continue
        if any(name.startswith('mmfusion.released') for name in imported_modules(path)):
            knows.add(place.as_posix())
        if any(name.startswith('mmfusion.released') for name in imported_modules(path, outside_functions)):
            knows_at_import.add(place.as_posix())
    assert knows_at_import == set()
    assert knows == {'models/fusion/uaafusion.py'}


def test_the_room_knows_models_only():
    allowed = ('mmfusion.released', 'mmfusion.models', 'mmfusion.registry')
    for path in ROOM.glob('*.py'):
        ours = {name for name in imported_modules(path) if name.startswith('mmfusion')}
        assert all(name.startswith(allowed) for name in ours), path.name
    # Neither's mistakes hide in the other.
    assert not any(name.startswith('mmfusion') for name in imported_modules(ROOM / 'reference.py'))


def test_importing_the_rest_does_not_import_the_room():
    rest = [module.name for module in pkgutil.iter_modules(mmfusion.__path__) if module.name not in MAY_KNOW]
    assert {'models', 'apis', 'engine', 'registry'} <= set(rest)
    printed = run(
        'import importlib, sys',
        'import mmfusion.models',
        "assert not any(m.startswith('mmfusion.released') for m in sys.modules)",
        f'for name in {rest!r}:',
        "    importlib.import_module(f'mmfusion.{name}')",
        "print([m for m in sys.modules if m.startswith('mmfusion.released')])",
    )
    assert printed[-1:] == ['[]']


@pytest.mark.parametrize('first', ['', 'import mmfusion.models', 'import mmfusion.released', 'import mmfusion.apis'])
def test_registered_whatever_was_imported_before(first):
    """mmengine imports the places of a registry once, when something is asked of it."""
    printed = run(
        first,
        'from mmfusion.registry import MODELS',
        'from mmseg.registry import MODELS as THEIRS',
        "names = ['DilatedMobileNetV2', 'ReleasedDeepLabHead']",
        "keys = [prefix + name for name in names for prefix in ('', 'mmfusion.')]",
        'found = [each.get(key) for each in (MODELS, THEIRS) for key in keys]',
        'import mmfusion.released',
        'wanted = [getattr(mmfusion.released, key.removeprefix("mmfusion.")) for key in keys] * 2',
        'print(len(found), [one is other for one, other in zip(found, wanted)])',
    )
    assert printed[-1:] == [f'8 {[True] * 8}']


def test_a_default_model_builds_in_a_new_process():
    """There the registry imports the room while the first model is built."""
    printed = run(
        'import mmfusion.models, sys',
        'from mmengine.registry import MODELS, DefaultScope',
        "DefaultScope.get_instance('run', scope_name='mmfusion')",
        "fusion = MODELS.build(dict(type='UAAFusion', num_stages=2, channels=4))",
        'print(type(fusion).__name__, type(fusion.unfolding).__name__)',
    )
    assert printed[-1:] == ['UAAFusion MemoryUnfoldingHead']


@pytest.mark.parametrize('prefix', ['', 'mmfusion.'])
def test_both_spellings_build(prefix):
    backbone = dict(type=f'{prefix}DilatedMobileNetV2', in_channels=1, widen_factor=0.25, out_indices=(1, 6))
    head = dict(type=f'{prefix}ReleasedDeepLabHead', in_channels=(8, 80), channels=8, num_classes=3)
    assert type(registry.MODELS.build(backbone)) is mmfusion.released.DilatedMobileNetV2
    assert type(registry.MODELS.build(head)) is mmfusion.released.ReleasedDeepLabHead
    if prefix:
        with DefaultScope.overwrite_default_scope('mmseg'):
            assert type(mmseg.registry.MODELS.build(backbone)) is mmfusion.released.DilatedMobileNetV2


def test_exported_names():
    exported = mmfusion.released.__all__
    assert len(set(exported)) == len(exported)
    assert all(hasattr(mmfusion.released, name) for name in exported)
    assert {name for name in vars(options) if name.startswith('RELEASED_')} <= set(exported)


def test_there_are_released_configs():
    assert len(RELEASED_CONFIGS) == 4


@pytest.mark.parametrize('name', RELEASED_CONFIGS)
def test_configs_take_the_options_from_here(name):
    """And the options are still what they were after a config was read, changed and built."""
    everything = {key: value for key, value in vars(options).items() if key.startswith('RELEASED_')}
    before = copy.deepcopy(everything)
    config = Config.fromfile(CONFIGS / name)
    assert 'released' not in config
    model = config.model.to_dict()
    assert {key: model['fusion'][key] for key in options.RELEASED_FUSION} == options.RELEASED_FUSION
    assert model['fusion']['head'] == options.RELEASED_HEAD
    switches = options.RELEASED_LEARNING if name.startswith('ablations') else options.RELEASED_MODEL
    assert {key: model[key] for key in switches} == switches

    config.model.fusion.update(num_stages=2, channels=4, steps=2)
    config.model.fusion.head.residual = True
    config.model.scorer.mode = 'eval'
    if 'optim_wrapper' in config:
        with DefaultScope.overwrite_default_scope('mmfusion'):
            registry.MODELS.build(config.model)
    assert everything == before


@pytest.mark.parametrize('name', RELEASED_CONFIGS)
def test_a_written_config_has_the_options_written_out(name, tmp_path):
    """A run keeps its config: there they can be read, and do not change with the code."""
    config = Config.fromfile(CONFIGS / name)
    config.dump(tmp_path / 'config.py')
    text = (tmp_path / 'config.py').read_text()
    assert "rule='right'" in text
    assert 'released.' not in text
    assert Config.fromfile(tmp_path / 'config.py').to_dict() == config.to_dict()


def test_a_config_is_read_where_nothing_of_ours_was_imported():
    printed = run(
        'from mmengine.config import Config',
        f'config = Config.fromfile({str(CONFIGS / RELEASED_CONFIGS[0])!r})',
        'print(config.model.fusion.attribution.rule)',
    )
    assert printed[-1:] == ['right']


def test_from_released_keeps_the_class():
    class Subclass(mmfusion.models.UAAFusion):
        pass

    fusion = Subclass.from_released(mmfusion.released.ReleasedNetwork(num_stages=2, channels=4).state_dict(), steps=3)
    assert type(fusion) is Subclass
    assert fusion.attribution.steps == 3
    assert options.RELEASED_FUSION['attribution']['steps'] == 5
