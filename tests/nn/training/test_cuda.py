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
from fracrepro.nn.training.precision import full_precision
from fracrepro.nn.training.trainer import table, train

CUDA = torch.device("cuda")
ON_CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

# Five layers keep rounding from growing; the last batch of an epoch is smaller, and recorded in the fourth.
DENSE = DIGITS.replace(
    network=Network((1, 8, 8), depth=5),
    batch_size=100,
    epochs=5,
    seeds=range(3),
    schemes=(make("kaiming"), make("lyapunov")),
)
PROTOCOLS = {
    "dense": DENSE,
    "rates that fall": DENSE.replace(decay_every=2),
    "residual": DENSE.replace(network=Residual((1, 8, 8), blocks=3, width=16, scale=1.0)),
    "spiking": DENSE.replace(network=Spiking((1, 8, 8), depth=3, steps=2), schemes=(make("spiking"),)),
    "convolutions": CIFAR10.replace(
        network=Network((3, 32, 32), depth=3, channels=(6, 16)),
        epochs=5,
        seeds=(0, 1),
        schemes=(make("kaiming"), make("xavier")),
    ),
}


def on_cuda(test):
    for mark in ON_CUDA:
        test = mark(test)
    return test


def images_for(name):
    """The digits; for convolutions noise that is brighter for a larger label, five batches an epoch."""
    if name != "convolutions":
        return data.load("digits")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2348, dtype=np.uint8)
    images = rng.integers(0, 76, (2348, 3, 32, 32), dtype=np.uint8) + 20 * labels[:, None, None, None]
    return data.Dataset("cifar10", images, labels, images[:500], labels[:500])


def figures(frame):
    return frame.drop(columns="seconds")


def close(found, expected, images):
    """Whether two tables agree but for rounding: losses to a thousandth, accuracies to three answers."""
    for name, answers in (("train", len(images.train_labels)), ("test", len(images.test_labels))):
        losses, accuracies = f"{name}_loss", f"{name}_accuracy"
        if not np.allclose(found[losses], expected[losses], rtol=1e-3, atol=1e-3):
            return False
        if not np.allclose(found[accuracies], expected[accuracies], rtol=0, atol=3.5 / answers):
            return False
    return True


def other_runs(table):
    """A table with the figures of another run in each place."""
    return table[[*lanes.FIGURES[:4]]].set_axis(np.roll(table.index, table["epoch"].max())).sort_index()


@on_cuda
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_numbers_are_those_of_a_cpu(name):
    # A spike that comes or stays away makes another run, so that these are compared after one epoch.
    protocol = PROTOCOLS[name].replace(**({"epochs": 1} if name == "spiking" else {}))
    images = images_for(name)
    on_gpu, on_cpu = (figures(train(protocol, images, device=each)) for each in ("cuda", "cpu"))
    assert close(on_gpu, on_cpu, images)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_close_to_a_run_is_it_with_other_rounding_and_no_other_run(name, monkeypatch):
    protocol = PROTOCOLS[name].replace(**({"epochs": 1} if name == "spiking" else {}))
    images = images_for(name)
    plain = figures(train(protocol, images, device="cpu"))
    assert not close(other_runs(plain), plain, images)
    rng = torch.Generator().manual_seed(0)
    advance = lanes.Lane.advance

    def rounded(lane, check):
        """An epoch before which every parameter changes in its last digit."""
        for tensor in lane.ensemble.tensors:
            if tensor.is_floating_point():
                tensor.mul_(1 + 2**-23 * torch.randint(-1, 2, tensor.shape, generator=rng))
        advance(lane, check)

    monkeypatch.setattr(lanes.Lane, "advance", rounded)
    again = figures(train(protocol, images, device="cpu", threads=1))
    assert not again.equals(plain)
    assert close(again, plain, images)


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
    kinds = 1 if name == "rates that fall" else 2  # at a rate that falls no rate has four last batches
    assert len({shape for shape, _ in replayed.step.graphs}) == kinds
    assert torch.equal(replayed.figures[:, :4], launched.figures[:, :4])
    for one, other in zip(replayed.ensemble.tensors, launched.ensemble.tensors, strict=True):
        assert torch.equal(one, other)
    replayed.release(), launched.release()


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
    lane.release()
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
        with full_precision(torch.device("cpu")):
            assert torch.get_float32_matmul_precision() == chosen
        with full_precision(CUDA):
            assert not torch.backends.cuda.matmul.allow_tf32
            assert torch.backends.cudnn.deterministic
        assert torch.get_float32_matmul_precision() == chosen
        with pytest.raises(KeyError), full_precision(CUDA):
            raise KeyError
        assert torch.get_float32_matmul_precision() == chosen
    finally:
        torch.set_float32_matmul_precision(before)


newer = pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch before 2.9")


@newer
@pytest.mark.parametrize("chosen", ["tf32", "ieee", "none"])
@pytest.mark.parametrize("where", ["products", "convolutions", "all"])
def test_full_precision_is_chosen_by_the_newer_names_too(where, chosen):
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    settings = {"products": products, "convolutions": convolutions, "all": torch.backends}
    kept = [(each, each.fp32_precision) for each in settings.values()]
    try:
        settings[where].fp32_precision = chosen
        before = [each.fp32_precision for each in settings.values()]
        with full_precision(CUDA):
            assert convolutions.fp32_precision == "ieee"
            assert products.fp32_precision != "tf32"
        assert [each.fp32_precision for each in settings.values()] == before
    finally:
        for each, value in reversed(kept):
            each.fp32_precision = value


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
