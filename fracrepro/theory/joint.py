"""The joint law of the outputs for several inputs: a Markov chain of Gram matrices, exact at every width.

Given the outputs x_1 … x_m of one layer, the pre-activations of the next are, unit by unit, independent draws
from N(0, S), because weights and biases are normal.
So the Gram matrix of the outputs says all about the future.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, check_activation
from fracrepro.theory.arrays import WIDTHS, plain
from fracrepro.theory.gram_arguments import check_gram, check_square
from fracrepro.theory.kernels import mean_product, unit_means
from fracrepro.theory.numerics import cosine as finite
from fracrepro.theory.numerics.gram import GramSampler
from fracrepro.theory.simulate import DEPTHS, check_rng
from fracrepro.theory.stationary import square_moments

__all__ = ["GramChain"]

_COUNTS = "[1, 1000000000]"
_WIDEST = "[1, 1000000]"


class GramChain:
    r"""The law of the Gram matrix G_ab = x_a·x_b of the outputs for m inputs, layer by layer.

    One layer is x′ = φ(W x + b) with weights W_ij ~ N(0, σ²) and biases b_i ~ N(0, σ_b²), all independent:

    .. math:: S = \sigma^2 A G A^\top + \sigma_b^2 \, 1 1^\top, \qquad h_1, \dots, h_d \sim N(0, S), \qquad
              G' = \sum_{i=1}^d \varphi(h_i) \varphi(h_i)^\top.

    `variance` is that of one weight, in every layer, and G a sum over units, not a mean: for ReLU Kaiming's
    value is 2/width.  For a first layer with another variance v, multiply the inputs' matrix by v/variance.
    A graph network, X′ = φ(A X W), mixes its m nodes by a fixed matrix A (`aggregation`).

    Args:
        width: d, the units of every layer, an integer from 1.
        activation: φ of every layer.
        variance: σ² > 0 of the weights.
        bias_std: σ_b ≥ 0 of the biases.
        aggregation: A, of shape (m, m); None for the identity.
        shared: whether one draw of masks and random slopes serves all inputs; by default each input has its
            own, as in training.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Claimed in the abstract of Burkholz and Dubatovka (2019); this form of it is
        derived on page 12, thm-gram-chain.

    >>> import fracrepro as fr
    >>> chain = fr.GramChain(64, fr.ReLU(), 2 / 64)
    >>> chain.mean(np.eye(2)).round(6).tolist()   # Kaiming keeps the norm; the cosine becomes 1/π
    [[1.0, 0.31831], [0.31831, 1.0]]
    """

    def __init__(
        self,
        width: int,
        activation: Activation,
        variance: float,
        bias_std: float = 0.0,
        *,
        aggregation: ArrayLike | None = None,
        shared: bool = False,
    ) -> None:
        """Check the arguments."""
        self.width = arguments.integer("width", width, WIDTHS)
        self.activation = check_activation("activation", activation)
        self.variance = arguments.real("variance", variance, "(0, inf)")
        self.bias_std = arguments.real("bias_std", bias_std, "[0, inf)")
        self.aggregation = None if aggregation is None else check_square("aggregation", aggregation)
        if not isinstance(shared, bool):
            raise ArgumentError(f"shared = {shared!r}: need True or False")
        self.shared = shared

    def __repr__(self) -> str:
        """The call that makes this chain; of an aggregation its shape."""
        more = "" if self.aggregation is None else f", aggregation={self.aggregation.shape}"
        more += ", shared=True" if self.shared else ""
        return f"GramChain({self.width}, {self.activation!r}, {self.variance!r}, {self.bias_std!r}{more})"

    def sample(self, n: int, depth: int, gram: ArrayLike, *, rng: np.random.Generator) -> np.ndarray:
        """Draw the Gram matrices of `n` independent networks at every depth.

        Costs width·m normal numbers a layer and network, and for one input a few draws at any width.
        Same seed, same bits; with more than one input the first networks are the same whatever `n` is.
        A value beyond the largest float is inf.  A Gram matrix does not resolve angles below 1e-8.

        Args:
            n: number of networks, from 1.
            depth: number of layers, from 1.
            gram: of the inputs, of shape (m, m), symmetric and positive semidefinite.
            rng: a numpy Generator.

        Returns:
            An array of shape (n, depth + 1, m, m); index 0 of the second axis is `gram`.

        Raises:
            ArgumentError: outside these ranges.

        >>> import fracrepro as fr
        >>> chain = fr.GramChain(8, fr.ReLU(), 2 / 8, 0.1)
        >>> chain.sample(5, 3, np.eye(2), rng=np.random.default_rng(0)).shape
        (5, 4, 2, 2)
        """
        n = arguments.integer("n", n, _COUNTS)
        depth = arguments.integer("depth", depth, DEPTHS)
        rng, gram = check_rng(rng), self._gram(gram)
        if gram.ndim != 2:
            raise ArgumentError(f"gram has shape {gram.shape}: need one matrix, (m, m)")
        sampler = GramSampler(
            self.width, self.activation, self.variance, self.bias_std, self.aggregation, self.shared
        )
        return sampler.sample(n, depth, gram, rng)

    def covariance(self, gram: ArrayLike) -> np.ndarray:
        """Return S = σ² A G Aᵀ + σ_b² 1 1ᵀ, the covariance of one unit's pre-activations.

        Args:
            gram: of shape (..., m, m), symmetric and positive semidefinite.

        Raises:
            ArgumentError: for another `gram`.

        >>> import fracrepro as fr
        >>> fr.GramChain(8, fr.ReLU(), 0.25, 1.0).covariance(np.eye(2)).tolist()
        [[1.25, 1.0], [1.0, 1.25]]
        """
        gram = self._gram(gram)
        mixed = gram if self.aggregation is None else self.aggregation @ gram @ self.aggregation.T
        return self.variance * mixed + self.bias_std**2

    def mean(self, gram: ArrayLike) -> np.ndarray:
        """Return E[G′ | G], exactly, by arc-cosine kernels.

        ReLU: d √(S_aa S_bb) (sin θ + (π - θ) cos θ)/(2π) with cos θ = S_ab/√(S_aa S_bb).

        Args:
            gram: G, of shape (..., m, m), symmetric and positive semidefinite.

        Returns:
            An array of the shape of `gram`.

        Raises:
            ArgumentError: for another `gram`.

        Source:
            Derived on page 12, thm-gram-moments.

        >>> import fracrepro as fr
        >>> float(fr.GramChain(3, fr.Linear(), 2.0).mean([[5.0]])[0, 0])   # width times variance times 5
        30.0
        """
        return self.width * unit_means(self.activation, self.covariance(gram), 1, self.shared)

    def second_moments(self, gram: ArrayLike) -> np.ndarray:
        """Return E[G′_aa G′_bb | G], exactly: mean products of two squared norms.

        They are d E[φ(h_a)² φ(h_b)²] + d (d - 1) E φ(h_a)² E φ(h_b)²; for ReLU, with the angle of `mean`,
        the first mean is S_aa S_bb (3 sin θ cos θ + (π - θ)(1 + 2 cos² θ))/(2π).

        Args:
            gram: G, of shape (..., m, m), symmetric and positive semidefinite.

        Returns:
            An array of the shape of `gram`.

        Raises:
            ArgumentError: for another `gram`.

        Source:
            Derived on page 12, thm-gram-moments.

        >>> import fracrepro as fr
        >>> float(fr.GramChain(1, fr.ReLU(), 1.0).second_moments([[1.0]])[0, 0])   # E z⁴/2
        1.5
        """
        covariance = self.covariance(gram)
        single = self.activation.even_moment(1) * np.diagonal(covariance, axis1=-2, axis2=-1)
        pairs = single[..., :, None] * single[..., None, :]
        both = unit_means(self.activation, covariance, 2, self.shared)
        return self.width * (both + (self.width - 1) * pairs)

    def scalar_moments(self, depth: int, norm: float) -> np.ndarray:
        """Return E‖x‖² and E‖x‖⁴ of one input at the depths 0 … depth, exactly and with biases.

        With C = φ(z)², z standard normal: m₁' = d E C (σ² m₁ + σ_b²) and
        m₂' = (d E C² + d (d - 1)(E C)²)(σ⁴ m₂ + 2 σ² σ_b² m₁ + σ_b⁴).

        Args:
            depth: number of layers, from 1.
            norm: ‖x‖ > 0 of the input.

        Returns:
            An array of shape (depth + 1, 2); a value beyond the largest float is inf.

        Raises:
            ArgumentError: outside these ranges, and for a chain with an aggregation.

        Source:
            Derived on page 12, thm-gram-moments.

        >>> import fracrepro as fr
        >>> fr.GramChain(8, fr.ReLU(), 2 / 8, 1.0).scalar_moments(2, 3.0)[:, 0].tolist()   # 9, plus 4 a layer
        [9.0, 13.0, 17.0]
        """
        self._no_aggregation("scalar_moments")
        return square_moments(depth, self.width, self.activation, self.variance, self.bias_std, norm=norm)

    def cosine_map(self, cosine: ArrayLike, norm: float | None = None) -> float | np.ndarray:
        """Return the cosine between two outputs of equal norm after one layer, in the limit of large width.

        Without biases it depends on the cosine of the inputs alone; for ReLU it is (sin θ + (π - θ) cos θ)/π.
        With biases it depends on the norm too, through cos S = (σ² ‖x‖² cos + σ_b²)/(σ² ‖x‖² + σ_b²).
        Masks and slopes that are drawn for each input make a map whose value at 1 is below 1.

        Args:
            cosine: between two inputs, in [-1, 1], a number or an array.
            norm: ‖x‖ > 0 of both inputs; needed with biases, and without effect otherwise.

        Returns:
            A float, or an array of the shape of `cosine`.

        Raises:
            ArgumentError: outside these ranges, with biases and no norm, and for a chain with an aggregation.

        Source:
            Cho and Saul (2009) for ReLU; derived on page 12, thm-cosine.

        >>> import fracrepro as fr
        >>> round(fr.GramChain(64, fr.ReLU(), 2 / 64).cosine_map(0.0), 6)   # 1/π
        0.31831
        """
        return plain(self._wide_cosine(self._inner_cosine("cosine_map", cosine, norm)))

    def cosine_expansion(self, cosine: ArrayLike, norm: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        r"""Return mean and variance of the cosine after one layer to first order in 1/width.

        Up to O(1/d²), with X = φ(u) φ(v), Y = φ(u)², Z = φ(v)², ν = E Y, C = Cov(Y, Z) and ρ = `cosine_map`:

        .. math:: &\rho + \bigl(\rho \, (3 \Var Y + C)/4 - \operatorname{Cov}(X, Y)\bigr) / (d \nu^2), \\
                  &\bigl(\Var X - 2\rho \operatorname{Cov}(X, Y) + \rho^2 (\Var Y + C)/2\bigr) / (d \nu^2).

        Args:
            cosine: between two inputs, in [-1, 1], a number or an array.
            norm: as in `cosine_map`.

        Returns:
            Two floats, or two arrays of the shape of `cosine`.

        Raises:
            ArgumentError: as `cosine_map`.

        Source:
            Derived on page 12, thm-cosine.

        >>> import fracrepro as fr
        >>> mean, variance = fr.GramChain(100, fr.Linear(), 1.0).cosine_expansion(0.6)
        >>> round(mean, 6), round(variance, 6)   # ρ - ρ (1 - ρ²)/2d and (1 - ρ²)²/d
        (0.59808, 0.004096)
        """
        inner = self._inner_cosine("cosine_expansion", cosine, norm)
        nu, rho = self.activation.even_moment(1), self._wide_cosine(inner)
        even, odd = (
            mean_product(self.activation, inner, powers, shared=self.shared) / nu**2
            for powers in ((2, 2), (3, 1))
        )
        own = 3.0 * self.activation.even_moment(2) / nu**2 - 1.0  # Var Y/ν²
        cross, mixed = even - 1.0, odd - rho  # Cov(Y, Z)/ν², Cov(X, Y)/ν²
        product = even - rho**2  # Var X/ν², since X² = Y Z
        mean = rho + (rho * (0.75 * own + 0.25 * cross) - mixed) / self.width
        variance = (product - 2.0 * rho * mixed + 0.5 * rho**2 * (own + cross)) / self.width
        return plain(mean), plain(variance)

    def mean_cosine(self, cosine: ArrayLike, norm: float | None = None) -> float | np.ndarray:
        """Return the exact mean cosine after one layer of this width, given that neither output is zero.

        It is the double integral (d/π) ∫∫ D F^(d-1) ds dt/√(s t) with F = E e^(-sY - tZ) and
        D = E X e^(-sY - tZ) of one unit, in the notation of `cosine_expansion`; its error is about 1e-13.

        Args:
            cosine: between two inputs, in [-1, 1], a number or an array.
            norm: as in `cosine_map`.

        Returns:
            A float, or an array of the shape of `cosine`.

        Raises:
            ArgumentError: as `cosine_map`; for random slopes (masks are no obstacle), a ratio of slopes below
                1e-30 that is not 0, and widths above 10⁶; and where one output always is zero.

        Source:
            Derived on page 12, thm-cosine.

        >>> import fracrepro as fr
        >>> round(fr.GramChain(1, fr.ReLU(), 1.0).mean_cosine(0.5), 12)   # one unit alive: cosine 1
        1.0
        """
        inner = self._inner_cosine("mean_cosine", cosine, norm)
        width = arguments.integer("width", self.width, _WIDEST)
        self._fixed_slopes()
        means = [finite.mean_cosine(width, self.activation.slopes, c, self.shared) for c in inner.ravel()]
        return plain(np.reshape(means, inner.shape))

    def _gram(self, gram: ArrayLike) -> np.ndarray:
        """The argument `gram`, checked."""
        matrix = check_gram("gram", gram)
        if self.aggregation is not None and matrix.shape[-1] != len(self.aggregation):
            raise ArgumentError(f"gram has shape {matrix.shape}: need size {len(self.aggregation)}, as A has")
        return matrix

    def _inner_cosine(self, method: str, cosine: ArrayLike, norm: float | None) -> np.ndarray:
        """The cosine between the pre-activations of two inputs of equal norm."""
        self._no_aggregation(method)
        c = arguments.reals("cosine", cosine, "[-1, 1]")
        if norm is None:
            if self.bias_std:
                raise ArgumentError("norm = None: need the norm of both inputs, since there are biases")
            return c
        signal = self.variance * arguments.real("norm", norm, "(0, inf)") ** 2
        bias = self.bias_std**2
        return np.clip((signal * c + bias) / (signal + bias), -1.0, 1.0) if bias else c

    def _wide_cosine(self, inner: np.ndarray) -> np.ndarray:
        """E X/ν, which rounding must not carry out of [-1, 1]."""
        ratio = mean_product(self.activation, inner, shared=self.shared) / self.activation.even_moment(1)
        return np.clip(ratio, -1.0, 1.0)

    def _no_aggregation(self, method: str) -> None:
        """Raise for a chain that mixes its inputs."""
        if self.aggregation is not None:
            raise ArgumentError(f"aggregation of shape {self.aggregation.shape}: need None for {method}")

    def _fixed_slopes(self) -> None:
        """Raise for slopes that the exact mean of the cosine does not treat."""
        sides = self.activation.slopes.sides
        sizes = sorted(abs(low) for low, _ in sides)
        if any(low < high for low, high in sides):
            raise ArgumentError(f"activation = {self.activation!r}: need fixed slopes for mean_cosine")
        if 0.0 < sizes[0] < finite.SMALLEST_RATIO * sizes[1]:
            need = f"slopes whose ratio is 0 or at least {finite.SMALLEST_RATIO:g}"
            raise ArgumentError(f"activation = {self.activation!r}: need {need}")
