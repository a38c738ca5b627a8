"""UAAFusion: unfolding attribution analysis fusion, the preprocessor in front of any segmentor."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from torch import Tensor, nn

from mmfusion.attribution import NORMALIZATIONS, Attribution, Evidence, LabelRegions, Scorer, TrajectoryAttribution
from mmfusion.attribution.attribution import check_choice
from mmfusion.deprecation import renamed_options, warn_deprecated
from mmfusion.registry import MODELS

from .base import BaseFusion, FusionResult, constant_weights
from .gate import GateOutput

WEIGHTS = ('gate', 'attribution', 'even')
ATTENTIONS = ('auto', 'gate', *NORMALIZATIONS)
# Options that were arguments of UAAFusion itself before 0.2, and what to write now.
_RENAMED = {
    name: f'attribution.{name}'
    for name in (
        'rule',
        'baseline',
        'estimator',
        'pairs',
        'test_pairs',
        'smoothing',
        'region',
        'label_source',
        'max_batch',
        'eps',
        'ignore_index',
        'num_classes',
    )
}


def _rename(module: nn.Module, state_dict: dict, prefix: str, *_: object) -> None:
    for name in [name for name in state_dict if name.startswith(prefix)]:
        state_dict[prefix + UAAFusion.present_name(name.removeprefix(prefix))] = state_dict.pop(name)


@MODELS.register_module()
class UAAFusion(BaseFusion):
    r"""Fusion whose objective and attention come from attribution analysis of the segmentor.

    The evidence for each class in each source (:class:`~mmfusion.attribution.Attribution`) is spread over the label map
    and normalised to weights

    .. math:: w_I = \frac{W_I + \epsilon}{W_I + W_V + 2 \epsilon}, \qquad w_V = 1 - w_I

    (smoothed; see :class:`~mmfusion.attribution.Evidence`), which set the target of the unfolding's data steps; the
    attribution of the unfolding's own iterates gates the stages. With ``weights='gate'`` a small network has learned
    from attribution what weights and attention are to be, and no segmentor is needed any more; see
    :class:`~mmfusion.models.FusionGate`. Source: Bai et al., "Deep Unfolding Multi-modal Image
    Fusion Network via Attribution Analysis", IEEE TCSVT 2025, arXiv 2502.01467. The defaults correct what cancels
    itself in the released network; see :meth:`from_released` for that.

    Args:
        num_stages (int): Stages of the unfolding.
        channels (int): Feature channels of the unfolding, even.
        steps (int, optional): Short for ``attribution=dict(steps=...)``, before which it goes: nodes of the path
            integral per source.
        weights (str): 'gate' lets the gate tell the weights, 'attribution' weighs the sources by the evidence of the
            moment (the paper), 'even' by one half each.
        attribution (dict | Attribution, optional): Options of :class:`~mmfusion.attribution.Attribution`, which has
            their defaults.
        attention (str, optional): What gates the stages. 'gate' is the strength of the evidence that the gate tells;
            'rms' the attribution of the iterates, normalised, and 'none' the same not normalised (released: a gate that
            is one half everywhere). None switches it off, and spares a pass of the segmentor per stage. 'auto' is
            'gate' if the weights are, else 'rms'.
        attention_interval (int): The attribution of the iterates is renewed at every so many stages and stands for
            those up to the next; each renewal is a pass of the segmentor forward and backward.
        gate (dict, optional): Config of the gate, for ``weights='gate'``. Default: ``dict(type='FusionGate')``.
        head (dict, optional): Config of the unfolding head; ``num_stages`` and ``channels`` above go into it.
        init_cfg (dict, optional): mmengine's initialisation config.
        **renamed: Options of the attribution by their former place, as arguments of their own. They go before those in
            ``attribution``; a construction warns of them once, and names the new keys.

    Attributes:
        attribution (Attribution): The options, to be replaced as a whole: ``dataclasses.replace``.
        weights (str): As given.
        attention (str | None): As given, or what 'auto' is.
        gate (nn.Module | None): The gate.

    Raises:
        ValueError: An option is unknown or out of range, or the attention is that of a gate that is not there.
        TypeError: An argument that never was one.

    Examples:
        >>> import torch
        >>> fusion = UAAFusion(num_stages=2, channels=4, attribution=dict(estimator='endpoint'))
        >>> ir, vi = torch.rand(1, 1, 16, 24), torch.rand(1, 1, 16, 24)
        >>> scorer = lambda x: torch.cat([x, 1 - x], dim=1)  # a segmentor of two classes
        >>> result = fusion(ir, vi, scorer)
        >>> result.fused.shape, result.region_ir.shape, len(result.attention)
        (torch.Size([1, 1, 16, 24]), torch.Size([1, 2]), 2)
    """

    def __init__(
        self,
        num_stages: int = 5,
        channels: int = 32,
        steps: int | None = None,
        weights: str = 'attribution',
        attribution: Mapping[str, Any] | Attribution | bool | None = None,
        attention: str | None = 'auto',
        attention_interval: int = 2,
        gate: dict | None = None,
        head: dict | None = None,
        init_cfg: dict | None = None,
        **renamed: Any,
    ) -> None:
        super().__init__(init_cfg)
        if isinstance(attribution, bool):
            weights = 'attribution' if attribution else 'even'
            warn_deprecated(f'UAAFusion: attribution={attribution} is deprecated; write weights={weights!r}')
            attribution = None
        check_choice('weights', weights, WEIGHTS)
        if attention is not None:
            check_choice('attention', attention, ATTENTIONS)
        if attention == 'auto':
            attention = 'gate' if weights == 'gate' else 'rms'
        if attention == 'gate' and weights != 'gate':
            raise ValueError(f"attention='gate' needs weights='gate', got weights={weights!r}; use attention='auto'")
        if attention_interval < 1:
            raise ValueError(f'attention_interval must be at least 1, got {attention_interval}')
        self.weights = weights
        self.attribution = _build_attribution(attribution, steps, renamed)
        self.attention = attention
        self.attention_interval = attention_interval
        self.gate = MODELS.build(gate or dict(type='mmfusion.FusionGate')) if weights == 'gate' else None
        self.unfolding = MODELS.build(
            {
                'type': 'mmfusion.MemoryUnfoldingHead',  # The prefix, for configs of mmseg's scope.
                'num_stages': num_stages,
                'channels': channels,
                **(head or {}),
            }
        )
        self.register_load_state_dict_pre_hook(_rename)

    @staticmethod
    def present_name(name: str) -> str:
        """What a weight is called by now.

        Args:
            name (str): As a checkpoint has it. Former ones call the unfolding ``head``, by which rates that mmseg's
                recipes set for decode heads reached it.

        Returns:
            str: The name in this module.
        """
        return f'unfolding.{name.removeprefix("head.")}' if name.startswith('head.') else name

    @property
    def head(self) -> nn.Module:
        """nn.Module: Former name of ``unfolding``."""
        warn_deprecated('UAAFusion: head is deprecated; read unfolding')
        return self.unfolding

    @classmethod
    def from_released(cls, state_dict: dict, steps: int = 5) -> 'UAAFusion':
        """The released network, with its behaviour, from a published state dict.

        Args:
            state_dict (dict): Released layout (``model_f``), with or without a ``module.`` prefix, or the checkpoint
                that holds it under ``model_f``.
            steps (int): Nodes of the right-hand rule.

        Returns:
            UAAFusion: In evaluation mode.

        Raises:
            ValueError: The state dict is of another architecture; the message lists the keys.
        """
        from mmfusion.released import build_released_fusion  # Only here: no default path knows the release.

        return build_released_fusion(state_dict, steps, cls)

    @property
    def asks_segmentor(self) -> bool:
        """bool: Whether a fused image takes passes of the segmentor."""
        return self.weights == 'attribution' or self.attention not in ('gate', None)

    @property
    def feature_channels(self) -> int:
        """int: Channels of the unfolding's features."""
        return self.unfolding.channels

    @property
    def ignore_index(self) -> int:
        """int: Label of pixels of no class."""
        return self.attribution.ignore_index

    def forward(
        self,
        ir: Tensor,
        vi: Tensor,
        scorer: Scorer | None = None,
        labels: Tensor | None = None,
        *,
        strength: float = 1.0,
        ignore: Tensor | None = None,
        evidence: Evidence | None = None,
    ) -> FusionResult:
        """Fuse a batch of pairs; see :meth:`BaseFusion.forward`.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            scorer (Callable, optional): The segmentor as a function of one luminance image.
            labels (Tensor, optional): Class ids (B, H, W).
            strength (float): How far the attribution moves the weights away from one half, in [0, 1].
            ignore (Tensor, optional): Padding (B, H, W), as booleans.
            evidence (Evidence, optional): What attribution found, if it was asked already: of a segmentor that reads
                both sources together, which no function of one image is. Labels are those of its regions.

        Returns:
            FusionResult: The fused image and what led to it.

        Raises:
            ValueError: The images are no pair, the strength is outside [0, 1], or attribution is asked for without a
                scorer.
        """
        self.check_pair(ir, vi)
        if not 0 <= strength <= 1:
            raise ValueError(f'strength moves the weights from one half and must be in [0, 1], got {strength}')
        if self.gate is not None:
            result = self._fuse_gated(ir, vi, self.gate(ir, vi), scorer, strength, evidence)
            return replace(result, labels=labels)
        attributed = self.weights == 'attribution' and strength > 0
        weight_ir, weight_vi = constant_weights(ir, 0.5)
        attend = None
        if attributed or self.attention is not None:
            if scorer is None:
                raise ValueError(
                    'UAAFusion attributes a segmentor: pass a scorer, or switch attribution and attention off '
                    "(weights='gate', or weights='even' and attention=None)"
                )
            regions: LabelRegions | Tensor
            if evidence is not None:
                regions, labels = evidence.regions, evidence.regions.labels(self.ignore_index)
            elif labels is not None and not attributed:
                regions = labels  # How many classes there are, the attention sees by itself.
            else:
                regions = self.attribution.regions(scorer, ir, vi, labels, ignore)
                labels = regions.labels(self.ignore_index) if labels is None else labels
            attend = self._attend(scorer, regions)
            if attributed:
                if evidence is None:
                    evidence = self.attribution.evidence(scorer, ir, vi, regions, training=self.training)
                weight_ir, weight_vi = (weight.to(ir) for weight in evidence.weights(strength))
        fused, attention, features = self.unfolding(ir, vi, weight_ir, weight_vi, attend, with_features=True)
        evidence = evidence if attributed else None
        return FusionResult(fused, weight_ir, weight_vi, evidence, attention, labels, features=features)

    def _fuse_gated(
        self,
        ir: Tensor,
        vi: Tensor,
        gate: GateOutput,
        scorer: Scorer | None,
        strength: float,
        evidence: Evidence | None,
    ) -> FusionResult:
        """Fuse by what the gate tells. Labels have no say."""
        share = gate.share.sigmoid().to(ir)
        weight_ir = share if strength == 1 else 0.5 + strength * (share - 0.5)
        attend: Callable[[Tensor], Tensor] | None = None
        if self.attention == 'gate':

            def attend(iterate: Tensor) -> Tensor:
                return gate.strength

        elif self.attention is not None:
            if scorer is None:
                raise ValueError(
                    f'attention={self.attention!r} attributes a segmentor: pass a scorer, or use '
                    "attention='gate' or None"
                )
            regions = self.attribution.regions(scorer, ir, vi) if evidence is None else evidence.regions
            attend = self._attend(scorer, regions)
        fused, attention, features = self.unfolding(ir, vi, weight_ir, 1 - weight_ir, attend, with_features=True)
        return FusionResult(fused, weight_ir, 1 - weight_ir, attention=attention, gate=gate, features=features)

    def _attend(self, scorer: Scorer, labels: LabelRegions | Tensor) -> Callable[[Tensor], Tensor] | None:
        """Iterate to its attention; None where attention is off."""
        if self.attention is None:
            return None
        trajectory = TrajectoryAttribution(
            scorer,
            labels,
            self.ignore_index,
            normalization=self.attention,
            interval=self.attention_interval,
            check_labels=True,
        )
        return trajectory.update


def _build_attribution(
    attribution: Mapping[str, Any] | Attribution | None, steps: int | None, renamed: Mapping[str, Any]
) -> Attribution:
    """The options from wherever they are given."""
    known = [field.name for field in fields(Attribution)]
    _refuse_unknown('UAAFusion has no argument', renamed, _RENAMED, known)
    options = renamed_options('UAAFusion', renamed, _RENAMED, stacklevel=3).get('attribution', {})
    if steps is not None:
        options['steps'] = steps
    if isinstance(attribution, Attribution):
        return replace(attribution, **options)
    given = dict(attribution or {})
    _refuse_unknown('attribution has no option', given, known, known)
    # What stands beside `attribution` comes from a config that inherits, and thus goes before it.
    return Attribution(**{**given, **options})


def _refuse_unknown(message: str, given: Iterable[str], allowed: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise TypeError(
            f'{message} {", ".join(unknown)}; options of the attribution are attribution=dict({", ".join(known)})'
        )
