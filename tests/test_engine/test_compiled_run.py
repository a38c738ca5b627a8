"""The Runner's `compile`, wired with a backend that compiles nothing."""

import pytest
import torch


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_eager(make_runner, model_config):
    """A run that is compiled ends with the weights of one that is not."""
    torch._dynamo.reset()
    weights = []
    for choice in (False, dict(backend='eager')):
        model = model_config(fusion=dict(type='UAAFusion', num_stages=1, channels=2, attention=None))
        runner = make_runner(model=model, max_iters=1, compile=choice)
        runner.train()
        weights.append(runner.model.state_dict())
    plain, compiled = weights
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        assert torch.allclose(compiled[name], value, atol=1e-5), name
