"""Train fusion and segmentation jointly on drawn scenes, evaluate, and show what came out.

The same segmentor is trained on the pair as four channels, too: early fusion, which needs no fusion network, is what a
joint model has to beat. Options that begin with `model.` are for the joint model alone. Takes minutes on two CPU cores.
For example:

    python tools/demo.py
    python tools/demo.py --cfg-options train_cfg.max_iters=800 model.fusion.channels=16

Scenes are drawn: nothing is downloaded.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config, DictAction
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.structures import SegDataSample
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

import mmfusion  # noqa: F401  (before any config is read)
from mmfusion.engine.hooks.fusion_visualization_hook import panel_of

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'configs/uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
BASELINE = ROOT / 'configs/baselines/early_unet-tiny_1xb4-300_synthetic-96x128.py'
# With seed 0, early fusion does not find the printed things in so few iterations, which it does with seeds 1 to 4: it
# would look worse than it is.
SEED = 1
# What a reader of the field looks for first; all twelve are in the log.
FUSION_FIGURES = ('EN', 'SD', 'SF', 'AG', 'MI', 'SCD', 'VIF', 'Qabf', 'SSIM')


class DemoHook(Hook):
    """Progress bars, and a picture of some test scenes.

    Args:
        console (Console): Where the bars go.
        panel (Path, optional): Where the picture goes; None for no picture.
        rows (int): Scenes in it.
        what (str): What is trained, for the bar.
    """

    priority = 'LOW'

    def __init__(self, console: Console, panel: Path | None, rows: int = 4, what: str = '') -> None:
        self.panel = panel
        self.what = what
        self.rows = rows
        self._panels: list[np.ndarray] = []
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn('{task.fields[note]}'),
            console=console,
            refresh_per_second=2,
        )
        self._task = TaskID(0)
        self._total = 0

    def _begin(self, what: str, total: int) -> None:
        self._progress.start()
        self._task = self._progress.add_task(what, total=total, note='')
        self._total = total

    def _move(self, completed: int, note: str = '') -> None:
        self._progress.update(self._task, completed=completed, note=note)
        # Where there is no terminal to draw a bar on, ten lines.
        if not self._progress.console.is_terminal and completed % max(1, self._total // 10) == 0:
            description = self._progress.tasks[self._task].description
            print(f'{description} {completed}/{self._total} {note}', flush=True)

    def before_train(self, runner: Runner) -> None:
        """Start the bar."""
        self._begin(f'training   {self.what}', runner.max_iters)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Move the bar."""
        self._move(runner.iter + 1, f'loss {outputs["loss"].item():.3f}')

    def after_train(self, runner: Runner) -> None:
        """Stop the bar."""
        self._progress.stop()

    def before_test(self, runner: Runner) -> None:
        """Start the bar."""
        self._begin(f'evaluating {self.what}', len(runner.test_dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Move the bar and keep the first scenes."""
        self._move(batch_idx + 1)
        if self.panel is None:
            return
        meta = runner.test_dataloader.dataset.metainfo
        for pair, sample in zip(data_batch['inputs'], outputs):
            if len(self._panels) < self.rows:
                self._panels.append(panel_of(pair, sample, meta['classes'], meta['palette']))

    def after_test(self, runner: Runner) -> None:
        """Stop the bar and write the picture."""
        self._progress.stop()
        if self.panel is None:
            return
        self.panel.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(self.panel), np.vstack(self._panels)[..., ::-1]):
            raise OSError(f'could not write {self.panel}')


def show(console: Console, metrics: dict[str, float], baseline: dict[str, float]) -> None:
    """Print IoU per class, of the joint model and of early fusion, and the fusion figures."""
    console.print(_segmentation_table({'fusion and segmentation': metrics, 'early fusion': baseline}))
    console.print(_fusion_table(metrics))


def _segmentation_table(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(title='segmentation, IoU in %')
    table.add_column('')
    classes = [name for name in next(iter(rows.values())) if name.startswith('IoU/')]
    for name in (*(name.removeprefix('IoU/') for name in classes), 'mean'):
        table.add_column(name, justify='right')
    for title, metrics in rows.items():
        table.add_row(title, *(f'{metrics[name]:.1f}' for name in (*classes, 'mIoU')))
    return table


def _fusion_table(metrics: dict[str, float]) -> Table:
    table = Table(title='fused image')
    for name in FUSION_FIGURES:
        table.add_column(name, justify='right')
    table.add_row(*(f'{metrics[f"fusion/{name}"]:.3f}' for name in FUSION_FIGURES))
    return table


def run(config: Path, work_dir: Path, options: dict, hook: DemoHook) -> dict[str, float]:
    """Train and evaluate.

    Args:
        config (Path): What to train.
        work_dir (Path): Where results go.
        options (dict): Override the config.
        hook (DemoHook): Tells how far it is.

    Returns:
        dict[str, float]: Metrics of the test.
    """
    cfg = Config.fromfile(config)
    cfg.work_dir = str(work_dir)
    # Two runners in one process need two names of everything that is found by its name.
    cfg.experiment_name = cfg.visualizer.name = f'{config.stem}_{time.time():.0f}'
    cfg.log_level = 'ERROR'  # The bars tell enough, and the stack's own deprecation warnings are not the reader's.
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None  # The test comes right after.
    cfg.merge_from_dict({'randomness.seed': SEED, **options})
    runner = Runner.from_cfg(cfg)
    runner.register_hook(hook)
    runner.train()
    return runner.test()


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--work-dir', type=Path, default=ROOT / 'work_dirs/demo', help='folder for results (default: work_dirs/demo)'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override the config')
    args = parser.parse_args(argv)
    started, console = time.time(), Console()
    options = args.cfg_options or {}
    console.print(f'config {CONFIG.relative_to(ROOT)}: scenes are drawn, nothing is downloaded')
    panel = args.work_dir / 'panel.png'
    metrics = run(CONFIG, args.work_dir, options, DemoHook(console, panel, what='joint model '))
    shared = {key: value for key, value in options.items() if not key.startswith('model.')}
    baseline = run(BASELINE, args.work_dir / 'early', shared, DemoHook(console, None, what='early fusion'))
    show(console, metrics, baseline)
    console.print(f'{time.time() - started:.0f} s in all; visible | infrared | weights | fused | prediction | label:')
    # By itself, so that a narrow terminal does not break the path.
    print(panel)


if __name__ == '__main__':
    main()
