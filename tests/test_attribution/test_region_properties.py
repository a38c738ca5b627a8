"""What region_attribution must not depend on, and what it must leave as it was."""

import pytest
import torch
from torch import nn

from mmfusion.attribution import ESTIMATORS, region_attribution

F64 = torch.float64


class Network(nn.Sequential):
    """Batch norm and dropout in training mode, one frozen batch norm."""

    def __init__(self, classes=3):
        super().__init__(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, classes, 1),
            nn.Softmax(1),
        )
        self.train()
        self[5].eval()


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Network()


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(3, 1, 8, 10, generator=generator), torch.randint(3, (3, 8, 10), generator=generator)


def signs():
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize('estimator', ['exact', 'endpoint', 'banzhaf'])
def test_batch_mates_do_not_matter(net, pair, estimator):
    image, labels = pair
    labels[1][labels[1] == 2] = 0
    labels[2, :4] = 255
    together = region_attribution(net, image, labels, 3, estimator=estimator, generator=signs())
    for b in range(3):
        alone = region_attribution(net, image[b : b + 1], labels[b : b + 1], 3, estimator=estimator, generator=signs())
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-5, atol=1e-9)
    assert together[1, 2] == 0
    # In a region of the whole batch they do.
    pooled = region_attribution(net, image, labels, 3, estimator=estimator, region='batch', generator=signs())
    assert not torch.allclose(pooled, together, rtol=1e-2, atol=0)


@pytest.mark.parametrize('estimator', ESTIMATORS)
@pytest.mark.parametrize('region', ['sample', 'batch'])
def test_chunks_do_not_matter(net, pair, estimator, region):
    net.double()
    image, labels = pair[0].double(), pair[1]
    sizes = []

    def scorer(x):
        sizes.append(len(x))
        # Without cross terms, or the signs, drawn chunk by chunk, would differ.
        return torch.cat([x**2, x.sin(), x**3], 1) if estimator == 'multiplexed' else net.eval()(x)

    def attribute(max_batch=None):
        return region_attribution(
            scorer, image, labels, 3, estimator=estimator, region=region, max_batch=max_batch, generator=signs()
        )

    whole = attribute()
    assert whole.gt(0).any()
    points = dict(endpoint=6, banzhaf=12).get(estimator, 15)
    assert sizes == [points]
    for max_batch in (1, 2, 3, 4, 100):
        sizes.clear()
        out = attribute(max_batch)
        torch.testing.assert_close(out, whole, rtol=1e-10, atol=1e-15)
        assert max(sizes) == min(max_batch, points)
        assert sum(sizes) == points


@pytest.mark.parametrize('estimator', ['exact', 'endpoint'])
def test_renaming_the_classes_renames_the_result(net, pair, estimator):
    image, labels = pair
    out = region_attribution(net, image, labels, 3, estimator=estimator)
    order = torch.tensor([2, 0, 1])
    renamed = region_attribution(
        lambda x: net.eval()(x)[:, order], image, order.argsort()[labels], 3, estimator=estimator
    )
    torch.testing.assert_close(renamed, out[:, order], rtol=1e-5, atol=1e-9)
    assert not torch.allclose(out, out[:, order])


@pytest.mark.parametrize('estimator', ESTIMATORS)
@pytest.mark.parametrize('ignore_index', [255, -100, 0])
def test_ignored_pixels_belong_to_no_region(pair, estimator, ignore_index):
    image, labels = pair
    labels = labels + 1
    ignored = torch.rand(labels.shape, generator=signs()) < 0.3

    def scorer(x):
        return torch.cat([x, x, x**2, x**3], 1)

    # Pointwise: all estimators tell the same, but for their scale.
    def attribute(image, ignored):
        return region_attribution(
            scorer, image, labels.masked_fill(ignored, ignore_index), 4, estimator=estimator, ignore_index=ignore_index
        )

    out = attribute(image, ignored)
    for b in range(3):
        for c in (1, 2, 3):
            region = image[b, 0][(labels[b] == c) & ~ignored[b]]
            expected = (region**c).mean() / (1 if estimator in ('endpoint', 'banzhaf') else len(region))
            assert out[b, c].item() == pytest.approx(expected.item(), rel=1e-5)
    # Whatever those pixels look like.
    painted = torch.where(ignored[:, None], torch.ones_like(image), image)
    torch.testing.assert_close(attribute(painted, ignored), out)
    assert not torch.allclose(attribute(image, torch.zeros_like(ignored)), out)


def test_pixels_that_the_scorer_does_not_see_get_nothing(pair):
    """Sensitivity: evidence for class 1 lies outside its region, in a place that only class 0 covers."""
    image, _ = pair
    labels = torch.zeros(3, 8, 10, dtype=torch.long)
    labels[..., 5:] = 1

    def scorer(x):
        left = x[..., :5]
        return torch.cat([left, left], -1).expand(-1, 2, -1, -1)

    out = region_attribution(scorer, image, labels, 2)
    assert (out[:, 0] > 0).all()
    assert (out[:, 1] == 0).all()
    # Two regions are told apart by two pairs.
    out = region_attribution(scorer, image, labels, 2, estimator='banzhaf', pairs=2)
    assert (out[:, 0] > 0).all()
    assert out[:, 1].abs().max() < 1e-6
    # The endpoint estimator is not restricted to the region, as documented.
    assert (region_attribution(scorer, image, labels, 2, estimator='endpoint')[:, 1] > 0).all()


@pytest.mark.parametrize('estimator', ESTIMATORS)
@pytest.mark.parametrize('region', ['sample', 'batch'])
def test_linear_in_the_scorer(pair, estimator, region):
    """Of a weighted sum of two scorers it is the weighted sum (where the ReLU has nothing to do)."""
    image, labels = pair[0].double(), pair[1]

    def one(x):  # What surrounds a pixel counts, so that regions have to do with each other.
        around = nn.functional.avg_pool2d(x, 3, 1, 1)
        return torch.cat([x * x + 0.1 * x * around, x**3 + 0.1 * around, x + 0.1 * around**2], 1)

    def other(x):
        return torch.cat([x.sin(), x**2 + 0.05 * x, x.exp()], 1)

    def attribute(scorer):
        return region_attribution(
            scorer, image, labels, 3, estimator=estimator, region=region, pairs=3, generator=signs()
        )

    first, second = attribute(one), attribute(other)
    assert first.gt(0).all()
    assert second.gt(0).all()
    both = attribute(lambda x: 2 * one(x) + 0.5 * other(x))
    torch.testing.assert_close(both, 2 * first + 0.5 * second, rtol=1e-9, atol=1e-15)


def test_unchanged_image_has_no_attribution(net, pair):
    image, labels = pair
    for estimator in ESTIMATORS:
        assert (region_attribution(net, image, labels, 3, baseline=image, estimator=estimator) == 0).all()


# No trace


@pytest.mark.parametrize('estimator', ESTIMATORS)
@pytest.mark.parametrize('context', [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_leaves_no_trace(net, pair, estimator, context):
    image, labels = pair
    net(image).square().sum().backward()
    net[0].weight.requires_grad_(False)
    image.requires_grad_()
    buffers = {name: value.clone() for name, value in net.state_dict().items()}
    grads = {name: p.grad.clone() for name, p in net.named_parameters()}
    requires = {name: p.requires_grad for name, p in net.named_parameters()}
    flags = {name: module.training for name, module in net.named_modules()}
    rng = torch.get_rng_state()

    with context():
        out = region_attribution(net, image, labels, 3, estimator=estimator, generator=signs())

    assert not out.requires_grad
    assert image.grad is None
    assert image.requires_grad
    assert all(torch.equal(value, buffers[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, grads[name]) for name, p in net.named_parameters())
    assert {name: p.requires_grad for name, p in net.named_parameters()} == requires
    assert {name: module.training for name, module in net.named_modules()} == flags
    assert torch.equal(torch.get_rng_state(), rng)
    # And the mode of the caller has no say in the numbers.
    expected = region_attribution(net.eval(), image, labels, 3, estimator=estimator, generator=signs())
    assert torch.equal(out, expected)
    assert out.gt(0).any()


def test_inputs_stay(net, pair):
    image, labels = pair
    copies = image.clone(), labels.clone()
    region_attribution(net, image, labels, 3)
    assert torch.equal(image, copies[0])
    assert torch.equal(labels, copies[1])
    assert not image.requires_grad


def test_no_gradient_through_a_baseline(net, pair):
    image, labels = pair
    baseline = torch.zeros_like(image).requires_grad_()
    for estimator in ESTIMATORS:
        assert not region_attribution(net, image, labels, 3, baseline=baseline, estimator=estimator).requires_grad
    assert baseline.grad is None


def test_images_made_in_inference_mode(net, pair):
    with torch.inference_mode():
        image, labels = pair[0].clone(), pair[1].clone()
        inside = region_attribution(net, image, labels, 3, baseline='blur')
        inside_from = region_attribution(net, image, labels, 3, baseline=image / 2)
    assert image.is_inference()
    torch.testing.assert_close(region_attribution(net, *pair, 3, baseline='blur'), inside)
    torch.testing.assert_close(region_attribution(net, image, labels, 3, baseline='blur'), inside)
    torch.testing.assert_close(region_attribution(net, *pair, 3, baseline=pair[0] / 2), inside_from)


# Precision


@pytest.mark.parametrize(
    ('dtype', 'expected'),
    [(F64, F64), (torch.float32, torch.float32), (torch.float16, torch.float32), (torch.bfloat16, torch.float32)],
)
def test_types(net, pair, dtype, expected):
    if dtype == F64:
        net.double()
    for estimator in ESTIMATORS:
        assert region_attribution(net, pair[0].to(dtype), pair[1], 3, estimator=estimator).dtype == expected


@pytest.mark.parametrize('labels_type', [torch.uint8, torch.int32, torch.int64])
def test_label_types(net, pair, labels_type):
    image, labels = pair
    labels[:, 0] = 255
    out = region_attribution(net, image, labels.to(labels_type), 3)
    assert torch.equal(out, region_attribution(net, image, labels, 3))


def test_double_is_computed_in_double(net, pair):
    net.double()
    out = region_attribution(net, pair[0].double(), pair[1], 3)
    assert not torch.equal(out, out.float().double())
    torch.testing.assert_close(region_attribution(net.float(), *pair, 3).double(), out, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_autocast(net, pair, estimator):
    net.eval()
    with torch.no_grad():  # Evidence above the resolution of bfloat16: differences of scores are not relative to it.
        [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)][-1].weight.mul_(8)
    plain = region_attribution(net, *pair, 3, estimator=estimator, generator=signs())
    with torch.autocast('cpu', torch.bfloat16):
        half = region_attribution(net, *pair, 3, estimator=estimator, generator=signs())
    assert half.dtype == torch.float32
    assert not torch.equal(half, plain)  # bfloat16 stays on,
    torch.testing.assert_close(half, plain, rtol=0.05, atol=0.05 * plain.max().item())
    with torch.autocast('cpu', torch.float16):  # float16 is switched off.
        off = region_attribution(net, *pair, 3, estimator=estimator, generator=signs())
    assert torch.equal(off, plain)
