"""Evaluate a checkpoint: segmentation and fusion in one run.

Examples:
    python tools/test.py CONFIG CHECKPOINT
    python tools/test.py CONFIG CHECKPOINT --show-dir panels --out predictions
"""

import sys
from pathlib import Path

from mmengine.config import Config

from mmfusion.command_line import OneLineErrors, runner_config, runner_parser
from mmfusion.datasets.paired_pipeline import flipped_pipeline
from mmfusion.engine.config_checks import check_config
from mmfusion.engine.run import carry_out
from mmfusion.evaluation.fusion_evaluator import with_folder


def draw_panels(cfg: Config, show_dir: str | None, show: bool, wait_time: float) -> None:
    """Switch the visualisation hook on.

    Raises:
        ValueError: The config has none.
    """
    if 'visualization' not in cfg.default_hooks:
        raise ValueError(
            '--show and --show-dir need default_hooks.visualization in the config, such as '
            "dict(type='FusionVisualizationHook')"
        )
    cfg.default_hooks.visualization.update(draw=True, show=show, wait_time=wait_time)
    if show_dir:
        cfg.visualizer.save_dir = show_dir


def save_outputs(cfg: Config, folder: str) -> None:
    """Write label maps to FOLDER/labels and fused images to FOLDER/fused."""
    given = cfg.test_evaluator
    labels = str(Path(folder) / 'labels')
    cfg.test_evaluator = (
        [with_folder(each, labels) for each in given] if isinstance(given, list) else with_folder(given, labels)
    )
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='FusedImageHook', out_dir=str(Path(folder) / 'fused'))]


def augment(cfg: Config) -> None:
    """Switch test time augmentation on: the config's ``tta_pipeline``, or both horizontal flips where it has none.

    mmseg's model for it would drop the fused images.
    """
    dataset = cfg.test_dataloader.dataset
    dataset.pipeline = cfg.get('tta_pipeline') or flipped_pipeline(dataset.pipeline)
    model = cfg.get('tta_model') or dict(type='FusionTTAModel')
    if model['type'].endswith('SegTTAModel'):
        model = {**model, 'type': 'FusionTTAModel'}
    cfg.model = dict(model, module=cfg.model)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = runner_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint file (.pth)')
    parser.add_argument(
        '--show-dir',
        help='write a panel (visible, infrared, weights, fused, prediction, label) per pair to this folder',
    )
    parser.add_argument('--show', action='store_true', help='show the panels in a window instead')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window (default: 2)')
    parser.add_argument('--out', help='write label maps and fused images to this folder')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test time augmentation: tta_pipeline of the config, or both horizontal flips',
    )
    args = parser.parse_args(argv)
    with OneLineErrors(args) as outcome:
        cfg = runner_config(args)
        check_config(cfg, 'test')
        if not Path(args.checkpoint).is_file() and '://' not in args.checkpoint:
            raise FileNotFoundError(f'no checkpoint at {args.checkpoint}')
        cfg.load_from = args.checkpoint
        if args.show or args.show_dir:
            draw_panels(cfg, args.show_dir, args.show, args.wait_time)
        if args.out:
            save_outputs(cfg, args.out)
        if args.tta:
            augment(cfg)
            if args.show or args.show_dir:
                raise ValueError('a panel shows one pass; --show and --show-dir do not go with --tta')
        carry_out(cfg, 'test')
    return int(outcome.failed)


if __name__ == '__main__':
    sys.exit(main())
