"""The step of the ensemble against the one that made the records, bit for bit, whatever makes it faster.

The reference below is that step, written out without buffers and without anything that saves work: its calls
and their order decide how sums are rounded. It must not be changed while the records stand.
A digest would pin one machine's matrix library; this compares on any machine.
"""

import pytest
import torch
import torch.nn.functional as F

from fracrepro.nn.experiments import CIFAR10, MNIST
from fracrepro.nn.schemes import make
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.network import Network

SCHEMES = tuple(map(make, ("kaiming", "xavier", "lyapunov", "orthogonal")))


class Reference:
    """Parameters of an ensemble, moved by the recorded arithmetic."""

    def __init__(self, ensemble):
        self.network, self.size, self.seeds = ensemble.network, ensemble.size, ensemble.seeds
        self.shares = not self.network.channels
        count = 2 * len(self.network.channels)
        tensors = [tensor.clone() for tensor in ensemble.tensors]
        self.convolutions = [tensor.requires_grad_() for tensor in tensors[:count]]
        self.weights = tensors[count : count + self.network.depth]
        self.biases = tensors[count + self.network.depth :]

    @property
    def tensors(self):
        return [*(p.detach() for p in self.convolutions), *self.weights, *self.biases]

    def stack(self, per_model, layer):
        if layer or not self.shares:
            return per_model.contiguous()
        return per_model.unflatten(0, (self.seeds, -1)).transpose(1, 2).flatten(2)

    def unstack(self, held, layer):
        if layer or not self.shares:
            return held
        return held.unflatten(2, (self.size // self.seeds, -1)).transpose(1, 2).flatten(0, 1)

    def features(self, images):
        if self.shares:
            return images.flatten(2)
        h = images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        groups = self.seeds
        for weight, bias in zip(self.convolutions[::2], self.convolutions[1::2], strict=True):
            h = F.relu(F.max_pool2d(F.conv2d(h, weight, bias, groups=groups), 2))
            groups = self.size
        return h.reshape(images.shape[1], self.size, -1).transpose(0, 1).contiguous()

    def forward(self, h):
        layers = [h]
        for k in range(self.network.depth):
            h = torch.baddbmm(self.biases[k], layers[-1], self.weights[k])
            layers.append(F.leaky_relu(self.unstack(h, k), self.network.negative_slope))
        return layers

    def figures(self, log_p, labels):
        targets = labels.repeat_interleave(self.size // self.seeds, 0).unsqueeze(2)
        losses = -log_p.gather(2, targets)
        correct = (log_p.argmax(2, keepdim=True) == targets) & losses.isfinite()
        sums = [losses.sum((1, 2), dtype=torch.float64), correct.sum((1, 2), dtype=torch.float64)]
        return torch.stack(sums), targets

    def update(self, weights, left, delta, keep, rate):
        weights.baddbmm_(left, delta, beta=keep, alpha=-rate)

    def step(self, images, labels, rate, decay):
        features = self.features(images)
        keep = 1 - rate * decay
        with torch.no_grad():
            layers = self.forward(features.detach())
            log_p = torch.log_softmax(layers[-1], -1)
            figures, targets = self.figures(log_p, labels)
            delta = log_p.exp()
            delta.scatter_add_(2, targets, torch.full_like(targets, -1, dtype=delta.dtype))
            delta.mul_(1 / labels.shape[1])
            for k in reversed(range(self.network.depth)):
                slope = self.network.negative_slope
                delta = torch.ops.aten.leaky_relu_backward(delta, layers[k + 1], slope, True)
                below = delta = self.stack(delta, k)
                if k or self.convolutions:
                    below = torch.bmm(delta, self.weights[k].mT)
                self.update(self.weights[k], layers[k].mT, delta, keep, rate)
                self.biases[k].mul_(keep).sub_(delta.sum(1, keepdim=True), alpha=rate)
                delta = below
        if self.convolutions:
            gradients = torch.autograd.grad(features, self.convolutions, delta)
            with torch.no_grad():
                for parameter, gradient in zip(self.convolutions, gradients, strict=True):
                    parameter.mul_(keep).sub_(gradient, alpha=rate)
        return figures

    @torch.no_grad()
    def evaluate(self, images, labels):
        features = self.features(images.expand(self.seeds, *images.shape))
        log_p = torch.log_softmax(self.forward(features)[-1], -1)
        return self.figures(log_p, labels.expand(self.seeds, -1))[0]


def same(one, two):
    """Equal to the last bit, where both are not a number too, and in the signs of zeros."""
    return torch.equal(one.contiguous().view(torch.int32), two.contiguous().view(torch.int32)) or (
        torch.equal(one.isnan(), two.isnan())
        and torch.equal(one.nan_to_num().signbit(), two.nan_to_num().signbit())
        and torch.equal(one.nan_to_num(), two.nan_to_num())
    )


def differences(network, schemes, seeds, batches, decay, rate=0.05, spoil=None):
    """What differs after steps on these batches and an evaluation; nothing, if all bits are the same."""
    ensemble = Ensemble(network, schemes, range(seeds), "cpu")
    if spoil is not None:
        for weights in ensemble.weights[1:]:
            weights[spoil] *= 1e6
    reference = Reference(ensemble)
    rng = torch.Generator().manual_seed(7)
    found = []
    for number, batch in enumerate(batches):
        images = torch.randint(0, 256, (seeds, batch, *network.image_shape), generator=rng)
        images = images.float().mul_(2 / 255).sub_(1)
        labels = torch.randint(0, 10, (seeds, batch), generator=rng)
        # A copy, as a step may keep what it returns in memory that it uses again.
        figures = ensemble.step(images, labels, rate, decay).clone()
        if not torch.equal(figures.nan_to_num(), reference.step(images, labels, rate, decay).nan_to_num()):
            found.append(f"figures of step {number}")
        pairs = zip(ensemble.tensors, reference.tensors, strict=True)
        found += [f"tensor {k} after step {number}" for k, pair in enumerate(pairs) if not same(*pair)]
    images = torch.rand(200, *network.image_shape, generator=rng) * 2 - 1
    labels = torch.randint(0, 10, (200,), generator=rng)
    ours, theirs = ensemble.evaluate(images, labels), reference.evaluate(images, labels)
    return found if torch.equal(ours.nan_to_num(), theirs.nan_to_num()) else [*found, "evaluation"]


FULL = (128, 128, 96, 128)  # an epoch of MNIST ends with a batch of 96
CASES = {
    "mnist": (MNIST.network, SCHEMES, 2, FULL, 0.0),
    "mnist with decay": (MNIST.network, SCHEMES, 2, FULL, 5e-4),
    "one seed": (MNIST.network, SCHEMES, 1, FULL, 5e-4),
    "one scheme": (MNIST.network, SCHEMES[:1], 4, FULL, 0.0),
    "one run": (MNIST.network, SCHEMES[:1], 1, FULL, 0.0),
    "tiny batches": (MNIST.network, SCHEMES[:2], 2, (16, 2, 1, 16), 0.0),
    "one layer": (Network((1, 8, 8), depth=1), SCHEMES, 2, (32, 32), 5e-4),
    "narrow": (Network((1, 28, 28), depth=20, width=8), SCHEMES, 2, FULL, 0.0),
    "wide": (Network((1, 28, 28), depth=4, width=200, negative_slope=0.0), SCHEMES, 1, FULL, 5e-4),
    "cifar10": (CIFAR10.network, SCHEMES[:3], 1, (128, 80, 128), 5e-4),
    "cifar10, two seeds": (CIFAR10.network, SCHEMES[:2], 2, (16, 16), 0.0),
    "three blocks": (Network((3, 64, 64), depth=2, channels=(4, 5, 6)), SCHEMES[:2], 1, (8, 8), 5e-4),
    "odd images": (Network((1, 27, 30), depth=2, channels=(4, 5), kernel=3), SCHEMES[:2], 2, (8, 8), 0.0),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_steps_and_evaluation_have_the_bits_of_the_recorded_arithmetic(case):
    assert differences(*case) == []


@pytest.mark.parametrize("network", [MNIST.network, CIFAR10.network], ids=["mnist", "cifar10"])
def test_a_diverging_run_has_them_too_and_its_neighbours_as_well(network):
    assert differences(network, SCHEMES[:3], 1, (32, 32, 32), 5e-4, spoil=1) == []


def test_the_comparison_sees_one_unit_in_the_last_place(monkeypatch):
    step = Ensemble.step

    def nudged(self, *given):
        figures = step(self, *given)
        self.weights[3][0, 0, 0] = torch.nextafter(self.weights[3][0, 0, 0], torch.tensor(torch.inf))
        return figures

    monkeypatch.setattr(Ensemble, "step", nudged)
    found = differences(MNIST.network, SCHEMES, 2, (128,), 0.0)
    assert [each for each in found if each.startswith("tensor")] == ["tensor 3 after step 0"]


def test_the_comparison_sees_another_order_of_a_sum(monkeypatch):
    # The sum over a batch in two halves is the same number to rounding, and not the same bits.
    def halved(self, weights, left, delta, keep, rate):
        half = left.shape[2] // 2
        weights.baddbmm_(left[..., :half], delta[:, :half], beta=keep, alpha=-rate)
        weights.baddbmm_(left[..., half:], delta[:, half:], beta=1, alpha=-rate)

    monkeypatch.setattr(Reference, "update", halved)
    assert "tensor 3 after step 0" in differences(MNIST.network, SCHEMES, 2, (128,), 0.0)
