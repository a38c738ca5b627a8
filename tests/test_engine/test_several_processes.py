"""Losses and gradients of two and of four processes are those of one that has all of their pairs."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from ranks import in_ranks
from torch import nn

from mmfusion.models import AttributionFusionLoss, JointGradientLoss
from mmfusion.models.segmentors.head_output import _plain_loss
from mmfusion.registry import MODELS

PLAIN = dict(type='CrossEntropyLoss', loss_weight=1.0)
WEIGHTED = dict(type='WeightedCrossEntropy', class_weight=[0.5, 1.0, 3.0], loss_name='loss_weighted')
LOVASZ = dict(type='LovaszLoss', loss_type='multi_class', reduction='none')


def _segmentor(unet_config, loss=(PLAIN, WEIGHTED)):
    config = unet_config()
    config['decode_head']['loss_decode'] = [dict(each) for each in loss]
    return config


@pytest.fixture
def readings(unet_config, model_config):
    """By name: the paper's reading with attributed weights, and a gate that attribution teaches."""
    gate = dict(type='UAAFusion', num_stages=2, channels=4, weights='gate', gate=dict(type='FusionGate', channels=4))
    refine = dict(type='DetailRefiner', channels=4)
    return dict(
        paper=model_config(_segmentor(unet_config)),
        gate=model_config(
            _segmentor(unet_config),
            fusion=gate,
            reads='pair+fused',
            refine=refine,
            teach_interval=2,
            loss_refined=[dict(type='WeightedCrossEntropy'), dict(PLAIN, loss_name='loss_plain')],
        ),
    )


@pytest.fixture
def unlike(make_batch):
    """Four pairs: as drawn, with ignored rows, only background, and nothing that counts."""
    inputs, samples = make_batch(batch=4)
    labels = [sample.gt_sem_seg.data for sample in samples]
    labels[1][:, :9] = 255
    labels[2].zero_()
    labels[3].fill_(255)
    return inputs, samples


def part(batch, rank, world):
    inputs, samples = batch
    own = slice(rank * len(samples) // world, (rank + 1) * len(samples) // world)
    return inputs[own], samples[own]


def as_data(batch):
    """What a data loader would give."""
    inputs, samples = batch
    return dict(inputs=list((inputs[:, [2, 1, 0, 3]] * 255).round().byte()), data_samples=samples)


def ready(config, steady=True):
    """A model with an opinion, in which whatever starts at zero has an effect."""
    MessageHub.get_current_instance().pop_info('iter', None)
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    if steady:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    return model


def with_lovasz(config):
    """With mmseg's loss that has no value where every pixel is ignored."""
    config = copy.deepcopy(config)
    losses = config.get('loss_refined') or config['segmentor']['decode_head']['loss_decode']
    losses.append(dict(LOVASZ))
    return config


def losses_and_gradients(model, batch):
    inputs, samples = batch
    losses = model(inputs.double(), samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    gradients = {name: p.grad for name, p in getattr(model, 'module', model).named_parameters()}
    return {name: value.detach() for name, value in losses.items() if 'loss' in name}, gradients


def one_rank(rank, world, readings, batch):
    """Losses and gradients in float64; then a few steps as a runner takes them, with norms that learn."""
    found = {}
    for name, config in readings.items():
        parallel = MMDistributedDataParallel(ready(config).double(), device_ids=None, broadcast_buffers=False)
        found[name] = losses_and_gradients(parallel, part(batch, rank, world))
        # Without looking for unused parameters: in the next pass it is an error if one got no gradient.
        model = ready(with_lovasz(config), steady=False)
        parallel = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05))
        for strength in (0.0, 0.5, 1.0):  # The first one as in a warm-up: nothing is attributed, no gate is taught.
            model.attribution_strength = strength
            parallel.train_step(as_data(part(batch, rank, world)), wrapper)
        found[f'{name} trained'] = {key: value.detach() for key, value in model.named_parameters()}
    return found


@pytest.mark.parametrize('world', [2, 4])
def test_as_one_process_with_the_larger_batch(readings, unlike, tmp_path, world):
    """Also where one process has seen only background, or nothing but ignored pixels."""
    ranks = in_ranks(one_rank, world, tmp_path / 'ranks', readings, unlike)
    for name, config in readings.items():
        losses, gradients = losses_and_gradients(ready(config).double(), unlike)
        of_ranks = [found[name][0] for found in ranks]
        assert all(set(found) == set(losses) for found in of_ranks)
        for key, value in losses.items():
            mean = torch.stack([found[key] for found in of_ranks]).mean(0)
            torch.testing.assert_close(mean, value, rtol=1e-10, atol=1e-13, msg=f'{name}: {key}')
        for key, value in gradients.items():
            assert torch.equal(ranks[0][name][1][key], ranks[-1][name][1][key]), key
            torch.testing.assert_close(ranks[0][name][1][key], value, rtol=1e-8, atol=1e-12, msg=f'{name}: {key}')
            assert value.any(), f'{name}: {key}'  # Equal, and not because there is none.
        for found in ranks:
            for key, value in found[f'{name} trained'].items():
                assert value.isfinite().all(), key
                assert torch.equal(value, ranks[0][f'{name} trained'][key]), key
    assert {'fusion.loss_gate_share', 'fusion.loss_gate_strength', 'refined.loss_ce'} <= set(ranks[0]['gate'][0])
    if world == 4:  # A process without a pixel that counts has no loss of them.
        nothing = ranks[3]['gate'][0]
        assert nothing['fusion.loss_gate_share'] == nothing['decode.loss_weighted'] == 0


# Losses one by one ---------------------------------------------------------------------------------------------------
TOGETHER = {
    'pixels': dict(PLAIN),
    'own': dict(type='WeightedCrossEntropy'),
    'own, by class': dict(WEIGHTED),
}
BY_PROCESS = {
    'counted pixels': dict(PLAIN, avg_non_ignore=True),
    'class weights': dict(PLAIN, class_weight=[0.5, 1.0, 3.0]),
    'Lovasz': dict(LOVASZ),
}


def scores_and_labels():
    """Of four pairs; the former two hold all classes, the latter two the first one and, below, nothing that counts."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 3, 6, 8, generator=generator)
    labels = torch.randint(3, (4, 6, 8), generator=generator)
    labels[2:] = 0
    return scores, labels, labels.index_fill(1, torch.arange(3), 255).where(torch.arange(4).view(4, 1, 1) > 1, labels)


def each_loss(rank=0, world=1):
    whole = scores_and_labels()
    scores, labels, partly = (values[rank * 4 // world : (rank + 1) * 4 // world] for values in whole)
    found = {}
    for name, config in {**TOGETHER, **BY_PROCESS}.items():
        # mmseg's own class weights fail on ignored pixels.
        found[name] = MODELS.build(dict(config))(
            scores, labels if name == 'class weights' else partly, ignore_index=255
        )
    found['refined'] = _plain_loss(scores, partly, 255)
    found['refined, one channel'] = _plain_loss(scores[:, :1], partly.clamp(max=1).where(partly != 255, 255), 255)
    pair = scores.sigmoid().unsqueeze(2).unbind(1)
    found.update(AttributionFusionLoss()(*pair, pair[0], 1 - pair[0]))
    found.update(JointGradientLoss()(*pair))
    found['sum'] = JointGradientLoss(reduction='sum')(*pair)['loss_grad']
    return found


def test_what_is_divided_by_a_count_of_the_own_process(tmp_path):
    """mmseg's losses that count pixels or classes do it by themselves; docs/reliability.md says so."""
    ranks, alone = in_ranks(each_loss, 2, tmp_path / 'ranks'), each_loss()
    apart = {key for key in alone if not torch.isclose(sum(found[key] for found in ranks) / 2, alone[key], rtol=1e-6)}
    assert apart == {*BY_PROCESS, 'sum'}
    for rank, found in enumerate(ranks):  # As if the other process were not there.
        assert all(torch.equal(found[key], each_loss(rank, 2)[key]) for key in apart)
    torch.testing.assert_close(ranks[0]['sum'] + ranks[1]['sum'], alone['sum'])
