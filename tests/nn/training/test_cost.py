"""The counted cost of a step: by hand, and what would make it larger."""

import torch
from torch import nn

from fracrepro.nn.training.cost import step_cost

IMAGES, LABELS = torch.ones(5, 1, 4), torch.zeros(5, dtype=torch.int64)


def mlp(*extra):
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), *extra)


def test_operations_are_those_of_the_products():
    # Forward both layers; backward the weights of both, and the input of the second.
    forward = 2 * 5 * (4 * 3 + 3 * 2)
    assert step_cost(mlp(), IMAGES, LABELS).flops == 2 * forward + 2 * 5 * 3 * 2


def test_numbers_do_not_count_and_everything_else_does():
    first, second = mlp(), mlp()
    assert step_cost(first, IMAGES, LABELS) == step_cost(second, IMAGES, LABELS)
    assert all(p.grad is None for p in first.parameters())
    reference = step_cost(first, IMAGES, LABELS)
    # Controls: a layer, a hook, a parameter that is not trained, another number type.
    assert step_cost(mlp(nn.BatchNorm1d(2)), IMAGES, LABELS) != reference
    second[1].register_forward_hook(lambda *_: None)
    assert step_cost(second, IMAGES, LABELS).hooks == 1
    first[1].bias.requires_grad_(False)
    assert step_cost(first, IMAGES, LABELS) != reference
    assert step_cost(mlp().double(), IMAGES.double(), LABELS) != reference
