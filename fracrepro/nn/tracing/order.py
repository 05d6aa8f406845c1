"""What follows each layer, read off the order in which a model's modules were registered.

In a sequence of modules that is the order of execution; elsewhere it is a guess, and a function that is no
module is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _LPPoolNd,
    _MaxPoolNd,
)

from fracrepro.nn.activations import law
from fracrepro.nn.blocks import ScalarBias, is_block
from fracrepro.nn.networks.graph import Aggregate
from fracrepro.nn.schemes.plan import Reads, Step
from fracrepro.nn.tracing.between import module_steps
from fracrepro.nn.tracing.follow import SUMMED, Following, Place
from fracrepro.nn.tracing.reads import module_reads
from fracrepro.theory.activations import Activation, Dropout, Linear

__all__ = ["GUESSED", "NORMALIZATIONS", "UNSEEN", "is_layer", "module_order"]

# Taken as a whole: what is inside is no layer of its own.
BLOCKS = (nn.MultiheadAttention, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase)
NORMALIZATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
POOLS = (_MaxPoolNd, _AvgPoolNd, _LPPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, nn.Upsample)
MOVES = (
    *(
        ScalarBias,
        nn.Flatten,
        nn.Unflatten,
        nn.PixelShuffle,
        nn.PixelUnshuffle,
        nn.ChannelShuffle,
        nn.Fold,
        nn.Unfold,
    ),
    *(
        getattr(nn, f"{kind}Pad{d}d")
        for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
        for d in (1, 2, 3)
    ),
)
STEPS: dict[str, tuple[type[nn.Module], ...]] = {
    "normalization": NORMALIZATIONS,
    "pool": POOLS,
    "shift": (ScalarBias,),
    "move": MOVES,
    "matrix": (Aggregate,),
}
SIDES = ("branch", "skip")
UNSEEN = "no activation module before the next layer; a function would be seen with a batch"
GUESSED = "the order in which the model runs its modules is not known without a batch"


class _Fork(nn.Module):
    """Stands where a residual block begins: what comes before goes into its branch and beside it."""


class _Join(nn.Module):
    """Stands where the branch of a residual block, or what it has beside it, enters the sum."""


class _Step(NamedTuple):
    """A module without steps of its own, and the sequence whose order is certain in which it stands."""

    module: nn.Module
    sequence: tuple[str, ...]


def module_order(model: nn.Module) -> list[tuple[nn.Module, Place]]:
    """Return what follows each linear layer and convolution, once for each place where it stands."""
    steps = list(_steps(model, (), ()))
    layers = [k for k, step in enumerate(steps) if is_layer(step.module)]
    places = []
    for k in layers:
        end = next((j for j in range(k + 1, len(steps)) if _ends(steps[j].module)), len(steps))
        last = k == layers[-1]
        # The end of the model counts as a step of its outermost sequence.
        sequences = {step.sequence for step in steps[k : end + 1]} | ({()} if end == len(steps) else set())
        certain = len(sequences) == 1
        marker = steps[end].module if end < len(steps) else None
        summed, added = isinstance(marker, _Join), isinstance(marker, (_Fork, _Join))
        # Backwards, since a model may have thousands of steps.
        before = next((steps[j].module for j in range(k - 1, -1, -1) if _mixes(steps[j].module)), None)
        found = _scan([step.module for step in steps[k + 1 : end]], last and not summed, certain)
        if summed:
            found = found.noting(SUMMED)
        if not certain:
            unseen = found.law is None and not found.reason and not last
            found = (found.noting(UNSEEN) if unseen else found).noting(GUESSED)
        place = Place(
            found,
            first=k == layers[0],
            last=last,
            through=(
                *module_steps([step.module for step in steps[k + 1 : end]], STEPS),
                *((Step("sum", "add"),) if added else ()),
            ),
            fed_by=() if before is None else (before,),
            guessed=not certain,
            reads=_reads(steps, k, end),
        )
        places.append((steps[k].module, place))
    return places


def _reads(steps: Sequence[_Step], k: int, end: int) -> Reads:
    """What the layer at step `k` reads, if the order from the layer before it to the next one is certain."""
    start = next((j for j in range(k - 1, -1, -1) if _applies_weights(steps[j].module)), 0)
    if len({step.sequence for step in steps[start : end + 1]}) > 1:
        return Reads(reason=f"{GUESSED}, so that what it reads is not known either")
    before, behind = ([step.module for step in part] for part in (steps[start:k], steps[k + 1 : end]))
    return module_reads(before, behind)


def is_layer(module: nn.Module) -> bool:
    """Whether a module is a layer that schemes serve."""
    return isinstance(module, (nn.Linear, _ConvNd))


def _ends(module: nn.Module) -> bool:
    """Whether what a layer's output passes ends here."""
    return isinstance(module, (_Fork, _Join)) or _applies_weights(module)


def _applies_weights(module: nn.Module) -> bool:
    """Whether a module is any layer, known or not: it has a matrix of parameters."""
    return is_layer(module) or any(parameter.ndim > 1 for parameter in module.parameters())


def _mixes(module: nn.Module) -> bool:
    """Whether a module is a layer that reads a signal, as a run would see it, or a sum of several."""
    others = (nn.Embedding, nn.EmbeddingBag, *NORMALIZATIONS)
    return isinstance(module, _Join) or (_applies_weights(module) and not isinstance(module, others))


def _steps(module: nn.Module, path: tuple[str, ...], sequence: tuple[str, ...]) -> Iterator[_Step]:
    """The modules in their order, taken apart down to those that are layers, laws or leaves."""
    if is_layer(module) or isinstance(module, BLOCKS) or not module._modules:
        yield _Step(module, sequence)
        return
    if is_block(module):
        yield from _block(module, path, sequence)
        return
    in_order = getattr(type(module), "forward", None) is nn.Sequential.forward
    for name, child in module._modules.items():  # not children(), which leaves out what stands there twice
        if child is not None:
            below = (*path, name)
            yield from _steps(child, below, sequence if in_order else below)


def _block(module: nn.Module, path: tuple[str, ...], sequence: tuple[str, ...]) -> Iterator[_Step]:
    """The steps of a residual block, whose contract says in which order they run."""
    parts = {name: list(_steps(getattr(module, name), (*path, name), (*path, name))) for name in SIDES}
    entered = [steps[0].module for steps in parts.values()]
    plain = any(is_layer(each) or isinstance(each, nn.Identity) for each in entered)
    # Where both sides begin with a function, nobody knows without a run whether it is the same one.
    yield _Step(_Fork(), sequence if plain else (*path, "fork"))
    for name, steps in parts.items():
        yield from steps
        yield _Step(_Join(), (*path, name))
    inside = {each for name in SIDES for each in getattr(module, name).modules()}
    for name, child in module._modules.items():  # an activation behind the sum belongs to no layer
        if child is not None and child not in inside and any(map(is_layer, child.modules())):
            yield from _steps(child, (*path, name), (*path, name))


def _scan(modules: Sequence[nn.Module], last: bool, certain: bool) -> Following:
    """What stands between a layer and the next one; in an uncertain order up to the first activation."""
    activation: Activation | None = None
    dropouts: list[float] = []
    notes: list[str] = []
    for module in modules:
        if isinstance(module, MOVES):
            continue
        kind, found = type(module).__name__, law(module)
        if isinstance(module, (*NORMALIZATIONS, *POOLS, Aggregate)):
            notes.append(f"through {kind}")
        elif isinstance(found, Dropout) and isinstance(found.activation, Linear):
            dropouts.append(found.p)
        elif isinstance(found, Linear):
            continue
        elif found is not None and activation is None:
            activation = found
        elif activation is not None and not certain:
            break
        elif last:
            notes.append(f"{kind} at the output")
            break
        else:
            before = "" if activation is None else f"{activation!r} and then by "
            return Following(name=kind, reason=f"followed by {before}{kind}, for which there is no law")
    return Following(law=activation, dropouts=tuple(dropouts), notes=tuple(notes))
