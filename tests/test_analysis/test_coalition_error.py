"""Errors of Banzhaf shares by the number of pairs."""

import pytest
import torch

from mmfusion.analysis.coalition_error import coalition_errors
from mmfusion.analysis.scenes import SceneBatch
from mmfusion.attribution import Attribution


def scenes(classes, number=6):
    """Scenes of stripes, and a scorer in which every region acts on every other."""
    generator = torch.Generator().manual_seed(classes)
    labels = (torch.arange(48) * classes // 48).expand(1, 12, 48)
    inputs = torch.rand(number, 4, 12, 48, generator=generator)
    return [SceneBatch(image[None], labels, ['all']) for image in inputs]


def scorer_of(classes, coupling):
    """Additive: the score of a class is its own contrast, and some of everybody's."""
    gains = torch.linspace(0.2, 1.0, classes).view(1, -1, 1, 1)

    def scorer(images):
        contrast = (images - 0.5).abs()
        return gains * contrast + coupling * contrast.mean((2, 3), keepdim=True)

    return scorer


def errors_of(classes, pairs, coupling=0.5):
    options = Attribution(baseline='mean', smoothing=0.0)
    return coalition_errors(scorer_of(classes, coupling), scenes(classes), options, classes, pairs, reference_pairs=16)


def test_enough_pairs_are_exact_and_fewer_are_not():
    found = {error.pairs: error for error in errors_of(4, [1, 2, 4])}
    assert found[4].mean < 1e-5
    assert found[2].mean > 1e-4
    assert found[1].mean > 2 * found[2].mean
    for error in found.values():
        assert error.present == 4
        assert error.shares == 4 * 6
        assert error.mean <= error.worst_class
        assert error.mean <= error.p90


def test_by_classes_present():
    batches = [*scenes(4, 2), *scenes(2, 1)]
    found = coalition_errors(scorer_of(4, 0.5), batches, Attribution(), 4, pairs=[1], reference_pairs=4)
    assert [(error.present, error.shares) for error in found] == [(2, 2), (4, 8)]


def test_refused():
    with pytest.raises(ValueError, match='test_pairs must be at least 1'):
        errors_of(2, [0])
