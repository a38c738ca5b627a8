"""The attribution of one pair."""

import captum.attr
import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmfusion.analysis.attribution_maps import (
    CONVERGENCE_RULES,
    analyse,
    attribution_options,
    class_scores,
    path_integral,
)
from mmfusion.analysis.figures import draw_attribution
from mmfusion.analysis.labels import fit_labels
from mmfusion.analysis.scenes import build_dataset
from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import list_pairs
from mmfusion.attribution import Attribution, make_baseline
from mmfusion.models.color import split_luminance

SIZE = (30, 45)  # odd: the network sees padding


@pytest.fixture
def config(paired_config):
    """Function of a fusion that gives a config file; the data are in tmp_path/data."""
    return lambda fusion=None: paired_config(SIZE, 3, fusion)


def smooth_scorer(image):
    """Three classes; neither linear nor local."""
    blurred = torch.nn.functional.avg_pool2d(image, 3, stride=1, padding=1)
    return torch.cat([(4 * blurred).sin(), image**3 * blurred, 1 - blurred**2], dim=1)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 1, 8, 10, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 8, 10), generator=generator)
    labels[:, 0] = 255
    return image, labels


def test_class_scores_by_hand():
    scores = torch.arange(12.0).view(1, 3, 2, 2)
    labels = torch.tensor([[[0, 0], [1, 255]]])
    assert class_scores(scores, labels).tolist() == [[0.5, 6.0, 0.0]]


@pytest.mark.parametrize(('rule', 'method'), [('right', 'riemann_right'), ('gauss_legendre', 'gausslegendre')])
def test_path_integral_is_that_of_captum(case, rule, method):
    image, labels = case
    start = make_baseline(image, 'blur')
    ours = path_integral(smooth_scorer, image, start, labels, 4, rule)
    for c in range(3):
        # captum repeats the batch once per step.
        oracle = captum.attr.IntegratedGradients(
            lambda x, c=c: class_scores(smooth_scorer(x), labels.repeat(len(x) // 2, 1, 1))[:, c]
        )
        theirs = oracle.attribute(image, start, n_steps=4, method=method).sum((1, 2, 3))
        torch.testing.assert_close(ours[:, c], theirs, rtol=1e-6, atol=1e-9)


def test_path_integral_is_complete_in_the_limit(case):
    image, labels = case
    start = make_baseline(image, 'black')
    truth = class_scores(smooth_scorer(image), labels) - class_scores(smooth_scorer(start), labels)
    error = {
        (rule, n): (path_integral(smooth_scorer, image, start, labels, n, rule) - truth).abs().max().item()
        for rule in CONVERGENCE_RULES
        for n in (2, 8)
    }
    assert error['gauss_legendre', 8] < 1e-6
    assert 3 < error['right', 2] / error['right', 8] < 5  # first order
    assert error['gauss_legendre', 2] < error['right', 8]


def labels_of(packed):
    return packed['data_samples'].gt_sem_seg.data[0].numpy()


def weights_of(report, eps=1e-8):
    """The shares, as the fusion computes them, spread over the regions."""
    return ((report.region_ir + eps) / (report.region_ir + report.region_vi + 2 * eps))[report.labels]


def test_report_against_the_model(config, random_checkpoint, tmp_path):
    """Without labels everything is what the model does when it predicts."""
    config = config()
    checkpoint = random_checkpoint(config)
    fuse = FusionInferencer(config, checkpoint, 'cpu')
    ir, vi = tmp_path / 'data/ir/001.png', tmp_path / 'data/vi/001.png'
    packed = fuse.pipeline(dict(list_pairs(ir, vi)[0], seg_fields=[]))
    assert 'gt_sem_seg' not in packed['data_samples']
    report = analyse(fuse, packed)

    with torch.no_grad():
        (sample,) = fuse.model.test_step(pseudo_collate([packed]))
    assert np.array_equal(report.prediction, sample.pred_sem_seg.data[0])
    np.testing.assert_allclose(report.weight_ir, sample.fusion_weights.data[0], atol=1e-6)
    assert np.abs(report.fused.transpose(2, 0, 1) - 255 * sample.fused_img.data.numpy()).max() <= 0.51
    assert np.array_equal(report.infrared, cv2.imread(str(ir), cv2.IMREAD_UNCHANGED))
    assert np.array_equal(report.visible[..., ::-1], cv2.imread(str(vi)))
    assert len(report.present) > 1
    np.testing.assert_allclose(report.weight_ir, weights_of(report), atol=1e-5)
    assert report.attention.shape == (2, *SIZE)
    assert not report.attention[0].any()
    assert report.attention[1].std() > 0.5
    assert report.options == dict(steps=2, rule='midpoint', baseline='blur', estimator='exact', used=True)


def test_steps_are_those_of_the_fusion(config, random_checkpoint):
    config = config()
    checkpoint = random_checkpoint(config)
    regions = {}
    for steps in (None, 2, 7):
        fuse = FusionInferencer(config, checkpoint, 'cpu')
        packed = build_dataset(fuse)[0]
        report = analyse(fuse, packed, labels_of(packed), steps)
        regions[steps] = report.region_ir
        np.testing.assert_allclose(report.weight_ir, weights_of(report), atol=1e-5)
    assert np.array_equal(regions[None], regions[2])
    assert not np.allclose(regions[2], regions[7], rtol=1e-4)


def test_fusion_that_attributes_nothing(config, random_checkpoint):
    config = config(dict(type='AverageFusion'))
    checkpoint = random_checkpoint(config)
    fuse = FusionInferencer(config, checkpoint, 'cpu')
    packed = build_dataset(fuse)[2]
    labels = labels_of(packed)
    report = analyse(fuse, packed, labels)
    assert report.attention.shape == (0, *SIZE)
    assert not report.options['used']
    inputs = fuse.model.data_preprocessor(pseudo_collate([packed]), False)['inputs']
    fitted = fit_labels(labels, SIZE, inputs.shape[-2:])
    vi = split_luminance(inputs[:, :3])[0]
    direct = Attribution().evidence(fuse.model.scorer(), inputs[:, 3:], vi, fitted)  # By the defaults, as it says.
    assert report.options == dict(steps=5, rule='midpoint', baseline='blur', estimator='banzhaf', used=False)
    for ours, expected in ((report.region_ir, direct.ir), (report.region_vi, direct.vi)):
        np.testing.assert_allclose(ours, expected[0], rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(report.shares, direct.share()[0], rtol=1e-5)
    titles = [ax.get_title() for ax in draw_attribution(report).get_axes()]
    assert any('not used by this fusion' in title for title in titles)
    assert not any('gate' in title for title in titles)


def test_steps_without_a_path(config, random_checkpoint):
    config = config(dict(type='UAAFusion', num_stages=1, channels=4, attribution=dict(estimator='endpoint')))
    fuse = FusionInferencer(config, random_checkpoint(config), 'cpu')
    with pytest.raises(ValueError, match='--steps has no effect'):
        attribution_options(fuse.model, 3)
