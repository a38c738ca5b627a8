"""More channels for the first layers of a segmentor, so that it reads what it was not made for."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

PLANS = ('mean', 'zero')
# The image of a trial run; most backbones that want a certain size want this one.
_SIZE = (224, 224)


class _Inflate:
    """Hook in front of loading: weights for the former channels get those of the added ones.

    It holds no module, so that copies of a model have hooks of their own.
    """

    def __init__(self, channels: int, plan: tuple[str, ...]) -> None:
        self.channels = channels
        self.plan = plan
        self.whole = False
        """Whether weights for all channels have been loaded, which are not to be touched again."""

    def __call__(self, state_dict: dict, prefix: str, *_: object) -> None:
        weight = state_dict.get(f'{prefix}weight')
        if weight is None:
            return
        if weight.shape[1] == self.channels:
            state_dict[f'{prefix}weight'] = inflate(weight, self.plan)
        else:
            self.whole = weight.shape[1] == self.channels + len(self.plan)


def inflate(weight: Tensor, plan: Sequence[str]) -> Tensor:
    """Weights of a convolution for more input channels.

    Args:
        weight (Tensor): (O, C, k, k).
        plan (Sequence[str]): One word per added channel: 'mean' is the mean over the C channels, as for a sensor that
            looks like the average of the others; 'zero' is a channel that has no effect yet.

    Returns:
        Tensor: (O, C + len(plan), k, k).

    Examples:
        >>> weight = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
        >>> inflate(weight, ['mean', 'zero']).flatten().tolist()
        [1.0, 2.0, 6.0, 3.0, 0.0]
    """
    mean = weight.mean(1, keepdim=True)
    return torch.cat([weight, *(mean if word == 'mean' else torch.zeros_like(mean) for word in plan)], dim=1)


def extend_stem(backbone: nn.Module, channels: int, plan: Sequence[str]) -> list[nn.Conv2d]:
    """Let a backbone read more channels, in place.

    Every convolution that reads an image gets more input channels, wherever it is: some backbones have several paths
    that each start at the image. Weights for the former number of channels can still be loaded (pretrained backbones,
    whichever way they are loaded): they are extended by the plan. Channels of the plan's word 'zero' have no effect at
    first; see :func:`silence`.

    Args:
        backbone (nn.Module): Any backbone that takes images of ``channels`` channels.
        channels (int): Former number of channels: 3, or 1.
        plan (Sequence[str]): One word per added channel, 'mean' or 'zero'; see :func:`inflate`.

    Returns:
        list[nn.Conv2d]: The convolutions that were changed.

    Raises:
        ValueError: Nothing in the backbone reads an image of so many channels; it needs their number elsewhere as well;
            its first layers are frozen, so that a channel without effect would never have one; or the plan has an
            unknown word.

    Examples:
        >>> backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
        >>> [conv.in_channels for conv in extend_stem(backbone, 3, ['mean'])], backbone(torch.rand(1, 4, 8, 8)).shape
        ([4], torch.Size([1, 8, 4, 4]))
        >>> len(backbone.load_state_dict(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).state_dict()))
        2
    """
    unknown = sorted(set(plan) - set(PLANS))
    if unknown:
        raise ValueError(f'unknown plan {unknown} for added channels; choose among {", ".join(PLANS)}')
    stem = [
        module
        for module in backbone.modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == channels and module.groups == 1
    ]
    if not stem:
        raise ValueError(
            f'{type(backbone).__name__} cannot be extended: it has no convolution that reads {channels} channels. Give '
            "normalize=dict(mean=..., std=...) with as many values as it reads, or use reads='fused'"
        )
    before = _without_values(backbone)
    for conv in stem:
        with torch.no_grad():
            conv.weight = nn.Parameter(inflate(conv.weight, plan), requires_grad=conv.weight.requires_grad)
        conv.in_channels = channels + len(plan)
        conv._register_load_state_dict_pre_hook(_Inflate(channels, tuple(plan)))
    _check_extended(backbone, before, channels, plan)
    return stem


def _without_values(backbone: nn.Module) -> nn.Module:
    """A copy on the meta device, which takes neither memory nor time to speak of."""
    empty: dict[int, Any] = {id(buffer): buffer.to('meta') for buffer in backbone.buffers()}
    for parameter in backbone.parameters():
        empty[id(parameter)] = nn.Parameter(parameter.to('meta'), requires_grad=parameter.requires_grad)
    return copy.deepcopy(backbone, empty)


def _failure(backbone: nn.Module, channels: int) -> Exception | None:
    """What a backbone without values raises when it is given an image."""
    backbone.eval()
    try:
        with torch.no_grad():
            backbone(torch.empty(1, channels, *_SIZE, device='meta'))
    except Exception as error:  # Whatever a backbone of somebody else's says.
        return error
    return None


def _check_extended(backbone: nn.Module, before: nn.Module, channels: int, plan: Sequence[str]) -> None:
    """Refuse a backbone that can no longer run, or that could never learn to read what was added."""
    name = type(backbone).__name__
    after = _without_values(backbone)
    error = _failure(after, channels + len(plan))
    if error is not None and _failure(before, channels) is None:
        raise ValueError(
            f'{name} cannot be extended from {channels} to {channels + len(plan)} channels, because it needs their '
            f"number in other layers as well ({error}); use another backbone, or reads='fused' or 'views'"
        ) from error
    after.train()  # Some freeze their first layers only here.
    stem = [module for module in after.modules() if is_extended(module)]
    if 'zero' in plan and not any(module.weight.requires_grad for module in stem):
        raise ValueError(
            f'the first layers of {name} are frozen, so that the fused image could never have an effect there; use '
            "frozen_stages=-1, or reads='fused+infrared'"
        )


def is_extended(module: nn.Module) -> bool:
    """Whether :func:`extend_stem` has given a layer more input channels.

    Args:
        module (nn.Module): Any layer.

    Returns:
        bool: Weights for the former number of channels can be loaded into it.

    Examples:
        >>> conv = nn.Conv2d(3, 1, 1)
        >>> _ = extend_stem(nn.Sequential(conv), 3, ['mean'])
        >>> is_extended(conv), is_extended(nn.Conv2d(3, 1, 1))
        (True, False)
    """
    return any(isinstance(hook, _Inflate) for hook in _hooks(module))


def _hooks(module: nn.Module) -> list[Any]:
    """What runs before weights are loaded; PyTorch wraps it."""
    return [getattr(hook, 'hook', hook) for hook in module._load_state_dict_pre_hooks.values()]


def silence(backbone: nn.Module) -> None:
    """Take the effect of channels with the plan 'zero' away, as after a random initialisation.

    Convolutions whose weights were loaded for all channels are left as they are.

    Args:
        backbone (nn.Module): One that :func:`extend_stem` has changed.

    Examples:
        >>> backbone = nn.Sequential(nn.Conv2d(3, 1, 1))
        >>> (conv,) = extend_stem(backbone, 3, ['mean', 'zero'])
        >>> _ = nn.init.ones_(conv.weight)
        >>> silence(backbone)
        >>> conv.weight.flatten().tolist()
        [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    for module in backbone.modules():
        for inflation in _hooks(module):
            if isinstance(inflation, _Inflate) and not inflation.whole:
                weight: Any = module.weight
                for number, word in enumerate(inflation.plan, start=inflation.channels):
                    if word == 'zero':
                        nn.init.zeros_(weight[:, number])
