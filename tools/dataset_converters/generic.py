r"""Make a tree of splits of pairs of your own: two folders, labels and lists.

Files belong together by their name without suffix. The result is {train,val,test}/{vi,ir,labels} and a list of each
split, for PairedSegDataset. If --vi and --ir are one folder, its images have four channels, the last one infrared.

Examples:
    python tools/dataset_converters/generic.py recordings.zip --vi rgb --ir thermal --labels masks \
        --classes background person --test-list test.txt --out data/mine
    python tools/dataset_converters/generic.py recordings --vi rgb --ir thermal --labels masks \
        --classes background person --val-list val.txt --test-list test.txt --out data/mine --dry-run
"""

import sys
from pathlib import Path

from mmfusion.conversion_command import converter_parser, run_converter
from mmfusion.datasets.conversion import GenericRecipe


def _lists(**files: Path | None) -> dict[str, list[str]]:
    """Stems in the files that were given, by their split."""
    lines = {split: path.read_text(encoding='utf-8').split() for split, path in files.items() if path is not None}
    empty = [str(files[split]) for split, stems in lines.items() if not stems]
    if empty:
        raise ValueError(f'{", ".join(empty)} names no pair')
    return lines


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = converter_parser(__doc__, 'data/mine')
    parser.add_argument('--vi', required=True, metavar='FOLDER', help='visible images, in the source')
    parser.add_argument('--ir', required=True, metavar='FOLDER', help='infrared images, in the source')
    parser.add_argument('--labels', required=True, metavar='FOLDER', help='maps of class ids, in the source')
    parser.add_argument('--classes', required=True, nargs='+', metavar='NAME', help='class names, in the order of ids')
    parser.add_argument('--test-list', required=True, type=Path, metavar='FILE', help='names of the test pairs')
    parser.add_argument('--val-list', type=Path, metavar='FILE', help='names of the validation pairs')
    args = parser.parse_args(argv)

    def recipe() -> GenericRecipe:
        folders = dict(vi=args.vi.strip('/'), ir=args.ir.strip('/'), labels=args.labels.strip('/'))
        return GenericRecipe(folders, args.classes, _lists(val=args.val_list, test=args.test_list))

    return run_converter(args, recipe)


if __name__ == '__main__':
    sys.exit(main())
