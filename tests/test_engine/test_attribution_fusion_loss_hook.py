"""AttributionFusionLossHook through real runs of a tiny model."""

from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader, load_checkpoint

from mmfusion.attribution import Evidence
from mmfusion.engine.hooks import AttributionFusionLossHook

SAVE = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1))


class Probe(Hook):
    """Writes down what a run does."""

    priority = 'LOWEST'

    def __init__(self):
        self.strengths, self.evidence, self.segmentors = [], [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.strengths.append(runner.model.attribution_strength)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.evidence.append(runner.model.last_evidence)
        self.segmentors.append({name: value.clone() for name, value in runner.model.segmentor.state_dict().items()})


@pytest.fixture
def run(make_runner):
    def make(max_iters=3, **options):
        runner = make_runner(
            max_iters=max_iters, hooks=[dict(type='AttributionFusionLossHook', **options)], default_hooks=SAVE
        )
        probe = Probe()
        runner.register_hook(probe)
        runner.train()
        return runner, probe

    return make


def history(runner, name):
    return runner.message_hub.get_scalar(f'train/{name}').data[0].tolist()


def checkpoint_of(runner, iteration):
    return CheckpointLoader.load_checkpoint(f'{runner.work_dir}/iter_{iteration}.pth', map_location='cpu')


def test_strength():
    hook = AttributionFusionLossHook(warmup_iters=2, ramp_iters=3)
    assert [hook.strength(i) for i in range(7)] == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert [AttributionFusionLossHook(warmup_iters=1).strength(i) for i in range(3)] == [0, 1, 1]
    assert AttributionFusionLossHook().strength(0) == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(warmup_iters=-1), 'warmup_iters must not be negative, got -1'),
        (dict(ramp_iters=-2), 'ramp_iters must not be negative, got -2'),
        (dict(interval=-3), 'interval must not be negative, got -3'),
        (dict(source='teacher'), "unknown source 'teacher'; choose one of live, ema"),
        (dict(momentum=0), 'between 0 and 1, got 0'),
        (dict(momentum=1.0), 'between 0 and 1, got 1.0'),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        AttributionFusionLossHook(**options)


def test_schedule_and_record(run):
    runner, probe = run(max_iters=4, warmup_iters=1, ramp_iters=1, interval=1)
    assert probe.strengths == [0, 0.5, 1, 1]
    assert history(runner, 'attribution_strength') == [0, 0.5, 1, 1]
    assert probe.evidence[0] is None  # Nothing is attributed in the warm-up.
    recorded = []
    for c, name in enumerate(('background', 'warm', 'printed')):
        expected = []
        for evidence in probe.evidence[1:]:
            shares = evidence.share()[evidence.regions.present[:, c], c].tolist()
            if shares:
                expected.append(sum(shares) / len(shares))
        if not expected:
            assert f'train/share_ir/{name}' not in runner.message_hub.log_scalars
            continue
        assert history(runner, f'share_ir/{name}') == pytest.approx(expected, rel=1e-4)
        recorded += expected
    assert len(set(recorded)) > 2
    # The model is left as it would be without the hook.
    assert runner.model.attribution_strength == 1
    assert runner.model._attribution_source is None


def test_record_is_what_weighs_the_sources(make_runner, model_config):
    """With smoothing the share in the log is the weight in the image, and not the plain ratio."""
    fusion = dict(
        type='UAAFusion', num_stages=1, channels=4, attribution=dict(estimator='exact', steps=2, smoothing=0.05)
    )
    hook = dict(type='AttributionFusionLossHook', interval=1)
    runner = make_runner(max_iters=1, model=model_config(fusion=fusion), hooks=[hook])
    probe = Probe()
    runner.register_hook(probe)
    runner.train()
    (evidence,) = probe.evidence
    weight, regions = evidence.weights()[0][:, 0], evidence.regions
    plain = evidence.smoothed(0.0).mean_share()
    told, differs = 0, False
    for c, name in enumerate(('background', 'warm', 'printed')):
        painted = [weight[b][regions.index[b] == c].unique().item() for b in regions.present[:, c].nonzero().flatten()]
        if painted:
            assert history(runner, f'share_ir/{name}') == pytest.approx([sum(painted) / len(painted)], rel=1e-5)
            told += 1
            differs |= abs(plain[c].item() - sum(painted) / len(painted)) > 0.05
    assert told > 1
    assert differs


def test_classes_without_a_name(make_runner, monkeypatch):
    monkeypatch.setattr(Evidence, 'mean_share', lambda self: torch.tensor([0.25, 0.5, 0.75]))
    runner = make_runner(max_iters=1, hooks=[dict(type='AttributionFusionLossHook', interval=1)])
    runner._train_dataloader.dataset.metainfo.classes = ('background',)
    runner._train_dataloader.dataset.metainfo.palette = [[0, 0, 0]]
    runner._train_dataloader.dataset.pipeline[1]['num_classes'] = 3
    runner.train()
    shares = {name: history(runner, f'share_ir/{name}') for name in ('background', '1', '2')}
    assert shares == {'background': [0.25], '1': [0.5], '2': [0.75]}


def test_interval(run):
    runner, _ = run(max_iters=4, interval=3)
    assert history(runner, 'attribution_strength') == [1]
    runner, _ = run(max_iters=2, interval=0)
    assert 'train/attribution_strength' not in runner.message_hub.log_scalars


def test_running_mean(run):
    runner, probe = run(max_iters=3, source='ema', momentum=0.3)
    first, second, third = probe.segmentors
    for iteration in (1, 2, 3):
        checkpoint = checkpoint_of(runner, iteration)
        average = checkpoint['attribution_source']
        assert average['steps'] == iteration
        assert not [name for name in checkpoint['state_dict'] if 'attribution_source' in name]
        assert set(checkpoint['state_dict']) == set(runner.model.state_dict())
        for name, start in first.items():
            if not start.is_floating_point():
                continue
            expected = start
            for value in (second, third)[: iteration - 1]:
                expected = 0.7 * expected + 0.3 * value[name]
            torch.testing.assert_close(average[f'module.{name}'], expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(first['decode_head.conv_seg.weight'], third['decode_head.conv_seg.weight'], rtol=1e-2)


def test_source_is_what_is_attributed(run):
    live, averaged = run(source='live')[1].evidence, run(source='ema', momentum=1e-6)[1].evidence
    for i in (0, 1):  # The mean starts as a copy, and is one again after the first iteration.
        assert torch.equal(live[i].ir, averaged[i].ir)
        assert torch.equal(live[i].vi, averaged[i].vi)
    assert not torch.equal(live[2].ir, averaged[2].ir)


def test_resumed_mean_and_new_mean(run, make_runner):
    first, _ = run(max_iters=3, source='ema', momentum=0.3)
    hooks = [dict(type='AttributionFusionLossHook', source='ema', momentum=0.3)]
    options = dict(hooks=hooks, default_hooks=SAVE, load_from=f'{first.work_dir}/iter_2.pth')
    resumed = make_runner(max_iters=3, resume=True, **options)
    resumed.train()
    expected = checkpoint_of(first, 3)['attribution_source']
    for name, value in checkpoint_of(resumed, 3)['attribution_source'].items():
        assert torch.equal(value, expected[name]), name

    tuned = make_runner(max_iters=1, **options)  # Fine-tuning: the mean belongs to the run that is over.
    tuned.train()
    checkpoint = checkpoint_of(tuned, 1)
    assert checkpoint['attribution_source']['steps'] == 1
    for name, value in tuned.model.segmentor.state_dict().items():
        assert torch.equal(checkpoint['attribution_source'][f'module.{name}'], value), name


def test_checkpoint_without_a_mean_can_be_resumed(run, make_runner):
    first, _ = run(max_iters=1, source='live')
    hooks = [dict(type='AttributionFusionLossHook', source='ema')]
    runner = make_runner(max_iters=2, hooks=hooks, load_from=f'{first.work_dir}/iter_1.pth', resume=True)
    seen = {}

    class Look(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            seen.update({name: value.clone() for name, value in runner.model._attribution_source.named_parameters()})

    runner.register_hook(Look())
    runner.train()
    saved = checkpoint_of(first, 1)['state_dict']
    assert seen
    for name, value in seen.items():
        assert torch.equal(value, saved[f'segmentor.{name}'])


def test_other_model_is_refused(make_runner, unet_config):
    runner = make_runner(model=unet_config(), hooks=[dict(type='AttributionFusionLossHook')])
    with pytest.raises(TypeError, match='works on a FusionSegmentor, but the model is a EncoderDecoder'):
        runner.train()


def test_testing_with_the_hook(run, make_runner):
    first, _ = run(max_iters=1, source='ema')
    hooks = [dict(type='AttributionFusionLossHook', source='ema')]
    runner = make_runner(hooks=hooks, load_from=f'{first.work_dir}/iter_1.pth')
    with mock.patch('copy.deepcopy', side_effect=AssertionError('a test needs no copy of the segmentor')) as copied:
        runner.call_hook('before_run')
    copied.assert_not_called()
    metrics = runner.test()
    assert next(hook for hook in runner.hooks if isinstance(hook, AttributionFusionLossHook))._average is None
    assert 0 <= metrics['mIoU'] <= 100
    plain = make_runner()
    load_checkpoint(plain.model, f'{first.work_dir}/iter_1.pth')
    assert plain.test()['fusion/EN'] == metrics['fusion/EN']
