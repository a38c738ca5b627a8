"""tools/analysis_tools/attribution_maps.py and its figure."""

import json

import captum.attr
import cv2
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import AxesImage
from mmengine.dataset import pseudo_collate

from mmfusion.apis import FusionInferencer
from mmfusion.attribution import make_baseline, region_attribution
from mmfusion.models.color import split_luminance
from mmfusion.registry import MODELS
from mmfusion.visualization.attribution_figure import AttributionReport, draw_attribution

TOOL = 'analysis_tools/attribution_maps.py'
SIZE = (30, 45)  # odd: the network sees padding


@pytest.fixture
def tool(load_tool):
    return load_tool(TOOL)


@pytest.fixture
def config(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Function of a fusion that gives a config file; the data are in tmp_path/data."""
    data = pair_folder(tmp_path / 'data', number=3, size=SIZE)

    def make(fusion=None):
        options = {} if fusion is None else dict(fusion=fusion)
        cfg = run_config(model_config(**options), data, tmp_path / 'run')
        cfg.dump(tmp_path / 'tiny.py')
        return tmp_path / 'tiny.py'

    return make


@pytest.fixture
def checkpoint(tmp_path):
    """Function that writes random weights for a config file, with a segmentor that sees something in both sources."""

    def make(config):
        torch.manual_seed(0)
        model = MODELS.build(FusionInferencer(config).cfg.model)
        with torch.no_grad():
            model.decode_head.conv_seg.weight.normal_()
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
        return tmp_path / 'model.pth'

    return make


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


def test_class_scores_by_hand(tool):
    scores = torch.arange(12.0).view(1, 3, 2, 2)
    labels = torch.tensor([[[0, 0], [1, 255]]])
    assert tool.class_scores(scores, labels).tolist() == [[0.5, 6.0, 0.0]]


@pytest.mark.parametrize(('rule', 'method'), [('right', 'riemann_right'), ('gauss_legendre', 'gausslegendre')])
def test_path_integral_is_that_of_captum(tool, case, rule, method):
    image, labels = case
    start = make_baseline(image, 'blur')
    ours = tool.path_integral(smooth_scorer, image, start, labels, 4, rule)
    for c in range(3):
        # captum repeats the batch once per step.
        oracle = captum.attr.IntegratedGradients(
            lambda x, c=c: tool.class_scores(smooth_scorer(x), labels.repeat(len(x) // 2, 1, 1))[:, c]
        )
        theirs = oracle.attribute(image, start, n_steps=4, method=method).sum((1, 2, 3))
        torch.testing.assert_close(ours[:, c], theirs, rtol=1e-6, atol=1e-9)


def test_path_integral_is_complete_in_the_limit(tool, case):
    image, labels = case
    start = make_baseline(image, 'black')
    truth = tool.class_scores(smooth_scorer(image), labels) - tool.class_scores(smooth_scorer(start), labels)
    error = {
        (rule, n): (tool.path_integral(smooth_scorer, image, start, labels, n, rule) - truth).abs().max().item()
        for rule in tool.CONVERGENCE_RULES
        for n in (2, 8)
    }
    assert error['gauss_legendre', 8] < 1e-6
    assert 3 < error['right', 2] / error['right', 8] < 5  # first order
    assert error['gauss_legendre', 2] < error['right', 8]


def test_labels_follow_the_image(tool):
    labels = np.array([[0, 1], [2, 200]])
    fitted = tool.fit_labels(labels, (4, 4), (5, 6))
    expected = np.full((5, 6), 255)
    expected[:4, :4] = np.kron(labels, np.ones((2, 2)))
    assert np.array_equal(fitted[0], expected)


def read(fuse, tool, config, checkpoint, *arguments):
    return tool.read_pair(fuse, tool.parse_args([str(x) for x in (config, checkpoint, '--out', '.', *arguments)]))


def weights_of(report, eps=1e-8):
    """The shares, as the fusion computes them, spread over the regions."""
    return ((report.region_ir + eps) / (report.region_ir + report.region_vi + 2 * eps))[report.labels]


def test_report_against_the_model(tool, config, checkpoint, tmp_path):
    """Without labels everything is what the model does when it predicts."""
    config = config()
    checkpoint = checkpoint(config)
    fuse = FusionInferencer(config, checkpoint, 'cpu')
    files = ('--ir', tmp_path / 'data/ir/001.png', '--vi', tmp_path / 'data/vi/001.png')
    packed, labels = read(fuse, tool, config, checkpoint, *files)
    assert labels is None
    report = tool.analyse(fuse, packed, None, None)

    with torch.no_grad():
        (sample,) = fuse.model.test_step(pseudo_collate([packed]))
    assert np.array_equal(report.prediction, sample.pred_sem_seg.data[0])
    np.testing.assert_allclose(report.weight_ir, sample.fusion_weights.data[0], atol=1e-6)
    assert np.abs(report.fused.transpose(2, 0, 1) - 255 * sample.fused_img.data.numpy()).max() <= 0.51
    assert np.array_equal(report.infrared, cv2.imread(str(files[1]), cv2.IMREAD_UNCHANGED))
    assert np.array_equal(report.visible[..., ::-1], cv2.imread(str(files[3])))
    assert len(report.present) > 1
    np.testing.assert_allclose(report.weight_ir, weights_of(report), atol=1e-5)
    assert report.attention.shape == (2, *SIZE)
    assert not report.attention[0].any()
    assert report.attention[1].std() > 0.5
    assert report.options == dict(steps=2, rule='midpoint', baseline='blur', estimator='exact', used=True)


def test_steps_are_those_of_the_fusion(tool, config, checkpoint):
    config = config()
    checkpoint = checkpoint(config)
    regions = {}
    for steps in (None, 2, 7):
        fuse = FusionInferencer(config, checkpoint, 'cpu')
        packed, labels = read(fuse, tool, config, checkpoint, '--index', 0)
        report = tool.analyse(fuse, packed, labels, steps)
        regions[steps] = report.region_ir
        np.testing.assert_allclose(report.weight_ir, weights_of(report), atol=1e-5)
    assert np.array_equal(regions[None], regions[2])
    assert not np.allclose(regions[2], regions[7], rtol=1e-4)


def test_fusion_that_attributes_nothing(tool, config, checkpoint):
    config = config(dict(type='AverageFusion'))
    checkpoint = checkpoint(config)
    fuse = FusionInferencer(config, checkpoint, 'cpu')
    packed, labels = read(fuse, tool, config, checkpoint, '--index', 2)
    report = tool.analyse(fuse, packed, labels, 3)
    assert report.attention.shape == (0, *SIZE)
    assert not report.options['used']
    inputs = fuse.model.data_preprocessor(pseudo_collate([packed]), False)['inputs']
    fitted = tool.fit_labels(labels, SIZE, inputs.shape[-2:])
    vi = split_luminance(inputs[:, :3])[0]
    for image, ours in ((inputs[:, 3:], report.region_ir), (vi, report.region_vi)):
        direct = region_attribution(fuse.model.scorer(), image, fitted, 3, steps=3, rule='midpoint', baseline='blur')
        np.testing.assert_allclose(ours, direct[0], rtol=1e-4, atol=1e-9)
    titles = [ax.get_title() for ax in draw_attribution(report).get_axes()]
    assert any('not used by this fusion' in title for title in titles)
    assert not any('gate' in title for title in titles)


def test_index_and_files_are_one_pair(tool, config, checkpoint, tmp_path, capsys):
    config = config()
    checkpoint = checkpoint(config)
    data, name = tmp_path / 'data', '002.png'
    by_index = [config, checkpoint, '--index', 2, '--out', tmp_path / 'a']
    by_files = [
        config,
        checkpoint,
        '--out',
        tmp_path / 'b',
        '--ir',
        data / 'ir' / name,
        '--vi',
        data / 'vi' / name,
        '--label',
        data / 'labels' / name,
    ]
    capsys.readouterr()
    for arguments in (by_index, by_files):
        assert tool.main([str(x) for x in arguments]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f'wrote {tmp_path / "b/002.png"} {tmp_path / "b/002.json"}'
    numbers = [json.loads((tmp_path / x / '002.json').read_text()) for x in 'ab']
    assert numbers[0] == numbers[1]
    label = cv2.imread(str(data / 'labels' / name), cv2.IMREAD_UNCHANGED)
    assert {k: v['pixels'] for k, v in numbers[0]['classes'].items()} == {
        k: int((label == c).sum()) for c, k in enumerate(('background', 'warm', 'printed'))
    }
    for entry in numbers[0]['classes'].values():
        for source in ('infrared', 'visible'):
            part = entry['convergence'][source]
            for rule in ('right', 'gauss_legendre'):
                expected = np.abs(np.array(part['integral'][rule]) - part['score_difference'])
                np.testing.assert_allclose(part['delta'][rule], expected, atol=1e-7)
    # Two renderings of one thing, and not an empty page.
    a, b = (cv2.imread(str(tmp_path / x / '002.png')) for x in 'ab')
    assert np.array_equal(a, b)
    assert a.std() > 20


def report_of(stages=4, **options):
    rng = np.random.RandomState(0)
    h, w = 20, 30
    labels = np.repeat([0, 1, 2, 255], [10, 10, 5, 5])[None].repeat(h, 0)
    attention = rng.randn(stages, h, w)
    attention[:1] = 0
    fields = dict(
        visible=rng.randint(0, 256, (h, w, 3), dtype=np.uint8),
        infrared=rng.randint(0, 256, (h, w), dtype=np.uint8),
        fused=rng.randint(0, 256, (h, w), dtype=np.uint8),
        weight_ir=rng.rand(h, w),
        prediction=labels.clip(max=2),
        labels=labels,
        labels_from='given',
        classes=('a', 'b', 'c', 'absent'),
        palette=[[0, 0, 0], [255, 255, 255], [0, 255, 0], [9, 9, 9]],
        region_ir=np.array([3e-3, 0, 1e-4, 0]),
        region_vi=np.array([1e-3, 0, 3e-4, 0]),
        attention=attention,
        nodes=(1, 2, 5),
        options=dict(steps=5, rule='right', baseline='blur', estimator='exact', used=True),
        score_difference=rng.rand(2, 4),
        integrals=dict(right=rng.rand(3, 2, 4), gauss_legendre=rng.rand(3, 2, 4)),
    )
    return AttributionReport(**{**fields, **options})


def test_numbers_by_hand():
    report = report_of()
    numbers = report.numbers()
    assert list(numbers['classes']) == ['a', 'b', 'c']
    shares = [entry['share_infrared'] for entry in numbers['classes'].values()]
    assert shares == [pytest.approx(0.75), None, pytest.approx(0.25)]
    delta = numbers['classes']['c']['convergence']['visible']['delta']['right']
    assert delta == pytest.approx(np.abs(report.integrals['right'][:, 1, 2] - report.score_difference[1, 2]).tolist())
    last = numbers['stages'][-1]
    assert last['gate_max'] == pytest.approx(1 / (1 + np.exp(-report.attention[-1].max())))
    assert numbers['stages'][0] == dict(attention_min=0, attention_max=0, attention_rms=0, gate_min=0.5, gate_max=0.5)
    json.dumps(numbers)


def test_smoothed_share():
    report = report_of(prior=np.array([1e-3, 1.0, 1e-4, 1.0]))
    assert report.share()[[0, 2]] == pytest.approx([4 / 6, 2 / 6])
    assert np.isnan(report.share()[1])
    assert any(ax.get_title() == 'infrared share, smoothed' for ax in draw_attribution(report).get_axes())


@pytest.mark.parametrize('stages', [0, 1, 3, 4])
def test_figure_shows_the_report(stages):
    report = report_of(stages)
    figure = draw_attribution(report, 'a title')
    axes = {ax.get_title(): ax for ax in figure.get_axes() if ax.get_title()}
    pictures = {title: ax.images[0] for title, ax in axes.items() if ax.images}
    assert np.array_equal(pictures['weight of infrared'].get_array(), report.weight_ir)
    assert np.array_equal(pictures['infrared'].get_array(), report.infrared)
    for k in range(stages):
        maps = pictures[f'attention $a_{{{k}}}$' + (' = 0' if k == 0 else '')]
        assert np.array_equal(maps.get_array(), report.attention[k])
        low, high = maps.get_clim()
        assert low == -high < 0
        gate = pictures[f'gate $\\sigma(a_{{{k}}})$ of stage {k + 1}']
        np.testing.assert_allclose(gate.get_array(), 1 / (1 + np.exp(-report.attention[k])), atol=1e-12)
        assert gate.get_clim() == (0, 1)
    assert len(figure.findobj(AxesImage)) == 6 + 2 * stages

    share = axes['infrared share $A_I / (A_I + A_V)$']
    assert [bar.get_width() for bar in share.patches][::2] == pytest.approx([0.75, 0.5, 0.25])
    assert [text.get_text() for text in share.texts] == ['0.75', 'no evidence', '0.25']
    lines = axes['visible: $|\\Sigma\\, IG - (s_c(X) - s_c(X_0))|$'].lines
    drawn = [line.get_ydata() for line in lines if len(line.get_ydata()) == 3]
    assert len(drawn) == 3 * 2
    np.testing.assert_allclose(drawn[2 * 2 + 0], report.delta('right')[:, 1, 2])
    np.testing.assert_allclose(drawn[2 * 2 + 1], report.delta('gauss_legendre')[:, 1, 2])
    FigureCanvasAgg(figure).draw()  # Nothing in it fails to render.


def test_figure_has_no_overlapping_axes():
    figure = draw_attribution(report_of(3))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in figure.get_axes() if ax.get_title()]
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            # A pixel of slack for antialiasing.
            assert min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no class'):
        draw_attribution(report_of(labels=np.full((20, 30), 255)))


def test_messages(tool, config, checkpoint, tmp_path, capsys):
    config = config()
    checkpoint = checkpoint(config)
    data = tmp_path / 'data'
    pair = ['--ir', data / 'ir/000.png', '--vi', data / 'vi/000.png']
    cv2.imwrite(str(tmp_path / 'wrong.png'), np.full(SIZE, 7, np.uint8))

    def error(*arguments):
        assert tool.main([str(x) for x in (config, checkpoint, '--out', tmp_path / 'out', *arguments)]) == 1
        text = capsys.readouterr().err
        assert text.count('\n') == text.count('error: ') == 1
        return text

    capsys.readouterr()
    assert '--index must be in 0..2' in error('--index', 3)
    assert 'are files here' in error('--ir', data / 'ir', '--vi', data / 'vi')
    assert 'holds the id(s) [7]' in error(*pair, '--label', tmp_path / 'wrong.png')
    assert 'steps=0' in error(*pair, '--steps', 0)
    assert not (tmp_path / 'out').exists()
    for arguments in ([], pair[:2], [*pair, '--index', 0], ['--index', 0, '--label', 'x']):
        with pytest.raises(SystemExit) as end:
            tool.main([str(x) for x in (config, checkpoint, '--out', 'o', *arguments)])
        assert end.value.code == 2


def test_steps_without_a_path(tool, config, checkpoint):
    config = config(dict(type='UAAFusion', num_stages=1, channels=4, estimator='endpoint'))
    fuse = FusionInferencer(config, checkpoint(config), 'cpu')
    with pytest.raises(ValueError, match='--steps has no effect'):
        tool.attribution_options(fuse.model, 3)
