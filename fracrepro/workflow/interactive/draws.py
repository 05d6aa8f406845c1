"""Tables of drawn networks: the angle between two inputs, and the spectrum of the Jacobian, over depth."""

from __future__ import annotations

from typing import Any

import numpy as np

from fracrepro.theory.activations import ReLU
from fracrepro.theory.joint import GramChain
from fracrepro.workflow.project import Project

__all__ = ["angles", "spectra"]

WIDTHS = (4, 8, 16, 32, 64, 128)
ANGLES = tuple(range(15, 181, 15))  # degrees between the inputs
DEPTH, NETWORKS = 30, 2000
LEVELS = (0.1, 0.5, 0.9)
DEPTHS = (1, 2, 4, 8, 16, 32, 64)  # hidden layers of the networks whose Jacobians are taken
HALF = 16  # inputs and outputs of these; hidden layers are twice as wide
DRAWS = 3  # networks a scheme and depth


def angles(project: Project) -> dict[str, Any]:
    """Return quantiles of the angle between two inputs over depth, in ReLU networks of several widths.

    No order changes the angle, because without biases the scale of the weights cancels.
    Each width and angle has :data:`NETWORKS` draws of the exact chain, seeded by both; networks in which one
    output is zero are left out.
    """
    table = [[angle_quantiles(width, angle).round(3).tolist() for angle in ANGLES] for width in WIDTHS]
    sizes = {"widths": WIDTHS, "angles": ANGLES, "depth": DEPTH, "networks": NETWORKS, "levels": LEVELS}
    return {**sizes, "degrees": table}


def angle_quantiles(width: int, angle: int) -> np.ndarray:
    """Return the quantiles at one width and angle, in degrees, of shape (levels, depth + 1)."""
    cosine = np.cos(np.deg2rad(angle))
    chain = GramChain(width, ReLU(), 2.0 / width)
    rng = np.random.default_rng([width, angle])
    gram = chain.sample(NETWORKS, DEPTH, np.array([[1.0, cosine], [cosine, 1.0]]), rng=rng)
    size = np.sqrt(gram[..., 0, 0] * gram[..., 1, 1])
    ratio = np.divide(gram[..., 0, 1], size, out=np.full_like(size, np.nan), where=size > 0.0)
    degrees = np.rad2deg(np.arccos(np.clip(ratio, -1.0, 1.0)))
    return np.nanquantile(degrees, LEVELS, axis=0)


def spectra(project: Project) -> dict[str, Any]:
    """Return the singular values of the Jacobian of whole ReLU networks under every scheme, over depth."""
    values = {name: [spectrum(*start, depth) for depth in DEPTHS] for name, start in starts().items()}
    labels = {name: _label(*start) for name, start in starts().items()}
    sizes = {"depths": DEPTHS, "half": HALF, "draws": DRAWS, "labels": labels}
    schemes = {name: scheme for name, (scheme, _) in starts().items()}
    return {**sizes, "schemes": schemes, "values": values}


def starts() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every way to start these networks: scheme and options; looks-linear has two kinds of submatrices."""
    from fracrepro.nn.scale import BASES
    from fracrepro.workflow.options import option_set

    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in option_set("dense_schemes"):
        for base in BASES if name == "looks_linear" else ("",):
            found[f"{name} {base}".strip()] = (name, {"base": base} if base else {})
    return found


def _label(scheme: str, options: dict[str, Any]) -> str:
    from fracrepro.nn import schemes

    return ", ".join((schemes.get(scheme).label, *(f"{base.capitalize()} base" for base in options.values())))


def spectrum(scheme: str, options: dict[str, Any], depth: int) -> list[list[float]]:
    """Return the singular values of a few networks, each at one input, with four significant digits."""
    import torch

    from fracrepro.nn import initialize_, networks
    from fracrepro.nn.diagnosis import jacobian_singular_values

    found = []
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(100 * depth + draw)
        net = networks.mlp([HALF, *[2 * HALF] * depth, HALF], ReLU(), bias=False).double()
        initialize_(net, scheme, generator=generator, **options)
        x = torch.randn(1, HALF, generator=generator, dtype=torch.float64)
        values = jacobian_singular_values(net, x)[0]
        found.append([float(f"{value:.4g}") if value > 1e-30 else 0.0 for value in values])
    return found
