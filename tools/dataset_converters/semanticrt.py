"""Check SemanticRT as it is downloaded, and make the tree that SemanticRTDataset reads.

Wanted: rgb, thermal, labels, train.txt, val.txt and test.txt, at the top of the archive (SemanticRT_dataset) or below a
folder or two; test_day.txt, test_night.txt, test_mo.txt, test_mc.txt and test_hard.txt are taken along
(github.com/jiwei0921/SemanticRT). For non-commercial research only.

Examples:
    python tools/dataset_converters/semanticrt.py SemanticRT_dataset.zip --out data/semanticrt
    python tools/dataset_converters/semanticrt.py data/semanticrt --dry-run
"""

import sys

from mmfusion.conversion_command import converter_parser, run_converter
from mmfusion.datasets.conversion import semanticrt


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = converter_parser(__doc__, 'data/semanticrt')
    args = parser.parse_args(argv)
    return run_converter(args, semanticrt)


if __name__ == '__main__':
    sys.exit(main())
