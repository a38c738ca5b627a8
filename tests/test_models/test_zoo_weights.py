"""Our recipes start from what mmseg publishes."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader

from mmfusion.models import zoo_weights
from mmfusion.models.zoo_weights import find_in_zoo
from mmfusion.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/uaafusion'
RECIPES = {
    'uaafusion_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256': 9,
    'uaafusion_segformer_mit-b0_1xb8-2k_cwfid-256x256': 3,
}


@pytest.mark.parametrize('name', RECIPES)
def test_start(name, tmp_path, monkeypatch):
    """Every weight but the scores of the classes is the published one. Published here: random weights of its config."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    published = cfg.model.segmentor.init_cfg.checkpoint
    DefaultScope.get_instance(name, scope_name='mmseg')
    torch.manual_seed(1)
    plain = MODELS.build(get_config(f'mmseg::{published.removeprefix("mmseg://")}.py').model)
    torch.save(dict(meta={}, state_dict=plain.state_dict()), tmp_path / 'published.pth')
    monkeypatch.setattr(zoo_weights, 'find_in_zoo', lambda checkpoint: str(tmp_path / 'published.pth'))

    cfg.model.fusion.update(channels=2, num_stages=1)
    model = MODELS.build(cfg.model)
    model.init_weights()
    weights = model.segmentor.state_dict()
    other = {key for key, value in plain.state_dict().items() if not torch.equal(weights[key], value)}
    assert weights.keys() == plain.state_dict().keys()
    assert other
    assert all('.conv_seg.' in key for key in other)
    assert model.decode_head.conv_seg.out_channels == RECIPES[name]

    model = MODELS.build({**cfg.model, 'pretrained': False})
    monkeypatch.setattr(zoo_weights, 'find_in_zoo', lambda checkpoint: pytest.fail('nothing is to be fetched'))
    model.init_weights()


def test_every_name_in_our_configs():
    names = set()
    for path in CONFIGS.glob('*.py'):
        initial = Config.fromfile(path).model.segmentor.get('init_cfg') or {}
        names.add(initial.get('checkpoint', 'mmseg://').removeprefix('mmseg://'))
    names.discard('')
    assert len(names) == 2
    for name in names:
        address = find_in_zoo(f'mmseg://{name}')
        assert address.startswith('https://')
        assert name.split('/')[0] in address


@pytest.mark.parametrize('name', ['segformer/nothing', 'nothing', 'unet/../unet/metafile', ''])
def test_no_such_config(name):
    with pytest.raises(ValueError, match=f'mmseg://{name}: mmseg publishes no weights'):
        find_in_zoo(f'mmseg://{name}')


def test_without_a_network(monkeypatch):
    monkeypatch.setattr(zoo_weights, 'find_in_zoo', lambda checkpoint: 'https://localhost:9/backbone.pth')
    with pytest.raises(ConnectionError, match=r'localhost:9/backbone\.pth cannot be fetched .*model\.pretrained=False'):
        CheckpointLoader.load_checkpoint('mmseg://a/b', 'cpu', logger='silent')
