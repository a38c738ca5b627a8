"""Options of UAAFusion: defaults, what reaches the head, and what is refused."""

import inspect
import warnings
from dataclasses import FrozenInstanceError, replace

import pytest

from mmfusion.attribution import Attribution
from mmfusion.deprecation import MMFusionDeprecationWarning
from mmfusion.models import UAAFusion
from mmfusion.registry import MODELS


def test_head_options():
    fusion = MODELS.build(
        dict(type='mmfusion.UAAFusion', num_stages=2, channels=6, head=dict(memory=False, alpha=0.25))
    )
    assert fusion.unfolding.alpha.tolist() == [0.25, 0.25]
    assert fusion.unfolding.channels == 6
    assert all(stage.cell is None for stage in fusion.unfolding.stages)


def test_defaults_are_ours():
    fusion = UAAFusion()
    assert fusion.attribution == Attribution()
    assert (fusion.weights, fusion.attention, fusion.attention_interval) == ('attribution', 'rms', 2)
    assert fusion.unfolding.num_stages == 5
    assert fusion.unfolding.channels == 32


def test_options_of_the_attribution():
    by_dict = UAAFusion(attribution=dict(estimator='exact', smoothing=0.2)).attribution
    assert by_dict == Attribution(estimator='exact', smoothing=0.2)
    assert UAAFusion(attribution=by_dict).attribution == by_dict
    assert UAAFusion(attribution=by_dict, steps=7).attribution == replace(by_dict, steps=7)
    assert UAAFusion(steps=3).attribution.steps == 3
    with pytest.raises(FrozenInstanceError):
        by_dict.estimator = 'endpoint'


def test_few_arguments():
    """What a reader of the signature has to take in."""
    arguments = [p for p in inspect.signature(UAAFusion).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert len(arguments) <= 10


FLAT = dict(
    rule='left',
    baseline='mean',
    estimator='exact',
    pairs=3,
    test_pairs=4,
    smoothing=0.2,
    region='batch',
    label_source='mean',
    max_batch=5,
    eps=1e-3,
    ignore_index=7,
    num_classes=4,
)


def test_flat_options_still_work_with_one_warning():
    config = dict(type='UAAFusion', num_stages=1, channels=4, steps=2, **FLAT)
    with pytest.warns(MMFusionDeprecationWarning) as caught:
        fusion = MODELS.build(config)
    assert fusion.attribution == Attribution(steps=2, **FLAT)
    (warning,) = caught
    for name in FLAT:
        assert f'{name}' in str(warning.message)
    assert 'attribution' in str(warning.message)


@pytest.mark.parametrize(('flag', 'weights'), [(True, 'attribution'), (False, 'even')])
def test_attribution_as_a_switch_still_works_with_one_warning(flag, weights):
    with pytest.warns(MMFusionDeprecationWarning, match='weights=') as caught:
        fusion = UAAFusion(num_stages=1, channels=4, attribution=flag)
    assert len(caught) == 1
    assert fusion.weights == weights


def test_new_options_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter('error', MMFusionDeprecationWarning)
        UAAFusion(num_stages=1, channels=4, steps=2, weights='even', attribution=dict(baseline='mean'))


def test_what_stands_beside_goes_before():
    """A config that inherits from one with nested options may still be written the former way."""
    assert UAAFusion(steps=3, attribution=dict(steps=4)).attribution.steps == 3
    with pytest.warns(MMFusionDeprecationWarning):
        fusion = UAAFusion(rule='left', attribution=dict(rule='right', baseline='mean'))
    assert fusion.attribution == Attribution(rule='left', baseline='mean')


def test_unknown_options():
    with pytest.raises(TypeError, match=r'UAAFusion has no argument stages; .*attribution=dict\(estimator, '):
        UAAFusion(stages=3)
    with pytest.raises(TypeError, match='attribution has no option guess'):
        UAAFusion(attribution=dict(guess=1))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(steps=0), 'at least 1'),
        (dict(rule='simpson'), "'simpson'"),
        (dict(baseline='white'), "unknown baseline 'white'"),
        (dict(estimator='guess'), "unknown estimator 'guess'"),
        (dict(region='image'), "unknown region 'image'"),
        (dict(max_batch='all'), "unknown max_batch 'all'"),
        (dict(max_batch=0), 'max_batch must be positive'),
        (dict(eps=0), 'eps must be positive'),
        (dict(test_pairs=0), "test_pairs must be at least 1, or 'auto', got 0"),
        (dict(test_pairs='all'), "unknown test_pairs 'all'"),
        (dict(pairs=0), 'pairs must be at least 1, got 0'),
        (dict(label_source='fused'), "unknown label_source 'fused'"),
        (dict(smoothing=-0.1), 'smoothing must not be negative, got -0.1'),
        (dict(num_classes=0), 'num_classes must be at least 1'),
    ],
)
def test_refused_options_of_the_attribution(options, message):
    with pytest.raises(ValueError, match=message):
        UAAFusion(num_stages=2, channels=4, attribution=options)
    with pytest.raises(ValueError, match=message):
        Attribution(**options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(weights='gates'), "unknown weights 'gates'"),
        (dict(attention='max'), "unknown attention 'max'"),
        (dict(attention='gate'), "attention='gate' needs weights='gate', got weights='attribution'"),
        (dict(attention='gate', weights='even'), "got weights='even'; use attention='auto'"),
        (dict(attention_interval=0), 'attention_interval must be at least 1'),
        (dict(num_stages=0), 'num_stages=0'),
        (dict(channels=3), 'channels=3'),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(ValueError, match=message):
        UAAFusion(**{**dict(num_stages=2, channels=4), **options})
