"""Metrics beside the usual twelve: independent implementations, and what can be told without any."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, signal, stats

from mmfusion.evaluation import CONVENTIONS, DEFAULT_METRICS, FUSION_METRICS, FusionMetric, fusion_metrics
from mmfusion.evaluation.functional import (
    NEEDED_PACKAGES,
    feature_mutual_information,
    multiscale_structural_similarity,
)

# Those that other packages compute: test_perceptual_metrics.py.
BY_NAME = [name for name in FUSION_METRICS if name not in (*DEFAULT_METRICS, *NEEDED_PACKAGES)]


def textured(seed, size=(48, 53), smooth=1.0):
    noise = ndimage.gaussian_filter(np.random.RandomState(seed).standard_normal(size), smooth)
    return (noise - noise.min()) / (noise.max() - noise.min()) * 200 + 20


@pytest.fixture
def triple():
    """Fused, infrared, visible: fractions, another range each, with flat parts."""
    ir, vi = textured(1), 0.5 * textured(2, smooth=2.0) + 30
    ir[5:20, 5:20] = 90.0
    vi[10:30, 10:30] = 60.0
    return np.clip(0.4 * ir + 0.6 * vi + 6 * np.sin(ir), 0, 255), ir, vi


def value(name, images, convention='original'):
    tensors = [torch.from_numpy(np.asarray(image))[None, None] for image in images]
    return fusion_metrics(*tensors, (name,), convention)[name].item()


def seen_by(convention, images):
    """What a metric sees of the images: the evaluator's are rounded, then stretched."""
    if convention == 'original':
        return images
    rounded = [np.round(image) for image in images]
    return [np.round((image - image.min()) / (image.max() - image.min()) * 255) for image in rounded]


# Oracles -------------------------------------------------------------------------------------------------------------
def nmi(fused, ir, vi):
    def entropy(*images):
        return stats.entropy(np.unique(np.stack(images).reshape(len(images), -1), axis=1, return_counts=True)[1])

    fused, ir, vi = (np.round(image) for image in (fused, ir, vi))
    total = 0.0
    for source in (ir, vi):
        alone = entropy(fused) + entropy(source)
        total += 2 * (alone - entropy(fused, source)) / alone
    return total


def nabf(fused, ir, vi):
    def edges(image):
        across = ndimage.sobel(image, axis=1, mode='mirror') / 8
        down = ndimage.sobel(image, axis=0, mode='mirror') / 8
        return np.hypot(across, down), np.arctan2(across, down)

    (g_f, a_f), *sources = edges(fused), edges(ir), edges(vi)
    above, below = 0.0, 0.0
    for place in np.ndindex(fused.shape):
        stronger = all(g_f[place] > g[place] for g, _ in sources)
        for g, a in sources:
            ratio = min(g[place], g_f[place]) / max(g[place], g_f[place]) if g[place] and g_f[place] else 0.0
            # Orientations modulo a half turn: of 180 degrees and 0 the angle between is 0.
            turn = abs(math.atan(math.tan(a[place])) - math.atan(math.tan(a_f[place])))
            agreement = abs(turn - math.pi / 2) / (math.pi / 2)
            kept = 0.9999 / (1 + math.exp(-19 * (ratio - 0.5))) * 0.9995 / (1 + math.exp(-22 * (agreement - 0.5)))
            weight = g[place] ** 1.5 if g[place] >= 2 else 0.001
            above += (1 - math.sqrt(kept)) * weight * stronger
            below += weight
    return above / below


def fmi(fused, ir, vi):
    def shared(first, second):
        if np.array_equal(first, second):
            return 1.0
        shares = []
        for window in (first, second):
            values = window.T.ravel()  # Column by column.
            span = values.max() - values.min()
            values = (values - values.min()) / span if span else np.ones(9)
            shares.append(values / values.sum())
        p, q = shares
        big_p, big_q = np.cumsum(p), np.cumsum(q)
        flat = p.std() < 1e-12 or q.std() < 1e-12
        c = 0.0 if flat else np.corrcoef(p, q)[0, 1]
        cells = np.arange(1, 10)
        spread = np.sqrt(cells**2 @ p - (cells @ p) ** 2) * np.sqrt(cells**2 @ q - (cells @ q) ** 2)
        bound = np.minimum.outer(big_p, big_q) if c >= 0 else np.maximum(np.add.outer(big_p, big_q) - 1, 0)
        reach = (bound - np.outer(big_p, big_q)).sum()
        share = c * spread / reach if c and spread and reach else 0.0
        cornered = np.zeros((10, 10))
        cornered[1:, 1:] = bound
        joint = share * np.diff(np.diff(cornered, axis=0), axis=1) + (1 - share) * np.outer(p, q)
        entropy = [-sum(x * math.log(abs(x)) for x in table.ravel() if x) for table in (p, q, joint)]
        return 2 * (entropy[0] + entropy[1] - entropy[2]) / (entropy[0] + entropy[1])

    height, width = fused.shape
    windows = [np.s_[y : y + 3, x : x + 3] for y in range(height - 2) for x in range(width - 2)]
    return np.mean([shared(fused[place], source[place]) for place in windows for source in (ir, vi)])


def ms_ssim(first, second):
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    result = 1.0
    for scale, power in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):

        def mean(image):
            return signal.fftconvolve(image, window, mode='valid')

        x, y = mean(first), mean(second)
        s_xx, s_yy, s_xy = mean(first**2) - x**2, mean(second**2) - y**2, mean(first * second) - x * y
        figure = (2 * s_xy + 58.5225) / (s_xx + s_yy + 58.5225)
        if scale == 4:
            figure = figure * (2 * x * y + 6.5025) / (x**2 + y**2 + 6.5025)
        result *= figure.mean() ** power
        rows, columns = (2 * (length // 2) for length in first.shape)
        first, second = (
            image[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)) for image in (first, second)
        )
    return result


def frequencies(shape, scale):
    """As many cycles per image, from the lowest to the highest, as MATLAB's toolbox has them."""
    axes = [np.arange(-(length // 2), (length + 1) // 2) / scale for length in shape]
    return np.hypot(*np.meshgrid(*axes, indexing='ij'))


def filtered(image, gain):
    return np.fft.ifft2(np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(image)) * gain)).real


def qcb(fused, ir, vi):
    def contrast(image):
        r = frequencies(image.shape, 15)
        seen = filtered(image, np.exp(-((r / 15.387) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2)))
        y, x = np.mgrid[-15:16, -15:16]
        narrow, wide = (
            signal.convolve2d(seen, np.exp(-(x**2 + y**2) / (2 * s * s)) / (2 * math.pi * s * s), mode='same')
            for s in (2, 4)
        )
        c = np.abs(narrow / wide - 1)
        return c**3 / (c**2 + 0.0001)

    c_f, c_ir, c_vi = contrast(fused), contrast(ir), contrast(vi)
    quality = 0.0
    for c in (c_ir, c_vi):
        quality = quality + c**2 / (c_ir**2 + c_vi**2) * np.where(c < c_f, c / c_f, c_f / c)
    return quality.mean()


def qcv(fused, ir, vi, convention):
    border = 'nearest' if convention == 'original' else 'constant'
    r = frequencies(fused.shape, 4)
    sensitivity = 2.6 * (0.0192 + 0.144 * r) * np.exp(-((0.144 * r) ** 1.1))
    above, below = 0.0, 0.0
    for source in (ir, vi):
        strength = np.hypot(ndimage.sobel(source, 0, mode=border), ndimage.sobel(source, 1, mode=border))
        seen = filtered(source - fused, sensitivity)
        for y in range(0, fused.shape[0], 16):
            for x in range(0, fused.shape[1], 16):
                block = np.s_[y : y + 16, x : x + 16]
                salience = (strength[block] ** 5).sum()
                size = seen[block].size if convention == 'original' else 256
                above += salience * (seen[block] ** 2).sum() / size
                below += salience
    return above / below


# Against them --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('convention', CONVENTIONS)
@pytest.mark.parametrize('name', ['NMI', 'Nabf', 'FMI', 'Qcb', 'Qcv'])
def test_against_an_oracle(name, convention, triple):
    oracle = {'NMI': nmi, 'Nabf': nabf, 'FMI': fmi, 'Qcb': qcb, 'Qcv': lambda *images: qcv(*images, convention)}[name]
    seen = seen_by(convention, triple)
    if convention == 'evaluator' and name in ('Nabf', 'FMI'):
        seen = [np.round(image) for image in triple]  # Not stretched.
    expected = oracle(*seen)
    assert value(name, triple, convention) == pytest.approx(expected, rel=1e-8)
    assert 0 < expected < 2000


def test_multiscale_similarity_against_an_oracle():
    first, second = textured(3, (177, 190), 3.0), textured(4, (177, 190), 2.0)
    second = 0.7 * first + 0.3 * second
    figure = multiscale_structural_similarity(*(torch.from_numpy(image)[None, None] for image in (first, second)))
    assert figure.item() == pytest.approx(ms_ssim(first, second), rel=1e-9)
    assert 0.3 < figure.item() < 0.99
    fused = value('MS-SSIM', (second, first, second))
    assert fused == pytest.approx((ms_ssim(first, second) + 1) / 2, rel=1e-9)


# Without any ---------------------------------------------------------------------------------------------------------
BEST = {'NMI': 2, 'Nabf': 0, 'FMI': 1, 'MS-SSIM': 1, 'Qcb': 1, 'Qcv': 0}


@pytest.mark.parametrize('convention', CONVENTIONS)
@pytest.mark.parametrize('name', BY_NAME)
def test_best_value(name, convention):
    image = textured(5, (176, 180))
    assert value(name, (image, image, image), convention) == pytest.approx(BEST[name], abs=1e-12)


@pytest.mark.parametrize('convention', CONVENTIONS)
@pytest.mark.parametrize('name', BY_NAME)
def test_constant_images_have_figures(name, convention):
    flat, image = np.full((176, 180), 100.0), textured(6, (176, 180))
    for images in ((flat, flat, flat), (flat, image, image), (image, flat, flat), (image, flat, image)):
        assert math.isfinite(value(name, images, convention))


def test_noise_is_an_artifact_and_blur_is_none():
    image = textured(7, smooth=2.0)
    noisy = np.clip(image + 8 * np.random.RandomState(8).standard_normal(image.shape), 0, 255)
    blurred = ndimage.gaussian_filter(image, 2)
    assert value('Nabf', (noisy, image, image)) > 10 * value('Nabf', (blurred, image, image))


def test_a_flat_image_has_no_artifacts():
    """Nor what rounding leaves of a level between two whole ones."""
    assert value('Nabf', [np.full((20, 30), level) for level in (100.1, 33.3, 70.7)]) == 0


@pytest.mark.parametrize('name', ['Qcb', 'FMI', 'NMI', 'Qcv'])
def test_the_eye_prefers_what_is_nearer(name):
    image, other = textured(9), textured(10)
    near, far = 0.9 * image + 0.1 * other, 0.4 * image + 0.6 * other
    worth = [value(name, (fused, image, image)) for fused in (near, far)]
    assert worth[0] < worth[1] if name == 'Qcv' else worth[0] > worth[1]


def test_features_of_windows():
    """A ramp across has the same difference everywhere: windows of it are flat, and equal."""
    ramp = torch.arange(12.0).mul(3).expand(1, 1, 10, 12)
    assert feature_mutual_information(ramp + 40, ramp, ramp, feature='gradient').item() == 1
    assert feature_mutual_information(ramp * 2, ramp, ramp, feature='gradient').item() == pytest.approx(0, abs=1e-12)
    assert feature_mutual_information(ramp * 2, ramp, ramp).item() == pytest.approx(1)
    assert feature_mutual_information(ramp.mT * 2, ramp.mT, ramp.mT, feature='strength').item() == pytest.approx(
        0, abs=1e-12
    )
    with pytest.raises(ValueError, match="'edge'"):
        feature_mutual_information(ramp, ramp, ramp, feature='edge')


@pytest.mark.parametrize('convention', CONVENTIONS)
def test_batch_equals_single_images(convention):
    images = [np.stack([textured(seed + k, (176, 178)) for k in range(2)])[:, None] for seed in (11, 21, 31)]
    fused, ir, vi = (torch.from_numpy(batch) for batch in images)
    together = fusion_metrics(fused, ir, vi, BY_NAME, convention)
    for index in range(2):
        part = slice(index, index + 1)
        alone = fusion_metrics(fused[part], ir[part], vi[part], BY_NAME, convention)
        for name in BY_NAME:
            torch.testing.assert_close(together[name][part], alone[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(('name', 'size'), [('MS-SSIM', 176), ('FMI', 3)])
def test_smallest_image(name, size):
    image = textured(12, (size, 180))
    assert math.isfinite(value(name, (image, image, image)))
    with pytest.raises(ValueError, match=f'{size}x{size}'):
        value(name, (image[1:], image[1:], image[1:]))


def test_they_are_asked_for():
    """The default is what most papers report; the others by name, in a config as well."""
    assert FusionMetric().metrics == DEFAULT_METRICS
    assert BY_NAME == ['NMI', 'Nabf', 'FMI', 'MS-SSIM', 'Qcb', 'Qcv']
    metric = FusionMetric(metrics=('Nabf', 'Qcb'))
    metric.process(
        dict(inputs=[torch.full((4, 48, 48), 51)]), [dict(fused_img=dict(data=torch.full((1, 48, 48), 0.2)))]
    )
    assert metric.evaluate(size=1) == {'fusion/Nabf': 0.0, 'fusion/Qcb': pytest.approx(1)}
