"""Residual, spiking and graph networks on the way of protocols: described, started, trained, resumed."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.figures.tables import protocol_table
from fracrepro.nn import data, networks
from fracrepro.nn.experiments import DIGITS, GRADIENT_TAILS, Protocol, Sweep
from fracrepro.nn.schemes import make
from fracrepro.nn.schemes.plan import Prescription
from fracrepro.nn.schemes.variance import Kaiming
from fracrepro.nn.training import batches, train
from fracrepro.nn.training.checkpoints import trained_parameters
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.families import Residual, Spiking
from fracrepro.nn.training.functional import UNLABELLED, FunctionalEnsemble
from fracrepro.nn.training.lanes import START_BATCH, Lane, ensemble_of
from fracrepro.nn.training.network import Network, NetworkDescription
from fracrepro.nn.training.start import check_scheme, starting_module, starting_modules
from fracrepro.theory.aggregation import symmetric_aggregation

IMAGE = (1, 8, 8)
KAIMING, XAVIER, RISOTTO = make("kaiming"), make("xavier"), make("risotto")
RESIDUAL = DIGITS.replace(
    name="blocks",
    network=Residual(IMAGE, blocks=3, width=16, hidden=16, kind="post"),
    schemes=(KAIMING, XAVIER, RISOTTO),
    seeds=(0, 1, 2, 7),
    epochs=2,
    weight_decay=1e-3,
)
SPIKING = DIGITS.replace(
    name="spikes",
    network=Spiking(IMAGE, depth=3, width=32, threshold=0.5, steps=2),
    schemes=(make("spiking"), XAVIER),
    epochs=2,
    learning_rate=0.05,
)
CONVOLUTIONAL = DIGITS.replace(
    name="small images",
    network=Residual(IMAGE, blocks=1, width=4, hidden=4, kernel=3, scale=1.0, scalar_biases=True),
    schemes=(make("fixup"), make("rezero")),
    seeds=(0,),
    epochs=1,
)
PROTOCOLS = {protocol.name: protocol for protocol in (RESIDUAL, SPIKING, CONVOLUTIONAL)}


@dataclass(frozen=True)
class Measured(Kaiming):
    """Fills by the data that it sees."""

    name = ""
    needs_data = True
    seen: ClassVar[list] = []

    def prescribe(self, slot):
        return Prescription(None)

    def fill(self, plan, entries, generator):
        self.seen.append(plan.batch)
        for entry in entries:
            entry.tensor.fill_(plan.batch.mean() / 10)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module", params=PROTOCOLS)
def uninterrupted(request, digits):
    protocol = PROTOCOLS[request.param]
    return protocol, train(protocol, digits, device="cpu", progress=False).drop(columns="seconds")


def figures(frame):
    return frame.drop(columns="seconds")


def measured():
    """The scheme under a name that the registry does not see."""
    scheme = Measured()
    object.__setattr__(scheme, "name", "measured")
    return scheme


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_json_round_trip(protocol):
    record = json.loads(json.dumps(protocol.to_dict()))
    assert record["network"]["family"] in {"residual", "spiking"}
    assert Protocol.from_dict(record) == protocol
    assert hash(protocol) == hash(Protocol.from_dict(record))


def test_the_first_family_has_no_name_in_records():
    assert list(DIGITS.to_dict()["network"]) == [
        "image_shape",
        "depth",
        "width",
        "negative_slope",
        "channels",
        "kernel",
    ]
    record = DIGITS.to_dict() | {"network": {"family": "", **DIGITS.network.to_dict()}}
    assert Protocol.from_dict(record) == DIGITS
    record["network"]["family"] = "residul"
    with pytest.raises(ArgumentError, match="did you mean 'residual'"):
        Protocol.from_dict(record)
    with pytest.raises(ArgumentError, match="describes no Protocol"):
        Protocol.from_dict(record | {"network": "residual"})
    with pytest.raises(ArgumentError, match=r"describes no Protocol .*depth"):
        Protocol.from_dict(record | {"network": {**RESIDUAL.network.to_dict(), "depth": 3}})


def test_training_learns(uninterrupted):
    protocol, results = uninterrupted
    first = results.query("epoch == 1").train_loss.to_numpy()
    assert (results.groupby("scheme").train_loss.max() < 3).all()
    if protocol.epochs > 1:
        assert (results.query("epoch == 2").train_loss.to_numpy() < first).all()
        assert results.query("epoch == 2").test_accuracy.mean() > 0.5


def test_an_interrupted_training_ends_with_the_same_bits(uninterrupted, digits, tmp_path, monkeypatch):
    protocol, expected = uninterrupted
    advance, count = Lane.advance, iter(range(10**6))

    def limited(self, check):
        if next(count) >= (1 if protocol.epochs > 1 else 0):
            raise InterruptedError
        advance(self, check)

    with monkeypatch.context() as patch:
        patch.setattr(Lane, "advance", limited)
        with pytest.raises(InterruptedError):
            train(protocol, digits, checkpoint=tmp_path, interval=0, threads=1, progress=False)
    assert bool(list(tmp_path.glob("*.ckpt"))) == (protocol.epochs > 1)
    again = train(protocol, digits, checkpoint=tmp_path, progress=False)
    pd.testing.assert_frame_equal(figures(again), expected, check_exact=True)
    runs = trained_parameters(tmp_path)
    assert len(runs) == len(protocol.schemes) * len(protocol.seeds)
    images = batches.normalize(torch.tensor(digits.test_images))
    labels = torch.tensor(digits.test_labels, dtype=torch.int64)
    for row in expected[expected.epoch == protocol.epochs].itertuples():
        module = protocol.network.build()
        module.load_state_dict(runs[row.scheme, None, row.seed])
        with torch.no_grad():
            loss = F.cross_entropy(module(images), labels).item()
        assert row.test_loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    "changes", [{"seeds": (1,)}, {"seeds": (7, 0)}, {"schemes": (RISOTTO,)}, {"schemes": (XAVIER, KAIMING)}]
)
def test_a_run_does_not_depend_on_the_others(digits, changes):
    few = RESIDUAL.replace(epochs=1)
    expected = figures(train(few, digits, progress=False))
    again = figures(train(few.replace(**changes), digits, progress=False))
    both = again.merge(expected, on=["scheme", "seed", "epoch"], suffixes=("", "_before"))
    assert len(both) == len(again)
    for column in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        # Bit for bit where it was measured; a matrix library may stack other runs differently.
        np.testing.assert_allclose(both[column], both[f"{column}_before"], rtol=1e-4)


def test_a_described_network_may_be_a_plain_one(digits):
    # The same network described anew trains through torch.func with the numbers of its own ensemble.
    @dataclass(frozen=True)
    class Plain(NetworkDescription):
        image_shape: tuple = IMAGE

        def build(self):
            return Network(IMAGE, depth=3, width=16).build()

    plain = RESIDUAL.replace(network=Network(IMAGE, depth=3, width=16), schemes=(KAIMING,), seeds=(3,))
    lane = ensemble_of(Plain(), (KAIMING,), (3,), "cpu")
    ours = ensemble_of(plain.network, (KAIMING,), (3,), "cpu")
    assert isinstance(lane, FunctionalEnsemble)
    assert isinstance(ours, Ensemble)
    weights, there = ours.parameters(0), lane.parameters(0)
    for name in weights:  # the same draws; biases start at zero in one and at torch's default in the other
        if name.endswith("weight"):
            ratio = there[name] / weights[name]
            torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))


def test_learnable_scalars_have_their_rate():
    network = Residual(IMAGE, blocks=2, width=6, hidden=6, scale=0.5, scalar_biases=True, scalar_rate=0.1)
    module = network.build().double()
    rates = {name: network.rate_of(name) for name, _ in module.named_parameters()}
    scalars = {name for name, parameter in module.named_parameters() if parameter.ndim == 0}
    assert len(scalars) == 2 * (1 + 4) + 1  # factor and four numbers a block, one before the last layer
    assert {name for name, rate in rates.items() if rate == 0.1} == scalars
    assert set(rates.values()) == {0.1, 1.0}
    ensemble = FunctionalEnsemble([module], 1, rate_of=network.rate_of)
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(1, 9, *IMAGE, dtype=torch.float64, generator=rng)
    labels = torch.randint(0, 10, (1, 9), generator=rng)
    before = ensemble.parameters(0)
    ensemble.step(images, labels, 0.3)
    F.cross_entropy(module(images[0]), labels[0]).backward()
    for name, parameter in module.named_parameters():
        moved = ensemble.parameters(0)[name] - before[name]
        torch.testing.assert_close(moved, -0.3 * rates[name] * parameter.grad, rtol=1e-12, atol=1e-15)


def test_a_scheme_that_needs_data_sees_the_first_images_of_its_seed(digits):
    Measured.seen.clear()
    seeds, scheme = (4, 9), measured()
    for network in (DIGITS.network, RESIDUAL.network):
        protocol = RESIDUAL.replace(network=network, schemes=(scheme, KAIMING), seeds=seeds, epochs=1)
        Measured.seen.clear()
        results = train(protocol, digits, device="cpu", progress=False)
        tried, *seen = Measured.seen
        assert tried.shape == (16, *IMAGE)  # noise, before the data are read
        chosen = batches.order(seeds, 1, len(digits.train_labels))[:, :START_BATCH]
        expected = batches.normalize(torch.tensor(digits.train_images)[chosen])
        assert len(seen) == 2
        for found, images in zip(seen, expected, strict=True):
            assert torch.equal(found, images)
        alone = train(protocol.replace(schemes=(KAIMING,)), digits, device="cpu", progress=False)
        both = results[results.scheme == "kaiming"].reset_index(drop=True)
        pd.testing.assert_frame_equal(figures(both), figures(alone), rtol=1e-5)
    ensemble = Ensemble(DIGITS.network, (scheme,), seeds, "cpu", list(expected))
    weight = ensemble.parameters(1)["dense3.weight"]
    assert torch.equal(weight, (expected[1].mean() / 10).expand_as(weight))
    with pytest.raises(ArgumentError, match="measured"):
        check_scheme(RESIDUAL.network, scheme, data=False)


def test_an_instance_of_every_scheme_at_one_seed_shares_what_none_fills():
    network = Residual(IMAGE, blocks=2, width=6, hidden=7, scale=1.0, start_bias="keep")
    one, two = (
        starting_module(network.build, scheme, 3, batch=torch.zeros(2, *IMAGE), bias=network.start_biases)
        for scheme in (KAIMING, XAVIER)
    )
    for (name, first), second in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second) == name.endswith(("bias", "scale")), name


def test_graph_networks_train_on_all_nodes_at_once():
    # One graph is one image: node features, some nodes with labels. Two communities, one label each known.
    nodes = 12
    adjacency = np.kron(np.eye(2), np.ones((6, 6))) - np.eye(nodes)
    adjacency[0, 6] = adjacency[6, 0] = 1
    aggregation = symmetric_aggregation(adjacency)

    def build():
        return networks.graph([nodes, 8, 2], aggregation).double()

    features = torch.eye(nodes, dtype=torch.float64)
    truth = torch.arange(nodes) // 6
    known = torch.full((nodes,), UNLABELLED)
    known[[1, 7]] = truth[[1, 7]]
    schemes, seeds = (make("graph"), XAVIER), (0, 1, 2)
    modules = starting_modules(build, schemes, seeds, batches=[features] * 3)
    ensemble = FunctionalEnsemble(modules, len(seeds))
    shown = features.expand(3, nodes, nodes), known.expand(3, nodes)
    losses = [ensemble.step(*shown, 0.5)[0] for _ in range(60)]
    assert (losses[-1] < 0.2 * losses[0]).all()
    assert (ensemble.evaluate(features, truth)[1] >= nodes - 2).all()  # nodes without labels too
    # A plain step of torch.func on one of them gives the same numbers; without the graph it does not.
    for spoiled in (False, True):
        module = starting_modules(build, schemes[:1], seeds[:1], batches=[features])[0]
        parameters = {name: tensor.detach() for name, tensor in module.named_parameters()}
        buffers = {name: tensor * (0.5 if spoiled else 1) for name, tensor in module.named_buffers()}

        def loss(values, buffers=buffers, module=module):
            output = torch.func.functional_call(module, (values, buffers), (features,))
            return F.cross_entropy(output, known)

        found = []
        for _ in range(60):
            gradients, value = torch.func.grad_and_value(loss)(parameters)
            parameters = {name: tensor - 0.5 * gradients[name] for name, tensor in parameters.items()}
            found.append(2 * value.item())
        same = np.allclose(found, [each[0] for each in losses], rtol=1e-11, atol=0)
        assert same != spoiled


@dataclass(frozen=True)
class Dropped(NetworkDescription):
    """A user's own."""

    draws: ClassVar[bool] = True
    image_shape: tuple = IMAGE

    def build(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 10))


def test_a_network_that_draws_trains_on_as_if_it_had_never_stopped(digits, tmp_path, monkeypatch):
    protocol = RESIDUAL.replace(network=Dropped(), schemes=(KAIMING,), seeds=(0, 1, 2), epochs=2)
    expected = figures(train(protocol, digits, progress=False, threads=2))
    advance, count = Lane.advance, iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(Lane, "advance", lambda self, check: advance(self, check) if next(count) < 1 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(protocol, digits, checkpoint=tmp_path, progress=False, threads=1, interval=0)
    assert list(tmp_path.glob("*.ckpt"))
    again = figures(train(protocol, digits, checkpoint=tmp_path, progress=False, threads=1))
    pd.testing.assert_frame_equal(again, expected, check_exact=True)
    assert set(trained_parameters(tmp_path)) == {("kaiming", None, seed) for seed in (0, 1, 2)}


def test_a_description_of_a_users_own_is_named_by_its_class():
    protocol = RESIDUAL.replace(network=Dropped())
    record = json.loads(json.dumps(protocol.to_dict()))
    assert record["network"] == {"family": f"{__name__}.Dropped", "image_shape": [1, 8, 8]}
    assert Protocol.from_dict(record).network.build()[1].in_features == 64
    with pytest.raises(ArgumentError, match="family = 'residual': need another name, as Residual has it"):
        type("Other", (Residual,), {"family": "residual"})


def test_the_settings_of_such_a_training_stand_in_a_table():
    shown = protocol_table(RESIDUAL, SPIKING).to_html()
    assert "residual" in shown
    assert "scalar rate" in shown
    assert "threshold" in shown


def test_what_does_not_fit_is_refused_before_the_data_are_read(monkeypatch):
    monkeypatch.setattr(data, "load", lambda name: pytest.fail("the data were read"))
    with pytest.raises(ArgumentError, match="followed by Spike"):
        SPIKING.replace(network=Spiking(IMAGE), schemes=(KAIMING,)).run(device="cpu", progress=False)
    with pytest.raises(ArgumentError, match="need a learnable factor"):
        RESIDUAL.replace(schemes=(make("rezero"),)).run(device="cpu", progress=False)
    with pytest.raises(ArgumentError, match="need a fully connected one"):
        GRADIENT_TAILS.replace(network=RESIDUAL.network)
    with pytest.raises(ArgumentError, match="axis = 'depth': need a field of the network, a Residual"):
        Sweep(RESIDUAL, axes=[("depth", (2, 3))])
    assert [cell.network.width for _, cell in Sweep(RESIDUAL, axes=[("width", (8, 16))]).cells()] == [8, 16]


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Residual, {"image_shape": (8, 8)}, "image_shape"),
        (Residual, {"blocks": 0}, "blocks = 0"),
        (Residual, {"width": True}, "width = True"),
        (Residual, {"hidden": 0}, "hidden = 0"),
        (Residual, {"kind": "both"}, "kind = 'both'"),
        (Residual, {"skip": "none"}, "skip = 'none'"),
        (Residual, {"scale": float("nan")}, "scale = nan"),
        (Residual, {"negative_slope": -1.0}, "negative_slope = -1.0"),
        (Residual, {"layers": 0}, "layers = 0"),
        (Residual, {"kernel": 2}, "kernel = 2"),
        (Residual, {"scalar_biases": 1}, "scalar_biases = 1"),
        (Residual, {"start_bias": "one"}, "start_bias = 'one'"),
        (Residual, {"scalar_rate": -0.1}, "scalar_rate = -0.1"),
        (Spiking, {"depth": 0}, "depth = 0"),
        (Spiking, {"width": 0}, "width = 0"),
        (Spiking, {"threshold": float("inf")}, "threshold = inf"),
        (Spiking, {"steps": 0}, "steps = 0"),
        (Spiking, {"steps": 2, "leak": 2.0}, "leak = 2.0"),
        (Spiking, {"steps": 2, "reset": "none"}, "reset = 'none'"),
        (Spiking, {"surrogate": 0.0}, "surrogate = 0.0"),
        (Spiking, {"start_bias": "one"}, "start_bias = 'one'"),
    ],
)
def test_a_bad_field_is_named(kind, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        kind(**({"image_shape": IMAGE} | arguments))
