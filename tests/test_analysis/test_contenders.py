"""What the benchmark compares."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmfusion.analysis.contenders import our_contenders, released_contender
from mmfusion.analysis.stopwatch import Stopwatch
from mmfusion.analysis.striped_pairs import make_batch, striped_labels
from mmfusion.analysis.taught_model import build_model, teach

STAGES, STEPS, RELEASED_STEPS, CLASSES = 2, 2, 3, 3
ESTIMATORS = ('exact', 'multiplexed', 'endpoint', 'banzhaf')
VARIANTS = ('gradient-free', 'bfloat16', 'checkpointed')


@pytest.fixture(scope='module')
def config(model_config, unet_config, tmp_path_factory):
    path = tmp_path_factory.mktemp('benchmark') / 'tiny.py'
    fusion = dict(type='UAAFusion', num_stages=STAGES, channels=4, steps=STEPS)
    Config(dict(model=model_config(segmentor=unet_config(num_classes=7), fusion=fusion))).dump(path)
    return path


# What is compared ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(('size', 'classes'), [((4, 128), 14), ((8, 33), 6), ((3, 5), 5), ((2, 7), 1)])
def test_stripes(size, classes):
    labels = striped_labels(3, size, classes)
    assert labels.shape == (3, *size)
    for label in labels:
        ids, pixels = label.unique(return_counts=True)
        assert ids.tolist() == list(range(classes))
        assert pixels.max() - pixels.min() <= size[0]  # One column.
        assert torch.equal(label, label[:1].expand_as(label))


def test_stripes_need_columns():
    with pytest.raises(ValueError, match='6 stripes do not fit on 5 columns'):
        striped_labels(1, (9, 5), 6)


@pytest.fixture
def cast(config):
    """Tiny model, and all contenders on it."""
    device = torch.device('cpu')
    model = build_model(Config.fromfile(config), 5, device)
    contenders = [released_contender(build_model(Config.fromfile(config), 5, device), RELEASED_STEPS)]
    return model, [*contenders, *our_contenders(model, [*ESTIMATORS, *VARIANTS])]


def test_batch():
    batch = make_batch(2, (24, 32), 4, torch.device('cpu'))
    assert batch.inputs.shape == (2, 4, 24, 32)
    assert 0 <= batch.inputs.min() < batch.inputs.max() <= 1
    assert torch.equal(batch.labels, striped_labels(2, (24, 32), 4))
    assert torch.equal(batch.inputs, make_batch(2, (24, 32), 4, torch.device('cpu')).inputs)
    means = [batch.inputs[:, 3][batch.labels == c].mean() for c in range(4)]
    assert np.ptp(means) > 0.1  # The classes can be told apart.


def test_taught_segmentor_predicts_the_classes(cast):
    model, _ = cast
    for classes in (2, 4):
        batch = make_batch(3, (32, 48), classes, torch.device('cpu'))
        assert teach(model, batch) == classes
        with torch.no_grad():
            assert len(model.eval().fuse(batch.inputs)[1].labels.unique()) == classes
    assert {m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_same_segmentor_same_loss(cast):
    """Both compute with the same weights, and each moves its own."""
    _, contenders = cast
    batch = make_batch(2, (24, 32), CLASSES, torch.device('cpu'))
    released, ours = contenders[:2]
    states = [contender.segmentor.state_dict() for contender in (released, ours)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert released.segmentor is not ours.segmentor
    for contender in contenders:
        before = {name: parameter.clone() for name, parameter in contender.model.named_parameters()}
        contender.run('train', batch)
        moved = {name for name, new in contender.model.named_parameters() if not torch.equal(before[name], new)}
        assert {f'segmentor.{name}' for name, _ in contender.segmentor.named_parameters()} < moved
        if contender.name == 'released':
            assert 'network.blockflow.0.lstm.conv_xi.weight' in moved
            assert not any('blockflow.1.lstm' in name for name in moved)  # Idle.
        else:
            assert {'fusion.unfolding.alpha', 'fusion.unfolding.stages.0.cell.gates.weight'} < moved


def test_batch_norms_see_every_released_pass(cast):
    _, contenders = cast
    batch = make_batch(2, (24, 32), CLASSES, torch.device('cpu'))
    for contender, passes in zip(contenders, (2 * RELEASED_STEPS + STAGES - 1 + 3, 1, 1, 1)):
        norm = next(m for m in contender.segmentor.modules() if isinstance(m, nn.BatchNorm2d))
        before = norm.num_batches_tracked.item()
        contender.run('train', batch)
        assert norm.num_batches_tracked.item() - before == passes
        contender.run('inference', batch)
        assert norm.num_batches_tracked.item() - before == passes


def test_other_models_are_refused(model_config, tmp_path):
    cfg = Config(dict(model=model_config(fusion=dict(type='AverageFusion'))))
    with pytest.raises(ValueError, match='with UAAFusion, not FusionSegmentor with AverageFusion'):
        build_model(cfg, 3, torch.device('cpu'))


@pytest.mark.parametrize('reads', ['pair+fused', 'views'])
def test_a_gate_that_reads_more(model_config, unet_config, reads):
    """It is taught, takes a step and predicts; the gate and the refiner are timed; it asks nobody when it predicts."""
    torch.manual_seed(0)
    fusion = dict(type='UAAFusion', weights='gate', num_stages=STAGES, channels=4)
    refine = dict(type='DetailRefiner', channels=4)
    config = Config(dict(model=model_config(unet_config(num_classes=5), fusion=fusion, reads=reads, refine=refine)))
    model = build_model(config, 5, torch.device('cpu'))
    batch = make_batch(2, (32, 48), CLASSES, torch.device('cpu'))
    assert teach(model, batch) == CLASSES
    (contender,) = our_contenders(model, ['config'])
    for task in ('train', 'inference'):
        watch = Stopwatch(torch.device('cpu'))
        with watch.watching(contender.sections):
            contender.run(task, batch, watch)
        assert ('attribution' in watch.seconds) == (task == 'train')
        assert {'gate', 'stages', 'refiner'} <= set(watch.seconds)
        assert all(seconds > 0 for seconds in watch.seconds.values())
