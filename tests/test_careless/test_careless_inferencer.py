"""Calls of FusionInferencer that make no sense."""

import numpy as np
import pytest

from mmfusion.apis import FusionInferencer

CONFIG = 'average_unet-tiny_1xb4-300_synthetic-96x128'


def check(line, words):
    for word in words:
        assert word in line, line
    assert len(line) < 600, line


GREY = np.full((20, 30), 100, np.uint8)
# Arguments of a call to what is told.
CALLS = {
    'no infrared': (dict(vi=GREY), ['ir']),
    'None': (dict(ir=None, vi=GREY), ['None']),
    'a number': (dict(ir=3, vi=GREY), ['int']),
    'empty array': (dict(ir=np.zeros((0, 0), np.uint8), vi=GREY), ['empty']),
    'one dimension': (dict(ir=np.zeros(20, np.uint8), vi=GREY), ['(20']),
    'five channels': (dict(ir=np.zeros((20, 30, 5), np.uint8), vi=GREY), ['(20, 30, 5)']),
    'channels first': (dict(ir=GREY, vi=np.zeros((3, 20, 30), np.uint8)), ['(3, 20, 30)']),
    'other size': (dict(ir=GREY[:-1], vi=GREY), ['same size', '19x30']),
    'NaN': (dict(ir=np.full((20, 30), np.nan), vi=GREY), ['NaN']),
    'in 0 to 1': (dict(ir=np.full((20, 30), 0.5), vi=GREY), ['0..255 scale', 'Multiply it by 255']),
    'negative': (dict(ir=np.full((20, 30), -3.0), vi=GREY), ['-3']),
    'booleans': (dict(ir=GREY > 3, vi=GREY), ['bool']),
    'complex': (dict(ir=GREY.astype(complex), vi=GREY), ['complex']),
    'text': (dict(ir=np.full((20, 30), 'a'), vi=GREY), ['<U1']),
    'empty list': (dict(ir=[], vi=[]), ['lists are empty']),
    'lists of other lengths': (dict(ir=[GREY], vi=[GREY, GREY]), ['1', '2']),
    'batch size': (dict(ir=GREY, vi=GREY, batch_size=0), ['batch_size', 'got 0']),
    'half a batch': (dict(ir=GREY, vi=GREY, batch_size=1.5), ['batch_size', 'got 1.5']),
    'nothing asked for': (dict(ir=GREY, vi=GREY, return_arrays=False), ['out_dir']),
}


@pytest.fixture(scope='module')
def fuse():
    return FusionInferencer(CONFIG, device='cpu')


@pytest.mark.parametrize('name', CALLS)
def test_calls(fuse, name):
    with pytest.raises((ValueError, TypeError, OSError)) as error:
        fuse(**CALLS[name][0])
    check(str(error.value), CALLS[name][1])


CONSTRUCTIONS = {
    'no config': (dict(checkpoint='model.pth'), ['model.pth needs the config']),
    'a number': (dict(config_or_name=3), ['int']),
    'unknown name': (dict(config_or_name='uaafuson'), ["'uaafuson'", 'closest']),
    'unknown device': (dict(config_or_name=CONFIG, device='tpu9'), ["'tpu9'"]),
    'checkpoint': (dict(config_or_name=CONFIG, checkpoint='nowhere.pth'), ['no checkpoint at nowhere.pth']),
    'range': (dict(config_or_name=CONFIG, ir_range='all'), ["'all'"]),
}


@pytest.mark.parametrize('name', CONSTRUCTIONS)
def test_constructions(name):
    with pytest.raises((ValueError, TypeError, OSError)) as error:
        FusionInferencer(**CONSTRUCTIONS[name][0])
    check(str(error.value), CONSTRUCTIONS[name][1])
