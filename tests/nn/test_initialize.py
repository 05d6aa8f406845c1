"""`initialize_`: what it writes, what it reports, what it leaves as it was, and what it refuses."""

import math
import random
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import init, initialize_, schemes
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.schemes.plan import Entry, Prescription
from fracrepro.theory.activations import LeakyReLU
from fracrepro.workflow.options import option_set

X = torch.linspace(-1, 1, 32).reshape(4, 8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(*between):
    return nn.Sequential(
        nn.Linear(8, 16), *between, nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def busy():
    """A model with everything that a run can disturb."""
    return nn.Sequential(
        nn.Linear(8, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16)),
        nn.RReLU(),
        nn.Linear(16, 3),
    )


def test_the_report_has_one_row_a_tensor():
    model = mlp(nn.BatchNorm1d(16))
    report = initialize_(model, batch=X, generator=seeded())
    assert list(report.columns) == [
        *("layer", "parameter", "shape", "follows", "found", "gain", "std", "scheme", "note")
    ]
    names = [f"{row.layer}.{row.parameter}" for row in report.itertuples()]
    assert names == [name for name, _ in model.named_parameters()]
    assert report["shape"].tolist() == [tuple(p.shape) for p in model.parameters()]
    assert report[["gain", "std"]].dtypes.tolist() == [np.dtype(float)] * 2
    weights = report[report["parameter"] == "weight"].drop(index=2)  # all but the normalization
    fans = [8, 16, 16]
    np.testing.assert_allclose(weights["gain"], weights["std"] * np.sqrt(fans), rtol=1e-15)
    assert (report.loc[report["parameter"] == "bias", "std"].dropna() == 0).all()


def test_the_weights_are_torchs_own_under_the_same_generator():
    model, reference = mlp(), mlp()
    report = initialize_(model, "kaiming", generator=seeded())
    generator = seeded()
    for layer, nonlinearity in ((0, "relu"), (2, "relu"), (4, "linear")):
        weight = nn.init.kaiming_normal_(reference[layer].weight, 0, "fan_in", nonlinearity, generator)
        assert torch.equal(model[layer].weight, weight)
        row = report[(report["layer"] == str(layer)) & (report["parameter"] == "weight")].iloc[0]
        assert row["std"] == nn.init.calculate_gain(nonlinearity) / math.sqrt(weight.shape[1])
        assert torch.equal(model[layer].bias, torch.zeros_like(model[layer].bias))


def test_options_go_to_the_scheme_and_a_made_scheme_is_taken():
    one, two, three = mlp(), mlp(), mlp()
    by_name = initialize_(one, s=0.5, formula="derived", generator=seeded())
    made = initialize_(two, schemes.make("fractional", s=0.5, formula="derived"), generator=seeded())
    pd.testing.assert_frame_equal(by_name, made)
    assert torch.equal(one[0].weight, two[0].weight)
    init.fractional_normal_(three[0].weight, 0.5, nonlinearity="relu", generator=seeded(), formula="derived")
    assert torch.equal(one[0].weight, three[0].weight)


@pytest.mark.parametrize("name", option_set("normal_schemes"))
def test_schemes_that_scale_normal_draws_share_them(name):
    model, reference = mlp(), mlp()
    report = initialize_(model, name, generator=seeded(3))
    scales = initialize_(reference, "xavier", generator=seeded(3))["std"]
    for k, (ours, theirs) in enumerate(zip(model.parameters(), reference.parameters(), strict=True)):
        if ours.ndim == 2:
            torch.testing.assert_close(ours / report["std"][k], theirs / scales[k], rtol=1e-6, atol=0)


def test_a_batch_changes_what_is_known_and_not_what_is_drawn():
    traced, guessed = mlp(), mlp()
    with_batch = initialize_(traced, batch=X, generator=seeded())
    without = initialize_(guessed, generator=seeded())
    pd.testing.assert_frame_equal(with_batch.drop(columns="found"), without.drop(columns="found"))
    assert set(with_batch["found"]) == {"traced", ""}
    assert set(without["found"]) == {"module order", ""}
    assert all(torch.equal(a, b) for a, b in zip(traced.parameters(), guessed.parameters(), strict=True))

    class Backwards(nn.Module):  # registered in another order than it runs
        def __init__(self):
            super().__init__()
            self.second, self.first = nn.Linear(16, 3), nn.Linear(8, 16)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)))

    model = Backwards()
    report = initialize_(model, "xavier", batch=X, generator=seeded())
    drawn = torch.empty(3, 16).normal_(0, report["std"][0], generator=seeded())
    assert torch.equal(model.second.weight, drawn)


def test_same_seed_same_bits_and_without_a_generator_the_global_one():
    one, two, three = mlp(), mlp(), mlp()
    initialize_(one, generator=seeded(1))
    torch.manual_seed(1)
    initialize_(two)
    initialize_(three)
    assert torch.equal(one[0].weight, two[0].weight)
    assert not torch.equal(two[0].weight, three[0].weight)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_a_run_leaves_everything_but_the_weights_as_it_was(training, fails):
    model = busy()
    model(X).sum().backward()
    model.train(training)
    model[1].eval()
    calls = []
    handle = model[2].register_forward_hook(lambda *_: calls.append(1))
    frozen = model[1].weight.requires_grad_(False)
    buffers = {name: (buffer, buffer.clone()) for name, buffer in model.named_buffers()}
    grads = {
        name: (p.grad, None if p.grad is None else p.grad.clone()) for name, p in model.named_parameters()
    }
    modes = [module.training for module in model.modules()]
    hooks = [dict(module._forward_hooks) for module in model.modules()]
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002  # the global ones
    if fails:
        with pytest.raises(ArgumentError):
            initialize_(model, batch=torch.ones(4, 9), generator=seeded())
    else:
        initialize_(model, batch=X, generator=seeded())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1][1].tolist()  # noqa: NPY002
    assert random.getstate() == states[2]
    assert [module.training for module in model.modules()] == modes
    for name, buffer in model.named_buffers():
        assert buffer is buffers[name][0]
        assert torch.equal(buffer, buffers[name][1])
    for name, p in model.named_parameters():
        assert p.grad is grads[name][0]
        assert p.grad is None or torch.equal(p.grad, grads[name][1])
        assert p.is_leaf
        assert p.requires_grad == (p is not frozen)
    assert [dict(module._forward_hooks) for module in model.modules()] == hooks
    assert len(calls) == (0 if fails else 1)  # a hook of the user's own runs with the model
    handle.remove()


def test_a_run_that_replaces_buffers_and_uses_every_generator_leaves_no_trace():
    class Restless(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)
            self.register_buffer("state", torch.zeros(8))

        def forward(self, x):
            self.state = self.state + torch.rand(8) + np.random.rand() + random.random()  # noqa: NPY002
            return torch.relu(self.layer(x + torch.randn_like(x)))

    model = Restless()
    there = model.state
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    report = initialize_(model, batch=X, generator=seeded())
    assert report["follows"][0] == "ReLU()"
    assert model.state is there
    assert torch.equal(there, torch.zeros(8))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]


def test_a_forward_pass_that_calls_backward_leaves_the_gradients():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            y = torch.relu(self.layer(x))
            y.sum().backward(retain_graph=True)
            return y

    model = Own()
    model(X)
    grad, values = model.layer.weight.grad, model.layer.weight.grad.clone()
    assert values.abs().max() > 0
    initialize_(model, batch=X, generator=seeded())
    assert model.layer.weight.grad is grad
    assert torch.equal(grad, values)


def test_weights_with_gaps_or_transposed_in_memory_are_filled():
    for change in (lambda w: w.T.contiguous().T, lambda w: w.repeat(1, 2)[:, ::2]):
        model = with_weight(change)
        assert initialize_(model, generator=seeded())["std"][4] > 0
        assert not model[4].weight.is_contiguous()


def test_biases_are_zeroed_or_kept():
    model = mlp()
    before = [layer.bias.clone() for layer in model if isinstance(layer, nn.Linear)]
    report = initialize_(model, bias="keep", generator=seeded())
    after = [layer.bias for layer in model if isinstance(layer, nn.Linear)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    kept = report[report["parameter"] == "bias"]
    assert (kept["note"] == "kept").all()
    assert kept["std"].isna().all()
    assert (kept["scheme"] == "").all()


def test_include_narrows_what_is_touched():
    model = mlp()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = initialize_(model, include=lambda name, module: name == "2", generator=seeded())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("2."))
    assert (report.loc[report["layer"] != "2", "note"] == "not included").all()
    wide = initialize_(mlp(), include=lambda name, module: getattr(module, "out_features", 0) > 3)
    assert wide.loc[wide["scheme"] != "", "layer"].tolist() == ["0", "0", "2", "2"]


def test_an_activation_may_be_assumed_behind_the_last_layer():
    model = mlp()
    report = initialize_(model, "kaiming", last="relu", batch=X, generator=seeded())
    weights = report[report["parameter"] == "weight"]
    assert weights["follows"].tolist() == ["ReLU()"] * 3
    assert weights["note"].tolist() == ["", "", "by choice"]
    np.testing.assert_array_equal(weights["std"], np.sqrt(2) / np.sqrt([8, 16, 16]))
    leaky = initialize_(model, "kaiming", a=None, last=LeakyReLU(0.5), generator=seeded())
    assert leaky["follows"][4] == "LeakyReLU(negative_slope=0.5)"
    # What follows in the model counts more.
    followed = initialize_(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), last="abs", generator=seeded())
    assert followed["follows"][0] == "ReLU()"


def test_layers_a_scheme_cannot_serve_are_an_error_or_left_alone():
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2), nn.Tanh(), nn.Linear(2, 8), nn.ReLU())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        ArgumentError,
        match=r"layer '0', scheme 'fractional': followed by tanh.*\(and 1 more like it\); untreat",
    ) as caught:
        initialize_(model, batch=X, generator=seeded())
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    report = initialize_(model, batch=X, untreatable="keep", generator=seeded()).set_index("layer")
    assert report.loc["0", "note"].tolist() == [
        "left alone: followed by tanh, for which there is no law",
        "its weight is left alone",
    ]
    assert report.loc["0", "std"].isna().all()
    assert torch.equal(model[0].weight, before["0.weight"])
    assert torch.equal(model[0].bias, before["0.bias"])
    assert not torch.equal(model[4].weight, before["4.weight"])
    with pytest.raises(ArgumentError, match=r"layer '4', scheme 'random_walk': fan_in = 2: need at least 3"):
        initialize_(model[4:], "random_walk", generator=seeded())


def on_meta():
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2, device="meta"))


def with_weight(change, name="weight"):
    """A model whose last layer has a parameter that is changed before it is wrapped."""
    model = mlp()
    setattr(model[4], name, nn.Parameter(change(model[4].weight.detach())))
    return model


def in_inference_mode():
    model = mlp()
    with torch.inference_mode():
        model[2] = nn.Linear(16, 16)
    return model


BAD = [
    (lambda: "model", {}, "model = 'model': need a torch.nn.Module"),
    (nn.Sequential, {}, "model = Sequential: has no parameters"),
    (lambda: nn.Sequential(nn.ReLU(), nn.Flatten()), {}, "has no parameters"),
    (on_meta, {}, "2.weight is on the meta device"),
    (lambda: nn.Sequential(nn.Linear(8, 8), nn.LazyLinear(3)), {}, "1.weight is lazy"),
    (
        lambda: with_weight(lambda w: w[:, :1].expand(3, 16)),
        {},
        r"entries of 4.weight share memory \(strides",
    ),
    (lambda: with_weight(lambda w: w.flatten().as_strided((3, 16), (8, 1))), {}, "entries of 4.weight share"),
    (lambda: with_weight(lambda w: w[0, :1].expand(3), "bias"), {}, "entries of 4.bias share memory"),
    (in_inference_mode, {}, "2.weight was made in inference mode"),
    (in_inference_mode, {"batch": X}, "2.weight was made in inference mode"),
    (mlp, {"scheme": "kaimng"}, "scheme = 'kaimng': .*; did you mean 'kaiming'"),
    (mlp, {"scheme": 3}, "scheme = 3"),
    (mlp, {"scheme": "kaiming", "s": 1.0}, "kaiming option = 's'"),
    (mlp, {"forml": "exact"}, "fractional option = 'forml': .*; did you mean 'formula'"),
    (mlp, {"s": 3}, "s = 3: need"),
    (mlp, {"scheme": schemes.make("kaiming"), "a": 0.1}, "a: need no options beside a scheme"),
    (mlp, {"bias": "one"}, "bias = 'one': need one of 'zero', 'keep'"),
    (mlp, {"untreatable": "skip"}, "untreatable = 'skip'"),
    (mlp, {"last": "rellu"}, "^last = 'rellu': need one of .*; did you mean 'relu'"),
    (mlp, {"last": None}, "last = None: need an activation"),
    (mlp, {"generator": 0}, "generator = 0: need a torch.Generator"),
    (mlp, {"include": "0"}, "include = '0': need a function"),
    (
        mlp,
        {"batch": torch.ones(4, 7)},
        r"batch = tensor of shape \(4, 7\): the model does not run on it",
    ),
    (mlp, {"batch": "X"}, "batch = 'X': the model does not run on it"),
    (mlp, {"batch": (X, X)}, "the model does not run on it"),
    (mlp, {"batch": {"pixels": X}}, "the model does not run on it"),
]


@pytest.mark.parametrize(("build", "options", "message"), BAD)
def test_bad_input_is_one_clear_line_before_anything_changes(build, options, message):
    model = build()
    plain = isinstance(model, nn.Module) and build is not on_meta and "Lazy" not in repr(model)
    before = {name: value.clone() for name, value in model.state_dict().items()} if plain else {}
    with pytest.raises(ArgumentError, match=message) as caught:
        initialize_(model, **options)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@dataclass(frozen=True)
class Ones(Scheme):
    """A toy, so without a name: writes ones, biases included, and fails at the second tensor if told to."""

    needs_data = True
    fails: bool = False

    def __post_init__(self):
        pass

    def prescribe(self, slot):
        return Prescription(None, None, note="ones")

    def prepare(self, plan):
        biases = [Entry(slot.layer, "bias", slot.bias, None, Prescription(0.5)) for slot in plan.slots]
        return [*super().prepare(plan), *biases]

    def fill(self, plan, entries, generator):
        assert [slot.layer for slot in plan.executed] == ["0", "2", "4"]
        assert plan.batch is X
        for k, entry in enumerate(entries):
            if self.fails and k == 1:
                raise RuntimeError("out of luck")
            entry.tensor.fill_(1.0)


def test_a_scheme_may_fill_other_tensors_and_need_a_batch():
    model = mlp()
    report = initialize_(model, Ones(), batch=X)
    assert all((parameter == 1).all() for parameter in model.parameters())
    assert report.loc[report["parameter"] == "weight", "note"].tolist() == ["ones"] * 3
    assert report.loc[report["parameter"] == "bias", "std"].tolist() == [0.5] * 3
    with pytest.raises(ArgumentError, match="batch = None"):
        initialize_(model, Ones())


def test_a_scheme_that_fails_half_way_leaves_the_model_as_it_was():
    model = mlp()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="out of luck"):
        initialize_(model, Ones(fails=True), batch=X)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_type_is_served(dtype):
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)).to(dtype)
    initialize_(model, generator=seeded())
    # 4096 draws: relative standard error 1/sqrt(2·4096) = 0.011; five of them, a false-alarm rate of 6e-7.
    # The control, torch's default with a sixth of the variance, is off by 0.6.
    std = model[0].weight.double().std().item()
    assert abs(std / init.fractional_std((64, 64), nonlinearity="relu") - 1) < 5 * 0.011
    default = nn.Linear(64, 64).weight.double().std().item()
    assert abs(default / init.fractional_std((64, 64), nonlinearity="relu") - 1) > 5 * 0.011


def test_a_generator_elsewhere_draws_there():
    # On the meta device nothing is drawn; the copy shows that the draws come from the generator's device.
    weight = torch.empty(4, 4, device="meta")
    assert init.normal_(weight, 1.0, seeded()) is weight
    generator = seeded()
    init.normal_(weight, 1.0, generator)
    assert not torch.equal(generator.get_state(), seeded().get_state())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_seed_means_the_same_start_on_a_gpu():
    here, there = mlp(), mlp().cuda()
    state = torch.cuda.get_rng_state()
    initialize_(here, batch=X, generator=seeded())
    report = initialize_(there, batch=X.cuda(), generator=seeded())
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here.parameters(), there.parameters(), strict=True))
    assert set(report["found"]) == {"traced", ""}
    assert torch.equal(torch.cuda.get_rng_state(), state)
