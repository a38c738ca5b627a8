"""Writes fused images while testing."""
from collections.abc import Sequence
from pathlib import Path

import cv2
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.structures import SegDataSample

from mmfusion.registry import HOOKS
from mmfusion.visualization import to_uint8


@HOOKS.register_module()
class FusedImageHook(Hook):
    """Writes every fused image as an 8-bit PNG under the name of its visible image; ``tools/test.py --out`` adds it.

    Args:
        out_dir (str): Folder to write to; made if it is not there.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[SegDataSample]) -> None:
        """Write the images of one batch.

        Raises:
            OSError: An image could not be written.
        """
        self.out_dir.mkdir(parents=True, exist_ok=True)
        for sample in outputs:
            path = self.out_dir / f'{Path(sample.metainfo["img_path"]).stem}.png'
            image = to_uint8(sample.fused_img.data)
            if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
                raise OSError(f'could not write {path}')
