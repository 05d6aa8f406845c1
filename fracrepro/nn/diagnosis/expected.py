"""What the law of the one-layer factor expects of the norms in a model, given the sizes of its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from scipy import special
from torch import Tensor

from fracrepro.theory.activations import Activation
from fracrepro.theory.layer import log_moments

__all__ = ["Expectation", "WeightSize", "conditional_log_moments", "mirrored", "weight_size"]

ORTHOGONAL = 1e-5  # largest deviation of the Gram matrix, over its diagonal; random weights are far above
KURTOSIS = 5.0  # standard errors
HAAR = "weights are orthogonal: the law is for Haar-distributed ones, not for a given matrix"


@dataclass(frozen=True)
class WeightSize:
    """What is known of a weight matrix of shape (n_out, n_in) beside its law.

    Attributes:
        log_size: log of the Frobenius norm; of the gain where it is orthogonal.
        freedom: degrees of freedom of the squared norm of a normal matrix that its size removes.
        note: what the law takes for granted, or what speaks against it.
    """

    log_size: float
    freedom: int
    note: str = ""


def weight_size(weight: Tensor) -> WeightSize | None:
    """Return the size of a weight matrix, and whether it is orthogonal; None for a zero one.

    Whether an orthogonal one is Haar-distributed cannot be seen: the identity is one as well.
    """
    w = weight.detach().double().cpu().numpy()
    total = float(np.linalg.norm(w))
    if not (math.isfinite(total) and total > 0):
        return None
    n_out, n_in = w.shape
    gram = w @ w.T if n_out <= n_in else w.T @ w
    square = float(np.trace(gram)) / len(gram)
    if np.abs(gram - square * np.eye(len(gram))).max() <= ORTHOGONAL * square:
        return WeightSize(0.5 * math.log(square), max(n_out, n_in), HAAR)
    excess = w.size * float((w**4).sum()) / total**4 - 3.0
    unusual = abs(excess) > KURTOSIS * math.sqrt(24.0 / w.size) and w.size > 100
    note = f"weights are not normal (excess kurtosis {excess:.2g}): a law for normal ones" if unusual else ""
    return WeightSize(math.log(total), w.size, note)


def mirrored(weight: Tensor) -> bool:
    """Return whether a weight repeats its entries, to the last bit, as the schemes for mirrored signals do.

    Either the lower half of its rows is minus the upper one, or columns likewise, or exchanging the halves of
    both changes nothing, as in [[P, Q], [Q, P]], and it is not orthogonal, as the identity is.
    The norm behind it then depends on how the halves of its input agree.

    >>> import torch
    >>> u = torch.tensor([[1.0, 2.0]])
    >>> mirrored(torch.cat([u, -u])), mirrored(torch.cat([u, -u], 1)), mirrored(torch.cat([u, u]))
    (True, True, False)
    """
    w = weight.detach()
    rows, columns = (n // 2 for n in w.shape)
    even_rows, even_columns = w.shape[0] == 2 * rows, w.shape[1] == 2 * columns
    if even_rows and torch.equal(w[:rows], -w[rows:]):
        return True
    if even_columns and torch.equal(w[:, :columns], -w[:, columns:]):
        return True
    if not (even_rows and even_columns and torch.equal(w, w.roll((rows, columns), (0, 1)))):
        return False
    size = weight_size(w)
    return size is not None and size.note != HAAR


@lru_cache(maxsize=1024)
def conditional_log_moments(width: int, activation: Activation, freedom: int) -> tuple[float, float]:
    r"""Return mean and variance of log R - log χ, R the factor of a layer whose random size is taken out.

    A matrix of independent normal entries is its Frobenius norm, a χ variable with n_out·n_in degrees of
    freedom, times an independent direction; a Haar-distributed one of n_out × n_in with orthogonal rows or
    columns is what is left of it after max(n_out, n_in) degrees.
    So with :math:`\nu` degrees

    .. math:: E \log R - \tfrac12 (\log 2 + \psi(\nu/2)), \qquad
              \mathrm{Var} \log R - \tfrac14 \psi'(\nu/2)

    are those of ``log ‖φ(Wx)‖ - log ‖x‖`` for a matrix of norm one, given that the signal survives.

    Source:
        derived on page 16, thm-diagnosis-expected; the second case is the orthogonal law of the theory.

    >>> from fracrepro.theory.activations import Linear
    >>> mean, variance = conditional_log_moments(8, Linear(), 8)   # a rotation
    >>> abs(mean) < 1e-12, abs(variance) < 1e-12
    (True, True)
    """
    mean, variance = log_moments(width, activation)
    mean -= 0.5 * (math.log(2.0) + float(special.digamma(freedom / 2)))
    return mean, max(variance - 0.25 * float(special.polygamma(1, freedom / 2)), 0.0)


@dataclass
class Expectation:
    """Mean log-norms of one signal, one for each input, the signal at `given` being known.

    Attributes:
        given: name of the layer whose input is known; None where there is no expectation.
        means: of the log-norm.
        variance: of the log-norm of one input.
        note: what it leaves out.
    """

    given: str | None = None
    means: np.ndarray = field(default_factory=lambda: np.empty(0))
    variance: float = math.nan
    note: str = ""

    def after(
        self, weight: Tensor, bias: Tensor | None, activation: Activation, entering: np.ndarray, name: str
    ) -> Expectation:
        """Return the expectation behind one more layer, which starts from `entering` where none is here.

        With a bias it always does, and the bias counts as normal draws of its size.
        """
        size = weight_size(weight)
        if size is None:
            return Expectation(note="weights are zero or not finite: no law")
        if mirrored(weight):
            return Expectation(note="weights are mirrored, no independent draws: no law")
        n_out = weight.shape[0]
        biased = bias is not None and bool((bias != 0).any())
        if biased or self.given is None or len(self.means) != len(entering):
            with np.errstate(divide="ignore"):
                start = Expectation(name, np.log(entering), 0.0)
        else:
            start = self
        if biased:
            assert bias is not None
            mean, variance = log_moments(n_out, activation)
            per_entry = size.log_size - 0.5 * math.log(size.freedom)
            added = 2 * math.log(float(bias.detach().double().square().mean().sqrt()))
            means = 0.5 * np.logaddexp(2 * (per_entry + start.means), added) + mean
            note = "its bias counts as normal draws"
            return Expectation(name, means, variance, "; ".join(filter(None, [note, size.note])))
        mean, variance = conditional_log_moments(n_out, activation, size.freedom)
        means = start.means + size.log_size + mean
        return Expectation(start.given, means, start.variance + variance, size.note)
