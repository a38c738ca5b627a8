"""All that is asked of the interventions on one trained model."""

from collections.abc import Sequence
from typing import Any

from mmfusion.apis import FusionInferencer

from .attention_effect import Progress, measure_sizes, silent
from .fusion_options import attention_of
from .interventions import INTERVENTIONS, measure_interventions, possible_interventions
from .scenes import batch_ranges, build_dataset, read_scene
from .tally import miou_options

LABELS = ('predicted', 'given')


def intervention_report(
    inferencer: FusionInferencer,
    labels: Sequence[str] = LABELS,
    limit: int | None = None,
    batch_size: int | None = None,
    sizes: Sequence[int] = (),
    size_scenes: int = 4,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure every intervention, and the effect of the attention by image size.

    Args:
        inferencer (FusionInferencer): A trained model with a UAAFusion.
        labels (Sequence[str]): Labels that the fusion attributes, one after the other: of ``LABELS``.
        limit (int, optional): The first so many test pairs; all by default.
        batch_size (int, optional): Pairs per batch; the config's by default.
        sizes (Sequence[int]): Sides in pixels, for the effect of the attention; with the first of the labels.
        size_scenes (int): Pairs for ``sizes``.
        progress (Callable): Shows how far it is.

    Returns:
        dict: ``scenes``, ``batch_size``, ``classes``; ``interventions``, by labels what
        :func:`~mmfusion.analysis.interventions.measure_interventions` gives; ``sizes``, what
        :func:`~mmfusion.analysis.attention_effect.measure_sizes` gives; ``size_labels``, ``size_scenes``; ``left_out``,
        names of interventions that can do nothing here.

    Raises:
        ValueError: The config has no test data, or they have no labels.
    """
    dataset, fusion = build_dataset(inferencer), inferencer.model.fusion
    classes = list(dataset.metainfo['classes'])
    options = miou_options(inferencer)
    scenes = min(len(dataset), limit or len(dataset))
    batch_size = batch_size or inferencer.cfg.test_dataloader.get('batch_size', 1)
    batches = batch_ranges(scenes, batch_size)
    chosen = possible_interventions(fusion, batches)
    by_labels = {}
    for source in labels:
        packed = ([read_scene(dataset, index) for index in batch] for batch in progress(batches, f'{source} labels'))
        by_labels[source] = measure_interventions(
            inferencer.model, packed, chosen, len(classes), source, options.ignore_index, options.nan_to_num
        )
    size_scenes = min(size_scenes, scenes)
    by_size = []
    if attention_of(fusion) is not None:
        by_size = measure_sizes(inferencer, dataset, sizes, size_scenes, labels[0], options.ignore_index, progress)
    return dict(
        scenes=scenes,
        batch_size=batch_size,
        classes=classes,
        interventions=by_labels,
        sizes=by_size,
        size_labels=labels[0],
        size_scenes=size_scenes,
        left_out=[intervention.name for intervention in INTERVENTIONS if intervention not in chosen],
    )
