"""The diagnosis of a model: measured numbers against numpy, what theory expects against many networks, and
that nothing of the model changes.
"""

import copy
import doctest
import math
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, linalg, stats
from torch import nn

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.nn import diagnose, initialize_, networks
from fracrepro.nn.diagnosis import plot_diagnosis
from fracrepro.nn.diagnosis.expected import conditional_log_moments, mirrored, weight_size


@pytest.fixture(autouse=True)
def _same_models():
    torch.manual_seed(0)  # of the default parameters


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draws(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


class Block(nn.Module):
    """A residual block as torchvision writes it, with functions in place."""

    def __init__(self, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


def resnet(channels=8, blocks=2):
    stem = [nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]
    return nn.Sequential(*stem, *(Block(channels) for _ in range(blocks)), *head)


class Functional(nn.Module):
    """A forward pass of its own: functions, a weight that is used twice, several inputs, several outputs."""

    def __init__(self):
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x, scale=1.0):
        x = torch.tanh(self.first(x))
        for _ in range(2):
            x = nn.functional.relu_(self.shared(x))
        return {"logits": self.last(x * scale), "hidden": x}


def by_hand(model, x):
    """Signals of a bias-free ReLU chain and gradients of Σ v f at them, in numpy."""
    weights = [each.weight.detach().double().numpy() for each in model if isinstance(each, nn.Linear)]
    signals, x = [], x.double().numpy()
    for k, w in enumerate(weights):
        x = x @ w.T if k == len(weights) - 1 else np.maximum(x @ w.T, 0)
        signals.append(x)
    gradients = [torch.randn(x.shape, dtype=torch.float64, generator=seeded(0)).numpy()]
    masks = [signal > 0 for signal in signals[:-1]] + [1.0]  # no activation behind the last layer
    for w, mask in zip(weights[:0:-1], masks[:0:-1], strict=True):
        gradients.append((gradients[-1] * mask) @ w)
    return signals, gradients[::-1]


def test_a_plain_network_is_measured_as_numpy_would():
    model = networks.mlp([7, 9, 8, 4], fr.ReLU(), bias=False).double()
    x = draws(6, 7)
    report = diagnose(model, x)
    signals, gradients = by_hand(model, x)
    assert report["layer"].tolist() == ["dense0", "dense1", "dense2"]
    assert report["kind"].tolist() == ["linear"] * 3
    assert report["follows"].tolist() == ["ReLU()", "ReLU()", ""]
    assert report["shape"].tolist() == [(9,), (8,), (4,)]
    for row, signal, gradient in zip(report.itertuples(), signals, gradients, strict=True):
        for name, values in (("log_norm", signal), ("gradient_log_norm", gradient)):
            norms = np.linalg.norm(values, axis=1)
            logs = np.log(norms[norms > 0])
            assert getattr(row, name) == pytest.approx(logs.mean(), rel=1e-12, abs=1e-12)
            assert getattr(row, f"{name}_sd") == pytest.approx(logs.std(), rel=1e-10, abs=1e-12)
        assert row.dead == (signal == 0).all(0).mean()
        directions = signal / np.linalg.norm(signal, axis=1, keepdims=True)
        cosines = (directions @ directions.T)[np.triu_indices(len(x), 1)]
        assert row.cosine == pytest.approx(cosines.mean(), rel=1e-12)


def test_functions_in_place_shared_weights_and_several_outputs():
    model = Functional().double()
    report = diagnose(model, {"x": draws(4, 6), "scale": 0.5})
    assert report["layer"].tolist() == ["first", "shared", "shared", "last"]
    assert report["follows"].tolist() == ["tanh", "ReLU()", "ReLU()", ""]
    hidden = torch.tanh(model.first(draws(4, 6))).detach()
    assert report["log_norm"][0] == pytest.approx(hidden.norm(dim=1).log().mean().item(), rel=1e-12)
    once = torch.relu(model.shared(hidden)).detach()
    assert report["log_norm"][1] == pytest.approx(once.norm(dim=1).log().mean().item(), rel=1e-12)
    assert "applied before" in report["note"][2]
    assert report["gradient_log_norm"].notna().all()
    # A tuple of arguments is the same batch.
    pd.testing.assert_frame_equal(report, diagnose(model, (draws(4, 6), 0.5)))


def test_a_residual_network_with_normalization_has_a_row_for_every_convolution():
    model, images = resnet(), torch.randn(5, 3, 8, 8, generator=seeded(1))
    report = diagnose(model, images, training=True)
    names = ["0", "3.conv1", "3.conv2", "4.conv1", "4.conv2", "7"]
    assert report["layer"].tolist() == names
    assert report["kind"].tolist() == ["conv2d"] * 5 + ["linear"]
    assert report["shape"][0] == (8, 8, 8)
    # Behind batch normalization and a ReLU, measured through hooks on the modules of a copy.
    twin, seen = copy.deepcopy(model).train(), {}
    twin[2].register_forward_hook(lambda module, given, out: seen.setdefault("0", out.detach().clone()))
    twin[3].conv2.register_forward_hook(lambda module, given, out: seen.setdefault("2", out.detach().clone()))
    twin(images)
    for row, key in ((0, "0"), (2, "2")):
        expected = seen[key].double().flatten(1).norm(dim=1).log().mean().item()
        assert report["log_norm"][row] == pytest.approx(expected, rel=1e-6)
    assert report["expected"][:5].isna().all()  # no law behind a normalization
    assert "added to another signal" in report["note"][2]
    evaluated = diagnose(model, images, training=False)
    assert abs(evaluated["log_norm"][0] - report["log_norm"][0]) > 0.1


def test_a_unit_of_a_convolution_is_a_channel_and_a_dead_one_is_zero_everywhere():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        model[0].weight[0] = -1.0
        model[0].weight[1:] = 1.0
        model[0].bias.zero_()
    assert diagnose(model, torch.rand(3, 1, 4, 4, generator=seeded(0)))["dead"].tolist() == [0.25, 0.0]
    tokens = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU())  # inputs × positions × features
    with torch.no_grad():
        tokens[0].weight[0] = -1.0
        tokens[0].weight[1:] = 1.0
    assert diagnose(tokens, torch.rand(2, 5, 3, generator=seeded(0)))["dead"].tolist() == [0.25]


def test_inputs_whose_signal_is_zero_are_counted_and_left_out():
    model = nn.Sequential(nn.Linear(1, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    report = diagnose(model, torch.tensor([[2.0], [-1.0], [4.0]]))
    assert report["log_norm"][0] == pytest.approx((math.log(2) + math.log(4)) / 2 + math.log(3) / 2)
    assert "zero for 1 of 3 inputs" in report["note"][0]
    dead = diagnose(model, torch.tensor([[-2.0], [-1.0]]))
    assert dead["log_norm"].tolist() == [-math.inf, -math.inf]
    assert dead["dead"].tolist() == [1.0, 1.0]
    assert np.isnan(dead["cosine"]).all()


def test_one_input_has_no_cosine():
    report = diagnose(networks.mlp([3, 4, 2], fr.ReLU()), torch.ones(1, 3))
    assert np.isnan(report["cosine"]).all()
    assert report["log_norm_sd"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_parameters_of_every_kind(dtype):
    model = networks.mlp([16, 16, 4], fr.ReLU(), bias=False)
    x = draws(3, 16, dtype=torch.float32)
    exact = diagnose(copy.deepcopy(model).double(), x.double())
    report = diagnose(model.to(dtype), x.to(dtype))
    assert np.allclose(report["log_norm"], exact["log_norm"], atol={torch.bfloat16: 0.03}.get(dtype, 1e-6))


def test_frozen_layers_and_recurrent_ones_and_embeddings():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.lstm, self.head = (
                nn.Embedding(9, 4),
                nn.LSTM(4, 5, batch_first=True),
                nn.Linear(5, 2),
            )

        def forward(self, words):
            return self.head(self.lstm(self.embedding(words))[0][:, -1])

    model = Words()
    model.embedding.weight.requires_grad_(False)
    report = diagnose(model, torch.arange(6).reshape(2, 3))
    assert report["layer"].tolist() == ["embedding", "lstm", "head"]
    assert report["gradient_log_norm"].notna().all()
    assert not model.embedding.weight.requires_grad


@pytest.mark.parametrize("steps", [1, 3])
def test_the_signal_of_a_spiking_layer_is_its_spikes(steps):
    model = networks.spiking([40, 30, 5], 0.5, steps=steps)
    spikes = (torch.rand(6, 40, generator=seeded(1)) < 0.5).float()
    initialize_(model, "spiking", batch=spikes, generator=seeded(0))
    report = diagnose(model, spikes)
    first = report[report["layer"].str.contains("dense0")].iloc[0]
    assert first["kind"] == "linear"
    counts = np.exp(2 * first["log_norm"])  # of ones, in the mean of the logarithm
    assert 1 <= counts <= 30
    assert 0 < first["dead"] < 1
    assert np.isfinite(first["gradient_log_norm"])  # of the surrogate


def state(model):
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [dict(module._forward_hooks) for module in model.modules()],
        "flags": [parameter.requires_grad for parameter in model.parameters()],
        "tensors": [each.detach().clone() for each in (*model.parameters(), *model.buffers())],
        "places": [id(each) for each in (*model.parameters(), *model.buffers())],
        "grads": [None if p.grad is None else (id(p.grad), p.grad.clone()) for p in model.parameters()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].copy(),  # noqa: NPY002  # the global one is what must not change
        "python": random.getstate(),
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("training", [None, True, False])
def test_the_model_and_the_generators_stay_as_they_were(training):
    model = nn.Sequential(resnet(), nn.Dropout(0.5))
    model[0][3].eval()
    model[0][0].weight.grad = torch.ones_like(model[0][0].weight)
    model[0][0].register_forward_hook(lambda module, given, out: None)
    images = torch.randn(4, 3, 8, 8, generator=seeded(0)).requires_grad_()
    before = state(model)
    first = diagnose(model, images, training=training)
    assert same(before, state(model))
    assert images.grad is None
    pd.testing.assert_frame_equal(first, diagnose(model, images, training=training))
    model.train()  # the comparison sees what a plain run changes
    model(images.detach())
    assert not same(before, state(model))


def test_a_loss_and_a_generator_choose_the_gradient():
    model, x = networks.mlp([4, 5, 3], fr.ReLU(), bias=False).double(), draws(6, 4)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    loss = lambda output: nn.functional.cross_entropy(output, target)  # noqa: E731
    report = diagnose(model, x, loss=loss)
    output = model(x).detach()
    gradient = ((output.softmax(1) - nn.functional.one_hot(target)) / 6).norm(dim=1).log().mean().item()
    assert report["gradient_log_norm"][1] == pytest.approx(gradient, rel=1e-12)
    other = diagnose(model, x, generator=seeded(5))
    assert other["gradient_log_norm"][0] != diagnose(model, x)["gradient_log_norm"][0]
    assert same(other["log_norm"].to_numpy(), report["log_norm"].to_numpy())


MODEL = networks.mlp([3, 4, 2], fr.ReLU())


@pytest.mark.parametrize(
    ("model", "batch", "options", "message"),
    [
        (7, torch.ones(2, 3), {}, "model = 7: need a torch.nn.Module"),
        (nn.LazyLinear(3), torch.ones(2, 3), {}, "weight is lazy"),
        (nn.Linear(3, 2, device="meta"), torch.ones(2, 3), {}, "weight is on meta"),
        (MODEL, torch.ones(2, 5), {}, r"batch = tensor of shape \(2, 5\): the model does not run on it"),
        (MODEL, torch.ones(0, 3), {}, "batch: has no input"),
        (nn.ReLU(), torch.ones(2, 3), {}, "shows no layer"),
        (MODEL, torch.ones(2, 3), {"loss": 3}, "loss = 3: need a function"),
        (MODEL, torch.ones(2, 3), {"loss": lambda output: output}, r"loss = a tensor of shape \(2, 2\)"),
        (MODEL, torch.ones(2, 3), {"loss": lambda output: 1.0}, "loss = 1.0"),
        (MODEL, torch.ones(2, 3), {"training": "yes"}, "training = 'yes'"),
        (MODEL, torch.ones(2, 3), {"generator": 1}, "generator = 1"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(model, batch, options, message):
    with pytest.raises(ArgumentError, match=message):
        diagnose(model, batch, **options)


# What theory expects.


@pytest.mark.parametrize("width", [2, 5, 16])
def test_a_random_size_that_is_known_leaves_a_beta_law(width):
    # Linear square layers: R² / ‖W‖² is Beta(d/2, d(d - 1)/2); its log-moments by quadrature.
    law = stats.beta(width / 2, width * (width - 1) / 2)
    points = law.ppf([1e-14, 0.01, 0.5, 0.99, 1 - 1e-14])

    def moment(power):
        value = lambda x: math.log(x) ** power * law.pdf(x)  # noqa: E731
        return integrate.quad(value, 0, 1, points=points[1:-1], limit=400, epsabs=1e-13)[0]

    mean, variance = conditional_log_moments(width, fr.Linear(), width**2)
    assert mean == pytest.approx(moment(1) / 2, rel=1e-9)
    assert variance == pytest.approx((moment(2) - moment(1) ** 2) / 4, rel=1e-8)
    # The law of a size that is not known is another one.
    assert fr.log_moments(width, fr.Linear())[1] > variance * (1 + 0.5 / width)


@pytest.mark.parametrize("activation", [fr.ReLU(), fr.LeakyReLU(0.1), fr.Linear()])
def test_orthogonal_weights_are_recognized_and_have_their_own_law(activation):
    mean, variance = fr.log_moments(12, activation, weights="orthogonal")
    found = conditional_log_moments(12, activation, 12)
    assert found == (pytest.approx(mean, abs=1e-12), pytest.approx(variance, abs=1e-12))
    weight = nn.init.orthogonal_(torch.empty(12, 12), gain=2.0, generator=seeded(0))
    assert weight_size(weight).freedom == 12
    assert weight_size(weight).log_size == pytest.approx(math.log(2.0), abs=1e-6)
    assert weight_size(torch.randn(12, 12, generator=seeded(0))).freedom == 144


def excess(n, depth, width, activation, fill):
    """Measured minus expected log-norm of one input at the last layer of n networks, and the expected sd."""
    model = networks.mlp([width] * (depth + 1), activation, bias=False, last=True).double()
    generator, x = seeded(7), draws(1, width, seed=8)
    deviations, sd = [], math.nan
    for _ in range(n):
        fill(model, generator)
        last = diagnose(model, x).iloc[-1]
        deviations.append(last["log_norm"] - last["expected"])
        sd = last["expected_sd"]
    return np.array(deviations), sd


def test_the_expectation_is_that_of_full_networks():
    # 700 networks, false alarm 6e-5 for each of two statistics; a variance 5 % wrong in each of six layers
    # moves the mean by 0.146 = 5.5 standard errors, so the control fails the test with probability 0.93.
    depth, width, n = 6, 64, 700

    def fill(model, generator):
        for parameter in model.parameters():
            nn.init.normal_(parameter, 0.0, math.sqrt(2 / width), generator=generator)

    deviations, sd = excess(n, depth, width, fr.ReLU(), fill)
    error = sd / math.sqrt(n)
    assert abs(deviations.mean()) < 4 * error
    spread = ((deviations - deviations.mean()) ** 2).std() / math.sqrt(n)
    assert abs(deviations.var() - sd**2) < 4 * spread
    wrong = deviations + depth * math.log(1.05) / 2
    assert abs(wrong.mean()) > 4 * error


def test_orthogonal_networks_follow_their_law_and_not_that_of_normal_weights():
    depth, width, n = 4, 8, 300

    def fill(model, generator):
        for parameter in model.parameters():
            nn.init.orthogonal_(parameter, generator=generator)

    deviations, sd = excess(n, depth, width, fr.LeakyReLU(0.1), fill)
    assert abs(deviations.mean()) < 4 * sd / math.sqrt(n)
    normal, orthogonal = (conditional_log_moments(width, fr.LeakyReLU(0.1), f) for f in (64, 8))
    shift = depth * (normal[0] - 0.5 * math.log(1 / 8) - orthogonal[0])
    assert abs(deviations.mean() - shift) > 4 * sd / math.sqrt(n)


def test_an_expectation_goes_on_through_a_chain_and_starts_anew_where_the_chain_breaks():
    chain = nn.Sequential(
        *(nn.Linear(8, 8, bias=False), nn.LeakyReLU(0.5), nn.Unflatten(1, (2, 4)), nn.Flatten()),
        *(nn.Linear(8, 8, bias=False), nn.LayerNorm(8), nn.Linear(8, 8, bias=False), nn.ReLU()),
        *(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8, bias=False)),
    ).double()
    x = draws(20, 8)
    report = diagnose(chain, x).set_index("layer")
    assert report["given"].isna().tolist() == [False, True, False, False, False]  # "4" is normalized
    assert report["given"].dropna().tolist() == ["0", "6", "8", "8"]
    assert "its bias counts as normal draws" in report["note"]["8"]
    one = conditional_log_moments(8, fr.ReLU(), 64)
    assert report["expected_sd"]["6"] == pytest.approx(math.sqrt(one[1]), rel=1e-12)
    size = chain[6].weight.detach().norm().log().item()
    alive = chain[:8](x).detach().norm(dim=1) > 0
    entered = chain[:6](x).detach()[alive].norm(dim=1).log().mean().item()
    assert report["expected"]["6"] == pytest.approx(entered + size + one[0], rel=1e-12)


def test_weights_that_are_not_normal_are_noted():
    model = networks.mlp([64, 64, 64], fr.ReLU(), bias=False)  # torch's default is uniform
    report = diagnose(model, draws(4, 64, dtype=torch.float32))
    assert report["note"].str.contains("not normal").all()
    initialize_(model, "kaiming", generator=seeded(0))
    assert not diagnose(model, draws(4, 64, dtype=torch.float32))["note"].str.contains("not normal").any()


def orthogonal_but_not_drawn(kind, n=16):
    """An orthogonal matrix that nobody has drawn from Haar measure."""
    if kind == "identity":
        return torch.eye(n, dtype=torch.float64)
    if kind == "permutation":
        return torch.eye(n, dtype=torch.float64)[torch.randperm(n, generator=seeded(1))]
    return torch.tensor(linalg.hadamard(n), dtype=torch.float64) / math.sqrt(n)


@pytest.mark.parametrize("kind", ["identity", "permutation", "hadamard"])
def test_the_note_says_that_the_law_of_an_orthogonal_matrix_is_haar_s(kind):
    model = networks.mlp([16, 16, 16], fr.ReLU(), bias=False).double()
    with torch.no_grad():
        for layer in (model.dense0, model.dense1):
            layer.weight.copy_(orthogonal_but_not_drawn(kind))
    report = diagnose(model, draws(4, 16))
    assert report["note"].str.contains("Haar").all()
    assert report["expected"].notna().all()
    initialize_(model, "orthogonal", generator=seeded(0))  # drawn from Haar measure, which cannot be seen
    assert diagnose(model, draws(4, 16))["note"].str.contains("Haar").all()
    initialize_(model, "kaiming", generator=seeded(0))
    assert (diagnose(model, draws(4, 16))["note"] == "").all()


def test_an_identity_does_not_follow_haar_s_law_which_is_why_the_note_is_there():
    # Positive inputs pass identities behind ReLUs unchanged; Haar's law has them lose half of the square.
    model = networks.mlp([16, 16, 16], fr.ReLU(), bias=False, last=True).double()
    for layer in (model.dense0, model.dense1):
        nn.init.eye_(layer.weight)
    x = draws(50, 16).abs()
    last = diagnose(model, x).iloc[-1]
    assert last["log_norm"] == pytest.approx(x.norm(dim=1).log().mean().item(), rel=1e-12)
    assert last["log_norm"] - last["expected"] > 2 * last["expected_sd"]


@pytest.mark.parametrize("base", ["gaussian", "orthogonal"])
def test_mirrored_weights_have_no_expectation(base):
    model = networks.mlp([6, 8, 8, 4], fr.ReLU(), bias=False).double()
    initialize_(model, "looks_linear", base=base, generator=seeded(0))
    report = diagnose(model, draws(5, 6))
    assert report["expected"].isna().all()
    assert report["expected_sd"].isna().all()
    assert report["given"].isna().all()
    assert report["note"].str.contains("mirrored").all()
    # One entry that differs in its last bit is the control, in every layer: rows, both, and columns.
    with torch.no_grad():
        for layer in (model.dense0, model.dense1, model.dense2):
            entry = layer.weight[0, 0]
            entry.copy_(torch.nextafter(entry, entry + 1))
    report = diagnose(model, draws(5, 6))
    assert report["expected"].notna().all()
    assert not report["note"].str.contains("mirrored").any()


def test_mirrored_branches_of_risotto_have_no_expectation_and_odd_or_repeated_halves_are_no_mirror():
    p, q = draws(3, 3, seed=1), draws(3, 3, seed=2)
    branch = torch.cat([torch.cat([p, q], 1), torch.cat([q, p], 1)])  # [[P, Q], [Q, P]]
    assert mirrored(branch)
    assert not mirrored(torch.cat([torch.cat([p, q], 1), torch.cat([q, -p], 1)]))
    assert not mirrored(branch[:5, :5])
    assert not mirrored(torch.cat([p, p]))
    assert not mirrored(torch.eye(6))  # it stays with the orthogonal ones
    model = networks.framed(networks.residual(8, 2, 8, "post", bias=False), 6, 4).double()
    x = draws(5, 6)
    initialize_(model, "risotto", batch=x, generator=seeded(0))
    report = diagnose(model, x).set_index("layer")
    mirrors = report.index.str.contains("stem|dense1|readout")
    assert (report["note"].str.contains("mirrored") == mirrors).all()
    assert (report["expected"].isna() == mirrors).all()
    assert report["note"][~mirrors].str.contains("Haar").all()  # the layers that pass the input on


def test_dropout_in_training_is_part_of_signal_and_law():
    model = nn.Sequential(nn.Linear(64, 64, bias=False), nn.ReLU(), nn.Dropout(0.5)).double()
    x = draws(50, 64)
    training, evaluation = (diagnose(model, x, training=mode) for mode in (True, False))
    assert training["follows"].tolist() == ["Dropout(activation=ReLU(), p=0.5)"]
    assert evaluation["follows"].tolist() == ["ReLU()"]
    assert training["log_norm"][0] != evaluation["log_norm"][0]
    assert training["expected"][0] > evaluation["expected"][0] - 0.2
    wide = conditional_log_moments(64, fr.Dropout(fr.ReLU(), 0.5), 64 * 64)
    assert training["expected_sd"][0] == pytest.approx(math.sqrt(wide[1]), rel=1e-12)


def test_the_examples_of_the_page_are_true():
    page = Path(__file__).resolve().parents[2] / "book" / "diagnose.md"
    outcome = doctest.testfile(str(page), module_relative=False)
    assert outcome.attempted > 5
    assert outcome.failed == 0


# The figure.


def test_the_figure_has_four_panels_and_marks_what_is_zero():
    healthy = diagnose(networks.mlp([8, 8, 8, 4], fr.ReLU()), torch.ones(3, 8))
    figure = plot_diagnosis(healthy)
    assert len(figure.axes) == 4
    signal = figure.axes[0]
    (line,) = (each for each in signal.lines if each.get_label() == "measured")
    assert np.allclose(line.get_ydata(), healthy["log_norm"] - np.log([8, 8, 4]) / 2)
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"measured"}
    model = networks.mlp([8, 8, 8, 4], fr.ReLU(), bias=False)
    nn.init.zeros_(model.dense1.weight)
    both = plot_diagnosis({"kaiming": healthy, "dead": diagnose(model, torch.ones(3, 8))})
    assert any(each.get_marker() == "x" for each in both.axes[0].lines)
    assert {text.get_text() for text in both.legends[0].get_texts()} == {"Kaiming", "dead"}
    with pytest.raises(ArgumentError, match="frame = int"):
        plot_diagnosis(3)
