import pytest
import torch
from torch import nn

from mmfusion.attribution import isolated

CPU = torch.device('cpu')


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1))
    net.train()
    net[1].eval()  # A frozen batch norm.
    return net


def flags(net):
    return [module.training for module in net.modules()]


def test_evaluation_mode_inside_and_each_flag_restored():
    net = network()
    before = flags(net)
    assert before == [True, True, False, True, True]
    with isolated(net, CPU):
        assert not any(flags(net))
    assert flags(net) == before


def test_module_attribute_is_reached():
    net = network()

    class Scorer:
        module = net

        def __call__(self, x):
            return net(x)

    with isolated(Scorer(), CPU):
        assert not any(flags(net))
    assert flags(net) == [True, True, False, True, True]


@pytest.mark.parametrize('module', [None, 'a name'])
def test_callable_without_a_module_keeps_its_mode(module):
    net = network()

    def scorer(x):
        return net(x)

    scorer.module = module
    with isolated(scorer, CPU):
        assert net.training


def test_flags_of_a_network_with_its_own_train_method():
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[0].eval()
            return self

    net = Frozen(nn.BatchNorm2d(1), nn.BatchNorm2d(1))
    net[0].training = True  # Against what its train() would set.
    with isolated(net, CPU):
        pass
    assert flags(net) == [True, True, True]


def fail(net):
    with isolated(net, CPU):
        torch.rand(3)
        raise RuntimeError('from the scorer')


def test_restored_after_an_error():
    net = network()
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match='from the scorer'):
        fail(net)
    assert flags(net) == [True, True, False, True, True]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_random_numbers_drawn_inside_do_not_count_outside():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with isolated(network(), CPU):
        pass
    torch.manual_seed(3)
    with isolated(lambda x: x, CPU):
        torch.rand(100)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize('context', [torch.no_grad, torch.inference_mode])
def test_gradients_on_inside(context):
    with context():
        with isolated(lambda x: x, CPU):
            x = torch.ones(2, requires_grad=True)
            (gradient,) = torch.autograd.grad((x**2).sum(), x)
            assert not gradient.is_inference()
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() == (context is torch.inference_mode)
    assert gradient.tolist() == [2, 2]


def test_autocast():
    assert not torch.is_autocast_enabled('cpu')
    with isolated(lambda x: x, CPU):
        assert not torch.is_autocast_enabled('cpu')
    with torch.autocast('cpu', torch.bfloat16):
        with isolated(lambda x: x, CPU):
            assert torch.is_autocast_enabled('cpu')
            assert torch.get_autocast_dtype('cpu') == torch.bfloat16
            # A weight converted without a graph must not be found in the cache by the training pass that follows.
            assert not torch.is_autocast_cache_enabled()
        assert torch.is_autocast_cache_enabled()
        assert torch.is_autocast_enabled('cpu')
    with torch.autocast('cpu', torch.float16):
        with isolated(lambda x: x, CPU):
            assert not torch.is_autocast_enabled('cpu')
        assert torch.is_autocast_enabled('cpu')
        assert torch.get_autocast_dtype('cpu') == torch.float16


@pytest.mark.parametrize('context', [torch.no_grad, torch.enable_grad])
def test_training_pass_after_it_in_one_autocast_context(context):
    net = network()
    x = torch.rand(2, 1, 6, 6)
    with torch.autocast('cpu', torch.bfloat16):
        with isolated(net, CPU), context():
            net(x)
        loss = net(x).float().square().mean()
    loss.backward()
    assert all(p.grad.abs().max() > 0 for p in net.parameters())
