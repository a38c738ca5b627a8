"""The computation of the released UAAFusion network, plainly: what mmfusion is measured against.

An implementation of our own, from the facts about the release (arXiv 2502.01467): serial path points, one backward pass
per class, a convolution per gate, three passes of the segmentor while training. It reproduces the reference numbers in
`tests/data/uaafusion_released.npz`. Where the facts leave a choice, the cheaper one is taken: gradients are asked for
the image only, and the data step, whose result the release throws away, is left out.

It knows nothing of mmfusion, so that neither's mistakes hide in the other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Score = Callable[[Tensor], Tensor]
State = tuple[Tensor, Tensor]


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode='reflect')


class _Unit(nn.Module):
    """Convolution, PReLU, convolution."""

    def __init__(self, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.conv_unit = nn.Sequential(_conv(inputs, middle), nn.PReLU(), _conv(middle, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_unit(x)


class _Cell(nn.Module):
    """ConvLSTM with one convolution for each gate and each source of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for gate in 'fioj':
            self.add_module(f'conv_x{gate}', _conv(channels, channels))
            self.add_module(f'conv_h{gate}', _conv(channels, channels))

    def forward(self, x: Tensor, state: State | None) -> State:
        if state is None:
            cell = self.conv_xi(x).sigmoid() * self.conv_xj(x).tanh()
            return self.conv_xo(x).sigmoid() * cell, cell  # Without tanh, as released.
        hidden, cell = state
        forget = (self.conv_xf(x) + self.conv_hf(hidden)).sigmoid()
        accept = (self.conv_xi(x) + self.conv_hi(hidden)).sigmoid()
        candidate = (self.conv_xj(x) + self.conv_hj(hidden)).tanh()
        show = (self.conv_xo(x) + self.conv_ho(hidden)).sigmoid()
        cell = forget * cell + accept * candidate
        return show * cell.tanh(), cell


class _Stage(nn.Module):
    """One stage; also the last one writes a memory, which nobody reads."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _Unit(1, channels, channels)
        self.conv2 = _Unit(3 * channels, channels, channels)
        self.conv3 = _Unit(channels, channels, channels)
        self.conv4 = nn.Sequential(_Unit(channels, channels // 2, 1))
        self.conv5 = _Unit(3 * channels, channels, channels)
        self.conv6 = _Unit(channels, channels, channels)
        self.lstm = _Cell(channels)

    def forward(
        self, iterate: Tensor, attention: Tensor, long: Tensor, short: Tensor, state: State | None
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        features = self.conv1(iterate)
        merged = self.conv2(torch.cat([features, long, short], dim=1))
        short = merged + self.conv3(merged) * attention.sigmoid()
        state = self.lstm(self.conv5(torch.cat([features, merged, short], dim=1)), state)
        return self.conv4(short).sigmoid(), self.conv6(state[0]), short, state


class ReleasedNetwork(nn.Module):
    """The fusion network with the names of the released state dict (``model_f``), idle parameters included.

    Args:
        num_stages (int): Stages K.
        channels (int): Feature channels, even.

    Examples:
        >>> sum(parameter.numel() for parameter in ReleasedNetwork().parameters())
        1010380
    """

    def __init__(self, num_stages: int = 5, channels: int = 32) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((num_stages,), 0.001))
        self.blockflow = nn.ModuleList(_Stage(channels) for _ in range(num_stages))
        self.init_conv_ir = _Unit(1, channels // 2, channels // 2)
        self.init_conv_vi = _Unit(1, channels // 2, channels // 2)
        self.init_conv_f0 = nn.Sequential(_Unit(channels, channels, 1))

    def forward(self, ir: Tensor, vi: Tensor, attend: Callable[[Tensor, int], Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Fuse.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            attend (Callable): Iterate and its number to its attention (B, 1, H, W).

        Returns:
            tuple[Tensor, list[Tensor]]: Fused image (B, 1, H, W) and the attention of each stage.
        """
        fused = (ir + vi) / 2
        long = short = torch.cat([self.init_conv_ir(ir), self.init_conv_vi(vi)], dim=1)
        state, attentions = None, []
        for k, stage in enumerate(self.blockflow):
            attentions.append(attend(fused, k))
            fused, long, short, state = stage(fused, attentions[-1], long, short, state)
        return fused, attentions


@dataclass
class ReleasedResult:
    """Outcome of one fusion; shapes as in ``mmfusion.models.FusionResult``."""

    fused: Tensor
    weight_ir: Tensor
    weight_vi: Tensor
    region_ir: Tensor
    region_vi: Tensor
    attention: list[Tensor] = field(default_factory=list)


def _sobel(image: Tensor) -> Tensor:
    """Sum of the absolute Sobel responses, zeros around the image."""
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    along_x, along_y = (F.conv2d(image, k[None, None], padding=1) for k in (kernel, kernel.T))
    return along_x.abs() + along_y.abs()


class ReleasedModel(nn.Module):
    """The released fusion in front of a segmentor, in the roles that a benchmark needs.

    The segmentor stays in whatever mode it is: in training mode while it is attributed in a training step, as released.

    Args:
        network (nn.Module): :class:`ReleasedNetwork`.
        segmentor (nn.Module): An mmseg segmentor; None where only :meth:`fuse` is called.
        normalize (Callable): Luminance (B, 1, H, W) in [0, 1] to what the segmentor's backbone takes.
        score (Callable): Luminance (B, 1, H, W) to class probabilities (B, C, H, W) by that segmentor.
        num_classes (int): Classes C.
        steps (int): Nodes of the right-hand rule.
        ignore_index (int): Label of pixels of no class.
    """

    def __init__(
        self,
        network: ReleasedNetwork,
        segmentor: nn.Module | None,
        normalize: Callable[[Tensor], Tensor] | None,
        score: Score,
        num_classes: int,
        steps: int = 5,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.network = network
        self.segmentor = segmentor
        self.normalize = normalize
        self.score = score
        self.num_classes = num_classes
        self.steps = steps
        self.ignore_index = ignore_index

    def attribute(self, image: Tensor, labels: Tensor) -> Tensor:
        """Attribution of one source (method section 1, regions over the whole batch, black baseline).

        Args:
            image (Tensor): (B, 1, H, W).
            labels (Tensor): (B, H, W).

        Returns:
            Tensor: One value per class (C + 1,); the last one, 0, is for pixels of no class.
        """
        masks = {c: (labels == c)[:, None].to(image) for c in labels.unique().tolist() if c != self.ignore_index}
        values = image.new_zeros(self.num_classes + 1)
        for step in range(1, self.steps + 1):
            with torch.enable_grad():
                point = (image * (step / self.steps)).detach().requires_grad_()
                scores = self.score(point)
                for number, (c, mask) in enumerate(masks.items(), start=1):
                    mean = (scores[:, c : c + 1] * mask).sum() / mask.sum()
                    (gradient,) = torch.autograd.grad(mean, point, retain_graph=number < len(masks))
                    values[c] += (gradient * image * mask).sum() / mask.sum()
        return (values / self.steps).relu()

    def attend(self, labels: Tensor) -> Callable[[Tensor, int], Tensor]:
        """The attention along the trajectory (method section 3) of one forward pass.

        Args:
            labels (Tensor): (B, H, W).

        Returns:
            Callable: Iterate (B, 1, H, W) and its number to its attention (B, 1, H, W).
        """
        mean = previous = None

        def update(iterate: Tensor, number: int) -> Tensor:
            nonlocal mean, previous
            iterate = iterate.detach()
            if number == 0:
                mean = torch.zeros_like(iterate)
            else:
                mean = (mean * (number - 1) + self.iterate_gradient(iterate, labels) * (iterate - previous)) / number
            previous = iterate
            return mean

        return update

    def iterate_gradient(self, iterate: Tensor, labels: Tensor) -> Tensor:
        """Gradient of the mean, over pixels and classes, of the scores that the labels select: (B, 1, H, W)."""
        with torch.enable_grad():
            image = iterate.detach().clone().requires_grad_()
            scores = self.score(image)
            known = (labels != self.ignore_index)[:, None]
            selected = torch.zeros_like(scores).scatter_(1, labels[:, None] * known, known.to(scores))
            (gradient,) = torch.autograd.grad((scores * selected).mean(), image)
        return gradient

    def predict_labels(self, ir: Tensor, vi: Tensor) -> Tensor:
        """Most likely classes (B, H, W) of the mean of the sources."""
        with torch.no_grad():
            return self.score((ir + vi) / 2).argmax(1)

    def fuse(self, ir: Tensor, vi: Tensor, labels: Tensor | None = None) -> ReleasedResult:
        """Attribute both sources and fuse them.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            labels (Tensor, optional): (B, H, W); predicted when absent.

        Returns:
            ReleasedResult: The fused image and what led to it.
        """
        if labels is None:
            labels = self.predict_labels(ir, vi)
        of_ir, of_vi = self.attribute(ir, labels), self.attribute(vi, labels)
        index = labels.masked_fill(labels == self.ignore_index, self.num_classes)
        spread_ir, spread_vi = of_ir[index][:, None], of_vi[index][:, None]
        weight_ir = (spread_ir + 1e-8) / (spread_ir + spread_vi + 2e-8)
        fused, attention = self.network(ir, vi, self.attend(labels))
        present = F.one_hot(index, self.num_classes + 1).flatten(1, 2).amax(1)[:, :-1]
        return ReleasedResult(fused, weight_ir, 1 - weight_ir, of_ir[:-1] * present, of_vi[:-1] * present, attention)

    def fusion_losses(self, result: ReleasedResult, ir: Tensor, vi: Tensor) -> dict[str, Tensor]:
        """The three losses of the fused image (method section 5)."""
        edges = torch.maximum(_sobel(ir), _sobel(vi))
        return {
            'loss_ir': (result.weight_ir * (ir - result.fused)).square().mean(),
            'loss_vi': (result.weight_vi * (vi - result.fused)).square().mean(),
            'loss_grad': F.l1_loss(_sobel(result.fused), edges),
        }

    def segmentation_loss(self, image: Tensor, data_samples: list) -> Tensor:
        """Loss of the segmentor on one luminance image (B, 1, H, W)."""
        losses = self.segmentor.loss(self.normalize(image), data_samples)
        return sum(value for name, value in losses.items() if 'loss' in name)

    def loss(self, ir: Tensor, vi: Tensor, data_samples: list) -> Tensor:
        """The loss of a training step.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            data_samples (list[SegDataSample]): With ``gt_sem_seg``.

        Returns:
            Tensor: A scalar.
        """
        result = self.fuse(ir, vi, torch.cat([sample.gt_sem_seg.data for sample in data_samples]))
        segmentation = sum(self.segmentation_loss(image, data_samples) for image in (result.fused, ir, vi)) / 3
        return sum(self.fusion_losses(result, ir, vi).values()) + 0.1 * segmentation

    @torch.no_grad()
    def predict(self, ir: Tensor, vi: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
        """Fused colour parts and segmentation without labels.

        The graph of the fusion network is not built; attribution makes its own.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            chroma (Tensor): Cb and Cr of the visible image (B, 2, H, W).

        Returns:
            tuple[Tensor, Tensor]: Stretched luminance with chroma (B, 3, H, W); class ids (B, H, W).
        """
        fused = self.fuse(ir, vi).fused
        low, high = fused.amin((1, 2, 3), keepdim=True), fused.amax((1, 2, 3), keepdim=True)
        stretched = (fused - low) / (high - low).clamp(min=1e-8)
        return torch.cat([stretched, chroma], dim=1), self.score(fused).argmax(1)
