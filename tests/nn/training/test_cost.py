"""The counted cost of a step: by hand, and what would make it larger."""

from dataclasses import dataclass

import torch
from torch import nn

from fracrepro.nn.schemes.plan import Prescription
from fracrepro.nn.schemes.variance import Kaiming
from fracrepro.nn.training.cost import StartCost, start_cost, step_cost

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


@dataclass(frozen=True)
class Measured(Kaiming):
    """Sees the batch twice, and then works on a product of its own."""

    name = ""
    needs_data = True

    def prescribe(self, slot):
        return Prescription(1.0)

    def fill(self, plan, entries, generator):
        for _ in range(2):
            plan.model(plan.batch)
        torch.ones(7, 3) @ torch.ones(3, 2)


def test_a_start_is_counted_by_hand():
    # One run shows what follows the layers; the scheme adds two runs and a product.
    module, run = mlp(), 2 * 5 * (4 * 3 + 3 * 2)
    before = [parameter.clone() for parameter in module.parameters()]
    assert start_cost(module, "kaiming") == StartCost(0, 0, 0)
    assert start_cost(module, "fractional", IMAGES, s=1.5) == StartCost(1, 5, run)
    measured = Measured()
    object.__setattr__(measured, "name", "measured")  # the registry does not see it
    assert start_cost(module, measured, IMAGES) == StartCost(3, 15, 3 * run + 2 * 7 * 3 * 2)
    assert start_cost(module, "kaiming", {"input": IMAGES}) == StartCost(1, 5, run)
    assert all(torch.equal(one, two) for one, two in zip(before, module.parameters(), strict=True))
