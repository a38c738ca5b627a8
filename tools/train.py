"""Train fusion and segmentation jointly.

Examples:
    python tools/train.py configs/uaafusion/uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py
    python tools/train.py CONFIG --resume
    python tools/train.py CONFIG --cfg-options train_dataloader.batch_size=2 randomness.seed=1
"""

import sys

import torch
from mmengine.config import Config

from mmfusion.command_line import OneLineErrors, runner_config, runner_parser
from mmfusion.engine.config_checks import check_config
from mmfusion.engine.run import carry_out


def enable_amp(cfg: Config) -> None:
    """Switch the config to mixed precision.

    Raises:
        ValueError: There is no GPU (mmengine's wrapper for mixed precision refuses a CPU), or the optimizer wrapper is
            not a plain one.
    """
    if cfg.optim_wrapper.type == 'AmpOptimWrapper':
        return
    if not torch.cuda.is_available():
        raise ValueError('--amp needs a GPU, and torch sees none')
    if cfg.optim_wrapper.type != 'OptimWrapper':
        raise ValueError(
            f'--amp replaces an optimizer wrapper of type OptimWrapper, but the config has a '
            f'{cfg.optim_wrapper.type}; set the precision in the config'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.loss_scale = 'dynamic'


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error. A run that a signal stopped leaves with 128 and the signal's number.
    """
    parser = runner_parser(__doc__)
    parser.add_argument(
        '--resume', action='store_true', help='go on from the latest checkpoint in the work folder, if there is one'
    )
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    args = parser.parse_args(argv)
    with OneLineErrors(args) as outcome:
        cfg = runner_config(args)
        check_config(cfg, 'train')
        if args.amp:
            enable_amp(cfg)
        if args.resume:
            cfg.resume = True
        carry_out(cfg, 'train')
    return int(outcome.failed)


if __name__ == '__main__':
    sys.exit(main())
