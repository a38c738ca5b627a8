"""PST900: objects to be found under ground, in visible and long-wave infrared light."""

from mmfusion.registry import DATASETS

from .paired import PairedSegDataset


@DATASETS.register_module()
class PST900Dataset(PairedSegDataset):
    """Penn Subterranean Thermal 900 (PST900), 894 registered pairs of 720x1280 pixels.

    Protocol:

    * Ids in the files: 0 background, 1 fire extinguisher, 2 backpack, 3 hand drill, 4 survivor (called "rescue randy",
      a dummy, in the authors' code). No id is ignored; background counts as a class, as in the authors' figures.
    * The palette is that of the authors' ``toolkit/utilities.py``, which shows it with OpenCV: blue, green, red there,
      R, G, B here.
    * Splits are folders, ``train`` and ``test``. There is no validation split; the configs hold every tenth training
      pair out (``hold_out=10``). The authors' page says 606 and 288 pairs, 894 in all (it has the names of the two
      folders interchanged); others have counted 597 and 288 in the archive. The converter counts.
    * ``thermal`` is the camera's 8 bit image. ``thermal_raw`` has its 16 bit:
      ``data_prefix=dict(vi_path='rgb', ir_path='thermal_raw', seg_map_path='labels')``. Where the projection onto the
      colour image left a hole, both are 0; the authors fill holes in their code, and nothing does here.
    * The authors' code gives a class that is absent IoU 0; ``IoUMetric`` leaves out (``nanmean``) what neither labels
      nor prediction know. ``ProtocolIoUMetric(absent='zero')`` does as they do.

    Layout, as it is downloaded: ``data/pst900/{train,test}/{rgb,thermal,thermal_raw,labels}``.

    Cite: S. S. Shivakumar, N. Rodrigues, A. Zhou, I. D. Miller, V. Kumar, C. J. Taylor, "PST900: RGB-Thermal
    Calibration, Dataset and Segmentation Network", ICRA 2020, arXiv 1909.10980. Available at
    github.com/ShreyasSkandanS/pst900_thermal_rgb, which states no licence: the images are not part of mmfusion, and
    whoever wants more than research use asks the authors.

    Args:
        **kwargs: See :class:`PairedSegDataset`.

    Examples:
        >>> meta = PST900Dataset(data_root='data/pst900/train', lazy_init=True).metainfo
        >>> meta['classes'][1], meta['palette'][1]
        ('fire extinguisher', [255, 0, 0])
    """

    METAINFO = dict(
        classes=('background', 'fire extinguisher', 'backpack', 'hand drill', 'survivor'),
        palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]],
    )
    DEFAULT_PREFIX = dict(vi_path='rgb', ir_path='thermal', seg_map_path='labels')
