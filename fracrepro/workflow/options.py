"""The sets of names that a parameter may be taken from, each read from the registry that declares them.

A parameters cell says ``one of @schemes`` instead of a list: whoever registers a scheme finds it on the page,
and so it is for the command line.
A set is read when it is asked for, because some registries need torch.
"""

from __future__ import annotations

from collections.abc import Callable

from fracrepro.arguments import choice

__all__ = ["SETS", "option_set"]


def _activations(fixed_slopes: bool = False) -> tuple[str, ...]:
    from fracrepro.theory import activations

    return activations.names(fixed_slopes=fixed_slopes)


def _schemes() -> tuple[str, ...]:
    from fracrepro.nn import schemes

    return schemes.names()


def _dense_schemes() -> tuple[str, ...]:
    from fracrepro.nn import schemes

    kinds = {name: schemes.get(name) for name in schemes.names()}
    return tuple(name for name, kind in kinds.items() if "dense" in kind.families and not kind.needs_data)


def _normal_schemes() -> tuple[str, ...]:
    from fracrepro.nn import schemes
    from fracrepro.nn.schemes.base import NormalScheme

    kinds = [(name, schemes.get(name)) for name in schemes.names()]
    return tuple(n for n, kind in kinds if issubclass(kind, NormalScheme) and "dense" in kind.families)


def _trainable_schemes() -> tuple[str, ...]:
    from fracrepro.nn.training.start import startable

    return startable()


def _residual_schemes() -> tuple[str, ...]:
    from fracrepro.nn import schemes

    families = {name: schemes.get(name).families for name in schemes.names()}
    layered = {"dense", "conv"}
    return tuple(
        name
        for name, each in families.items()
        if "residual" in each and ("dense" in each or not layered & set(each))
    )


def _formulas() -> tuple[str, ...]:
    from fracrepro.theory.published import FORMULAS

    return FORMULAS


def _datasets() -> tuple[str, ...]:
    from fracrepro.nn.data import NAMES

    return NAMES


def _downloads() -> tuple[str, ...]:
    from fracrepro.nn.data import SOURCES

    return tuple(SOURCES)


def _experiments() -> tuple[str, ...]:
    from fracrepro.nn.experiments.registry import EXPERIMENTS

    return tuple(EXPERIMENTS)


SETS: dict[str, Callable[[], tuple[str, ...]]] = {
    "activations": _activations,
    "fixed_activations": lambda: _activations(fixed_slopes=True),
    "schemes": _schemes,
    "dense_schemes": _dense_schemes,  # those that fill fully connected layers and need no data
    "normal_schemes": _normal_schemes,  # those that differ by one factor a dense layer
    "trainable_schemes": _trainable_schemes,  # those that can start the networks of the trainings
    "residual_schemes": _residual_schemes,  # those that start fully connected residual networks
    "formulas": _formulas,
    "datasets": _datasets,
    "downloads": _downloads,
    "experiments": _experiments,
}


def option_set(name: str) -> tuple[str, ...]:
    """Return the names in the set `name`, in the order of their registry.

    Raises:
        ArgumentError: for a set that does not exist; the message suggests the nearest one.
        ModuleNotFoundError: when the registry needs a package that is not installed.
    """
    return SETS[choice("option set", name, tuple(SETS))]()
