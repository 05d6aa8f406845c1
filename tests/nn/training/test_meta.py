"""Training without a device: a tensor left on the CPU, or a wait for the host, fails here already."""

import numpy as np
import pytest
import torch

from fracrepro.nn import data
from fracrepro.nn.experiments import CIFAR10, DIGITS, GRADIENT_TAILS, tail_figures
from fracrepro.nn.experiments import gradient_tails as tails
from fracrepro.nn.schemes import make
from fracrepro.nn.training import batches
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.families import Residual, Spiking
from fracrepro.nn.training.gradients import gradient_norms, layer_gradients, mean_loss
from fracrepro.nn.training.lanes import Images, Lane
from fracrepro.nn.training.network import Network

META = torch.device("meta")
PROTOCOLS = {
    "digits": DIGITS,
    "cifar10": CIFAR10.replace(batch_size=8),  # convolutions, flips and crops, weight decay
    "residual": DIGITS.replace(network=Residual((1, 8, 8), blocks=2, width=8, kind="post", scale=1.0)),
    "spiking": DIGITS.replace(network=Spiking((1, 8, 8), depth=2, steps=2), schemes=(make("spiking"),)),
    "small": CIFAR10.replace(network=Network((3, 32, 32), depth=1, channels=(2,)), batch_size=20),
}


def pixels(protocol, n=40, m=1500):
    """Noise of the protocol's shape: m test images, so that one evaluation has two batches."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n + m, *protocol.network.image_shape), dtype=np.uint8)
    labels = rng.integers(0, 10, n + m, dtype=np.uint8)
    return data.Dataset(protocol.dataset, images[:n], labels[:n], images[n:], labels[n:])


def lane_of(name):
    protocol = PROTOCOLS[name].replace(seeds=(0, 3))
    return Lane(protocol, protocol.seeds, Images(pixels(protocol), META), META)


def take_a_step(lane):
    """One step with nothing but tensors of the device, as a CUDA graph records it."""
    shape = (len(lane.seeds), lane.protocol.batch_size)
    indices = torch.empty(shape, dtype=torch.int64, device=META)
    draws = torch.empty((3, *shape), dtype=torch.int64, device=META) if lane.protocol.augment else None
    return lane.step(indices, draws, 0.01)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_step_stays_on_the_device(name, on_meta):
    lane = lane_of(name)
    with on_meta(closed=True) as mode:
        figures = take_a_step(lane)
    assert mode.calls > 10
    assert figures.device == META
    assert figures.shape == (2, 2 * len(lane.protocol.schemes))
    assert all(tensor.device == META for tensor in lane.ensemble.tensors)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_epoch_and_its_evaluation_read_nothing_back(name, on_meta):
    lane = lane_of(name)
    with on_meta():
        train, test = lane._train_epoch(1, lambda: None), lane._test()
    for figures in (train, test):
        assert figures.device == META
        assert figures.shape == (2, lane.ensemble.size)


def on_the_host(images):
    return images.to("cpu")


def a_number(images):
    return images * images.sum().item()


def a_decision(images):
    return images if images.sum() > 0 else -images


def a_selection(images):
    return images[images.isfinite()].view(images.shape)


def a_product(images):
    width = images.shape[-1]
    return torch.matmul(images, torch.eye(width))


def a_lookup(images):
    return images[:, torch.arange(images.shape[1])]


def a_copy(images):
    return images + torch.zeros(images.shape[-1]).to(images.device)


@pytest.mark.parametrize(
    "mistake", [on_the_host, a_number, a_decision, a_selection, a_product, a_lookup, a_copy]
)
def test_a_step_with_a_mistake_fails(mistake, on_meta, monkeypatch):
    normalize = batches.normalize
    monkeypatch.setattr(batches, "normalize", lambda images: mistake(normalize(images)))
    lane = lane_of("digits")
    with pytest.raises((RuntimeError, NotImplementedError)), on_meta(closed=True):
        take_a_step(lane)


def test_the_gradients_of_single_images_stay_on_the_device(on_meta, monkeypatch):
    monkeypatch.setattr("fracrepro.nn.training.gradients.CHUNK", 16)  # several chunks
    network = Network((1, 8, 8), depth=3, width=6)
    parameters = Ensemble(network, DIGITS.schemes, (0,), META).parameters(0)
    images = torch.empty(40, 1, 8, 8, device=META)
    labels = torch.empty(40, dtype=torch.int64, device=META)
    generator = torch.Generator().manual_seed(0)
    with on_meta():
        layer = layer_gradients(network, parameters, images, labels, 1)
        found = [
            layer.noise(4, 10, generator),
            layer.gaussian_noise(4, 10, generator),
            layer.kurtosis(),
            gradient_norms(network, parameters, images, labels),
            mean_loss(network, parameters, images, labels),
        ]
    assert [tuple(tensor.shape) for tensor in found] == [(10, 36), (10, 36), (36,), (40,), ()]
    assert all(tensor.device == META for tensor in found)


def test_the_measurement_of_tails_stays_on_the_device(on_meta):
    study = GRADIENT_TAILS.replace(
        dataset="digits", network=DIGITS.network, steps=2, layer=2, draws=500, images=500, seeds=(0, 1)
    )
    images = torch.empty(600, 1, 8, 8, dtype=torch.uint8, device=META)
    labels = torch.empty(600, dtype=torch.int64, device=META)
    ensemble, steps = Ensemble(study.network, study.schemes, study.seeds, META), []
    with on_meta():
        tails._train(study, 4, ensemble, images, labels, steps.append)
        start = ensemble.parameters(0)
        pixels = batches.normalize(images)
        sample = tail_figures.sample_of(study, ensemble.parameters(1), start, 0, pixels, labels, batch_size=4)
    assert steps == [1, 1]
    assert {name: tensor.device.type for name, tensor in sample.items()} == dict.fromkeys(sample, "meta")
    assert sample["noise"].shape == (tail_figures.VECTORS, 64 * 64)
