"""region_attribution against closed forms, against a plain loop over autograd and against Captum."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmfusion.attribution import RULES, quadrature, region_attribution
from mmfusion.attribution.baseline import box_blur

F64 = torch.float64


def pair(batch=2, classes=3, size=(7, 9), seed=0, dtype=F64):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 1, *size, generator=generator, dtype=dtype)
    labels = torch.randint(classes, (batch, *size), generator=generator)
    return image, labels


def conv_net(classes=3, seed=0, width=6, dtype=F64):
    """A small convolutional softmax scorer with a smooth nonlinearity and a receptive field of 5 pixels."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.Tanh(), nn.Conv2d(width, classes, 3, padding=1), nn.Softmax(1)
    )
    with torch.no_grad():
        for p in net.parameters():
            p *= 3
    return net.to(dtype)


def loop(scorer, image, labels, num_classes, steps=5, rule='gauss_legendre', start=None, batch_region=False):
    """The definition, term by term: one backward pass per sample, class and node."""
    start = torch.zeros_like(image) if start is None else start
    nodes, weights = quadrature(rule, steps)
    result = torch.zeros(len(image), num_classes, dtype=image.dtype)
    for c in range(num_classes):
        sums = torch.zeros(len(image), dtype=image.dtype)
        sizes = (labels == c).flatten(1).sum(1)
        for b in range(len(image)):
            size = sizes.sum() if batch_region else sizes[b]
            mask = labels[b] == c
            for a, w in zip(nodes, weights):
                x = (start[b] + a * (image[b] - start[b]))[None].detach().requires_grad_()
                score = scorer(x)[0, c][mask].sum() / max(size, 1)
                (gradient,) = torch.autograd.grad(score, x)
                sums[b] += w * (gradient[0, 0] * (image[b] - start[b])[0])[mask].sum() / max(size, 1)
        if batch_region:
            sums = sums.sum().expand_as(sums) * (sizes > 0)
        result[:, c] = sums
    return result.clamp(min=0)


# Closed forms


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('steps', [1, 3])
def test_linear_scorer_is_complete_under_any_rule(rule, steps):
    steps += rule == 'trapezoid'
    image, labels = pair()
    factors = torch.tensor([2.0, 0.5, -1.0], dtype=F64)
    offsets = torch.tensor([0.1, 0.2, 3.0], dtype=F64)
    out = region_attribution(
        lambda x: x * factors.view(1, -1, 1, 1) + offsets.view(1, -1, 1, 1), image, labels, 3, steps=steps, rule=rule
    )
    for b in range(2):
        for c in range(3):
            region = image[b, 0][labels[b] == c]
            # s_c(X) - s_c(0) is factor * mean, shared by the pixels of the region.
            assert out[b, c].item() == pytest.approx(max(0, (factors[c] * region.mean() / len(region)).item()))
    assert (out[:, 2] == 0).all()  # ReLU
    assert (out[:, :2] > 0).all()


@pytest.mark.parametrize(
    ('rule', 'factor'),
    [
        ('gauss_legendre', lambda n: 1),
        ('midpoint', lambda n: 1),
        ('trapezoid', lambda n: 1),
        ('right', lambda n: 1 + 1 / n),
        ('left', lambda n: 1 - 1 / n),
    ],
)
@pytest.mark.parametrize('steps', [2, 5])
def test_quadratic_scorer(rule, factor, steps):
    """The derivative along the path is linear, so one-sided rules are off by exactly one nth from black."""
    image, labels = pair()
    out = region_attribution(lambda x: (x**2).expand(-1, 3, -1, -1), image, labels, 3, steps=steps, rule=rule)
    for b in range(2):
        for c in range(3):
            region = image[b, 0][labels[b] == c]
            expected = (region**2).mean() / len(region) * factor(steps)
            assert out[b, c].item() == pytest.approx(expected.item(), rel=1e-12)


def test_quadratic_scorer_from_the_image_mean():
    image, labels = pair()
    out = region_attribution(lambda x: (x**2).expand(-1, 3, -1, -1), image, labels, 3, steps=1, baseline='mean')
    for b in range(2):
        start = image[b].mean()
        for c in range(3):
            region = image[b, 0][labels[b] == c]
            expected = (region**2 - start**2).mean() / len(region)
            assert out[b, c].item() == pytest.approx(max(0, expected.item()), rel=1e-10)


def test_completeness_of_a_network():
    """One class everywhere: the region is the whole image, so the attributions add up to s_c(X) - s_c(X0)."""
    image, _ = pair(size=(6, 6))
    net = conv_net()
    for c in range(3):
        labels = torch.full((2, 6, 6), c)
        out = region_attribution(net, image, labels, 3, steps=24)
        with torch.no_grad():
            change = (net(image) - net(torch.zeros_like(image)))[:, c].mean((1, 2))
        torch.testing.assert_close(out[:, c], (change / 36).clamp(min=0), rtol=1e-6, atol=1e-12)


def test_batch_region_of_a_pointwise_scorer():
    image, labels = pair()
    labels[1][labels[1] == 2] = 1
    out = region_attribution(lambda x: x.expand(-1, 3, -1, -1), image, labels, 3, region='batch')
    for c in range(3):
        region = image[:, 0][labels == c]
        expected = region.mean() / len(region)
        assert out[0, c].item() == pytest.approx(expected.item())
        assert out[1, c].item() == pytest.approx(expected.item() if c < 2 else 0)  # Absent there.


def test_class_of_one_pixel():
    image, labels = pair()
    labels.zero_()
    labels[0, 3, 4] = 1
    out = region_attribution(lambda x: torch.cat([x, x**3], 1), image, labels, 2)
    assert out[0, 1].item() == pytest.approx(image[0, 0, 3, 4].item() ** 3)
    assert out[1, 1] == 0


@pytest.mark.parametrize('estimator', ['exact', 'multiplexed', 'endpoint'])
@pytest.mark.parametrize('region', ['sample', 'batch'])
def test_no_class_at_all(estimator, region):
    image, labels = pair()
    out = region_attribution(conv_net(), image, torch.full_like(labels, 255), 3, estimator=estimator, region=region)
    assert torch.equal(out, torch.zeros(2, 3, dtype=F64))


# The definition, term by term


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('region', ['sample', 'batch'])
def test_equals_the_loop(rule, region):
    image, labels = pair(classes=4)
    labels[0, :2] = 255
    labels[1][labels[1] == 3] = 0
    net = conv_net(4)
    out = region_attribution(net, image, labels, 4, steps=3, rule=rule, region=region)
    expected = loop(net, image, labels, 4, 3, rule, batch_region=region == 'batch')
    assert expected.gt(0).any()
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-14)


def test_equals_the_loop_from_other_baselines():
    image, labels = pair(size=(12, 15))
    net = conv_net()
    own = torch.rand(image.shape, generator=torch.Generator().manual_seed(5), dtype=F64)
    starts = {'mean': image.mean((2, 3), keepdim=True).expand_as(image), 'blur': box_blur(image, 3)}
    for baseline, start in [*starts.items(), (own, own)]:
        out = region_attribution(net, image, labels, 3, baseline=baseline)
        torch.testing.assert_close(out, loop(net, image, labels, 3, start=start), rtol=1e-10, atol=1e-14)


def test_image_of_several_channels():
    """Contributions of the channels are added."""
    image, labels = pair()
    colour = torch.cat([image, 2 * image, image**2], 1)
    out = region_attribution(lambda x: x.sum(1, keepdim=True).expand(-1, 3, -1, -1), colour, labels, 3)
    expected = region_attribution(lambda x: x.expand(-1, 3, -1, -1), colour.sum(1, keepdim=True), labels, 3)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize(
    ('rule', 'method'),
    [
        ('gauss_legendre', 'gausslegendre'),
        ('right', 'riemann_right'),
        ('left', 'riemann_left'),
        ('midpoint', 'riemann_middle'),
    ],
)
@pytest.mark.parametrize('baseline', ['black', 'blur'])
def test_equals_captum(rule, method, baseline):
    attr = pytest.importorskip('captum.attr')
    image, labels = pair(size=(12, 14))
    net = conv_net()
    start = torch.zeros_like(image) if baseline == 'black' else box_blur(image, 3)
    out = region_attribution(net, image, labels, 3, steps=6, rule=rule, baseline=baseline)
    assert out.gt(0).any()
    for b in range(2):
        masks = F.one_hot(labels[b], 3).permute(2, 0, 1).to(F64)

        def region_means(x, masks=masks):
            return (net(x) * masks).sum((2, 3)) / masks.sum((1, 2))

        for c in range(3):
            map_ = attr.IntegratedGradients(region_means).attribute(
                image[b : b + 1], start[b : b + 1], target=c, n_steps=6, method=method
            )
            expected = (map_[0, 0] * masks[c]).sum() / masks[c].sum()
            # Captum's step weights are float32.
            assert out[b, c].item() == pytest.approx(max(0, expected.item()), rel=1e-5, abs=1e-11)


@pytest.mark.parametrize('seed', range(6))
def test_three_gauss_nodes_beat_five_on_the_right(seed):
    image, labels = pair(batch=1, seed=seed, size=(9, 9))
    net = conv_net(seed=seed)
    reference = region_attribution(net, image, labels, 3, steps=64)
    gauss = region_attribution(net, image, labels, 3, steps=3)
    right = region_attribution(net, image, labels, 3, steps=5, rule='right')
    assert reference.gt(0).any()
    assert (gauss - reference).abs().sum() <= (right - reference).abs().sum()


# The other estimators


@pytest.mark.parametrize('region', ['sample', 'batch'])
@pytest.mark.parametrize('baseline', ['black', 'blur'])
def test_endpoint_by_hand(region, baseline):
    image, labels = pair(size=(12, 15))
    labels[1][labels[1] == 2] = 255
    net = conv_net()
    start = torch.zeros_like(image) if baseline == 'black' else box_blur(image, 3)
    out = region_attribution(net, image, labels, 3, estimator='endpoint', region=region, baseline=baseline, max_batch=3)
    with torch.no_grad():
        change = net(image) - net(start)
    for b in range(2):
        for c in range(3):
            mask = labels == c
            if not mask[b].any():
                assert out[b, c] == 0
                continue
            values = change[:, c][mask] if region == 'batch' else change[b, c][mask[b]]
            assert out[b, c].item() == pytest.approx(max(0, values.mean().item()), rel=1e-10)
    assert out.gt(0).any()


def test_endpoint_takes_no_gradient():
    image, labels = pair()

    def scorer(x):
        assert not torch.is_grad_enabled()
        return x.detach().round().expand(-1, 3, -1, -1)

    out = region_attribution(scorer, image, labels, 3, estimator='endpoint')
    region = image[0, 0][labels[0] == 1]
    assert out[0, 1].item() == pytest.approx(region.round().mean().item())


def test_multiplexed_equals_exact_without_cross_terms():
    """A pointwise scorer has none: the two signs of each region cancel whatever they are."""
    image, labels = pair()

    def scorer(x):
        return torch.cat([x**2, x**3, x.sin()], 1)

    exact = region_attribution(scorer, image, labels, 3)
    for _ in range(5):
        torch.testing.assert_close(region_attribution(scorer, image, labels, 3, estimator='multiplexed'), exact)


@pytest.mark.parametrize('max_batch', [None, 100])
def test_multiplexed_is_unbiased(max_batch):
    image, labels = pair(batch=1)
    kernel = torch.tensor([[0.01, 0.03, 0.01], [0.03, 0.84, 0.03], [0.01, 0.03, 0.01]], dtype=F64)[None, None]

    def scorer(x):
        spread = F.conv2d(x, kernel, padding=1)
        return torch.cat([spread, spread**2, spread.sin()], 1)

    exact = region_attribution(scorer, image, labels, 3)
    draws = region_attribution(
        scorer,
        image.expand(600, -1, -1, -1),
        labels.expand(600, -1, -1),
        3,
        estimator='multiplexed',
        max_batch=max_batch,
        generator=torch.Generator().manual_seed(0),
    )
    assert draws.min() > 0  # Otherwise the ReLU would bias the mean.
    assert (draws.std(0) > 0.01 * exact[0]).all()  # There are cross terms to average out.
    assert ((draws.mean(0) - exact[0]).abs() < 4 * draws.std(0) / 600**0.5).all()


def test_multiplexed_follows_its_generator():
    image, labels = pair()
    net = conv_net()

    def draw(seed):
        return region_attribution(
            net, image, labels, 3, estimator='multiplexed', generator=torch.Generator().manual_seed(seed)
        )

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    state = torch.get_rng_state()
    fresh = [region_attribution(net, image, labels, 3, estimator='multiplexed') for _ in range(4)]
    assert any(not torch.equal(fresh[0], other) for other in fresh[1:])
    assert torch.equal(torch.get_rng_state(), state)


def test_multiplexed_takes_one_backward_pass_and_exact_one_per_class():
    calls = []

    class Count(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            calls.append(len(gradient))
            return gradient

    image, labels = pair(batch=2, classes=3)

    def scorer(x):
        return Count.apply(x).expand(-1, 5, -1, -1)

    region_attribution(scorer, image, labels, 5, steps=4)
    assert calls == [8, 8, 8]  # Three of five classes are there; samples and steps are one batch.
    calls.clear()
    region_attribution(scorer, image, labels, 5, steps=4, estimator='multiplexed')
    assert calls == [8]


# What is refused


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image=torch.rand(1, 4, 4)), r'image must be a float tensor.*\(1, 4, 4\)'),
        (dict(image=torch.ones(1, 1, 4, 4, dtype=torch.uint8)), 'torch.uint8'),
        (dict(labels=torch.zeros(1, 4, 5).long()), r'labels must be integers of shape \(1, 4, 4\).*\(1, 4, 5\)'),
        (dict(labels=torch.zeros(1, 1, 4, 4).long()), r'\(1, 1, 4, 4\)'),
        (dict(labels=torch.zeros(1, 4, 4)), 'torch.float32'),
        (dict(labels=torch.full((1, 4, 4), 2)), r'\[2\], outside 0..1 and not ignore_index=255'),
        (dict(labels=torch.full((1, 4, 4), -1)), r'\[-1\]'),
        (dict(labels=torch.full((1, 4, 4), 255), ignore_index=0), r'\[255\].*ignore_index=0'),
        (dict(num_classes=0), 'num_classes must be at least 1, got 0'),
        (dict(num_classes=3), r'\(5, 2, 4, 4\) where \(5, 3, 4, 4\) was expected'),
        (dict(num_classes=3, estimator='endpoint'), r'\(2, 2, 4, 4\) where'),
        (dict(estimator='guess'), "'guess'.*exact, multiplexed, endpoint"),
        (dict(region='image'), "'image'.*sample, batch"),
        (dict(rule='simpson'), "'simpson'"),
        (dict(rule='simpson', estimator='endpoint'), "'simpson'"),
        (dict(steps=0), 'at least 1'),
        (dict(baseline='white'), "'white'"),
        (dict(baseline=torch.zeros(2, 1, 4, 4)), 'does not broadcast'),
        (dict(max_batch=0), 'max_batch must be at least 1 or None, got 0'),
        (dict(pairs=0), 'pairs must be at least 1, got 0'),
        (dict(num_classes=3, estimator='banzhaf'), r'\(4, 2, 4, 4\) where'),
    ],
)
def test_refusals(change, message):
    arguments = dict(
        scorer=lambda x: torch.cat([x, 1 - x], 1),
        image=torch.rand(1, 1, 4, 4),
        labels=torch.zeros(1, 4, 4).long(),
        num_classes=2,
    )
    region_attribution(**arguments)
    with pytest.raises(ValueError, match=message):
        region_attribution(**{**arguments, **change})
