"""Convert a checkpoint of the released UAAFusion code to one that `tools/test.py` loads.

Examples:
    python tools/model_converters/released_to_mmfusion.py released.pth converted.pth
    python tools/test.py configs/uaafusion/uaafusion-released_mobilenet-v2_1xb8-40e_fmb-256x256.py converted.pth
"""

import argparse
import io
import sys
from pathlib import Path

import torch
from mmengine.runner import CheckpointLoader

from mmfusion import __version__
from mmfusion.command_line import OneLineErrors, add_common
from mmfusion.engine.atomic_files import write_atomically
from mmfusion.released import convert_fusion_state_dict, convert_segmentor_state_dict


def convert(source: Path, target: Path) -> list[str]:
    """Convert one checkpoint.

    Args:
        source (Path): Released checkpoint with ``model_f`` (fusion), ``model_s`` (segmentor) or both.
        target (Path): Where to write the converted one. Written at once, so that a failure leaves nothing behind.

    Returns:
        list[str]: What was converted.

    Raises:
        FileNotFoundError: No file at ``source``.
        ValueError: The file is no checkpoint, or of another architecture.
    """
    if not source.is_file():
        raise FileNotFoundError(f'no checkpoint at {source}')
    checkpoint = CheckpointLoader.load_checkpoint(str(source), map_location='cpu', logger='silent')
    if not {'model_f', 'model_s'} & set(checkpoint):
        raise ValueError(f'{source} holds neither model_f nor model_s, but {sorted(map(str, checkpoint))[:10]}')
    state_dict, done = {}, []
    if 'model_f' in checkpoint:
        sizes, weights = convert_fusion_state_dict(checkpoint)
        state_dict.update({f'fusion.{name}': value for name, value in weights.items()})
        done.append(f'fusion network with {sizes["num_stages"]} stages of {sizes["channels"]} channels')
    if 'model_s' in checkpoint:
        weights = convert_segmentor_state_dict(checkpoint)
        state_dict.update({f'segmentor.{name}': value for name, value in weights.items()})
        done.append('segmentor')
    content = io.BytesIO()
    torch.save({'meta': {'mmfusion_version': __version__, 'source': source.name}, 'state_dict': state_dict}, content)
    write_atomically(target, content.getvalue())
    return done


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='released checkpoint (.pth)')
    parser.add_argument('target', type=Path, help='where to write the converted checkpoint')
    add_common(parser)
    args = parser.parse_args(argv)
    with OneLineErrors(args) as outcome:
        done = convert(args.source, args.target)
    if outcome.failed:
        return 1
    print(f'{args.target}: {" and ".join(done)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
