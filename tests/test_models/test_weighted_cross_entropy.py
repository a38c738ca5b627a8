"""Cross entropy with class weights and ignored pixels."""

import pytest
import torch
import torch.nn.functional as F

from mmfusion.models import WeightedCrossEntropy
from mmfusion.registry import MODELS

WEIGHTS = [0.5, 1.0, 3.0]


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (2, 5, 6), generator=g)
    labels[:, :2] = 255
    return torch.randn(2, 3, 5, 6, generator=g), labels


@pytest.mark.parametrize('weights', [None, WEIGHTS])
@pytest.mark.parametrize('ignore_index', [255, 1])
def test_by_hand(batch, weights, ignore_index):
    """Each pixel by the weight of its class, over the number of pixels that count (not the sum of their weights)."""
    scores, labels = batch
    labels = torch.where(labels == 255, ignore_index, labels)
    logs, total, count = scores.log_softmax(1), 0.0, 0
    for n, row, column in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        label = labels[n, row, column].item()
        if label != ignore_index:
            total -= (1.0 if weights is None else weights[label]) * logs[n, label, row, column]
            count += 1
    loss = WeightedCrossEntropy(weights, loss_weight=0.7)(scores, labels, ignore_index=ignore_index)
    torch.testing.assert_close(loss, 0.7 * total / count)


def test_without_weights_it_is_pytorchs(batch):
    scores, labels = batch
    torch.testing.assert_close(
        WeightedCrossEntropy()(scores, labels), F.cross_entropy(scores, labels, ignore_index=255)
    )
    torch.testing.assert_close(
        WeightedCrossEntropy([2.0] * 3)(scores, labels), 2 * F.cross_entropy(scores, labels, ignore_index=255)
    )


def test_weights_per_pixel(batch):
    scores, labels = batch
    weight = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(1))
    losses = F.cross_entropy(scores, labels, torch.tensor(WEIGHTS), ignore_index=255, reduction='none')
    expected = (losses * weight).sum() / (labels != 255).sum()
    torch.testing.assert_close(WeightedCrossEntropy(WEIGHTS)(scores, labels, weight), expected)


def test_everything_ignored(batch):
    scores = batch[0].requires_grad_()
    loss = WeightedCrossEntropy(WEIGHTS)(scores, torch.full((2, 5, 6), 255))
    loss.backward()
    assert loss == 0
    assert scores.grad.eq(0).all()


def test_gradient():
    labels = torch.tensor([[[0, 2], [255, 1]]])
    scores = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: WeightedCrossEntropy(WEIGHTS)(x, labels), scores)


def test_refusals(batch):
    with pytest.raises(ValueError, match=r'class weights must not be negative, got \[1\.0, -1\.0\]'):
        WeightedCrossEntropy([1.0, -1.0])
    with pytest.raises(ValueError, match='loss_weight must not be negative, got nan'):
        WeightedCrossEntropy(loss_weight=float('nan'))
    with pytest.raises(ValueError, match=r'2 class weights, but 3 classes; set loss_decode\.class_weight'):
        WeightedCrossEntropy([1.0, 1.0])(*batch)


def test_in_a_decode_head(model_config, unet_config, make_batch):
    """In the place of mmseg's own, under its own name; weights go with the model and not into checkpoints."""
    torch.manual_seed(0)
    segmentor = unet_config()
    loss = dict(type='WeightedCrossEntropy', class_weight=WEIGHTS, loss_name='loss_weighted')
    segmentor['decode_head']['loss_decode'] = loss
    model = MODELS.build(model_config(segmentor, fusion=dict(type='AverageFusion')))
    inputs, samples = make_batch()
    losses = model.loss(inputs, samples)
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples])
    expected = F.cross_entropy(model._forward(inputs), labels, torch.tensor(WEIGHTS), reduction='none').mean()
    torch.testing.assert_close(losses['decode.loss_weighted'], expected)
    assert not [name for name in model.state_dict() if 'class_weight' in name]
    assert model.to('meta').decode_head.loss_decode.class_weight.device.type == 'meta'
