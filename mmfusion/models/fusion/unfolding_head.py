"""The memory-augmented unfolding head: a cascade of stages that each take a data step and a proximal step."""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmfusion.registry import MODELS

from ..compilation import shared_compiled
from ..precision import at_least_float32
from .memory import ConvLSTMCell, ConvUnit, State

# Sources may be exactly black or white, where the logit is infinite. A quarter of an 8-bit grey level is invisible.
_LOGIT_EPS = 1e-3


class _Stage(nn.Module):
    """Proximal network of one stage, and the memory it leaves for the next (method of UAAFusion, section III)."""

    def __init__(self, channels: int, residual: bool, cell: ConvLSTMCell | None) -> None:
        super().__init__()
        self.residual = residual
        self.embed = ConvUnit(1, channels, channels)
        self.merge = ConvUnit(3 * channels, channels, channels)
        self.refine = ConvUnit(channels, channels, channels)
        self.reconstruct = ConvUnit(channels, channels // 2, 1)
        self.cell = cell
        if cell is not None:
            self.memory_in = ConvUnit(3 * channels, channels, channels)
            self.memory_out = ConvUnit(channels, channels, channels)
        if residual:
            # A new network starts close to the result of the data step instead of at grey.
            last: Any = self.reconstruct[-1]
            with torch.no_grad():
                last.weight *= 0.1
                last.bias.zero_()

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
        features = self.embed(half)
        merged = self._merge(features, long, short)
        # The attention is float32. The features keep their type, else autocast ends here.
        new_short = merged + self.refine(merged) * gate.to(merged.dtype)
        change = at_least_float32(self.reconstruct(new_short))
        fused = (at_least_float32(half).logit(_LOGIT_EPS) + change if self.residual else change).sigmoid()
        if self.cell is None:
            return fused, long, short, state
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
        ValueError: Too few stages, an odd number of channels, or options of ``compile`` that cannot be compared.

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
        if num_stages < 1:
            raise ValueError(f'the unfolding needs at least one stage, got num_stages={num_stages}')
        if channels < 2 or channels % 2:
            raise ValueError(f'channels are halved between the two sources and must be even, got channels={channels}')
        self.num_stages = num_stages
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
        self.embed_ir = ConvUnit(1, channels // 2, channels // 2)
        self.embed_vi = ConvUnit(1, channels // 2, channels // 2)
        self.stages = nn.ModuleList()
        for k in range(num_stages):
            cell = None
            if memory and k + 1 < num_stages:
                cell = ConvLSTMCell(channels, channels, recurrent=k > 0, squash_cell=k > 0 or squash_first_cell)
            self.stages.append(_Stage(channels, residual, cell))
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(
        self,
        ir: Tensor,
        vi: Tensor,
        weight_ir: Tensor,
        weight_vi: Tensor,
        attention: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the cascade.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            weight_ir (Tensor): Weight of the infrared image (B, 1, H, W).
            weight_vi (Tensor): Weight of the visible image (B, 1, H, W).
            attention (Callable, optional): Maps each iterate in turn to its attention (B, 1, H, W); see
                :meth:`mmfusion.attribution.TrajectoryAttribution.update`. Zero, a gate of one half, when absent.

        Returns:
            tuple[Tensor, list[Tensor]]: The fused image (B, 1, H, W) in (0, 1), and the attention of every stage.
        """
        target = weight_ir * ir + weight_vi * vi
        fused = (ir + vi) / 2
        long, short = torch.cat([self.embed_ir(ir), self.embed_vi(vi)], dim=1), None
        if self.channels_last:
            long = long.contiguous(memory_format=torch.channels_last)
        state, attentions = None, []
        for k, stage in enumerate(self.stages):
            attentions.append(torch.zeros_like(ir) if attention is None else attention(fused))
            half = fused if self.alpha is None else fused - self.alpha[k] * (fused - target)
            fused, long, short, state = self._run(stage, half, attentions[-1].sigmoid(), long, short, state)
        return fused, attentions

    def _run(self, stage: nn.Module, *inputs: Any) -> tuple[Tensor, Tensor, Tensor | None, State | None]:
        run: Callable = stage
        if self.compile_options is not None:
            run = functools.partial(shared_compiled(_Stage.forward, dict(self.compile_options)), stage)
        if self.with_cp and torch.is_grad_enabled():
            # A stage draws no random numbers.
            return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)
        return run(*inputs)
