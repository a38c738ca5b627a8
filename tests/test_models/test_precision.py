"""Types under autocast, and where there is none."""

import pytest
import torch

from mmfusion.models.precision import at_least_float32, uncached_autocast, without_autocast

CPU, META = torch.device('cpu'), torch.device('meta')


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_at_least_float32(given, expected):
    values = at_least_float32(torch.tensor([0.5, 2.0], dtype=given))
    assert values.dtype == expected
    assert values.tolist() == [0.5, 2.0]


def test_without_autocast():
    ones = torch.ones(2, 2)
    with torch.autocast('cpu', torch.bfloat16):
        with without_autocast(CPU):
            assert not torch.is_autocast_enabled('cpu')
            assert (ones @ ones).dtype == torch.float32
        assert torch.is_autocast_enabled('cpu')
        with without_autocast(META):  # Nothing to switch off there, and that of the CPU is none of its business.
            assert torch.is_autocast_enabled('cpu')


def test_uncached_autocast():
    with uncached_autocast(CPU, torch.bfloat16):
        assert torch.get_autocast_dtype('cpu') == torch.bfloat16
        assert torch.is_autocast_enabled('cpu')
        assert not torch.is_autocast_cache_enabled()
    assert torch.is_autocast_cache_enabled()
    with pytest.raises(ValueError, match=r"no autocast to torch\.bfloat16 on a device of type 'meta'"):
        uncached_autocast(META, torch.bfloat16)
