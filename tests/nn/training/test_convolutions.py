"""Two ways through the convolutional blocks: the same sums as torch's own module for every run by itself."""

import pytest
import torch
from torch import nn

from fracrepro.nn.training.convolutions import as_products, grouped

SHAPES = {
    "authors": ((3, 32, 32), (6, 16), 5),
    "one": ((1, 12, 9), (4,), 3),
    "three": ((2, 30, 30), (3, 2, 5), 3),
}


def blocks(shape, channels, kernel, runs):
    """Torch's own blocks for each run, and their parameters below each other, in float64."""
    made = []
    for run in range(runs):
        torch.manual_seed(run)
        layers, before = [], shape[0]
        for count in channels:
            layers += [nn.Conv2d(before, count, kernel), nn.ReLU(), nn.MaxPool2d(2)]
            before = count
        made.append(nn.Sequential(*layers, nn.Flatten()).double())
    stacked = [
        torch.cat([getattr(module[3 * k], part).detach() for module in made]).requires_grad_()
        for k in range(len(channels))
        for part in ("weight", "bias")
    ]
    return made, stacked


@pytest.mark.parametrize("way", [grouped, as_products])
@pytest.mark.parametrize(("seeds", "schemes"), [(1, 1), (1, 3), (2, 1), (2, 3)])
@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_are_those_of_single_modules(way, seeds, schemes, name):
    shape, channels, kernel = SHAPES[name]
    size, batch = seeds * schemes, 4
    modules, parameters = blocks(shape, channels, kernel, size)
    images = torch.rand(seeds, batch, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    found = way(images, parameters, size)
    expected = torch.stack([module(images[run // schemes]) for run, module in enumerate(modules)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found.is_contiguous()
    factors = torch.rand(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    gradients = torch.autograd.grad((found * factors).sum(), parameters)
    (expected * factors).sum().backward()
    for k, gradient in enumerate(gradients):
        layer, part = 3 * (k // 2), ("weight", "bias")[k % 2]
        wanted = torch.cat([getattr(module[layer], part).grad for module in modules])
        torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-12)


def test_the_ways_are_told_apart_by_a_run_that_is_moved():
    # The control of the comparison above: runs in another order are another result.
    shape, channels, kernel = SHAPES["one"]
    _, parameters = blocks(shape, channels, kernel, 2)
    images = torch.rand(2, 4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    assert not torch.allclose(grouped(images, parameters, 2), as_products(images.flip(0), parameters, 2))
