"""Fuse and segment pairs with one call."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from mmseg.structures import SegDataSample
from rich.console import Console
from rich.progress import track

from mmfusion.engine.checkpoint import check_content, compare_checkpoint, weights_for
from mmfusion.evaluation import FusionMetric
from mmfusion.models import FusionModel, FusionSegmentor
from mmfusion.registry import DATASETS, MODELS

from .confidence import check_confidence, leave_unsure
from .configs import fusion_without_training, load_config
from .full_size import fuse_whole, pack_pair
from .inputs import Image, build_pipeline, dataset_config, is_folder, list_pairs
from .output import ResultWriter, arrays_of
from .tiles import Tiling, predict_in_tiles


class FusionInferencer:
    """A model from a config and a checkpoint, as a function of pairs.

    Args:
        config_or_name (str | os.PathLike | Config, optional): Path of a config file, an mmengine config, or the name of
            a config of this project, see :func:`~mmfusion.apis.config_names`. Without one, pairs are fused by what
            stands out in them (``SalienceFusion``): no weights, no classes.
        checkpoint (str | os.PathLike, optional): File or URL of a checkpoint, which must hold every weight of the
            model. Without one the weights are random, and the log warns: a fixed fusion such as ``AverageFusion``
            still gives its image, but labels mean nothing.
        device (str | torch.device, optional): Default: ``cuda`` where there is a GPU, else ``cpu``.
        ir_range (str | Sequence[float], optional): The raw infrared values that become black and white, in the place of
            what the pipeline says: 'auto', 'dtype' or two numbers; see
            :class:`~mmfusion.datasets.LoadPairFromFile`.
        resize_to (str, optional): For images of two sizes that show the same area: 'vi' or 'ir', whose size both get.
        align (str | dict, optional): For pairs that are not quite registered: 'translation', 'euclidean', 'affine' or
            'homography', or all options of :class:`~mmfusion.datasets.AlignPair`, which moves the infrared image and
            refuses what it cannot align.
        tile (int, optional): Side in pixels of the tiles in which larger pairs are predicted, for images that do not
            fit into memory as a whole. What a network sees beyond a tile is lost; see :class:`~mmfusion.apis.Tiling`.
        tile_overlap (int, optional): Pixels that neighbouring tiles share. Default: 64, or half of a smaller tile.
        min_confidence (float, optional): The least probability (softmax of the scores), in [0, 1], of pixels that keep
            their class. All others get 255, no class: label maps that are to be trained on.
        full_size (bool, optional): Fuse the pair as it was loaded where the config's pipeline resizes it: the segmentor
            reads it at the config's size, the fused image has all the detail of its sources, and the fusion is
            computed twice. By default for fusions that ask no segmentor, such as rules and a gate; others would
            attribute the segmentor at that size.

    Attributes:
        cfg (Config): The config.
        model (FusionSegmentor | FusionModel): In evaluation mode.
        device (torch.device): Where the model is.
        classes (tuple[str, ...]): Class names: those that the checkpoint was trained with, else the config's.
        palette (list[list[int]]): R, G and B in 0..255 per class.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        TypeError: The model is no ``FusionSegmentor`` or ``FusionModel``, or an argument has the wrong type.
        ValueError: A checkpoint without a config; unknown name or device; the checkpoint is unreadable or of another
            architecture; the config has no test pipeline for pairs.

    Examples:
        >>> import logging, numpy as np
        >>> from mmengine.logging import MMLogger
        >>> MMLogger.get_current_instance().setLevel(logging.ERROR)  # No warning of random weights.
        >>> fuse = FusionInferencer('average_unet-tiny_1xb4-300_synthetic-96x128', device='cpu')
        >>> result = fuse(ir=np.full((48, 64), 200, np.uint8), vi=np.full((48, 64, 3), 100, np.uint8))
        >>> result['fused'][0].shape, int(result['fused'][0].mean()), result['classes']
        ((48, 64, 3), 150, ('background', 'warm', 'printed', 'vehicle'))
    """

    def __init__(
        self,
        config_or_name: str | os.PathLike | Config | None = None,
        checkpoint: str | os.PathLike | None = None,
        device: str | torch.device | None = None,
        ir_range: str | Sequence[float] | None = None,
        resize_to: str | None = None,
        align: str | dict | None = None,
        tile: int | None = None,
        tile_overlap: int | None = None,
        min_confidence: float | None = None,
        full_size: bool | None = None,
    ) -> None:
        self.tiling = None if tile is None else Tiling.of(tile, tile_overlap)
        if config_or_name is None and checkpoint is not None:
            raise ValueError(f'the checkpoint {checkpoint} needs the config that it was trained with')
        self.cfg = fusion_without_training() if config_or_name is None else load_config(config_or_name)
        if not isinstance(self.cfg.get('model'), Mapping) or 'type' not in self.cfg.model:
            raise ValueError('the config has no model')
        self.device = self._check_device(device)
        # For this block only: other code of the process may have a scope of its own.
        with DefaultScope.overwrite_default_scope(self.cfg.get('default_scope') or 'mmfusion'):
            self.pipeline = build_pipeline(self.cfg, ir_range, resize_to, align)
            self.model = self._build_model()
            meta = self._load_weights(checkpoint)
            self.classes, self.palette = self._find_classes(meta)
        if self.tiling is not None and getattr(self.model, 'stretch', False):
            raise ValueError(
                'stretch=True stretches an image by its own range, which tiles do not know; leave out tile'
            )
        check_confidence(min_confidence, self.model.num_classes)
        self.min_confidence = min_confidence
        self.full_size = not getattr(self.model.fusion, 'asks_segmentor', False) if full_size is None else full_size
        self.model.to(self.device).eval()

    @staticmethod
    def _check_device(device: str | torch.device | None) -> torch.device:
        if device is None:
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        try:
            found = torch.device(device)
        except RuntimeError as error:
            raise ValueError(f'unknown device {device!r}; such as "cpu", "cuda" or "cuda:1"') from error
        if found.type == 'cuda' and (found.index or 0) >= torch.cuda.device_count():
            raise ValueError(
                f'there is no device {found}: torch sees {torch.cuda.device_count()} GPUs; choose another one, or "cpu"'
            )
        return found

    def _build_model(self) -> FusionSegmentor | FusionModel:
        model = MODELS.build(self.cfg.model)
        if not isinstance(model, (FusionSegmentor, FusionModel)):
            raise TypeError(
                f'the model of the config is a {type(model).__name__}, which does not fuse; put a '
                'FusionSegmentor around it'
            )
        return model

    def _load_weights(self, checkpoint: str | os.PathLike | None) -> dict:
        """Load the weights; returns what the checkpoint says about its data set."""
        if checkpoint is None:
            self._warn_of_random_weights()
            return {}
        path = os.fspath(checkpoint)
        content = _read_checkpoint(path)
        check_content(self.model, content, path)
        fit = compare_checkpoint(self.model, content)
        if not fit.complete:
            raise ValueError(fit.describe(path))
        if fit.unknown:
            print_log(
                f'the checkpoint {path} has {len(fit.unknown)} weights that the model has not, such as '
                f'{list(fit.unknown[:3])}; is it of this config?',
                'current',
                logging.WARNING,
            )
        weights = weights_for(self.model, content)
        self.model.load_state_dict({name: weights[name] for name in fit.fitting})
        meta = (content.get('meta') or {}).get('dataset_meta') or {}
        if meta.get('drawn'):
            print_log(
                f'the network of {path} was trained on drawn scenes: on photographs its classes are guesses',
                'current',
                logging.WARNING,
            )
        return meta

    def _warn_of_random_weights(self) -> None:
        learned = any(True for _ in self.model.fusion.parameters())
        useless = [*(('fused images', 'weights') if learned else ()), *(('labels',) if self.model.num_classes else ())]
        if useless:
            told = ' and '.join(filter(None, [', '.join(useless[:-1]), useless[-1]]))
            print_log(
                f'no checkpoint: the weights of the model are random, so its {told} mean nothing',
                'current',
                logging.WARNING,
            )

    def _find_classes(self, meta: dict) -> tuple[tuple[str, ...], list[list[int]]]:
        """Names and colours of as many classes as the model has: the checkpoint's, else the config's, else numbers."""
        number = self.model.num_classes
        if not number:
            return (), []
        if len(meta.get('classes') or ()) != number:
            meta = self._metainfo_of_dataset()
        if len(meta.get('classes') or ()) != number:
            meta = dict(classes=[str(i) for i in range(number)])
        palette = meta.get('palette') or ()
        if len(palette) != number:
            palette = _rainbow(number)
        return tuple(meta['classes']), [[int(value) for value in color] for color in palette]

    def _metainfo_of_dataset(self) -> dict:
        """What the data set of the config says about its classes; empty if the config names none."""
        dataset = dict(dataset_config(self.cfg))
        # What wraps other data sets has no classes of its own.
        if not {'type', 'pipeline'} <= set(dataset):
            return {}
        # Not opened: its files need not be here.
        return DATASETS.build({**dataset, 'lazy_init': True}).metainfo

    def _collect(self, ir: Image | Sequence[Image], vi: Image | Sequence[Image], allow_unpaired: bool) -> list[dict]:
        suffixes = {key: value for key, value in dataset_config(self.cfg).items() if key in ('vi_suffix', 'ir_suffix')}
        return list_pairs(ir, vi, allow_unpaired, suffixes)

    def _open_writer(
        self,
        out_dir: str | os.PathLike | None,
        ir: Image | Sequence[Image],
        vi: Image | Sequence[Image],
        items: list[dict],
        **options: Any,
    ) -> ResultWriter | None:
        if out_dir is None:
            return None
        writer = ResultWriter(out_dir, self.classes, self.palette, **options)
        names = [item['name'] for item in items]
        if is_folder(ir) and is_folder(vi):
            writer.check(names, [ir, vi], whole=True)
        else:
            writer.check(names, _folders_of(items), whole=False)
        return writer

    def _predict_all(
        self, items: list[dict], batch_size: int, show_bar: bool, errors: list[tuple[str, str]] | None
    ) -> Iterator[tuple[str, torch.Tensor, SegDataSample]]:
        """Name, input as it left the pipeline and prediction of every pair; what cannot be read goes to the errors."""
        for start in progress(range(0, len(items), batch_size), show_bar):
            packed = []
            for item in items[start : start + batch_size]:
                try:
                    packed.append((item['name'], *pack_pair(self.pipeline, item)))
                except (OSError, ValueError) as error:
                    if errors is None:
                        raise
                    errors.append((item['name'], ' '.join(str(error).split())))
            if packed:
                names, batch, wholes = zip(*packed)
                yield from self._at_full_size(names, self._predict(list(batch)), wholes)

    def _at_full_size(
        self,
        names: Sequence[str],
        predicted: Iterable[tuple[torch.Tensor, SegDataSample]],
        wholes: Sequence[dict | None],
    ) -> Iterator[tuple[str, torch.Tensor, SegDataSample]]:
        """Predictions with the fused image of the pair as it was loaded, and classes where they are sure."""
        due = [whole for whole in wholes if whole is not None] if self.full_size else []
        fused = iter(fuse_whole(self.model, due, self.tiling) if due else ())
        for name, (pair, sample), whole in zip(names, predicted, wholes):
            if self.min_confidence is not None:
                leave_unsure(sample, self.min_confidence)
            if self.full_size and whole is not None:
                found = next(fused)
                sample.set_data(dict(fused_img=found.fused_img, fusion_weights=found.fusion_weights))
                pair = whole['inputs']
            yield name, pair, sample

    def _predict(self, batch: list[dict]) -> Iterator[tuple[torch.Tensor, SegDataSample]]:
        """Inputs as they left the pipeline and predictions of one batch."""
        if self.tiling is not None and not all(self.tiling.fits(packed['inputs']) for packed in batch):
            threshold = getattr(getattr(self.model, 'decode_head', None), 'threshold', None)
            with torch.no_grad():
                found = [predict_in_tiles(self.model.test_step, packed, self.tiling, threshold) for packed in batch]
            return zip([packed['inputs'] for packed in batch], found)
        data = pseudo_collate(batch)
        with torch.no_grad():
            samples = self.model.test_step(data)
        return zip(data['inputs'], samples)

    def __call__(
        self,
        ir: Image | Sequence[Image],
        vi: Image | Sequence[Image],
        out_dir: str | os.PathLike | None = None,
        batch_size: int = 1,
        allow_unpaired: bool = False,
        return_arrays: bool = True,
        save: Sequence[str] | None = None,
        image_format: str = 'png',
        skip_errors: bool = False,
        metrics: Sequence[str] = (),
    ) -> dict:
        """Fuse and segment pairs.

        The test pipeline of the config is used without its label loading.

        Args:
            ir (Image | Sequence[Image]): Infrared: the path of an image, an array, a list of paths or arrays, or a
                folder. Arrays are (H, W): uint8, uint16 (see ``ir_range``) or float on the 0..255 scale; three
                channels become one as those of a file do.
            vi (Image | Sequence[Image]): Visible, likewise. Arrays are (H, W, 3) in **B, G, R** order, as
                OpenCV reads them, or (H, W). Both images of a pair have one size. The n-th images of two lists
                belong together; files of two folders are matched by name, sub-folders included.
            out_dir (str | os.PathLike, optional): Folder for ``fused/NAME.png``, ``weights/NAME.png`` (red: infrared,
                blue: visible), ``labels/NAME.png`` (class ids), ``panels/NAME.png`` and ``overlays/NAME.png`` (classes
                over the fused image).
            batch_size (int): Pairs per pass. What becomes of a pair does not depend on those beside it.
            allow_unpaired (bool): Leave out the files of the folders that have no partner, instead of raising.
            return_arrays (bool): False does not keep the images in memory, for large folders with an ``out_dir``.
            save (Sequence[str], optional): Which of these folders are written; by default all that there is but the
                overlays.
            image_format (str): 'png', 'jpg', 'tif' or 'bmp'. Label maps are always PNG.
            skip_errors (bool): Go on after a pair that cannot be read, aligned or brought to one size.
            metrics (Sequence[str]): Names out of ``mmfusion.evaluation.FUSION_METRICS``, computed of every pair.

        Returns:
            dict: Lists with one entry per pair, also for a single pair: ``names`` (of the visible file; numbers for
            arrays); and, with ``return_arrays``, ``fused`` (H, W, 3) uint8 in **R, G, B** order or (H, W), by the
            model's ``color``; ``weights``, the infrared image's (H, W) float32 in [0, 1]; where the model knows
            classes, ``labels`` (H, W), their ids; ``metrics``, a dict of figures, if they were asked for. Besides
            ``classes``, a tuple of names, ``palette``, R, G and B per class, and, with ``skip_errors``, ``errors``:
            names and messages of the pairs that were skipped. All at the size of the input.

        Raises:
            FileNotFoundError: A file does not exist, or a folder has no images.
            ModuleNotFoundError: A metric needs a package that is not installed; the message has the command.
            TypeError: An input is of the wrong type.
            ValueError: Pairs are incomplete, of two sizes or not readable; an argument is out of range; ``out_dir`` is
                where the inputs are.
        """
        _check_batch_size(batch_size)
        if out_dir is None and not return_arrays and not metrics:
            raise ValueError('return_arrays=False without an out_dir leaves no result; give an out_dir')
        measure = FusionMetric(metrics=metrics) if metrics else None
        items = self._collect(ir, vi, allow_unpaired)
        writer = self._open_writer(out_dir, ir, vi, items, save=save, image_format=image_format)
        results: dict[str, Any] = dict(names=[], classes=self.classes, palette=self.palette)
        if return_arrays:
            results.update(fused=[], weights=[], **(dict(labels=[]) if self.model.num_classes else {}))
        if measure is not None:
            results['metrics'] = []
        errors = results.setdefault('errors', []) if skip_errors else None
        for name, pair, sample in self._predict_all(items, batch_size, is_folder(ir), errors):
            results['names'].append(name)
            arrays = arrays_of(sample, self.model.num_classes)
            if writer is not None:
                writer.write(name, arrays, pair, sample)
            if measure is not None:
                measure.process(dict(inputs=[pair]), [sample.to_dict()])
                results['metrics'].append(measure.results.pop())
            if return_arrays:
                for result, array in arrays.items():
                    results[result].append(array)
        return results


def _check_batch_size(batch_size: int) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f'batch_size must be a positive whole number, got {batch_size!r}')


def _read_checkpoint(path: str) -> dict:
    """Content of a checkpoint file or URL."""
    if '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint at {path}')
    return CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')


def _rainbow(number: int) -> list[list[int]]:
    """As many colours, R, G and B in 0..255."""
    colors = matplotlib.colormaps['turbo'].resampled(max(number, 2))
    return [[round(255 * value) for value in colors(i)[:3]] for i in range(number)]


def _folders_of(items: list[dict]) -> list[str]:
    """Where the files of pairs lie; arrays lie nowhere."""
    paths = [item[key] for item in items for key in ('vi_path', 'ir_path') if key in item]
    return [os.path.dirname(path) for path in paths]


def progress(starts: range, show_bar: bool) -> Iterable[int]:
    """The numbers as they are, with a bar on standard error where somebody sees it.

    Args:
        starts (range): What is counted.
        show_bar (bool): False for no bar anywhere.

    Returns:
        Iterable[int]: The same numbers.

    Examples:
        >>> list(progress(range(3), show_bar=False))
        [0, 1, 2]
    """
    console = Console(stderr=True)
    return track(starts, 'fusing', console=console, transient=True, disable=not (show_bar and console.is_terminal))
