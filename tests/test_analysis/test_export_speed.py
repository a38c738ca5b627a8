"""Times of exported models."""

import pytest
import torch

from mmfusion.analysis.export_speed import Speed, export_speed, export_speed_sheet

AVERAGE = 'average_unet-tiny_1xb4-300_synthetic-96x128'
CONTENDERS = ['segmentor alone', f'{AVERAGE}: fusion', f'{AVERAGE}: joint']


def test_contenders():
    pytest.importorskip('onnxruntime', reason="needs pip install 'mmfusion[onnx]'")
    pytest.importorskip('onnx')
    seen = []
    speeds = export_speed([AVERAGE], (64, 80), threads=torch.get_num_threads(), repeats=2, tell=seen.append)
    assert [(speed.name, speed.runtime) for speed in speeds] == [
        *((name, runtime) for name in CONTENDERS for runtime in ('PyTorch', 'ONNX Runtime')),
        (f'{AVERAGE}: joint, any size', 'ONNX Runtime'),
    ]
    assert all(len(speed.seconds) == 2 and min(speed.seconds) > 0 for speed in speeds)
    assert seen == [f'exporting {AVERAGE}', 'measuring']


def test_sheet():
    speeds = [Speed('a', 'PyTorch', [0.5]), Speed('a', 'ONNX Runtime', [0.2]), Speed('b', 'ONNX Runtime', [0.1, 0.3])]
    sheet = export_speed_sheet(speeds, (480, 640))
    assert sheet.title == 'one pair of 480 x 640'
    assert sheet.rows == [
        ['a', 'PyTorch', '2.00', '500', '500', '1.00'],
        ['a', 'ONNX Runtime', '5.00', '200', '200', '1.00'],
        ['b', 'ONNX Runtime', '5.00', '200', '100', '1.00'],
    ]


def test_messages(told):
    assert 'repeats and threads must be positive' in told('analysis_tools/export_speed', AVERAGE, '--repeats', 0)
    assert 'a size is height and width' in told('analysis_tools/export_speed', AVERAGE, '--shape', 0, 3)
