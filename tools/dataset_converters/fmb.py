"""Check FMB as it is downloaded, and make the tree that FMBDataset reads.

Wanted: {train,test}/{Visible,Infrared,Label}, at the top of the archive or below a folder or two
(github.com/JinyuanLiu-CV/SegMiF). The same tree is written, without the labels in colour, with train.txt and test.txt,
which list the pairs.

Examples:
    python tools/dataset_converters/fmb.py FMB.zip --out data/fmb
    python tools/dataset_converters/fmb.py data/fmb --dry-run
"""

import sys

from mmfusion.conversion_command import converter_parser, run_converter
from mmfusion.datasets.conversion import fmb


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = converter_parser(__doc__, 'data/fmb')
    args = parser.parse_args(argv)
    return run_converter(args, fmb)


if __name__ == '__main__':
    sys.exit(main())
