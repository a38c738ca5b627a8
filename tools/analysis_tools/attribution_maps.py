"""Look at the attribution of one pair: where does the segmentor find its evidence, and what does the fusion do with it?

Writes NAME.png, a figure, and NAME.json, the numbers in it.

Examples:
    python tools/analysis_tools/attribution_maps.py CONFIG CHECKPOINT --ir ir.png --vi vi.png --out maps
    python tools/analysis_tools/attribution_maps.py CONFIG CHECKPOINT --index 3 --out maps
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DefaultScope
from torch import Tensor

from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import dataset_config, is_folder, list_pairs
from mmfusion.attribution import Scorer, evidence_prior, isolated, make_baseline, quadrature, region_attribution
from mmfusion.datasets import LoadPairAnnotations
from mmfusion.models import FusionSegmentor
from mmfusion.models.color import split_luminance
from mmfusion.registry import DATASETS
from mmfusion.visualization import to_uint8
from mmfusion.visualization.attribution_figure import AttributionReport, draw_attribution

NODES = (1, 2, 3, 5, 9)
CONVERGENCE_RULES = ('right', 'gauss_legendre')
# Defaults of UAAFusion, for fusions that attribute nothing themselves.
DEFAULTS = dict(steps=5, rule='midpoint', baseline='blur', estimator='exact')
SMOOTHING = 0.075
IGNORE = 255
# What wrong arguments and files lead to; anything else is a bug and keeps its traceback.
EXPECTED = (OSError, ValueError, TypeError, KeyError, ImportError, SyntaxError)


def class_scores(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean score of each class over its own region.

    Args:
        scores (Tensor): (B, C, H, W).
        labels (Tensor): Class ids (B, H, W); others than 0..C-1 belong to no region.

    Returns:
        Tensor: (B, C); 0 for a class without a region.
    """
    masks = labels[:, None] == torch.arange(scores.shape[1], device=labels.device).view(1, -1, 1, 1)
    return (scores * masks).sum((2, 3)) / masks.sum((2, 3)).clamp(min=1)


def path_integral(scorer: Scorer, image: Tensor, start: Tensor, labels: Tensor, steps: int, rule: str) -> Tensor:
    """Integrated gradients of the class scores, added over **all** pixels of the image.

    Args:
        scorer (Callable): (B, 1, H, W) to scores (B, C, H, W).
        image (Tensor): End of the path (B, 1, H, W).
        start (Tensor): Its start, the baseline, likewise.
        labels (Tensor): Class ids (B, H, W).
        steps (int): Nodes.
        rule (str): Quadrature rule.

    Returns:
        Tensor: (B, C). Converges to the difference of the scores at the two ends.
    """
    total: Tensor | float = 0.0
    with isolated(scorer, image.device):
        for node, weight in zip(*quadrature(rule, steps)):
            point = (start + node * (image - start)).requires_grad_()
            scores = class_scores(scorer(point), labels)
            # Samples do not depend on each other, so a class is one backward pass for all of them.
            gradients = [torch.autograd.grad(one.sum(), point, retain_graph=True)[0] for one in scores.unbind(1)]
            total = total + weight * torch.stack([(g * (image - start)).sum((1, 2, 3)) for g in gradients], dim=1)
    return total


def read_pair(fuse: FusionInferencer, args: argparse.Namespace) -> tuple[dict, np.ndarray | None]:
    """The pair as it leaves the pipeline, and its labels at the original size if there are any.

    Raises:
        ValueError: Folders instead of files, a pipeline that rejects the pair, or an index out of range.
    """
    if args.index is None:
        if is_folder(args.ir) or is_folder(args.vi):
            raise ValueError('--ir and --vi are files here: one figure is of one pair')
        packed = fuse.pipeline(dict(list_pairs(args.ir, args.vi)[0], seg_fields=[]))
    else:
        dataset = _build_dataset(fuse)
        if not 0 <= args.index < len(dataset):
            raise ValueError(f'--index must be in 0..{len(dataset) - 1}, the test data of the config; got {args.index}')
        packed = dataset[args.index]
    if packed is None:
        raise ValueError('the test pipeline of the config rejects this pair')
    sample = packed['data_samples']
    if args.label:
        about = _build_dataset(fuse, lazy_init=True)  # Its files need not be here.
        results = dict(
            seg_map_path=args.label,
            ori_shape=sample.ori_shape,
            img_path=sample.img_path,
            num_classes=len(fuse.classes),
            label_map=about.label_map,
            reduce_zero_label=about.reduce_zero_label,
        )
        return packed, LoadPairAnnotations().transform(results)['gt_seg_map']
    return packed, sample.gt_sem_seg.data[0].numpy() if 'gt_sem_seg' in sample else None


def _build_dataset(fuse: FusionInferencer, **options: object) -> BaseDataset:
    """The test data set of the config."""
    with DefaultScope.overwrite_default_scope(fuse.cfg.get('default_scope') or 'mmfusion'):
        return DATASETS.build({**dataset_config(fuse.cfg), **options})


def fit_labels(labels: np.ndarray, image_size: tuple[int, int], input_size: tuple[int, int]) -> Tensor:
    """Labels as large as the network's input.

    Args:
        labels (np.ndarray): Class ids (H, W) at the original size.
        image_size (tuple[int, int]): Height and width of the image in the network's input, in pixels.
        input_size (tuple[int, int]): Height and width of the input, in pixels: padded at the right and the bottom.

    Returns:
        Tensor: (1, H', W') int64; 255 in the padding.
    """
    resized = F.interpolate(torch.from_numpy(labels.astype(np.float32))[None, None], image_size, mode='nearest-exact')
    padding = (0, input_size[1] - image_size[1], 0, input_size[0] - image_size[0])
    return F.pad(resized[0], padding, value=IGNORE).long()


def attribution_options(model: FusionSegmentor, steps: int | None) -> dict:
    """How the regions are attributed: as the fusion does, else by our defaults.

    Raises:
        ValueError: So many nodes do not go with the fusion's rule or estimator.
    """
    fusion = model.fusion
    options = {name: getattr(fusion, name, value) for name, value in DEFAULTS.items()}
    if steps is not None:
        if options['estimator'] not in ('exact', 'multiplexed'):
            raise ValueError(
                f'--steps has no effect on the estimator {options["estimator"]!r}, which integrates '
                'nothing; leave it out'
            )
        quadrature(options['rule'], steps)
        options['steps'] = steps
        if hasattr(fusion, 'steps'):
            fusion.steps = steps
    return options


def labels_of(model: FusionSegmentor, logits: Tensor) -> Tensor:
    """Class ids (B, H, W) of raw outputs (B, C, H, W), by mmseg's rule; heads of one channel have a threshold."""
    return logits.argmax(1) if logits.shape[1] > 1 else (logits.sigmoid() > model.decode_head.threshold)[:, 0].long()


def analyse(fuse: FusionInferencer, packed: dict, labels: np.ndarray | None, steps: int | None) -> AttributionReport:
    """Attribute the segmentor on one pair.

    Args:
        fuse (FusionInferencer): The model.
        packed (dict): The pair as it leaves the pipeline.
        labels (np.ndarray, optional): Class ids (H, W) at the original size. Without them the regions are those that
            the fusion predicts.
        steps (int, optional): Nodes of the attribution; those of the fusion by default.

    Returns:
        AttributionReport: At the size that the network sees, without padding.

    Raises:
        ValueError: See :func:`attribution_options`.
    """
    model = fuse.model
    options = attribution_options(model, steps)
    data = model.data_preprocessor(pseudo_collate([packed]), False)
    inputs, metas = data['inputs'], [data['data_samples'][0].metainfo]
    size = height, width = tuple(metas[0]['img_shape'])
    padding = torch.ones(1, *inputs.shape[-2:], dtype=torch.bool, device=inputs.device)
    padding[:, :height, :width] = False
    given = None if labels is None else fit_labels(labels, size, inputs.shape[-2:]).to(inputs.device)
    scorer = model.scorer()
    both = torch.cat([inputs[:, 3:], split_luminance(inputs[:, :3])[0]])
    with torch.no_grad():
        image, result = model.fuse(inputs, given, ignore=padding)
        prediction = labels_of(model, model.segmentor.inference(model.normalize(image), metas))
        if given is None:
            given = result.labels if result.labels is not None else scorer(both.mean(0, keepdim=True)).argmax(1)
            given = given.masked_fill(padding, IGNORE)
    twice = given.expand(2, -1, -1)
    used = result.region_ir is not None
    regions = (
        torch.cat([result.region_ir, result.region_vi])
        if used
        else region_attribution(
            scorer, both, twice, scorer.num_classes, **options, pairs=getattr(model.fusion, 'test_pairs', 1)
        )
    )

    start = make_baseline(both, options['baseline'])
    with isolated(scorer, both.device), torch.no_grad():
        difference = class_scores(scorer(both), twice) - class_scores(scorer(start), twice)
    integrals = {
        rule: torch.stack([path_integral(scorer, both, start, twice, steps, rule) for steps in NODES]).cpu().numpy()
        for rule in CONVERGENCE_RULES
    }
    prior = evidence_prior(
        given,
        scorer.num_classes,
        estimator=options['estimator'],
        region=getattr(model.fusion, 'region', 'sample'),
        smoothing=getattr(model.fusion, 'smoothing', SMOOTHING),
    )
    attention = [one[0, 0, :height, :width].cpu().float().numpy() for one in result.attention]
    shown = getattr(model.fusion, 'attention', None) is not None
    return AttributionReport(
        visible=to_uint8(inputs[0, :3, :height, :width]),
        infrared=to_uint8(inputs[0, 3:, :height, :width]),
        fused=to_uint8(image[0, :, :height, :width]),
        weight_ir=result.weight_ir[0, 0, :height, :width].cpu().float().numpy(),
        prediction=prediction[0, :height, :width].cpu().numpy(),
        labels=given[0, :height, :width].cpu().numpy(),
        labels_from='predicted' if labels is None else 'given',
        classes=fuse.classes,
        palette=fuse.palette,
        region_ir=regions[0].cpu().numpy(),
        region_vi=regions[1].cpu().numpy(),
        options=dict(options, used=used),
        prior=prior[0].cpu().numpy(),
        attention=np.stack(attention) if shown and attention else np.zeros((0, height, width), np.float32),
        nodes=NODES,
        score_difference=difference.cpu().numpy(),
        integrals=integrals,
    )


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or name of a config of this project')
    parser.add_argument('checkpoint', help='checkpoint file (.pth)')
    parser.add_argument('--ir', metavar='PATH', help='infrared image')
    parser.add_argument('--vi', metavar='PATH', help='visible image')
    parser.add_argument('--label', metavar='PATH', help='label map of the pair: class ids in one channel')
    parser.add_argument(
        '--index', type=int, metavar='I', help="the I-th pair of the config's test data instead of files"
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU, if there is one)')
    parser.add_argument('--steps', type=int, metavar='N', help="nodes of the attribution (default: the config's)")
    args = parser.parse_args(argv)
    if (args.index is None) == (args.ir is None and args.vi is None) or (args.ir is None) != (args.vi is None):
        parser.error('give --ir and --vi, or --index')
    if args.index is not None and args.label:
        parser.error('--label goes with --ir and --vi; the pair of --index has the labels of the data set')
    return args


def write(report: AttributionReport, figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write figure and numbers; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f'{name}.png', folder / f'{name}.json']
    figure.savefig(files[0])
    files[1].write_text(json.dumps(report.numbers(), indent=2) + '\n')
    return files


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    try:
        fuse = FusionInferencer(args.config, args.checkpoint, args.device)
        packed, labels = read_pair(fuse, args)
        report = analyse(fuse, packed, labels, args.steps)
        name = Path(packed['data_samples'].img_path).stem
        figure = draw_attribution(report, f'{name}  |  {Path(args.config).stem}')
        files = write(report, figure, Path(args.out), name)
    except EXPECTED as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    print('wrote', *files)
    return 0


if __name__ == '__main__':
    sys.exit(main())
