"""What a step does, counted."""

import pytest
import torch
from torch import nn

from mmfusion.analysis.counting import counting, flop_counter


def test_counts_of_a_convolution():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    forward = 2 * 5 * 4 * 6 * 3 * 8 * 9  # 2 x images x pixels x channels in x channels out x taps
    with counting(conv) as counts:
        image = torch.rand(5, 3, 4, 6, requires_grad=True)
        output = conv(image * 1)  # PyTorch's own counter does not take a leaf.
        torch.autograd.grad(output.sum(), image, retain_graph=True)  # For the image alone: as much as forward.
        output.mean().backward()  # For image and weights: twice.
        with torch.no_grad():
            conv(image[:2].detach())
    assert (counts.forward_images, counts.backward_images, counts.autograd_calls) == (7, 10, 2)
    assert counts.flops == forward * (1 + 1 + 2) + forward * 2 // 5
    conv(image).sum().backward()
    assert counts.forward_images == 7  # Over is over.


@pytest.mark.parametrize(
    ('layer', 'forward'),
    [
        (nn.Conv2d(12, 12, 3, padding=1, groups=12), 2 * 2 * 5 * 7 * 12 * 9),
        (nn.Conv2d(12, 8, 3, stride=2, groups=4), 2 * 2 * 2 * 3 * 3 * 8 * 9),
        (nn.ConvTranspose2d(12, 8, 3, stride=2), 2 * 2 * 5 * 7 * 12 * 8 * 9),
    ],
)
def test_operations_of_special_convolutions(layer, forward):
    with flop_counter() as flops:
        output = layer(torch.rand(2, 12, 5, 7, requires_grad=True) * 1)
    assert flops.get_total_flops() == forward
    with flop_counter() as flops:
        output.sum().backward()
    assert flops.get_total_flops() == 2 * forward


def test_counts_once_per_backward_pass():

    class Pyramid(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    pyramid = Pyramid()
    with counting(pyramid) as counts:
        low, high = pyramid(torch.rand(3, 1, 2, 2, requires_grad=True))
        (low + high).sum().backward()
    assert counts.backward_images == 3
