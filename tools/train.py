"""Train fusion and segmentation jointly.

Examples:
    python tools/train.py configs/uaafusion/uaafusion_unet-tiny_1xb4-300_synthetic-96x128.py
    python tools/train.py CONFIG --resume
    python tools/train.py CONFIG --cfg-options train_dataloader.batch_size=2 randomness.seed=1
"""

import sys

from mmfusion.command_line import OneLineErrors, runner_config, runner_parser
from mmfusion.engine.autocast import use_amp
from mmfusion.engine.config_checks import check_config
from mmfusion.engine.run import carry_out


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error. A run that a signal stopped leaves with 128 and the signal's number.
    """
    parser = runner_parser(__doc__)
    parser.add_argument(
        '--resume', action='store_true', help='go on from the latest checkpoint in the work folder, if there is one'
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision: float16 on a GPU, bfloat16 elsewhere'
    )
    args = parser.parse_args(argv)
    with OneLineErrors(args) as outcome:
        cfg = runner_config(args)
        check_config(cfg, 'train')
        use_amp(cfg, args.amp)
        if args.resume:
            cfg.resume = True
        carry_out(cfg, 'train')
    return int(outcome.failed)


if __name__ == '__main__':
    sys.exit(main())
