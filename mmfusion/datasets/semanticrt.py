"""SemanticRT: street scenes from fixed cameras, mostly at night, in visible and long-wave infrared light."""

from mmfusion.registry import DATASETS

from .paired import PairedSegDataset


@DATASETS.register_module()
class SemanticRTDataset(PairedSegDataset):
    """SemanticRT, 11371 registered pairs, most of them from LLVIP.

    Protocol:

    * Ids in the files: 0 background (unlabelled), 1 car stop, 2 bike, 3 bicyclist, 4 motorcycle, 5 motorcyclist, 6 car,
      7 tricycle, 8 traffic light, 9 box, 10 pole, 11 curve, 12 person. Ids and palette are those of the README.
    * No id is ignored: the authors' configuration has 13 classes and ignores -1, which no label has.
    * Splits are the authors' lists: ``train.txt``, ``val.txt``, ``test.txt``, and parts of the test such as
      ``test_day.txt``, ``test_night.txt`` and ``test_hard.txt``. **There is a validation list**, and it is used. Their
      lengths are not stated there; the converter counts.
    * Images are JPEG files; labels are PNG files. The authors resize to 512x640 before they evaluate; nothing is
      resized here.
    * A class that neither the labels nor the prediction know has IoU ``nan`` and is left out of mIoU by ``IoUMetric``
      (``nanmean``); predicted but not labelled counts as 0.

    Layout, as it is downloaded: ``data/semanticrt/{rgb,thermal,labels}`` and the lists.

    "All data and annotations provided are strictly intended for non-commercial research purpose only" (the authors'
    README; their MIT licence is for the code). Cite: W. Ji, J. Li, C. Bian, Z. Zhang, L. Cheng, "SemanticRT: A
    Large-Scale Dataset and Method for Robust Semantic Segmentation in Multispectral Images", ACM Multimedia 2023, and
    its sources LLVIP, OSU and INO. Available at github.com/jiwei0921/SemanticRT; the images are not part of mmfusion.

    Args:
        **kwargs: See :class:`PairedSegDataset`. Give ``ann_file='train.txt'`` or another list; without one, all pairs
            are used.

    Examples:
        >>> meta = SemanticRTDataset(data_root='data/semanticrt', ann_file='val.txt', lazy_init=True).metainfo
        >>> len(meta['classes']), meta['palette'][6]
        (13, [0, 139, 139])
    """

    METAINFO = dict(
        classes=(
            'background',
            'car stop',
            'bike',
            'bicyclist',
            'motorcycle',
            'motorcyclist',
            'car',
            'tricycle',
            'traffic light',
            'box',
            'pole',
            'curve',
            'person',
        ),
        palette=[
            [0, 0, 0],
            [72, 61, 39],
            [0, 0, 255],
            [148, 0, 211],
            [128, 128, 0],
            [64, 64, 128],
            [0, 139, 139],
            [131, 139, 139],
            [192, 64, 0],
            [126, 192, 238],
            [244, 164, 96],
            [211, 211, 211],
            [205, 155, 155],
        ],
    )
    DEFAULT_PREFIX = dict(vi_path='rgb', ir_path='thermal', seg_map_path='labels')
