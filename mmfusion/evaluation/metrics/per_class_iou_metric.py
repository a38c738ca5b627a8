"""mmseg's IoU with every class in the results."""

import numpy as np
from mmseg.evaluation import IoUMetric

from mmfusion.registry import METRICS


@METRICS.register_module()
class PerClassIoUMetric(IoUMetric):
    """:class:`mmseg.evaluation.IoUMetric`, whose table of classes is also among the results that it returns.

    The table then reaches the visualiser and the JSON files of a run, as ``IoU/<class>`` in percent; a class that
    occurs neither in the labels nor in the predictions is NaN, and left out of mIoU as by mmseg.

    Args:
        **kwargs: See :class:`mmseg.evaluation.IoUMetric`.

    Examples:
        >>> import logging, torch
        >>> from mmengine.logging import MMLogger
        >>> MMLogger.get_current_instance().setLevel(logging.ERROR)  # Without mmseg's table.
        >>> metric = PerClassIoUMetric()
        >>> metric.dataset_meta = dict(classes=('soil', 'crop', 'weed'))
        >>> label, prediction = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[0, 0, 1, 1]])
        >>> metric.process({}, [dict(pred_sem_seg=dict(data=prediction), gt_sem_seg=dict(data=label))])
        >>> {name: round(float(value), 1) for name, value in metric.evaluate(size=1).items() if 'IoU' in name}
        {'mIoU': 58.3, 'IoU/soil': 66.7, 'IoU/crop': 50.0, 'IoU/weed': nan}
    """

    # No prefix, on purpose: mmengine warns in every run of a metric that has none.
    default_prefix = ''

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics from the areas of all images.

        Args:
            results (list): Intersection, union, prediction and label areas per image.

        Returns:
            dict[str, float]: mmseg's figures and ``IoU/<class>``, in percent.
        """
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        intersect, union = (sum(result[i] for result in results) for i in (0, 1))
        for name, iou in zip(self.dataset_meta['classes'], (intersect / union).tolist()):
            metrics[f'IoU/{name}'] = np.round(iou * 100, 2)
        return metrics
