"""Fusion and segmentation as one model."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmfusion.attribution import Evidence
from mmfusion.attribution.label_regions import refuse_unknown_labels
from mmfusion.deprecation import warn_deprecated
from mmfusion.registry import MODELS

from ..fusion import FusionResult
from ..fusion.gate import GateOutput
from ..reading import Reading, silence
from ..scorer import plain_metas
from .attributed_reading import AttributedReading
from .build import build_refiner, build_segmentor, refuse_blind_attention, segmentor_config
from .equal_sizes import in_equal_sizes
from .finite import FiniteWatch
from .fused_prediction import attach_fusion, padding_mask
from .fusion_losses import fusion_losses
from .head_output import HeadOutput, refined_losses, without_empty
from .iterations import IterationCounter
from .pair import COLORS, Pair
from .recipe import pair_preprocessor
from .source_losses import source_weight, with_sources
from .weight_names import OwnNames

# Defaults of the arguments; never changed. The prefix, for configs of mmseg's scope.
_LOSS_FUSION = dict(type='mmfusion.AttributionFusionLoss')
_LOSS_GRADIENT = dict(type='mmfusion.JointGradientLoss')
_LOSS_GATE = dict(type='mmfusion.GateLoss')
TRAIN_LABELS = ('given', 'predicted')


@MODELS.register_module()
class FusionSegmentor(AttributedReading):
    """A fusion in front of any mmseg segmentor, trained jointly.

    The visible image is split into luminance and chroma; the fusion joins infrared and luminance; the fused luminance
    gets the visible chroma back and goes, normalised for the backbone, to the segmentor. Attribution looks at the
    segmentor as a function of a grey image.

    Args:
        fusion (dict): Config of a fusion, such as ``dict(type='UAAFusion')``.
        segmentor (dict): Config of any mmseg segmentor, inherited or written out. Its ``data_preprocessor``, if any,
            tells how its backbone wants images normalised; it is not built.
        data_preprocessor (dict, optional): Config of the preprocessor. By default a ``FusionDataPreProcessor`` that
            pads as the segmentor's own, whose config is accepted as well.
        num_classes (int, optional): Classes of all heads, in the place of what the segmentor's config says.
        pretrained (str | bool, optional): File or address of the backbone's weights in the place of those that the
            segmentor's config names; False for no such weights; None, as mmseg's own functions pass it, for what the
            config says.
        normalize (dict, optional): ``mean`` and ``std`` per channel on the 0..255 scale, if the segmentor's config does
            not say; ImageNet's by default. One value means that the backbone takes one channel.
        loss_fusion (dict, optional): Config of the fidelity loss; None for none.
        loss_gradient (dict, optional): Config of the gradient loss; None for none.
        loss_seg_weight (float): Factor of the segmentor's own losses.
        loss_gate (dict, optional): Config of the loss by which attribution teaches the fusion's gate, if it has one;
            None leaves the gate without a teacher.
        color (str): 'rgb' segments the fused image with the chroma of the visible image, 'gray' without.
        reads (str | dict): What the segmentor reads: 'fused' is the paper's; 'pair', 'fused+infrared', 'pair+fused',
            'views' or ``dict(type='views', views=..., merge=..., shared=...)``; see
            :class:`~mmfusion.models.reading.Reading`. Its first layers are extended, pretrained or not.
        refine (dict, optional): Config of a refiner of the scores, such as ``dict(type='DetailRefiner')``.
        loss_refined (dict | Sequence[dict], optional): Configs of losses of the refined scores, as of a decode head's
            ``loss_decode``; by default those of the head, which keeps them for its own scores in any case.
        sensor_dropout (dict, optional): Config of a module that takes sensors out of training pairs, such as
            ``dict(type='SensorDropout', prob=0.1)``.
        source_loss_weight (float, optional): Part of the segmentation loss, in [0, 1), that comes from the infrared
            image and the visible luminance, each segmented by itself. Attribution of single sources compares what the
            segmentor sees in each, so it has to know them; joint attribution does not need it. By default two thirds
            where the fusion attributes single sources, and 0 everywhere else.
        batch_sources (bool): Segment fused image and sources as one batch where ``source_loss_weight`` is two thirds:
            one pass, and batch norms see one mixed distribution, as their running statistics do. Otherwise one pass
            each, and the losses are logged apart.
        train_labels (str): Whose regions are attributed for the fused image of a training batch: 'predicted' are those
            that the segmentor sees, as when it predicts; 'given' the true ones (the paper). True labels put a trace of
            themselves into the fused image, on which the segmentor comes to rely. A gate is taught in the true regions
            in any case, since that reaches a loss only.
        teach_interval (int): The gate is taught in every so many iterations, for attribution takes passes of the
            segmentor. Iterations are the runner's: with accumulated gradients an update takes several, and with an
            interval of 2 and ``accumulative_counts=2`` the lesson of each update is on its first half.
        scorer (dict, optional): Options ``score``, ``mode`` and ``dtype`` of
            :class:`~mmfusion.models.scorer.SegmentorScorer`.
        stretch (bool): Stretch each predicted fused image to its own minimum and maximum, as released.
        check_finite_interval (int): On an accelerator, losses are looked at for NaN and infinity every so many
            iterations, because looking waits for the device; on the CPU it costs nothing and happens in every one.
        train_cfg (dict, optional): Handed to the segmentor.
        test_cfg (dict, optional): Handed to the segmentor: whole or slide inference.
        init_cfg (dict, optional): mmengine's initialisation config.
        **renamed: ``segment_sources``, the former name of ``source_loss_weight``: True is two thirds, False is 0.

    Attributes:
        attribution_strength (float): How far attribution moves the weights from one half while training, in [0, 1].
        last_evidence (Evidence | None): What attribution found in the last training iteration; None where nothing was
            attributed.

    Raises:
        ValueError: The segmentor's config has no decode head, an option is unknown, the segmentor cannot read what it
            is to read, or the fusion's attention asks for the attribution of a fused image that nobody reads.
        TypeError: An argument that never was one.
    """

    def __init__(
        self,
        fusion: dict,
        segmentor: dict,
        data_preprocessor: dict | nn.Module | None = None,
        num_classes: int | None = None,
        pretrained: str | bool | None = None,
        normalize: dict | None = None,
        loss_fusion: dict | None = _LOSS_FUSION,
        loss_gradient: dict | None = _LOSS_GRADIENT,
        loss_seg_weight: float = 1.0,
        loss_gate: dict | None = _LOSS_GATE,
        color: str = 'rgb',
        reads: str | Mapping[str, Any] = 'fused',
        refine: dict | None = None,
        loss_refined: dict | Sequence[dict] | None = None,
        sensor_dropout: dict | None = None,
        source_loss_weight: float | None = None,
        batch_sources: bool = True,
        train_labels: str = 'predicted',
        teach_interval: int = 1,
        scorer: dict | None = None,
        stretch: bool = False,
        check_finite_interval: int = 50,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
        **renamed: Any,
    ) -> None:
        if color not in COLORS:
            raise ValueError(f'unknown color {color!r}; choose one of {", ".join(COLORS)}')
        if train_labels not in TRAIN_LABELS:
            raise ValueError(f'unknown train_labels {train_labels!r}; choose one of {", ".join(TRAIN_LABELS)}')
        if not loss_seg_weight >= 0:
            raise ValueError(f'loss_seg_weight must not be negative, got {loss_seg_weight}')
        if check_finite_interval < 1:
            raise ValueError(f'check_finite_interval must be at least 1, got {check_finite_interval}')
        if not isinstance(fusion, Mapping):
            raise TypeError(f"fusion is a config, such as dict(type='UAAFusion'), got fusion={fusion!r}")
        config, expects = segmentor_config(segmentor, num_classes, pretrained)
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor, expects = pair_preprocessor(data_preprocessor, expects)
            # mmengine's BaseModel would look it up in its own registry, where only a default scope finds ours.
            data_preprocessor = MODELS.build(data_preprocessor)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)

        self.fusion = MODELS.build(fusion)
        self.segmentor = build_segmentor(config, train_cfg=train_cfg, test_cfg=test_cfg)
        self.loss_fusion = None if loss_fusion is None else MODELS.build(loss_fusion)
        self.loss_gradient = None if loss_gradient is None else MODELS.build(loss_gradient)
        self.loss_gate = None if loss_gate is None or self._gate is None else MODELS.build(loss_gate)
        self._init_normalization(expects, normalize)
        self.reading = Reading.of(reads)
        refuse_blind_attention(self.fusion, self.reading)
        self.reading.adapt(self.segmentor, self.mean.shape[1])
        self.refine = build_refiner(refine, self.segmentor, self.fusion)
        configs = [loss_refined] if isinstance(loss_refined, Mapping) else loss_refined or []
        self.loss_refined = nn.ModuleList([MODELS.build(config) for config in configs])
        self.sensor_dropout = None if sensor_dropout is None else MODELS.build(sensor_dropout)
        alone = self.reading.name == 'fused' and self._attributes
        self.source_loss_weight = source_weight(source_loss_weight, renamed, self.reading.name, alone)
        self.loss_seg_weight = loss_seg_weight
        self.color = color
        self.batch_sources = batch_sources
        self.train_labels = train_labels
        self.stretch = stretch
        self.scorer_options = dict(scorer or {})
        if teach_interval < 1:
            raise ValueError(f'teach_interval must be at least 1, got {teach_interval}')
        self.teach_interval = teach_interval
        self._iterations = IterationCounter()
        self._finite = FiniteWatch(check_finite_interval)
        self.attribution_strength = 1.0
        self.last_evidence: Evidence | None = None
        self.set_attribution_source(None)
        self.register_load_state_dict_pre_hook(OwnNames())
        self.scorer()  # Refuses unknown options now rather than in the first iteration.

    def init_weights(self) -> None:
        """Initialise; channels that are to have no effect at first have none."""
        super().init_weights()
        if self.init_cfg is None and self.reading.added:
            silence(self.segmentor.backbone)

    @property
    def last_regions(self) -> tuple[Tensor, Tensor] | None:
        """Tuple | None: Former name of what ``last_evidence`` holds: attributions (B, C) of both sources."""
        warn_deprecated('FusionSegmentor: last_regions is deprecated; read last_evidence.ir and last_evidence.vi')
        return None if self.last_evidence is None else (self.last_evidence.ir, self.last_evidence.vi)

    # Fusion --------------------------------------------------------------------------------------------------------
    def fuse(
        self, inputs: Tensor, labels: Tensor | None = None, ignore: Tensor | None = None, training: bool | None = None
    ) -> tuple[Tensor, FusionResult]:
        """Fuse a batch of pairs.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1]: red, green, blue, infrared.
            labels (Tensor, optional): Class ids (B, H, W). Predicted when absent.
            ignore (Tensor, optional): Padding (B, H, W), as booleans.
            training (bool, optional): Whether to use the attribution source and strength of the moment. By default with
                labels only.

        Returns:
            tuple[Tensor, FusionResult]: The fused image, (B, 3, H, W) or (B, 1, H, W) by ``color``, in [0, 1]; and all
            that the fusion tells.

        Raises:
            ValueError: Not four channels.
        """
        return self._fuse(Pair.split(inputs), labels, ignore, training)

    def _fuse(
        self, pair: Pair, labels: Tensor | None = None, ignore: Tensor | None = None, training: bool | None = None
    ) -> tuple[Tensor, FusionResult]:
        training = labels is not None if training is None else training
        strength = self.attribution_strength if training else 1.0
        source = self._attribution_source if training else None
        if self.reading.name == 'fused' or not self._attributes:
            scorer = self.scorer(source)
            result = self.fusion(pair.ir, pair.luminance, scorer, labels, strength=strength, ignore=ignore)
        else:
            # Where a gate tells the weights, labels have no say in the attention either.
            evidence = self._joint_evidence(pair, labels if self._gate is None else None, ignore, training)
            result = self.fusion(
                pair.ir, pair.luminance, self._iterate_scorer(pair, source), strength=strength, evidence=evidence
            )
        return pair.colored(result.fused, self.color), result

    # Steps ---------------------------------------------------------------------------------------------------------
    def train_step(self, data: dict | tuple | list, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Train on a batch; see :meth:`mmengine.model.BaseModel.train_step`."""
        self._finite.scaled = hasattr(optim_wrapper, 'loss_scaler')
        return super().train_step(data, optim_wrapper)

    def test_step(self, data: dict | tuple | list) -> list:
        """Predict a batch as a data loader gives it; pairs of several sizes do not see each other's padding.

        Args:
            data (dict): Of the preprocessor.

        Returns:
            list[SegDataSample]: As of :meth:`predict`.
        """
        return in_equal_sizes(super().test_step, data)

    def val_step(self, data: dict | tuple | list) -> list:
        """As :meth:`test_step`."""
        return in_equal_sizes(super().val_step, data)

    # Modes ---------------------------------------------------------------------------------------------------------
    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Losses of fusion and segmentation.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            data_samples (list[SegDataSample]): With ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: The segmentor's losses under their usual names; the fusion's as ``fusion.loss_*``.
        """
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        # Whatever the fusion does with labels; on an accelerator the pipeline has looked (`LoadPairAnnotations`).
        ignored = self.fusion.ignore_index, getattr(self.decode_head, 'ignore_index', self.fusion.ignore_index)
        refuse_unknown_labels(labels, max(2, self.out_channels), *ignored)
        pair = Pair.split(inputs if self.sensor_dropout is None else self.sensor_dropout(inputs))
        if self.train_labels == 'given':
            image, result = self._fuse(pair, labels)
        else:
            image, result = self._fuse(pair, ignore=labels == self.fusion.ignore_index, training=True)
        losses = self._segmentation_losses(image, result, pair, data_samples)
        if result.gate is None:
            self.last_evidence = result.evidence
        else:
            losses.update(self._teach(result.gate, pair, labels))
        if result.fused.requires_grad:  # A fixed rule has nothing to learn.
            losses.update(fusion_losses(result, pair, self.loss_fusion, self.loss_gradient))
        return losses

    def _teach(self, gate: GateOutput, pair: Pair, labels: Tensor) -> dict[str, Tensor]:
        """Losses of what the gate says against attribution in the true regions; none between lessons."""
        due = self._iterations.next() % self.teach_interval == 0
        if self.loss_gate is None or self.attribution_strength == 0 or not due:
            return {}
        self.last_evidence = self._joint_evidence(pair, labels)
        return {f'fusion.{name}': value for name, value in self.loss_gate(gate, self.last_evidence).items()}

    def _segmentation_losses(
        self, image: Tensor, result: FusionResult, pair: Pair, data_samples: list[SegDataSample]
    ) -> dict[str, Tensor]:
        images = {'': (1.0, self.compose(self._inputs(image, result, pair)))}
        if self.source_loss_weight:
            # One grey value per pixel is repeated by `normalize`, so the three have one shape.
            sources = self.normalize(pair.ir), self.normalize(pair.luminance)
            images = with_sources(images[''][1], *sources, self.source_loss_weight, self.batch_sources)
        losses = {}
        for name, (part, batch) in images.items():
            samples = data_samples * (len(batch) // len(data_samples))
            with HeadOutput(self.decode_head) as output:
                found = self.segmentor.loss(batch, samples)
            if self.refine is not None and name in ('', 'fused'):
                logits = output.logits(self.out_channels)
                if logits is None:  # A head that gives something else while it trains.
                    logits = self.segmentor.encode_decode(batch, [sample.metainfo for sample in samples])
                # Scores of views meet as in a prediction; of fused image and sources, the fused image's come first.
                fine = self._finished(logits, result, pair)
                found = {**found, **refined_losses(self.decode_head, fine, data_samples, list(self.loss_refined))}
            for key, value in without_empty(found).items():
                if 'loss' in key:
                    factor = self.loss_seg_weight * part
                    value = [v * factor for v in value] if isinstance(value, list) else value * factor
                losses[f'{name}.{key}' if name else key] = value
        return losses

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the losses and the terms for the log; see :meth:`mmengine.model.BaseModel.parse_losses`.

        Raises:
            FloatingPointError: A term is NaN or infinite. The message names the iteration and the terms. On the CPU
                weights and checkpoints are still those of the iteration before; on an accelerator it comes up to
                ``check_finite_interval`` iterations later. Where losses are scaled (float16), it takes twenty in a row.
        """
        loss, log_vars = super().parse_losses(losses)
        self._finite.look(loss, log_vars)
        return loss, log_vars

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Fused images and segmentation.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            data_samples (list[SegDataSample], optional): Their meta information tells padding, flips and the original
                size. Ground truth in them is not used.

        Returns:
            list[SegDataSample]: With ``pred_sem_seg`` and ``seg_logits`` as from any mmseg segmentor; ``fused_img``,
            (3 or 1, H, W) in [0, 1]; and ``fusion_weights``, the infrared image's weight (1, H, W). All at the
            original size.
        """
        metas = plain_metas(inputs) if data_samples is None else [dict(sample.metainfo) for sample in data_samples]
        pair = Pair.split(inputs)
        image, result = self._fuse(pair, ignore=padding_mask(metas, inputs))
        logits = self._scores(image, result, pair, metas, self.segmentor.inference)
        samples = self.postprocess_result(logits, data_samples)
        return attach_fusion(samples, image, result.weight_ir, stretch=self.stretch)

    def _read(self, inputs: Tensor) -> Tensor:
        """What the segmentor reads of a batch."""
        pair = Pair.split(inputs)
        return self.compose(self._inputs(*self._fuse(pair), pair))

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        """The segmentor's raw output."""
        return self.segmentor._forward(self._read(inputs), data_samples)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Features of what the segmentor reads.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].

        Returns:
            tuple[Tensor, ...]: The segmentor's feature maps.
        """
        return self.segmentor.extract_feat(self._read(inputs))

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Class scores at input size.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            batch_img_metas (list[dict]): Meta information, one per pair.

        Returns:
            Tensor: Logits (B, C, H, W).
        """
        pair = Pair.split(inputs)
        image, result = self._fuse(pair)
        return self._scores(image, result, pair, batch_img_metas, self.segmentor.encode_decode)
