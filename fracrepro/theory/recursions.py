"""Moments of both passes, layer by layer: exact recursions for networks whose layers differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, check_activation
from fracrepro.theory.layer import moment
from fracrepro.theory.simulate import DEPTHS
from fracrepro.theory.weights import WIDTHS


def mean_squares(
    sizes: Sequence[int], stds: ArrayLike, activation: Activation, *, deaths: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the logs of the mean squares of both passes, a coordinate each, relative to where they start.

    For independent weights of mean 0, variance σ_l² and any continuous law symmetric about 0,

    .. math::
        \frac{E\lVert x^{(l)} \rVert^2}{n_l}
        &= E A^2 \cdot n_{l-1} \sigma_l^2 \cdot \frac{E\lVert x^{(l-1)} \rVert^2}{n_{l-1}}, \\
        \frac{E\lVert g^{(l-1)} \rVert^2}{n_{l-1}}
        &= E A^2 \cdot n_l \sigma_l^2 \cdot \frac{E\lVert g^{(l)} \rVert^2}{n_l},

    with A the slope, n_l the widths, and a gradient that enters independent of the network with uncorrelated
    coordinates of equal variance.
    A layer whose outputs are all 0 sends no gradient back, so at layer l the backward mean square carries
    P(layers 1 … l are alive) too.

    Args:
        sizes: widths from the input to the output.
        stds: σ_l of each layer, above 0.
        activation: any activation of the library.
        deaths: whether to count that probability.

    Returns:
        Two arrays over the layers 0 … L: forward, which starts at layer 0, and backward, which starts at L.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 01, variance-thm-recursion.

    >>> import fracrepro as fr
    >>> ahead, back = mean_squares([2, 8, 2], [1.0, 0.5], fr.Linear())
    >>> np.exp(ahead).round(12).tolist(), np.exp(back).round(12).tolist()   # factors 2, 8/4; 2/4, 8
    ([1.0, 2.0, 4.0], [4.0, 0.5, 1.0])
    """
    n, std = _layers(sizes, stds)
    activation = check_activation("activation", activation)
    gain = np.log(activation.even_moment(1) * np.square(std))
    ahead = _sums(gain + np.log(n[:-1]))
    back = _sums((gain + np.log(n[1:]))[::-1])[::-1]
    if deaths:
        back[1:-1] += np.cumsum(np.log1p(-((1 - activation.survival) ** n[1:-1])))
    return ahead, back


def rms_moments(
    s: float, sizes: Sequence[int], stds: ArrayLike, activation: Activation
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the logs of the moments of order s of the root mean squares, for Gaussian weights.

    With n_l the widths, R_n the one-layer factor at width n and h⁽ˡ⁾ the gradient with respect to
    pre-activations,

    .. math::
        E \operatorname{rms}(x^{(l)})^s
        &= \sigma_l^s \, (n_{l-1}/n_l)^{s/2} \, E R_{n_l}^s \cdot E \operatorname{rms}(x^{(l-1)})^s, \\
        E \operatorname{rms}(h^{(l-1)})^s
        &= \sigma_l^s \, (n_l/n_{l-1})^{s/2} \, E R_{n_{l-1}}^s \cdot E \operatorname{rms}(h^{(l)})^s,

    the second one for a gradient that enters with a uniform direction, independent of the network.

    Args:
        s: order, in (0, 4).
        sizes: widths from the input to the output.
        stds: σ_l of each layer, above 0.
        activation: any activation of the library.

    Returns:
        Forward, over the layers 0 … L, relative to layer 0; backward, over the layers 1 … L, relative to L.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 08, backward-thm-rectangular.

    >>> import fracrepro as fr
    >>> ahead, back = rms_moments(2, [2, 8, 2], [1.0, 0.5], fr.Linear())
    >>> np.exp(ahead).round(12).tolist(), np.exp(back).round(12).tolist()   # as in mean_squares
    ([1.0, 2.0, 4.0], [0.5, 1.0])
    """
    n, std = _layers(sizes, stds)
    s = arguments.real("s", s, "(0, 4)")
    log_moments = np.log(moment(s, n[1:], check_activation("activation", activation)))
    log_s = s * np.log(std)
    ahead = log_s + log_moments + s / 2 * np.log(n[:-1] / n[1:])
    back = log_s[1:] + log_moments[:-1] + s / 2 * np.log(n[2:] / n[1:-1])
    return _sums(ahead), _sums(back[::-1])[::-1]


def loss_gradient_mean_squares(depth: int, width: int, along: float, across: float) -> np.ndarray:
    r"""Return E[‖g⁽ˡ⁾‖² | x⁽ˡ⁾ ≠ 0] for a gradient that knows the output, ReLU and Kaiming's variance.

    With U_l the mean square along the signal and Q_l that in each direction across it,
    E‖g⁽ˡ⁾‖² = U_l + (d - 1) Q_l, and

    .. math:: U_{l-1} = U_l, \qquad Q_{l-1} = Q_l + \frac{2}{d} (1 - 2^{-d}) (U_l - Q_l).

    Args:
        depth: layers L, from 1.
        width: neurons d in each layer, from 1.
        along: U_L, at least 0.
        across: Q_L, at least 0.

    Returns:
        An array over the layers 0 … L.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 08, backward-thm-loss.

    >>> loss_gradient_mean_squares(1, 2, 3.0, 1.0).tolist()   # Q_0 = 1 + 3/4 · (3 - 1) = 5/2
    [5.5, 4.0]
    """
    depth = arguments.integer("depth", depth, DEPTHS)
    width = arguments.integer("width", width, WIDTHS)
    along = arguments.real("along", along, "[0, inf)")
    across = arguments.real("across", across, "[0, inf)")
    mix = 2 / width * (1 - 2.0**-width)
    totals = [along + (width - 1) * across]
    for _ in range(depth):
        across += mix * (along - across)
        totals.append(along + (width - 1) * across)
    return np.array(totals[::-1])


def _layers(sizes: Sequence[int], stds: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The widths and standard deviations, checked."""
    n = arguments.integers("sizes", sizes, WIDTHS)
    std = arguments.reals("stds", stds, "(0, inf)")
    if n.ndim != 1 or n.size < 2 or std.shape != (n.size - 1,):
        raise ArgumentError(f"stds has shape {std.shape}: need one for each layer between {n.size} sizes")
    return n, std


def _sums(steps: np.ndarray) -> np.ndarray:
    """0 and the sums of the steps from there on."""
    return np.concatenate([[0.0], np.cumsum(steps)])
