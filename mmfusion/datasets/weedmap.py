"""WeedMap: sugar beets and weed from a drone, in visible bands and near-infrared."""

from mmfusion.registry import DATASETS

from .paired import PairedSegDataset


@DATASETS.register_module()
class WeedMapDataset(PairedSegDataset):
    """WeedMap as pairs of tiles: red and green as visible, near-infrared as infrared image.

    Protocol:

    * Ids: 0 soil (87 to 88 % of the pixels), 1 crop (4 to 5 %), 2 weed (2 to 4 %). True masks. 255 (``ignore_index``, 4
      to 6 %) is in the files: what lies outside the mosaic, black in both images, at most half of a tile. No other id
      occurs.
    * The visible image is (red, green, green): there is no blue band, and its colours are false. Near-infrared is
      reflected light: vegetation is bright, nothing here is thermal.
    * 360x480 pixels. Splits are folders: ``train`` (287), ``val`` (67) and ``test`` (73), the last of another field.
      This split is the project's; figures in the literature may use another.
    * All three classes occur in every split. In a smaller selection a class that neither the labels nor the prediction
      know has IoU ``nan`` and is left out of mIoU by ``IoUMetric`` (``nanmean``); predicted but not labelled counts as
      0.

    Layout: ``data/weedmap/{train,val,test}/{vi,ir,labels}``.

    For research. Cite: I. Sa et al., "WeedMap: A Large-Scale Semantic Weed Mapping Framework Using Aerial Multispectral
    Imaging and Deep Neural Network for Precision Farming", Remote Sensing 10(9), 2018. The images are not part of
    mmfusion; see projects.asl.ethz.ch/datasets.

    Args:
        **kwargs: See :class:`PairedSegDataset`.

    Examples:
        >>> WeedMapDataset(data_root='data/weedmap/train', lazy_init=True).metainfo['classes']
        ('soil', 'crop', 'weed')
    """

    METAINFO = dict(classes=('soil', 'crop', 'weed'), palette=[[0, 0, 0], [0, 255, 0], [255, 0, 0]])
