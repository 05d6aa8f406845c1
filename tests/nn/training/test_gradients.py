"""Gradients of single images and batch noise, against torch's own per-sample gradients and known laws."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.func import functional_call, grad, vmap

from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes import make
from fracrepro.nn.training.gradients import LayerGradients, gradient_norms, layer_gradients, mean_loss
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.start import initial_parameters

NETWORK = Network((1, 4, 4), depth=5, width=6, negative_slope=0.1)


@pytest.fixture(scope="module")
def case():
    start = initial_parameters(NETWORK, make("kaiming"), 3)
    parameters = {name: tensor.double() for name, tensor in start.items()}
    generator = torch.Generator().manual_seed(0)
    images = torch.empty(40, 1, 4, 4, dtype=torch.float64).normal_(generator=generator)
    return parameters, images, torch.randint(10, (40,), generator=generator)


@pytest.fixture(scope="module")
def per_sample(case):
    """The gradient of each image by automatic differentiation, one at a time."""
    parameters, images, labels = case
    module = build_module(NETWORK).double()

    def loss(values, image, label):
        return torch.nn.functional.cross_entropy(functional_call(module, values, image[None]), label[None])

    return vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)


def test_norms_equal_those_of_per_sample_gradients(case, per_sample, monkeypatch):
    expected = sum(g.flatten(1).square().sum(1) for g in per_sample.values()).sqrt()
    torch.testing.assert_close(gradient_norms(NETWORK, *case), expected, rtol=1e-12, atol=0)
    monkeypatch.setattr("fracrepro.nn.training.gradients.CHUNK", 7)  # several chunks, the last one short
    torch.testing.assert_close(gradient_norms(NETWORK, *case), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("layer", [0, 2, 4])
def test_layer_gradients_equal_per_sample_gradients(case, per_sample, layer):
    found = layer_gradients(NETWORK, *case, layer)
    outer = torch.einsum("no,ni->noi", found.deltas, found.inputs)
    expected = per_sample[f"dense{layer}.weight"]
    torch.testing.assert_close(outer, expected, rtol=1e-11, atol=1e-15)
    torch.testing.assert_close(found.mean(), expected.mean(0), rtol=1e-11, atol=1e-15)


def test_loss_equals_the_module(case):
    parameters, images, labels = case
    module = build_module(NETWORK).double()
    module.load_state_dict(parameters)
    expected = torch.nn.functional.cross_entropy(module(images), labels).item()
    assert mean_loss(NETWORK, *case).item() == pytest.approx(expected, rel=1e-13)


def heavy(n=300, n_out=3, n_in=4, seed=0):
    """Inputs and deltas of different scales and of heavier tails than normal ones."""
    generator = torch.Generator().manual_seed(seed)
    h, delta = (
        torch.empty(n, k, dtype=torch.float64).normal_(generator=generator) ** 3 for k in (n_in, n_out)
    )
    return LayerGradients(h * torch.tensor([1.0, 2.0, 0.1, 5.0]), delta + 0.3)


def test_kurtosis_equals_scipy_and_is_nan_for_constant_coordinates():
    layer = heavy()
    outer = torch.einsum("no,ni->noi", layer.deltas, layer.inputs).flatten(1)
    expected = stats.kurtosis(outer.numpy(), axis=0)
    np.testing.assert_allclose(layer.kurtosis().numpy(), expected, rtol=1e-11)
    dead = LayerGradients(layer.inputs, layer.deltas * torch.tensor([1.0, 0.0, 1.0]))
    assert dead.kurtosis().isnan().view(3, 4).tolist() == [[False] * 4, [True] * 4, [False] * 4]
    same = LayerGradients(torch.full((9, 2), 0.1), torch.full((9, 1), 0.7))
    assert same.kurtosis().isnan().all()


def test_noise_of_the_whole_law():
    """Mean, covariance and kurtosis follow from those of single gradients; the normal twin lacks the last."""
    layer, batch_size, draws = heavy(), 4, 40_000
    outer = torch.einsum("no,ni->noi", layer.deltas, layer.inputs).flatten(1)
    covariance = np.cov(outer.numpy().T, bias=True) / batch_size
    generator = torch.Generator().manual_seed(1)
    noise = layer.noise(batch_size, draws, generator).numpy()
    twin = layer.gaussian_noise(batch_size, draws, generator).numpy()
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    for sample in (noise, twin):
        assert sample.shape == (draws, 12)
        z = sample.mean(0) / np.sqrt(np.diag(covariance) / draws)
        assert np.abs(z).max() < stats.norm.isf(1e-4 / 24)  # false alarms: 1e-4 in twelve two-sided tests
        # The variance of a product of two standardized coordinates is at most the larger kurtosis.
        error = np.sqrt((stats.kurtosis(sample, axis=0).max() + 3) / draws)
        assert (np.abs(np.cov(sample.T, bias=True) - covariance) / scale).max() < 6 * error
    kurtosis = layer.kurtosis().numpy() / batch_size
    found, of_twin = stats.kurtosis(noise, axis=0), stats.kurtosis(twin, axis=0)
    assert np.median(np.abs(found / kurtosis - 1)) < 0.15
    assert np.abs(of_twin).max() < 6 * np.sqrt(24 / draws)
    assert np.all(found > np.abs(of_twin).max())  # the control: the twin's test rejects the noise


def test_batches_are_chunked_without_a_change_of_law(monkeypatch):
    layer = heavy()
    monkeypatch.setattr("fracrepro.nn.training.gradients.MATRICES", 1000)
    noise = layer.noise(2, 57, torch.Generator().manual_seed(0))
    twin = layer.gaussian_noise(2, 57, torch.Generator().manual_seed(0))
    assert noise.shape == twin.shape == (57, 12)
    assert len(noise.unique(dim=0)) == len(twin.unique(dim=0)) == 57


def test_bad_input_is_refused(case):
    layer = heavy()
    generator = torch.Generator()
    with pytest.raises(ValueError, match="batch_size = 0"):
        layer.noise(0, 3, generator)
    with pytest.raises(ValueError, match="draws = 0"):
        layer.gaussian_noise(1, 0, generator)
    with pytest.raises(ValueError, match="layer = 5"):
        layer_gradients(NETWORK, *case, 5)
    with_convolutions = Network((1, 8, 8), depth=2, width=4, channels=(2,), kernel=3)
    with pytest.raises(ValueError, match="channels"):
        gradient_norms(with_convolutions, *case)


def test_the_active_part_equals_a_loop_over_images_and_weights(case):
    parameters, images, _ = case
    found = layer_gradients(NETWORK, *case, 2)
    z, h = [], images.flatten(1)
    for k in range(3):
        z.append(torch.nn.functional.linear(h, parameters[f"dense{k}.weight"], parameters[f"dense{k}.bias"]))
        h = torch.nn.functional.leaky_relu(z[-1], NETWORK.negative_slope)
    share, part, whole = (each.reshape(6, 6) for each in found.active_part())
    for row in range(6):
        for column in range(6):
            both = (z[2][:, row] > 0) & (z[1][:, column] > 0)
            values = found.deltas[:, row] * found.inputs[:, column]
            torch.testing.assert_close(found.active_values(6 * row + column), values[both])
            assert share[row, column].item() == pytest.approx(both.double().mean().item(), abs=1e-15)
            for kurtosis, chosen in ((part, values[both]), (whole, values)):
                expected = ((chosen**4).mean() / (chosen**2).mean() ** 2).item()
                assert kurtosis[row, column].item() == pytest.approx(expected, rel=1e-11, nan_ok=True)


def test_a_sparse_sample_and_a_heavy_one_with_the_same_kurtosis_are_told_apart():
    """K = 30 by sparsity, a normal number in every tenth image, and K = 46 by the tails of its cube."""
    n, generator = 400_000, torch.Generator().manual_seed(0)
    normal = torch.empty(n, 1, dtype=torch.float64).normal_(generator=generator)
    on = torch.rand(n, 1, generator=generator) < 0.1
    heavy = normal**3  # K = 10395 / 15² = 46
    ones = torch.ones(n, 1, dtype=torch.bool)
    share, part, whole = LayerGradients(torch.ones_like(normal), normal * on, (ones, on)).active_part()
    assert share.item() == pytest.approx(0.1, abs=0.003)
    assert part.item() == pytest.approx(3.0, abs=0.1)
    assert whole.item() == pytest.approx(part.item() / share.item(), rel=1e-12)
    share, part, whole = LayerGradients(torch.ones_like(normal), heavy, (ones, ones)).active_part()
    assert share.item() == 1.0
    assert whole.item() == pytest.approx(part.item(), rel=1e-9)
    assert part.item() > 9.0


def test_the_active_part_needs_masks_and_a_weight_that_exists(case):
    bare = LayerGradients(torch.ones(3, 2), torch.ones(3, 1))
    for refused in (bare.active_part, lambda: bare.active_values(0)):
        with pytest.raises(ArgumentError, match="active = None"):
            refused()
    with pytest.raises(ArgumentError, match="weight = 36"):
        layer_gradients(NETWORK, *case, 2).active_values(36)
