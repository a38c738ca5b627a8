"""OMBRIA: floods as two satellites see them, one of them by radar."""

from mmfusion.registry import DATASETS

from .paired import PairedSegDataset


@DATASETS.register_module()
class OmbriaDataset(PairedSegDataset):
    """OMBRIA as pairs: an optical false-colour image as visible image, and **radar** in the place of the infrared one.

    Protocol:

    * The second sensor is Sentinel-1, a radar: what options, metrics and figures call infrared (``ir``, ``w_ir``,
      ``share_ir``) is radar here. Water is dark in it, and clouds are not seen.
    * The visible image is Sentinel-2's (short-wave infrared, near infrared, green) in the place of (red, green, blue).
    * Ids: 0 other, 1 flooded (33 % of the pixels). True masks; no id is ignored, 255 (``ignore_index``) only comes from
      padding or a subset of the classes.
    * 256x256 pixels. Splits are folders: ``train`` (624) and ``test`` (70); there is no validation split, see
      ``hold_out``. Some patches of ``test`` show ground that ``train`` shows as well; where a list of them is at hand,
      ``exclude_file`` leaves them out.
    * A class that neither the labels nor the prediction know has IoU ``nan`` and is left out of mIoU by ``IoUMetric``
      (``nanmean``); predicted but not labelled counts as 0.

    Layout: ``data/ombria/{train,test}/{vi,ir,labels}`` and ``data/ombria/overlaps_train.txt``.

    Cite: G. Drakonakis, G. Tsagkatakis, K. Fotiadou, P. Tsakalides, "OmbriaNet: Supervised Flood Mapping via
    Convolutional Neural Networks Using Multitemporal Sentinel-1 and Sentinel-2 Data Fusion", IEEE JSTARS 15, 2022. The
    images are not part of mmfusion; look for their terms where they come from.

    Args:
        **kwargs: See :class:`PairedSegDataset`.

    Examples:
        >>> OmbriaDataset(data_root='data/ombria/train', lazy_init=True).metainfo['classes']
        ('other', 'flooded')
    """

    METAINFO = dict(classes=('other', 'flooded'), palette=[[0, 0, 0], [0, 120, 255]])
