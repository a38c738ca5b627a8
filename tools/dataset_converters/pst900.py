"""Check PST900 as it is downloaded, and make the tree that PST900Dataset reads.

Wanted: {train,test}/{rgb,thermal,labels}, at the top of the archive (PST900_RGBT_Dataset) or below a folder or two
(github.com/ShreyasSkandanS/pst900_thermal_rgb). The same tree is written, without depth, with train.txt and test.txt,
which list the pairs.

Examples:
    python tools/dataset_converters/pst900.py PST900_RGBT_Dataset.zip --out data/pst900
    python tools/dataset_converters/pst900.py PST900_RGBT_Dataset.zip --out data/pst900 --raw
"""

import sys

from mmfusion.conversion_command import converter_parser, run_converter
from mmfusion.datasets.conversion import pst900


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = converter_parser(__doc__, 'data/pst900')
    parser.add_argument('--raw', action='store_true', help='take the thermal images of 16 bit along, thermal_raw')
    args = parser.parse_args(argv)
    return run_converter(args, lambda: pst900(args.raw))


if __name__ == '__main__':
    sys.exit(main())
