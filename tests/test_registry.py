"""Child registries: plain and prefixed names, from this scope and from mmseg's."""
import importlib
import subprocess
import sys

import mmengine.registry
import mmseg.registry
import pytest
from mmengine.registry import DefaultScope, Registry

from mmfusion import registry

KINDS = sorted(name for name, value in vars(mmseg.registry).items() if isinstance(value, Registry))
OURS = dict(
    MODELS=('UAAFusion', 'MemoryUnfoldingHead', 'FusionSegmentor', 'FusionDataPreProcessor', 'AverageFusion',
            'MaximumFusion', 'VisibleOnly', 'InfraredOnly', 'ConcatenationFusion', 'AttributionFusionLoss',
            'JointGradientLoss', 'DilatedMobileNetV2', 'ReleasedDeepLabHead'),
    DATASETS=('PairedSegDataset', 'MSRSDataset', 'CWFIDDataset', 'SyntheticThermalScenes'),
    TRANSFORMS=('LoadPairFromFile', 'LoadPairAnnotations', 'ApplyToModality', 'PackFusionInputs'),
    METRICS=('FusionMetric', 'PerClassIoUMetric'),
    HOOKS=('AttributionFusionLossHook', 'FusionVisualizationHook', 'FusedImageHook', 'IterSeedHook',
           'CheckpointArchitectureHook'))
THEIRS = dict(
    MODELS=('EncoderDecoder', 'SegTTAModel'),
    DATASETS=('CityscapesDataset', ),
    TRANSFORMS=('PackSegInputs', 'RandomFlip'),
    METRICS=('IoUMetric', ),
    HOOKS=('SegVisualizationHook', 'CheckpointHook'),
    VISUALIZERS=('SegLocalVisualizer', ),
    VISBACKENDS=('LocalVisBackend', ),
    OPTIM_WRAPPERS=('OptimWrapper', ),
    LOOPS=('IterBasedTrainLoop', ))


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
    ours, theirs, root = (getattr(module, kind) for module in (registry, mmseg.registry, mmengine.registry.root
                                                               if kind == 'METRICS' else mmengine.registry))
    found = ours.get(name)
    assert found.__name__ == name
    assert found.__module__.startswith('mmfusion.')
    assert ours.get(f'mmfusion.{name}') is found
    assert theirs.get(f'mmfusion.{name}') is found
    assert root.get(f'mmfusion.{name}') is found
    assert theirs.get(name) is None  # Nothing is put into mmseg's own registry.


@pytest.mark.parametrize(('kind', 'name'), [(kind, name) for kind, names in THEIRS.items() for name in names])
def test_theirs(kind, name):
    found = getattr(registry, kind).get(name)
    assert found.__name__ == name
    assert found is getattr(mmseg.registry, kind).get(name)
    assert not found.__module__.startswith('mmfusion.')


@pytest.mark.parametrize(('scope', 'name'), [('mmfusion', 'AverageFusion'), ('mmfusion', 'mmfusion.AverageFusion'),
                                             ('mmseg', 'mmfusion.AverageFusion')])
def test_build_by_scope(scope, name):
    DefaultScope.get_instance(f'test_{scope}', scope_name=scope)
    for models in (registry.MODELS, mmseg.registry.MODELS, mmengine.registry.MODELS):
        assert type(models.build(dict(type=name))).__module__ == 'mmfusion.models.fusion.baselines'


def test_plain_name_in_the_scope_of_mmseg():
    DefaultScope.get_instance('test_plain', scope_name='mmseg')
    with pytest.raises(KeyError, match='AverageFusion'):
        mmseg.registry.MODELS.build(dict(type='AverageFusion'))


@pytest.mark.parametrize('scope', ['mmfusion', 'mmseg'])
def test_a_whole_model_by_scope(scope, model_config):
    DefaultScope.get_instance(f'test_model_{scope}', scope_name=scope)
    config = model_config()
    config['type'] = 'mmfusion.FusionSegmentor'
    models = mmseg.registry.MODELS if scope == 'mmseg' else mmengine.registry.MODELS
    model = models.build(config)
    assert [type(part).__name__ for part in (model, model.fusion, model.segmentor, model.segmentor.decode_head)] == [
        'FusionSegmentor', 'UAAFusion', 'EncoderDecoder', 'FCNHead']


def test_modules_are_found_without_being_imported():
    """As in a training run that imports nothing but mmfusion."""
    script = '\n'.join([
        'import mmfusion, mmengine',
        'from mmengine.registry import DefaultScope',
        'from mmengine import registry',
        'import mmfusion.registry',
        "DefaultScope.get_instance('run', scope_name='mmfusion')",
        *[f"assert registry.{kind}.get('mmfusion.{names[0]}'), '{kind}'" for kind, names in OURS.items()],
        "assert registry.MODELS.get('EncoderDecoder') is None",
        "assert mmfusion.registry.MODELS.get('EncoderDecoder')",
        "assert mmfusion.registry.VISUALIZERS.get('SegLocalVisualizer')",
        "assert mmfusion.registry.HOOKS.get('SegVisualizationHook')",
        "assert mmfusion.registry.METRICS.get('IoUMetric')",
        "assert mmfusion.registry.TRANSFORMS.get('PackSegInputs')",
        "print('found')",
    ])
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-1:] == ['found'], done.stderr
