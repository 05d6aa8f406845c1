"""Where a network of one input changes its slope: by its kinks, and by torch's derivatives."""

import numpy as np
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.nn.demonstrations import linear_regions
from fracrepro.nn.demonstrations.linear_regions import Shallow

POINTS = np.linspace(-1, 1, 60)


def drawn(seed, neurons=30):
    return Shallow(*np.random.default_rng(seed).standard_normal((3, neurons)))


def test_slopes_are_those_of_the_derivatives():
    network = drawn(1)
    places = np.random.default_rng(2).uniform(-3, 3, 200)
    by_torch = linear_regions.autograd_slopes(network, places)
    np.testing.assert_allclose(linear_regions.slopes(network, places), by_torch, rtol=1e-11, atol=1e-12)
    # The control: changes of slope a·w, without the absolute value.
    signless = linear_regions.slopes(Shallow(np.abs(network.w), network.b, network.a), places)
    assert np.abs(signless - by_torch).max() > 0.1


def test_changes_in_one_gap_are_added_and_small_ones_left_out():
    # Kinks at -0.5, at 0.49 and 0.51 in one gap that cancel, at 0.9, and at 5 outside of the points.
    kinks, a = np.array([-0.5, 0.49, 0.51, 0.9, 5.0]), np.array([1.0, 3.0, -3.0, 0.001, 9.0])
    network = Shallow(np.ones(5), -kinks, a)
    points = [-1.0, 0.0, 0.4, 0.6, 1.0]
    assert linear_regions.slope_changes(network, points) == 1
    assert linear_regions.slope_changes(network, points, share=0.0) == 2
    assert linear_regions.slope_changes(network, [-1.0, 0.0, 0.4, 0.5, 0.6, 1.0]) == 3


def test_a_classifier_needs_a_change_of_slope_for_every_cut_but_one():
    """f crosses zero at most once on each of its linear pieces, whatever its parameters."""
    for seed in range(50):
        network = drawn(seed, neurons=8)
        values = np.maximum(POINTS[:, None] * network.w + network.b, 0) @ network.a
        signs = np.sign(values[values != 0])
        crossings = int(np.sum(signs[1:] != signs[:-1]))
        assert linear_regions.slope_changes(network, POINTS, share=0.0) >= crossings - 1


def test_training_follows_the_gradient_of_the_logarithm_of_the_loss():
    import torch

    targets = linear_regions.labels(POINTS, [0.1])
    [[w, b, a]] = [np.random.default_rng(5).standard_normal((3, 7))]
    begin = [torch.tensor(each, requires_grad=True) for each in (w, b, a / np.sqrt(7))]
    values = torch.relu(torch.tensor(POINTS)[:, None] * begin[0] + begin[1]) @ begin[2]
    torch.log(torch.nn.functional.softplus(-torch.tensor(targets) * values).sum()).backward()
    size = linear_regions.STEP / sum(float((each.detach() ** 2).sum()) for each in begin)
    trained, _ = linear_regions.train(POINTS, targets, neurons=7, steps=1, seeds=[5])
    for one, each in zip(trained[0], begin, strict=True):
        expected = (each - size * each.grad).detach().numpy()
        np.testing.assert_allclose(one, expected, rtol=1e-11, atol=1e-13)


def test_networks_trained_together_are_those_trained_alone():
    targets = linear_regions.labels(POINTS, [-0.3, 0.4])
    both, curves = linear_regions.train(POINTS, targets, neurons=9, steps=30, seeds=[1, 2], every=10)
    alone, curve = linear_regions.train(POINTS, targets, neurons=9, steps=30, seeds=[2], every=10)
    np.testing.assert_allclose(both[1].w, alone[0].w, rtol=1e-12)
    assert curves[curves["seed"] == 2]["changes"].tolist() == curve["changes"].tolist()
    assert curve["step"].tolist() == [0, 10, 20, 30]


def test_labels_change_at_every_cut():
    found = linear_regions.labels(POINTS, [-0.5, 0.1, 0.6])
    assert int(np.sum(found[1:] != found[:-1])) == 3
    assert found[-1] == 1.0


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"points": [0.0, 0.0]}])
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(ArgumentError):
        linear_regions.slope_changes(drawn(1), **({"points": POINTS} | wrong))
