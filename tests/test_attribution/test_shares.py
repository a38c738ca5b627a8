import pytest
import torch

from mmfusion.attribution import infrared_share, region_attribution


@pytest.fixture
def regions():
    generator = torch.Generator().manual_seed(0)
    ir, vi = torch.rand(2, 2, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (2, 6, 7), generator=generator)
    labels[0, :2] = 255
    labels[1][labels[1] == 2] = 0
    return ir, vi, labels


def by_hand(ir, vi, labels, smoothing, eps, region, whole):
    out = torch.empty_like(ir)
    for b in range(2):
        for c in range(3):
            size = ((labels == c) if region == 'batch' else (labels[b] == c)).sum().clamp(min=1)
            prior = eps + (smoothing if whole else smoothing / size)
            out[b, c] = (ir[b, c] + prior) / (ir[b, c] + vi[b, c] + 2 * prior)
    return out


@pytest.mark.parametrize('estimator', ['exact', 'multiplexed', 'endpoint', 'banzhaf'])
@pytest.mark.parametrize('region', ['sample', 'batch'])
@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_by_hand(regions, estimator, region, smoothing):
    out = infrared_share(*regions, estimator=estimator, region=region, smoothing=smoothing, eps=1e-3)
    expected = by_hand(*regions, smoothing, 1e-3, region, estimator in ('endpoint', 'banzhaf'))
    torch.testing.assert_close(out, expected)


def test_no_evidence_is_one_half(regions):
    zero = torch.zeros_like(regions[0])
    for smoothing in (0.0, 0.05):
        assert infrared_share(zero, zero, regions[2], smoothing=smoothing).eq(0.5).all()


@pytest.mark.parametrize('estimator', ['exact', 'endpoint', 'banzhaf'])
@pytest.mark.parametrize('scale', [2, 4])
def test_shares_do_not_depend_on_the_size_of_the_image(estimator, scale):
    """The same picture with larger pixels: means over regions shrink with their size, shares do not."""
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(2, 1, 6, 8, generator=generator) * torch.tensor([1.0, 0.3]).view(2, 1, 1, 1)
    labels = torch.randint(3, (1, 6, 8), generator=generator)

    def scorer(x):
        return torch.cat([0.1 * x, x**2, x**3], 1)

    def share(factor):
        images = small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        classes = labels.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        ir, vi = (region_attribution(scorer, one, classes, 3, estimator=estimator) for one in images.split(1))
        return infrared_share(ir, vi, classes, estimator=estimator)

    torch.testing.assert_close(share(1), share(scale))
    assert (share(1) - 0.5).abs().max() > 0.05


@pytest.mark.parametrize('ignore_index', [255, -1, 0])
def test_ignored_pixels_do_not_count(ignore_index):
    labels = torch.full((1, 2, 4), ignore_index)
    labels[0, 0] = 1
    ir, vi = torch.tensor([[0.0, 0.1]]), torch.tensor([[0.0, 0.0]])
    options = dict(estimator='exact', smoothing=0.2, eps=1e-12, ignore_index=ignore_index)
    share = infrared_share(ir, vi, labels, **options)
    assert share[0, 1].item() == pytest.approx((0.1 + 0.05) / (0.1 + 0.1))


@pytest.mark.parametrize('smoothing', [-1.0, float('nan')])
def test_refused(regions, smoothing):
    with pytest.raises(ValueError, match='smoothing must not be negative'):
        infrared_share(*regions, smoothing=smoothing)
