"""Every figure of the reference file, on real pairs, against the 'evaluator' convention."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmfusion.evaluation import DEFAULT_METRICS, FusionMetric, fusion_metrics

_ROOT = Path(__file__).resolve().parents[2]
_PAIRS = _ROOT / '../shared/data/fusion_pairs'
_REFERENCE = json.loads((_ROOT / 'tests/data/fusion_metrics_reference.json').read_text())

pytestmark = pytest.mark.skipif(not _PAIRS.is_dir(), reason=f'the pairs of the reference are not at {_PAIRS}')


def _read(folder: str, name: str) -> np.ndarray:
    return cv2.imread(str(_PAIRS / folder / name), cv2.IMREAD_COLOR)


def _grey(bgr: np.ndarray) -> torch.Tensor:
    # The evaluator converts in float32 and rounds; the conversion of 8-bit images rounds a few pixels differently.
    grey = np.round(cv2.cvtColor(bgr.astype(np.float32), cv2.COLOR_BGR2GRAY))
    return torch.from_numpy(grey)[None, None].double()


def _fuse(ir: torch.Tensor, vi: torch.Tensor, rule: str) -> torch.Tensor:
    return ((ir + vi) / 2).round() if rule == 'mean' else torch.maximum(ir, vi)


def test_reference_covers_all_metrics():
    assert len(_REFERENCE) == 16
    assert all(set(figures) == set(DEFAULT_METRICS) for figures in _REFERENCE.values())


@pytest.mark.parametrize('key', sorted(_REFERENCE))
def test_reference_figure(key):
    name, rule = key.split('|')
    ir, vi = _grey(_read('ir', name)), _grey(_read('vi', name))
    figures = fusion_metrics(_fuse(ir, vi, rule), ir, vi, convention='evaluator')
    for metric, expected in _REFERENCE[key].items():
        # VIF: the reference adds 1e-10 to variances of images whose mean is still in, here it has been taken out.
        tolerance = 1e-9 if metric == 'VIF' else 1e-12
        assert figures[metric].item() == pytest.approx(expected, rel=tolerance), metric


@pytest.mark.parametrize('metric', ['SF', 'AG', 'MI', 'Qabf', 'SSIM', 'PSNR'])
def test_original_convention_is_another(metric):
    name = 'roadscene_FLIR_00211.jpg'
    ir, vi = _grey(_read('ir', name)), _grey(_read('vi', name))
    figure = fusion_metrics(_fuse(ir, vi, 'mean'), ir, vi, metrics=(metric,))[metric].item()
    assert figure != pytest.approx(_REFERENCE[f'{name}|mean'][metric], rel=1e-4)


def test_fusion_metric_object_reproduces_the_reference():
    # Four pairs of different sizes, colour visible images, fused images on the [0, 1] scale of the model's output.
    names = sorted(path.name for path in (_PAIRS / 'vi').glob('*.jpg'))
    metric = FusionMetric(convention='evaluator')
    for name in names:
        ir, vi = _read('ir', name), _read('vi', name)
        fused = _fuse(_grey(ir), _grey(vi), 'mean')[0].float() / 255
        pair = torch.from_numpy(np.concatenate((vi, ir[..., :1]), axis=2)).permute(2, 0, 1)
        metric.process(dict(inputs=[pair]), [dict(fused_img=dict(data=fused))])
    figures = metric.evaluate(size=len(names))
    for name in DEFAULT_METRICS:
        expected = np.mean([_REFERENCE[f'{image}|mean'][name] for image in names])
        # Luminance is float64 here and float32 there: single pixels at exactly half a level round the other way.
        assert figures[f'fusion/{name}'] == pytest.approx(expected, rel=2e-6), name
