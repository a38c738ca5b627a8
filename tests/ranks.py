"""Several gloo processes on the CPUs of one machine."""

import datetime
import os

import cv2
import mmengine.device.utils
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# What waits for a process that does not come is an error, not a test that never ends.
PATIENCE = datetime.timedelta(seconds=90)
# A fork has imported everything already, but the threads of CUDA do not survive it.
START = 'spawn' if torch.cuda.is_available() else 'fork'


def _one_rank(rank, work, world, folder, arguments):
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
    os.chdir(folder)  # mmengine gathers results in a folder below this one.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    mmengine.device.utils.DEVICE = 'cpu'  # Where there are GPUs, there may be fewer than processes.
    store = dist.FileStore(str(folder / f'store{world}'), world)
    dist.init_process_group('gloo', store=store, rank=rank, world_size=world, timeout=PATIENCE)
    torch.save(work(rank, world, *arguments), folder / f'{rank}.pt')
    dist.destroy_process_group()


def in_ranks(work, world, folder, *arguments):
    """What ``work(rank, world, *arguments)`` gives in each of so many processes.

    Args:
        work (Callable): Any function of the test's module; what it gives is saved by ``torch.save``.
        world (int): Number of processes.
        folder (Path): Empty; their current directory.
        *arguments: Handed on, as copies.

    Returns:
        list: By rank.
    """
    folder.mkdir()
    mp.start_processes(_one_rank, (work, world, folder, arguments), nprocs=world, start_method=START)
    return [torch.load(folder / f'{rank}.pt', weights_only=False) for rank in range(world)]
