"""The panel: sizes and colours at known places."""

import numpy as np
import pytest
import torch

from mmfusion.visualization import colorize_labels, colorize_weights, draw_pair, draw_panel, to_uint8

PALETTE = [[0, 0, 0], [255, 0, 0], [0, 0, 255]]
CLASSES = ['soil', 'crop', 'weed']


def pictures(height=10, width=250):
    return dict(
        visible=np.full((height, width, 3), (10, 20, 30), dtype=np.uint8),
        infrared=np.full((height, width), 77, dtype=np.uint8),
        fused=np.full((height, width, 3), (40, 50, 60), dtype=np.uint8),
        weight_ir=np.full((height, width), 0.5),
        prediction=np.full((height, width), 1),
        label=np.full((height, width), 255),
    )


def test_to_uint8():
    colour = torch.tensor([0.0, 0.5, 2.0]).view(3, 1, 1)
    assert to_uint8(colour).tolist() == [[[0, 128, 255]]]
    assert to_uint8(torch.tensor([[[-1.0, 0.2]]])).tolist() == [[0, 51]]
    assert to_uint8(colour).dtype == np.uint8
    assert to_uint8(torch.full((1, 2, 2), 0.2, requires_grad=True).bfloat16()).tolist() == [[51, 51], [51, 51]]


def test_colorize_labels():
    colours = colorize_labels(np.array([[0, 1, 2, 3], [255, 256, 300, -1]]), PALETTE)
    assert colours[0].tolist() == [*PALETTE, [90, 90, 90]]
    assert (colours[1] == 90).all()  # Ignored, or no class at all.
    assert colorize_labels(np.zeros((2, 2), int), []).tolist() == [[[90] * 3] * 2] * 2


def test_colorize_weights():
    visible, even, infrared = colorize_weights(np.array([[0.0, 0.5, 1.0]]))[0].astype(int)
    assert infrared[0] > infrared[2] + 100
    assert visible[2] > visible[0] + 100
    assert np.ptp(even) < 10
    beyond = colorize_weights(np.array([[-1.0, 2.0]]))[0]
    assert beyond.tolist() == [visible.tolist(), infrared.tolist()]


def test_layout():
    panel = draw_panel(**pictures(), classes=CLASSES, palette=PALETTE)
    assert panel.dtype == np.uint8
    # Six pictures of 250x10 under titles of 22, with gaps of 4, and one row of legend, for which there is room.
    assert panel.shape == (22 + 10 + 22, 6 * 250 + 5 * 4, 3)
    weights = colorize_weights(np.array([[0.5]]))[0, 0].tolist()
    expected = [[10, 20, 30], [77, 77, 77], weights, [40, 50, 60], [255, 0, 0], [90, 90, 90]]
    for n, colour in enumerate(expected):
        block = panel[22:32, n * 254 : n * 254 + 250]
        assert (block == colour).all(), n
        assert (panel[22:32, n * 254 + 250 : (n + 1) * 254] == 255).all()
    for n in range(6):  # Each has a title, and each another one.
        assert (panel[:22, n * 254 : n * 254 + 250] < 128).any()
    titles = {panel[:22, n * 254 : n * 254 + 250].tobytes() for n in range(6)}
    assert len(titles) == 6


def test_legend():
    legend = draw_panel(**pictures(), classes=CLASSES, palette=PALETTE)[-22:]
    shown = {tuple(colour) for colour in legend.reshape(-1, 3).tolist()}
    weights = colorize_weights(np.array([[0.0, 0.5, 1.0]]))[0].tolist()
    assert {*map(tuple, PALETTE), *map(tuple, weights)} <= shown
    # From the left in the order of the classes.
    columns = [int(np.flatnonzero((legend == colour).all(2).sum(0) > 8)[0]) for colour in PALETTE]
    assert columns == sorted(columns)


def test_legend_takes_as_many_rows_as_it_needs():
    few = draw_panel(**pictures(width=200), classes=CLASSES, palette=PALETTE)
    many = draw_panel(**pictures(width=200), classes=['a long name of a class'] * 30, palette=PALETTE * 10)
    assert (many.shape[0] - few.shape[0]) % 22 == 0
    assert many.shape[0] > few.shape[0] + 22
    assert many.shape[1] == few.shape[1]


def test_without_label_and_with_grey_fused():
    parts = pictures()
    parts.update(fused=np.full((10, 250), 99, dtype=np.uint8), label=None)
    panel = draw_panel(**parts, classes=CLASSES, palette=PALETTE)
    assert panel.shape[1] == 5 * 250 + 4 * 4
    assert (panel[22:32, 3 * 254 : 3 * 254 + 250] == 99).all()


def test_small_pictures_are_magnified_by_whole_factors():
    parts = pictures(height=4, width=60)
    parts['prediction'] = np.tile([[0, 1], [2, 0]], (2, 30))
    panel = draw_panel(**parts, classes=CLASSES, palette=PALETTE)
    assert panel.shape[1] == 6 * 240 + 5 * 4  # 60 * 4 is the first that reaches 200.
    block = panel[22 : 22 + 16, 4 * 244 : 4 * 244 + 240]
    expected = colorize_labels(parts['prediction'], PALETTE).repeat(4, 0).repeat(4, 1)
    assert np.array_equal(block, expected)


def test_sizes_must_agree():
    parts = pictures()
    parts['infrared'] = np.zeros((10, 20), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"must have one size, got .*'infrared': \(10, 20\)"):
        draw_panel(**parts)


def test_a_pair_and_its_labels():
    given = pictures()
    label = np.full((10, 250), 1)
    picture = draw_pair(given['visible'], given['infrared'], label, CLASSES, PALETTE)
    assert picture.shape == (22 + 10 + 22, 3 * 250 + 2 * 4, 3)
    for n, colour in enumerate([[10, 20, 30], [77, 77, 77], [255, 0, 0]]):
        assert (picture[22:32, n * 254 : n * 254 + 250] == colour).all(), n
    legend = {tuple(colour) for colour in picture[32:].reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in PALETTE} <= legend
    # What is ignored has a colour of its own, which is told.
    label[0] = 255
    ignored = draw_pair(given['visible'], given['infrared'], label, CLASSES, PALETTE)
    assert (ignored[22, 2 * 254 : 2 * 254 + 250] == 90).all()
    assert (ignored[32:] == 90).all(axis=2).sum() >= 100 > (picture[32:] == 90).all(axis=2).sum()


def test_a_pair_without_labels():
    given = pictures()
    assert draw_pair(given['visible'], given['infrared']).shape == (22 + 10, 2 * 250 + 4, 3)
    with pytest.raises(ValueError, match='one size'):
        draw_pair(given['visible'], given['infrared'][1:])
