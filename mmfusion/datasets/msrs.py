"""MSRS: road scenes in visible and long-wave infrared light, with semantic labels."""

from mmfusion.registry import DATASETS

from .paired import PairedSegDataset


@DATASETS.register_module()
class MSRSDataset(PairedSegDataset):
    """Multi-Spectral Road Scenarios (MSRS), 1444 registered pairs of 480x640 pixels.

    Protocol:

    * Ids in the files are the ids of the classes: 0 background (everything unlabelled), 1 car, 2 person, 3 bike,
      4 curve, 5 car_stop, 6 guardrail, 7 color_cone, 8 bump. They are those of MFNet, as is the palette.
    * No id of the files is ignored; 255 (``ignore_index``) only comes from padding or from a subset of the classes.
      Background counts as a class, as in the published nine-class figures.
    * Splits are folders: ``train`` (1083 pairs) and ``test`` (361). There is no validation split; the configs hold
      every tenth training pair out (``hold_out=10``): 975 to train with, 108 to validate. The last letter of a name
      says day (D, 715 in all) or night (N, 729).
    * A class that occurs neither in the labels nor in the prediction of a test set has IoU ``nan``, and mmseg's
      ``IoUMetric`` leaves it out of mIoU (``nanmean``). A class that occurs only in the prediction has IoU 0 and
      counts. So an mIoU over a set with few classes must not be compared with one over the whole test split; the weakly
      labelled selection used in this project's own checks knows only ids 0 to 3, and its mIoU is not "the MSRS mIoU".

    Layout: ``data/msrs/{train,test}/{vi,ir,Segmentation_labels}/00001D.png``; other image formats are found as well.

    Cite: L. Tang, J. Yuan, H. Zhang, X. Jiang, J. Ma, "PIAFusion: A progressive infrared and visible image fusion
    network based on illumination aware", Information Fusion 83-84, 2022; and, since MSRS is selected and enhanced
    from it, Q. Ha et al., "MFNet", IROS 2017. Available at github.com/Linfeng-Tang/MSRS, which states no licence: the
    images are not part of mmfusion, and whoever wants more than research use asks the authors.

    Args:
        **kwargs: See :class:`PairedSegDataset`. ``data_root='data/msrs/train'`` is enough for the training split;
            without labels give ``require_labels=False``.

    Examples:
        >>> dataset = MSRSDataset(data_root='data/msrs/train', lazy_init=True)
        >>> dataset.metainfo['classes'][2], dataset.metainfo['palette'][2]
        ('person', [64, 64, 0])
        >>> MSRSDataset(metainfo=dict(classes=('person', 'car')), lazy_init=True).label_map[2]
        0
    """

    METAINFO = dict(
        classes=('background', 'car', 'person', 'bike', 'curve', 'car_stop', 'guardrail', 'color_cone', 'bump'),
        palette=[
            [0, 0, 0],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
            [0, 0, 192],
            [128, 128, 0],
            [64, 64, 128],
            [192, 128, 128],
            [192, 64, 0],
        ],
    )
    DEFAULT_PREFIX = dict(vi_path='vi', ir_path='ir', seg_map_path='Segmentation_labels')
