"""Make the pairs that CWFIDDataset reads of CWFID as it is downloaded.

Wanted: images, annotations and train_test_split.yaml, at the top of the archive or below a folder or two
(github.com/cwfid/dataset; an archive of the repository is right). The bands of an image become two images, red light as
visible and near-infrared as infrared, and the colours of an annotation ids: {train,test}/{vi,ir,labels}, at half of the
size. Which band is near-infrared is found from the plants, which reflect it. For non-commercial research only.

Examples:
    python tools/dataset_converters/cwfid.py dataset-master.zip --out data/cwfid
    python tools/dataset_converters/cwfid.py dataset-master.zip --out data/cwfid --nir-channel 1 --red-channel 0
"""

import sys

from mmfusion.conversion_command import converter_parser, run_converter
from mmfusion.datasets.conversion import CWFIDRecipe


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = converter_parser(__doc__, 'data/cwfid')
    bands = dict(type=int, choices=(0, 1, 2), metavar='0|1|2')
    parser.add_argument('--nir-channel', help='band of near-infrared: 0 R, 1 G, 2 B (default: found)', **bands)
    parser.add_argument('--red-channel', help='band of red light (default: found)', **bands)
    parser.add_argument('--scale', type=float, default=0.5, help='size of the result (default: 0.5)')
    args = parser.parse_args(argv)
    return run_converter(args, lambda: CWFIDRecipe(args.nir_channel, args.red_channel, args.scale))


if __name__ == '__main__':
    sys.exit(main())
