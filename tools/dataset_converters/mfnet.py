"""Check MFNet's data set as it is downloaded, and make the tree that MFNetDataset reads.

Wanted: images, labels, train.txt, val.txt and test.txt, at the top of the archive (ir_seg_dataset) or below a folder or
two; test_day.txt and test_night.txt are taken along (www.mi.t.u-tokyo.ac.jp/static/projects/mil_multispectral). An
image has four channels, the last one thermal, and stays one file. Mirrored copies (*_flip) are left out.

Examples:
    python tools/dataset_converters/mfnet.py ir_seg_dataset.zip --out data/mfnet
    python tools/dataset_converters/mfnet.py data/mfnet --dry-run
"""

import sys

from mmfusion.conversion_command import converter_parser, run_converter
from mmfusion.datasets.conversion import mfnet


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = converter_parser(__doc__, 'data/mfnet')
    args = parser.parse_args(argv)
    return run_converter(args, mfnet)


if __name__ == '__main__':
    sys.exit(main())
