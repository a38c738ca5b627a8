"""Joint attribution of two sources that one network reads together: against closed forms and enumeration."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from mmfusion.attribution import ESTIMATORS, Attribution, LabelRegions, make_baseline, region_attribution
from mmfusion.attribution.estimators import Effort, estimate_jointly, get_estimator

F64 = torch.float64
SIZE = (8, 9)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pair(batch=2, channels=3, classes=2, seed=0, dtype=F64):
    """Infrared and visible images, and labels that hold every class and ignored pixels."""
    g = generator(seed)
    ir = torch.rand(batch, 1, *SIZE, generator=g, dtype=dtype)
    vi = torch.rand(batch, channels, *SIZE, generator=g, dtype=dtype)
    labels = torch.randint(classes, (batch, *SIZE), generator=g)
    labels[:, :1] = 255
    return ir, vi, labels


def coupled(ir, vi):
    """Two classes whose scores mix both sources and what surrounds a pixel, not linearly."""
    grey = vi.mean(1, keepdim=True)
    around = F.avg_pool2d(ir * grey, 5, stride=1, padding=2)
    return torch.cat([torch.tanh(ir + 2 * around) + grey**2, torch.sin(grey - ir) + 3 * around * ir], 1)


def score(scorer, ir, vi, regions):
    """Mean score (B, C) of each class in its region."""
    return regions.finish(regions.sums(regions.select(scorer(ir, vi))))


def signed(scorer, ir, vi, regions, estimator, baseline='blur', **effort):
    """Parts (2, B, C) before the ReLU."""
    return estimate_jointly(scorer, ir, vi, regions, estimator, baseline, Effort(generator=generator(), **effort))


def regions_of(labels, classes=2, **options):
    return LabelRegions.from_labels(labels, classes, dtype=F64, **options)


# Completeness --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('baseline', ['black', 'mean', 'blur'])
@pytest.mark.parametrize('pooled', [False, True])
def test_endpoint_parts_add_up_to_the_difference_of_the_scores(baseline, pooled):
    ir, vi, labels = pair()
    regions = regions_of(labels, pooled=pooled)
    parts = signed(coupled, ir, vi, regions, 'endpoint', baseline)
    absent = make_baseline(ir, baseline), make_baseline(vi, baseline)
    expected = score(coupled, ir, vi, regions) - score(coupled, *absent, regions)
    torch.testing.assert_close(parts.sum(0), expected, rtol=1e-12, atol=1e-14)
    assert parts.abs().min() > 1e-4


def test_endpoint_parts_are_shapley_values():
    """The mean over both orders in which the sources can come."""
    ir, vi, labels = pair()
    regions = regions_of(labels)
    ir0, vi0 = make_baseline(ir, 'blur'), make_baseline(vi, 'blur')
    nobody, alone, other, both = (
        score(coupled, *images, regions) for images in ((ir0, vi0), (ir, vi0), (ir0, vi), (ir, vi))
    )
    of_ir, of_vi = signed(coupled, ir, vi, regions, 'endpoint')
    torch.testing.assert_close(of_ir, ((alone - nobody) + (both - other)) / 2)
    torch.testing.assert_close(of_vi, ((other - nobody) + (both - alone)) / 2)
    assert (alone - nobody - both + other).abs().min() > 1e-4  # Otherwise one order would do.


@pytest.mark.parametrize('max_batch', [None, 1, 3])
def test_endpoint_in_portions(max_batch):
    ir, vi, labels = pair(batch=3)
    regions = regions_of(labels)
    parts = signed(coupled, ir, vi, regions, 'endpoint', max_batch=max_batch)
    torch.testing.assert_close(parts, signed(coupled, ir, vi, regions, 'endpoint'))


@pytest.mark.parametrize('estimator', ['exact', 'multiplexed'])
@pytest.mark.parametrize('baseline', ['black', 'blur'])
def test_path_integrals_add_up_where_a_region_is_the_whole_image(estimator, baseline):
    ir, vi, _ = pair()
    regions = regions_of(torch.zeros(2, *SIZE, dtype=torch.long))
    parts = signed(coupled, ir, vi, regions, estimator, baseline, steps=24, rule='gauss_legendre')
    absent = make_baseline(ir, baseline), make_baseline(vi, baseline)
    expected = score(coupled, ir, vi, regions) - score(coupled, *absent, regions)
    pixels = math.prod(SIZE)  # Integrals are means over the pixels of the region.
    torch.testing.assert_close(pixels * parts.sum(0)[:, 0], expected[:, 0], rtol=1e-9, atol=0)
    assert parts[:, :, 0].abs().min() > 1e-4
    assert parts[:, :, 1].eq(0).all()


@pytest.mark.parametrize('baseline', ['black', 'mean', 'blur'])
@pytest.mark.parametrize('rule', ['midpoint', 'gauss_legendre', 'trapezoid'])
def test_bilinear_scorer(baseline, rule):
    """s = a I V + b I + d V: along the path the derivative by I is a V + b, which is linear."""
    ir, vi, labels = pair(channels=1)
    a, b, d = (torch.tensor(values, dtype=F64).view(1, 2, 1, 1) for values in ([2.0, -1.0], [0.5, 0.3], [-0.2, 1.0]))
    regions = regions_of(labels)
    options = dict(steps=2 if rule == 'trapezoid' else 1, rule=rule)
    found = signed(lambda i, v: a * i * v + b * i + d * v, ir, vi, regions, 'exact', baseline, **options)
    ir0, vi0 = make_baseline(ir, baseline), make_baseline(vi, baseline)
    maps = (
        (ir - ir0) * (a * (vi + vi0) / 2 + b),
        (vi - vi0) * (a * (ir + ir0) / 2 + d),
    )
    for part, values in zip(found, maps):
        for n, c in itertools.product(range(2), range(2)):
            region = labels[n] == c
            expected = values[n, c][region].mean() / region.sum()
            assert part[n, c].item() == pytest.approx(expected.item(), rel=1e-10)


def test_channels_of_one_source_are_added():
    """A source is all of its channels: one group is the sum of its channels as groups of their own."""
    _, vi, labels = pair()
    regions, start = regions_of(labels), make_baseline(vi, 'blur')

    def scorer(images):
        return torch.cat([images.prod(1, keepdim=True), (images * images.roll(1, 1)).sum(1, keepdim=True)], 1)

    for estimator in ('exact', 'multiplexed'):
        compute = get_estimator(estimator).compute
        one = compute(scorer, start, vi, regions, Effort(generator=generator()), [3])
        three = compute(scorer, start, vi, regions, Effort(generator=generator()), [1, 1, 1])
        assert three.shape == (3, 2, 2)
        torch.testing.assert_close(one[0], three.sum(0))
        torch.testing.assert_close(one[0].clamp(min=0), by_function(scorer, vi, labels, estimator))
    with pytest.raises(ValueError, match="'endpoint' attributes one or two sources, got 3"):
        get_estimator('endpoint').compute(scorer, start, vi, regions, Effort(), [1, 1, 1])


def by_function(scorer, image, labels, estimator, **options):
    options = dict(estimator=estimator, baseline='blur', rule='midpoint', generator=generator(), **options)
    return region_attribution(scorer, image, labels, 2, **options)


# Banzhaf values ------------------------------------------------------------------------------------------------------
PLAYERS = list(itertools.product((0, 1), (0, 1)))  # (source, class)


def brute_force(scorer, ir, vi, labels, baseline):
    """Banzhaf values (2, C) of one sample: all coalitions of the other regions of both sources."""
    sources = (ir, vi)
    absent = tuple(make_baseline(source, baseline) for source in sources)

    def value(coalition, c):
        shown = []
        for number, (image, start) in enumerate(zip(sources, absent)):
            # Pixels of no class are always shown.
            classes = [k for source, k in coalition if source == number] + [255]
            mask = torch.isin(labels, torch.tensor(classes))[:, None]
            shown.append(torch.where(mask, image, start))
        return scorer(*shown)[0, c][labels[0] == c].mean()

    values = torch.zeros(2, 2, dtype=F64)
    for source, c in PLAYERS:
        others = [player for player in PLAYERS if player != (source, c)]
        coalitions = [chosen for size in range(4) for chosen in itertools.combinations(others, size)]
        assert len(coalitions) == 8
        gains = [value((*chosen, (source, c)), c) - value(chosen, c) for chosen in coalitions]
        values[source, c] = torch.stack(gains).mean()
    return values


def test_mean_over_draws_is_the_banzhaf_value():
    ir, vi, labels = pair(batch=1)
    regions = regions_of(labels)
    expected = brute_force(coupled, ir, vi, labels, 'black')
    draws = torch.stack(
        [
            estimate_jointly(coupled, ir, vi, regions, 'banzhaf', 'black', Effort(pairs=1, generator=generator(s)))
            for s in range(300)
        ]
    )[:, :, 0]
    assert (draws.std(0) > 0.01 * expected.abs()).all()  # There is something to average out.
    assert ((draws.mean(0) - expected).abs() < 4 * draws.std(0) / 300**0.5).all()
    assert expected.abs().min() > 0.01


@pytest.mark.parametrize('baseline', ['black', 'blur'])
def test_four_pairs_are_exact_where_no_more_than_two_players_interact(baseline):
    """Four players, two classes in two sources, in a design of four pairs."""
    ir, vi, labels = pair(batch=1, channels=1)
    masks = torch.stack([labels == c for c in range(2)], 1).to(F64)
    forms = torch.rand(2, 4, 4, generator=generator(3), dtype=F64)

    def scorer(i, v):  # Quadratic in the means of the four regions.
        means = torch.cat([(x * masks).sum((2, 3)) / masks.sum((2, 3)) for x in (i, v)], 1)
        return torch.einsum('bi,cij,bj->bc', means, forms, means)[..., None, None].expand(-1, -1, *SIZE)

    expected = brute_force(scorer, ir, vi, labels, baseline)
    regions = regions_of(labels)
    for seed in range(4):
        effort = Effort(pairs=4, generator=generator(seed))
        found = estimate_jointly(scorer, ir, vi, regions, 'banzhaf', baseline, effort)[:, 0]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    one = estimate_jointly(scorer, ir, vi, regions, 'banzhaf', baseline, Effort(pairs=1, generator=generator()))
    assert not torch.allclose(one[:, 0], expected, rtol=0.01)


def test_banzhaf_shows_all_channels_of_a_source_together():
    ir, vi, labels = pair(batch=1)
    seen = []

    def scorer(i, v):
        assert not torch.is_grad_enabled()
        seen.append(torch.cat([i, v], 1))
        return torch.cat([i, v[:, :1]], 1)

    signed(scorer, ir, vi, regions_of(labels), 'banzhaf', 'black', pairs=4)
    shown = torch.cat(seen) != 0
    assert len(shown) == 8
    assert torch.equal(shown[:, 1], shown[:, 2])
    assert torch.equal(shown[:, 1], shown[:, 3])
    known = (labels != 255).expand(8, -1, -1)
    assert shown[:, 0][~known].all()
    assert (shown[:, 0] != shown[:, 1])[known].any()
    # Every pixel of every source is shown in half of the images.
    assert shown.sum(0)[:, labels[0] != 255].eq(4).all()


# Two sources and one -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_a_source_that_is_not_read_has_no_evidence(estimator):
    """And the other one has what it has by itself."""
    ir, vi, labels = pair()

    def alone(image):
        return torch.cat([image**2, image.sin()], 1)

    options = Attribution(estimator=estimator, test_pairs=4, smoothing=0.0)
    found = options.joint_evidence(lambda i, v: alone(i), ir, vi, labels, generator=generator())
    assert found.vi.eq(0).all()
    single = by_function(alone, ir, labels, estimator, pairs=4)
    if estimator == 'multiplexed':  # Its noise differs.
        single = by_function(alone, ir, labels, 'exact')
    torch.testing.assert_close(found.ir, single)
    assert found.ir.gt(0).any()
    share = found.share()
    assert share[found.ir > 0].min() > 0.99
    assert share[found.ir == 0].eq(0.5).all()


def symmetric(i, v):
    """Two classes; it does not matter which source is which."""
    around = F.avg_pool2d(i * v, 3, stride=1, padding=1)
    return torch.cat([i * v + around, (i + v) ** 2 / 2], 1)


@pytest.mark.parametrize('estimator', ['exact', 'endpoint', 'multiplexed'])
def test_equal_sources_have_equal_shares(estimator):
    ir, _, labels = pair(channels=1)
    found = Attribution(estimator=estimator).joint_evidence(symmetric, ir, ir.clone(), labels, generator=generator())
    torch.testing.assert_close(found.ir, found.vi, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(found.share(), torch.full((2, 2), 0.5, dtype=F64))
    assert found.ir.gt(0).any()


def test_equal_sources_have_equal_banzhaf_values_on_average():
    ir, _, labels = pair(batch=1, channels=1)
    regions = regions_of(labels)
    draws = torch.stack(
        [
            estimate_jointly(symmetric, ir, ir, regions, 'banzhaf', 'black', Effort(pairs=2, generator=generator(s)))
            for s in range(200)
        ]
    )[:, :, 0]
    difference = draws[:, 0] - draws[:, 1]
    assert (difference.mean(0).abs() < 4 * difference.std(0) / 200**0.5 + 1e-12).all()
    assert draws.mean(0).min() > 0.1


@pytest.mark.parametrize('estimator', ['exact', 'endpoint'])
def test_sources_that_change_places_change_parts(estimator):
    ir, vi, labels = pair(channels=1)
    options = Attribution(estimator=estimator)
    found = options.joint_evidence(coupled, ir, vi, labels)
    turned = options.joint_evidence(lambda v, i: coupled(i, v), vi, ir, labels)
    torch.testing.assert_close(found.ir, turned.vi)
    torch.testing.assert_close(found.vi, turned.ir)
    assert not torch.allclose(found.ir, found.vi)


# Options -------------------------------------------------------------------------------------------------------------
def test_evidence_is_the_positive_part():
    ir, vi, labels = pair()
    found = Attribution(estimator='exact', steps=4).joint_evidence(coupled, ir, vi, labels)
    parts = signed(coupled, ir, vi, regions_of(labels), 'exact', steps=4)
    assert parts.min() < 0 < parts.max()
    torch.testing.assert_close(torch.stack([found.ir, found.vi]), parts.clamp(min=0))
    assert torch.equal(found.scale, found.regions.sizes[:, :-1])


def test_pairs_count_the_regions_of_both_sources():
    """Four classes are eight players, which take four pairs where four players would take two."""
    ir, vi, labels = pair(classes=4)
    calls = []

    def scorer(i, v):
        calls.append(len(i))
        return (i * v.mean(1, keepdim=True)).expand(-1, 4, -1, -1)

    scorer.num_classes = 4
    Attribution().joint_evidence(scorer, ir, vi, labels)
    assert sum(calls) == 2 * 2 * 4
    calls.clear()
    Attribution().joint_evidence(scorer, ir, vi, labels, training=True)
    assert sum(calls) == 2 * 2 * 1
    calls.clear()
    Attribution().evidence(lambda x: scorer(x, x), ir, ir, Attribution(num_classes=4).regions(None, ir, ir, labels))
    assert sum(calls) == 2 * 2 * 2 * 2


def test_training_draws_anew_and_evaluation_repeats_itself():
    ir, vi, labels = pair()
    options = Attribution(test_pairs=1)
    first, second = (options.joint_evidence(coupled, ir, vi, labels).ir for _ in range(2))
    assert torch.equal(first, second)
    torch.manual_seed(0)
    draws = [options.joint_evidence(coupled, ir, vi, labels, training=True).ir for _ in range(4)]
    assert any(not torch.equal(draws[0], other) for other in draws[1:])
    torch.manual_seed(0)
    assert torch.equal(options.joint_evidence(coupled, ir, vi, labels, training=True).ir, draws[0])


def test_predicted_regions():
    ir, vi, _ = pair()
    ignore = torch.zeros(2, *SIZE, dtype=torch.bool)
    ignore[1, :, 6:] = True

    def scorer(i, v):
        return coupled(i, v) - torch.tensor([0.7, 0.3], dtype=F64).view(1, 2, 1, 1)

    regions = Attribution().joint_regions(scorer, ir, vi, ignore=ignore)
    assert torch.equal(regions.labels(), scorer(ir, vi).argmax(1).masked_fill(ignore, 255))
    assert regions.labels().unique().tolist() == [0, 1, 255]
    found = Attribution().joint_evidence(scorer, ir, vi, ignore=ignore)
    assert torch.equal(found.regions.index, regions.index)


def test_refusals():
    ir, vi, labels = pair()
    labels[0, 4, 4] = 2
    with pytest.raises(ValueError, match=r'ids \[2\], outside 0\.\.1'):
        Attribution().joint_evidence(coupled, ir, vi, labels)
    with pytest.raises(ValueError, match=r'labels of shape \(2, 8, 9\) go with images'):
        Attribution().joint_evidence(coupled, ir, vi, labels[:, 1:])
    with pytest.raises(ValueError, match='the scorer returned scores of shape'):
        Attribution(num_classes=3).joint_evidence(coupled, ir, vi, labels)
