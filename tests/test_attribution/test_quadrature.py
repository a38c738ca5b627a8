import numpy as np
import pytest

from mmfusion.attribution import RULES, quadrature

# Highest degree of a polynomial that the rule integrates exactly, as a function of the number of nodes.
DEGREES = {
    'left': lambda n: 0,
    'right': lambda n: 0,
    'midpoint': lambda n: 1,
    'trapezoid': lambda n: 1,
    'gauss_legendre': lambda n: 2 * n - 1,
}


def moment(rule, steps, degree):
    nodes, weights = quadrature(rule, steps)
    return sum(w * a**degree for a, w in zip(nodes, weights))


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('steps', [2, 3, 5, 8])
def test_exact_up_to_its_degree_and_no_further(rule, steps):
    degree = DEGREES[rule](steps)
    for k in range(degree + 1):
        assert moment(rule, steps, k) == pytest.approx(1 / (k + 1), abs=1e-12)
    # The last error is about 4 ** -2n for Gauss-Legendre, so it is measured against rounding.
    assert abs(moment(rule, steps, degree + 1) - 1 / (degree + 2)) > 1e-11


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('steps', [2, 3, 7])
def test_weights_add_to_one_and_nodes_ascend(rule, steps):
    nodes, weights = quadrature(rule, steps)
    assert len(nodes) == len(weights) == steps
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    assert nodes == sorted(nodes)
    assert nodes[0] >= 0
    assert nodes[-1] <= 1
    assert all(isinstance(value, float) for value in nodes + weights)


@pytest.mark.parametrize(('rule', 'error'), [('left', lambda n: -1 / (2 * n)), ('right', lambda n: 1 / (2 * n))])
def test_one_sided_rules_miss_a_line_by_half_a_step(rule, error):
    for steps in (1, 4, 5):
        assert moment(rule, steps, 1) - 0.5 == pytest.approx(error(steps), abs=1e-12)


def test_midpoint_and_trapezoid_on_a_parabola():
    # Closed form of the composite rules' error for x^2: -h^2 / 12 and h^2 / 6.
    assert moment('midpoint', 4, 2) - 1 / 3 == pytest.approx(-((1 / 4) ** 2) / 12, abs=1e-12)
    assert moment('trapezoid', 5, 2) - 1 / 3 == pytest.approx((1 / 4) ** 2 / 6, abs=1e-12)


def test_known_nodes():
    assert quadrature('right', 5)[0] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])  # The released network's.
    assert quadrature('left', 2)[0] == pytest.approx([0, 0.5])
    assert quadrature('midpoint', 2)[0] == pytest.approx([0.25, 0.75])
    assert quadrature('trapezoid', 3) == ([0, 0.5, 1], [0.25, 0.5, 0.25])
    nodes, weights = quadrature('gauss_legendre', 3)
    assert nodes == pytest.approx([0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)])
    assert weights == pytest.approx([5 / 18, 8 / 18, 5 / 18])


def test_numpy_integer_steps():
    assert quadrature('right', np.int64(2)) == quadrature('right', 2)


@pytest.mark.parametrize('steps', [0, -3])
def test_too_few_steps(steps):
    with pytest.raises(ValueError, match=f'at least 1.*{steps}'):
        quadrature('gauss_legendre', steps)


def test_one_node_is_no_trapezoid():
    with pytest.raises(ValueError, match='at least 2'):
        quadrature('trapezoid', 1)


def test_unknown_rule_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'simpson'.*gauss_legendre"):
        quadrature('simpson', 5)


@pytest.mark.parametrize('steps', [5.0, '5', True, None])
def test_steps_of_another_type(steps):
    with pytest.raises(TypeError, match='integer'):
        quadrature('right', steps)
