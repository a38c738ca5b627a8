"""Fusion and segmentation as one model."""

import math
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmfusion.attribution import Evidence
from mmfusion.attribution.label_regions import refuse_unknown_labels
from mmfusion.deprecation import warn_deprecated
from mmfusion.registry import MODELS

from ..color import merge_luminance, split_luminance
from ..fusion import FusionResult
from ..geometry import restore_logits
from ..normalization import Normalization
from ..scorer import SegmentorScorer, plain_metas
from .fused_prediction import attach_fusion, padding_mask
from .pair import Pair

# Defaults of the arguments; never changed. The prefix, for configs of mmseg's scope.
_LOSS_FUSION = dict(type='mmfusion.AttributionFusionLoss')
_LOSS_GRADIENT = dict(type='mmfusion.JointGradientLoss')
COLORS = ('rgb', 'gray')
TRAIN_LABELS = ('given', 'predicted')


@MODELS.register_module()
class FusionSegmentor(BaseSegmentor):
    """A fusion in front of any mmseg segmentor, trained jointly.

    The visible image is split into luminance and chroma; the fusion joins infrared and luminance; the fused luminance
    gets the visible chroma back and goes, normalised for the backbone, to the segmentor. Attribution looks at the
    segmentor as a function of a grey image.

    Args:
        fusion (dict): Config of a fusion, such as ``dict(type='UAAFusion')``.
        segmentor (dict): Config of any mmseg segmentor, inherited or written out. Its ``data_preprocessor``, if any,
            tells how its backbone wants images normalised; it is not built.
        data_preprocessor (dict, optional): Config of the preprocessor. Default:
            ``dict(type='FusionDataPreProcessor')``.
        normalize (dict, optional): ``mean`` and ``std`` per channel on the 0..255 scale, if the segmentor's config does
            not say; ImageNet's by default. One value means that the backbone takes one channel.
        loss_fusion (dict, optional): Config of the fidelity loss; None for none.
        loss_gradient (dict, optional): Config of the gradient loss; None for none.
        loss_seg_weight (float): Factor of the segmentor's own losses.
        color (str): 'rgb' segments the fused image with the chroma of the visible image, 'gray' without.
        segment_sources (bool): Also segment the infrared image and the visible luminance while training; the
            segmentation loss is the mean over the three. Attribution compares what the segmentor sees in each source,
            so it has to know them.
        batch_sources (bool): Segment the three as one batch: one pass, and batch norms see one mixed distribution, as
            their running statistics do. Otherwise one pass each, and the losses are logged apart.
        train_labels (str): Whose regions are attributed while training: 'given' are the true ones (the paper),
            'predicted' those that the segmentor sees, as when it predicts. True labels put a trace of themselves into
            the fused image, on which the segmentor must not come to rely.
        scorer (dict, optional): Options ``score``, ``mode`` and ``dtype`` of
            :class:`~mmfusion.models.scorer.SegmentorScorer`.
        stretch (bool): Stretch each predicted fused image to its own minimum and maximum, as released.
        check_finite_interval (int): On an accelerator, losses are looked at for NaN and infinity every so many
            iterations, because looking waits for the device; on the CPU it costs nothing and happens in every one.
        train_cfg (dict, optional): Handed to the segmentor.
        test_cfg (dict, optional): Handed to the segmentor: whole or slide inference.
        init_cfg (dict, optional): mmengine's initialisation config.

    Attributes:
        attribution_strength (float): How far attribution moves the weights from one half while training, in [0, 1].
        last_evidence (Evidence | None): What attribution found in the last training iteration; None where nothing was
            attributed.

    Raises:
        ValueError: The segmentor's config has no decode head, or an option is unknown.
    """

    def __init__(
        self,
        fusion: dict,
        segmentor: dict,
        data_preprocessor: dict | nn.Module | None = None,
        normalize: dict | None = None,
        loss_fusion: dict | None = _LOSS_FUSION,
        loss_gradient: dict | None = _LOSS_GRADIENT,
        loss_seg_weight: float = 1.0,
        color: str = 'rgb',
        segment_sources: bool = True,
        batch_sources: bool = True,
        train_labels: str = 'given',
        scorer: dict | None = None,
        stretch: bool = False,
        check_finite_interval: int = 50,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if color not in COLORS:
            raise ValueError(f'unknown color {color!r}; choose one of {", ".join(COLORS)}')
        if train_labels not in TRAIN_LABELS:
            raise ValueError(f'unknown train_labels {train_labels!r}; choose one of {", ".join(TRAIN_LABELS)}')
        if not loss_seg_weight >= 0:
            raise ValueError(f'loss_seg_weight must not be negative, got {loss_seg_weight}')
        if check_finite_interval < 1:
            raise ValueError(f'check_finite_interval must be at least 1, got {check_finite_interval}')
        if data_preprocessor is None:
            data_preprocessor = dict(type='mmfusion.FusionDataPreProcessor')
        if isinstance(data_preprocessor, dict):
            # mmengine's BaseModel would look it up in its own registry, where only a default scope finds ours.
            data_preprocessor = MODELS.build(data_preprocessor)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)

        segmentor = ConfigDict(segmentor)
        if segmentor.get('decode_head') is None:
            raise ValueError(
                f'the segmentor config has no decode_head (its keys: {sorted(segmentor)}); give a whole '
                'mmseg model, such as segmentor=_base_.model'
            )
        expects = segmentor.pop('data_preprocessor', None) or {}
        segmentor.update({k: v for k, v in dict(train_cfg=train_cfg, test_cfg=test_cfg).items() if v is not None})
        segmentor.setdefault('test_cfg', ConfigDict(mode='whole'))
        self.fusion = MODELS.build(fusion)
        # mmseg builds the parts of a segmentor from its own registry, which finds ours in a default scope only.
        scope = DefaultScope.get_current_instance()
        with DefaultScope.overwrite_default_scope(scope.scope_name if scope else 'mmfusion'):
            self.segmentor = MODELS.build(segmentor)
        self.loss_fusion = None if loss_fusion is None else MODELS.build(loss_fusion)
        self.loss_gradient = None if loss_gradient is None else MODELS.build(loss_gradient)
        self._init_normalization(expects, normalize)
        self.loss_seg_weight = loss_seg_weight
        self.color = color
        self.segment_sources = segment_sources
        self.batch_sources = batch_sources
        self.train_labels = train_labels
        self.stretch = stretch
        self.scorer_options = dict(scorer or {})
        self.check_finite_interval = check_finite_interval
        self._unchecked_losses = 0
        self.attribution_strength = 1.0
        self.last_evidence: Evidence | None = None
        self.set_attribution_source(None)
        self.scorer()  # Refuses unknown options now rather than in the first iteration.

    def _init_normalization(self, expects: dict, normalize: dict | None) -> None:
        """Mean and std on the [0, 1] scale, and whether the backbone wants its channels as B, G, R."""
        wanted = Normalization.of(expects, normalize)
        for name, values in (('mean', wanted.mean), ('std', wanted.std)):
            scaled = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) / 255
            self.register_buffer(name, scaled, persistent=False)
        self.bgr = wanted.bgr

    # What mmseg asks a segmentor for -------------------------------------------------------------------------------
    @property
    def decode_head(self) -> nn.Module:
        """nn.Module: The segmentor's decode head."""
        return self.segmentor.decode_head

    @property
    def align_corners(self) -> bool:
        """bool: How the segmentor's maps are resized."""
        return self.segmentor.align_corners

    @property
    def num_classes(self) -> int:
        """int: Classes of the segmentor."""
        return self.segmentor.num_classes

    @property
    def out_channels(self) -> int:
        """int: Output channels of the segmentor."""
        return self.segmentor.out_channels

    @property
    def last_regions(self) -> tuple[Tensor, Tensor] | None:
        """Tuple | None: Former name of what ``last_evidence`` holds: attributions (B, C) of both sources."""
        warn_deprecated('FusionSegmentor: last_regions is deprecated; read last_evidence.ir and last_evidence.vi')
        return None if self.last_evidence is None else (self.last_evidence.ir, self.last_evidence.vi)

    # Attribution ---------------------------------------------------------------------------------------------------
    def set_attribution_source(self, segmentor: nn.Module | None) -> None:
        """Choose the network that is attributed while training.

        Args:
            segmentor (nn.Module, optional): A copy of the segmentor, such as a running mean of it. It does not become
                a part of this model. None for the segmentor itself.
        """
        self.__dict__['_attribution_source'] = segmentor  # Past nn.Module, which would register it.

    def scorer(self, segmentor: nn.Module | None = None) -> SegmentorScorer:
        """A segmentor (this model's by default) as a function of one luminance image."""
        return SegmentorScorer(segmentor or self.segmentor, self.normalize, **self.scorer_options)

    def normalize(self, image: Tensor) -> Tensor:
        """An image (B, 1 or 3, H, W) in [0, 1] as the backbone wants it.

        A grey image is repeated for a backbone of three channels; of a colour image, a backbone of one channel gets the
        luminance.
        """
        if self.mean.shape[1] == 1 and image.shape[1] == 3:
            image = split_luminance(image)[0]
        if self.bgr and image.shape[1] == 3:
            image = image.flip(1)
        return (image - self.mean) / self.std

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
        result = self.fusion(
            pair.ir,
            pair.luminance,
            self.scorer(self._attribution_source if training else None),
            labels,
            strength=self.attribution_strength if training else 1.0,
            ignore=ignore,
        )
        image = merge_luminance(result.fused, pair.chroma) if self.color == 'rgb' else result.fused
        return image, result

    # Modes ---------------------------------------------------------------------------------------------------------
    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Losses of fusion and segmentation.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            data_samples (list[SegDataSample]): With ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: The segmentor's losses under their usual names; the fusion's as ``fusion.loss_*``.
        """
        pair = Pair.split(inputs)
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        # Whatever the fusion does with labels; on an accelerator the pipeline has looked (`LoadPairAnnotations`).
        ignored = self.fusion.ignore_index, getattr(self.decode_head, 'ignore_index', self.fusion.ignore_index)
        refuse_unknown_labels(labels, max(2, self.out_channels), *ignored)
        if self.train_labels == 'given':
            image, result = self._fuse(pair, labels)
        else:
            image, result = self._fuse(pair, ignore=labels == self.fusion.ignore_index, training=True)
        self.last_evidence = result.evidence
        losses = self._segmentation_losses(image, pair, data_samples)
        if result.fused.requires_grad:  # A fixed rule has nothing to learn.
            losses.update(self._fusion_losses(result, pair))
        return losses

    def _fusion_losses(self, result: FusionResult, pair: Pair) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.loss_fusion is not None:
            terms.update(self.loss_fusion(result.fused, pair.ir, pair.luminance, result.weight_ir, result.weight_vi))
        if self.loss_gradient is not None:
            terms.update(self.loss_gradient(result.fused, pair.ir, pair.luminance))
        return {f'fusion.{name}': value for name, value in terms.items()}

    def _segmentation_losses(self, image: Tensor, pair: Pair, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        images = {'fused': self.normalize(image)}
        if self.segment_sources:
            images.update(infrared=self.normalize(pair.ir), visible=self.normalize(pair.luminance))
        if self.batch_sources or not self.segment_sources:
            # One grey value per pixel is repeated by `normalize`, so the three have one shape.
            images = {'': torch.cat(list(images.values()))}
        losses = {}
        for name, batch in images.items():
            samples = data_samples * (len(batch) // len(data_samples))
            for key, value in self.segmentor.loss(batch, samples).items():
                if 'loss' in key:
                    factor = self.loss_seg_weight / len(images)
                    value = [v * factor for v in value] if isinstance(value, list) else value * factor
                losses[f'{name}.{key}' if name else key] = value
        return losses

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the losses and the terms for the log; see :meth:`mmengine.model.BaseModel.parse_losses`.

        Raises:
            FloatingPointError: A term is NaN or infinite. The message names the iteration and the terms. On the CPU
                weights and checkpoints are still those of the iteration before; on an accelerator it comes up to
                ``check_finite_interval`` iterations later.
        """
        loss, log_vars = super().parse_losses(losses)
        self._unchecked_losses += 1
        # Looking at a value waits for an accelerator: there every so many iterations only.
        if loss.device.type == 'cpu' or self._unchecked_losses >= self.check_finite_interval:
            self._unchecked_losses = 0
            self._check_finite(loss, log_vars)
        return loss, log_vars

    @staticmethod
    def _check_finite(loss: Tensor, log_vars: dict[str, Tensor]) -> None:
        if torch.isfinite(loss):
            return
        terms = {name: value.item() for name, value in log_vars.items() if 'loss' in name and name != 'loss'}
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        iteration = MessageHub.get_current_instance().get_info('iter', default='unknown')
        raise FloatingPointError(
            f'the loss is {loss.item()} in iteration {iteration}; not finite: {", ".join(bad) or "the sum"}. All '
            f'terms: {", ".join(f"{name}={value:.6g}" for name, value in terms.items())}. Lower the learning rate, '
            'clip the gradients (optim_wrapper.clip_grad), or look at the images of this iteration'
        )

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
        image, result = self.fuse(inputs, ignore=padding_mask(metas, inputs))
        logits = self.segmentor.inference(self.normalize(image), metas)
        samples = self.postprocess_result(logits, data_samples)
        return attach_fusion(samples, image, result.weight_ir, stretch=self.stretch)

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Scores at the original size, and the classes they tell, as of any mmseg segmentor.

        mmseg's own method does not know images that were flipped both ways.

        Args:
            seg_logits (Tensor): Raw scores (B, C, H, W) at the size that the network saw.
            data_samples (list[SegDataSample], optional): Their meta information tells padding, flips and size.

        Returns:
            list[SegDataSample]: With ``seg_logits`` (C, H', W') and ``pred_sem_seg`` (1, H', W').
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for logits, sample in zip(seg_logits, data_samples):
            logits = restore_logits(logits, sample.metainfo, self.align_corners)
            if len(logits) > 1:
                prediction = logits.argmax(0, keepdim=True)
            else:
                threshold: Any = self.decode_head.threshold
                logits = logits.sigmoid()
                prediction = (logits > threshold).to(logits)
            sample.set_data({'seg_logits': PixelData(data=logits), 'pred_sem_seg': PixelData(data=prediction)})
        return data_samples

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        """The segmentor's raw output for the fused image."""
        return self.segmentor._forward(self.normalize(self.fuse(inputs)[0]), data_samples)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Features of the fused image.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].

        Returns:
            tuple[Tensor, ...]: The segmentor's feature maps.
        """
        return self.segmentor.extract_feat(self.normalize(self.fuse(inputs)[0]))

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Class scores of the fused image at input size.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            batch_img_metas (list[dict]): Meta information, one per pair.

        Returns:
            Tensor: Logits (B, C, H, W).
        """
        return self.segmentor.encode_decode(self.normalize(self.fuse(inputs)[0]), batch_img_metas)
