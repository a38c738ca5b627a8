"""A fusion without a segmentor: learns from pairs alone, predicts as a joint model fuses."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmfusion.models import FusionModel, UAAFusion
from mmfusion.models.color import split_luminance
from mmfusion.registry import MODELS

SALIENCE = dict(type='SalienceGate')
LEARNS = dict(type='UAAFusion', weights='gate', gate=SALIENCE, num_stages=2, channels=4)


def test_as_the_fusion_of_a_joint_model(model_config, make_batch):
    """The same fusion in both, from the same checkpoint, makes the same image and weights."""
    torch.manual_seed(0)
    fusion = dict(type='UAAFusion', weights='gate', num_stages=2, channels=4)
    joint = MODELS.build(model_config(fusion=fusion)).eval()
    torch.nn.init.normal_(joint.fusion.gate.tell.weight)
    alone = FusionModel(fusion).eval()
    left = alone.load_state_dict(joint.state_dict(), strict=False)
    assert not left.missing_keys
    assert all(key.startswith('segmentor.') for key in left.unexpected_keys)
    inputs, samples = make_batch()
    with torch.no_grad():
        expected = joint.predict(inputs, samples)
    found = alone.predict(inputs, make_batch()[1])
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.fused_img.data, theirs.fused_img.data)
        assert torch.equal(ours.fusion_weights.data, theirs.fusion_weights.data)
        assert 'pred_sem_seg' not in ours


def test_losses_by_hand(make_batch):
    torch.manual_seed(0)
    model = FusionModel(LEARNS, loss_fusion=dict(type='AttributionFusionLoss', loss_weight=2.0), loss_gradient=None)
    inputs = make_batch()[0]
    result = model.fuse(inputs)[1]
    losses = model.loss(inputs)
    vi = split_luminance(inputs[:, :3])[0]
    assert sorted(losses) == ['fusion.loss_ir', 'fusion.loss_vi']
    for name, source, weight in (('ir', inputs[:, 3:], result.weight_ir), ('vi', vi, result.weight_vi)):
        torch.testing.assert_close(losses[f'fusion.loss_{name}'], 2 * (weight * (result.fused - source) ** 2).mean())
    assert sorted(FusionModel(LEARNS, loss_fusion=None).loss(inputs)) == ['fusion.loss_grad']


@pytest.mark.parametrize(
    ('options', 'terms'),
    [(dict(loss_gradient=None), ('loss_ir', 'loss_vi')), (dict(loss_fusion=None), ('loss_grad',))],
    ids=['distances', 'gradients'],
)
def test_every_term_teaches_the_unfolding(make_batch, options, terms):
    model = FusionModel(LEARNS, **options)
    losses = model.loss(make_batch()[0])
    assert sorted(losses) == [f'fusion.{term}' for term in terms]
    for loss in losses.values():
        gradients = torch.autograd.grad(loss, list(model.fusion.unfolding.parameters()), retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_training_makes_the_loss_small(make_batch):
    torch.manual_seed(0)
    model = FusionModel(dict(LEARNS, head=dict(residual=False))).train()
    optim = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-2))
    data = dict(inputs=list((make_batch()[0] * 255).flip(1).to(torch.uint8)), data_samples=make_batch()[1])
    first, *_, last = (model.train_step(data, optim)['loss'].item() for _ in range(40))
    assert last < 0.7 * first


def test_colour_and_modes(make_batch):
    inputs = make_batch()[0]
    gray = FusionModel(dict(type='SalienceFusion'), color='gray')
    assert gray(inputs).shape == (2, 1, 32, 48)
    rgb = FusionModel(dict(type='SalienceFusion'))
    assert torch.allclose(split_luminance(rgb(inputs))[0], gray(inputs), atol=0.02)
    (sample, _) = rgb(inputs, mode='predict')
    assert sample.fused_img.data.shape == (3, 32, 48)
    with pytest.raises(ValueError, match="mode must be 'loss', 'predict' or 'tensor', got 'train'"):
        rgb(inputs, mode='train')
    with pytest.raises(ValueError, match='SalienceFusion has nothing to learn'):
        rgb(inputs, mode='loss')


def test_pairs_of_two_sizes_do_not_meet(make_batch):
    model = FusionModel(LEARNS, dict(type='FusionDataPreProcessor', size_divisor=32)).eval()
    parts = [make_batch(size=size, batch=1) for size in ((32, 48), (40, 30))]
    data = dict(
        inputs=[(part[0][0] * 255).to(torch.uint8) for part in parts], data_samples=[part[1][0] for part in parts]
    )
    together = model.test_step(data)
    for position, size in enumerate(((32, 48), (40, 30))):
        alone = model.val_step({key: [value[position]] for key, value in data.items()})[0]
        assert alone.fused_img.data.shape == (3, *size)
        assert torch.equal(alone.fused_img.data, together[position].fused_img.data)


@pytest.mark.parametrize(
    'fusion', [dict(type='UAAFusion'), dict(type='UAAFusion', weights='even'), dict(LEARNS, attention='rms')]
)
def test_fusion_that_asks_a_segmentor(fusion):
    with pytest.raises(ValueError, match='the fusion UAAFusion asks a segmentor, and FusionModel has none'):
        FusionModel(fusion)
    with pytest.raises(ValueError, match=r"color must be one of .* got 'bgr'"):
        FusionModel(dict(type='SalienceFusion'), color='bgr')


def test_salience_in_the_place_of_a_gate():
    """Weights of the rule, and an unfolding that learns."""
    torch.manual_seed(0)
    ir, vi = torch.rand(2, 1, 1, 32, 48)
    result = UAAFusion(**{key: value for key, value in LEARNS.items() if key != 'type'})(ir, vi)
    expected = MODELS.build(dict(type='mmfusion.SalienceFusion'))(ir, vi)
    assert torch.allclose(result.weight_ir, expected.weight_ir)
    assert len(result.attention) == 2


def test_runner_without_labels(run_config, pair_folder, tmp_path, plain_configs):
    """Train and test by the standard runner, from pairs that have no labels."""
    data = pair_folder(tmp_path / 'data', size=(48, 48))
    cfg = run_config(dict(type='FusionModel', fusion=LEARNS), data, tmp_path / 'run', max_iters=2)
    pipeline = [dict(type='LoadPairFromFile'), dict(type='PackFusionInputs')]
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.dataset = dict(
            type='PairedSegDataset',
            data_root=str(data),
            require_labels=False,
            pipeline=pipeline,
            test_mode=name != 'train',
        )
        if name != 'train':
            cfg[f'{name}_evaluator'] = [dict(type='FusionMetric')]
    runner = Runner.from_cfg(cfg)
    before = [weight.clone() for weight in runner.model.parameters()]
    runner.train()
    assert any(not torch.equal(a, b) for a, b in zip(before, runner.model.parameters(), strict=True))
    figures = runner.test()
    assert len(figures) == 12
    assert figures['fusion/VIF'] > 0
