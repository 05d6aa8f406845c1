"""Gradient flow of a linear network: what it keeps, how fast it must be, and where it ends."""

import numpy as np
import pytest
from scipy import integrate

from fracrepro.errors import ArgumentError
from fracrepro.nn.demonstrations import linear_flow

DATA = linear_flow.problem(5, 10, 2, np.random.default_rng(22))


def start(width=30, seed=1):
    return linear_flow.start(DATA, width, np.random.default_rng(seed))


def test_velocity_is_minus_the_gradient_of_the_loss():
    import torch

    u, v = (torch.tensor(each, requires_grad=True) for each in start())
    (0.5 * ((torch.tensor(DATA.y) - torch.tensor(DATA.x) @ u @ v.T) ** 2).sum()).backward()
    for one, each in zip(linear_flow.velocity(DATA, *start()), (u, v), strict=True):
        np.testing.assert_allclose(one, -each.grad.numpy(), rtol=1e-12, atol=1e-13)


def test_the_imbalance_does_not_move():
    assert np.abs(linear_flow.imbalance_speed(DATA, *start())).max() < 1e-13
    # The control: a first layer that learns half as fast.
    assert np.abs(linear_flow.imbalance_speed(DATA, *start(), first=0.5)).max() > 0.01


def test_the_integrator_has_order_four():
    u, v = start()
    drift = [
        np.abs(linear_flow.imbalance(DATA, end.u, end.v) - linear_flow.imbalance(DATA, u, v)).max()
        for end in (linear_flow.flow(DATA, u, v, step=step, end=4.0) for step in (0.02, 0.01))
    ]
    assert np.log2(np.divide(drift[:-1], drift[1:])) == pytest.approx(4.0, abs=0.1)


def test_the_flow_is_that_of_another_integrator():
    u, v = start(width=8)
    size = u.size

    def rates(_, state):
        parts = linear_flow.velocity(DATA, state[:size].reshape(u.shape), state[size:].reshape(v.shape))
        return np.concatenate([part.ravel() for part in parts])

    state = np.concatenate([u.ravel(), v.ravel()])
    other = integrate.solve_ivp(rates, (0, 4), state, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    ours = linear_flow.flow(DATA, u, v, step=0.01, end=4.0)
    np.testing.assert_allclose(np.concatenate([ours.u.ravel(), ours.v.ravel()]), other, rtol=0, atol=1e-8)


@pytest.mark.parametrize("width", [5, 20, 100])
def test_the_loss_falls_at_least_at_the_speed_of_the_imbalance(width):
    u, v = start(width)
    rate = linear_flow.speed(DATA, u, v)
    ran = linear_flow.flow(DATA, u, v, step=0.02, end=6.0)
    assert np.all(ran.losses <= ran.losses[0] * np.exp(-2 * rate * ran.times) * (1 + 1e-9))
    if width == 100:  # the control: ten times that speed is too fast
        assert np.any(ran.losses > ran.losses[0] * np.exp(-20 * rate * ran.times) * (1 + 1e-9))


def test_the_distance_to_the_solution_of_least_norm_is_outside_of_the_rows():
    u, v = start(width=200)
    ran = linear_flow.flow(DATA, u, v, step=0.02, end=40.0)
    found = ran.u @ ran.v.T
    np.testing.assert_allclose(DATA.x @ found, DATA.y, rtol=0, atol=1e-10)
    outside = u - DATA.rows @ (DATA.rows.T @ u)
    expected = np.linalg.norm(outside @ ran.v.T)
    assert np.linalg.norm(found - DATA.least_norm) == pytest.approx(expected, rel=1e-9)
    # Without that part at the start the flow ends at the solution of least norm.
    inside = linear_flow.flow(DATA, u - outside, v, step=0.02, end=40.0)
    assert np.linalg.norm(inside.u @ inside.v.T - DATA.least_norm) < 1e-9 < 0.01 * expected


@pytest.mark.parametrize(
    "call",
    [
        lambda: linear_flow.problem(5, 5, 2, np.random.default_rng(1)),
        lambda: linear_flow.start(DATA, 0, np.random.default_rng(1)),
        lambda: linear_flow.speed(DATA, *start(width=4)),
        lambda: linear_flow.flow(DATA, *start(), step=0.0, end=1.0),
        lambda: linear_flow.flow(DATA, *start(), step=50.0, end=1000.0),
    ],
)
def test_what_is_out_of_range_is_refused(call):
    with pytest.raises(ArgumentError):
        call()
