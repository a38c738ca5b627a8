"""Checkpoints that are never lost: order of the writes, and what a run is resumed from."""

import errno
import os
import zipfile

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader

from mmfusion.engine import atomic_files
from mmfusion.engine.atomic_files import write_atomically

SAFE = dict(type='SafeCheckpointHook', by_epoch=False, interval=1)


def names(folder):
    return sorted(path.name for path in folder.glob('*') if path.is_file() and path.suffix != '.py')


# Files ---------------------------------------------------------------------------------------------------------------
def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'folder/file'
    write_atomically(path, b'old')
    steps = []

    def fails(descriptor):
        steps.append(path.read_bytes())  # The former content, as long as the new one is not on the disk.
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(atomic_files.os, 'fsync', fails)
    with pytest.raises(
        OSError, match=r'folder/file could not be written \(No space left on device\): it takes 3.0 MiB'
    ) as told:
        write_atomically(path, b'new' * 2**20)
    assert told.value.errno == errno.ENOSPC
    assert 'MiB were free on that disk; what was there before is untouched' in str(told.value)
    assert steps == [b'old']
    assert names(path.parent) == ['file']
    assert path.read_bytes() == b'old'
    with pytest.raises(OSError, match='nothing is left of it'):
        write_atomically(tmp_path / 'other', b'new')


def test_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    order = []
    for name in ('fsync', 'replace'):
        real = getattr(os, name)
        monkeypatch.setattr(
            atomic_files.os, name, lambda *args, real=real, name=name: (order.append(name), real(*args))[1]
        )
    write_atomically(tmp_path / 'file', b'content')
    assert order == ['fsync', 'replace', 'fsync']  # The last one of the folder.


# Order ---------------------------------------------------------------------------------------------------------------
class Watch(Hook):
    """What is in the folder whenever something takes its name or goes."""

    def __init__(self, folder, monkeypatch):
        self.seen = []
        for name in ('replace', 'remove'):
            real = getattr(os, name)

            def spy(*args, real=real, name=name):
                value = real(*args)
                if str(folder) in str(args[0]):
                    self.seen.append((name, os.path.basename(args[-1]), names(folder)))
                return value

            monkeypatch.setattr(os, name, spy)


def test_the_older_one_goes_last(run, tmp_path, monkeypatch):
    watch = Watch(tmp_path / 'run', monkeypatch)
    run(max_iters=3, checkpoint=dict(max_keep_ckpts=1))
    assert [step[:2] for step in watch.seen] == [
        ('replace', 'iter_1.pth'),
        ('replace', 'last_checkpoint'),
        ('replace', 'iter_2.pth'),
        ('replace', 'last_checkpoint'),
        ('remove', 'iter_1.pth'),
        ('replace', 'iter_3.pth'),
        ('replace', 'last_checkpoint'),
        ('remove', 'iter_2.pth'),
    ]
    # There never was a moment without a whole one.
    assert all([name for name in found if name.endswith('.pth')] for _, _, found in watch.seen)
    assert names(tmp_path / 'run') == ['iter_3.pth', 'last_checkpoint']
    assert (tmp_path / 'run/last_checkpoint').read_text() == str(tmp_path / 'run/iter_3.pth')


def test_the_best_one_goes_after_the_better_one_is_there(run, tmp_path, monkeypatch):
    class Better(Hook):
        """mIoU grows from one validation to the next."""

        priority = 'VERY_HIGH'

        def after_val_epoch(self, runner, metrics=None):
            metrics['mIoU'] = float(runner.iter)

    watch = Watch(tmp_path / 'run', monkeypatch)
    run(
        max_iters=3,
        hooks=[Better()],
        checkpoint=dict(save_best='mIoU', max_keep_ckpts=1),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=1),
    )
    for step, name, found in watch.seen:
        if step == 'remove' and name.startswith('best'):
            assert sum(other.startswith('best') for other in found) == 1, found
    assert [step[:2] for step in watch.seen if 'best' in step[1]] == [
        ('replace', 'best_mIoU_iter_1.pth'),
        ('replace', 'best_mIoU_iter_2.pth'),
        ('remove', 'best_mIoU_iter_1.pth'),
        ('replace', 'best_mIoU_iter_3.pth'),
        ('remove', 'best_mIoU_iter_2.pth'),
    ]
    assert names(tmp_path / 'run') == ['best_mIoU_iter_3.pth', 'iter_3.pth', 'last_checkpoint']


@pytest.mark.parametrize('checkpoint', [dict(), dict(max_keep_ckpts=2), dict(interval=2, max_keep_ckpts=1)])
def test_leaves_what_mmengine_leaves(run, make_runner, tmp_path, checkpoint):
    run(max_iters=5, checkpoint=checkpoint)
    plain = make_runner(
        work_dir=tmp_path / 'plain',
        max_iters=5,
        hooks=[dict(type='IterSeedHook')],
        default_hooks=dict(checkpoint={**SAFE, 'type': 'CheckpointHook', **checkpoint}),
    )
    plain.train()
    assert names(tmp_path / 'run') == names(tmp_path / 'plain')
    for path in (tmp_path / 'plain').glob('*.pth'):
        ours, theirs = (
            CheckpointLoader.load_checkpoint(str(each), 'cpu') for each in (tmp_path / 'run' / path.name, path)
        )
        assert all(torch.equal(ours['state_dict'][name], value) for name, value in theirs['state_dict'].items())
        ids = [content['message_hub']['runtime_info'].get('keep_ckpt_ids') for content in (ours, theirs)]
        assert ids[0] == ids[1]


def test_a_full_disk(run, tmp_path, monkeypatch):
    """Training stops, and what was saved before is there."""
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 4:  # A file, its folder, the pointer, its folder.
            raise OSError(errno.ENOSPC, 'No space left on device')
        real(descriptor)

    monkeypatch.setattr(atomic_files.os, 'fsync', full)
    with pytest.raises(OSError, match=r'iter_2\.pth could not be written \(No space left on device\)'):
        run(checkpoint=dict(max_keep_ckpts=1))
    assert names(tmp_path / 'run') == ['iter_1.pth', 'last_checkpoint']
    monkeypatch.setattr(atomic_files.os, 'fsync', real)
    assert run(resume=True).iter == 4


# Going on ------------------------------------------------------------------------------------------------------------
def damage(path, how):
    content = path.read_bytes()
    if how == 'cut':
        path.write_bytes(content[: len(content) // 2])
    elif how == 'flipped':
        with zipfile.ZipFile(path) as file:
            at = content.index(max((file.read(name) for name in file.namelist()), key=len))
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'weights only':
        torch.save(dict(state_dict=dict(weight=torch.zeros(1))), path)
    elif how == 'gone':
        path.unlink()


@pytest.mark.parametrize(
    ('how', 'told'),
    [
        ('cut', 'iter_3.pth cannot be read'),
        ('flipped', 'iter_3.pth is damaged: the checksum of'),
        ('empty', 'iter_3.pth cannot be read'),
        ('weights only', 'iter_3.pth holds no state of a run'),
        ('gone', 'which is not there'),
    ],
)
def test_the_newest_that_can_be_loaded(run, tmp_path, how, told):
    whole = run(max_iters=3)
    damage(tmp_path / 'run/iter_3.pth', how)
    resumed = run(max_iters=3, resume=True, log_level='INFO')
    text = max((tmp_path / 'run').rglob('*.log'), key=lambda path: path.stat().st_mtime_ns).read_text()
    assert 'Not resumed from the newest checkpoint' in text
    assert told in text
    assert 'resumed epoch: 0, iter: 2' in text
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


@pytest.mark.parametrize('pointer', ['', '/nowhere/iter_9.pth', '\n'])
def test_a_pointer_to_nothing(run, tmp_path, pointer):
    run(max_iters=2)
    (tmp_path / 'run/last_checkpoint').write_text(pointer)
    assert run(max_iters=3, resume=True).iter == 3
    assert names(tmp_path / 'run') == ['iter_1.pth', 'iter_2.pth', 'iter_3.pth', 'last_checkpoint']


def test_a_folder_that_was_moved(run, tmp_path):
    run(max_iters=2)
    (tmp_path / 'run').rename(tmp_path / 'elsewhere')
    assert run(max_iters=3, folder='elsewhere', resume=True).iter == 3
    assert not (tmp_path / 'run').exists()


def test_nothing_to_go_on_from(run, tmp_path):
    assert run(max_iters=1, resume=True).iter == 1
    for path in (tmp_path / 'run').glob('*.pth'):
        path.write_text('no checkpoint')
    with pytest.raises(
        ValueError, match=r'no checkpoint in .* can be resumed from: .*iter_1\.pth cannot be read.*Take them away'
    ):
        run(max_iters=2, resume=True)


def test_what_the_config_names_is_left_to_it(run, tmp_path):
    run(max_iters=3)
    resumed = run(max_iters=3, resume=True, load_from=str(tmp_path / 'run/iter_1.pth'), folder='other')
    assert names(tmp_path / 'other') == ['iter_2.pth', 'iter_3.pth', 'last_checkpoint']
    assert resumed.iter == 3


def log_of(folder):
    return max(folder.rglob('*.log'), key=lambda path: path.stat().st_mtime_ns).read_text()


def test_what_is_another_than_before_is_said(run, make_runner, tmp_path, pair_folder):
    run(max_iters=2)
    run(max_iters=3, resume=True, log_level='INFO')
    assert 'Resumed with' not in log_of(tmp_path / 'run')
    other = make_runner(
        work_dir=tmp_path / 'run', max_iters=4, default_hooks=dict(checkpoint=SAFE), resume=True, log_level='INFO'
    )
    other.cfg.train_dataloader.batch_size = 3
    other._train_dataloader.batch_size = 3
    other._train_dataloader.dataset.data_root = str(pair_folder(tmp_path / 'others', number=3))
    other.train()
    text = log_of(tmp_path / 'run')
    assert 'Resumed with train_dataloader.batch_size=3, where it was 2 before.' in text
    assert 'number of training pairs=3, where it was 6' in text
    assert 'others' in text


def test_a_finished_run_says_so(run, tmp_path):
    run(max_iters=2)
    before = (tmp_path / 'run/iter_2.pth').read_bytes()
    run(max_iters=2, resume=True, log_level='INFO')
    assert 'Nothing to do: the run is finished, at iteration 2 of 2.' in log_of(tmp_path / 'run')
    assert (tmp_path / 'run/iter_2.pth').read_bytes() == before


def test_parts_of_an_earlier_run_are_removed(run, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/.iter_7.pth.part').write_bytes(b'half')
    run(max_iters=1)
    assert names(tmp_path / 'run') == ['iter_1.pth', 'last_checkpoint']
