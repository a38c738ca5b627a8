"""Pictures of the page are those that the models make."""

import base64
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmfusion.analysis.html_report import GalleryMaker, build_page, choose_pairs, data_uri, gather
from mmfusion.apis import FusionInferencer
from mmfusion.models import FusionModel
from mmfusion.visualization import colorize_labels

FIGURES = {'mIoU': 50.0}


def decoded(uri):
    image = cv2.imdecode(np.frombuffer(base64.b64decode(uri.partition(',')[2]), np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


def as_jpeg(image):
    """What becomes of an image, R, G, B or grey, in a file of the quality of the page."""
    _, encoded = cv2.imencode('.jpg', image[..., ::-1] if image.ndim == 3 else image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    back = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    return back[..., ::-1] if image.ndim == 3 else back


@pytest.fixture
def trained(write_run, paired_config, random_checkpoint, tmp_path):
    """Runs of two methods with one checkpoint, and the config in the folder as mmengine leaves it."""
    config = paired_config((32, 48), 6)
    checkpoint = random_checkpoint(config)
    for method, seed in (('early', 0), ('early', 1), ('ours', 1)):
        folder = write_run(f'{method}_unet_20_cwfid-32x48', seed, FIGURES)
        shutil.copy(config, folder / f'{method}_unet_20_cwfid-32x48.py')
        shutil.copy(checkpoint, folder / 'iter_20.pth')
    return folder.parent


def test_a_fusion_without_a_segmentor(trained, write_run):
    """Its fused images stand beside those of the others; there is no prediction to show."""
    folder = write_run('alone_unet_20_cwfid-32x48', 1, {'fusion/EN': 5.0})
    cfg = Config.fromfile(trained / 'ours_unet_20_cwfid-32x48_s1/ours_unet_20_cwfid-32x48.py')
    fusion = dict(type='UAAFusion', weights='gate', gate=dict(type='SalienceGate'), num_stages=1, channels=2)
    cfg.model = dict(type='FusionModel', fusion=fusion)
    cfg.dump(folder / 'alone_unet_20_cwfid-32x48.py')
    torch.save(dict(state_dict=FusionModel(fusion).state_dict()), folder / 'iter_20.pth')
    study = gather([trained])
    gallery = GalleryMaker(study, 2, device='cpu').make('cwfid')
    assert gallery.without == {}
    for scene in gallery.scenes:
        shown = {found.method: found for found in scene.methods}
        assert shown['alone'].prediction == ''
        assert shown['ours'].prediction
        assert shown['alone'].fused not in ('', shown['ours'].fused)
    page = build_page(study, 'Runs', 'report.py', [gallery]).render()
    assert 'Prediction of ours for' in page
    assert 'Prediction of alone for' not in page


def test_pictures_are_those_of_the_inferencer(trained, tmp_path):
    (gallery,) = [GalleryMaker(gather([trained]), 2, device='cpu').make('cwfid')]
    assert gallery.without == {}
    assert len(gallery.scenes) == 2
    run = trained / 'ours_unet_20_cwfid-32x48_s1'
    fuse = FusionInferencer(run / 'ours_unet_20_cwfid-32x48.py', run / 'iter_20.pth', device='cpu')
    assert gallery.legend == [(name, '#{:02x}{:02x}{:02x}'.format(*c)) for name, c in zip(fuse.classes, fuse.palette)]
    for scene in gallery.scenes:
        vi, ir = (tmp_path / 'data' / kind / scene.name for kind in ('vi', 'ir'))
        expected = fuse(ir=str(ir), vi=str(vi))
        assert [(shown.method, shown.seed) for shown in scene.methods] == [('early', 1), ('ours', 1)]
        for shown in scene.methods:
            labels = colorize_labels(expected['labels'][0], fuse.palette)
            np.testing.assert_array_equal(decoded(shown.prediction), labels)
            np.testing.assert_array_equal(decoded(shown.fused), as_jpeg(expected['fused'][0]))
        truth = cv2.imread(str(tmp_path / 'data/labels' / scene.name), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(decoded(scene.label), colorize_labels(truth, fuse.palette))
        np.testing.assert_array_equal(decoded(scene.visible), as_jpeg(cv2.imread(str(vi))[..., ::-1]))
        infrared = cv2.imread(str(ir), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(decoded(scene.infrared), as_jpeg(infrared))


def test_what_cannot_be_shown_is_told(trained, tmp_path, pair_folder):
    early, ours = trained / 'early_unet_20_cwfid-32x48_s1', trained / 'ours_unet_20_cwfid-32x48_s1'
    (ours / 'iter_20.pth').unlink()
    study = gather([trained])
    assert GalleryMaker(study, 1).make('cwfid').without == {'ours': 'no checkpoint kept'}
    (ours / 'iter_20.pth').write_bytes(b'half of a file')
    gallery = GalleryMaker(study, 1).make('cwfid')
    assert gallery.without['ours'].startswith('cannot be shown: ')
    assert [shown.method for shown in gallery.scenes[0].methods] == ['early']
    # Other pairs than those of the first method.
    shutil.copy(early / 'iter_20.pth', ours / 'iter_20.pth')
    other = pair_folder(tmp_path / 'other', number=6)
    for folder in ('vi', 'ir', 'labels'):
        (other / folder / '000.png').unlink()
    path = ours / 'ours_unet_20_cwfid-32x48.py'
    cfg = Config.fromfile(path)
    cfg.test_dataloader.dataset.data_root = str(other)
    cfg.dump(path)
    assert GalleryMaker(study, 6).make('cwfid').without == {'ours': 'cannot be shown: its test data are others'}


def test_data_elsewhere(trained, tmp_path):
    (tmp_path / 'data').rename(tmp_path / 'moved')
    study = gather([trained])
    lacking = GalleryMaker(study, 1).make('cwfid')
    assert lacking.scenes == []
    assert set(lacking.without) == {'early', 'ours'}
    assert 'cannot be shown: ' in lacking.without['early']
    for name in ('cwfid', 'cwfid-32x48'):
        found = GalleryMaker(study, 1, {name: str(tmp_path / 'moved')}).make('cwfid')
        assert found.without == {}
        assert len(found.scenes) == 1
    with pytest.raises(ValueError, match="no run is on 'msrs'; they are on cwfid, cwfid-32x48"):
        GalleryMaker(study, 1, {'msrs': '/'})
    with pytest.raises(ValueError, match='--panels must not be negative, got -1'):
        GalleryMaker(study, -1)


class Labelled:
    """Test data of which labels are all there is."""

    class Sample(dict):
        gt_sem_seg = property(lambda self: self['gt_sem_seg'])

    def __init__(self, classes):
        self.classes = classes

    def __len__(self):
        return len(self.classes)

    def __getitem__(self, index):
        import torch
        from mmengine.structures import PixelData

        label = torch.arange(12).view(1, 3, 4) % self.classes[index]
        return dict(data_samples=self.Sample(gt_sem_seg=PixelData(data=label)))


@pytest.mark.parametrize(
    ('classes', 'number', 'expected'),
    [
        ([1, 3, 2, 1, 1, 2], 2, [1, 5]),
        ([1, 1, 1, 1], 2, [0, 2]),
        ([1, 2], 5, [0, 1]),
        ([], 3, []),
        ([1, 2], 0, []),
    ],
)
def test_pairs_with_most_classes(classes, number, expected):
    assert choose_pairs(Labelled(classes), number) == expected


def test_pictures_are_small():
    noise = np.random.RandomState(0).randint(0, 256, (900, 1200, 3), dtype=np.uint8)
    assert decoded(data_uri(noise)).shape == (168, 224, 3)
    labels = np.zeros((500, 400, 3), np.uint8)
    labels[:250] = (10, 200, 30)
    small = decoded(data_uri(labels, exact=True))
    assert small.shape == (224, 179, 3)
    assert {tuple(color) for color in small.reshape(-1, 3).tolist()} == {(0, 0, 0), (10, 200, 30)}
    assert len(data_uri(noise)) < 60_000
