"""Colours that can be seen, and drawings that follow the page."""

import itertools
import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from mmfusion.analysis.comparison.scores import Scores
from mmfusion.analysis.html_report.palette import DARK, LIGHT, SURFACES, color_of, dash_of, to_svg
from mmfusion.analysis.html_report.plots import draw_class_bars, draw_curves, wrapped
from mmfusion.analysis.html_report.scalars import Curve


def linear(color):
    values = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]


def luminance(color):
    """Relative luminance of WCAG 2."""
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear(color)))


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(('colors', 'surface'), [(LIGHT, SURFACES[0]), (DARK, SURFACES[1])])
def test_graphics_stand_out(colors, surface):
    """At least 3 to 1, as WCAG 2 asks of graphics."""
    assert len(set(colors)) == len(LIGHT) == 10
    assert min(contrast(color, surface) for color in colors) >= 3


def test_methods_differ_in_more_than_colour():
    looks = [(color_of(number), str(dash_of(number))) for number in range(20)]
    assert len(set(looks)) == 20
    assert all(first[1] != second[1] for first, second in itertools.pairwise(looks))


def test_drawing_follows_the_page():
    figure = Figure(figsize=(2, 1))
    ax = figure.subplots()
    ax.barh([0, 1], [1, 2], color=[color_of(0), color_of(11)])
    ax.set_title('#0a005f <b>&', parse_math=False)
    svg = str(to_svg(figure, 'one', 'a "drawing"'))
    root = ElementTree.fromstring(svg.replace('xlink:href', 'href'))
    styles = ' '.join(element.get('style', '') for element in root.iter())
    assert 'fill: var(--m0)' in styles
    assert 'fill: var(--m1)' in styles
    assert 'stroke: currentColor' in styles
    assert '#0a0' not in styles
    assert root.get('aria-label') == 'a "drawing"'
    assert '#0a005f <b>&' in [element.text for element in root.iter()]  # Text is no colour.
    names = {element.get('id') for element in root.iter() if element.get('id')}
    assert all(name.startswith('one-') for name in names)
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= names
    assert svg == str(to_svg(figure, 'one', 'a "drawing"'))


def boxes(figure, labels):
    figure.draw_without_rendering()
    return [label.get_window_extent() for label in labels if label.get_text()]


@pytest.mark.parametrize('classes', [1, 3, 9])
def test_names_do_not_overlap(classes):
    """Ten methods with long names: none covers another, and all are inside."""
    methods = [f'method-{number}-with-a-name-that-goes-on-and-on-for-ever-{number}' for number in range(10)]
    figures = {'mIoU': 50.0, **{f'IoU/class-with-a-very-long-name-{number}': 50.0 for number in range(classes)}}
    cells = {(method, 'a'): {0: figures, 1: figures} for method in methods}
    figure = draw_class_bars(Scores(methods, ['a'], set(), cells), 'a')
    names = boxes(figure, figure.axes[0].get_yticklabels())
    assert len(names) == 10
    for first, second in itertools.pairwise(names):
        assert not first.overlaps(second)
    titles = boxes(figure, [ax._left_title for ax in figure.axes])
    assert len(titles) == classes
    for first, second in itertools.pairwise(titles):
        assert not first.overlaps(second)
    for box in (*names, *titles):
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_names_are_broken():
    assert wrapped('a' * 70 + 'b') == 'a' * 28 + '\n…' + 'a' * 26 + 'b'
    assert wrapped('a' * 28) == 'a' * 28
    assert wrapped('a' * 30, 1) == 'a' * 27 + '…'


def test_bars_and_whiskers():
    cells = {('early', 'a'): {0: {'mIoU': 1.0, 'IoU/sky': 40.0}, 1: {'mIoU': 1.0, 'IoU/sky': 60.0}}, ('x', 'a'): {}}
    figure = draw_class_bars(Scores(['x', 'early'], ['a'], set(), cells), 'a')
    (ax,) = figure.axes
    assert [bar.get_width() for bar in ax.patches] == [50.0]
    assert ax.patches[0].get_facecolor()[:3] == pytest.approx([value / 255 for value in (0x0A, 0x01, 0x5F)])
    ((start, end),) = ax.collections[0].get_segments()
    assert (start[0], end[0]) == pytest.approx((50 - 200**0.5, 50 + 200**0.5))
    assert [label.get_text() for label in ax.get_yticklabels()] == ['early']


def test_curves_and_bands():
    curve = Curve((10, 20), (3.0, 1.0), (0.5, 0.25), 2)
    (ax,) = draw_curves({3: curve, 4: Curve((10,), (9.0,))}, 'loss', '', log=True).axes
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[10, 3], [20, 1]]
    corners = ax.collections[0].get_paths()[0].vertices.tolist()
    assert [10.0, 2.5] in corners
    assert [20.0, 1.25] in corners
    assert ax.get_yscale() == 'log'
    (below,) = draw_curves({0: Curve((10, 20), (1.0, -1.0))}, 'loss', '', log=True).axes
    assert below.get_yscale() == 'linear'
