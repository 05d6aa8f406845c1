"""The ensemble trainer against a plain loop over one model, and the independence of its runs."""

import math
import os

import numpy as np
import pandas as pd
import pytest
import torch

from fracrepro.nn import data
from fracrepro.nn.experiments import CIFAR10, DIGITS, MNIST
from fracrepro.nn.schemes import make
from fracrepro.nn.training import batches
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.start import initial_parameters
from fracrepro.nn.training.trainer import COLUMNS, diverged, train

KAIMING, XAVIER, LYAPUNOV = make("kaiming"), make("xavier"), make("lyapunov")
QUICK = DIGITS.replace(epochs=2, seeds=range(3), schemes=(KAIMING, LYAPUNOV), learning_rate=0.03)
CPU = torch.device("cpu")
needs_data = pytest.mark.skipif(not os.environ.get("FRACREPRO_DATA"), reason="FRACREPRO_DATA is not set")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def quick(digits):
    return train(QUICK, digits)


def figures(frame):
    return frame.drop(columns="seconds")


def plain_losses(network, scheme, seed, images, labels, rate, decay):
    """Mean loss before each step of torch's own optimizer on one plain module."""
    module = build_module(network).to(images.dtype)
    module.load_state_dict(initial_parameters(network, scheme, seed))
    optimizer = torch.optim.SGD(module.parameters(), rate, weight_decay=decay)
    losses = []
    for batch, answers in zip(images, labels, strict=True):
        loss = torch.nn.functional.cross_entropy(module(batch), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, module.state_dict()


def in_float64(ensemble):
    """Recast an ensemble in place."""
    for name in ("weights", "biases", "convolutions"):
        tensors = getattr(ensemble, name)
        recast = [t.detach().double().requires_grad_(t.requires_grad) for t in tensors]
        setattr(ensemble, name, recast)
    return ensemble


def test_float32_losses_equal_a_plain_loop_over_50_steps(digits):
    # Rounding is 6e-8, and the runs end within 1e-6 of each other, unless a pre-activation that close to the
    # kink falls on its other side: then two computations part.
    # That was seen in 1 of these 18 runs; 3 would be a defect.
    schemes, seeds, steps = (KAIMING, XAVIER, LYAPUNOV), tuple(range(6)), 50
    indices = batches.order(seeds, 1, 1440)[:, : 16 * steps].unflatten(1, (steps, 16)).transpose(0, 1)
    images = batches.normalize(torch.tensor(digits.train_images)[indices])
    labels = torch.tensor(digits.train_labels, dtype=torch.int64)[indices]
    ensemble = Ensemble(DIGITS.network, schemes, seeds, CPU)
    ours = torch.stack([ensemble.step(*pair, 0.01)[0] for pair in zip(images, labels, strict=True)]).T / 16
    runs = [(g, scheme) for g in range(6) for scheme in schemes]
    parted = 0
    for model, (g, scheme) in enumerate(runs):
        losses, _ = plain_losses(DIGITS.network, scheme, seeds[g], images[:, g], labels[:, g], 0.01, 0.0)
        np.testing.assert_allclose(ours[model, :3], losses[:3], atol=1e-5, rtol=0)
        parted += np.abs(ours[model].numpy() - losses).max() > 1e-5
    assert parted < 3


# Float64 leaves no room for doubt: rounding 1e-16, bound 1e-9, and a missing term would show at 1e-3.
@pytest.mark.parametrize(
    ("network", "batch", "steps"),
    [
        (MNIST.network, 16, 20),
        (CIFAR10.network, 8, 5),  # convolutions in float64 are slow
        (Network((1, 8, 8), depth=1, width=5), 16, 50),
        (Network((1, 8, 8), depth=3, width=5, negative_slope=0.0), 16, 50),
    ],
    ids=["mnist", "cifar10", "one layer", "relu"],
)
def test_float64_losses_equal_a_plain_loop(network, batch, steps):
    schemes, seeds = (KAIMING, LYAPUNOV), (0, 3)
    rng = torch.Generator().manual_seed(1)
    images = torch.empty(steps, 2, batch, *network.image_shape, dtype=torch.float64)
    images.uniform_(-1, 1, generator=rng)
    labels = torch.randint(0, 10, (steps, 2, batch), generator=rng)
    ensemble = in_float64(Ensemble(network, schemes, seeds, CPU))
    pairs = zip(images, labels, strict=True)
    ours = torch.stack([ensemble.step(*pair, 0.05, 0.01)[0] for pair in pairs]).T / batch
    for model, (g, scheme) in enumerate((g, scheme) for g in range(2) for scheme in schemes):
        losses, state = plain_losses(network, scheme, seeds[g], images[:, g], labels[:, g], 0.05, 0.01)
        np.testing.assert_allclose(ours[model], losses, atol=1e-9, rtol=0)
        for name, parameter in ensemble.parameters(model).items():
            torch.testing.assert_close(parameter, state[name], atol=1e-9, rtol=0)


def test_parameters_are_copies_that_training_leaves_alone(digits):
    ensemble = Ensemble(DIGITS.network, (KAIMING, XAVIER), (4,), CPU)
    before = [ensemble.parameters(model) for model in range(2)]
    images = batches.normalize(torch.tensor(digits.train_images[:8])).unsqueeze(0)
    ensemble.step(images, torch.tensor(digits.train_labels[:8]).long().unsqueeze(0), 0.1)
    for scheme, parameters in zip((KAIMING, XAVIER), before, strict=True):
        for name, values in initial_parameters(DIGITS.network, scheme, 4).items():
            assert torch.equal(parameters[name], values), name
    assert not torch.equal(ensemble.parameters(0)["dense0.weight"], before[0]["dense0.weight"])


def test_evaluation_equals_plain_module(digits):
    ensemble = Ensemble(DIGITS.network, (KAIMING, XAVIER), (4,), CPU)
    images = batches.normalize(torch.tensor(digits.test_images))
    labels = torch.tensor(digits.test_labels, dtype=torch.int64)
    loss, correct = ensemble.evaluate(images, labels)
    for j, scheme in enumerate((KAIMING, XAVIER)):
        module = build_module(DIGITS.network)
        module.load_state_dict(initial_parameters(DIGITS.network, scheme, 4))
        output = module(images).detach()
        assert correct[j] == (output.argmax(1) == labels).sum()
        expected = torch.nn.functional.cross_entropy(output, labels, reduction="sum").item()
        assert loss[j].item() == pytest.approx(expected, rel=1e-5)


def test_paired_runs_share_draws_biases_and_order():
    network = CIFAR10.network
    one, two = (initial_parameters(network, scheme, 7) for scheme in (KAIMING, XAVIER))
    for name in one:
        if "dense" in name and "weight" in name:
            ratio = one[name] / two[name]
            shape = one[name].shape
            torch.testing.assert_close(ratio, torch.full_like(ratio, math.sqrt(sum(shape) / shape[1])))
        else:
            assert torch.equal(one[name], two[name])
    other = initial_parameters(network, KAIMING, 8)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_defaults_of_torch_for_biases_and_convolutions():
    # Uniform within ±1/√fan_in: the largest of n draws exceeds 1 - 20/n of the bound but once in e^20.
    for name, values in initial_parameters(CIFAR10.network, KAIMING, 0).items():
        if "bias" in name or "conv" in name:
            fan_in = {"conv0": 75, "conv1": 150, "dense0": 400}.get(name.split(".")[0], 64)
            peak = values.abs().max().item() * math.sqrt(fan_in)
            assert peak <= 1
            if values.numel() > 100:
                assert peak > 1 - 20 / values.numel()


def test_result_is_a_tidy_table(quick):
    assert tuple(quick.columns) == COLUMNS
    assert len(quick) == 2 * 3 * 2
    assert quick.scheme.unique().tolist() == ["kaiming", "lyapunov"]
    assert quick.seed.tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert quick.epoch.tolist() == [1, 2] * 6
    assert quick.s.isna().all()
    assert quick[["train_accuracy", "test_accuracy"]].stack().between(0, 1).all()
    assert (quick.seconds > 0).all()
    assert diverged(quick).empty


def test_threads_change_no_bit(quick, digits):
    pd.testing.assert_frame_equal(figures(train(QUICK, digits, threads=1)), figures(quick), check_exact=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (1,)},
        {"seeds": (2, 9, 0, 1)},
        {"schemes": (LYAPUNOV,)},
        {"schemes": (XAVIER, LYAPUNOV, KAIMING), "seeds": (2,)},
    ],
)
def test_a_run_does_not_depend_on_the_others_bit_for_bit(quick, digits, changes):
    # Exact on the CPU at batch sizes that matrix libraries do not send down a path for tiny matrices.
    again = figures(train(QUICK.replace(**changes), digits))
    both = again.merge(figures(quick), on=["scheme", "seed", "epoch"], suffixes=("", "_before"))
    assert len(both) >= 4
    for column in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert (both[column] == both[f"{column}_before"]).all()


def test_a_diverged_run_leaves_its_neighbours_alone(quick, digits, monkeypatch):
    # s small on a huge scale: break one scheme by a factor that overflows float32 within a few layers.
    broken = make("fractional", s=0.5)
    original = type(broken).std
    monkeypatch.setattr(type(broken), "std", lambda self, slot: 1e6 * original(self, slot))
    results = figures(train(QUICK.replace(schemes=(KAIMING, broken, LYAPUNOV)), digits))
    lost = results[results.scheme == "fractional"]
    assert lost.train_loss.isna().all()
    assert lost.test_loss.isna().all()
    assert (lost.test_accuracy == 0).all()
    kept = results[results.scheme != "fractional"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, figures(quick), check_exact=True)
    report = diverged(results)
    assert report.seed.tolist() == [0, 1, 2]
    assert (report.epoch == 1).all()
    assert (report.s == 0.5).all()


def test_train_figures_are_means_over_the_epoch(digits):
    # With a learning rate of (almost) nothing the mean over the epoch is the loss of the initial network.
    still = DIGITS.replace(epochs=1, seeds=(0,), schemes=(KAIMING,), learning_rate=1e-30)
    row = train(still, digits).iloc[0]
    ensemble = Ensemble(still.network, still.schemes, still.seeds, CPU)
    images = batches.normalize(torch.tensor(digits.train_images))
    loss, correct = ensemble.evaluate(images, torch.tensor(digits.train_labels, dtype=torch.int64))
    assert row.train_loss == pytest.approx(loss.item() / 1440, rel=1e-5)
    assert row.train_accuracy == correct.item() / 1440


BAD = [
    ({"protocol": "mnist"}, "protocol = 'mnist': need a Protocol"),
    ({"device": "tpu"}, "device = 'tpu': need one of 'auto', 'cpu', 'cuda'"),
    ({"threads": 0}, "threads = 0"),
    ({"interval": -1.0}, "interval = -1.0"),
    ({"protocol": MNIST}, "dataset = 'digits': the protocol trains on 'mnist'"),
    ({"protocol": QUICK.replace(network=MNIST.network)}, r"images of shape \(1, 8, 8\)"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments_are_refused_before_any_work(digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(**({"protocol": QUICK, "dataset": digits} | arguments))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_missing_cuda_is_refused(digits):
    with pytest.raises(ValueError, match="device = 'cuda'"):
        train(QUICK, digits, device="cuda")


@pytest.mark.mnist
@needs_data
def test_mnist_learns_in_two_epochs():
    protocol = MNIST.replace(epochs=2, seeds=range(3), schemes=MNIST.schemes[:2])
    results = train(protocol, threads=2)
    last = results[results.epoch == 2]
    assert len(last) == 6
    assert (last.test_accuracy > 0.5).all()
    assert (last.train_loss < results[results.epoch == 1].train_loss.to_numpy()).all()


@pytest.mark.cifar10
@needs_data
def test_cifar10_lane_trains_and_repeats(tmp_path, monkeypatch):
    # A slice of the real set through the whole path: augmentation, convolutions, one lane per seed.
    monkeypatch.setattr(data, "_cache", lambda: tmp_path)
    full = data.load("cifar10")
    names = ("train_images", "train_labels", "test_images", "test_labels")
    part = data.Dataset("cifar10", *(getattr(full, name)[::50] for name in names))
    protocol = CIFAR10.replace(epochs=2, seeds=(0, 1), schemes=(KAIMING, XAVIER))
    results = train(protocol, part, threads=2)
    assert results[["train_loss", "test_loss"]].map(math.isfinite).all(axis=None)
    pd.testing.assert_frame_equal(
        figures(train(protocol, part, threads=1)), figures(results), check_exact=True
    )
    alone = figures(train(protocol.replace(schemes=(XAVIER,)), part))
    both = figures(results[results.scheme == "xavier"]).reset_index(drop=True)
    # Another set of schemes is another grouped convolution: float32 rounding, 1e-6 after a few steps.
    pd.testing.assert_frame_equal(alone, both, rtol=1e-4, atol=1e-4)
