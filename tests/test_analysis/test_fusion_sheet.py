"""Sheets: every pair and method at its place, with its name."""

import cv2
import numpy as np
import pytest

from mmfusion.analysis.fusion_quality import by_rule
from mmfusion.analysis.fusion_sheet import draw_sheet, write_sheets
from mmfusion.models import AverageFusion, MaximumFusion

BAR, GAP = 24, 4


def test_places_of_pictures():
    rows = {str(row): {str(k): np.full((20, 30), 40 * row + 10 * k, np.uint8) for k in range(3)} for row in range(2)}
    sheet = draw_sheet(rows, width=60)
    assert sheet.shape == (BAR + 2 * (40 + BAR), 3 * 60 + 2 * GAP, 3)
    for row in range(2):
        for k in range(3):
            top, left = BAR + row * (40 + BAR), k * (60 + GAP)
            assert (sheet[top : top + 40, left : left + 60] == 40 * row + 10 * k).all()
    assert (sheet[:BAR] < 128).any()  # Names of the columns.
    assert all((sheet[top : top + BAR, :60] < 128).any() for top in (BAR + 40, 2 * BAR + 80))


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ({}, 'at least one row'),
        ({'1': dict(a=np.zeros((4, 4))), '2': dict(b=np.zeros((4, 4)))}, r"2 has \['b'\], not \['a'\]"),
        ({'1': dict(a=np.zeros((4, 4)), b=np.zeros((8, 4)))}, 'one shape'),
    ],
)
def test_what_is_no_sheet(rows, message):
    with pytest.raises(ValueError, match=message):
        draw_sheet(rows)


def test_a_sheet_of_twenty_pairs_each(pair_folder, tmp_path):
    data = pair_folder(tmp_path / 'data', number=21, size=(48, 64))
    methods = {'average': by_rule(AverageFusion()), 'maximum': by_rule(MaximumFusion())}
    written = write_sheets(methods, {'mine': data}, tmp_path / 'sheets', width=64)
    assert [path.name for path in written] == ['mine_1.png', 'mine_2.png']
    first, second = (cv2.imread(str(path)) for path in written)
    assert first.shape == (BAR + 20 * (48 + BAR), 4 * 64 + 3 * GAP, 3)
    assert second.shape == (BAR + 48 + BAR, 4 * 64 + 3 * GAP, 3)
    vi, ir = (cv2.imread(str(data / name / '020.png')).astype(int) for name in ('vi', 'ir'))
    cells = [second[BAR : BAR + 48, k * (64 + GAP) : k * (64 + GAP) + 64].astype(int) for k in range(4)]
    assert (cells[0] == vi).all()
    assert (cells[1] == ir).all()
    # Luminance of the fused image: rounding and clipped colours leave some.
    weights = np.array([0.114, 0.587, 0.299])
    difference = cells[2] @ weights - (vi @ weights + ir @ weights) / 2
    assert np.median(np.abs(difference)) < 1
    assert (cells[3] @ weights).mean() > (cells[2] @ weights).mean() + 5


def test_a_width_that_is_none(tmp_path):
    with pytest.raises(ValueError, match='positive number of pixels, got 0'):
        write_sheets({}, {}, tmp_path, width=0)
