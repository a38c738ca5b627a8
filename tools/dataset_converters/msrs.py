"""Check MSRS as it is downloaded, and make the tree that MSRSDataset reads.

Wanted: {train,test}/{vi,ir,Segmentation_labels}, at the top of the archive or below a folder or two
(github.com/Linfeng-Tang/MSRS; an archive of the repository is right). The same tree is written, with train.txt and
test.txt, which list the pairs.

Examples:
    python tools/dataset_converters/msrs.py MSRS-main.zip --out data/msrs
    python tools/dataset_converters/msrs.py data/msrs --dry-run
"""

import sys

from mmfusion.conversion_command import converter_parser, run_converter
from mmfusion.datasets.conversion import msrs


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = converter_parser(__doc__, 'data/msrs')
    args = parser.parse_args(argv)
    return run_converter(args, msrs)


if __name__ == '__main__':
    sys.exit(main())
