"""Scores of heads that classify masks, and heads whose answers depend on chance."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.models.decode_heads.ham_head import NMF2D
from torch import nn

from mmfusion.attribution import Attribution
from mmfusion.models import SegmentorScorer
from mmfusion.models.head_scores import gives_masses, probabilities_of_masses, steady_bases
from mmfusion.registry import MODELS

CLASSES = 150


class Mask2FormerHead(nn.Module):
    """By its name one of those."""


class MaskSegmentor(nn.Module):
    """Says class 1 with the mass of the brightness, class 0 with the rest."""

    out_channels = CLASSES

    def __init__(self, head):
        super().__init__()
        self.decode_head = head

    def encode_decode(self, images, metas):
        scores = images.new_zeros(len(images), CLASSES, *images.shape[-2:])
        scores[:, 1:2], scores[:, :1] = images, 1 - images
        return scores


def object_in_infrared():
    infrared = torch.full((1, 1, 32, 32), 0.05)
    infrared[..., 8:24, 8:24] = 0.95
    labels = (infrared[:, 0] > 0.5).long()
    return infrared, torch.full_like(infrared, 0.05), labels


def share(head):
    """Infrared share of the object that it alone holds."""
    infrared, visible, labels = object_in_infrared()
    scorer = SegmentorScorer(MaskSegmentor(head), lambda image: image)
    evidence = Attribution(smoothing=0.05).evidence(scorer, infrared, visible, labels)
    return evidence.share()[0, 1].item()


def test_whose_evidence():
    """Taken for logits, the masses are even after softmax over 150 classes."""
    assert share(Mask2FormerHead()) > 0.8
    assert share(nn.Identity()) < 0.52


def test_which_heads():
    head = type('Ours', (Mask2FormerHead,), {})()
    assert gives_masses(head)
    assert gives_masses(nn.ModuleList([nn.Identity(), head]))
    assert not gives_masses(nn.ModuleList([head, nn.Identity()]))
    assert not gives_masses(None)


@pytest.mark.parametrize('score', ['softmax', 'logit'])
def test_scores(score):
    images = torch.rand(2, 1, 4, 4)
    scorer = SegmentorScorer(MaskSegmentor(Mask2FormerHead()), lambda image: image, score=score)
    scores = scorer(images)
    if score == 'logit':
        scores = scores.softmax(1)
    assert torch.allclose(scores[:, 1:2], images, atol=2e-4)


def test_sums_above_one():
    """Several queries claim a pixel (by hand: 1.2 / 2 and 0.8 / 2), or hardly one."""
    masses = torch.tensor([[1.2, 0.1], [0.8, 0.05]]).view(1, 2, 1, 2)
    assert torch.allclose(probabilities_of_masses(masses).view(2, 2), torch.tensor([[0.6, 0.1], [0.4, 0.05]]))


def ham():
    return NMF2D(args=dict(MD_R=3)).eval()


def test_bases_are_drawn_once():
    part, features = ham(), torch.rand(2, 8, 4, 4)
    assert not torch.equal(part(features), part(features))
    state = torch.random.get_rng_state()
    with steady_bases(part):
        first, second, single = part(features), part(features), part(features[1:])
    assert torch.equal(first, second)
    assert torch.allclose(first[1:], single)  # Whatever else is in the batch.
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(part(features), part(features))


def test_training_draws_anew():
    part, features = ham().train(), torch.rand(2, 8, 4, 4)
    with steady_bases(part):
        assert not torch.equal(part(features), part(features))


def test_the_same_prediction_twice(unet_config, model_config, make_batch):
    segmentor = unet_config()
    segmentor['decode_head'] = dict(
        type='LightHamHead',
        in_channels=[8, 4],
        in_index=[0, 1],
        channels=8,
        ham_channels=8,
        ham_kwargs=dict(MD_R=4),
        num_classes=3,
        norm_cfg=dict(type='BN'),
    )
    DefaultScope.get_instance('ham', scope_name='mmfusion')
    torch.manual_seed(0)
    model = MODELS.build(model_config(segmentor=segmentor)).eval()
    inputs, samples = make_batch()
    with torch.no_grad():
        first, second = (model.predict(inputs, samples)[0].clone() for _ in range(2))
    for key in ('seg_logits', 'fused_img', 'fusion_weights'):
        assert torch.equal(getattr(first, key).data, getattr(second, key).data), key
