"""CWFID: a field robot's view of crop and weed in red and near-infrared light."""

from mmfusion.registry import DATASETS

from .paired import PairedSegDataset


@DATASETS.register_module()
class CWFIDDataset(PairedSegDataset):
    """Crop/Weed Field Image Dataset (CWFID) as pairs: the red band as visible, near-infrared as infrared image.

    Protocol:

    * Ids: 0 soil (about 93 % of the pixels), 1 crop (2 %), 2 weed (6 %). True masks; no id is ignored, 255
      (``ignore_index``) only comes from padding or a subset of the classes.
    * Both images have one channel; the loader repeats the red band to three, so that colour transforms of the visible
      image change nothing but its brightness and contrast.
    * 60 pairs, at half of the original resolution (483x648); ``tools/dataset_converters/cwfid.py`` makes them of the
      authors' files. Splits are folders: 39 pairs ``train``, 21 ``test``. They are those of the authors'
      ``train_test_split.yaml``, but for pair 28: it is in both of their lists, and is a test pair only here.
    * There is no validation split; the configs hold every fifth training pair out (``hold_out=5``): 32 to train with, 7
      to validate.
    * All three classes occur in both splits. In a smaller selection a class that neither the labels nor the prediction
      know has IoU ``nan`` and is left out of mIoU by ``IoUMetric`` (``nanmean``); predicted but not labelled counts as
      0.
    * Near-infrared is reflected light: vegetation is bright, nothing here is thermal.

    Layout: ``data/cwfid/{train,test}/{vi,ir,labels}``.

    Use is limited to non-commercial research. Cite: S. Haug, J. Ostermann, "A Crop/Weed Field Image Dataset for the
    Evaluation of Computer Vision Based Precision Agriculture Tasks", ECCV 2014 Workshops, 105-116. The images are not
    part of mmfusion; see github.com/cwfid/dataset.

    Args:
        **kwargs: See :class:`PairedSegDataset`.

    Examples:
        >>> CWFIDDataset(data_root='data/cwfid/train', lazy_init=True).metainfo['classes']
        ('soil', 'crop', 'weed')
    """

    METAINFO = dict(classes=('soil', 'crop', 'weed'), palette=[[0, 0, 0], [0, 255, 0], [255, 0, 0]])
