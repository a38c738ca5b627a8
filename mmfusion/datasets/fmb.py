"""FMB: road scenes at all times of the day in visible and long-wave infrared light."""

from mmfusion.registry import DATASETS

from .paired import PairedSegDataset


@DATASETS.register_module()
class FMBDataset(PairedSegDataset):
    """Full-time Multi-modality Benchmark (FMB), 1500 registered pairs of 600x800 pixels.

    Protocol:

    * Ids in the files: 0 unlabelled, 1 road, 2 sidewalk, 3 building, 4 traffic lamp, 5 traffic sign, 6 vegetation,
      7 sky, 8 person, 9 car, 10 truck, 11 bus, 12 motorcycle, 13 bicycle, 14 pole. Ids and palette are those that an
      author names in issue 10 of the repository.
    * **Papers differ.** Either there are fourteen classes, unlabelled pixels are ignored and a class that is absent
      counts as 0, or unlabelled is a class, fifteen in all, and an absent class is left out (``nanmean``). The first is
      ``metainfo=dict(classes=FMBDataset.LABELLED)``, which makes 0 the ``ignore_index``, with
      ``ProtocolIoUMetric(absent='zero')``; the second is this class as it is. The difference is large, since bicycle
      occurs in no label of the test split (issue 28 of the repository).
    * Splits are folders: ``train`` and ``test``, of which papers report 1220 and 280 pairs; the converter counts. There
      is no validation split; the configs hold every tenth training pair out (``hold_out=10``): of 1220, 1098 to train
      with and 122 to validate.

    Layout, as it is downloaded: ``data/fmb/{train,test}/{Visible,Infrared,Label}``.

    Cite: J. Liu, Z. Liu, G. Wu, L. Ma, R. Liu, W. Zhong, Z. Luo, X. Fan, "Multi-interactive Feature Learning and a
    Full-time Multi-modality Benchmark for Image Fusion and Segmentation", ICCV 2023. Available at
    github.com/JinyuanLiu-CV/SegMiF, which states no licence: the images are not part of mmfusion, and whoever wants
    more than research use asks the authors.

    Args:
        **kwargs: See :class:`PairedSegDataset`.

    Examples:
        >>> FMBDataset(lazy_init=True).metainfo['classes'][:3]
        ('unlabelled', 'road', 'sidewalk')
        >>> fourteen = FMBDataset(metainfo=dict(classes=FMBDataset.LABELLED), lazy_init=True)
        >>> fourteen.label_map[0], fourteen.label_map[1], fourteen.metainfo['palette'][0]
        (255, 0, [179, 228, 228])
    """

    METAINFO = dict(
        classes=(
            'unlabelled',
            'road',
            'sidewalk',
            'building',
            'traffic lamp',
            'traffic sign',
            'vegetation',
            'sky',
            'person',
            'car',
            'truck',
            'bus',
            'motorcycle',
            'bicycle',
            'pole',
        ),
        palette=[
            [0, 0, 0],
            [179, 228, 228],
            [181, 57, 133],
            [67, 162, 177],
            [200, 178, 50],
            [132, 45, 199],
            [66, 172, 84],
            [179, 73, 79],
            [76, 99, 166],
            [66, 121, 253],
            [137, 165, 91],
            [155, 97, 152],
            [105, 153, 140],
            [222, 215, 158],
            [135, 113, 90],
        ],
    )
    LABELLED = METAINFO['classes'][1:]
    DEFAULT_PREFIX = dict(vi_path='Visible', ir_path='Infrared', seg_map_path='Label')
