"""Shares of the infrared image against a known truth."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmfusion.analysis.evidence import Stat, distances, observe, presence, region_means, tabulate, verdicts
from mmfusion.analysis.scenes import read_batches
from mmfusion.analysis.share_settings import own_setting
from mmfusion.apis import FusionInferencer
from mmfusion.attribution import Attribution
from mmfusion.models import UAAFusion
from mmfusion.registry import DATASETS

SIZE = (49, 65)  # odd: the network sees padding
EVIDENCE = ['both', 'infrared', 'visible', 'both']


@pytest.fixture
def config(drawn_config):
    """Function of a fusion that gives a config file on drawn scenes."""
    return lambda fusion=None: drawn_config(SIZE, fusion)


# Pure computation ---------------------------------------------------------------------------------------------------
def test_tabulate_by_hand():
    values = torch.tensor([[1.0, 5.0], [2.0, 6.0], [4.0, 7.0], [9.0, 8.0]])
    present = torch.tensor([[True, False], [True, True], [True, False], [False, False]])
    table = tabulate(values, present, ['day', 'night', 'day', 'night'])
    assert list(table) == ['day', 'night']
    assert table['day'] == [Stat(2.5, pytest.approx(np.std([1, 4], ddof=1)), 2), None]
    assert table['night'] == [Stat(2.0, None, 1), Stat(6.0, None, 1)]


def test_distances_by_hand():
    fused, source = torch.tensor([[[[0.0, 0.5], [1.0, 1.0]]]]), torch.tensor([[[[0.2, 0.1], [1.0, 0.0]]]])
    labels = torch.tensor([[[0, 0], [2, 255]]])
    expected = torch.tensor([[255 * 0.3, 0, 0]])
    torch.testing.assert_close(distances(fused, source, labels, 3), expected)
    assert presence(labels, 3).tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    ('name', 'evidence', 'share', 'met'),
    [
        ('warm', 'infrared', 0.6, False),
        ('warm', 'infrared', 0.61, True),
        ('warm', 'infrared', 0.1, False),
        ('printed', 'visible', 0.2, False),
        ('printed', 'visible', 0.19, True),
        ('printed', 'visible', 0.9, False),
        ('background', 'both', 0.4, True),
        ('background', 'both', 0.6, True),
        ('background', 'both', 0.39, False),
        ('background', 'both', 0.61, False),
        ('vehicle', 'both', 0.5, None),
        ('vehicle', 'both', 0.9, None),
    ],
)
def test_verdict(name, evidence, share, met):
    table = {'day': [Stat(share, 0.1, 9)], 'night': [None]}
    assert verdicts(table, [name], [evidence]) == {'day': [met], 'night': [None]}


# With a model -------------------------------------------------------------------------------------------------------
def load(path, weights, scenes=6, batch_size=4):
    fuse = FusionInferencer(path, weights, 'cpu')
    with DefaultScope.overwrite_default_scope('mmfusion'):
        dataset = DATASETS.build(fuse.cfg.test_dataloader.dataset)
    return fuse.model, dataset, read_batches(fuse.model, dataset, scenes, batch_size, fuse.device)


def test_shares_are_those_of_the_prediction(config, random_checkpoint):
    path = config()
    model, dataset, batches = load(path, random_checkpoint(path))
    seen = observe(model, batches, EVIDENCE)
    assert seen.attributed
    weights = {c: {'day': [], 'night': []} for c in range(4)}
    held = {c: {'day': [], 'night': []} for c in range(4)}
    for batch, first in zip(batches, (0, 4)):
        packed = [dataset[i] for i in range(first, first + len(batch.inputs))]
        with torch.no_grad():
            samples = model.test_step(pseudo_collate(packed))
            labels = model.fuse(batch.inputs, ignore=batch.padding)[1].labels[:, : SIZE[0], : SIZE[1]]
        for i, (sample, label) in enumerate(zip(samples, labels)):
            daytime = dataset.get_data_info(first + i)['daytime']
            truth = torch.from_numpy(dataset.render(first + i)[1])
            assert torch.equal(batch.labels[i, : SIZE[0], : SIZE[1]], truth.long())
            assert batch.labels[i, SIZE[0] :].eq(255).all()
            assert batch.labels[i, :, SIZE[1] :].eq(255).all()
            for c in range(4):
                if (truth == c).any():
                    held[c][daytime].append(i)
                if (label == c).any():
                    weights[c][daytime].append(sample.fusion_weights.data[0][label == c].mean().item())
    assert sum(len(one['day']) > 0 for one in weights.values()) > 1
    for daytime in ('day', 'night'):
        for c in range(4):
            stat, values = seen.shares['predicted'][daytime][c], weights[c][daytime]
            assert (stat is None) == (not values)
            if values:
                assert (stat.mean, stat.scenes) == (pytest.approx(np.mean(values), abs=1e-5), len(values))
            stat = seen.shares['given'][daytime][c]
            assert (0 if stat is None else stat.scenes) == len(held[c][daytime])


def test_given_labels_against_the_fusion(config, random_checkpoint):
    """Weights and image of the model, taken apart by hand, scene by scene."""
    options = dict(steps=2, estimator='exact', rule='right', smoothing=0.2)
    fusion = dict(type='UAAFusion', num_stages=1, channels=4, attribution=options)
    path = config(fusion)
    model, _, batches = load(path, random_checkpoint(path), scenes=4, batch_size=1)
    own = own_setting(model)
    assert (own.how(), own.score) == ('exact, right 2', 'softmax')
    assert own.attribution == Attribution(**options, test_pairs=2)
    seen = observe(model, batches, EVIDENCE)
    rows = []
    for batch in batches:
        with torch.no_grad():
            result = model.fuse(batch.inputs, batch.labels)[1]
        for c in range(4):
            mask = batch.labels == c
            if mask.any():
                to = [255 * (result.fused - image).abs()[:, 0][mask].mean().item() for image in batch.sources]
                rows.append((batch.daytimes[0], c, result.weight_ir[:, 0][mask].mean().item(), *to))
    for daytime in ('day', 'night'):
        for c, evidence in enumerate(EVIDENCE):
            mine = np.array([row[2:] for row in rows if row[:2] == (daytime, c)])
            assert len(mine) > 0
            for k, table in enumerate((seen.shares['given'], seen.to_infrared, seen.to_visible)):
                assert table[daytime][c].mean == pytest.approx(mine[:, k].mean(), rel=1e-4)
            nearer = seen.nearer[daytime][c]
            if evidence == 'both':
                assert nearer is None
            else:
                closer = mine[:, 1] < mine[:, 2] if evidence == 'infrared' else mine[:, 2] < mine[:, 1]
                assert nearer.mean == pytest.approx(closer.mean())


def test_fused_image_that_is_a_source(config, random_checkpoint):
    """A fusion that takes the infrared image follows the evidence of warm things always, and of printed ones never."""
    path = config(dict(type='InfraredOnly'))
    model, _, batches = load(path, random_checkpoint(path))
    seen = observe(model, batches, EVIDENCE)
    assert not seen.attributed
    for daytime in ('day', 'night'):
        assert [stat.mean for stat in seen.to_infrared[daytime]] == [0] * 4
        assert [stat and stat.mean for stat in seen.nearer[daytime]] == [None, 1, 0, None]
    # Nothing is attributed, so the shares are those that our defaults would give.
    batch, ours = batches[0], UAAFusion(num_stages=1, channels=4).eval()
    share = ours(*batch.sources, model.scorer(), batch.labels).evidence.share()
    one = observe(model, [batch], EVIDENCE).shares['given']
    table = tabulate(share, presence(batch.labels, 4), batch.daytimes)
    for daytime in ('day', 'night'):
        assert [stat.mean for stat in one[daytime]] == pytest.approx([stat.mean for stat in table[daytime]], abs=1e-5)


def test_shares_of_a_gate_are_its_weights(config, random_checkpoint):
    path = config(dict(type='UAAFusion', weights='gate', num_stages=1, channels=4))
    model, _, batches = load(path, random_checkpoint(path))
    with torch.no_grad():
        model.fusion.gate.tell.weight.zero_()
        model.fusion.gate.tell.bias.copy_(torch.tensor([1.0, 0.0]))
    seen = observe(model, batches, EVIDENCE)
    assert seen.attributed
    shares = [stat.mean for table in seen.shares.values() for row in table.values() for stat in row if stat]
    assert len(shares) >= 8
    # Means over some thousand pixels in float32.
    assert shares == pytest.approx([1 / (1 + np.exp(-1))] * len(shares), abs=5e-5)


def test_region_means_by_hand():
    image, labels = torch.tensor([[[[0.0, 0.5], [1.0, 0.25]]]]), torch.tensor([[[0, 0], [2, 255]]])
    torch.testing.assert_close(region_means(image, labels, 3), torch.tensor([[0.25, 0.0, 1.0]]))
