"""Options of UAAFusion: defaults, what reaches the head, and what is refused."""

import pytest

from mmfusion.models import UAAFusion
from mmfusion.registry import MODELS


def test_head_options():
    fusion = MODELS.build(
        dict(type='mmfusion.UAAFusion', num_stages=2, channels=6, head=dict(memory=False, alpha=0.25))
    )
    assert fusion.head.alpha.tolist() == [0.25, 0.25]
    assert fusion.head.channels == 6
    assert all(stage.cell is None for stage in fusion.head.stages)


def test_defaults_are_ours():
    fusion = UAAFusion()
    assert (fusion.baseline, fusion.region, fusion.attention) == ('blur', 'sample', 'rms')
    assert (fusion.rule, fusion.steps) == ('midpoint', 5)
    assert (fusion.estimator, fusion.pairs, fusion.test_pairs, fusion.smoothing) == ('banzhaf', 1, 2, 0.075)
    assert (fusion.attention_interval, fusion.label_source) == (2, 'sources')
    assert fusion.head.num_stages == 5
    assert fusion.head.channels == 32


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(steps=0), 'at least 1'),
        (dict(rule='simpson'), "'simpson'"),
        (dict(baseline='white'), "unknown baseline 'white'"),
        (dict(estimator='guess'), "unknown estimator 'guess'"),
        (dict(region='image'), "unknown region 'image'"),
        (dict(attention='max'), "unknown attention 'max'"),
        (dict(max_batch='all'), "unknown max_batch 'all'"),
        (dict(max_batch=0), 'max_batch must be positive'),
        (dict(eps=0), 'eps must be positive'),
        (dict(test_pairs=0), 'test_pairs must be at least 1, got 0'),
        (dict(pairs=0), 'pairs must be at least 1, got 0'),
        (dict(label_source='fused'), "unknown label_source 'fused'"),
        (dict(attention_interval=0), 'attention_interval must be at least 1'),
        (dict(smoothing=-0.1), 'smoothing must not be negative, got -0.1'),
        (dict(num_classes=0), 'num_classes must be at least 1'),
        (dict(num_stages=0), 'num_stages=0'),
        (dict(channels=3), 'channels=3'),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(ValueError, match=message):
        UAAFusion(**{**dict(num_stages=2, channels=4), **options})
