"""How a backbone wants its images normalised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_IMAGENET = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


@dataclass(frozen=True)
class Normalization:
    """Statistics of a backbone's images, and the order of their channels."""

    mean: Sequence[float]
    """Per channel, on the 0..255 scale; one value for a backbone of one channel."""
    std: Sequence[float]
    """Likewise."""
    bgr: bool
    """Whether the backbone wants blue first."""

    @classmethod
    def of(cls, preprocessor: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> 'Normalization':
        """What a segmentor's config says, or what is given instead; ImageNet's statistics if neither says.

        Args:
            preprocessor (Mapping): Config of the segmentor's own ``data_preprocessor``; empty if it has none.
            given (Mapping, optional): ``mean`` and ``std`` that go before it, in the order red, green, blue.

        Returns:
            Normalization: Of 1 or 3 channels.

        Raises:
            ValueError: Unknown keys, not 1 or 3 means and as many stds, or a std that is not positive.

        Examples:
            >>> Normalization.of(dict(mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=False)).bgr
            True
            >>> Normalization.of({}, dict(mean=[0.0], std=[255.0]))
            Normalization(mean=[0.0], std=[255.0], bgr=False)
        """
        unknown = sorted(set(given or ()) - {'mean', 'std'})
        if unknown:
            raise ValueError(f'normalize takes mean and std, not {", ".join(unknown)}')
        source = given or preprocessor
        mean, std = source.get('mean') or _IMAGENET['mean'], source.get('std') or _IMAGENET['std']
        if isinstance(mean, str) or isinstance(std, str) or len(mean) != len(std) or len(mean) not in (1, 3):
            raise ValueError(f'normalisation needs 1 or 3 means and as many stds, got mean={mean!r} and std={std!r}')
        if not all(isinstance(value, (int, float)) for value in (*mean, *std)) or min(std) <= 0:
            raise ValueError(f'normalisation needs numbers, and a std above 0, got mean={mean!r} and std={std!r}')
        # mmseg images are B, G, R unless a preprocessor turns them; one that says nothing cannot be asked, and RGB is
        # usual.
        says_bgr = bool(preprocessor.get('mean')) and not preprocessor.get('bgr_to_rgb')
        return cls(mean, std, bgr=not given and says_bgr and len(mean) == 3)
