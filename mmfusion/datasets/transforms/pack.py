"""Pair and label to tensors."""

from collections.abc import Sequence

from mmseg.datasets.transforms import PackSegInputs

from mmfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackFusionInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` that also keeps where both images of the pair come from.

    The result has ``inputs``, a (4, H, W) tensor in the order and type of the image (B, G, R, infrared), and
    ``data_samples``, a ``SegDataSample`` with ``gt_sem_seg`` (1, H, W) int64 where there are labels.

    Args:
        meta_keys (Sequence[str], optional): Keys copied to the meta information where a sample has them. Default: those
            of ``PackSegInputs`` and ``vi_path``, ``ir_path``.

    Examples:
        >>> import numpy as np
        >>> packed = PackFusionInputs()(dict(img=np.zeros((6, 8, 4), np.uint8), ir_path='a.png'))
        >>> tuple(packed['inputs'].shape), packed['data_samples'].ir_path
        ((4, 6, 8), 'a.png')
    """

    meta_keys: tuple[str, ...]

    def __init__(self, meta_keys: Sequence[str] | None = None) -> None:
        super().__init__()
        if meta_keys is None:
            meta_keys = (*self.meta_keys, 'vi_path', 'ir_path')
        self.meta_keys = tuple(meta_keys)
