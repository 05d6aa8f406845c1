"""Orthogonal and delta-orthogonal: Haar, the gain of any order, isometries, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import init, initialize_, scale, schemes
from fracrepro.nn.schemes.plan import Slot
from fracrepro.theory.activations import LeakyReLU, Linear, ReLU
from fracrepro.theory.layer import critical_variance

SHAPES = [(64, 64), (10, 64), (64, 10), (7, 7), (1, 1), (1, 5), (5, 1), (16, 6, 5, 5), (4, 3, 7)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
def test_fractional_orthogonal_is_torchs_orthogonal_at_its_gain(shape):
    fan = math.prod(shape[1:])
    for s in (0.0, 0.5, 1.0, 2.0):
        ours = init.fractional_orthogonal_(torch.empty(shape), s, generator=seeded())
        gain = scale.orthogonal_gain(s, fan, shape[0], ReLU())
        assert torch.equal(ours, nn.init.orthogonal_(torch.empty(shape), gain, generator=seeded()))


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_or_columns_are_orthonormal(shape):
    weight = init.fractional_orthogonal_(torch.empty(shape, dtype=torch.float64), 2.0, nonlinearity="linear")
    matrix = weight.flatten(1)
    values = torch.linalg.svdvals(matrix)
    expected = math.sqrt(max(matrix.shape) / matrix.shape[1])  # 1 but where the layer widens
    torch.testing.assert_close(values, torch.full_like(values, expected), rtol=1e-13, atol=0)


def haar(n, width, corrected=True):
    generator = seeded(1)
    if corrected:
        return torch.stack(
            [init.orthogonal_(torch.empty(width, width).double(), generator=generator) for _ in range(n)]
        )
    return torch.linalg.qr(torch.randn(n, width, width, generator=generator, dtype=torch.float64))[0]


@pytest.mark.parametrize("corrected", [True, False])
def test_the_matrix_has_haars_law(corrected):
    """E tr Q = 0 and E (tr Q)² = 1, from 4000 matrices: five standard errors, a false alarm below 6e-7 each.

    The control is the QR of LAPACK without the correction of signs, whose mean trace is about −0.83.
    """
    traces = haar(4000, 4, corrected).diagonal(dim1=1, dim2=2).sum(1).numpy()
    error = traces.std() / math.sqrt(len(traces))
    assert bool(abs(traces.mean()) < 5 * error) is corrected
    if corrected:
        squares = traces**2
        assert abs(squares.mean() - 1) < 5 * squares.std() / math.sqrt(len(traces))


@pytest.mark.parametrize("activation", [Linear(), ReLU(), LeakyReLU(0.3)])
@pytest.mark.parametrize("shape", [(24, 24), (12, 24), (24, 12)])
@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_the_gain_keeps_the_moment_of_the_root_mean_square(activation, shape, s):
    """E (rms out/rms in)^s = 1 from 20,000 layers: the image of a direction is drawn, not the matrix.

    Five standard errors, a false alarm below 6e-7 a case. The control is the Gaussian gain, wherever it
    differs by more than ten of them.
    """
    n_out, n_in = shape
    rng = np.random.default_rng(0)
    z = rng.standard_normal((20_000, max(shape)))
    q = (z / np.linalg.norm(z, axis=1, keepdims=True))[:, :n_out]  # Q x for a unit x
    image = np.linalg.norm(activation.apply(q), axis=1) * math.sqrt(n_in / n_out)
    gain = scale.orthogonal_gain(s, n_in, n_out, activation)
    values = (gain * image) ** s
    error = max(values.std() / math.sqrt(len(values)), 1e-12)
    assert abs(values.mean() - 1) < 5 * error
    ratio = (scale.fractional_std(s, n_in, n_out, activation) * math.sqrt(max(shape)) / gain) ** s
    if abs(ratio - 1) > 10 * error:
        assert abs((ratio * values).mean() - 1) > 5 * error


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (24, 8), (1, 5), (64, 4608)])
def test_the_gain_is_the_gaussian_one_over_that_of_the_radius(shape):
    """A direction is a Gaussian vector over its norm: a second route, through χ of the larger side."""
    n_out, n_in = shape
    for activation in (Linear(), ReLU(), LeakyReLU(0.1)):
        for s in (0.0, 0.5, 1.0, 1.5, 2.0):
            radius = critical_variance(s, max(shape), Linear())
            expected = critical_variance(s, n_out, activation) / radius * n_out / n_in
            assert scale.orthogonal_gain(s, n_in, n_out, activation) ** 2 == pytest.approx(
                expected, rel=1e-11
            )
    # E R at width 1 behind a rectifier and n inputs, by hand: half of E|u₁| on the sphere.
    half = 0.5 * math.gamma(5 / 2) / (math.sqrt(math.pi) * math.gamma(3.0))
    gain = scale.orthogonal_gain(1.0, 5, 1, ReLU())
    assert gain**2 * 5 == pytest.approx(half**-2, rel=1e-11)


def test_a_model_gets_one_matrix_a_layer():
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4), nn.ReLU(), nn.Flatten()),
        nn.Linear(8, 3),
    )
    report = initialize_(model, "orthogonal", generator=seeded())
    generator = seeded()
    first = nn.init.orthogonal_(torch.empty(8, 3, 3, 3), math.sqrt(2), generator)
    assert torch.equal(model[0].weight, first)
    for block in model[2].weight.detach().chunk(4):
        matrix = block.flatten(1).double()
        torch.testing.assert_close(matrix @ matrix.T, 2 * torch.eye(2).double(), rtol=1e-5, atol=1e-5)
    weights = report[report["parameter"] == "weight"]
    assert weights["gain"].round(6).tolist() == [1.414214, 1.414214, 1.0]
    assert "no isometry" in weights["note"].iloc[0]


def test_the_mean_square_behind_a_transposed_convolution_has_its_variance():
    """Exact given the input: σ² times what reaches a place. 400 draws, five standard errors, below 6e-7.

    The control is the fan that torch reads off such a weight, 6·16 instead of 4·16/4.
    """
    model = nn.Sequential(nn.ConvTranspose2d(4, 6, 4, stride=2)).double()
    generator, values = seeded(), []
    x = torch.randn(1, 4, 12, 12, generator=seeded(1), dtype=torch.float64)
    for _ in range(400):
        report = initialize_(model, "orthogonal", generator=generator)
        values.append(float(model(x).detach().square().mean()))
    values = np.array(values)
    assert report["std"][0] ** 2 == pytest.approx(1 / 16, rel=1e-12)
    reached = nn.functional.conv_transpose2d(x.square(), torch.ones(4, 1, 4, 4, dtype=x.dtype), stride=2)
    exact, error = float(reached.mean()) / 16, values.std() / 20
    assert abs(values.mean() - exact) < 5 * error
    assert abs(values.mean() - exact * 16 / 96) > 5 * error


def test_half_precision_and_other_devices_of_the_generator():
    weight = init.orthogonal_(torch.empty(8, 8, dtype=torch.bfloat16), generator=seeded())
    assert weight.dtype == torch.bfloat16
    assert (weight.double() @ weight.double().T - torch.eye(8)).abs().max() < 0.05


KERNELS = [(8, 8, 3, 3), (8, 4, 3), (6, 6, 5, 5, 5), (7, 3, 3, 3), (1, 1, 3), (4, 4, 1, 1), (4, 4, 2, 2)]


@pytest.mark.parametrize("shape", KERNELS)
def test_delta_orthogonal_has_one_tap(shape):
    kernel = torch.full(shape, math.nan, dtype=torch.float64)
    assert init.delta_orthogonal_(kernel, 2.0, seeded()) is kernel
    centre = kernel[(..., *(k // 2 for k in shape[2:]))]
    assert kernel.count_nonzero() == centre.count_nonzero() == centre.numel()
    torch.testing.assert_close(centre.T @ centre, 4 * torch.eye(shape[1]).double(), rtol=0, atol=1e-13)
    assert torch.equal(kernel, init.delta_orthogonal_(torch.empty(shape).double(), 2.0, seeded()))


def operator(kernel, size):
    """Singular values of the convolution with zero padding, as a matrix."""
    n_in = kernel.shape[1]
    basis = torch.eye(n_in * size**2, dtype=kernel.dtype).reshape(-1, n_in, size, size)
    out = nn.functional.conv2d(basis, kernel, padding=kernel.shape[2] // 2)
    return torch.linalg.svdvals(out.flatten(1))


def test_delta_orthogonal_is_an_isometry_of_the_convolution_and_flattening_is_not():
    kernel = init.delta_orthogonal_(torch.empty(8, 6, 3, 3, dtype=torch.float64), generator=seeded())
    assert (operator(kernel, 5) - 1).abs().max() < 1e-12
    flattened = init.orthogonal_(torch.empty(8, 6, 3, 3, dtype=torch.float64), generator=seeded())
    assert (operator(flattened, 5) - 1).abs().max() > 0.5  # the control


def test_delta_orthogonal_on_a_model_with_groups_and_transposed_kernels():
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1, groups=4)),
        *(nn.ConvTranspose2d(16, 16, 3, padding=1, groups=2), nn.Flatten(), nn.Linear(16 * 16, 16 * 16)),
    ).double()
    initialize_(model, "delta_orthogonal", generator=seeded())
    x = torch.randn(5, 3, 4, 4, generator=seeded(1), dtype=torch.float64)
    ratio = model(x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
    # The root mean square is kept: the norm grows with the root of the number of channels.
    torch.testing.assert_close(ratio, torch.full_like(ratio, math.sqrt(16 / 3)), rtol=1e-12, atol=0)
    initialize_(model, "orthogonal", generator=seeded())  # the control
    assert (
        model(x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1) / math.sqrt(16 / 3) - 1
    ).abs().max() > 1e-3


def test_what_delta_orthogonal_refuses():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    with pytest.raises(
        ArgumentError, match="layer '2', scheme 'delta_orthogonal': 8 input channels in a group and 4"
    ):
        initialize_(model, "delta_orthogonal")
    for shape, message in (((4, 8, 3), "at most as many input"), ((4, 4), "need a kernel")):
        with pytest.raises(ArgumentError, match=message):
            init.delta_orthogonal_(torch.empty(shape))
    with pytest.raises(ArgumentError, match="gain = nan"):
        init.delta_orthogonal_(torch.empty(4, 4, 3), math.nan)
    for fill in (init.delta_orthogonal_, init.fractional_orthogonal_):
        with pytest.warns(UserWarning, match="zero-element"):
            assert fill(torch.empty(0, 3, 3)).numel() == 0
    for name in ("orthogonal", "delta_orthogonal"):
        with pytest.raises(ArgumentError, match=f"layer '0', scheme '{name}': followed by Tanh"):
            initialize_(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), name)
        with pytest.raises(ArgumentError, match=r"s = 2\.5"):
            schemes.make(name, s=2.5)
    with pytest.raises(ArgumentError, match=r"need \(n_out"):
        init.orthogonal_(torch.empty(3))


def test_delta_orthogonal_takes_the_law_of_its_channels():
    slot = Slot((16, 8, 3, 3), ReLU())
    expected = math.sqrt(16 / 8 * critical_variance(1.0, 16, ReLU(), weights="orthogonal"))
    assert schemes.make("delta_orthogonal", s=1.0).gain(slot) == pytest.approx(expected, rel=1e-12)
