"""The model inside whatever the runner put around it."""

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def bare_model(runner: Runner) -> nn.Module:
    """The model itself, out of the wrappers of distributed training and test-time augmentation.

    Args:
        runner (Runner): Its ``model`` is looked at.

    Returns:
        nn.Module: Without any wrapper.

    Examples:
        >>> from types import SimpleNamespace
        >>> from mmengine.model import BaseTTAModel
        >>> class Model(nn.Module):
        ...     def test_step(self, data):
        ...         return data
        >>> class Averaged(BaseTTAModel):
        ...     def merge_preds(self, predictions):
        ...         return predictions
        >>> model = Model()
        >>> bare_model(SimpleNamespace(model=Averaged(model))) is model
        True
    """
    model = runner.model
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
