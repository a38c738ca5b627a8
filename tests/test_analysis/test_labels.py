"""True labels at the size of the network's input."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.analysis.labels import fit_labels, labels_at_input


def test_labels_follow_flip_resize_and_padding():
    labels = torch.tensor([[[0, 1], [2, 255]]])
    sample = SegDataSample(metainfo=dict(padding_size=(1, 2, 0, 3), flip=True, flip_direction='horizontal'))
    sample.gt_sem_seg = PixelData(data=labels)
    expected = np.full((7, 7), 9)
    expected[:4, 1:5] = np.kron(labels[0].numpy()[:, ::-1], np.ones((2, 2)))
    assert np.array_equal(labels_at_input(sample, (7, 7), ignore_index=9)[0], expected)


def test_labels_follow_the_image():
    labels = np.array([[0, 1], [2, 200]])
    fitted = fit_labels(labels, (4, 4), (5, 6))
    expected = np.full((5, 6), 255)
    expected[:4, :4] = np.kron(labels, np.ones((2, 2)))
    assert np.array_equal(fitted[0], expected)
