"""Regions that are shown together: the design of the signs, and the Banzhaf estimator against enumeration."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mmfusion.attribution import region_attribution
from mmfusion.attribution.estimators.coalition import coalition_signs

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def presence(*rows, classes):
    present = torch.zeros(len(rows), classes + 1, dtype=torch.bool)
    for row, ids in zip(present, rows):
        row[list(ids)] = True
    return present


@pytest.mark.parametrize('classes', [1, 2, 3, 4, 7, 15])
@pytest.mark.parametrize('seed', range(3))
def test_orthogonal_over_as_many_rows_as_classes(classes, seed):
    block = 1 << (classes - 1).bit_length()
    signs = coalition_signs(presence(range(classes), classes=classes), block, generator(seed))[:, 0]
    assert set(signs[:, :-1].unique().tolist()) <= {-1, 1}
    assert signs[:, -1].eq(0).all()
    assert torch.equal(signs[:, :-1].T @ signs[:, :-1], block * torch.eye(classes, dtype=torch.int64))


def test_few_of_many_classes_need_few_rows():
    signs = coalition_signs(presence((3, 9, 14), classes=15), 4, generator())[:, 0, [3, 9, 14]]
    assert torch.equal(signs.T @ signs, 4 * torch.eye(3, dtype=torch.int64))


def test_signs_do_not_depend_on_batch_mates():
    ids = (0, 2, 3), (1,), (0, 1, 2, 3)
    together = coalition_signs(presence(*ids, classes=4), 3, generator(5))
    for b, one in enumerate(ids):
        alone = coalition_signs(presence(one, classes=4), 3, generator(5))
        assert torch.equal(together[:, b, list(one)], alone[:, 0, list(one)])


def test_every_coalition_is_as_likely():
    draws = torch.stack([coalition_signs(presence(range(3), classes=3), 3, generator(s))[:, 0, :3] for s in range(800)])
    for row in draws.unbind(1):
        patterns = ((row + 1) // 2) @ torch.tensor([1, 2, 4])
        counts = patterns.bincount(minlength=8).double()
        # Chi squared of 7 degrees of freedom: 24.3 is exceeded once in a thousand draws.
        assert ((counts - 100) ** 2 / 100).sum() < 24.3
    # More rows than the design has: new random parts.
    many = coalition_signs(presence(range(3), classes=3), 64, generator())[:, 0, :3]
    assert len(many.unique(dim=0)) == 8


def picture(batch=1, seed=0):
    g = generator(seed)
    return torch.rand(batch, 1, 8, 9, generator=g, dtype=F64), torch.randint(3, (batch, 8, 9), generator=g)


def coupled(x):
    """Scores of a pixel that depend on what surrounds it, not linearly."""
    around = F.avg_pool2d(x, 5, stride=1, padding=2)
    return torch.cat([x * around, (x + around) ** 3 / 4, torch.sin(x + 2 * around) + x], 1)


def enumerate_values(scorer, image, labels, start):
    """Banzhaf value of every class's region for its own score: all coalitions of the others, one by one."""
    values = torch.zeros(3, dtype=F64)
    for c in range(3):
        mask, others = labels == c, [k for k in range(3) if k != c]
        gains = []
        for size in range(3):
            for coalition in itertools.combinations(others, size):
                shown = sum((labels == k for k in coalition), torch.zeros_like(mask))[:, None] > 0
                without = torch.where(shown, image, start)
                having = torch.where(mask[:, None], image, without)
                gains.append((scorer(having) - scorer(without))[0, c][mask[0]].mean())
        values[c] = torch.stack(gains).mean()
    return values


def test_mean_over_draws_is_the_banzhaf_value():
    image, labels = picture()
    expected = enumerate_values(coupled, image, labels, torch.zeros_like(image))
    draws = torch.cat(
        [
            region_attribution(coupled, image, labels, 3, estimator='banzhaf', pairs=1, generator=generator(s))
            for s in range(300)
        ]
    )
    assert draws.min() > 0  # Otherwise the ReLU would bias the mean.
    assert (draws.std(0) > 0.01 * expected).all()  # There is something to average out.
    assert ((draws.mean(0) - expected).abs() < 4 * draws.std(0) / 300**0.5).all()


def test_four_pairs_are_exact_where_no_more_than_two_regions_interact():
    image, labels = picture()
    one_hot = F.one_hot(labels, 3).permute(0, 3, 1, 2)
    torch.manual_seed(0)
    forms = torch.rand(3, 3, 3, dtype=F64)

    def scorer(x):  # Quadratic in the means of the three regions.
        means = (x * one_hot).mean((2, 3))
        return torch.einsum('bi,cij,bj->bc', means, forms, means)[..., None, None].expand(-1, -1, 8, 9)

    expected = enumerate_values(scorer, image, labels, torch.zeros_like(image))
    assert (expected > 0).all()
    for seed in range(4):
        out = region_attribution(scorer, image, labels, 3, estimator='banzhaf', pairs=4, generator=generator(seed))
        torch.testing.assert_close(out[0], expected, rtol=1e-10, atol=0)
    one = region_attribution(scorer, image, labels, 3, estimator='banzhaf', pairs=1, generator=generator())
    assert not torch.allclose(one[0], expected, rtol=0.01)


@pytest.mark.parametrize('pairs', [1, 2, 3])
@pytest.mark.parametrize('region', ['sample', 'batch'])
def test_a_pointwise_scorer_gains_the_difference_of_the_endpoints(pairs, region):
    image, labels = picture(batch=2)

    def scorer(x):
        return torch.cat([x**2, x**3, x.sin()], 1)

    options = dict(baseline='mean', region=region)
    out = region_attribution(scorer, image, labels, 3, estimator='banzhaf', pairs=pairs, **options)
    torch.testing.assert_close(out, region_attribution(scorer, image, labels, 3, estimator='endpoint', **options))
    assert out.gt(0).any()


def test_takes_no_gradient_and_keeps_ignored_pixels():
    image, labels = picture()
    labels[:, :2] = 255
    seen = []

    def scorer(x):
        assert not torch.is_grad_enabled()
        seen.append(x)
        return x.expand(-1, 3, -1, -1)

    region_attribution(scorer, image, labels, 3, estimator='banzhaf', pairs=3, baseline=torch.full_like(image, 2.0))
    seen = torch.cat(seen)
    assert len(seen) == 6
    assert torch.equal(seen[:, :, :2], image[:, :, :2].expand(6, -1, -1, -1))
    rest, original = seen[:, :, 2:], image[:, :, 2:]
    assert torch.logical_or(rest == original, rest == 2).all()
    # An image and its complement show every pixel once.
    assert torch.equal((rest[:3] == 2), (rest[3:] != 2))
