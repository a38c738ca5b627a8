"""What a step by our defaults asks of the segmentor: counts that hold on any machine, as in docs/performance.md."""

import pytest
import torch
from mmengine.config import Config

from mmfusion.analysis.contenders import our_contenders, released_contender
from mmfusion.analysis.counting import counting
from mmfusion.analysis.striped_pairs import make_batch
from mmfusion.analysis.taught_model import build_model, teach

BATCH = 2
CPU = torch.device('cpu')


def count(model_config, unet_config, num_classes, classes_present, task, name, train_labels='given'):
    """Images forward and backward per pair, and calls of autograd, with five stages and UAAFusion's defaults."""
    fusion = dict(type='UAAFusion', num_stages=5, channels=2)
    segmentor = unet_config(num_classes=num_classes)
    config = Config(dict(model=model_config(segmentor, fusion=fusion, train_labels=train_labels)))
    model = build_model(config, num_classes, CPU)
    if name == 'released':
        contender = released_contender(build_model(config, num_classes, CPU), steps=5)
    else:
        (contender,) = our_contenders(model, [name])
    batch = make_batch(BATCH, (16, 32), classes_present, CPU)
    if task == 'inference':
        assert teach(model, batch) == classes_present
        contender.segmentor.load_state_dict(model.segmentor.state_dict())
    with counting(contender.segmentor.backbone) as counts:
        contender.run(task, batch)
    return counts.forward_images / BATCH, counts.backward_images / BATCH, counts.autograd_calls


@pytest.mark.parametrize(
    ('num_classes', 'task', 'name', 'expected'),
    [
        # Two sources in a pair of images each, two gradients for the attention, three images to segment.
        (6, 'train', 'banzhaf', (4 + 2 + 3, 2 + 3, 3)),
        (15, 'train', 'banzhaf', (4 + 2 + 3, 2 + 3, 3)),
        (6, 'train', 'gradient-free', (4 + 3, 3, 1)),
        # Labels of both sources, two sources in two (six classes) or four pairs, two gradients, one image to segment.
        (6, 'inference', 'banzhaf', (2 + 8 + 2 + 1, 2, 2)),
        (15, 'inference', 'banzhaf', (2 + 16 + 2 + 1, 2, 2)),
        (6, 'inference', 'gradient-free', (2 + 8 + 1, 0, 0)),
    ],
)
def test_ours(model_config, unet_config, num_classes, task, name, expected):
    assert count(model_config, unet_config, num_classes, min(num_classes, 6), task, name) == expected


@pytest.mark.parametrize(
    ('name', 'expected'), [('banzhaf', (2 + 4 + 2 + 3, 2 + 3, 3)), ('gradient-free', (2 + 4 + 3, 3, 1))]
)
def test_predicted_labels_cost_a_pass_of_both_sources(model_config, unet_config, name, expected):
    assert count(model_config, unet_config, 6, 6, 'train', name, train_labels='predicted') == expected


@pytest.mark.parametrize(('classes', 'task'), [(6, 'train'), (14, 'train'), (6, 'inference')])
def test_released(model_config, unet_config, classes, task):
    """One backward pass per class, point of the path and source; one per stage but the first."""
    forward, backward, calls = count(model_config, unet_config, 15, classes, task, 'released')
    passes = 2 * 5 * classes + 4
    segmented = (3, 3, 1) if task == 'train' else (2, 0, 0)  # Fused and both sources; the labels and the fused image.
    assert (forward, backward, calls) == (10 + 4 + segmented[0], passes + segmented[1], passes + segmented[2])
