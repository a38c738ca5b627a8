"""Several views through one backbone, or one backbone each, and their features merged."""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

MERGES = ('mean', 'weights')


class ViewsBackbone(BaseModule):
    """A backbone that takes views stacked along the channels, and merges their features.

    Whatever stands behind it, neck or head of any segmentor, sees features of one image. The views are stacked, so that
    whole and sliding inference cut them alike.

    Args:
        backbone (nn.Module): Takes one view (N, C, H, W) and gives feature maps.
        views (int): Number of views V.
        merge (str): 'mean' of the features of all views; 'weights' of the views' weights, which follow the views as V
            more channels.
        shared (bool): One backbone for all views, in one batch. Otherwise each view gets its own copy.
        added (Sequence[int], optional): Channels of each view beyond those that all have; none by default.

    Raises:
        ValueError: Less than two views, an unknown merge, or views for one backbone that differ in their channels.

    Examples:
        >>> backbone = ViewsBackbone(nn.Identity(), views=2)
        >>> torch.equal(backbone(torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)), torch.full((1, 1, 1, 1), 2.0))
        True
        >>> weighted = ViewsBackbone(nn.Identity(), views=2, merge='weights')
        >>> weighted(torch.tensor([1.0, 3.0, 0.25, 0.75]).view(1, 4, 1, 1)).item()
        2.5
    """

    def __init__(
        self,
        backbone: nn.Module,
        views: int,
        merge: str = 'mean',
        shared: bool = True,
        added: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if views < 2:
            raise ValueError(f'there must be at least two views to merge, got {views}')
        if merge not in MERGES:
            raise ValueError(f'unknown merge {merge!r}; choose one of {", ".join(MERGES)}')
        self.views = views
        self.added = list(added or [0] * views)
        if len(self.added) != views or (shared and len(set(self.added)) > 1):
            through = 'one backbone' if shared else 'backbones of their own'
            raise ValueError(f'added channels do not fit {views} views through {through}, got {self.added}')
        self.merge = merge
        self.backbone = backbone
        self.others = nn.ModuleList([] if shared else [copy.deepcopy(backbone) for _ in range(views - 1)])

    def init_weights(self) -> None:
        """Initialise the backbone; the others become copies of it, if they see as many channels."""
        super().init_weights()
        for other, added in zip(self.others, self.added[1:]):
            if added == self.added[0]:
                other.load_state_dict(self.backbone.state_dict())
            elif isinstance(other, BaseModule):
                other.init_weights()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Features of all views, merged.

        Args:
            x (Tensor): (B, V * C, H, W), C being more for views with added channels; and V more channels of weights if
                these merge.

        Returns:
            Tensor | tuple[Tensor, ...]: As the backbone's for one view.
        """
        weights = None
        if self.merge == 'weights':
            x, weights = x[:, : -self.views], x[:, -self.views :]
        channels = (x.shape[1] - sum(self.added)) // self.views
        views = x.split([channels + added for added in self.added], dim=1)
        if len(self.others):
            of_views = [backbone(view) for backbone, view in zip([self.backbone, *self.others], views)]
            if isinstance(of_views[0], Tensor):
                return self._merge(torch.stack(of_views), weights)
            return tuple(self._merge(torch.stack(features), weights) for features in zip(*of_views))
        features = self.backbone(torch.cat(views))
        if isinstance(features, Tensor):
            return self._merge(self._apart(features), weights)
        return tuple(self._merge(self._apart(each), weights) for each in features)

    def _apart(self, features: Tensor) -> Tensor:
        """(V * B, C, H, W) to (V, B, C, H, W); exporters make numbers of the sizes of ``unflatten``."""
        return features.reshape(self.views, -1, *features.shape[1:])

    def _merge(self, features: Tensor, weights: Tensor | None) -> Tensor:
        """(V, B, C, H, W) to (B, C, H, W)."""
        if weights is None:
            return features.mean(0)
        height, width = features.shape[-2:]
        shrunk = F.adaptive_avg_pool2d(weights, (height, width)).to(features)
        return (features * shrunk.transpose(0, 1)[:, :, None]).sum(0)
