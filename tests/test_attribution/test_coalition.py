"""Regions that are shown together: the design of the signs, and the Banzhaf estimator against enumeration."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mmfusion.attribution import region_attribution
from mmfusion.attribution.estimators.coalition import coalition_signs, default_pairs

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def region_sizes(*rows, classes, seed=0):
    """Random sizes of the classes that each sample has; some pixels are of no class."""
    sizes = torch.zeros(len(rows), classes + 1, dtype=torch.int64)
    g = generator(seed)
    for row, ids in zip(sizes, rows):
        row[list(ids)] = torch.randint(1, 5000, (len(ids),), generator=g)
        row[-1] = 17
    return sizes


def draw(classes, pairs, seed=0, samples=1):
    """Signs (2 * pairs, samples, classes) of samples that have all classes."""
    sizes = region_sizes(*[range(classes)] * samples, classes=classes, seed=seed)
    return coalition_signs(sizes, pairs, generator(seed))[..., :-1]


@pytest.mark.parametrize('pairs', [2, 4, 8, 16])
@pytest.mark.parametrize('seed', range(3))
def test_orthogonal_and_balanced_up_to_the_number_of_columns(pairs, seed):
    classes = 2 * pairs - 1
    signs = draw(classes, pairs, seed)[:, 0]
    assert set(signs.unique().tolist()) == {-1, 1}
    assert torch.equal(signs.T @ signs, 2 * pairs * torch.eye(classes, dtype=torch.int64))
    assert signs.sum(0).eq(0).all()


@pytest.mark.parametrize('pairs', [2, 4, 8])
def test_second_half_is_the_complement_where_there_are_no_more_classes_than_pairs(pairs):
    signs = coalition_signs(region_sizes(range(1, pairs + 1), classes=15), pairs, generator())[:, 0, 1 : pairs + 1]
    assert torch.equal(signs[:pairs], -signs[pairs:])
    # No product of two columns is a third one, so no interaction of two classes is taken for a third class.
    products = [signs[:, i] * signs[:, j] for i, j in itertools.combinations(range(pairs), 2)]
    assert (torch.stack(products) @ signs == 0).all()


@pytest.mark.parametrize(
    ('classes', 'pairs'), [(1, 2), (2, 1), (3, 64), (4, 3), (4, 6), (6, 5), (9, 7), (15, 3), (15, 20)]
)
def test_any_number_of_pairs_is_balanced(classes, pairs):
    signs = draw(classes, pairs)
    assert signs.shape == (2 * pairs, 1, classes)
    assert set(signs.unique().tolist()) == {-1, 1}
    assert signs.sum(0).eq(0).all()


def test_pixels_of_no_class_have_no_sign():
    signs = coalition_signs(region_sizes((0, 1), (2,), classes=3), 4, generator())
    assert signs.shape == (8, 2, 4)
    assert signs[..., -1].eq(0).all()


def test_few_of_many_classes_need_few_pairs():
    signs = coalition_signs(region_sizes((3, 9, 14), classes=15), 2, generator())[:, 0, [3, 9, 14]]
    assert torch.equal(signs.T @ signs, 4 * torch.eye(3, dtype=torch.int64))


def test_a_class_shares_a_column_with_one_of_a_much_different_size():
    """To and fro by size, so of six classes in three columns the largest is with the smallest, and so on."""
    sizes = torch.tensor([[30, 500, 20, 400, 10, 600, 0]])
    signs = coalition_signs(sizes, 2, generator())[:, 0, :-1]
    together = (signs.T @ signs).abs() == 4
    partners = {c: [d for d in range(6) if together[c, d] and d != c] for c in range(6)}
    assert partners == {5: [4], 4: [5], 1: [2], 2: [1], 3: [0], 0: [3]}


@pytest.mark.parametrize('pairs', [1, 2, 3, 4])
def test_signs_do_not_depend_on_batch_mates(pairs):
    ids = (0, 2, 3), (1,), (0, 1, 2, 3), (0, 2, 3)
    sizes = region_sizes(*ids, classes=4)
    together = coalition_signs(sizes, pairs, generator(5))
    for b in range(len(ids)):
        assert torch.equal(together[:, b : b + 1], coalition_signs(sizes[b : b + 1], pairs, generator(5)))
    # Two sources with the same labels.
    twice = coalition_signs(sizes.repeat(2, 1), pairs, generator(5))
    assert torch.equal(twice[:, :4], twice[:, 4:])


@pytest.mark.parametrize('present', [(0, 1, 2, 3), (1, 3)])
def test_one_pair_is_one_draw_per_class_and_its_complement(present):
    """What training sees; the stream of random numbers must not move."""
    signs = coalition_signs(region_sizes(present, present, classes=4), 1, generator(3))
    expected = 2 * torch.randint(2, (1, 1, 5), generator=generator(3)) - 1
    expected[..., -1] = 0
    assert torch.equal(signs, torch.cat([expected, -expected]).expand(-1, 2, -1))


@pytest.mark.parametrize('pairs', [1, 2, 4])
def test_every_coalition_is_as_likely(pairs):
    draws = torch.stack([draw(3, pairs, seed)[:, 0] for seed in range(800)])
    for row in draws.unbind(1):
        patterns = ((row + 1) // 2) @ torch.tensor([1, 2, 4])
        counts = patterns.bincount(minlength=8).double()
        # Chi squared of 7 degrees of freedom: 24.3 is exceeded once in a thousand draws.
        assert ((counts - 100) ** 2 / 100).sum() < 24.3


def test_more_pairs_than_the_design_has_are_new_draws():
    assert len(draw(3, 64)[:, 0].unique(dim=0)) == 8


@pytest.mark.parametrize(('classes', 'pairs'), [(4, 2), (6, 2), (9, 2), (9, 4), (15, 2), (15, 4), (15, 8)])
def test_no_two_classes_are_confounded_with_always_the_same_sign(classes, pairs):
    """At one fixed state of the generator, as in evaluation, over samples with other regions."""
    signs = draw(classes, pairs, samples=2000).double()
    confounded = torch.einsum('rbi,rbj->bij', signs, signs) / len(signs)
    off_diagonal = ~torch.eye(classes, dtype=torch.bool)
    assert set(confounded.unique().tolist()) <= {-1, 0, 1}
    if classes < 2 * pairs:
        assert confounded[:, off_diagonal].eq(0).all()
    else:
        assert confounded[:, off_diagonal].ne(0).any()
    # A sum of independent signs, 5 standard deviations.
    counts = confounded.abs().sum(0)
    assert (confounded.sum(0).abs() <= 5 * counts.sqrt())[off_diagonal].all()


@pytest.mark.parametrize('classes', [4, 6, 9, 15])
def test_an_additive_scorer_is_recovered_but_for_the_partners_in_a_column(classes):
    """Strips, one to a class; the score of class c is a sum over all regions of a worth for c."""
    pairs, height, samples = default_pairs(classes), 2, 100
    gen = generator(1)
    worth = 0.3 * torch.eye(classes, dtype=F64) + 0.2 * torch.rand(classes, classes, generator=gen, dtype=F64) - 0.1
    worth.fill_diagonal_(0.3)
    widths = torch.randint(1, 20, (samples, classes), generator=gen)
    labels = torch.full((samples, height, 20 * classes), 255)
    for row, width in zip(labels, widths):
        row[:, : width.sum()] = torch.arange(classes).repeat_interleave(width)
    image = torch.ones(samples, 1, *labels.shape[1:], dtype=F64)
    one_hot = (labels[:, None] == torch.arange(classes).view(1, -1, 1, 1)).to(F64)

    values, allowed = [], []
    for b in range(samples):

        def scorer(x, masks=one_hot[b : b + 1]):
            shown = (x * masks).sum((2, 3)) / masks.sum((2, 3))
            return (shown @ worth.T)[..., None, None].expand(-1, -1, *x.shape[2:])

        options = dict(estimator='banzhaf', pairs=pairs, generator=generator())
        values.append(region_attribution(scorer, image[b : b + 1], labels[b : b + 1], classes, **options)[0])
        signs = coalition_signs(F.pad(height * widths[b : b + 1], (0, 1)), pairs, generator())[:, 0, :-1]
        together = (signs.T @ signs).abs() == 2 * pairs
        allowed.append((worth.abs() * together).sum(1) - 0.3)
    values, allowed = torch.stack(values), torch.stack(allowed)
    alone = allowed < 1e-12
    torch.testing.assert_close(values[alone], torch.full_like(values[alone], 0.3))
    columns = 2 * pairs - 1
    assert alone.sum(1).eq(max(0, min(classes, 2 * columns - classes))).all()
    assert ((values - 0.3).abs() <= allowed + 1e-9).all()
    # Interference evens out over the samples: it does not always go the same way.
    error = (values - 0.3).mean(0).abs()
    assert (error <= 4 * values.std(0) / samples**0.5 + 1e-9).all()


@pytest.mark.parametrize('classes', [0, -1])
def test_default_pairs_refuses_no_classes(classes):
    with pytest.raises(ValueError, match=f'got {classes}'):
        default_pairs(classes)


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

    region_attribution(scorer, image, labels, 3, estimator='banzhaf', pairs=4, baseline=torch.full_like(image, 2.0))
    seen = torch.cat(seen)
    assert len(seen) == 8
    assert torch.equal(seen[:, :, :2], image[:, :, :2].expand(8, -1, -1, -1))
    rest, original = seen[:, :, 2:], image[:, :, 2:]
    assert torch.logical_or(rest == original, rest == 2).all()
    # Every pixel is shown in half of the images.
    assert (rest == 2).sum(0).eq(4).all()
