"""Cells of the table of finished runs."""

import math

import pytest

from mmfusion.analysis.run_summary import format_cell, mean_and_spread


def test_cells():
    assert format_cell(73.005, 1.25) in ('73.00 ± 1.25', '73.01 ± 1.25')
    assert format_cell(0.0, math.nan) == '0.000'
    assert format_cell(math.nan, math.nan) == 'nan'
    assert format_cell(1e-9, 0.0) == '0.000000 ± 0.000000'
    mean, spread = mean_and_spread([2.0, 4.0, 9.0])
    assert (mean, spread) == (5.0, pytest.approx(math.sqrt(13)))
    assert all(math.isnan(value) for value in mean_and_spread([1.0, math.nan]))
    assert math.isnan(mean_and_spread([1.0])[1])
