"""Two videos, fused frame by frame."""

import cv2
import numpy as np
import pytest

from mmfusion.apis import FusionInferencer, fuse_video

SIZE = (64, 96)
FRAMES = 5


def write_video(path, frames, rate=12.5):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), rate, SIZE[::-1])
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def read_video(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


@pytest.fixture
def videos(tmp_path):
    """A hot square that moves through the dark, seen by infrared light only, and a grey wall."""
    infrared, visible = [], []
    for number in range(FRAMES):
        frame = np.full((*SIZE, 3), 20, np.uint8)
        frame[20:44, 10 + 10 * number : 34 + 10 * number] = 240
        infrared.append(frame)
        visible.append(np.full((*SIZE, 3), (90, 110, 130), np.uint8))
    return write_video(tmp_path / 'ir.avi', infrared), write_video(tmp_path / 'vi.avi', visible)


@pytest.fixture(scope='module')
def fuse():
    return FusionInferencer(device='cpu')


@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])
def test_as_frame_by_frame(fuse, videos, tmp_path, suffix):
    found = fuse_video(fuse, *videos, tmp_path / 'out', save=('fused', 'weights'), suffix=suffix)
    assert (found['frames'], found['rate']) == (FRAMES, 12.5)
    assert found['files'] == [tmp_path / f'out/fused{suffix}', tmp_path / f'out/weights{suffix}']
    frames, rate = read_video(found['files'][0])
    assert (len(frames), rate) == (FRAMES, 12.5)
    for frame, ir, vi in zip(frames, read_video(videos[0])[0], read_video(videos[1])[0], strict=True):
        expected = fuse(ir=ir, vi=vi)['fused'][0][..., ::-1].astype(int)
        assert np.abs(frame - expected).mean() < 6  # What the codec loses.
    # The square has moved, and is still hot.
    assert frames[0][32, 22].mean() > 180 > 140 > frames[4][32, 22].mean()
    weights = read_video(found['files'][1])[0]
    assert weights[0][32, 22, 2] > weights[0][32, 22, 0] + 50  # Red: infrared.


def test_classes(videos, tmp_path, run_config, model_config, fuse):
    cfg = run_config(model_config(fusion=dict(type='AverageFusion')), tmp_path, tmp_path / 'run')
    found = fuse_video(FusionInferencer(cfg, device='cpu'), *videos, tmp_path / 'out', save=('overlays',))
    frames, _ = read_video(found['files'][0])
    assert len(frames) == FRAMES
    assert frames[0].shape == (*SIZE, 3)
    with pytest.raises(ValueError, match='takes a model that knows classes'):
        fuse_video(fuse, *videos, tmp_path / 'out', save=('overlays',))


def test_what_is_refused(fuse, videos, tmp_path):
    (tmp_path / 'notes.mp4').write_text('no video')
    with pytest.raises(ValueError, match=r'vi: .*notes\.mp4 is no video that OpenCV can read'):
        fuse_video(fuse, videos[0], tmp_path / 'notes.mp4', tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='ir: there is no video'):
        fuse_video(fuse, tmp_path / 'none.avi', videos[1], tmp_path / 'out')
    short = write_video(tmp_path / 'short.avi', [np.zeros((*SIZE, 3), np.uint8)] * 3)
    with pytest.raises(ValueError, match='the infrared video has 5 frames, the visible one 3; cut them to the same'):
        fuse_video(fuse, videos[0], short, tmp_path / 'out')
    with pytest.raises(ValueError, match='of a video fused, weights, overlays can be written, not panels'):
        fuse_video(fuse, *videos, tmp_path / 'out', save=('panels',))
    with pytest.raises(OSError, match='cannot be written; OpenCV writes'):
        fuse_video(fuse, *videos, tmp_path / 'out', suffix='.nonsense')


def test_command(tool, told, videos, tmp_path, capfd):
    assert tool('fuse', '--ir', videos[0], '--vi', videos[1], '--out', tmp_path / 'out') == 0
    assert f'wrote 5 frames, 12.5 a second, to {tmp_path / "out/fused.mp4"}' in capfd.readouterr().out
    assert len(read_video(tmp_path / 'out/fused.mp4')[0]) == FRAMES
    message = told('fuse', '--ir', videos[0], '--vi', tmp_path / 'vi.png', '--out', tmp_path / 'out')
    assert 'one is a video and the other is none' in message
    message = told('fuse', '--ir', videos[0], '--vi', videos[1], '--out', tmp_path / 'out', '--metrics')
    assert '--metrics and --skip-errors are for images' in message
