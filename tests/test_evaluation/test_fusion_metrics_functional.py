"""Closed forms and independent implementations of the fusion metrics."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, signal, stats

from mmfusion.evaluation import CONVENTIONS, DEFAULT_METRICS, fusion_metrics
from mmfusion.evaluation.functional import edge_preservation, structural_similarity, visual_information_fidelity
from mmfusion.evaluation.functional.common import FLAT, gaussian_window, pearson, windowed_mean

_SHAPE = (1, 1, 48, 52)


def _random(seed: int, batch: int = 1, smooth: float = 1.0) -> torch.Tensor:
    """Textured images with fractions, over the whole grey range."""
    noise = np.random.RandomState(seed).standard_normal((batch, 1, 48, 52))
    images = ndimage.gaussian_filter(noise, (0, 0, smooth, smooth))
    low, high = images.min(axis=(2, 3), keepdims=True), images.max(axis=(2, 3), keepdims=True)
    return torch.from_numpy((images - low) / (high - low) * 255)


def _one(name: str, fused, ir=None, vi=None, convention: str = 'original') -> float:
    ir = fused if ir is None else ir
    return fusion_metrics(fused, ir, ir if vi is None else vi, (name,), convention)[name].item()


@pytest.fixture
def triple() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ir, vi = _random(1), _random(2, smooth=2.0)
    return 0.4 * ir + 0.6 * vi + 3 * torch.sin(ir), ir, vi


# --- histogram metrics -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize('convention', CONVENTIONS)
def test_entropy_of_known_histogram(convention):
    image = torch.tensor([0.0] * 8 + [10.0] * 4 + [200.0] * 2 + [255.0] * 2).view(1, 1, 4, 4)
    assert _one('EN', image, convention=convention) == pytest.approx(1.75)


def test_entropy_rounds_to_levels():
    image = torch.tensor([[9.6, 10.4], [10.0, 99.0]]).view(1, 1, 2, 2)
    assert _one('EN', image) == pytest.approx(stats.entropy([3, 1], base=2))


def test_mutual_information_closed_forms():
    halves = torch.zeros(1, 1, 4, 4)
    halves[..., 2:] = 255
    assert _one('MI', halves) == pytest.approx(2.0)
    assert _one('MI', halves, convention='evaluator') == pytest.approx(2 * math.log(2))
    # Independent patterns share nothing; a renaming of levels loses nothing.
    assert _one('MI', halves, halves.mT, 255 - halves) == pytest.approx(1.0)


def test_mutual_information_against_contingency_table(triple):
    fused, ir, vi = triple
    expected = 0.0
    for source in (ir, vi):
        table, _, _ = np.histogram2d(
            fused.round().numpy().ravel(),
            source.round().numpy().ravel(),
            bins=256,
            range=((-0.5, 255.5), (-0.5, 255.5)),
        )
        expected += stats.entropy(table.ravel(), np.outer(table.sum(1), table.sum(0)).ravel())
    assert _one('MI', fused, ir, vi) == pytest.approx(expected / math.log(2), rel=1e-10)


# --- metrics of the fused image alone --------------------------------------------------------------------------------
def test_checkerboard():
    height, width, step = 6, 8, 20.0
    board = step * ((torch.arange(height)[:, None] + torch.arange(width)) % 2).view(1, 1, height, width)
    pixels = height * width
    pairs = height * (width - 1) + (height - 1) * width
    assert _one('SD', board) == pytest.approx(step / 2)
    assert _one('SF', board) == pytest.approx(step * math.sqrt(pairs / pixels))
    assert _one('SF', board, convention='evaluator') == pytest.approx(step * math.sqrt(2))
    assert _one('AG', board) == pytest.approx(step)
    # Central differences vanish inside; only the one-sided ones at the border see the board.
    border = 4 * step + (2 * (height - 2) + 2 * (width - 2)) * step / math.sqrt(2)
    assert _one('AG', board, convention='evaluator') == pytest.approx(border / pixels)


def test_average_gradient_against_numpy(triple):
    image = triple[0].round()
    gy, gx = np.gradient(image.numpy()[0, 0])
    assert _one('AG', image, convention='evaluator') == pytest.approx(np.sqrt((gx**2 + gy**2) / 2).mean(), rel=1e-12)


def test_evaluator_rounds_and_original_does_not():
    image = torch.tensor([[0.4, 100.4], [0.4, 100.4]]).view(1, 1, 2, 2)
    other = torch.zeros_like(image)
    assert _one('MSE', image, other) == pytest.approx((0.4**2 + 100.4**2) / 2)
    assert _one('MSE', image, other, convention='evaluator') == pytest.approx(100**2 / 2)
    assert _one('EN', image) == _one('EN', image, convention='evaluator') == pytest.approx(1.0)


# --- metrics against the sources -------------------------------------------------------------------------------------
def test_correlations_against_scipy(triple):
    fused, ir, vi = triple

    def r(first, second):
        return stats.pearsonr(first.numpy().ravel(), second.numpy().ravel())[0]

    assert _one('CC', fused, ir, vi) == pytest.approx((r(fused, ir) + r(fused, vi)) / 2, rel=1e-10)
    assert _one('SCD', fused, ir, vi) == pytest.approx(r(fused - vi, ir) + r(fused - ir, vi), rel=1e-10)


def test_error_metrics():
    fused, ir, vi = (torch.full(_SHAPE, value) for value in (100.0, 110.0, 130.0))
    assert _one('MSE', fused, ir, vi) == pytest.approx(500.0)
    assert _one('PSNR', fused, ir, vi) == pytest.approx(10 * math.log10(255**2 / 500))
    assert _one('PSNR', fused, ir, vi, 'evaluator') == pytest.approx(10 * math.log10(100**2 / 500))


@pytest.mark.parametrize(
    ('window', 'options'),
    [
        ('gaussian', dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)),
        ('uniform', dict(win_size=7)),
    ],
)
def test_ssim_against_skimage(triple, window, options):
    metrics = pytest.importorskip('skimage.metrics')
    image, reference, _ = triple
    expected = metrics.structural_similarity(image.numpy()[0, 0], reference.numpy()[0, 0], data_range=255, **options)
    assert structural_similarity(image, reference, window).item() == pytest.approx(expected, rel=1e-10)


def test_ssim_of_two_flat_images():
    # Only the luminance term is left.
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    first, second = torch.full(_SHAPE, 100.0), torch.full(_SHAPE, 150.0)
    for convention in CONVENTIONS:
        assert _one('SSIM', first, second, convention=convention) == pytest.approx(2 * expected, rel=1e-9)


def _vif_oracle(image: np.ndarray, reference: np.ndarray) -> float:
    """Two-dimensional convolutions, one pixel after the other: slow, and near to the formulas."""
    kept = available = 0.0
    for size in (17, 9, 5, 3):
        axis = signal.windows.gaussian(size, size / 5)
        window = np.outer(axis, axis)
        window /= window.sum()
        if size < 17:
            image, reference = (signal.convolve2d(x, window, 'valid')[::2, ::2] for x in (image, reference))
        mean_r, mean_i, rr, ii, ri = (
            signal.convolve2d(x, window, 'valid') for x in (reference, image, reference**2, image**2, reference * image)
        )
        for s, t, c in np.nditer([rr - mean_r**2, ii - mean_i**2, ri - mean_r * mean_i]):
            gain = max(c / s, 0.0) if s > 1e-9 and t > 1e-9 else 0.0
            noise = t - gain * c if gain else max(t, 0.0)
            kept += math.log10(1 + gain**2 * s / (noise + 2))
            available += math.log10(1 + max(s, 0.0) / 2)
    return kept / available


def test_vif_against_oracle(triple):
    fused, ir, vi = (image.numpy()[0, 0] for image in triple)
    expected = _vif_oracle(fused, ir) + _vif_oracle(fused, vi)
    assert _one('VIF', *triple) == pytest.approx(expected, rel=1e-7)


def test_vif_orders_degradations():
    image = _random(3)
    blurred = torch.from_numpy(ndimage.gaussian_filter(image.numpy(), (0, 0, 1, 1)))
    stretched = (image - image.mean()) * 1.1 + image.mean()
    middle = (image - image.mean()) * 0.7 + image.mean()
    assert visual_information_fidelity(image, image).item() == pytest.approx(1.0, abs=1e-6)
    assert visual_information_fidelity(blurred, image).item() < 0.7
    assert visual_information_fidelity(stretched.clamp(0, 255), image).item() > 1.0
    assert visual_information_fidelity(255 - middle, image).item() == pytest.approx(0.0, abs=1e-9)


def _qabf_oracle(fused: np.ndarray, ir: np.ndarray, vi: np.ndarray) -> float:
    """The paper's formulas pixel by pixel; scipy's 'nearest' border is the replicated one."""

    def edges(image):
        sx, sy = ndimage.sobel(image, axis=1, mode='nearest'), ndimage.sobel(image, axis=0, mode='nearest')
        return np.hypot(sx, sy), np.arctan2(sy, sx)

    strength_f, angle_f = edges(fused)
    kept = weight = 0.0
    for source in (ir, vi):
        strength, angle = edges(source)
        for g, a, gf, af in np.nditer([strength, angle, strength_f, angle_f]):
            ratio = min(g, gf) / max(g, gf) if max(g, gf) else 1.0
            turn = abs(a - af) % math.pi  # angles between lines; the formula below is symmetric about pi/2
            agreement = abs(turn - math.pi / 2) / (math.pi / 2)
            kept += g * 0.9994 / (1 + math.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + math.exp(-22 * (agreement - 0.8)))
            weight += g
    return kept / weight


def test_qabf_against_oracle(triple):
    expected = _qabf_oracle(*(image.numpy()[0, 0] for image in triple))
    assert _one('Qabf', *triple) == pytest.approx(expected, rel=1e-9)


_QABF_BEST = 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4))


def test_qabf_conventions():
    image = _random(4)
    assert _one('Qabf', image) == pytest.approx(_QABF_BEST, rel=1e-12)
    # Faint identical edges are preserved all the same; the evaluator takes their strength of 0.08 for the ratio.
    ramp = torch.arange(52.0).expand(_SHAPE) / 100
    assert edge_preservation(ramp, ramp, ramp).item() == pytest.approx(_QABF_BEST, rel=1e-12)
    ratio = 0.08
    faint = _QABF_BEST * (1 + math.exp(-7.5)) / (1 + math.exp(-15 * (ratio - 0.5)))
    inside = edge_preservation(ramp, ramp, ramp, 'evaluator').item()
    assert faint < inside < 0.7 * _QABF_BEST  # the frame adds stronger edges
    # A step that turns from +89 to -89 degrees has not turned at all, but for the evaluator it has by 178.
    tilt = torch.arange(48.0)[:, None] * 4 + torch.arange(52.0) * 0.05
    steep, other = tilt.view(_SHAPE), tilt.flip(1).view(_SHAPE)
    assert edge_preservation(other, steep, steep).item() == pytest.approx(_QABF_BEST, rel=0.05)
    assert edge_preservation(other, steep, steep, 'evaluator').item() < 0.5
    # The frame of a flat image is an edge only to the evaluator.
    grey = torch.full(_SHAPE, 128.0)
    assert _one('Qabf', grey) == 0.0
    assert _one('Qabf', grey, convention='evaluator') > 0.9


def test_identical_images():
    image = _random(5)
    figures = {name: value.item() for name, value in fusion_metrics(image, image, image).items()}
    assert figures['SSIM'] == pytest.approx(2.0)
    assert figures['VIF'] == pytest.approx(2.0, abs=1e-6)
    assert figures['CC'] == pytest.approx(1.0)
    assert figures['MI'] == pytest.approx(2 * figures['EN'])
    assert figures['MSE'] == 0
    assert figures['PSNR'] == math.inf


@pytest.mark.parametrize('convention', CONVENTIONS)
@pytest.mark.parametrize('level', [0.0, 100 / 3, 255.0])
def test_constant_images_give_no_nan(convention, level):
    flat, textured = torch.full(_SHAPE, level), _random(6)
    for fused, ir, vi in (
        (flat, flat, flat),
        (flat, textured, textured),
        (textured, flat, flat),
        (textured, textured, flat),
    ):
        figures = fusion_metrics(fused, ir, vi, convention=convention)
        assert not any(value.isnan().any() for value in figures.values())
    figures = {name: value.item() for name, value in fusion_metrics(flat, flat, flat, convention=convention).items()}
    for name in ('EN', 'SD', 'SF', 'AG', 'MI', 'SCD', 'CC', 'MSE'):
        assert figures[name] == pytest.approx(0, abs=1e-9), name
    assert figures['VIF'] == figures['SSIM'] == pytest.approx(2.0)
    assert figures['PSNR'] == math.inf
    assert fusion_metrics(textured, flat, flat, ('VIF',), convention)['VIF'].item() == 2.0
    assert fusion_metrics(flat, textured, textured, ('VIF',), convention)['VIF'].item() == pytest.approx(0, abs=1e-9)


def test_pearson_ignores_rounding_error():
    first = _random(7)
    assert pearson(first, first - (first + 10 / 3)).item() == 0.0
    assert pearson(first, FLAT * 100 * first + 7).item() == pytest.approx(1.0, abs=1e-6)


def test_windowed_mean_against_scipy():
    image, window = _random(8), gaussian_window(11, 1.5)
    expected = signal.correlate2d(image.numpy()[0, 0], np.outer(window, window), mode='valid')
    np.testing.assert_allclose(windowed_mean(image, window).numpy()[0, 0], expected, rtol=1e-12)


# --- the call --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('convention', CONVENTIONS)
def test_batch_equals_single_images(convention):
    fused, ir, vi = _random(9, 3), _random(10, 3), _random(11, 3, smooth=3.0)
    together = fusion_metrics(fused, ir, vi, convention=convention)
    assert list(together) == list(DEFAULT_METRICS)
    for index in range(3):
        part = slice(index, index + 1)
        alone = fusion_metrics(fused[part], ir[part], vi[part], convention=convention)
        for name, values in together.items():
            assert values.shape == (3,)
            assert values.dtype == torch.float64
            torch.testing.assert_close(values[part], alone[name], rtol=1e-12, atol=1e-12)


def test_dtype_does_not_matter():
    fused, ir, vi = (_random(seed).round() for seed in (12, 13, 14))
    expected = fusion_metrics(fused, ir, vi)
    for dtype in (torch.uint8, torch.int64, torch.float32):
        figures = fusion_metrics(fused.to(dtype), ir.to(dtype), vi.to(dtype))
        for name, values in figures.items():
            torch.testing.assert_close(values, expected[name], rtol=0, atol=0)


def test_selection_keeps_order():
    image = _random(15)
    assert list(fusion_metrics(image, image, image, ['Qabf', 'EN'])) == ['Qabf', 'EN']


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(metrics=('EN', 'FID')), ValueError, r"\['FID'\].*'Qabf'"),
        (dict(metrics='EN'), TypeError, 'sequence of names'),
        (dict(metrics=()), ValueError, 'at least one'),
        (dict(metrics=('EN', 'EN')), ValueError, 'each once'),
        (dict(convention='paper'), ValueError, "'paper'.*'original'"),
        (dict(ir=np.zeros(_SHAPE)), TypeError, 'ir must be a torch.Tensor'),
        (dict(ir=torch.zeros(_SHAPE, dtype=torch.bool)), TypeError, 'torch.bool'),
        (dict(ir=torch.zeros(1, 1, 48, 50)), ValueError, r'ir has the shape \(1, 1, 48, 50\)'),
        (dict(vi=torch.zeros(1, 3, 48, 52)), ValueError, r'vi must have the shape \(B, 1, H, W\)'),
        (dict(fused=torch.zeros(48, 52)), ValueError, r'but has \(48, 52\)'),
        (dict(vi=torch.full(_SHAPE, math.nan)), ValueError, 'vi holds NaN'),
        (dict(vi=torch.full(_SHAPE, math.inf)), ValueError, 'vi holds NaN or infinite'),
        (dict(fused=torch.full(_SHAPE, 4000.0)), ValueError, r'fused must be in 0..255, but spans 4000'),
        (dict(fused=torch.full(_SHAPE, -1.0)), ValueError, r'spans -1'),
    ],
)
def test_refusals(change, error, message):
    arguments = dict(fused=torch.zeros(_SHAPE), ir=torch.zeros(_SHAPE), vi=torch.zeros(_SHAPE)) | change
    with pytest.raises(error, match=message):
        fusion_metrics(**arguments)


@pytest.mark.parametrize(
    ('metric', 'convention', 'size'),
    [
        ('VIF', 'original', 41),
        ('SSIM', 'original', 11),
        ('SSIM', 'evaluator', 7),
        ('AG', 'original', 2),
    ],
)
def test_smallest_image(metric, convention, size):
    image = _random(16)[..., :size, :]
    assert math.isfinite(_one(metric, image, convention=convention))
    with pytest.raises(ValueError, match=f'{size}x{size}'):
        _one(metric, image[..., 1:, :], convention=convention)


@pytest.mark.gpu
@pytest.mark.parametrize('convention', CONVENTIONS)
def test_gpu_equals_cpu(triple, convention):
    if not torch.cuda.is_available():
        pytest.skip('no CUDA device')
    expected = fusion_metrics(*triple, convention=convention)
    figures = fusion_metrics(*(image.cuda() for image in triple), convention=convention)
    for name, values in figures.items():
        assert values.is_cuda
        torch.testing.assert_close(values.cpu(), expected[name], rtol=1e-9, atol=1e-12)
