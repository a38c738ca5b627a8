"""What the tests of the inferencer share."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger

from mmfusion.apis import FusionInferencer
from mmfusion.registry import MODELS


@pytest.fixture
def data(pair_folder, tmp_path):
    return pair_folder(tmp_path / 'data')


@pytest.fixture
def config(run_config, model_config, data, tmp_path):
    """Function that gives a config with this fusion and these options of the model."""

    def make(fusion=None, **options):
        model = model_config(**options) if fusion is None else model_config(fusion=fusion, **options)
        return run_config(model, data, tmp_path / 'run')

    return make


@pytest.fixture
def average(config):
    return FusionInferencer(config(dict(type='AverageFusion')), device='cpu')


@pytest.fixture
def checkpoint(model_config, tmp_path):
    """Function that writes the weights of a model, with meta information, and returns the path."""

    def write(meta=None, drop=(), **options):
        torch.manual_seed(0)
        weights = MODELS.build(model_config(**options)).state_dict()
        # Scores so far apart that the prediction has several classes.
        weights['segmentor.decode_head.conv_seg.weight'] *= 100
        path = tmp_path / 'checkpoint.pth'
        state = {name: value for name, value in weights.items() if not name.startswith(tuple(drop) or ' ')}
        torch.save(dict(meta=meta or {}, state_dict=state), path)
        return path

    return write


@pytest.fixture
def warnings():
    """Messages of mmengine's logger."""
    records = []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    MMLogger.get_current_instance().addHandler(Keep(logging.WARNING))
    return records
