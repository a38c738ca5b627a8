"""Metrics that other packages compute, on stand-ins for these: what they are handed, and what is told without them."""

import math
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from urllib.error import URLError

import numpy as np
import pytest
import torch

from mmfusion.analysis.fusion_quality import by_rule, measure
from mmfusion.evaluation import CONVENTIONS, FusionMetric, fusion_metrics
from mmfusion.evaluation.functional import NEEDED_PACKAGES, learned_perceptual_distance, perceptual, perceptual_index
from mmfusion.models import MaximumFusion

_SIZE = (110, 130)


@pytest.fixture(autouse=True)
def no_network_is_kept():
    caches = perceptual._lpips_network, perceptual._pi_metric
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def put(monkeypatch):
    """Function of a module's name and content that makes it importable, with the packages around it."""

    def make(name, **content):
        parts = name.split('.')
        for length in range(1, len(parts) + 1):
            module = ModuleType('.'.join(parts[:length]))
            module.__spec__ = ModuleSpec(module.__name__, None)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        vars(module).update(content)

    return make


class StandInNetwork(torch.nn.Module):
    """Squared differences on the scale -1..1, which AlexNet's input has, weighted by channel."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor([0.5, 0.3, 0.2]).view(3, 1, 1))

    def forward(self, first, second, normalize=False):
        assert first.shape == second.shape
        assert first.shape[1] == 3
        assert first.dtype == second.dtype == torch.float32
        assert normalize, 'then images are in 0..1'
        for image in (first, second):
            assert 0 <= image.min() <= image.max() <= 1
        weighted = self.weights * (2 * first - 2 * second).square()
        return weighted.sum(1, keepdim=True).mean((2, 3), keepdim=True)


@pytest.fixture
def lpips(put):
    """A stand-in for what computes LPIPS; the list of what was built."""
    built = []

    class LearnedPerceptualImagePatchSimilarity:
        def __init__(self, net_type):
            built.append(net_type)
            self.net = StandInNetwork()

    put('torchvision')
    put('torchmetrics.image.lpip', LearnedPerceptualImagePatchSimilarity=LearnedPerceptualImagePatchSimilarity)
    return built


@pytest.fixture
def pyiqa(put):
    """A stand-in for pyiqa, whose figure is the standard deviation in grey levels; the list of what was built."""
    built = []

    def index(image):
        assert image.ndim == 4
        assert image.shape[1] == 3, "one channel is measured on another scale by pyiqa's Ma"
        assert image.dtype == torch.float32
        assert image.min() > -1e-6
        assert image.max() < 1 + 1e-6
        assert torch.equal(image[:, 0], image[:, 2])
        if image.min() == image.max():
            raise torch.linalg.LinAlgError('the input matrix contained non-finite values')
        return (image[:, 1].double() * 255).flatten(1).std(dim=1, correction=0).squeeze()

    def create_metric(name, device):
        built.append((name, device))
        return index

    put('pyiqa', create_metric=create_metric)
    return built


def images(number=2, size=_SIZE):
    generator = np.random.RandomState(number)
    return [torch.from_numpy(generator.uniform(0, 255, (number, 1, *size))) for _ in range(3)]


def squared_differences(fused, source):
    return np.square((fused - source).numpy() / 255 * 2).mean(axis=(1, 2, 3))


@pytest.mark.parametrize('convention', CONVENTIONS)
def test_distance(lpips, convention):
    """Averaged over the sources, image by image; the evaluator's images are rounded, and that is all."""
    fused, ir, vi = images()
    figures = fusion_metrics(fused, ir, vi, ['LPIPS'], convention)['LPIPS']
    seen = (fused, ir, vi) if convention == 'original' else [image.round() for image in (fused, ir, vi)]
    expected = (squared_differences(seen[0], seen[1]) + squared_differences(seen[0], seen[2])) / 2
    assert (figures.shape, figures.dtype) == ((2,), torch.float64)
    np.testing.assert_allclose(figures, expected, rtol=1e-5)
    assert figures[0] != figures[1]
    assert lpips == ['alex']


@pytest.mark.parametrize('convention', CONVENTIONS)
def test_index(pyiqa, convention):
    fused, ir, vi = images()
    figures = fusion_metrics(fused, ir, vi, ['PI'], convention)['PI']
    seen = fused if convention == 'original' else fused.round()
    assert (figures.shape, figures.dtype) == ((2,), torch.float64)
    np.testing.assert_allclose(figures, seen.numpy().std(axis=(1, 2, 3)), rtol=1e-6)
    assert pyiqa == [('pi', torch.device('cpu'))]


def test_levels_that_rounding_has_left_outside(lpips, pyiqa):
    """Half a level is allowed beyond 0..255; the libraries allow none."""
    fused, ir, vi = images()
    beyond = fused.clone()
    beyond[..., 0, 0], beyond[..., 0, 1] = -0.4, 255.4
    within = beyond.clamp(0, 255)
    for name in ('LPIPS', 'PI'):
        assert torch.equal(*(fusion_metrics(image, ir, vi, [name])[name] for image in (beyond, within)))


def test_built_once(lpips, pyiqa):
    fused, ir, vi = images(1)
    for _ in range(3):
        figures = fusion_metrics(fused.requires_grad_(), ir, vi, ['LPIPS', 'PI'])
    assert (len(lpips), len(pyiqa)) == (1, 1)
    for figure in (*figures.values(), learned_perceptual_distance(fused, ir, vi), perceptual_index(fused)):
        assert not figure.requires_grad


def test_image_without_texture(pyiqa):
    """It has no figure, and takes none from the images beside it."""
    fused = images(3)[0]
    fused[1] = 100
    figures = perceptual_index(fused)
    assert figures.isfinite().tolist() == [True, False, True]
    assert figures[1] == math.inf


@pytest.mark.parametrize(('name', 'size'), [('LPIPS', 31), ('PI', 104)])
def test_smallest_image(lpips, pyiqa, name, size):
    fused, ir, vi = images(1, (size, 120))
    assert fusion_metrics(fused, ir, vi, [name])[name].isfinite().all()
    with pytest.raises(ValueError, match=f'{name} needs images of at least {size}x{size} pixels'):
        fusion_metrics(*(image[..., 1:, :] for image in (fused, ir, vi)), [name])


def test_as_a_metric_of_the_runner(lpips, pyiqa):
    """Of luminance, and of each channel; what it is called in a log."""
    pair = torch.from_numpy(np.random.RandomState(5).randint(0, 256, (4, *_SIZE), np.uint8))
    fused = pair[:3].flip(0).float() / 255
    figures = {}
    for color in ('luminance', 'channels'):
        metric = FusionMetric(metrics=('LPIPS', 'PI', 'EN'), color=color)
        metric.process(dict(inputs=[pair]), [dict(fused_img=dict(data=fused))])
        figures[color] = metric.evaluate(size=1)
    channels, infrared = pair[:3].numpy().astype(float), pair[3].numpy().astype(float)
    # The fused image is the visible one, and half of the figure is its distance to itself.
    expected = np.square((channels - infrared) / 255 * 2).mean() / 2
    assert list(figures['channels']) == ['fusion/LPIPS', 'fusion/PI', 'fusion/EN']
    assert figures['channels']['fusion/LPIPS'] == pytest.approx(expected, rel=1e-5)
    assert figures['channels']['fusion/PI'] == pytest.approx(channels.std(axis=(1, 2)).mean(), rel=1e-6)
    luminance = np.tensordot([0.114, 0.587, 0.299], channels, axes=1)
    assert figures['luminance']['fusion/PI'] == pytest.approx(luminance.std(), rel=1e-5)


def test_of_files(lpips, pyiqa, pair_folder, tmp_path):
    """What fusion_quality.py and evaluate_fusion.py do."""
    folder = pair_folder(tmp_path, number=2, size=(112, 128))
    pairs = [dict(ir_path=str(folder / f'ir/00{k}.png'), vi_path=str(folder / f'vi/00{k}.png')) for k in range(2)]
    figures = measure(by_rule(MaximumFusion()), pairs, ['PI', 'LPIPS'])
    assert list(figures) == ['PI', 'LPIPS']
    assert 0 < figures['LPIPS'] < 4
    assert (len(lpips), len(pyiqa)) == (1, 1)


# Without them --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ('metric', 'package', 'command'),
    [
        ('LPIPS', 'torchmetrics', r"pip install 'mmfusion\[perceptual\]'"),
        ('LPIPS', 'torchvision', r"pip install 'mmfusion\[perceptual\]'"),
        ('PI', 'pyiqa', 'pip install pyiqa'),
    ],
)
def test_refused_where_a_package_is_missing(lpips, pyiqa, monkeypatch, metric, package, command):
    """Before there is any image; and no other metric is."""
    assert FusionMetric(metrics=('EN', metric)).metrics == ('EN', metric)
    monkeypatch.setitem(sys.modules, package, None)
    message = rf'the metric {metric} needs {package}, not installed here: {command}'
    with pytest.raises(ModuleNotFoundError, match=message) as told:
        FusionMetric(metrics=('EN', metric))
    assert told.value.name == package
    function, arguments = (learned_perceptual_distance, 3) if metric == 'LPIPS' else (perceptual_index, 1)
    with pytest.raises(ModuleNotFoundError, match=message):
        function(*images(1)[:arguments])
    (other,) = set(NEEDED_PACKAGES) - {metric}
    assert FusionMetric(metrics=('EN', other)).metrics == ('EN', other)


def test_imported_when_computed(tmp_path, monkeypatch):
    """Not when asked for: files are looked for, and end everything as soon as they are imported."""
    for name in ('torchmetrics', 'torchvision', 'pyiqa'):
        (tmp_path / f'{name}.py').write_text(f'raise SystemExit("{name} was imported")')
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delitem(sys.modules, 'torchmetrics.image.lpip', raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    fused, ir, vi = images(1)
    assert len(fusion_metrics(fused, ir, vi)) == 12
    assert FusionMetric(metrics=('LPIPS', 'PI')).metrics == ('LPIPS', 'PI')
    for metric, package in (('LPIPS', 'torchmetrics'), ('PI', 'pyiqa')):
        with pytest.raises(SystemExit, match=f'{package} was imported'):
            fusion_metrics(fused, ir, vi, [metric])


def failing(error):
    def build(*args, **options):
        raise error

    return build


@pytest.mark.parametrize(
    ('error', 'told', 'message'),
    [
        (URLError('no route'), OSError, r'downloaded once, which failed: <urlopen error no route>.*kept in .*hub'),
        (RuntimeError('operator torchvision::nms does not exist'), ImportError, r'cannot be loaded: op.*to torch \d'),
        (OSError('libcudart.so.13: not found'), ImportError, r'cannot be loaded: libcudart.*to torch \d'),
    ],
)
def test_explained_where_a_package_does_not_work(put, error, told, message):
    """No network for its weights, or a build for another torch."""
    put('torchvision')
    put('torchmetrics.image.lpip', LearnedPerceptualImagePatchSimilarity=failing(error))
    put('pyiqa', create_metric=failing(error))
    for name in NEEDED_PACKAGES:
        with pytest.raises(told, match=f'{name} .*{message}'):
            fusion_metrics(*images(1), [name])


# With them -----------------------------------------------------------------------------------------------------------
def test_torchmetrics_itself(monkeypatch):
    """Its network with random weights in the place of AlexNet's: range, batch, and what is too small for it."""
    library = pytest.importorskip('torchmetrics.functional.image.lpips', reason="needs 'mmfusion[perceptual]'")
    models = pytest.importorskip('torchvision.models', reason="needs 'mmfusion[perceptual]'")
    untrained = models.alexnet(weights=None)
    monkeypatch.setattr(models, 'alexnet', lambda weights: untrained)
    fused, ir, vi = images(2, (31, 40))
    found = learned_perceptual_distance(fused, ir, vi)
    first, *sources = ((image / 255).float().repeat(1, 3, 1, 1) for image in (fused, ir, vi))
    expected = [
        library.learned_perceptual_image_patch_similarity(first, source, reduction='none', normalize=True)
        for source in sources
    ]
    torch.testing.assert_close(found, sum(expected).double() / 2, rtol=1e-5, atol=1e-8)
    assert found.min() > 0
    assert learned_perceptual_distance(fused, fused, fused).tolist() == [0, 0]
    with pytest.raises(RuntimeError, match='too small'):
        library.learned_perceptual_image_patch_similarity(first[..., 1:, :], sources[0][..., 1:, :])
