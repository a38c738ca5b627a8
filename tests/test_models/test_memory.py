import pytest
import torch
import torch.nn.functional as F

from mmfusion.models.fusion import ConvLSTMCell, ConvUnit
from mmfusion.models.fusion.memory import conv3x3

F64 = torch.float64


def conv(x, weight, bias):
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode='reflect'), weight, bias)


def reference(cell, x, h, c, hidden):
    """Shi et al., NeurIPS 2015, gate by gate: an input and a recurrent convolution each."""
    inputs = x.shape[1]
    pre = {}
    for gate, weight, bias in zip('iojf', cell.gates.weight.split(hidden), cell.gates.bias.split(hidden)):
        pre[gate] = conv(x, weight[:, :inputs], bias) + conv(h, weight[:, inputs:], None)
    c = torch.sigmoid(pre['f']) * c + torch.sigmoid(pre['i']) * torch.tanh(pre['j'])
    return torch.sigmoid(pre['o']) * (torch.tanh(c) if cell.squash_cell else c), c


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize('squash_cell', [True, False])
def test_cell_equals_the_reference_over_three_inputs(squash_cell):
    torch.manual_seed(0)
    cell = ConvLSTMCell(3, 4, squash_cell=squash_cell).double()
    state = expected = (draw(2, 4, 5, 6, seed=1), draw(2, 4, 5, 6, seed=2))
    with torch.no_grad():
        for k in range(3):
            x = draw(2, 3, 5, 6, seed=3 + k)
            state, expected = cell(x, state), reference(cell, x, *expected, hidden=4)
            torch.testing.assert_close(state, expected)


@pytest.mark.parametrize('squash_cell', [True, False])
def test_first_cell_equals_a_recurrent_one_from_zero(squash_cell):
    torch.manual_seed(0)
    first = ConvLSTMCell(3, 4, recurrent=False, squash_cell=squash_cell).double()
    cell = ConvLSTMCell(3, 4, squash_cell=squash_cell).double()
    with torch.no_grad():
        cell.gates.weight[:12, :3] = first.gates.weight
        cell.gates.bias[:12] = first.gates.bias
    zero = torch.zeros(2, 4, 5, 6, dtype=F64)
    x = draw(2, 3, 5, 6)
    torch.testing.assert_close(first(x), cell(x, (zero, zero)))
    assert first(x)[0].abs().max() > 0.01


def test_squash_changes_the_hidden_state_alone():
    torch.manual_seed(0)
    cell = ConvLSTMCell(3, 4, recurrent=False).double()
    x = 5 * draw(1, 3, 5, 6)
    hidden, state = cell(x)
    cell.squash_cell = False
    plain, same = cell(x)
    assert torch.equal(state, same)
    torch.testing.assert_close(hidden / plain, state.tanh() / state)
    assert (hidden.abs() < plain.abs()).all()


def test_remembers_by_default():
    """The forget gate of a new cell starts at sigmoid(1), with the other gates around one half."""
    torch.manual_seed(0)
    cell = ConvLSTMCell(8, 8)
    assert cell.gates.bias[24:].mean().item() == pytest.approx(1, abs=0.15)
    assert cell.gates.bias[:24].mean().item() == pytest.approx(0, abs=0.15)


def test_number_of_parameters():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(ConvLSTMCell(3, 4)) == 16 * (7 * 9 + 1)
    assert count(ConvLSTMCell(3, 4, recurrent=False)) == 12 * (3 * 9 + 1)


def test_gradcheck():
    torch.manual_seed(0)
    cell = ConvLSTMCell(1, 2).double()
    inputs = [draw(1, 1, 3, 4), draw(1, 2, 3, 4, seed=1), draw(1, 2, 3, 4, seed=2)]
    assert torch.autograd.gradcheck(lambda x, h, c: cell(x, (h, c)), [value.requires_grad_() for value in inputs])


def test_state_and_cell_must_go_together():
    x, state = torch.zeros(1, 3, 4, 4), (torch.zeros(1, 4, 4, 4),) * 2
    with pytest.raises(ValueError, match='recurrent=True and no state'):
        ConvLSTMCell(3, 4)(x)
    with pytest.raises(ValueError, match='recurrent=False and a state'):
        ConvLSTMCell(3, 4, recurrent=False)(x, state)


def test_unit_is_conv_prelu_conv():
    torch.manual_seed(0)
    unit = ConvUnit(3, 5, 2).double()
    with torch.no_grad():
        unit[1].weight.fill_(-0.3)
    x = draw(2, 3, 6, 7)
    middle = conv(x, unit[0].weight, unit[0].bias)
    middle = torch.where(middle > 0, middle, -0.3 * middle)
    torch.testing.assert_close(unit(x), conv(middle, unit[2].weight, unit[2].bias))


def test_border_is_reflected():
    """A mean filter on a ramp is the ramp inside; at the border the pixel beyond mirrors the one inside."""
    layer = conv3x3(1, 1)
    with torch.no_grad():
        layer.weight.fill_(1 / 9)
        layer.bias.zero_()
        out = layer(torch.arange(5.0).expand(1, 1, 4, 5))
    assert out[0, 0, 0].tolist() == pytest.approx([2 / 3, 1, 2, 3, 10 / 3])
