"""Full-weight networks must follow the exact moments of the theory, forward and backward."""

import math

import numpy as np
import pytest
import torch

from fracrepro.nn import propagate
from fracrepro.nn.propagate import backward_log_norms, forward_log_norms
from fracrepro.theory.activations import Dropout, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.layer import critical_variance, moment

ACTIVATIONS = [
    Linear(),
    ReLU(),
    LeakyReLU(0.2),
    LeakyReLU(-1.0),
    RReLU(0.1, 0.5),
    Dropout(LeakyReLU(0.2), 0.3),
    Dropout(Linear(), 0.1),
]
WIDTHS = (6, 9, 12, 7)  # rectangular on purpose
VARIANCES = (0.2, 0.15, 0.11)
ORDERS = (0.5, 1.0, 1.5)
N = 20_000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def forward_moment(s, activation, scale=1.0):
    """E (r_k / r_0)^s: a product over the layers' output widths."""
    layers = zip(VARIANCES, WIDTHS[1:], strict=True)
    return math.prod((scale * sigma2) ** (s / 2) * moment(s, d, activation) for sigma2, d in layers)


def backward_moment(s, activation, scale=1.0):
    """E |g_0|^s: masks act at widths d_1 … d_k, and the last product spreads over the d_0 coordinates."""
    return forward_moment(s, activation, scale) * moment(s, WIDTHS[0], Linear())


# The mean of N draws against the exact value, in units of its standard error from the moment of order 2s.
# Five units: a false-alarm rate of 6e-7 for each of 42 checks, and the seed is fixed.
# Power: the control, a variance 10 % too large, moves the mean by about 15 s % and must show at 5 units.
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize(
    ("simulate", "exact"),
    [(forward_log_norms, forward_moment), (backward_log_norms, backward_moment)],
    ids=["forward", "backward"],
)
def test_moments_are_the_exact_ones(activation, simulate, exact):
    last = simulate(N, WIDTHS, activation, VARIANCES, generator=seeded())[:, -1]
    for s in ORDERS:
        mean = np.exp(s * last).mean()

        def z(scale, s=s, mean=mean):
            first, second = exact(s, activation, scale), exact(2 * s, activation, scale)
            return (mean - first) / math.sqrt((second - first**2) / N)

        assert abs(z(1.0)) < 5, f"s = {s}: {z(1.0):.1f} standard errors"
        assert abs(z(1.1)) > 5, f"s = {s}: the control is only {z(1.1):.1f} standard errors away"


def test_critical_variance_preserves_the_moment_over_depth():
    # One layer at a time: at depth 10 the mean would need far more draws than its own layers do.
    # The networks that die on the way (1 in 7000) are left out, a shift far below the standard error.
    s, d, depth = 1.0, 16, 10
    log_norms = forward_log_norms(
        N, [d] * (depth + 1), ReLU(), critical_variance(s, d, ReLU()), generator=seeded()
    )
    steps = np.exp(np.diff(log_norms[~np.isneginf(log_norms[:, -2])], axis=1))
    error = math.sqrt((moment(2, d, ReLU()) / moment(1, d, ReLU()) ** 2 - 1) / N)
    assert np.abs(steps.mean(axis=0) - 1).max() < 5 * error


def test_dead_networks_stay_dead_and_are_counted():
    # P(dead after 4 layers) = 1 - (1 - 2^-2)^4 = 0.684; its standard error at N is 0.0033.
    for simulate in (forward_log_norms, backward_log_norms):
        log_norms = simulate(N, [2] * 5, ReLU(), 1.0, generator=seeded())
        dead = np.isneginf(log_norms)
        assert not np.isnan(log_norms).any()
        assert (dead[:, 1:] >= dead[:, :-1]).all()
        # Backward, a gradient is gone as soon as one layer of masks is empty, whichever it is.
        assert abs(dead[:, -1].mean() - (1 - 0.75**4)) < 5 * 0.0033


def test_gradient_equals_autograd(monkeypatch):
    drawn = []
    original = propagate._normal

    def record(*arguments):
        drawn.append(original(*arguments))
        return drawn[-1]

    monkeypatch.setattr(propagate, "_normal", record)
    log_norms = backward_log_norms(1, (4, 6, 5), LeakyReLU(0.3), 0.2, generator=seeded(2))
    *weights, v = drawn
    x = torch.zeros(4, dtype=torch.float64)
    x[0] = 1
    x.requires_grad_()
    h = x
    for weight in weights:
        h = torch.nn.functional.leaky_relu(weight[0] @ h, 0.3)
    (gradient,) = torch.autograd.grad(h @ v[0, :, 0], x)
    assert log_norms[0, -1] == pytest.approx(gradient.norm().log().item(), abs=1e-12)


def test_chunks_bound_the_memory_and_cover_all_networks(monkeypatch):
    sizes = []
    original = propagate._normal
    monkeypatch.setattr(propagate, "CHUNK", 1000)
    monkeypatch.setattr(propagate, "_normal", lambda *a: sizes.append(math.prod(a[0])) or original(*a))
    for simulate in (forward_log_norms, backward_log_norms):
        assert simulate(57, (10, 10, 10), ReLU(), 0.2, generator=seeded()).shape == (57, 3)
    assert max(sizes) <= 1000


BAD = [
    ({"n": 0}, "n = 0"),
    ({"n": True}, "n = True"),
    ({"widths": (5,)}, "widths"),
    ({"widths": (5, 0)}, "widths = 0"),
    ({"widths": (5, 1.5)}, "widths"),
    ({"variance": 0.0}, "variance = 0.0"),
    ({"variance": math.nan}, "variance = nan"),
    ({"variance": (0.1, 0.2, 0.3)}, "one per layer"),
    ({"activation": "relu"}, "activation = 'relu'"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
@pytest.mark.parametrize("simulate", [forward_log_norms, backward_log_norms])
def test_bad_argument_is_named(simulate, changes, message):
    arguments = {"n": 2, "widths": (5, 5), "activation": ReLU(), "variance": 0.4} | changes
    with pytest.raises(ValueError, match=message):
        simulate(**arguments, generator=seeded())


class OfTheMetaDevice(torch.Generator):
    """A generator that says it is on the meta device, which has none of its own."""

    device = torch.device("meta")


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("simulate", [forward_log_norms, backward_log_norms])
def test_the_work_stays_on_the_device_of_the_generator(simulate, activation, on_meta, monkeypatch):
    read = []

    def cpu(tensor):
        read.append(tensor)
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    monkeypatch.setattr(propagate, "CHUNK", 200)  # several chunks
    with on_meta() as mode:
        found = simulate(5, WIDTHS, activation, VARIANCES, generator=OfTheMetaDevice())
    assert found.shape == (5, len(WIDTHS))
    assert len(read) == 1  # the result
    assert mode.calls > 20


def weights_on_the_cpu(shape, variance, generator):
    return torch.empty(shape, dtype=torch.float64).normal_(0, variance**0.5, generator=generator)


def a_norm_that_waits(x):
    return x.squeeze(2).norm(dim=1) / x.sum().item()


@pytest.mark.parametrize(
    ("name", "mistake"), [("_normal", weights_on_the_cpu), ("_log_norm", a_norm_that_waits)]
)
def test_a_mistake_about_the_device_fails(name, mistake, on_meta, monkeypatch):
    monkeypatch.setattr(propagate, name, mistake)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype))
    with pytest.raises(RuntimeError), on_meta():
        forward_log_norms(5, WIDTHS, ReLU(), VARIANCES, generator=OfTheMetaDevice())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_follows_the_same_moments():
    last = forward_log_norms(N, WIDTHS, ReLU(), VARIANCES, generator=torch.Generator("cuda").manual_seed(0))[
        :, -1
    ]
    error = math.sqrt((forward_moment(2, ReLU()) - forward_moment(1, ReLU()) ** 2) / N)
    assert abs(np.exp(last).mean() - forward_moment(1, ReLU())) < 5 * error
