"""Training on a CUDA device: the CPU's numbers to rounding, and the same bits whenever it is repeated."""

import numpy as np
import pandas as pd
import pytest
import torch

from fracrepro.nn import data
from fracrepro.nn.experiments import CIFAR10, DIGITS
from fracrepro.nn.experiments.protocol import MNIST_CUDA
from fracrepro.nn.schemes import make
from fracrepro.nn.training import lanes
from fracrepro.nn.training.families import Residual, Spiking
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.pieces import pieces
from fracrepro.nn.training.trainer import table, train

CUDA = torch.device("cuda")
ON_CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

# Five layers keep rounding from growing; the last batch of an epoch is smaller than the others.
DENSE = DIGITS.replace(
    network=Network((1, 8, 8), depth=5), epochs=3, seeds=range(3), schemes=(make("kaiming"), make("lyapunov"))
)
PROTOCOLS = {
    "dense": DENSE,
    "rates that fall": DENSE.replace(decay_every=1),
    "residual": DENSE.replace(network=Residual((1, 8, 8), blocks=3, width=16, scale=1.0)),
    "spiking": DENSE.replace(network=Spiking((1, 8, 8), depth=3, steps=2), schemes=(make("spiking"),)),
    "convolutions": CIFAR10.replace(epochs=3, seeds=(0, 1), schemes=(make("kaiming"), make("xavier"))),
}


def on_cuda(test):
    for mark in ON_CUDA:
        test = mark(test)
    return test


def images_for(name):
    """The digits; for convolutions noise, five batches an epoch, of which the last is smaller."""
    if name != "convolutions":
        return data.load("digits")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2348, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, 2348, dtype=np.uint8)
    return data.Dataset("cifar10", images, labels, images[:500], labels[:500])


def figures(frame):
    return frame.drop(columns="seconds")


@on_cuda
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_numbers_are_those_of_a_cpu(name):
    images = images_for(name)
    on_gpu, on_cpu = (figures(train(PROTOCOLS[name], images, device=each)) for each in ("cuda", "cpu"))
    loose = {"rtol": 1e-3, "atol": 1e-2 if name == "convolutions" else 1e-3}
    pd.testing.assert_frame_equal(on_gpu, on_cpu, **loose)
    others = on_cpu.assign(train_loss=np.roll(on_cpu.train_loss, PROTOCOLS[name].epochs))  # of the run before
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(on_gpu, others, **loose)


@on_cuda
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_same_seeds_have_the_same_bits_again(name):
    images = images_for(name)
    first, second = (figures(train(PROTOCOLS[name], images, device="cuda")) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@on_cuda
@pytest.mark.parametrize("name", PROTOCOLS)
def test_replayed_steps_have_the_bits_of_launched_ones(name):
    protocol, images = PROTOCOLS[name], lanes.Images(images_for(name), CUDA)
    replayed, launched = (lanes.Lane(protocol, protocol.seeds, images, CUDA) for _ in range(2))
    launched.step = launched._step
    for _ in range(protocol.epochs):
        replayed.advance(), launched.advance()
    assert replayed.step.graphs
    assert torch.equal(replayed.figures[:, :4], launched.figures[:, :4])
    for one, other in zip(replayed.ensemble.tensors, launched.ensemble.tensors, strict=True):
        assert torch.equal(one, other)


@on_cuda
@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_interrupted_training_has_the_bits_of_a_whole_one(name):
    protocol, images = PROTOCOLS[name], images_for(name)
    (piece,), state = pieces(protocol, "cuda"), None
    for epoch in range(protocol.epochs):
        state = piece.advance(images, state, device="cuda", seconds=0)
        assert state.epoch == epoch + 1
    lane = lanes.Lane(protocol, protocol.seeds, lanes.Images(images, CUDA), CUDA)
    for _ in range(protocol.epochs):
        lane.advance()
    parts = piece.advance(images, state, device="cuda")  # nothing is left to train
    assert parts.epoch == protocol.epochs
    whole = figures(table(protocol, [lane]))
    pd.testing.assert_frame_equal(figures(_of(protocol, images, state)), whole, check_exact=True)


def _of(protocol, images, state):
    """The table of a state, by way of its checkpoint."""
    from fracrepro.files import temporary_folder
    from fracrepro.nn.training.pieces import collect

    with temporary_folder("states-") as folder:
        (folder / state.file).write_bytes(state.content)
        return collect(protocol, images, folder, "cuda")


@on_cuda
def test_less_precision_in_the_program_changes_nothing():
    images = images_for("dense")
    full = figures(train(DENSE, images, device="cuda"))
    torch.set_float32_matmul_precision("medium")
    try:
        again = figures(train(DENSE, images, device="cuda"))
    finally:
        torch.set_float32_matmul_precision("highest")
    pd.testing.assert_frame_equal(full, again, check_exact=True)


@pytest.mark.parametrize("chosen", ["highest", "high", "medium"])
def test_full_precision_is_chosen_for_a_while(chosen):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(chosen)
    try:
        with lanes.full_precision(torch.device("cpu")):
            assert torch.get_float32_matmul_precision() == chosen
        with lanes.full_precision(CUDA):
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
            assert torch.backends.cudnn.deterministic
        assert torch.get_float32_matmul_precision() == chosen
        with pytest.raises(KeyError), lanes.full_precision(CUDA):
            raise KeyError
        assert torch.get_float32_matmul_precision() == chosen
    finally:
        torch.set_float32_matmul_precision(before)


def test_full_precision_is_chosen_by_the_newer_names_too():
    products = torch.backends.cuda.matmul
    before, products.fp32_precision = products.fp32_precision, "tf32"
    try:
        with lanes.full_precision(CUDA):
            assert products.fp32_precision == "ieee"
        assert products.fp32_precision == "tf32"
    finally:
        products.fp32_precision = before


def test_what_needs_a_gpu_is_refused_on_a_cpu():
    words = "device = 'cpu': mnist_cuda is what a device of type 'cuda' makes of it"
    with pytest.raises(ValueError, match=words):
        train(MNIST_CUDA, device="cpu")
    with pytest.raises(ValueError, match=words):
        MNIST_CUDA.pieces("cpu")
    assert MNIST_CUDA.pieces("cuda")[0].seeds[0] == 20
    with pytest.raises(ValueError, match="needs = 'gpu': need one of 'cpu', 'cuda'"):
        MNIST_CUDA.replace(needs="gpu")


def test_what_needs_a_gpu_says_so_in_its_record_and_others_do_not():
    assert MNIST_CUDA.to_dict()["needs"] == "cuda"
    assert type(MNIST_CUDA).from_dict(MNIST_CUDA.to_dict()) == MNIST_CUDA
    assert "needs" not in DENSE.to_dict()
    assert type(DENSE).from_dict(DENSE.to_dict()) == DENSE
