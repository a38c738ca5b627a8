"""Leaves out crops of which little has a label."""

from mmcv.transforms import BaseTransform

from mmfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SkipUnlabelled(BaseTransform):
    """Drops a training crop that is mostly ignored; the dataset then draws another one.

    For images with wide margins that belong to nothing, such as tiles at the edge of a mosaic: segmentation learns
    nothing there, but the fusion losses see them. ``cat_max_ratio`` of ``RandomCrop`` looks at labelled pixels only,
    and takes a crop that has ten of them.

    Args:
        max_ignored (float): Largest share of the crop that may be ignored, in [0, 1).
        ignore_index (int, optional): The label that is ignored. Default: what the dataset says, else 255.

    Raises:
        ValueError: An option is out of range.
        KeyError: There are no labels.

    Examples:
        >>> import numpy as np
        >>> skip = SkipUnlabelled(max_ignored=0.5)
        >>> skip(dict(gt_seg_map=np.array([[0, 255], [255, 255]]))) is None
        True
        >>> sorted(skip(dict(gt_seg_map=np.array([[0, 255], [255, 1]]))))
        ['gt_seg_map']
    """

    def __init__(self, max_ignored: float = 0.5, ignore_index: int | None = None) -> None:
        if not 0 <= max_ignored < 1:
            raise ValueError(f'max_ignored is a share in [0, 1), got {max_ignored}')
        self.max_ignored = max_ignored
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict | None:
        """Look at the labels of one pair.

        Args:
            results (dict): With ``gt_seg_map`` (H, W), behind the crop; ``ignore_index`` of the dataset is looked at.

        Returns:
            dict | None: The same, or None for mmengine to draw another one.
        """
        ignored = results.get('ignore_index', 255) if self.ignore_index is None else self.ignore_index
        share = (results['gt_seg_map'] == ignored).mean()
        return None if share > self.max_ignored else results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_ignored={self.max_ignored}, ignore_index={self.ignore_index})'
