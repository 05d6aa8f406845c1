"""Recorded steps without a device: a stand-in keeps some rules of CUDA graphs over tensors on the CPU.

In a capture operations are noted and change nothing; a replay repeats them on the same memory, whatever
Python would have done meanwhile.  What a step reads from Python is therefore frozen, as on a GPU.
"""

from contextlib import contextmanager, nullcontext
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fracrepro.nn import data
from fracrepro.nn.experiments import CIFAR10, DIGITS, MNIST
from fracrepro.nn.experiments.protocol import CIFAR10_CUDA, MNIST_CUDA
from fracrepro.nn.schemes import make
from fracrepro.nn.training import graphs
from fracrepro.nn.training.families import Residual, Spiking
from fracrepro.nn.training.lanes import MODELS_PER_GPU_LANE, Images, Lane, split
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.trainer import lanes_at_a_time

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def tensors_in(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class Tape(TorchDispatchMode):
    """Notes operations below autograd, and puts back what they wrote to memory that was there before."""

    def __init__(self):
        super().__init__()
        self.operations, self.before = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        for value, argument in zip(args, func._schema.arguments, strict=False):
            self._keep(value, argument)
        for argument in func._schema.arguments:
            if argument.name in kwargs:
                self._keep(kwargs[argument.name], argument)
        result = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, result))
        return result

    def _keep(self, value, argument):
        if argument.alias_info is not None and argument.alias_info.is_write:
            self.before += [(tensor, tensor.clone()) for tensor in tensors_in(value)]

    def rewind(self):
        with torch.no_grad():
            for tensor, value in reversed(self.before):
                tensor.copy_(value)
        self.before.clear()


class FakeGraph:
    """What `torch.cuda.CUDAGraph` is to a step: it replays, and owns a pool."""

    made: ClassVar[list] = []

    def __init__(self):
        self.tape, self.replays, self.given = Tape(), 0, None
        self.made.append(self)

    def pool(self):
        return self.given or self

    def replay(self):
        self.replays += 1
        with torch.no_grad():
            for func, args, kwargs, result in self.tape.operations:
                again = func(*args, **kwargs)
                for held, new in zip(tensors_in(result), tensors_in(again), strict=True):
                    if held.data_ptr() != new.data_ptr():
                        held.copy_(new)


@contextmanager
def capture(graph, pool=None):
    """Like `torch.cuda.graph`."""
    graph.given = pool
    with graph.tape:
        yield
    graph.tape.rewind()


class FakeStream:
    def wait_stream(self, other):
        """There is one order of things on the CPU."""


@pytest.fixture
def recorded(monkeypatch):
    """The graphs that are made while CUDA's interface is the stand-in."""
    monkeypatch.setattr(FakeGraph, "made", [])
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "current_stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    return FakeGraph.made


SMALL = {"seeds": (0, 3), "epochs": 3}
PROTOCOLS = {
    "dense": DIGITS.replace(network=Network((1, 8, 8), depth=4), **SMALL),
    "rates that fall": DIGITS.replace(network=Network((1, 8, 8), depth=4), decay_every=1, **SMALL),
    "convolutions": CIFAR10.replace(
        network=Network((3, 32, 32), depth=2, channels=(2, 3)), batch_size=16, **SMALL
    ),
    "residual": DIGITS.replace(network=Residual((1, 8, 8), blocks=2, width=8, scale=1.0), **SMALL),
    "spiking": DIGITS.replace(
        network=Spiking((1, 8, 8), depth=2, steps=2), schemes=(make("spiking"),), **SMALL
    ),
}


def pixels(protocol, n=90, m=60):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n + m, *protocol.network.image_shape), dtype=np.uint8)
    labels = rng.integers(0, 10, n + m, dtype=np.uint8)
    return data.Dataset(protocol.dataset, images[:n], labels[:n], images[n:], labels[n:])


def trained(protocol, replayed=False, mistake=None):
    """A lane after all epochs, on the CPU: with steps as they are, or recorded and replayed."""
    lane = Lane(protocol, protocol.seeds, Images(pixels(protocol), CPU), CPU)
    if mistake is not None:
        lane._step = mistake(lane)
    lane.step = graphs.Replayed(lane._step) if replayed else lane._step
    for _ in range(protocol.epochs):
        lane.advance()
    return lane


@pytest.mark.parametrize("name", PROTOCOLS)
def test_replayed_steps_have_the_bits_of_plain_ones(name, recorded):
    protocol = PROTOCOLS[name]
    plain, replayed = trained(protocol), trained(protocol, replayed=True)
    assert torch.equal(plain.figures[:, :4], replayed.figures[:, :4])  # the fifth is the time
    for one, other in zip(plain.ensemble.tensors, replayed.ensemble.tensors, strict=True):
        assert torch.equal(one, other)
    assert sum(graph.replays for graph in recorded) > 0


@pytest.mark.parametrize(
    ("name", "shapes"),
    # 90 images are five batches of 16 and one of 10, an epoch; three steps of a kind are not recorded.
    [("dense", {16: 12, 10: 0}), ("convolutions", {16: 12, 10: 0})],
)
def test_a_step_is_recorded_once_a_shape(name, shapes, recorded):
    trained(PROTOCOLS[name], replayed=True)
    assert [graph.replays for graph in recorded] == [count for count in shapes.values() if count]


def test_every_rate_has_a_recording_and_all_share_the_memory_of_the_first(recorded):
    trained(PROTOCOLS["rates that fall"], replayed=True)
    first, *others = recorded
    assert [graph.replays for graph in recorded] == [2, 2, 2]
    assert first.given is None
    assert [graph.given for graph in others] == [first, first]


def frozen_number(lane):
    """A number of Python's that changes from step to step: a recording keeps the one it saw."""
    taken = [0]

    def step(indices, draws, learning_rate):
        taken[0] += 1
        return Lane._step(lane, indices, draws, learning_rate / taken[0])

    return step


def fresh_tensor(lane):
    """Parameters that move to other memory in each step: a recording writes to the old one."""

    def step(indices, draws, learning_rate):
        lane.ensemble.biases = [bias.clone() for bias in lane.ensemble.biases]
        return Lane._step(lane, indices, draws, learning_rate)

    return step


@pytest.mark.parametrize("mistake", [frozen_number, fresh_tensor])
def test_the_stand_in_shows_what_a_graph_would_spoil(mistake, recorded):
    protocol = PROTOCOLS["dense"]
    plain, replayed = trained(protocol, mistake=mistake), trained(protocol, True, mistake)
    assert not torch.equal(plain.figures[:, :4], replayed.figures[:, :4])


def test_the_stand_in_refuses_to_wait_for_the_host(recorded):
    def looks(lane):
        return lambda *given: Lane._step(lane, *given) * lane.ensemble.biases[0].sum().item()

    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        trained(PROTOCOLS["dense"], True, looks)


def test_a_capture_changes_nothing(recorded):
    lane = Lane(PROTOCOLS["dense"], (0, 3), Images(pixels(PROTOCOLS["dense"]), CPU), CPU)
    indices = torch.arange(32).view(2, 16)
    lane._step(indices, None, 0.1)  # makes its buffers
    before = [tensor.clone() for tensor in lane.ensemble.tensors]
    graph = FakeGraph()
    with capture(graph):
        lane._step(indices, None, 0.1)
    assert all(map(torch.equal, before, lane.ensemble.tensors))
    graph.replay()
    assert not any(map(torch.equal, before, lane.ensemble.tensors))


@pytest.mark.parametrize("protocol", [MNIST, CIFAR10])
def test_the_authors_experiments_are_one_lane_on_a_gpu(protocol):
    assert split(protocol, CUDA) == [protocol.seeds]


@pytest.mark.parametrize("protocol", [MNIST_CUDA, CIFAR10_CUDA])
@pytest.mark.parametrize("count", [100, 101, 1000])
def test_lanes_on_a_gpu_are_alike_and_have_a_largest_size(protocol, count):
    few = protocol.replace(seeds=protocol.seeds[:count])
    kind = "convolutions" if few.network.convolves else "fully connected"
    lanes = split(few, CUDA)
    sizes = [len(seeds) * len(few.schemes) for seeds in lanes]
    assert sum(lanes, ()) == few.seeds
    assert max(sizes) <= MODELS_PER_GPU_LANE[kind]
    # One lane fewer would not do.
    assert count * len(few.schemes) > (len(lanes) - 1) * (MODELS_PER_GPU_LANE[kind] - len(few.schemes) + 1)


def test_a_run_that_is_larger_than_a_lane_has_one_to_itself(monkeypatch):
    monkeypatch.setitem(MODELS_PER_GPU_LANE, "fully connected", 3)
    assert split(MNIST.replace(seeds=(5, 6)), CUDA) == [(5,), (6,)]


def test_lanes_of_a_gpu_train_one_after_the_other():
    assert lanes_at_a_time(CUDA, 8) == 1
    assert lanes_at_a_time(CPU, 8) == 8
