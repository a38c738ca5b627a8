"""Nodes and weights of the path integral of integrated gradients."""

import numpy as np

RULES = ('left', 'right', 'midpoint', 'trapezoid', 'gauss_legendre')


def quadrature(rule: str, steps: int) -> tuple[list[float], list[float]]:
    """Nodes and weights of a quadrature rule on [0, 1].

    ``steps`` is the number of nodes for every rule, that is the number of images that the scorer sees per source. The
    released network uses the right-hand rule with 5 nodes; Gauss-Legendre integrates polynomials up to degree
    ``2 * steps - 1`` exactly.

    Args:
        rule (str): One of 'left', 'right', 'midpoint', 'trapezoid' and 'gauss_legendre'.
        steps (int): Number of nodes, at least 1 (2 for 'trapezoid').

    Returns:
        tuple[list[float], list[float]]: Nodes in [0, 1] in ascending order, and their weights, which add up to 1.

    Raises:
        ValueError: Unknown rule, or too few steps for it.
        TypeError: ``steps`` is not an integer.

    Examples:
        >>> quadrature('right', 4)
        ([0.25, 0.5, 0.75, 1.0], [0.25, 0.25, 0.25, 0.25])
        >>> nodes, weights = quadrature('gauss_legendre', 2)
        >>> round(sum(w * a ** 3 for a, w in zip(nodes, weights)), 12)
        0.25
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)):
        raise TypeError(f'steps must be an integer, got {steps!r} of type {type(steps).__name__}')
    if rule not in RULES:
        raise ValueError(f'unknown quadrature rule {rule!r}; choose one of {", ".join(RULES)}')
    fewest = 2 if rule == 'trapezoid' else 1
    if steps < fewest:
        raise ValueError(f'the {rule} rule needs at least {fewest} step(s), got steps={steps}')

    equal = np.full(steps, 1 / steps)
    if rule == 'left':
        nodes, weights = np.arange(steps) / steps, equal
    elif rule == 'right':
        nodes, weights = np.arange(1, steps + 1) / steps, equal
    elif rule == 'midpoint':
        nodes, weights = (np.arange(steps) + 0.5) / steps, equal
    elif rule == 'trapezoid':
        nodes, weights = np.linspace(0, 1, steps), np.full(steps, 1 / (steps - 1))
        weights[[0, -1]] /= 2
    else:
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        nodes, weights = (nodes + 1) / 2, weights / 2
    return nodes.tolist(), weights.tolist()
