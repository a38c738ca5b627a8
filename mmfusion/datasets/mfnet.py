"""MFNet: urban scenes by day and night, colours and thermal image in one file."""

from mmfusion.registry import DATASETS

from .msrs import MSRSDataset
from .paired import PairedSegDataset


@DATASETS.register_module()
class MFNetDataset(PairedSegDataset):
    """RGB-thermal data set of MFNet, 1569 pairs of 480x640 pixels.

    Protocol:

    * An image is one PNG file of four channels, of which the fourth is thermal and no transparency:
      ``vi_path`` and ``ir_path`` are the same file, and ``LoadPairFromFile`` takes it apart.
    * Ids in the files: 0 unlabelled, 1 car, 2 person, 3 bike, 4 curve, 5 car_stop, 6 guardrail, 7 color_cone, 8 bump.
      The palette is that of the authors' ``util.py``.
    * No id of the files is ignored, and unlabelled counts as a class in the nine-class figures of most papers. The
      authors' own code leaves it out: ``ProtocolIoUMetric(ignore_index=0, background='excluded', absent='zero')`` comes
      nearest.
    * Splits are the authors' lists: ``train.txt``, ``val.txt``, ``test.txt``, and parts of the test by time of the day,
      ``test_day.txt`` and ``test_night.txt``; the last letter of a name says day (D, 820 in all) or night (N, 749).
      **There is a validation list**, and it is used. The lists are said to have 784, 392 and 393 pairs; the converter
      counts them. Entries that end in ``_flip`` name mirrored copies which a script of the authors writes; the
      converter leaves them out, since ``RandomFlip`` does the same.
    * A class that neither the labels nor the prediction know has IoU ``nan`` and is left out of mIoU by ``IoUMetric``
      (``nanmean``); predicted but not labelled counts as 0.

    Layout, as it is downloaded: ``data/mfnet/{images,labels}`` and the lists.

    Cite: Q. Ha, K. Watanabe, T. Karasawa, Y. Ushiku, T. Harada, "MFNet: Towards Real-Time Semantic Segmentation for
    Autonomous Vehicles with Multi-Spectral Scenes", IROS 2017. Available at
    www.mi.t.u-tokyo.ac.jp/static/projects/mil_multispectral; code at github.com/haqishen/MFNet-pytorch, which states no
    terms for the images. They are not part of mmfusion; whoever wants more than research use asks the authors.

    Args:
        **kwargs: See :class:`PairedSegDataset`. Give ``ann_file='train.txt'`` or another list; without one, all pairs
            are used.

    Examples:
        >>> dataset = MFNetDataset(data_root='data/mfnet', ann_file='test_night.txt', lazy_init=True)
        >>> dataset.data_prefix['vi_path'] == dataset.data_prefix['ir_path'], dataset.metainfo['classes'][1]
        (True, 'car')
    """

    METAINFO = dict(
        classes=('unlabelled', *MSRSDataset.METAINFO['classes'][1:]),
        palette=MSRSDataset.METAINFO['palette'],
    )
    DEFAULT_PREFIX = dict(vi_path='images', ir_path='images', seg_map_path='labels')
