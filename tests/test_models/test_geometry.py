"""From what the network saw back to the original image, on images whose pixels are numbered."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.transforms import RandomFlip
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import nn

from mmfusion.models.geometry import padding_of, restore, restore_logits, undo_flip, undo_padding

DIRECTIONS = [('horizontal', [-1]), ('vertical', [-2]), ('diagonal', [-2, -1])]


def numbered(channels, height, width):
    return torch.arange(channels * height * width).float().view(channels, height, width)


def test_padding_of():
    assert padding_of({}) == (0, 0, 0, 0)
    assert padding_of(dict(padding_size=[1, 2, 3, 4])) == (1, 2, 3, 4)
    assert padding_of(dict(padding_size=[1, 2, 3, 4], img_padding_size=[5, 6, 7, 8])) == (5, 6, 7, 8)


@pytest.mark.parametrize('leading', [(), (3,), (2, 3)])
def test_undo_padding(leading):
    image = torch.rand(*leading, 5, 7)
    padded = F.pad(image, (2, 1, 0, 3), value=-1)
    assert torch.equal(undo_padding(padded, dict(padding_size=(2, 1, 0, 3))), image)
    assert torch.equal(undo_padding(image, {}), image)


FLIPPED = {'horizontal': [[2, 1, 0], [5, 4, 3]], 'vertical': [[3, 4, 5], [0, 1, 2]], 'diagonal': [[5, 4, 3], [2, 1, 0]]}


@pytest.mark.parametrize('leading', [(), (3,), (2, 3)])
@pytest.mark.parametrize('direction', FLIPPED)
def test_undo_flip(direction, leading):
    image = torch.arange(6).view(2, 3).expand(*leading, 2, 3)
    seen = torch.tensor(FLIPPED[direction]).expand(*leading, 2, 3)
    meta = dict(flip=True, flip_direction=direction)
    assert torch.equal(undo_flip(seen, meta), image)
    assert torch.equal(undo_flip(seen, {**meta, 'flip': False}), seen)
    assert torch.equal(undo_flip(seen, {}), seen)


@pytest.mark.parametrize('direction', FLIPPED)
def test_undo_flip_undoes_what_mmcv_does(direction):
    image = torch.randint(0, 256, (5, 7, 4), dtype=torch.uint8)
    results = dict(img=image.numpy(), img_shape=(5, 7))
    results = RandomFlip(prob=1.0, direction=direction)(results)
    seen = torch.from_numpy(results['img'].copy()).permute(2, 0, 1)
    assert results['flip_direction'] == direction
    assert torch.equal(undo_flip(seen, results), image.permute(2, 0, 1))


@pytest.mark.parametrize('direction', ['sideways', 'Horizontal', None])
def test_undo_flip_refuses_an_unknown_direction(direction):
    with pytest.raises(ValueError, match=f'flip_direction is {direction!r} .*horizontal, vertical, diagonal'):
        undo_flip(torch.zeros(2, 3), dict(flip=True, flip_direction=direction))


@pytest.mark.parametrize('channels', [1, 3])
def test_restore_takes_padding_off(channels):
    image = numbered(channels, 5, 7)
    meta = dict(img_padding_size=(2, 1, 1, 1), ori_shape=(3, 4))
    assert torch.equal(restore(F.pad(image[:, 1:4, 2:6], (2, 1, 1, 1), value=-1), meta), image[:, 1:4, 2:6])


@pytest.mark.parametrize(('direction', 'axes'), DIRECTIONS)
def test_restore_flips_back_inside_the_padding(direction, axes):
    image = numbered(3, 4, 5)
    meta = dict(flip=True, flip_direction=direction, padding_size=(0, 3, 0, 2), ori_shape=(4, 5))
    seen = F.pad(image.flip(axes), (0, 3, 0, 2), value=-1)
    assert torch.equal(restore(seen, meta), image)
    assert not torch.equal(restore(seen, {**meta, 'flip': False}), image)


def test_restore_resizes():
    # A plane stays a plane under bilinear interpolation, away from the border.
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(10.0), indexing='ij')
    plane = (2 * y + 3 * x)[None]
    small = restore(plane, dict(ori_shape=(16, 20)))
    assert small.shape == (1, 16, 20)
    yy, xx = torch.meshgrid((torch.arange(16.0) + 0.5) / 2 - 0.5, (torch.arange(20.0) + 0.5) / 2 - 0.5, indexing='ij')
    torch.testing.assert_close(small[0, 1:-1, 1:-1], (2 * yy + 3 * xx)[1:-1, 1:-1])


def test_restore_without_meta():
    image = numbered(1, 3, 4)
    assert torch.equal(restore(image, {}), image)


class Bare(nn.Module):
    """As much of a segmentor as mmseg's own postprocessing asks for."""

    def __init__(self, align_corners):
        super().__init__()
        self.align_corners = align_corners


PADDED = dict(padding_size=(1, 2, 0, 3))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('ori_shape', [(9, 13), (21, 30), (5, 7)])
@pytest.mark.parametrize('direction', [None, 'horizontal', 'vertical'])
def test_restore_logits_is_what_mmseg_does(direction, ori_shape, align_corners):
    logits = torch.randn(3, 12, 16)
    meta = dict(PADDED, ori_shape=ori_shape, flip=direction is not None, flip_direction=direction)
    (sample,) = BaseSegmentor.postprocess_result(Bare(align_corners), logits[None], [SegDataSample(metainfo=meta)])
    assert torch.equal(restore_logits(logits, meta, align_corners), sample.seg_logits.data)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('direction', FLIPPED)
def test_restore_logits_of_a_flipped_image_are_those_of_the_unflipped(direction, align_corners):
    axes = dict(DIRECTIONS)[direction]
    logits = torch.randn(3, 9, 13)
    meta = dict(PADDED, ori_shape=(18, 20))
    seen = F.pad(logits.flip(axes), (1, 2, 0, 3), value=99)
    straight = restore_logits(F.pad(logits, (1, 2, 0, 3), value=99), meta, align_corners)
    turned = restore_logits(seen, dict(meta, flip=True, flip_direction=direction), align_corners)
    assert torch.equal(turned, straight)
