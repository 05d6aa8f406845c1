"""Any module trained through torch.func: the numbers of the ensemble, and of torch's own optimizer."""

import math
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn.experiments import CIFAR10, MNIST
from fracrepro.nn.schemes import make
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.functional import UNLABELLED, FunctionalEnsemble
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.start import initial_parameters, starting_modules

SCHEMES = (make("kaiming"), make("lyapunov"), make("xavier"))
SEEDS = (0, 3)
NETWORKS = {
    "mnist": (MNIST.network, 16, 5),
    "cifar10": (CIFAR10.network, 8, 3),
    "one layer": (Network((1, 8, 8), depth=1, width=5), 16, 5),
}


class Spike(torch.autograd.Function):
    """1 above the threshold; backwards a smooth surrogate, as spiking networks train."""

    generate_vmap_rule = True

    @staticmethod
    def forward(current, threshold):
        return (current > threshold).to(current.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.threshold = inputs[1]

    @staticmethod
    def backward(ctx, gradient):
        (current,) = ctx.saved_tensors
        return gradient / (1 + (current - ctx.threshold).abs()) ** 2, None


class Spiking(nn.Module):
    """Several time steps with leak and reset."""

    def __init__(self, steps=3):
        super().__init__()
        self.hidden, self.readout, self.steps = nn.Linear(6, 12), nn.Linear(12, 4), steps

    def forward(self, current):
        potential, total = 0.0, 0.0
        for _ in range(self.steps):
            potential = 0.9 * potential + self.hidden(current)
            spikes = Spike.apply(potential, 0.3)
            potential = potential * (1 - spikes)
            total = total + self.readout(spikes)
        return total / self.steps


class Graph(nn.Module):
    """A fixed aggregation, held in a buffer."""

    def __init__(self, nodes=7):
        super().__init__()
        adjacency = torch.ones(nodes, nodes).triu(-1).tril(1)
        self.register_buffer("aggregation", adjacency / adjacency.sum(1, keepdim=True))
        self.first, self.second = nn.Linear(6, 12), nn.Linear(12, 4)

    def forward(self, features):
        return self.second(self.aggregation @ torch.relu(self.first(self.aggregation @ features)))


class Block(nn.Module):
    """A branch with a learnable scalar, beside the identity."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 6))
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return x + self.scale * self.branch(x)


class Tied(nn.Module):
    """One weight under two names, one frozen, and one that the output does not depend on."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.readout = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.second.weight = self.first.weight
        self.second.bias.requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.readout(torch.relu(self.second(torch.relu(self.first(x)))))


BUILDERS = {
    "residual": lambda: nn.Sequential(Block(), Block(), nn.Linear(6, 4)),
    "spiking": Spiking,
    "graph": Graph,
    "batch normalization": lambda: nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 4)
    ),
    "tied, frozen, unused": Tied,
}


def batches(shape, batch, steps, classes=10, dtype=torch.float64):
    """Steps of images (G, batch, *shape) and labels (G, batch)."""
    rng = torch.Generator().manual_seed(1)
    images = torch.empty(steps, len(SEEDS), batch, *shape, dtype=dtype).uniform_(-1, 1, generator=rng)
    return images, torch.randint(0, classes, (steps, len(SEEDS), batch), generator=rng)


def as_modules(network, dtype):
    """The modules of the ensemble's runs, in its order."""
    modules = []
    for seed in SEEDS:
        for scheme in SCHEMES:
            module = network.build()
            module.load_state_dict(initial_parameters(network, scheme, seed))
            modules.append(module.to(dtype))
    return modules


def in_float64(ensemble):
    """Recast the ensemble of plain networks in place."""
    for name in ("weights", "biases", "convolutions"):
        tensors = getattr(ensemble, name)
        recast = [t.detach().double().requires_grad_(t.requires_grad) for t in tensors]
        setattr(ensemble, name, recast)
    return ensemble


def trained(ensemble, images, labels, rate, decay):
    """The figures of every step, (steps, 2, runs)."""
    return torch.stack([ensemble.step(x, y, rate, decay) for x, y in zip(images, labels, strict=True)])


def plainly(module, images, labels, rate, decay, factors=None):
    """The sum of the losses before each step of torch's own optimizer; the module is trained."""
    groups = [
        {"params": [parameter], "lr": rate * (factors or {}).get(name, 1.0)}
        for name, parameter in module.named_parameters()
    ]
    optimizer = torch.optim.SGD(groups, weight_decay=decay)
    losses = []
    for x, y in zip(images, labels, strict=True):
        loss = F.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() * int((y != UNLABELLED).sum()))
    return losses


@pytest.mark.parametrize("name", NETWORKS)
def test_both_ensembles_give_the_same_numbers_in_float64(name):
    network, batch, steps = NETWORKS[name]
    images, labels = batches(network.image_shape, batch, steps)
    ours = in_float64(Ensemble(network, SCHEMES, SEEDS, "cpu"))
    any_module = FunctionalEnsemble(as_modules(network, torch.float64), len(SEEDS))
    expected = trained(ours, images, labels, 0.05, 0.01)
    found = trained(any_module, images, labels, 0.05, 0.01)
    # Rounding is 1e-16 an operation; a term left out shows at 1e-6, as the controls say.
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    for run in range(ours.size):
        theirs = any_module.parameters(run)
        assert list(theirs) == list(ours.parameters(run))
        for key, values in ours.parameters(run).items():
            torch.testing.assert_close(theirs[key], values, rtol=1e-12, atol=1e-12)
    test = images[0, 0], labels[0, 0]
    np.testing.assert_allclose(any_module.evaluate(*test), ours.evaluate(*test), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("rate", "decay"), [(0.05, 0.0), (0.0501, 0.01)], ids=["no decay", "another rate"])
def test_the_control_of_that_test_fails(rate, decay):
    network, batch, steps = NETWORKS["mnist"]
    images, labels = batches(network.image_shape, batch, steps)
    expected = trained(in_float64(Ensemble(network, SCHEMES, SEEDS, "cpu")), images, labels, 0.05, 0.01)
    other = FunctionalEnsemble(as_modules(network, torch.float64), len(SEEDS))
    found = trained(other, images, labels, rate, decay)
    apart = (found - expected)[:, 0].abs().amax(0)
    assert (apart > 1e-6).all(), apart  # in every run


def rounding(network, steps):
    """What float32 may change in the loss of one answer after so many steps.

    A product of n terms is wrong by about √n/2²⁴ of its size, if roundings are independent; L layers add such
    errors, and every step starts from parameters that carry those of the steps before: L·√n·steps/2²⁴.
    """
    n = max(n_in for _, n_in in network.layer_shapes)
    return network.depth * math.sqrt(n) * steps * 2**-24


@pytest.mark.parametrize("name", NETWORKS)
def test_both_ensembles_give_the_same_numbers_in_float32(name):
    network, batch, steps = NETWORKS[name]
    images, labels = batches(network.image_shape, batch, steps, dtype=torch.float32)
    expected = trained(Ensemble(network, SCHEMES, SEEDS, "cpu"), images, labels, 0.05, 0.01)
    modules = as_modules(network, torch.float32)
    found = trained(FunctionalEnsemble(modules, len(SEEDS)), images, labels, 0.05, 0.01)
    bound = rounding(network, steps)
    assert (found - expected)[:, 0].abs().max() / batch < bound
    other = trained(FunctionalEnsemble(modules, len(SEEDS)), images, labels, 0.1, 0.01)
    assert (other - expected)[:, 0].abs().max() / batch > bound  # the control: twice the rate


@pytest.mark.parametrize("name", BUILDERS)
def test_every_kind_of_module_trains_as_with_torchs_optimizer(name):
    torch.manual_seed(0)
    modules = [BUILDERS[name]().double() for _ in range(6)]
    images, labels = batches((6,), 7, 4, classes=4)
    ensemble = FunctionalEnsemble(modules, len(SEEDS), rate_of=lambda key: 0.1 if "scale" in key else 1.0)
    found = trained(ensemble, images, labels, 0.2, 0.01)[:, 0]
    factors = {key: 0.1 for key, _ in modules[0].named_parameters() if "scale" in key}
    for run, module in enumerate(modules):
        before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
        seed = run // 3
        losses = plainly(module, images[:, seed], labels[:, seed], 0.2, 0.01, factors)
        np.testing.assert_allclose(found[:, run], losses, rtol=1e-12)
        state = module.state_dict()
        for key, values in ensemble.parameters(run).items():  # running statistics too
            torch.testing.assert_close(values, state[key], rtol=1e-12, atol=1e-14)
        assert any(not torch.equal(before[key], state[key]) for key in state)
        module.eval()
        output = module(images[0, 0]).detach()
        figures = ensemble.evaluate(images[0, 0], labels[0, 0])[:, run]
        assert figures[0].item() == pytest.approx(
            F.cross_entropy(output, labels[0, 0], reduction="sum").item(), rel=1e-12
        )
        assert figures[1] == (output.argmax(1) == labels[0, 0]).sum()


def test_the_factor_of_a_rate_matters():
    torch.manual_seed(0)
    modules = [BUILDERS["residual"]().double() for _ in range(2)]
    images, labels = batches((6,), 7, 4, classes=4)
    with_factor, without, still = (
        FunctionalEnsemble(modules, 2, rate_of=rate_of)
        for rate_of in (lambda key: 0.1 if "scale" in key else 1.0, None, lambda key: 0.0)
    )
    one, two, three = (trained(e, images, labels, 0.2, 0.0) for e in (with_factor, without, still))
    assert torch.equal(one[0], two[0])  # before the first step
    assert (one[1:, 0] - two[1:, 0]).abs().min() > 1e-6
    assert torch.equal(still.tensors[0], FunctionalEnsemble(modules, 2).tensors[0])
    assert not torch.equal(three[1], two[1])


def test_answers_without_a_label_count_for_nothing():
    # Half-supervised training on the nodes of a graph: all nodes in one batch, some with labels.
    torch.manual_seed(0)
    module = Graph().double()
    images, labels = batches((6,), 7, 4, classes=4)
    images[:], labels[:] = images[:1, :1], labels[:1, :1]
    labels[..., 3:] = UNLABELLED
    ensemble = FunctionalEnsemble([module, module], 2)
    found = trained(ensemble, images, labels, 0.2, 0.0)
    losses = plainly(module, images[:, 0], labels[:, 0], 0.2, 0.0)
    np.testing.assert_allclose(found[:, 0].T, [losses, losses], rtol=1e-12)
    assert found[:, 1].max() <= 3
    assert losses[-1] < losses[0]


def test_a_graph_network_trains_by_a_plain_step_of_torch_func():
    torch.manual_seed(0)
    module = Graph().double()
    images, labels = batches((6,), 7, 4, classes=4)
    parameters = {key: tensor.detach().clone() for key, tensor in module.named_parameters()}
    buffers = dict(module.named_buffers())

    def loss(values, x, y):
        return F.cross_entropy(torch.func.functional_call(module, (values, buffers), (x,)), y)

    losses = []
    for x, y in zip(images[:, 0], labels[:, 0], strict=True):
        gradients, value = torch.func.grad_and_value(loss)(parameters, x, y)
        parameters = {key: tensor - 0.2 * gradients[key] for key, tensor in parameters.items()}
        losses.append(value.item() * 7)
    ensemble = FunctionalEnsemble([module, module], 2)
    found = trained(ensemble, images, labels, 0.2, 0.0)[:, 0, 0]
    np.testing.assert_allclose(found, losses, rtol=1e-12)
    np.testing.assert_allclose(losses, plainly(module, images[:, 0], labels[:, 0], 0.2, 0.0), rtol=1e-12)


def test_a_run_that_diverges_leaves_the_others_alone():
    torch.manual_seed(0)
    modules = [BUILDERS["batch normalization"]() for _ in range(4)]
    images, labels = batches((6,), 8, 5, classes=4, dtype=torch.float32)
    alone = FunctionalEnsemble(modules, 2)
    expected = trained(alone, images, labels, 0.1, 0.0)
    with torch.no_grad():
        modules[1][3].weight.mul_(1e38)
    broken = FunctionalEnsemble(modules, 2)
    found = trained(broken, images, labels, 0.1, 0.0)
    assert found[-1, 0, 1].isnan()
    assert found[-1, 1, 1] == 0  # an answer that is no number is not correct
    for run in (0, 2, 3):
        assert torch.equal(found[..., run], expected[..., run])
        for one, two in zip(broken.parameters(run).values(), alone.parameters(run).values(), strict=True):
            assert torch.equal(one, two)


def test_the_modules_are_copied_and_keep_their_mode():
    modules = [BUILDERS["batch normalization"]().eval() for _ in range(2)]
    before = [{key: tensor.clone() for key, tensor in module.state_dict().items()} for module in modules]
    ensemble = FunctionalEnsemble(modules, 1)
    images, labels = batches((6,), 8, 1, classes=4, dtype=torch.float32)
    held = ensemble.parameters(0)
    ensemble.step(images[0, :1], labels[0, :1], 0.1)
    for module, state in zip(modules, before, strict=True):
        assert not module.training
        assert all(torch.equal(tensor, state[key]) for key, tensor in module.state_dict().items())
    assert all(torch.equal(tensor, before[0][key]) for key, tensor in held.items())
    assert not torch.equal(ensemble.parameters(0)["0.weight"], held["0.weight"])


def drop():
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 4))


def test_dropout_draws_by_its_seed_and_nothing_else():
    torch.manual_seed(0)
    module = drop()
    modules = [module] * 4
    images, labels = batches((6,), 8, 3, classes=4, dtype=torch.float32)
    images[:, 1], labels[:, 1] = images[:, 0], labels[:, 0]
    state = torch.get_rng_state()
    one, again, other = (
        trained(FunctionalEnsemble(modules, 2, noise=noise), images, labels, 0.1, 0.0) for noise in (5, 5, 6)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, again)
    assert not torch.equal(one[0], other[0])
    assert len(one[0, 0].unique()) == 4  # every run has masks of its own
    ensemble = FunctionalEnsemble(modules, 2, noise=5)
    evaluated = ensemble.evaluate(images[0, 0], labels[0, 0])
    assert len(evaluated[0].unique()) == 1  # none in an evaluation
    trained(ensemble, images[:2], labels[:2], 0.1, 0.0)
    resumed = FunctionalEnsemble(modules, 2, noise=5)  # a state that is saved and restored goes on alike
    for there, here in zip(resumed.tensors, ensemble.tensors, strict=True):
        there.copy_(here)
    assert torch.equal(resumed.step(images[2], labels[2], 0.1), one[2])


def test_dropout_in_lanes_side_by_side_repeats():
    torch.manual_seed(0)
    modules = [drop() for _ in range(4)]
    images, labels = batches((6,), 8, 20, classes=4, dtype=torch.float32)
    expected = [trained(FunctionalEnsemble(modules, 2, noise=k), images, labels, 0.1, 0.0) for k in range(3)]
    found = [None] * 3

    def work(k):
        found[k] = trained(FunctionalEnsemble(modules, 2, noise=k), images, labels, 0.1, 0.0)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_a_module_that_draws_is_refused_without_a_seed():
    images, labels = batches((6,), 8, 1, classes=4, dtype=torch.float32)
    with pytest.raises(ArgumentError, match="noise = None: need a seed, as a Sequential draws in training"):
        FunctionalEnsemble([drop()] * 2, 2).step(images[0], labels[0], 0.1)


class Holder(nn.Linear):
    """A tensor beside parameters and buffers."""

    def __init__(self):
        super().__init__(6, 4)
        self.mask = torch.ones(6)


def leaky(slope):
    return nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(slope))


@pytest.mark.parametrize(
    ("modules", "arguments", "message"),
    [
        ([], {}, "seeds = 2: need a divisor of the number of modules, 0"),
        ([nn.Linear(6, 4)] * 3, {}, "seeds = 2: need a divisor of the number of modules, 3"),
        ([nn.Linear(6, 4)] * 2, {"seeds": 0}, "seeds = 0"),
        ([nn.Linear(6, 4), "module"], {}, "modules = 'module': need a torch.nn.Module"),
        ([leaky(0.1), leaky(0.2)], {}, r"modules\[1\].1.negative_slope = 0.2: need 0.1"),
        ([Spiking(2), Spiking(3)], {}, r"modules\[1\].steps = 3: need 2"),
        ([nn.Linear(6, 4), nn.Linear(6, 5)], {}, r"modules\[1\].out_features = 5: need 4"),
        ([nn.Linear(6, 4), nn.Linear(6, 4).double()], {}, r"modules\[1\].weight .*float64"),
        (
            [nn.Linear(6, 4), nn.Bilinear(6, 4, 4)],
            {},
            r"modules\[1\].__class__ = .*Bilinear.*: need .*Linear",
        ),
        ([leaky(0.1), nn.Sequential(nn.Linear(6, 4))], {}, r"modules\[1\]: need the parts of the first"),
        ([Holder(), Holder()], {}, r"modules\[0\].mask: need a tensor to be a parameter or a buffer"),
        ([nn.Linear(6, 4)] * 2, {"rate_of": lambda name: -1.0}, r"rate_of\('weight'\) = -1.0"),
        ([nn.Linear(6, 4)] * 2, {"noise": -1}, "noise = -1"),
    ],
)
def test_what_does_not_fit_is_refused(modules, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        FunctionalEnsemble(modules, **({"seeds": 2} | arguments))


@pytest.mark.parametrize("name", BUILDERS)
def test_a_step_stays_on_the_device(name, on_meta):
    ensemble = FunctionalEnsemble([BUILDERS[name]() for _ in range(4)], 2, "meta")
    images = torch.empty(2, 7, 6, device="meta")
    labels = torch.empty(2, 7, dtype=torch.int64, device="meta")
    with on_meta(closed=True) as mode:
        figures = ensemble.step(images, labels, 0.1, 0.01)
        assert mode.calls > 10
        tested = ensemble.evaluate(images[0], labels[0])
    assert figures.device.type == tested.device.type == "meta"
    assert figures.shape == tested.shape == (2, 4)


def test_modules_start_by_scheme_and_seed():
    def build():
        return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4))

    before = torch.get_rng_state()
    made = starting_modules(build, SCHEMES, SEEDS, bias="keep")
    assert torch.equal(torch.get_rng_state(), before)
    again = starting_modules(build, SCHEMES[1:2], SEEDS[1:], bias="keep")[0]
    assert len(made) == 6
    assert all(torch.equal(p, q) for p, q in zip(made[4].parameters(), again.parameters(), strict=True))
    ratio = made[0][0].weight / made[1][0].weight  # the same draws, another factor
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-5, atol=0)
    assert torch.equal(made[0][0].bias, made[1][0].bias)
    assert not torch.equal(made[0][0].bias, made[3][0].bias)
    assert made[0][0].bias.abs().sum() > 0
    assert starting_modules(build, SCHEMES, SEEDS)[0][0].bias.abs().sum() == 0
    with pytest.raises(ArgumentError, match="batches: 1 of them: need one a seed, 2"):
        starting_modules(build, SCHEMES, SEEDS, batches=[torch.ones(2, 6)])


@pytest.mark.parametrize("normalized", [False, True])
def test_runs_with_convolutions_in_turn_give_the_numbers_of_runs_at_once(normalized):
    # Two orders of the same float64 sums: rounding of 1e-16 a step, and the control moves the tenth digit.
    torch.manual_seed(3)
    middle = [nn.BatchNorm2d(4)] if normalized else []
    modules = [
        nn.Sequential(nn.Conv2d(1, 4, 3), *middle, nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).double()
        for _ in range(4)
    ]
    at_once, in_turn = (FunctionalEnsemble(modules, 2, rate_of=_halved) for _ in range(2))
    assert in_turn._in_turn
    at_once._in_turn = False
    images = torch.randn(2, 6, 1, 8, 8, dtype=torch.float64)
    labels = torch.randint(0, 10, (2, 6))
    labels[0, 0] = UNLABELLED
    for _ in range(3):
        one, two = (each.step(images, labels, 0.1, 0.01) for each in (at_once, in_turn))
        torch.testing.assert_close(one, two, atol=1e-12, rtol=0)
    for one, two in zip(at_once.tensors, in_turn.tensors, strict=True):
        torch.testing.assert_close(one, two, atol=1e-12, rtol=0)
    one, two = (each.evaluate(images[1], labels[1]) for each in (at_once, in_turn))
    torch.testing.assert_close(one, two, atol=1e-12, rtol=0)
    in_turn.tensors[0][0] += 1e-10
    assert (in_turn.evaluate(images[1], labels[1]) - one)[0, 0].abs() > 1e-12


def _halved(name):
    """Half the learning rate for biases."""
    return 0.5 if name.endswith("bias") else 1.0


def test_dense_modules_and_those_that_draw_take_their_steps_at_once():
    dense = [nn.Sequential(nn.Flatten(), nn.Linear(4, 2)) for _ in range(2)]
    draw = [nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(), nn.Flatten()) for _ in range(2)]
    assert not FunctionalEnsemble(dense, 1)._in_turn
    assert not FunctionalEnsemble(draw, 1, noise=0)._in_turn
