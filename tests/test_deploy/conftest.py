"""Models with random weights of which every part has a say, and pairs of images."""

import numpy as np
import pytest
import torch

from mmfusion.apis import FusionInferencer
from mmfusion.registry import MODELS


def _enliven(model):
    """Layers that are zero before training would hide what is before them; so would norms that change nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith('running_var'):
                value.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith('running_mean') or (value.is_floating_point() and not value.any()):
                value.normal_(std=0.1, generator=generator)
    return model.eval()


@pytest.fixture(scope='session')
def named():
    """Function of the name of a config that gives an inferencer with random weights."""

    def make(name):
        torch.manual_seed(0)
        inferencer = FusionInferencer(name, device='cpu')
        _enliven(inferencer.model)
        return inferencer

    return make


@pytest.fixture(scope='session')
def tiny(model_config, unet_config):
    """Function of options of the model that gives a tiny one with a gate, which pads to multiples of 4."""

    def make(segmentor=None, fusion=None, **options):
        gate = dict(type='UAAFusion', weights='gate', num_stages=2, channels=4, head=dict(scale=2))
        settings = dict(
            data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=4),
            reads='pair+fused',
            refine=dict(type='DetailRefiner', channels=4),
        )
        torch.manual_seed(0)
        config = model_config(segmentor or unet_config(), fusion=fusion or gate, **{**settings, **options})
        return _enliven(MODELS.build(config))

    return make


@pytest.fixture(scope='session')
def pairs():
    """Function of (number, height, width) that gives pairs (N, H, W, 4), uint8: blue, green, red, infrared."""
    return lambda *shape: np.random.RandomState(0).randint(0, 256, (*shape, 4), dtype=np.uint8)


@pytest.fixture(scope='session')
def predicted():
    """Function of a model and pairs that gives what it predicts of them, as a data loader would ask for it."""

    def predict(model, pairs):
        inputs = [torch.from_numpy(pair).permute(2, 0, 1) for pair in pairs]
        with torch.no_grad():
            samples = model.test_step(dict(inputs=inputs))
        names = dict(fused='fused_img', weight_ir='fusion_weights', scores='seg_logits')
        found = {
            ours: torch.stack([getattr(sample, theirs).data for sample in samples]) for ours, theirs in names.items()
        }
        found['labels'] = torch.stack([sample.pred_sem_seg.data[0].long() for sample in samples])
        return found

    return predict


@pytest.fixture(scope='session')
def as_input():
    """Function of pairs (N, H, W, 4) that gives what an exported model takes."""
    return lambda pairs: torch.from_numpy(pairs).permute(0, 3, 1, 2).float().contiguous()
