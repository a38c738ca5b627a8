"""Whether a checkpoint belongs to a model, and can be used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .safe_loading import CheckpointError


def weights_of(checkpoint: Mapping) -> dict[str, Tensor]:
    """Weights of a checkpoint by name: with or without meta information around them, with or without ``module.``.

    Args:
        checkpoint (Mapping): What a checkpoint file holds.

    Returns:
        dict[str, Tensor]: Its tensors; the names are those of the bare model.

    Examples:
        >>> import torch
        >>> list(weights_of({'meta': dict(epoch=3), 'state_dict': {'module.weight': torch.zeros(2)}}))
        ['weight']
        >>> list(weights_of({'weight': torch.zeros(2), 'version': 3}))
        ['weight']
    """
    return {
        name.removeprefix('module.'): value
        for name, value in checkpoint.get('state_dict', checkpoint).items()
        if hasattr(value, 'shape')
    }


def weights_for(model: nn.Module, checkpoint: Mapping) -> dict[str, Tensor]:
    """Weights of a checkpoint by the names that a model has for them.

    Args:
        model (nn.Module): The bare model. A joint model understands the names of a plain segmentor, and former ones.
        checkpoint (Mapping): What a checkpoint file holds.

    Returns:
        dict[str, Tensor]: All tensors of the checkpoint.

    Examples:
        >>> list(weights_for(nn.Linear(1, 1), {'module.weight': torch.zeros(1, 1)}))
        ['weight']
    """
    understand: Callable[[dict], dict] = getattr(model, 'own_names', dict)
    return understand(weights_of(checkpoint))


@dataclass(frozen=True)
class CheckpointFit:
    """How the weights of a checkpoint and of a model match, by name.

    Examples:
        >>> fit = CheckpointFit(fitting=('a',), missing=('b',), other={'c': ((4, 2), (3, 2))}, unknown=())
        >>> fit.complete
        False
        >>> print(fit.describe('epoch_8.pth'))  # doctest: +NORMALIZE_WHITESPACE
        the checkpoint epoch_8.pth is of another architecture than the config: 1 of 3 weights fit, 1 are missing,
        such as ['b'], and 1 have another shape: c (4, 2) where the model has (3, 2). The checkpoint has 0 that the
        model has not. Use the config that the checkpoint was trained with
    """

    fitting: tuple[str, ...]
    """In both, of one shape."""
    missing: tuple[str, ...]
    """In the model only."""
    other: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    """In both, but of another shape: (shape in the checkpoint, shape in the model)."""
    unknown: tuple[str, ...]
    """In the checkpoint only."""

    @property
    def complete(self) -> bool:
        """bool: Every weight of the model is there.

        Examples:
            >>> CheckpointFit(('weight',), (), {}, ('more',)).complete, CheckpointFit((), ('weight',), {}, ()).complete
            (True, False)
        """
        return bool(self.fitting) and not self.missing and not self.other

    def describe(self, source: str | None = None) -> str:
        """Say what does not match, for an error.

        Args:
            source (str, optional): Where the checkpoint comes from.

        Returns:
            str: One sentence with examples, and the remedy.
        """
        ours = len(self.fitting) + len(self.missing) + len(self.other)
        examples = list(self.other.items())[:3]
        shapes = ', '.join(f'{name} {theirs} where the model has {model}' for name, (theirs, model) in examples)
        return (
            f'the checkpoint{f" {source}" if source else ""} is of another architecture than the config: '
            f'{len(self.fitting)} of {ours} weights fit, {len(self.missing)} are missing, such as '
            f'{list(self.missing[:3])}, and {len(self.other)} have another shape{": " + shapes if shapes else ""}. '
            f'The checkpoint has {len(self.unknown)} that the model has not. Use the config that the checkpoint '
            'was trained with'
        )


def compare_checkpoint(model: nn.Module, checkpoint: Mapping) -> CheckpointFit:
    """Compare names and shapes of the weights.

    Args:
        model (nn.Module): The bare model.
        checkpoint (Mapping): What a checkpoint file holds.

    Returns:
        CheckpointFit: What fits and what does not.

    Examples:
        >>> import torch
        >>> fit = compare_checkpoint(nn.Linear(2, 3), dict(state_dict={'module.weight': torch.zeros(4, 2)}))
        >>> fit.complete, fit.missing, fit.other
        (False, ('bias',), {'weight': ((4, 2), (3, 2))})
    """
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in weights_for(model, checkpoint).items()}
    shared = sorted(set(ours) & set(theirs))
    return CheckpointFit(
        fitting=tuple(name for name in ours if theirs.get(name) == ours[name]),
        missing=tuple(sorted(set(ours) - set(theirs))),
        other={name: (theirs[name], ours[name]) for name in shared if theirs[name] != ours[name]},
        unknown=tuple(sorted(set(theirs) - set(ours))),
    )


def check_content(model: nn.Module, checkpoint: Mapping, source: str | None = None) -> None:
    """Refuse what is no checkpoint of a network, or of one that has diverged.

    Args:
        model (nn.Module): The bare model.
        checkpoint (Mapping): What a checkpoint file holds.
        source (str, optional): Where the checkpoint comes from.

    Raises:
        CheckpointError: There are no weights in it, its meta information is none, or weights are NaN or infinite. A
            buffer may be infinite, as masks of attention are.

    Examples:
        >>> check_content(nn.Linear(1, 1), dict(model=dict(weight=torch.zeros(1, 1))), 'other.pth')
        Traceback (most recent call last):
        mmfusion.engine.safe_loading.CheckpointError: the checkpoint other.pth holds no weights by name, but 'model'; \
save what is there as `state_dict`
    """
    name = f'the checkpoint{f" {source}" if source else ""}'
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, Mapping) or not any(isinstance(value, Tensor) for value in weights.values()):
        found = ', '.join(repr(key) for key in list(checkpoint)[:5]) or 'nothing'
        raise CheckpointError(f'{name} holds no weights by name, but {found}; save what is there as `state_dict`')
    meta = checkpoint.get('meta')
    data = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    for key, value in (('meta', meta), ('meta.dataset_meta', data)):
        if not isinstance(value, Mapping | None):
            raise CheckpointError(f'{name} has a {type(value).__name__} as `{key}`, where a dict belongs; leave it out')
    parameters = {key for key, _ in model.named_parameters()}
    broken = [
        key
        for key, value in weights_for(model, checkpoint).items()
        if value.is_floating_point()
        and (value.isnan().any() or (key in parameters and not torch.isfinite(value).all()))
    ]
    if broken:
        raise CheckpointError(
            f'{name} holds NaN or infinite values in {len(broken)} of its weights, such as {broken[0]}: that training '
            'had diverged. Use an earlier checkpoint, and train with a lower learning rate or with clip_grad'
        )
