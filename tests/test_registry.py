"""Child registries: plain and prefixed names, from this scope and from mmseg's."""

import importlib
import subprocess
import sys

import mmseg.registry
import pytest
from mmengine import registry as mmengine_registry
from mmengine.registry import DefaultScope, Registry

from mmfusion import registry
from mmfusion.utils import register_all_modules

KINDS = sorted(name for name, value in vars(mmseg.registry).items() if isinstance(value, Registry))
OURS = dict(
    MODELS=(
        'UAAFusion',
        'MemoryUnfoldingHead',
        'FusionSegmentor',
        'FusionDataPreProcessor',
        'AverageFusion',
        'LaplacianPyramidFusion',
        'MaximumFusion',
        'VisibleOnly',
        'InfraredOnly',
        'ConcatenationFusion',
        'AttributionFusionLoss',
        'JointGradientLoss',
        'DilatedMobileNetV2',
        'ReleasedDeepLabHead',
    ),
    DATASETS=('PairedSegDataset', 'MSRSDataset', 'CWFIDDataset', 'SyntheticThermalScenes'),
    TRANSFORMS=('LoadPairFromFile', 'LoadPairAnnotations', 'ApplyToModality', 'PackFusionInputs'),
    METRICS=('FusionMetric', 'PerClassIoUMetric'),
    HOOKS=(
        'AttributionFusionLossHook',
        'FusionVisualizationHook',
        'FusedImageHook',
        'IterSeedHook',
        'CheckpointArchitectureHook',
    ),
)
THEIRS = dict(
    MODELS=('EncoderDecoder', 'SegTTAModel'),
    DATASETS=('CityscapesDataset',),
    TRANSFORMS=('PackSegInputs', 'RandomFlip'),
    METRICS=('IoUMetric',),
    HOOKS=('SegVisualizationHook', 'CheckpointHook'),
    VISUALIZERS=('SegLocalVisualizer',),
    VISBACKENDS=('LocalVisBackend',),
    OPTIM_WRAPPERS=('OptimWrapper',),
    LOOPS=('IterBasedTrainLoop',),
)


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_has_a_child(kind):
    child, parent = getattr(registry, kind), getattr(mmseg.registry, kind)
    assert child.parent is parent
    assert child.scope == 'mmfusion'
    assert parent.children['mmfusion'] is child
    for location in child._locations:
        importlib.import_module(location)


@pytest.mark.parametrize(('kind', 'name'), [(kind, name) for kind, names in OURS.items() for name in names])
def test_ours(kind, name):
    ours, theirs = getattr(registry, kind), getattr(mmseg.registry, kind)
    found = ours.get(name)
    assert found.__name__ == name
    assert found.__module__.startswith('mmfusion.')
    assert ours.get(f'mmfusion.{name}') is found
    assert theirs.get(f'mmfusion.{name}') is found
    assert theirs.get(name) is found


@pytest.mark.parametrize(('kind', 'name'), [(kind, name) for kind, names in THEIRS.items() for name in names])
def test_theirs(kind, name):
    found = getattr(registry, kind).get(name)
    assert found.__name__ == name
    assert found is getattr(mmseg.registry, kind).get(name)
    assert not found.__module__.startswith('mmfusion.')


@pytest.mark.parametrize(
    ('scope', 'name'),
    [(scope, name) for scope in ('mmfusion', 'mmseg') for name in ('AverageFusion', 'mmfusion.AverageFusion')],
)
def test_build_by_scope(scope, name):
    DefaultScope.get_instance(f'test_{scope}', scope_name=scope)
    for models in (registry.MODELS, mmseg.registry.MODELS, mmengine_registry.MODELS):
        assert type(models.build(dict(type=name))).__module__ == 'mmfusion.models.fusion.baselines'


def test_mmseg_has_looked_before():
    """A registry of mmseg's that was asked for something of its own first still finds ours."""
    script = (
        'import mmseg.registry as r; r.MODELS.get("EncoderDecoder"); import mmfusion; print(r.MODELS.get("UAAFusion"))'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("<class 'mmfusion.models.fusion.uaafusion.UAAFusion'>\n"), done.stderr


def test_a_name_is_taken_once():
    with pytest.raises(KeyError, match='AverageFusion is already registered'):
        registry.MODELS.register_module(name='AverageFusion', module=dict)


@pytest.mark.parametrize('scope', ['mmfusion', 'mmseg', None])
def test_a_whole_model_by_scope(scope, unet_config):
    if scope:
        DefaultScope.get_instance(f'test_model_{scope}', scope_name=scope)
    config = dict(
        type='FusionSegmentor',
        fusion=dict(type='UAAFusion', num_stages=1, channels=2),
        segmentor=unet_config(),
    )
    model = (mmengine_registry if scope else registry).MODELS.build(config)
    assert [type(part).__name__ for part in (model.data_preprocessor, model.loss_fusion, model.loss_gradient)] == [
        'FusionDataPreProcessor',
        'AttributionFusionLoss',
        'JointGradientLoss',
    ]
    assert [type(part).__name__ for part in (model, model.fusion, model.segmentor, model.segmentor.decode_head)] == [
        'FusionSegmentor',
        'UAAFusion',
        'EncoderDecoder',
        'FCNHead',
    ]


def test_modules_are_found_without_being_imported():
    """As in a training run that imports nothing but mmfusion."""
    script = '\n'.join(
        [
            'import mmfusion, mmengine',
            'from mmengine.registry import DefaultScope',
            'from mmengine import registry',
            "DefaultScope.get_instance('run', scope_name='mmfusion')",
            'def find(kind, name):',
            '    with getattr(registry, kind).switch_scope_and_registry(None) as found:',
            '        assert found.get(name), (kind, name)',
            *[f'find({kind!r}, {name!r})' for names in (OURS, THEIRS) for kind in names for name in names[kind]],
            "print('found')",
        ]
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-1:] == ['found'], done.stderr


def test_register_all_modules():
    """As mmengine.hub and scripts call it, in a process that has imported nothing else of mmfusion."""
    script = '; '.join(
        [
            'import sys',
            'from mmengine.registry import DefaultScope, MODELS',
            'from mmfusion.utils import register_all_modules',
            "rooms = {'mmfusion.models', 'mmfusion.datasets', 'mmfusion.engine.hooks', 'mmfusion.evaluation'}",
            'assert not rooms <= set(sys.modules)',
            'register_all_modules(init_default_scope=False)',
            'assert rooms <= set(sys.modules)',
            'assert DefaultScope.get_current_instance() is None',
            "DefaultScope.get_instance('other', scope_name='mmseg')",
            'register_all_modules()',
            "model = MODELS.build(dict(type='AverageFusion'))",
            'print(DefaultScope.get_current_instance().scope_name, type(model).__name__)',
        ]
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ['mmfusion AverageFusion'], done.stderr


def test_register_all_modules_twice():
    """Another scope in between is left again."""
    for between in ('mmseg', 'mmengine'):
        register_all_modules()
        DefaultScope.get_instance(f'test-{between}', scope_name=between)
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmfusion'
