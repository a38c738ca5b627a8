"""The memory-augmented unfolding head: a cascade of stages that each take a data step and a proximal step."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmfusion.registry import MODELS

from ..compilation import shared_compiled
from ..precision import at_least_float32
from .memory import ConvLSTMCell, ConvUnit, State
from .squares import blend, fold, unfold

# Sources may be exactly black or white, where the logit is infinite. A quarter of an 8-bit grey level is invisible.
_LOGIT_EPS = 1e-3


class Unfolding(NamedTuple):
    """What a cascade of stages leaves behind."""

    fused: Tensor
    """Fused luminance (B, 1, H, W) in (0, 1)."""
    attention: list[Tensor]
    """Attention of every stage (B, 1, H, W), before the sigmoid."""
    features: Tensor
    """What the last stage knows of the pair: (B, C, H', W') at the resolution that the features have."""


class _Stage(nn.Module):
    """Proximal network of one stage, and the memory it leaves for the next (method of UAAFusion, section III)."""

    def __init__(self, channels: int, residual: bool, cell: ConvLSTMCell | None, scale: int, last: bool) -> None:
        super().__init__()
        self.residual = residual
        self.scale = scale
        self.last = last
        self.embed = ConvUnit(scale**2, channels, channels)
        self.merge = ConvUnit(3 * channels, channels, channels)
        self.refine = ConvUnit(channels, channels, channels)
        self.reconstruct = ConvUnit(channels, channels // 2, scale**2)
        self.cell = cell
        if cell is not None:
            self.memory_in = ConvUnit(3 * channels, channels, channels)
            self.memory_out = ConvUnit(channels, channels, channels)
        if residual:
            # A new network starts close to the result of the data step instead of at grey.
            final: Any = self.reconstruct[-1]
            with torch.no_grad():
                final.weight *= 0.1
                final.bias.zero_()

    def _merge(self, features: Tensor, long: Tensor, short: Tensor | None) -> Tensor:
        if short is not None:
            return self.merge(torch.cat([features, long, short], dim=1))
        # One memory in both places: the two filters are added instead of being applied to the same input twice.
        first: Any
        first, activation, second = self.merge
        of_features, of_long, of_short = first.weight.split(features.shape[1], dim=1)
        x = F.pad(torch.cat([features, long], dim=1), (1, 1, 1, 1), mode='reflect')
        return second(activation(F.conv2d(x, torch.cat([of_features, of_long + of_short], dim=1), first.bias)))

    def forward(
        self, half: Tensor, gate: Tensor, long: Tensor, short: Tensor | None, state: State | None
    ) -> tuple[Tensor, Tensor, Tensor | None, State | None]:
        features = self.embed(fold(half, self.scale))
        merged = self._merge(features, long, short)
        # The attention is float32. The features keep their type, else autocast ends here.
        new_short = merged + self.refine(merged) * gate.to(merged.dtype)
        change = unfold(at_least_float32(self.reconstruct(new_short)), self.scale)
        if self.residual:
            # The detail is in the data step's result. What differs between the channels of a square would be a grid.
            change = at_least_float32(half).logit(_LOGIT_EPS) + blend(change, self.scale)
        fused = change.sigmoid()
        if self.cell is None:
            # Nobody comes after the last stage: what it knows is for whoever reads features.
            return fused, long, new_short if self.last else short, state
        state = self.cell(self.memory_in(torch.cat([features, merged, new_short], dim=1)), state)
        return fused, self.memory_out(state[0]), new_short, state


@MODELS.register_module()
class MemoryUnfoldingHead(BaseModule):
    r"""Unfolded minimisation of the weighted fusion objective with short- and long-term memory.

    Stage k moves the iterate towards the weighted mean of the sources, and applies a learned proximal operator:

    .. math:: F_{k+1/2} = F_k - \alpha_k \bigl(F_k - (w_I I + w_V V)\bigr), \qquad
        F_{k+1} = \operatorname{Prox}_k(F_{k+1/2}, a_k, \text{memory}), \qquad F_0 = (I + V) / 2.

    The proximal network sees the long-term memory, a convolutional LSTM that runs along the stages, and the short-term
    memory, the features of the stage before; its refinement is gated by ``sigmoid`` of the attention :math:`a_k`.
    Source: UAAFusion, arXiv 2502.01467. The last stage has no memory to write, so every parameter takes part in the
    result.

    Args:
        num_stages (int): Stages K, at least 1.
        channels (int): Feature channels, even.
        scale (int): Side in pixels of the squares that features have one place for. 1 is the paper's: features at the
            resolution of the images. With 2, they are at half of it, for a quarter of the work; the squares' pixels
            are channels of what goes in and comes out, so that no detail is lost, and data steps are at the full
            resolution in any case. With ``residual``, what a stage changes is blended across the squares, so that they
            leave no grid in the image.
        alpha (float): Step size :math:`\alpha_k` of every stage at first; it is learned. 0.001 in the release, which
            throws the data step away.
        data_step (bool): Take the data step. Off in the released network.
        memory (bool): Carry long- and short-term memory along the stages. Otherwise each stage sees the features of
            the sources alone.
        residual (bool): The proximal network changes the data step's result (its logit). Off in the released network,
            where it paints the image anew.
        squash_first_cell (bool): tanh of the first stage's cell state, as in every ConvLSTM. Off in the released
            network.
        channels_last (bool): Keep features with the channels innermost in memory, which convolutions like. Changes
            nothing but speed.
        with_cp (bool): Keep no features of a stage for the backward pass but compute them again: less memory, about a
            third more work for the unfolding.
        compile (bool | dict): Compile the stages with :func:`torch.compile`, given its options such as
            ``dict(mode='max-autotune')``. Heads with equal options share what is compiled. Where that fails, a
            warning tells why and they run as they are. Compiling takes up to minutes, at the first iteration and for
            every new size of image.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: Too few stages, an odd number of channels, a scale below 1, or options of ``compile`` that cannot
            be compared.

    Examples:
        >>> head = MemoryUnfoldingHead(num_stages=2, channels=4)
        >>> ir, vi = torch.rand(2, 1, 1, 16, 24)
        >>> fused, attention = head(ir, vi, torch.full_like(ir, 0.7), torch.full_like(vi, 0.3))
        >>> fused.shape, len(attention)
        (torch.Size([1, 1, 16, 24]), 2)
    """

    def __init__(
        self,
        num_stages: int = 5,
        channels: int = 32,
        scale: int = 1,
        alpha: float = 0.5,
        data_step: bool = True,
        memory: bool = True,
        residual: bool = True,
        squash_first_cell: bool = True,
        channels_last: bool = True,
        with_cp: bool = False,
        compile: bool | dict = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, value in (('num_stages', num_stages), ('channels', channels)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f'{name} must be a whole number, got {name}={value!r}')
        if num_stages < 1:
            raise ValueError(f'the unfolding needs at least one stage, got num_stages={num_stages}')
        if channels < 2 or channels % 2:
            raise ValueError(
                f'channels are halved between the two sources and must be positive and even, got channels={channels}'
            )
        if scale < 1:
            raise ValueError(f'scale is the side of a square in pixels and must be at least 1, got {scale}')
        self.num_stages = num_stages
        self.scale = scale
        self.channels = channels
        self.channels_last = channels_last
        self.with_cp = with_cp
        self.compile_options: dict[str, Any] | None = None
        if compile is not False:
            self.compile_options = {} if compile is True else dict(compile)
            shared_compiled(
                _Stage.forward, self.compile_options
            )  # Refuses them now rather than in the first iteration.
        self.alpha = nn.Parameter(torch.full((num_stages,), float(alpha))) if data_step else None
        self.embed_ir = ConvUnit(scale**2, channels // 2, channels // 2)
        self.embed_vi = ConvUnit(scale**2, channels // 2, channels // 2)
        self.stages = nn.ModuleList()
        for k in range(num_stages):
            cell = None
            if memory and k + 1 < num_stages:
                cell = ConvLSTMCell(channels, channels, recurrent=k > 0, squash_cell=k > 0 or squash_first_cell)
            self.stages.append(_Stage(channels, residual, cell, scale, last=k + 1 == num_stages))
        if channels_last:
            self.to(memory_format=torch.channels_last)

    @property
    def smallest(self) -> int:
        """int: Shortest side of an image; the memory mirrors it at its border."""
        return self.scale + 1

    def forward(
        self,
        ir: Tensor,
        vi: Tensor,
        weight_ir: Tensor,
        weight_vi: Tensor,
        attention: Callable[[Tensor], Tensor] | None = None,
        with_features: bool = False,
    ) -> tuple[Tensor, list[Tensor]] | Unfolding:
        """Run the cascade.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            weight_ir (Tensor): Weight of the infrared image (B, 1, H, W).
            weight_vi (Tensor): Weight of the visible image (B, 1, H, W).
            attention (Callable, optional): Maps each iterate in turn to its attention (B, 1, H, W); see
                :meth:`mmfusion.attribution.TrajectoryAttribution.update`. Zero, a gate of one half, when absent.
            with_features (bool): Tell the features of the last stage as well.

        Returns:
            tuple[Tensor, list[Tensor]] | Unfolding: The fused image (B, 1, H, W) in (0, 1), and the attention of every
            stage; and the features.
        """
        found = self.cascade(ir, vi, weight_ir, weight_vi, attention)
        return found if with_features else (found.fused, found.attention)

    def cascade(
        self,
        ir: Tensor,
        vi: Tensor,
        weight_ir: Tensor,
        weight_vi: Tensor,
        attention: Callable[[Tensor], Tensor] | None = None,
    ) -> Unfolding:
        """Run the cascade and keep the features of the last stage; see :meth:`forward`.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            weight_ir (Tensor): Weight of the infrared image (B, 1, H, W).
            weight_vi (Tensor): Weight of the visible image (B, 1, H, W).
            attention (Callable, optional): Each iterate to its attention.

        Returns:
            Unfolding: Fused image, attention and features, these with sides of 1 / ``scale``, rounded up.

        Raises:
            ValueError: A side is shorter than :attr:`smallest`.
        """
        height, width = ir.shape[-2:]
        if min(height, width) < self.smallest:
            raise ValueError(
                f'the unfolding takes images of at least {self.smallest}x{self.smallest} pixels, got {height}x{width}; '
                'pad them, as data_preprocessor.size_divisor does'
            )
        padding = (0, -width % self.scale, 0, -height % self.scale)
        if not any(padding):
            return self._cascade(ir, vi, weight_ir, weight_vi, attention)

        def pad(image: Tensor) -> Tensor:
            return F.pad(image, padding, mode='replicate')

        def attend(iterate: Tensor) -> Tensor:
            if attention is None:
                return torch.zeros_like(iterate)
            return pad(attention(iterate[..., :height, :width]))

        fused, attentions, features = self._cascade(pad(ir), pad(vi), pad(weight_ir), pad(weight_vi), attend)
        return Unfolding(fused[..., :height, :width], [each[..., :height, :width] for each in attentions], features)

    def _cascade(
        self,
        ir: Tensor,
        vi: Tensor,
        weight_ir: Tensor,
        weight_vi: Tensor,
        attention: Callable[[Tensor], Tensor] | None,
    ) -> Unfolding:
        target = weight_ir * ir + weight_vi * vi
        fused = (ir + vi) / 2
        long = torch.cat([self.embed_ir(fold(ir, self.scale)), self.embed_vi(fold(vi, self.scale))], dim=1)
        short: Any = None
        if self.channels_last:
            long = long.contiguous(memory_format=torch.channels_last)
        state, attentions = None, []
        for k, stage in enumerate(self.stages):
            attentions.append(torch.zeros_like(ir) if attention is None else attention(fused))
            half = fused if self.alpha is None else fused - self.alpha[k] * (fused - target)
            gate = attentions[-1].sigmoid()
            if self.scale > 1:
                gate = F.avg_pool2d(gate, self.scale)
            fused, long, short, state = self._run(stage, half, gate, long, short, state)
        return Unfolding(fused, attentions, short)

    def _run(self, stage: nn.Module, *inputs: Any) -> tuple[Tensor, Tensor, Tensor | None, State | None]:
        run: Callable = stage
        if self.compile_options is not None:
            run = functools.partial(shared_compiled(_Stage.forward, dict(self.compile_options)), stage)
        if self.with_cp and torch.is_grad_enabled():
            # A stage draws no random numbers.
            return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)
        return run(*inputs)
