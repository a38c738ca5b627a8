"""A gate that needs no training: each place is told by the source that stands out there."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmfusion.registry import MODELS

from ..precision import at_least_float32, without_autocast
from .gate import GateOutput


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian, whose tail is cut at three standard deviations; the border is repeated.

    Args:
        image (Tensor): (B, 1, H, W).
        sigma (float): Standard deviation in pixels, positive.

    Returns:
        Tensor: (B, 1, H, W); the mean of a flat image stays.

    Raises:
        ValueError: ``sigma`` is not positive.

    Examples:
        >>> point = torch.zeros(1, 1, 7, 7)
        >>> point[..., 3, 3] = 1
        >>> blurred = gaussian_blur(point, 1.0)
        >>> round(blurred.sum().item(), 4), round((blurred[0, 0, 3, 4] / blurred[0, 0, 3, 3]).item(), 4)
        (1.0, 0.6065)
    """
    if not sigma > 0:
        raise ValueError(f'sigma is a standard deviation in pixels and must be positive, got {sigma}')
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(image, (radius,) * 4, mode='replicate')
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


@MODELS.register_module()
class SalienceGate(BaseModule):
    r"""Weights by what stands out, for a fusion that is to please the eye and asks no segmentor.

    .. math:: S(X) = G_\sigma X + c \sqrt{G_{2\sigma} (X - G_{3\sigma} X)^2}, \qquad
        w_I = \operatorname{sigmoid}(k (S(I) - S(V)))

    with Gaussians :math:`G`. A place is taken from the source that is brighter there, as the maximum does, or has more
    local contrast, which the maximum does not see; but patch by patch instead of pixel by pixel, so that texture stays
    whole, and with soft borders. Choosing by local activity is the idea of P. J. Burt and R. J. Kolczynski, "Enhanced
    image capture through fusion", 1993. It has no parameters and is no evidence of classes: for that there is
    :class:`FusionGate`.

    Args:
        contrast (float): The factor c of local contrast against brightness, at least 0.
        sharpness (float): The factor k: how far the weights go towards 0 and 1 for a difference, in grey levels of
            [0, 1]; positive.
        sigma (float): Extent of a patch in pixels, positive.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: An option is out of range.

    Examples:
        >>> ir, vi = torch.zeros(2, 1, 1, 16, 16)
        >>> ir[..., 4:12, 4:12] = 1  # Something hot in the dark.
        >>> share = SalienceGate(sigma=1.0)(ir, vi).share.sigmoid()
        >>> round(share[0, 0, 8, 8].item(), 3), round(SalienceGate()(vi, vi).share.sigmoid().mean().item(), 3)
        (1.0, 0.5)
    """

    def __init__(
        self, contrast: float = 1.0, sharpness: float = 100.0, sigma: float = 2.0, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        if not contrast >= 0:
            raise ValueError(f'contrast must not be negative, got {contrast}')
        for name, value in (('sharpness', sharpness), ('sigma', sigma)):
            if not value > 0:
                raise ValueError(f'{name} must be positive, got {value}')
        self.contrast, self.sharpness, self.sigma = contrast, sharpness, sigma

    def salience(self, image: Tensor) -> Tensor:
        """How much a source stands out.

        Args:
            image (Tensor): (B, 1, H, W) in [0, 1].

        Returns:
            Tensor: (B, 1, H, W), at least 0.
        """
        image = at_least_float32(image)
        found = gaussian_blur(image, self.sigma)
        if self.contrast:
            deviation = gaussian_blur((image - gaussian_blur(image, 3 * self.sigma)).square(), 2 * self.sigma)
            # The root has no gradient at zero.
            found = found + self.contrast * (deviation + 1e-10).sqrt()
        return found

    def forward(self, ir: Tensor, vi: Tensor) -> GateOutput:
        """Look at a batch of pairs.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].

        Returns:
            GateOutput: Logits of the share, and of the strength: how clear the choice is, at least one half.
        """
        # Small differences count, which half precision has not.
        with without_autocast(ir.device):
            share = self.sharpness * (self.salience(ir) - self.salience(vi))
        return GateOutput(share, share.abs())
