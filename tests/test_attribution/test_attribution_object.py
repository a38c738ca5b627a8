"""Attribution and Evidence: one object for options, one for what is found."""

import math
from dataclasses import fields, replace

import pytest
import torch

from mmfusion.attribution import Attribution, Evidence, LabelRegions, infrared_share, region_attribution


def scorer(images):
    """Three classes with values that differ between bright and dark."""
    return torch.cat([0.1 * images, images**2, 0.5 - 0.4 * images], 1)


def pair(batch=2, size=(8, 9), seed=0):
    generator = torch.Generator().manual_seed(seed)
    ir, vi = torch.rand(2, batch, 1, *size, generator=generator)
    labels = torch.randint(3, (batch, *size), generator=generator)
    labels[:, :2] = 255
    return ir, vi, labels


@pytest.mark.parametrize('estimator', ['exact', 'endpoint'])
@pytest.mark.parametrize('region', ['sample', 'batch'])
def test_evidence_is_that_of_the_functions(estimator, region):
    ir, vi, labels = pair()
    options = Attribution(estimator=estimator, region=region, steps=3, smoothing=0.1)
    found = options.evidence(scorer, ir, vi, labels)
    by_function = dict(estimator=estimator, region=region, steps=3, rule='midpoint', baseline='blur')
    for attributed, image in ((found.ir, ir), (found.vi, vi)):
        torch.testing.assert_close(attributed, region_attribution(scorer, image, labels, 3, **by_function))
    share = infrared_share(found.ir, found.vi, labels, estimator=estimator, region=region, smoothing=0.1)
    torch.testing.assert_close(found.share(), share)


def test_share_function_has_the_defaults_of_the_object():
    """A share told by default is the weight of a fusion by default."""
    ir, vi, labels = pair()
    found = Attribution().evidence(scorer, ir, vi, labels)
    torch.testing.assert_close(infrared_share(found.ir, found.vi, labels), found.share())
    exact = Attribution(estimator='exact').evidence(scorer, ir, vi, labels)
    assert (infrared_share(exact.ir, exact.vi, labels) - exact.share()).abs().max() > 0.05  # Another scale.


def test_share_is_the_weight():
    ir, vi, labels = pair()
    found = Attribution(smoothing=0.05).evidence(scorer, ir, vi, labels)
    weight_ir, weight_vi = found.weights()
    for b in range(2):
        for c in range(3):
            assert weight_ir[b, 0][labels[b] == c].unique().item() == found.share()[b, c].item()
    assert weight_ir[labels[:, None] == 255].eq(0.5).all()
    torch.testing.assert_close(weight_ir + weight_vi, torch.ones_like(ir))
    half = found.weights(strength=0.5)[0]
    torch.testing.assert_close(half, 0.5 * weight_ir + 0.25)


def test_mean_share_counts_samples_that_hold_the_class():
    labels = torch.tensor([[[0, 0, 1, 2]], [[0, 1, 1, 255]]])
    regions = LabelRegions.from_labels(labels, num_classes=4)
    ir = torch.tensor([[0.3, 0.6, 0.2, 0.0], [0.1, 0.2, 0.0, 0.0]])
    vi = torch.tensor([[0.1, 0.2, 0.2, 0.0], [0.3, 0.2, 0.0, 0.0]])
    shares = Evidence(regions, ir, vi, torch.ones_like(ir)).mean_share().tolist()
    assert shares[:3] == pytest.approx([0.5, (0.75 + 0.5) / 2, 0.5], rel=1e-5)
    assert math.isnan(shares[3])


def test_smoothing_counts_in_units_of_the_score():
    """A region of n pixels: a mean over its pixels shrinks with n, a difference of scores does not."""
    regions = LabelRegions.from_labels(torch.zeros(1, 4, 5, dtype=torch.long), num_classes=1)
    per_pixel = Evidence(regions, torch.tensor([[0.02]]), torch.tensor([[0.0]]), regions.sizes[:, :-1], 0.1)
    of_score = Evidence(regions, torch.tensor([[0.4]]), torch.tensor([[0.0]]), torch.ones(1, 1), 0.1)
    assert per_pixel.share().item() == pytest.approx(0.5 / 0.6)
    assert of_score.share().item() == pytest.approx(0.5 / 0.6)
    assert of_score.smoothed(0.0).share().item() == pytest.approx(1)


def test_labels_are_looked_at_once(monkeypatch):
    """Estimator, share, weights and attention read one derivation of the regions."""
    from mmfusion.models import UAAFusion

    ir, vi, labels = pair()
    calls = []
    derive = LabelRegions.from_labels.__func__
    monkeypatch.setattr(
        LabelRegions,
        'from_labels',
        classmethod(lambda cls, *args, **options: calls.append(1) or derive(cls, *args, **options)),
    )
    fusion = UAAFusion(num_stages=3, channels=4)
    fusion(ir, vi, scorer, labels)
    fusion(ir, vi, scorer)
    assert len(calls) == 2


@pytest.mark.parametrize('weights', ['attribution', 'even'])
def test_labels_that_no_class_has_are_refused_with_and_without_attribution(weights):
    from mmfusion.models import UAAFusion

    ir, vi, labels = pair()
    labels[0, 4, 4] = 3
    with pytest.raises(ValueError, match=r'ids \[3\], outside 0\.\.2'):
        UAAFusion(num_stages=2, channels=4, weights=weights)(ir, vi, scorer, labels)


def test_training_draws_anew_and_evaluation_repeats_itself():
    ir, vi, labels = pair()
    options = Attribution(pairs=1, test_pairs=1)

    def interacting(images):
        mean = images.mean((2, 3), keepdim=True)
        return torch.cat([images * mean, images**2 * mean, (1 - images) * mean], 1)

    first, second = (options.evidence(interacting, ir, vi, labels).ir for _ in range(2))
    assert torch.equal(first, second)
    torch.manual_seed(0)
    draws = [options.evidence(interacting, ir, vi, labels, training=True).ir for _ in range(4)]
    assert any(not torch.equal(draws[0], other) for other in draws[1:])
    torch.manual_seed(0)
    assert torch.equal(options.evidence(interacting, ir, vi, labels, training=True).ir, draws[0])


def test_float32_throughout():
    """float64 does not exist on every device."""
    ir, vi, labels = pair()
    found = Attribution().evidence(scorer, ir, vi, labels)
    for values in (found.ir, found.vi, found.scale, found.prior, found.share(), *found.weights(), found.regions.sizes):
        assert values.dtype == torch.float32


def test_regions_that_run_over_the_batch_cannot_be_repeated():
    regions = LabelRegions.from_labels(pair()[2], num_classes=3, pooled=True)
    with pytest.raises(ValueError, match='one source after the other'):
        regions.repeat(2)


def test_options_have_one_home():
    """What a fusion takes for granted and what the object says cannot differ, because the former has no own values."""
    import inspect

    from mmfusion.models import UAAFusion

    own = set(inspect.signature(UAAFusion).parameters)
    assert own & {field.name for field in fields(Attribution)} == {'steps'}
    assert inspect.signature(UAAFusion).parameters['steps'].default is None
    assert replace(Attribution(), steps=7) == Attribution(steps=7)
