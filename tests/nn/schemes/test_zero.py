"""ZerO: the matrices, their rank and isometry, and that nothing is drawn."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import init, initialize_

SHAPES = [
    (1, 1),
    (2, 1),
    (5, 1),
    (4, 4),
    (3, 7),
    (8, 3),
    (5, 4),
    (12, 8),
    (7, 6),
    (10, 3),
    (64, 10),
    (33, 32),
]


def matrix(shape, **options):
    return init.hadamard_identity_(torch.full(shape, math.nan, dtype=torch.float64), **options)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_matrix_is_a_part_of_the_identity_or_of_scipys_hadamard_matrix(shape):
    rows, columns = shape
    found = matrix(shape).numpy()
    if rows <= columns:
        np.testing.assert_array_equal(found, nn.init.eye_(torch.empty(shape)).numpy())
        np.testing.assert_array_equal(found, matrix(shape, constant="algorithm").numpy())
    else:
        p = 2 ** math.ceil(math.log2(rows))
        np.testing.assert_allclose(found, hadamard(p)[:rows, :columns] / math.sqrt(p), rtol=1e-15, atol=0)
        larger = matrix(shape, constant="algorithm").numpy()
        np.testing.assert_allclose(larger, math.sqrt(2) * found, rtol=1e-15, atol=0)
    assert np.linalg.matrix_rank(found) == min(shape)


def test_powers_of_two_are_isometries_and_others_are_not():
    for shape in ((2, 1), (8, 3), (64, 10), (16, 15)):
        found = matrix(shape)
        assert (found.T @ found - torch.eye(shape[1])).abs().max() < 1e-14
        larger = matrix(shape, constant="algorithm")
        assert (larger.T @ larger - 2 * torch.eye(shape[1])).abs().max() < 1e-14
    # The control: 12 of 16 rows.
    assert torch.linalg.svdvals(matrix((12, 8))).min().item() == pytest.approx(0.5**0.5, rel=1e-12)
    for shape, low, high in (((10, 3), 0.5**0.5, 0.75**0.5), ((7, 6), 0.5, 1.0)):
        values = torch.linalg.svdvals(matrix(shape))
        assert values.min().item() == pytest.approx(low, abs=1e-12)
        assert values.max().item() == pytest.approx(high, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 4, 3, 3), (3, 8, 5), (8, 3, 3, 3, 3), (6, 4, 2, 2)])
def test_kernels_hold_the_matrix_at_their_centre(shape):
    kernel = matrix(shape)
    centre = kernel[(..., *(k // 2 for k in shape[2:]))]
    assert torch.equal(centre, matrix(shape[:2]))
    assert kernel.count_nonzero() == centre.count_nonzero()
    if shape[0] <= shape[1]:
        assert torch.equal(kernel.float(), nn.init.dirac_(torch.empty(shape)))


def model():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, groups=4)),
        *(nn.Tanh(), nn.ConvTranspose2d(16, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10)),
    )


def test_a_model_is_filled_without_touching_the_generator():
    one, two = model(), model()
    before, generator = torch.get_rng_state(), torch.Generator().manual_seed(3)
    state = generator.get_state()
    report = initialize_(one, "zero")
    initialize_(two, "zero", generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(generator.get_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    weights = report[(report["parameter"] == "weight") & (report["scheme"] == "zero")].set_index("layer")
    assert weights["std"].isna().all()
    assert weights.loc["8", "note"] == "partial identity"
    assert "Hadamard matrix, entries ±0.3536 at the centre" in weights.loc["0", "note"]
    assert all((layer.bias == 0).all() for layer in (one[0], one[3], one[5], one[8]))
    for block in one[3].weight.chunk(4):
        assert torch.equal(block[..., 1, 1], matrix((4, 2)).float())
    for block in one[5].weight.chunk(2):  # (n_in, n_out), and narrowing
        assert torch.equal(block[..., 1, 1], torch.eye(8, 3))


def test_a_residual_network_and_shared_weights_take_it():
    shared = nn.Linear(8, 8)
    tied = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared)
    initialize_(tied, "zero")
    assert torch.equal(shared.weight, torch.eye(8))


def rank_of_the_moved_part(widen):
    """Train 8 → 8 → 32 → 32 → 4; return the rank of W₃ − I and how far its rows beyond the eighth moved."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(
        *(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 32, bias=False), nn.ReLU()),
        *(nn.Linear(32, 32, bias=False), nn.ReLU(), nn.Linear(32, 4, bias=False)),
    ).double()
    initialize_(net, "zero")
    if not widen:
        nn.init.eye_(net[2].weight)
    x, y = (torch.randn(64, k, generator=generator, dtype=torch.float64) for k in (8, 4))
    for _ in range(300):
        loss = ((net(x) - y) ** 2).mean()
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter -= 0.05 * gradient
    moved = net[4].weight.detach() - torch.eye(32)
    return int(torch.linalg.matrix_rank(moved, tol=1e-9)), float(moved[8:].abs().max())


def test_the_hadamard_matrix_breaks_the_degeneracy_of_the_identity():
    rank, moved = rank_of_the_moved_part(widen=True)
    assert rank > 8
    assert moved > 1e-3
    rank, moved = rank_of_the_moved_part(
        widen=False
    )  # the control: a partial identity where the layer widens
    assert rank <= 8
    assert moved == 0.0


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ArgumentError, match=r"need \(n_out, n_in"):
        init.hadamard_identity_(torch.empty(3))
    with pytest.raises(ArgumentError, match="constant = 'paper'"):
        init.hadamard_identity_(torch.empty(3, 2), constant="paper")
    with pytest.warns(UserWarning, match="zero-element"):
        init.hadamard_identity_(torch.empty(3, 0))
    half = init.hadamard_identity_(torch.empty(4, 2, dtype=torch.bfloat16))
    assert half.abs().unique().tolist() == [0.5]
