"""The released segmentor's computation against reference scores, through mmseg's modules."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmfusion.models import SegmentorScorer
from mmfusion.registry import MODELS
from mmfusion.released import convert_segmentor_state_dict

TESTS = Path(__file__).resolve().parents[1]
DATA = TESTS / 'data'
CONFIG = TESTS.parent / 'configs/_base_/models/uaafusion-released_mobilenet-v2.py'


@pytest.fixture(scope='module')
def released_state_dict(released_checkpoint):
    return released_checkpoint['model_s']


@pytest.fixture
def build():
    """Function that builds the segmentor of the released config; keyword arguments replace the backbone's entries."""

    def make(**backbone):
        config = Config.fromfile(CONFIG).model.segmentor
        config.backbone.update(backbone)
        with DefaultScope.overwrite_default_scope('mmfusion'):
            return MODELS.build(config)

    return make


def test_scores(released_state_dict, build):
    segmentor = build()
    segmentor.load_state_dict(convert_segmentor_state_dict(released_state_dict), strict=True)
    segmentor.eval()
    with np.load(DATA / 'released_segmentor.npz') as arrays:
        image, expected = torch.from_numpy(arrays['input']), torch.from_numpy(arrays['output'])
    scorer = SegmentorScorer(segmentor, prepare=lambda x: x, score='sigmoid')
    with torch.no_grad():
        scores = scorer(image)[:, :, ::2, ::2]
    assert scores.shape == expected.shape
    assert (scores - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_rest_dilations_matter(released_state_dict, build):
    """Without the dilation of the later blocks the scores are others, so the test above does see it."""
    scores = []
    for segmentor in (build().eval(), build(rest_dilations=(1,) * 7).eval()):
        segmentor.load_state_dict(convert_segmentor_state_dict(released_state_dict))
        with torch.no_grad():
            scores.append(segmentor._forward(torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))))
    assert (scores[0] - scores[1]).abs().max() > 1e-2


def test_wrong_number_of_dilations():
    with pytest.raises(ValueError, match=r'one value for each of 7 groups, got \(1, 2\)'):
        MODELS.build(dict(type='DilatedMobileNetV2', rest_dilations=(1, 2)))


def test_other_architecture_is_refused(released_state_dict):
    other = {**released_state_dict, 'layer1.weight': torch.zeros(1)}
    del other['cls_conv.bias']
    with pytest.raises(ValueError, match=r"missing, such as \['cls_conv.bias'\], and 1 are unknown, such as \['layer1"):
        convert_segmentor_state_dict(other)
