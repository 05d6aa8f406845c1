"""The Jacobian against products of matrices, the Hessian against closed forms and against a dense one."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_, networks
from fracrepro.nn.diagnosis import hessian_norms, jacobian_singular_values


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def chain(sizes, activation=None, seed=0):
    model = networks.mlp(sizes, activation or fr.ReLU(), bias=False).double()
    initialize_(model, "kaiming", a=None, generator=seeded(seed))
    return model


def product(model, x):
    """W_L D_{L-1} W_{L-1} … D_1 W_1 at one input, in numpy."""
    weights = [p.detach().numpy() for p in model.parameters()]
    h, jacobian = x.numpy(), np.eye(len(x))
    for k, w in enumerate(weights):
        h, jacobian = w @ h, w @ jacobian
        if k < len(weights) - 1:
            slopes = np.where(h > 0, 1.0, 0.1)
            h, jacobian = slopes * h, slopes[:, None] * jacobian
    return jacobian


def test_the_singular_values_are_those_of_the_product_by_hand():
    model, x = chain([9, 12, 10, 7], fr.LeakyReLU(0.1)), draws(5, 9)
    found = jacobian_singular_values(model, x)
    assert found.shape == (5, 7)
    by_hand = np.array([np.linalg.svd(product(model, each), compute_uv=False) for each in x])
    assert np.allclose(found, by_hand, rtol=1e-12, atol=1e-13)
    weights = [parameter.detach().numpy() for parameter in model.parameters()]
    without_slopes = np.linalg.svd(np.linalg.multi_dot(weights[::-1]), compute_uv=False)
    assert not np.allclose(found[0], without_slopes, rtol=1e-2)


def test_any_model_and_nothing_of_it_changes():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 4)),
    ).double()
    x = draws(3, 1, 8, 8)
    model[0].weight.grad = torch.ones_like(model[0].weight)
    buffers, state = [each.clone() for each in model.buffers()], torch.get_rng_state()
    found = jacobian_singular_values(model, x, training=False)
    dense = torch.func.jacrev(copy.deepcopy(model).eval())(x[:1].clone())
    assert np.allclose(found[0], torch.linalg.svdvals(dense.detach().reshape(4, 64)), rtol=1e-10)
    assert all(map(torch.equal, buffers, model.buffers()))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert model.training
    constant = nn.Sequential(nn.Linear(3, 2), nn.Threshold(1e9, 0.0)).double()
    assert jacobian_singular_values(constant, draws(2, 3)).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("model", "x", "message"),
    [
        (3, draws(1, 2), "model = 3"),
        (nn.Linear(2, 2), [1.0], r"x = \[1.0\]: need real inputs"),
        (nn.Linear(2, 2), torch.ones(1, 2, dtype=torch.int64), "x = torch.int64 of shape"),
        (nn.Linear(2, 2), torch.ones(2), r"x = torch.float32 of shape \(2,\)"),
        (nn.Linear(2, 2), torch.ones(1, 3), "does not run on it"),
        (nn.LSTM(2, 2), torch.ones(1, 1, 2), "need one that returns one real tensor"),
    ],
)
def test_what_has_no_jacobian_is_refused(model, x, message):
    with pytest.raises(ArgumentError, match=message):
        jacobian_singular_values(model, x)


# The Hessian.


def half_squares(target):
    return lambda output: 0.5 * (output - target).square().sum()


def rank_one_norms(model, x):
    """‖x_{l-1}‖² ‖∂f/∂h_l‖² of every layer at one input, by autograd on the chain itself."""
    entering, before, x = [], [], x.clone()
    for module in model:
        if isinstance(module, nn.Linear):
            entering.append(x)
            x = module(x)
            before.append(x)
        else:
            x = module(x)
    gradients = torch.autograd.grad(x.sum(), before)
    return np.array([(a.norm() * g.norm()).item() ** 2 for a, g in zip(entering, gradients, strict=True)])


def test_a_block_of_one_sample_has_the_norm_of_its_input_times_that_of_its_gradient():
    # ½(f - y)², scalar f, one sample, no biases: λ_max(H_ll) = ‖x_{l-1}‖² ‖∂f/∂h_l‖², and rank one.
    model, x = chain([10, 12, 12, 12, 12, 12, 1]), draws(1, 10)
    table = hessian_norms(model, half_squares(0.3), x, generator=seeded(0), tolerance=1e-12, max_steps=3)
    exact = rank_one_norms(model, x)
    blocks = table[table["layer"] != "all"]
    assert blocks["layer"].tolist() == [f"dense{k}" for k in range(6)]
    assert np.allclose(blocks["norm"], exact, rtol=1e-10, atol=0)
    assert np.allclose(blocks["rayleigh"], exact, rtol=1e-10, atol=0)
    assert (blocks["steps"] <= 2).all()  # of rank one: the second step starts at the eigenvector
    assert blocks["converged"].all()
    # Control: with two samples a block has rank two, and the sum of both terms is not its norm.
    pair = draws(2, 10, seed=1)
    two = hessian_norms(model, half_squares(0.3), pair, generator=seeded(0), tolerance=1e-12, max_steps=500)
    terms = rank_one_norms(model, pair[:1]) + rank_one_norms(model, pair[1:])
    off = np.abs(two["norm"].to_numpy()[1:] / terms - 1)
    assert off.max() > 0.01
    assert np.linalg.matrix_rank(dense_hessian(model, half_squares(0.3), pair)["dense1"], tol=1e-9) == 2
    assert np.linalg.matrix_rank(dense_hessian(model, half_squares(0.3), x)["dense1"], tol=1e-9) == 1


def dense_hessian(model, loss, batch):
    """The blocks of the whole Hessian, entry by entry."""
    names = [name for name, _ in model.named_parameters()]
    values = tuple(parameter.detach() for parameter in model.parameters())

    def of(*given):
        return loss(torch.func.functional_call(model, dict(zip(names, given, strict=True)), (batch,)))

    rows = torch.autograd.functional.hessian(of, values)
    sizes = [value.numel() for value in values]
    blocks = [
        [each.reshape(m, n) for each, n in zip(row, sizes, strict=True)]
        for row, m in zip(rows, sizes, strict=True)
    ]
    found = {"all": torch.cat([torch.cat(row, 1) for row in blocks], 0).numpy()}
    owners = [name.rpartition(".")[0] for name in names]
    for owner in dict.fromkeys(owners):
        kept = [k for k, each in enumerate(owners) if each == owner]
        found[owner] = torch.cat([torch.cat([blocks[i][j] for j in kept], 1) for i in kept], 0).numpy()
    return found


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_all_norms_are_those_of_the_dense_hessian(activation):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), activation, nn.Linear(6, 5), activation, nn.Linear(5, 3)).double()
    batch, target = draws(12, 4), torch.arange(12) % 3
    loss = lambda output: nn.functional.cross_entropy(output, target)  # noqa: E731
    table = hessian_norms(model, loss, batch, generator=seeded(0), tolerance=1e-9, max_steps=20_000)
    assert table["converged"].all()
    assert table["parameters"].tolist() == [83, 30, 35, 18]
    for row, block in zip(table.itertuples(), dense_hessian(model, loss, batch).values(), strict=True):
        values = np.linalg.eigvalsh(block)
        largest = values[np.abs(values).argmax()]
        assert row.norm == pytest.approx(abs(largest), rel=1e-8)
        assert row.rayleigh == pytest.approx(largest, rel=1e-8)


def test_eigenvalues_of_both_signs_and_one_size_converge_and_few_steps_are_told():
    class Product(nn.Module):  # f = u·v has the Hessian [[0, 1], [1, 0]] in each pair
        def __init__(self):
            super().__init__()
            self.u, self.v = (nn.Parameter(draws(3, seed=k)) for k in range(2))

        def forward(self, x):
            return (self.u * self.v * x).sum()

    table = hessian_norms(
        Product(), lambda output: output, torch.tensor([1.0, -2.0, 0.5]).double(), generator=seeded(0)
    )
    assert table["norm"].tolist() == pytest.approx([2.0, 2.0], rel=1e-4)
    assert (table["rayleigh"].abs() < 2.0 - 1e-3).all()
    hard = nn.Linear(30, 1, bias=False).double()
    batch = torch.diag(torch.linspace(0.999, 1.0, 30, dtype=torch.float64))
    few = hessian_norms(hard, half_squares(0.0), batch, generator=seeded(0), tolerance=1e-9, max_steps=3)
    assert not few["converged"].any()
    assert (few["residual"] > 1e-6).all()
    assert few["steps"].tolist() == [3, 3]


def test_linear_losses_have_no_curvature_and_frozen_parameters_no_row():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).double()
    model[0].requires_grad_(False)
    model[1].weight.grad = torch.ones_like(model[1].weight)
    table = hessian_norms(model, lambda output: output.sum(), draws(4, 3), generator=seeded(0))
    assert table["layer"].tolist() == ["all", "1"]
    assert table["norm"].tolist() == [0.0, 0.0]
    assert table["converged"].all()
    assert torch.equal(model[1].weight.grad, torch.ones_like(model[1].weight))


LINEAR = nn.Linear(2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 3}, "model = 3"),
        ({"loss": 3}, "loss = 3"),
        ({"loss": lambda output: output}, "loss = a tensor of shape"),
        ({"generator": None}, "generator = None"),
        ({"generator": 3}, "generator = 3"),
        ({"tolerance": 0.0}, r"tolerance = 0.0: need a finite number in \(0, 1\)"),
        ({"max_steps": 0}, "max_steps = 0"),
        ({"batch": torch.ones(1, 3)}, "does not run on it"),
        ({"model": nn.Sequential(nn.ReLU())}, "no parameters that learn"),
    ],
)
def test_what_has_no_hessian_is_refused(change, message):
    given = {"model": LINEAR, "loss": lambda output: output.sum(), "batch": torch.ones(1, 2)}
    given |= {"generator": seeded(0)} | change
    with pytest.raises(ArgumentError, match=message):
        hessian_norms(given.pop("model"), given.pop("loss"), given.pop("batch"), **given)
