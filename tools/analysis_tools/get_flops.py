"""Operations of a prediction, and parameters part by part.

As mmseg's tool of this name, for a model that takes pairs. Operations are those of matrix products and convolutions,
two for each product and sum, with the passes that attribution takes.

Examples:
    python tools/analysis_tools/get_flops.py CONFIG --shape 480 640
    python tools/analysis_tools/get_flops.py CONFIG --cfg-options model.fusion.num_stages=3
"""

import argparse
import sys

from mmengine.config import DictAction
from rich.console import Console
from rich.table import Table

from mmfusion.analysis import cost_of_prediction
from mmfusion.command_line import OneLineErrors, add_traceback, read_config


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or name of a config of this project')
    parser.add_argument(
        '--shape', type=int, nargs='+', default=[480, 640], help='height and width of a pair (default: 480 640)'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override the config')
    add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args, console = parse_args(argv), Console()
    with OneLineErrors(args) as outcome:
        cfg = read_config(args.config, args.cfg_options)
        cost = cost_of_prediction(cfg, args.shape)
        height, width = cost.shape
        console.print(f'{cost.operations / 1e9:.2f} GFLOP for one pair of {height} x {width}')
        table = Table()
        table.add_column('part')
        table.add_column('parameters, M', justify='right')
        for name, number in {**cost.parameters, 'all': sum(cost.parameters.values())}.items():
            table.add_row(name, f'{number / 1e6:.3f}')
        console.print(table)
    return int(outcome.failed)


if __name__ == '__main__':
    sys.exit(main())
