"""Views through a backbone, and what is merged of them."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmfusion.models.reading import ViewsBackbone


class Backbone(BaseModule):
    """Two feature maps, at full and half resolution; counts its passes."""

    def __init__(self, single=False, norm=False, **options):
        super().__init__(**options)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.single = single
        self.passes = []

    def forward(self, x):
        self.passes.append(len(x))
        features = self.norm(self.conv(x)).tanh()
        return features if self.single else (features, F.avg_pool2d(features, 2))


def backbone(seed=0, **options):
    torch.manual_seed(seed)
    return Backbone(**options)


def images(views=3, batch=2):
    return list(torch.rand(views, batch, 3, 8, 12, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize('shared', [True, False])
def test_mean(shared):
    one, views = backbone(), images()
    merged = ViewsBackbone(one, 3, 'mean', shared)(torch.cat(views, 1))
    expected = [sum(maps) / 3 for maps in zip(*(backbone()(view) for view in views))]
    assert isinstance(merged, tuple)
    for ours, theirs in zip(merged, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert one.passes == ([6] if shared else [2])  # All views in one batch, or one backbone each.


@pytest.mark.parametrize('shared', [True, False])
def test_weights(shared):
    """By weights that follow the views, as means over what a place of the features stands for."""
    one, views = backbone(), images()
    weights = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    merged = ViewsBackbone(one, 3, 'weights', shared)(torch.cat([*views, weights], 1))
    features = [backbone()(view) for view in views]
    shrunk = weights.view(2, 3, 4, 2, 6, 2).mean((3, 5))
    for level, expected_weights in enumerate((weights, shrunk)):
        expected = sum(maps[level] * expected_weights[:, v : v + 1] for v, maps in enumerate(features))
        torch.testing.assert_close(merged[level], expected)


@pytest.mark.parametrize('merge', ['mean', 'weights'])
def test_one_feature_map(merge):
    views = images(2)
    stacked = torch.cat([*views, *([torch.full((2, 2, 8, 12), 0.5)] if merge == 'weights' else [])], 1)
    for shared in (True, False):
        merged = ViewsBackbone(backbone(single=True), 2, merge, shared)(stacked)
        torch.testing.assert_close(merged, sum(backbone(single=True)(view) for view in views) / 2)


def test_backbones_of_their_own_learn_apart():
    model = ViewsBackbone(backbone(), 2, shared=False)
    (other,) = model.others
    assert other is not model.backbone
    first, second = images(2)
    model(torch.cat([first, second], 1))[0].sum().backward()
    assert not torch.allclose(model.backbone.conv.weight.grad, other.conv.weight.grad)
    assert len(list(ViewsBackbone(backbone(), 2).parameters())) == len(list(backbone().parameters()))


def test_all_backbones_start_from_the_same_weights(tmp_path):
    torch.save(backbone(seed=5).state_dict(), tmp_path / 'weights.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    model = ViewsBackbone(backbone(init_cfg=pretrained), 3, shared=False)
    model.init_weights()
    for one in (model.backbone, *model.others):
        assert torch.equal(one.conv.weight, backbone(seed=5).conv.weight)


def test_views_of_different_channels():
    class Wide(Backbone):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(5, 4, 3, padding=1)

    model = ViewsBackbone(backbone(), 2, shared=False, added=[0, 2])
    torch.manual_seed(1)
    model.others[0] = Wide()
    view, wide = images(1)[0], torch.rand(2, 5, 8, 12)
    expected = [(a + b) / 2 for a, b in zip(model.backbone(view), model.others[0](wide))]
    for ours, theirs in zip(model(torch.cat([view, wide], 1)), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    before = model.others[0].conv.weight.clone()
    model.init_weights()  # Which makes no copies then.
    assert model.others[0].conv.weight.shape == before.shape


def test_shared_batch_norms_see_one_mixed_distribution():
    one = backbone(norm=True)
    ViewsBackbone(one, 2).train()(torch.cat(images(2), 1))
    assert one.norm.num_batches_tracked == 1


def test_refusals():
    with pytest.raises(ValueError, match='at least two views to merge, got 1'):
        ViewsBackbone(nn.Identity(), 1)
    with pytest.raises(ValueError, match=r'2 views through one backbone, got \[1, 0\]'):
        ViewsBackbone(nn.Identity(), 2, added=[1, 0])
    with pytest.raises(ValueError, match=r'2 views through backbones of their own, got \[1\]'):
        ViewsBackbone(nn.Identity(), 2, added=[1], shared=False)
    with pytest.raises(ValueError, match="unknown merge 'sum'; choose one of mean, weights"):
        ViewsBackbone(nn.Identity(), 2, merge='sum')
