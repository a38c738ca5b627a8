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

    Examples:
        >>> import tempfile, torch
        >>> from mmengine.structures import PixelData
        >>> sample = SegDataSample(metainfo=dict(img_path='data/vi/0001.jpg'))
        >>> sample.fused_img = PixelData(data=torch.full((1, 4, 6), 0.2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     FusedImageHook(folder).after_test_iter(None, 0, {}, [sample])
        ...     cv2.imread(f'{folder}/0001.png', cv2.IMREAD_UNCHANGED)[0].tolist()
        [51, 51, 51, 51, 51, 51]
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)
        self._written: dict[str, str] = {}

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Write the images of one batch.

        Raises:
            OSError: An image could not be written.
            ValueError: Two visible images, of different folders, have one name.
        """
        self.out_dir.mkdir(parents=True, exist_ok=True)
        for sample in outputs:
            source = str(sample.metainfo['img_path'])
            path = self.out_dir / f'{Path(source).stem}.png'
            if self._written.setdefault(path.name, source) != source:
                raise ValueError(
                    f'{source} and {self._written[path.name]} would both be written to {path}; test one '
                    'folder at a time'
                )
            image = to_uint8(sample.fused_img.data)
            if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
                raise OSError(f'could not write {path}')
