"""The embedded default dataset."""

from collections.abc import Callable, Sequence

import numpy as np
from mmseg.datasets import BaseSegDataset

from mmfusion.registry import DATASETS

from .scene import SceneOptions, render_scene

SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class SyntheticThermalScenes(BaseSegDataset):
    """Road and park scenes by day and night as a visible and an infrared camera see them, drawn from a seed.

    Nothing is on disk. Scene ``i`` depends on ``seed``, ``split``, ``i``, the size, the time of day and the options
    only: every process, worker and epoch sees the same scene, the global random state is neither read nor changed, and
    a change of ``num_scenes`` leaves the scenes that stay as they are.

    The protocol:

    - Classes: 0 ``background``; 1 ``warm`` (people, animals): bright in infrared, in visible a blur of the colours
      around it, at night lost; 2 ``printed`` (signs, posters, road paint): high contrast in visible, retro-reflective
      by night, as warm as what is around it in infrared; 3 ``vehicle`` (cars, vans): in both, in each with another
      part of it. ``evidence`` says so in code. No pixel is ignored.
    - Background has structure in both sensors, and warm things of its own: lamps, chimneys, windows, vents.
    - Splits come from disjoint random streams. Scenes of one split are independent of each other.
    - ``night_fraction`` of the scenes are night scenes, spread evenly: with 0.5 every second one, starting with day.
    - A scene lacks each object class with a chance of 3 %; objects of a class cover roughly 2-8 % of the image
      (vehicles 4-15 %).

    The dataset itself puts the picture into ``results`` (the pipeline needs no loading transform): ``img`` (H, W, 4)
    uint8 in the order B, G, R, IR, ``gt_seg_map`` (H, W) uint8, ``seg_fields``, ``img_path`` and ``ir_path`` (names
    such as ``synthetic/test_00012_night``, not files), ``img_shape``, ``ori_shape`` and ``daytime`` ('day', 'night').

    Args:
        num_scenes: How many scenes there are.
        size: Height and width of the images, pixels; 48 or more each.
        seed: Fixes all scenes of all splits, 0..2**32 - 1.
        split: 'train', 'val' or 'test'.
        night_fraction: Share of night scenes, 0..1.
        noise_level: See ``SceneOptions``, as for the next four.
        camouflage_contrast: Contrast of warm objects in visible.
        crossover_fraction: Share of scenes with thermal crossover.
        glare_fraction: Share of scenes with glare.
        max_distractors: Most warm background spots on the ground.
        cache: Keep every scene in memory after it was drawn for the first time (5 bytes a pixel; with workers, once
            in each of them, and only as long as they live).
        pipeline: Transforms, from the first geometric one to ``PackFusionInputs``.
        test_mode: A pipeline that returns None is an error instead of a reason to draw another scene.
        metainfo: As in mmseg, for example ``dict(classes=('background', 'warm'))``; other classes become 255.
        indices: Use the first few, or these scenes only.
        serialize_data: As in mmengine.
        lazy_init: As in mmengine.
        max_refetch: As in mmengine.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> scenes = SyntheticThermalScenes(num_scenes=4, size=(48, 64), split='val')
        >>> item = scenes[1]
        >>> item['img'].shape, item['gt_seg_map'].shape, item['img_path']
        ((48, 64, 4), (48, 64), 'synthetic/val_00001_night')
        >>> scenes.evidence['printed']
        'visible'
    """

    METAINFO = dict(
        classes=('background', 'warm', 'printed', 'vehicle'),
        palette=[[90, 90, 90], [230, 60, 60], [240, 210, 40], [40, 140, 200]],
        # Goes into checkpoints, so that who uses one on photographs is told.
        drawn=True,
    )

    evidence = dict(background='both', warm='infrared', printed='visible', vehicle='both')
    """Which sensor holds what is needed to see a class: 'infrared', 'visible' or 'both'."""

    def __init__(
        self,
        num_scenes: int = 200,
        size: Sequence[int] = (96, 128),
        seed: int = 0,
        split: str = 'train',
        night_fraction: float = 0.5,
        noise_level: float = SceneOptions.noise_level,
        camouflage_contrast: float = SceneOptions.camouflage_contrast,
        crossover_fraction: float = SceneOptions.crossover_fraction,
        glare_fraction: float = SceneOptions.glare_fraction,
        max_distractors: int = SceneOptions.max_distractors,
        cache: bool = False,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        metainfo: dict | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        _check_integers(num_scenes, size, seed)
        if split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, got {split!r}')
        if not 0 <= night_fraction <= 1:
            raise ValueError(f'night_fraction must be in 0..1, got {night_fraction!r}')
        self.num_scenes = num_scenes
        self.size = (int(size[0]), int(size[1]))
        self.seed = seed
        self.split = split
        self.night_fraction = night_fraction
        self.options = SceneOptions(
            noise_level, camouflage_contrast, crossover_fraction, glare_fraction, max_distractors
        )
        self._cache: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if cache else None
        super().__init__(
            pipeline=list(pipeline),
            test_mode=test_mode,
            metainfo=metainfo,
            indices=indices,
            serialize_data=serialize_data,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
            data_prefix=dict(img_path=None, seg_map_path=None),
        )

    def load_data_list(self) -> list[dict]:
        """List the names of the scenes; nothing is drawn yet."""
        infos = []
        for scene in range(self.num_scenes):
            daytime = 'night' if self._is_night(scene) else 'day'
            name = f'{self.split}_{scene:05d}_{daytime}'
            infos.append(
                dict(
                    img_path=f'synthetic/{name}',
                    ir_path=f'synthetic/ir/{name}',
                    scene=scene,
                    daytime=daytime,
                    label_map=self.label_map,
                    reduce_zero_label=self.reduce_zero_label,
                    seg_fields=[],
                )
            )
        return infos

    def _is_night(self, scene: int) -> bool:
        # Night as often as the running total of the fraction passes a whole number; the slack absorbs its rounding.
        total = np.floor(np.array([scene, scene + 1]) * self.night_fraction + 1e-9)
        return bool(total[1] > total[0])

    def render(self, scene: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a scene.

        Args:
            scene: Number of the scene in the split, 0..num_scenes - 1 (``indices`` do not renumber scenes).

        Returns:
            The pair, (H, W, 4) uint8 in the order B, G, R, IR, and the labels, (H, W) uint8 with the ids of
            ``METAINFO``. Both belong to the caller.

        Raises:
            ValueError: If there is no such scene.

        Example:
            >>> pair, label = SyntheticThermalScenes(num_scenes=4, size=(48, 64)).render(2)
            >>> again, _ = SyntheticThermalScenes(num_scenes=9, size=(48, 64)).render(2)
            >>> pair.shape, label.shape, bool((pair == again).all())
            ((48, 64, 4), (48, 64), True)
        """
        if not 0 <= scene < self.num_scenes:
            raise ValueError(f'scene must be in 0..{self.num_scenes - 1}, got {scene!r}')
        if self._cache is not None and scene in self._cache:
            pair, label = self._cache[scene]
            return pair.copy(), label.copy()
        seed = np.random.SeedSequence((self.seed, SPLITS.index(self.split), scene))
        pair, label = render_scene(seed, self.size, self._is_night(scene), self.options)
        if self._cache is not None:
            self._cache[scene] = pair.copy(), label.copy()
        return pair, label

    def prepare_data(self, idx: int) -> dict | None:
        """Draw scene ``idx`` and run the pipeline on it."""
        results = self.get_data_info(idx)
        results['img'], label = self.render(results['scene'])
        if self.label_map is not None:
            table = np.arange(256, dtype=np.uint8)
            table[list(self.label_map)] = list(self.label_map.values())
            label = table[label]
        results['gt_seg_map'] = label
        results['seg_fields'].append('gt_seg_map')
        results['img_shape'] = results['ori_shape'] = self.size
        return self.pipeline(results)


def _check_integers(num_scenes: int, size: Sequence[int], seed: int) -> None:
    if not _is_integer(num_scenes) or num_scenes < 1:
        raise ValueError(f'num_scenes must be an integer of 1 or more, got {num_scenes!r}')
    if len(size) != 2 or not all(_is_integer(length) and length >= 48 for length in size):
        raise ValueError(f'size must be (height, width), two integers of 48 or more, got {size!r}')
    if not _is_integer(seed) or not 0 <= seed < 2**32:
        raise ValueError(f'seed must be an integer in 0..2**32 - 1, got {seed!r}')


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
