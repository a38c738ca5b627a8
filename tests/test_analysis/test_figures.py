"""The figure of one pair, and the report that it shows."""

import json

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import AxesImage

from mmfusion.analysis.figures import AttributionReport, draw_attribution


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
        shares=np.array([0.75, 0.5, 0.25, 0.5]),
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
    report = report_of(shares=np.array([4 / 6, 0.5, 2 / 6, 0.5]), smoothing=0.1)
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
