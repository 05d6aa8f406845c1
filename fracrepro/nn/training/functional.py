"""Many copies of any module trained at once: one forward pass by `torch.func`, one backward pass for all."""

from __future__ import annotations

import copy
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.training.streams import stream

__all__ = ["UNLABELLED", "FunctionalEnsemble"]

#: The label of what has none: it enters no loss and no count, as in `torch.nn.functional.cross_entropy`.
UNLABELLED = -100

_GLOBAL_GENERATOR = threading.Lock()  # one process has one, and dropout in a lane draws from it


class FunctionalEnsemble:
    r"""Runs of any classifier, trained together by plain gradient descent on the mean cross-entropy.

    The interface is that of :class:`.ensemble.Ensemble`, which trains one family, and faster.
    Parameters and buffers are stacked, the forward pass is vectorized by :func:`torch.func.vmap`, and one
    backward pass differentiates the sum of the losses.
    Convolutions on a CPU are the exception: their runs take the step one after the other, because one run's
    images alone fill the caches, and those of all runs are blocks of memory that the system takes back.
    No operation mixes runs, so one that diverges leaves the others alone.
    Run m = g·S + j has the seed number g and the scheme number j of S; the S runs at a seed see one batch.
    A parameter p with gradient q and the factor f moves to
    :math:`(1 - f \eta \lambda)\, p - f \eta\, q` with learning rate η and weight decay λ.
    A step runs the modules in training mode, an evaluation in evaluation mode; running statistics of batch
    normalization are buffers like others, one set a run.
    Parameters that need no gradient stay as they are, as do those that the output does not depend on.

    Args:
        modules: G·S of them, alike in all but the values of parameters and buffers; they are copied.
            A function such as :func:`.start.starting_modules` makes them from schemes and seeds.
        seeds: G, a divisor of their number.
        device: where the tensors live.
        rate_of: is called with each parameter's name and returns the factor of its learning rate, at least 0.
        noise: None refuses modules that draw in training, such as dropout.
            An integer in [0, 2^31) seeds their draws, which then differ from run to run: they are repeated by
            another ensemble with the same number of runs, the same batches and the same `noise` on the same
            kind of device, also after :attr:`tensors` were saved and restored; a run's own draws change with
            the runs beside it.

    Raises:
        ArgumentError: for modules that are not alike or hold tensors besides parameters and buffers, a number
            of seeds that does not divide theirs, and a factor or `noise` out of range.

    Source:
        Ours; with torch's own optimizer on each module the numbers are the same to rounding.

    >>> modules = [nn.Linear(2, 3) for _ in range(4)]
    >>> ensemble = FunctionalEnsemble(modules, seeds=2)
    >>> images, labels = torch.ones(2, 5, 2), torch.zeros(2, 5, dtype=torch.int64)
    >>> ensemble.step(images, labels, 0.1).shape    # losses and correct answers of four runs
    torch.Size([2, 4])
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        seeds: int,
        device: torch.device | str = "cpu",
        *,
        rate_of: Callable[[str], float] | None = None,
        noise: int | None = None,
    ) -> None:
        """Copy and stack parameters and buffers."""
        modules = list(modules)
        self.size, self.seeds = len(modules), integer("seeds", seeds, "[1, inf)")
        if not modules or self.size % self.seeds:
            raise ArgumentError(f"seeds = {seeds}: need a divisor of the number of modules, {self.size}")
        self.noise = None if noise is None else integer("noise", noise, "[0, 2147483648)")
        _check_alike(modules)
        trained = {name for name, parameter in modules[0].named_parameters() if parameter.requires_grad}
        self.module = copy.deepcopy(modules[0])  # the structure: its own tensors are never used
        stacked, buffers = stack_module_state(modules)
        self._parameters = {
            name: tensor.detach().to(device).requires_grad_(name in trained)
            for name, tensor in stacked.items()
        }
        self._buffers = {name: tensor.to(device) for name, tensor in buffers.items()}
        self.factors = {
            name: 1.0 if rate_of is None else real(f"rate_of({name!r})", rate_of(name), "[0, inf)")
            for name in self._parameters
            if name in trained
        }
        self._steps = torch.zeros((), dtype=torch.int64)  # how many draws of noise have been made
        on_cpu = torch.device(device).type == "cpu"
        # Draws of the runs would come in another order.
        self._in_turn = on_cpu and self.noise is None and _convolves(self.module)

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor that training changes in place: parameters, buffers, and a counter where it draws."""
        counter = [] if self.noise is None else [self._steps]
        return [*(p.detach() for p in self._parameters.values()), *self._buffers.values(), *counter]

    def parameters(self, model: int) -> OrderedDict[str, Tensor]:
        """Return a copy of one run's parameters and buffers, named as in its module."""
        state = self._parameters | self._buffers
        return OrderedDict((name, tensor[model].detach().clone()) for name, tensor in state.items())

    def step(self, images: Tensor, labels: Tensor, learning_rate: float, decay: float = 0.0) -> Tensor:
        """Take one step of gradient descent on the mean cross-entropy of a batch per seed.

        Args:
            images: what a module takes, one batch a seed: shape (G, B, …).
            labels: int64 of shape (G, B); :data:`UNLABELLED` leaves an answer out.
            learning_rate: positive.
            decay: weight decay.

        Returns:
            Sum of the losses and number of correct answers before the step, float64 of shape (2, G·S).

        Raises:
            ArgumentError: for a module that draws, unless `noise` was given.
        """
        self.module.train()
        answered = (labels != UNLABELLED).sum(1)
        if self._in_turn:
            figures = []
            for run in range(self.size):
                parameters = self._of(run, self._parameters)
                losses, correct = self._answer_of(run, parameters, images, labels)
                loss = losses.sum() / answered[run * self.seeds // self.size]
                self._descend(loss, parameters, learning_rate, decay)
                figures.append(_figures(losses.detach().view(1, 1, -1), correct.view(1, 1, -1)))
            return torch.cat(figures, 1)
        with self._drawing():
            losses, correct = self._answers(images, labels)
        loss = (losses.sum(2) / answered.view(-1, 1)).sum()
        self._descend(loss, self._parameters, learning_rate, decay)
        return _figures(losses.detach(), correct)

    def _descend(
        self, loss: Tensor, parameters: dict[str, Tensor], learning_rate: float, decay: float
    ) -> None:
        """Move these parameters in place along the gradient of a loss."""
        trained = {name: parameters[name] for name in self.factors}
        gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
        with torch.no_grad():
            for (name, parameter), gradient in zip(trained.items(), gradients, strict=True):
                if gradient is not None:  # torch's optimizers leave such parameters alone, decay included
                    rate = learning_rate * self.factors[name]
                    parameter.mul_(1 - rate * decay).sub_(gradient, alpha=rate)

    @staticmethod
    def _of(run: int, stacked: dict[str, Tensor]) -> dict[str, Tensor]:
        """One run's part of stacked tensors, in the same memory."""
        return {
            name: tensor.detach()[run].requires_grad_(tensor.requires_grad)
            for name, tensor in stacked.items()
        }

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of the losses and the number of correct answers, float64 of shape (2, G·S).

        Args:
            images: of shape (B, …), shown to every run.
            labels: int64 of shape (B,).
        """
        self.module.eval()
        return _figures(
            *self._answers(images.expand(self.seeds, *images.shape), labels.expand(self.seeds, -1))
        )

    def _answers(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of every answer, and whether it is correct, both of shape (G, S, B)."""
        shape = (self.seeds, self.size // self.seeds)
        if self._in_turn:
            each = [
                self._answer_of(run, self._of(run, self._parameters), images, labels)
                for run in range(self.size)
            ]
            losses, correct = (torch.stack(part).unflatten(0, shape) for part in zip(*each, strict=True))
            return losses, correct
        parameters = {name: tensor.unflatten(0, shape) for name, tensor in self._parameters.items()}
        buffers = {name: tensor.unflatten(0, shape) for name, tensor in self._buffers.items()}
        randomness = "error" if self.noise is None else "different"
        at_a_seed = vmap(self._answer, (0, 0, None, None), randomness=randomness)
        try:
            return vmap(at_a_seed, randomness=randomness)(parameters, buffers, images, labels)
        except RuntimeError as error:
            if "randomness" in str(error) and self.noise is None:
                kind = type(self.module).__name__
                raise ArgumentError(f"noise = None: need a seed, as a {kind} draws in training") from error
            raise

    def _answer_of(
        self, run: int, parameters: dict[str, Tensor], images: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`_answer` returns for one run, given its parameters and the batches of all seeds."""
        seed = run * self.seeds // self.size
        return self._answer(parameters, self._of(run, self._buffers), images[seed], labels[seed])

    def _answer(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One run: the loss of every answer, and whether it is correct; one that is no number is not."""
        output = functional_call(self.module, (parameters, buffers), (images,))
        losses = F.cross_entropy(output, labels, ignore_index=UNLABELLED, reduction="none")
        return losses, (output.argmax(1) == labels) & losses.isfinite()

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Seed torch's global generators for one step where the modules draw, and put them back."""
        if self.noise is None:
            yield
            return
        with _GLOBAL_GENERATOR, torch.random.fork_rng():
            torch.manual_seed(stream(self.noise, "noise", int(self._steps)).initial_seed())
            self._steps += 1
            yield


def _figures(losses: Tensor, correct: Tensor) -> Tensor:
    """Sum of losses and number of correct answers, of every run."""
    sums = [losses.sum(2, dtype=torch.float64), correct.sum(2, dtype=torch.float64)]
    return torch.stack(sums).flatten(1)


def _convolves(module: nn.Module) -> bool:
    """Whether there are convolutions."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return any(isinstance(part, kinds) for part in module.modules())


def _check_alike(modules: Sequence[nn.Module]) -> None:
    """Refuse modules that one of them cannot stand for."""
    for each in modules:
        if not isinstance(each, nn.Module):
            raise ArgumentError(f"modules = {each!r}: need a torch.nn.Module")
    first = _structure(modules[0])
    for k, each in enumerate(modules):
        for name, value in _structure(each).items():
            if isinstance(value, Tensor):
                raise ArgumentError(f"modules[{k}].{name}: need a tensor to be a parameter or a buffer")
            if first.get(name, math.nan) != value:
                there = first.get(name)
                raise ArgumentError(f"modules[{k}].{name} = {value!r}: need {there!r}, as in the first")
        if len(_structure(each)) != len(first):
            raise ArgumentError(f"modules[{k}]: need the parts of the first")


def _structure(module: nn.Module) -> dict[str, Any]:
    """What decides a forward pass besides the values of parameters and buffers, as far as it can be compared.

    Classes of all parts, their plain attributes, and the kinds of their parameters and buffers.
    """
    found: dict[str, Any] = {}
    for prefix, part in module.named_modules():
        found[f"{prefix}.__class__".lstrip(".")] = type(part)
        for name, value in vars(part).items():
            if name != "training" and (isinstance(value, Tensor) or _plain(value)):
                found[f"{prefix}.{name}".lstrip(".")] = value
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        found[name] = (tuple(tensor.shape), tensor.dtype, tensor.requires_grad)
    return found


def _plain(value: object) -> bool:
    """Whether two such values can be compared."""
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, (bool, int, float, str))
