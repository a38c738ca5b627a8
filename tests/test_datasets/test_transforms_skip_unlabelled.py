import numpy as np
import pytest

from mmfusion.datasets import SkipUnlabelled
from mmfusion.registry import TRANSFORMS


def labels(ignored, index=255):
    """Ten by ten pixels, so many of them ignored."""
    flat = np.zeros(100, np.uint8)
    flat[:ignored] = index
    return dict(gt_seg_map=flat.reshape(10, 10))


@pytest.mark.parametrize(('most', 'kept', 'dropped'), [(0.5, 50, 51), (0.0, 0, 1), (0.93, 93, 94)])
def test_share(most, kept, dropped):
    skip = TRANSFORMS.build(dict(type='SkipUnlabelled', max_ignored=most))
    results = labels(kept)
    assert skip(results) is results
    assert skip(labels(dropped)) is None


def test_which_label_is_ignored():
    assert SkipUnlabelled()(labels(90, index=7)) is not None
    assert SkipUnlabelled()(dict(labels(90, index=7), ignore_index=7)) is None
    assert SkipUnlabelled(ignore_index=7)(dict(labels(90, index=7), ignore_index=255)) is None
    assert SkipUnlabelled(ignore_index=0)(labels(90)) is not None


@pytest.mark.parametrize('most', [-0.1, 1, 50])
def test_refusals(most):
    with pytest.raises(ValueError, match='max_ignored is a share'):
        SkipUnlabelled(max_ignored=most)
