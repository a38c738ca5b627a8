"""The figure of robustness, against numbers by hand."""

import itertools

import pytest
from matplotlib import rc_context
from matplotlib.container import BarContainer

from mmfusion.analysis.robustness import INTACT, Row
from mmfusion.analysis.robustness_plot import amounts_of, draw_robustness

FIGURES = {
    INTACT: [70.0, 74.0],
    'visible:black': [40.0, 44.0],
    'infrared:shift=4': [60.0, 61.0],
    'infrared:shift=1': [68.0, 70.0],
    'visible:dark=0.5': [50.0, 52.0],
    'visible:noise=0': [70.0, 74.0],
    'visible:noise=20': [30.0, 34.0],
}


@pytest.fixture
def figure():
    other = {name: [value - 10 for value in values[:1]] for name, values in FIGURES.items()}
    return draw_robustness([Row('early', FIGURES), Row('a $name$ <b>', other)])


def test_bars(figure):
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == [INTACT, 'visible:\nblack', 'visible:\ndark=0.5']
    heights = [
        [bar.get_height() for bar in container] for container in ax.containers if isinstance(container, BarContainer)
    ]
    assert [heights[0], heights[-1]] == [[72.0, 42.0, 51.0], [60.0, 30.0, 40.0]]
    whiskers = ax.collections[0].get_segments()
    assert len(ax.collections) == 1  # A single checkpoint has no spread.
    assert [(segment[0][1], segment[1][1]) for segment in whiskers] == [
        pytest.approx((mean - spread, mean + spread)) for mean, spread in ((72, 8**0.5), (42, 8**0.5), (51, 2**0.5))
    ]
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches)
    assert all(first[1] < second[0] for first, second in itertools.pairwise(edges))


def test_lines_over_the_amount(figure):
    shift, noise = figure.axes[1:]
    assert [shift.get_title(), noise.get_title()] == ['infrared:shift', 'visible:noise']
    early, other = (line.get_xydata().tolist() for line in shift.lines)
    assert early == [[0, 72], [1, 69], [4, 60.5]]
    assert other == [[0, 60], [1, 58], [4, 50]]
    # No noise was measured: that is where the line begins.
    assert noise.lines[0].get_xydata().tolist() == [[0, 72], [20, 32]]
    assert len(shift.collections) == 1
    corners = shift.collections[0].get_paths()[0].vertices[:, 1]
    assert max(corners) == pytest.approx(72 + 8**0.5)
    assert shift.get_xlabel() == 'pixels'


def test_legend_and_files(figure, tmp_path):
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['early', 'a $name$ <b>']
    colors = [line.get_color() for line in figure.axes[1].lines]
    assert len(set(colors)) == 2
    with rc_context({'svg.fonttype': 'none'}):
        figure.savefig(tmp_path / 'plot.svg')
    assert '>a $name$ &lt;b&gt;<' in (tmp_path / 'plot.svg').read_text('utf-8')


def test_what_is_drawn():
    only = draw_robustness([Row('early', {INTACT: [50.0], 'visible:dark=1': [50.0], 'visible:dark=0.2': [20.0]})])
    (ax,) = only.axes
    assert ax.get_title() == 'visible:dark'
    low, high = ax.get_xlim()
    assert low > high  # From as it is to black.
    (ax,) = draw_robustness([Row('early', {INTACT: [50.0]})]).axes
    assert [bar.get_height() for bar in ax.patches] == [50.0]
    assert amounts_of([INTACT, 'visible:blur', 'visible:blur=3']) == {}
    with pytest.raises(ValueError, match='no model was measured'):
        draw_robustness([])
