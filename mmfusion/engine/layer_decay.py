"""mmseg's optimizers with a rate for every layer, which look for a segmentor's own names."""

from collections.abc import Iterator
from typing import Any

from mmseg.engine.optimizers import layer_decay_optimizer_constructor as mmseg_constructors
from torch import nn

from mmfusion.registry import OPTIM_WRAPPER_CONSTRUCTORS


class PlainNames:
    """A joint model with the names that a segmentor's parameters have without a fusion in front of it.

    Args:
        model (nn.Module): With ``segmentor`` and ``backbone``.

    Attributes:
        backbone (nn.Module): The segmentor's backbone; of a backbone for each view, the first.

    Examples:
        >>> segmentor = nn.ModuleDict(dict(backbone=nn.PReLU()))
        >>> model = nn.ModuleDict(dict(fusion=nn.Linear(1, 1, False), segmentor=segmentor))
        >>> model.backbone = model.segmentor.backbone
        >>> [name for name, _ in PlainNames(model).named_parameters()]
        ['fusion.weight', 'backbone.weight']
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        outer: Any = model.backbone
        self._nested = isinstance(getattr(outer, 'others', None), nn.ModuleList)
        self.backbone = outer.backbone if self._nested else outer

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All parameters.

        Yields:
            tuple[str, nn.Parameter]: Those of the segmentor without ``segmentor.``, those of the backbones of several
            views as if each were the only one.
        """
        for name, parameter in self._model.named_parameters():
            name = name.removeprefix('segmentor.')
            if self._nested and name.startswith('backbone.backbone.'):
                name = name.removeprefix('backbone.')
            elif self._nested and name.startswith('backbone.others.'):
                name = f'backbone.{name.split(".", 3)[3]}'
            yield name, parameter


class _SeesSegmentor:
    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Add parameter groups; see mmseg's class of the same name.

        Args:
            params (list[dict]): Parameter groups, extended in place.
            module (nn.Module): A segmentor, or one behind a fusion. What is no layer of its backbone has the full rate.
            **kwargs: Of mmengine.
        """
        shown = PlainNames(module) if hasattr(module, 'fusion') and hasattr(module, 'segmentor') else module
        super().add_params(params, shown, **kwargs)  # type: ignore[misc]


# In mmseg's registry as well they take the place of its own, which they are for every other model.
@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class LearningRateDecayOptimizerConstructor(_SeesSegmentor, mmseg_constructors.LearningRateDecayOptimizerConstructor):
    """mmseg's constructor of that name (ConvNeXt, BEiT, MAE), for joint models too."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class LayerDecayOptimizerConstructor(_SeesSegmentor, mmseg_constructors.LayerDecayOptimizerConstructor):
    """mmseg's older constructor of that name, for joint models too."""
