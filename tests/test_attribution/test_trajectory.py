import numpy as np
import pytest
import torch
from torch import nn

from mmfusion.attribution import TrajectoryAttribution

F64 = torch.float64
# Scores factor[c] * x ** 2, so the gradient of the selected score is 2 * factor[label] * x at every pixel.
FACTORS = torch.tensor([1.0, -0.5, 3.0], dtype=F64)


def quadratic(x):
    return FACTORS.to(x).view(1, -1, 1, 1) * x**2


def iterates(count=4, batch=2, size=(5, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, batch, 1, *size, generator=generator, dtype=F64)
    return list(images), torch.randint(3, (batch, *size), generator=generator)


def running_means(images, labels, known=None):
    """The sum of the definition, from its beginning for every stage."""
    factor = FACTORS.numpy()[np.where(labels < 3, labels, 0)][:, None]
    if known is not None:
        factor = factor * known[:, None]
    arrays = [image.numpy() for image in images]
    means = [np.zeros_like(arrays[0])]
    for k in range(1, len(arrays)):
        terms = [2 * factor * arrays[j] * (arrays[j] - arrays[j - 1]) for j in range(1, k + 1)]
        means.append(sum(terms) / k)
    return means


def unit_rms(array):
    return array / np.sqrt((array**2).mean((1, 2, 3), keepdims=True))


def test_running_mean_of_four_iterates():
    images, labels = iterates()
    attribution = TrajectoryAttribution(quadratic, labels)
    assert attribution.update(images[0]).eq(0).all()
    for image, expected in list(zip(images, running_means(images, labels.numpy())))[1:]:
        np.testing.assert_allclose(attribution.update(image), unit_rms(expected), rtol=1e-10)


def test_released_scale_is_the_mean_over_samples_classes_and_pixels():
    images, labels = iterates()
    attribution = TrajectoryAttribution(quadratic, labels, normalization='none')
    for image, expected in zip(images, running_means(images, labels.numpy())):
        np.testing.assert_allclose(attribution.update(image), expected / (2 * 3 * 5 * 6), rtol=1e-10)


@pytest.mark.parametrize('ignore_index', [255, 7, -1])
def test_ignored_and_unknown_labels_contribute_nothing(ignore_index):
    images, labels = iterates()
    labels[0, :2] = ignore_index
    labels[1, 0, 0] = 77  # No class either.
    known = ((labels >= 0) & (labels < 3)).numpy()
    attribution = TrajectoryAttribution(quadratic, labels, ignore_index=ignore_index)
    expected = running_means(images, labels.numpy(), known)[-1]
    for image in images:
        result = attribution.update(image)
    np.testing.assert_allclose(result, unit_rms(expected), rtol=1e-10)
    assert result[0, 0, :2].eq(0).all()


def test_ignore_index_may_be_a_class():
    images, labels = iterates()
    known = (labels != 0).numpy()
    attribution = TrajectoryAttribution(quadratic, labels, ignore_index=0)
    for image in images:
        result = attribution.update(image)
    np.testing.assert_allclose(result, unit_rms(running_means(images, labels.numpy(), known)[-1]), rtol=1e-10)


def run(images, labels, scorer=quadratic, normalization='rms'):
    attribution = TrajectoryAttribution(scorer, labels, normalization=normalization)
    return [attribution.update(image) for image in images][-1]


def test_effect_does_not_depend_on_the_image_size():
    images, labels = iterates()
    tiled = [image.tile(1, 1, 2, 2) for image in images]
    torch.testing.assert_close(run(tiled, labels.tile(1, 2, 2)), run(images, labels).tile(1, 1, 2, 2))
    # The released scale fades as the image grows.
    small, large = (
        run(*arguments, normalization='none') for arguments in ((images, labels), (tiled, labels.tile(1, 2, 2)))
    )
    torch.testing.assert_close(large, small.tile(1, 1, 2, 2) / 4)


@pytest.mark.parametrize('factor', [1e-4, 1e3, 1e-24])
def test_effect_does_not_depend_on_the_scale_of_the_scores(factor):
    """1e-24 is what a saturated softmax may give; its square is zero in float32."""
    images, labels = iterates()
    images = [image.float() for image in images]
    expected = run(images, labels)
    assert expected.square().mean((1, 2, 3)).sqrt().tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(run(images, labels, lambda x: factor * quadratic(x)), expected, rtol=1e-4, atol=1e-6)


def test_samples_are_normalised_by_themselves():
    images, labels = iterates()
    together = run(images, labels)
    for b in range(2):
        alone = run([image[b : b + 1] for image in images], labels[b : b + 1])
        torch.testing.assert_close(together[b : b + 1], alone)


@pytest.mark.parametrize('normalization', ['rms', 'none'])
def test_no_evidence_stays_zero(normalization):
    images, labels = iterates()
    assert run(images, labels, lambda x: 0 * quadratic(x), normalization).eq(0).all()
    assert run([images[0]] * 3, labels, quadratic, normalization).eq(0).all()  # An unfolding that stands still.
    assert run(images, torch.full_like(labels, 255), quadratic, normalization).eq(0).all()


@pytest.mark.parametrize('context', [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_leaves_no_trace(context):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Softmax(1)).double()
    images, labels = iterates()
    buffers = {name: value.clone() for name, value in net.state_dict().items()}
    rng = torch.get_rng_state()
    with context():
        result = run([image.clone().requires_grad_(context is torch.enable_grad) for image in images], labels, net)
    assert not result.requires_grad
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(value, buffers[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), rng)
    torch.testing.assert_close(result, run(images, labels, net.eval()))
    assert result.abs().max() > 0


def test_half_precision_iterates_are_attributed_in_float32():
    images, labels = iterates()
    result = run([image.bfloat16() for image in images], labels)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), run(images, labels), rtol=0.1, atol=0.1)


def test_unknown_normalization():
    with pytest.raises(ValueError, match=r"'max'.*'?rms"):
        TrajectoryAttribution(quadratic, torch.zeros(1, 2, 2).long(), normalization='max')


@pytest.mark.parametrize('shape', [(2, 4, 6), (1, 5, 6), (2, 1, 5, 6)])
def test_labels_of_another_shape(shape):
    """torch.gather would take a corner of the scores without a word."""
    images, _ = iterates()
    with pytest.raises(ValueError, match=r'labels \(B, H, W\)'):
        TrajectoryAttribution(quadratic, torch.zeros(shape).long()).update(images[0])


def test_scores_of_another_shape():
    images, labels = iterates()
    attribution = TrajectoryAttribution(lambda x: quadratic(x).repeat(1, 1, 2, 2), labels)
    attribution.update(images[0])
    with pytest.raises(ValueError, match=r'\(2, 3, 10, 12\)'):
        attribution.update(images[1])


@pytest.mark.parametrize('interval', [2, 3])
@pytest.mark.parametrize('normalization', ['rms', 'none'])
def test_interval_takes_fewer_and_longer_steps(interval, normalization):
    """Gradients at the iterates 1, 1 + n, ...: each stands for the way since the one before."""
    images, labels = iterates(count=7)
    calls = []

    def scorer(x):
        calls.append(len(x))
        return quadratic(x)

    attribution = TrajectoryAttribution(scorer, labels, interval=interval, normalization=normalization)
    results = [attribution.update(image) for image in images]
    factor = FACTORS.numpy()[labels.numpy()][:, None]
    arrays, total, previous, held = [image.numpy() for image in images], 0.0, 0, None
    for k in range(1, 7):
        if (k - 1) % interval == 0:
            total = total + 2 * factor * arrays[k] * (arrays[k] - arrays[previous])
            previous, held = k, total / k
        expected = unit_rms(held) if normalization == 'rms' else held / (2 * 3 * 5 * 6)
        np.testing.assert_allclose(results[k], expected, rtol=1e-10)
    assert len(calls) == -(-6 // interval)


def test_refused_interval():
    with pytest.raises(ValueError, match='interval must be at least 1, got 0'):
        TrajectoryAttribution(quadratic, torch.zeros(1, 2, 2).long(), interval=0)
