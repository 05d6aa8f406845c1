"""All runs of an experiment as stacked tensors: one batched product per layer trains every one of them.

Model m = g * S + j has the seed number g and the scheme number j of S.
No operation mixes models, so a run that diverges leaves the others alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.training.convolutions import as_products, grouped
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.start import initial_parameters

__all__ = ["Ensemble"]

# With its overload named, because torch otherwise looks for it again in each of a step's calls.
_leaky_relu_backward = torch.ops.aten.leaky_relu_backward.grad_input


class Ensemble:
    """The runs for some seeds and all schemes, trained together by plain gradient descent.

    The fully connected layers are differentiated by hand, because the update then fuses with the product that
    makes the gradient: W ← (1 − lr·decay) W − lr·hᵀδ is one call.
    The convolutions, which hold most of the time and few of the parameters, go through autograd.
    Nothing that makes a step faster may change the order of a sum: the records come back bit for bit.

    Args:
        network: what is trained.
        schemes: S initialization schemes.
        seeds: G seeds.
        device: where the tensors live.
        batches: images for each seed, which schemes that need data see; None for none.
    """

    def __init__(
        self,
        network: Network,
        schemes: Sequence[Scheme],
        seeds: Sequence[int],
        device: torch.device | str,
        batches: Sequence[Tensor] | None = None,
    ) -> None:
        """Draw and stack the starting parameters."""
        self.network, self.seeds, self.size = network, len(seeds), len(seeds) * len(schemes)
        # All schemes at a seed see the same images: a fully connected first layer is one wide product.
        self.shares_input = not network.channels
        given = [None] * len(seeds) if batches is None else batches
        runs = [
            initial_parameters(network, scheme, seed, batch)
            for seed, batch in zip(seeds, given, strict=True)
            for scheme in schemes
        ]
        stacked = {name: torch.stack([run[name] for run in runs]) for name in runs[0]}
        self.convolutions = [
            stacked[f"conv{k}.{part}"].flatten(0, 1).to(device).requires_grad_()
            for k in range(len(network.channels))
            for part in ("weight", "bias")
        ]
        self._convolve = grouped if torch.device(device).type == "cpu" else as_products
        self._made: dict[int, list[Tensor]] = {}
        self._rates = [network.rate_of(f"dense{k}.weight") for k in range(network.depth)]
        depth = range(network.depth)
        self.weights = [self._stack(stacked[f"dense{k}.weight"].mT, k).to(device) for k in depth]
        self.biases = [self._stack(stacked[f"dense{k}.bias"].unsqueeze(1), k).to(device) for k in depth]

    @property
    def tensors(self) -> list[Tensor]:
        """Every parameter, changed in place by training: the state of the ensemble."""
        return [*(p.detach() for p in self.convolutions), *self.weights, *self.biases]

    def parameters(self, model: int) -> OrderedDict[str, Tensor]:
        """Return a copy of one model's parameters, named as in :func:`.network.build_module`."""
        named: OrderedDict[str, Tensor] = OrderedDict()
        for k in range(len(self.network.channels)):
            for part, stacked in zip(("weight", "bias"), self.convolutions[2 * k : 2 * k + 2], strict=True):
                named[f"conv{k}.{part}"] = stacked.detach().unflatten(0, (self.size, -1))[model].clone()
        for k in range(self.network.depth):
            weights = self._unstack(self.weights[k], k)[model].mT
            named[f"dense{k}.weight"] = weights.clone(memory_format=torch.contiguous_format)
            named[f"dense{k}.bias"] = self._unstack(self.biases[k], k)[model, 0].clone()
        return named

    def step(self, images: Tensor, labels: Tensor, learning_rate: float, decay: float = 0.0) -> Tensor:
        """Take one step of gradient descent on the mean cross-entropy of a batch per seed.

        Args:
            images: float32 of shape (G, B, channels, height, width).
            labels: int64 of shape (G, B).
            learning_rate: positive.
            decay: weight decay.

        Returns:
            Sum of the losses and number of correct answers before the step, float64 of shape (2, G·S).
        """
        features = self._features(images)
        with torch.no_grad():
            layers = self._forward(features.detach())
            log_p = self._log_softmax(layers[-1])
            targets = self._targets(labels)
            figures = _figures(log_p, targets)
            # The gradient of the mean cross-entropy is (p − onehot)/B, times the factor of the output.
            delta = log_p.exp_()
            delta.scatter_add_(2, targets, torch.full_like(targets, -1, dtype=delta.dtype))
            delta.mul_(self.network.output / labels.shape[1])
            delta = self._backward(layers, delta, learning_rate, decay)
        if self.convolutions:
            gradients = torch.autograd.grad(features, self.convolutions, delta)
            with torch.no_grad():
                for parameter, gradient in zip(self.convolutions, gradients, strict=True):
                    parameter.mul_(1 - learning_rate * decay).sub_(gradient, alpha=learning_rate)
        return figures

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of the losses and the number of correct answers, float64 of shape (2, G·S).

        Args:
            images: float32 of shape (B, channels, height, width), shown to every model.
            labels: int64 of shape (B,).
        """
        images = images.expand(self.seeds, *images.shape)
        log_p = self._log_softmax(self._forward(self._features(images))[-1])
        return _figures(log_p, self._targets(labels.expand(self.seeds, -1)))

    def _log_softmax(self, output: Tensor) -> Tensor:
        """The logarithms of the probabilities that the loss sees."""
        factor = self.network.output
        return torch.log_softmax(output if factor == 1.0 else factor * output, -1)

    def _features(self, images: Tensor) -> Tensor:
        """What enters the first fully connected layer: (G, B, n_in) if shared, else (G·S, B, n_in)."""
        if self.shares_input:
            return images.flatten(2)
        return self._convolve(images, self.convolutions, self.size)

    def _forward(self, h: Tensor) -> list[Tensor]:
        """The input and the output of each fully connected layer; the outputs live in buffers used again."""
        layers, slopes = [h], self.network.slopes
        buffers = self._buffers(h.shape[1])
        for k in range(self.network.depth):
            h = torch.baddbmm(self.biases[k], layers[-1], self.weights[k], out=buffers[k])
            h = self._unstack(h, k)
            layers.append(F.leaky_relu_(h, slopes[k]))
        return layers

    def _backward(self, layers: list[Tensor], delta: Tensor, learning_rate: float, decay: float) -> Tensor:
        """Update the fully connected layers from the gradient at the output; return it at their input."""
        spare, slopes = self._buffers(delta.shape[1])[-2:], self.network.slopes
        for k in reversed(range(self.network.depth)):
            # True: the sign is read off the layer's output, which leaky ReLU leaves unchanged.
            _leaky_relu_backward(delta, layers[k + 1], slopes[k], True, grad_input=delta)
            below = delta = self._stack(delta, k)
            if k or self.convolutions:  # images need no gradient
                below = torch.bmm(delta, self.weights[k].mT, out=spare[k % 2] if k else None)
            rate = learning_rate * self._rates[k]
            self.weights[k].baddbmm_(layers[k].mT, delta, beta=1 - rate * decay, alpha=-rate)
            bias = self.biases[k].mul_(1 - learning_rate * decay) if decay else self.biases[k]
            bias.sub_(delta.sum(1, keepdim=True), alpha=learning_rate)
            delta = below
        return delta

    def _buffers(self, batch: int) -> list[Tensor]:
        """One buffer per layer's output and two for gradients, made once per batch size.

        Fresh memory of this size returns to the system at every step, which costs as much as the arithmetic.
        """
        if batch not in self._made:
            shapes = [(w.shape[0], batch, w.shape[2]) for w in self.weights]
            shapes += 2 * [(self.size, batch, self.network.width)]
            self._made[batch] = [self.weights[0].new_empty(shape) for shape in shapes]
        return self._made[batch]

    def _targets(self, labels: Tensor) -> Tensor:
        """The labels of each model's batch, (G·S, B, 1)."""
        return labels.repeat_interleave(self.size // self.seeds, 0).unsqueeze(2)

    def _stack(self, per_model: Tensor, layer: int) -> Tensor:
        """(G·S, r, n) as the layer holds it: (G, r, S·n) in a first layer with shared input."""
        if layer or not self.shares_input:
            return per_model.contiguous()
        return per_model.unflatten(0, (self.seeds, -1)).transpose(1, 2).flatten(2)

    def _unstack(self, held: Tensor, layer: int) -> Tensor:
        """The inverse of :meth:`_stack`."""
        if layer or not self.shares_input:
            return held
        return held.unflatten(2, (self.size // self.seeds, -1)).transpose(1, 2).flatten(0, 1)


def _figures(log_p: Tensor, targets: Tensor) -> Tensor:
    """Sum of losses and number of correct answers; an answer that is not a number is not correct."""
    losses = -log_p.gather(2, targets)
    correct = (log_p.argmax(2, keepdim=True) == targets) & losses.isfinite()
    return torch.stack([losses.sum((1, 2), dtype=torch.float64), correct.sum((1, 2), dtype=torch.float64)])
