"""Long-term memory of the unfolding: a convolutional LSTM."""

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """The convolution that the whole fusion network is made of: 3x3 with reflected border.

    Args:
        in_channels (int): Channels in.
        out_channels (int): Channels out.

    Returns:
        nn.Conv2d: Keeps height and width.

    Examples:
        >>> convolution = conv3x3(1, 1).requires_grad_(False)
        >>> _ = convolution.weight.fill_(1 / 9), convolution.bias.zero_()
        >>> convolution(torch.full((1, 1, 3, 3), 2.0)).round(decimals=3).unique()  # The border does not darken.
        tensor([2.])
    """
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode='reflect')


class ConvUnit(nn.Sequential):
    """Convolution, PReLU with one slope, convolution.

    Args:
        in_channels (int): Channels in.
        mid_channels (int): Channels between the convolutions.
        out_channels (int): Channels out.

    Examples:
        >>> unit = ConvUnit(2, 16, 1)
        >>> unit(torch.rand(1, 2, 8, 8)).shape, [sum(w.numel() for w in layer.parameters()) for layer in unit]
        (torch.Size([1, 1, 8, 8]), [304, 1, 145])
    """

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int) -> None:
        super().__init__(conv3x3(in_channels, mid_channels), nn.PReLU(), conv3x3(mid_channels, out_channels))


class ConvLSTMCell(nn.Module):
    """Convolutional LSTM cell (Shi et al., NeurIPS 2015) without peepholes; one convolution for all gates.

    Gates stand in the order input, output, candidate, forget along the channels.

    Args:
        in_channels (int): Channels of the input.
        hidden_channels (int): Channels of the hidden and the cell state.
        recurrent (bool): Whether a state comes in. The first cell of a cascade starts from zero, where the recurrent
            convolution and the forget gate have nothing to act on: such a cell has neither, and computes the same.
        squash_cell (bool): Whether the cell state goes through tanh before the output gate. Only the first cell of
            the released network leaves it out.

    Examples:
        >>> first, second = ConvLSTMCell(8, 4, recurrent=False), ConvLSTMCell(8, 4)
        >>> hidden, cell = second(torch.rand(1, 8, 6, 6), first(torch.rand(1, 8, 6, 6)))
        >>> hidden.shape, bool(hidden.abs().max() < 1)  # Between -1 and 1, however many stages follow.
        (torch.Size([1, 4, 6, 6]), True)
        >>> second(torch.rand(1, 8, 6, 6))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: a recurrent cell needs a state and the first cell of a cascade takes none; got recurrent=True ...
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, recurrent: bool = True, squash_cell: bool = True
    ) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.squash_cell = squash_cell
        gates = 4 if recurrent else 3
        self.gates = conv3x3(in_channels + hidden_channels * recurrent, gates * hidden_channels)
        if recurrent:
            # Remember by default; otherwise the memory of a new network fades by half per stage.
            with torch.no_grad():
                self.gates.get_parameter('bias')[3 * hidden_channels :] += 1

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """Take in one input.

        Args:
            x (Tensor): Input (B, ``in_channels``, H, W).
            state (tuple[Tensor, Tensor], optional): Hidden and cell state, each (B, ``hidden_channels``, H, W).
                Given exactly if the cell is recurrent.

        Returns:
            tuple[Tensor, Tensor]: New hidden and cell state.

        Raises:
            ValueError: A recurrent cell without a state, or a state for a cell that is not.
        """
        if self.recurrent != (state is not None):
            raise ValueError(
                'a recurrent cell needs a state and the first cell of a cascade takes none; got '
                f'recurrent={self.recurrent} and {"no state" if state is None else "a state"}'
            )
        if state is None:
            i, o, j = self.gates(x).chunk(3, dim=1)
            cell = i.sigmoid() * j.tanh()
        else:
            i, o, j, f = self.gates(torch.cat([x, state[0]], dim=1)).chunk(4, dim=1)
            cell = f.sigmoid() * state[1] + i.sigmoid() * j.tanh()
        return o.sigmoid() * (cell.tanh() if self.squash_cell else cell), cell
