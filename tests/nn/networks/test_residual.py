"""Residual networks: shapes and names, the contract of blocks, and what every scheme makes of them."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_, networks, schemes
from fracrepro.nn.blocks import blocks, is_block, scalar_biases, slope_behind_sum
from fracrepro.theory.activations import LeakyReLU, Linear, ReLU


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(block, x):
    """A block with two dense layers and a ReLU, in torch's functions."""
    inner = torch.relu(x @ block.branch.dense0.weight.T + block.branch.dense0.bias)
    branch = inner @ block.branch.dense1.weight.T + block.branch.dense1.bias
    skip = x if isinstance(block.skip, nn.Identity) else x @ block.skip.weight.T
    return skip + (branch if block.scale is None else block.scale * branch)


@pytest.mark.parametrize("kind", ["pre", "post"])
@pytest.mark.parametrize("skip", ["identity", "linear"])
@pytest.mark.parametrize("scale", [None, 0.0, 0.5])
def test_a_block_computes_what_its_contract_says(kind, skip, scale):
    model = networks.residual(6, 3, 10, kind=kind, skip=skip, scale=scale)
    assert list(blocks(model)) == ["block0", "block1", "block2"]
    x = draws(5, 6)
    for block in model:
        expected = by_hand(block, x)
        x = block(x)
        assert torch.allclose(x, torch.relu(expected) if kind == "post" else expected, atol=1e-6)
    with torch.no_grad():
        assert slope_behind_sum("block0", model.block0, draws(5, 6)) == (0.0 if kind == "post" else 1.0)


def test_widths_hidden_units_and_layers_are_what_is_asked_for():
    model = networks.residual([4, 6, 8], 2, [10, 12], "post", "linear", layers=3, activation=LeakyReLU(0.2))
    shapes = [
        [tuple(p.shape) for n, p in block.named_parameters() if n.endswith("weight")] for block in model
    ]
    assert shapes == [[(10, 4), (10, 10), (6, 10), (6, 4)], [(12, 6), (12, 12), (8, 12), (8, 6)]]
    assert model(draws(3, 4)).shape == (3, 8)
    assert slope_behind_sum("block0", model.block0, draws(3, 4)) == pytest.approx(0.2, abs=1e-6)


def test_convolutional_blocks_keep_the_size_of_the_image():
    model = networks.residual([4, 6], 1, 8, "post", "linear", kernel=3)
    assert [tuple(p.shape) for p in model.parameters() if p.ndim > 1] == [
        (8, 4, 3, 3),
        (6, 8, 3, 3),
        (6, 4, 1, 1),
    ]
    assert model(draws(2, 4, 5, 7)).shape == (2, 6, 5, 7)


def test_scalar_biases_stand_before_each_layer_and_each_activation():
    model = networks.residual(4, 1, 6, "post", scale=1.0, scalar_biases=True)
    kinds = [type(each).__name__ for each in model.block0.branch]
    assert kinds == ["ScalarBias", "Linear", "ScalarBias", "ReLU", "ScalarBias", "Linear", "ScalarBias"]
    assert len(list(scalar_biases(model))) == 4
    front = networks.residual(4, 1, 6, scalar_biases=True, front=True)
    kinds = [type(each).__name__ for each in front.block0.branch]
    assert kinds[:3] == ["ScalarBias", "ReLU", "ScalarBias"]
    with torch.no_grad():
        model.block0.branch.end.bias.fill_(2.0)
        assert torch.allclose(model.block0.branch(draws(3, 4)), model.block0.branch[:-1](draws(3, 4)) + 2.0)


def test_a_network_has_a_first_and_a_last_layer_that_fit_the_blocks():
    dense = networks.framed(networks.residual([4, 6], 1, 8, "post", "linear"), 3, 10, scalar_bias=True)
    assert [name for name, _ in dense.named_children()] == ["stem", "activation", "blocks", "bias", "readout"]
    assert dense(draws(2, 3)).shape == (2, 10)
    images = networks.framed(networks.residual(4, 2, 8, kernel=3), 3, 10, activation=Linear(), bias=False)
    assert [name for name, _ in images.named_children()] == ["stem", "blocks", "pool", "flatten", "readout"]
    assert images(draws(2, 3, 6, 6)).shape == (2, 10)
    assert images.stem.bias is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width = 0"),
        ({"width": [4, 4]}, r"width = \[4, 4\]: need one number or 3"),
        ({"width": [4, 4, 6]}, "need one width with skip='identity'"),
        ({"blocks": 0}, "blocks = 0"),
        ({"hidden": [4]}, r"hidden = \[4\]: need one number or 2"),
        ({"hidden": 2.5}, "hidden = 2.5"),
        ({"kind": "both"}, "kind = 'both'"),
        ({"skip": "none"}, "skip = 'none'"),
        ({"scale": float("nan")}, "scale = nan"),
        ({"layers": 0}, "layers = 0"),
        ({"kernel": 4}, "kernel = 4: need an odd number"),
        ({"front": True, "kind": "post"}, "front = True"),
        ({"activation": "relu"}, "activation = 'relu'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        networks.residual(**{"width": 4, "blocks": 2, "hidden": 4, **arguments})


@pytest.mark.parametrize("thing", [nn.Sequential(nn.Linear(2, 2)), nn.Sequential(), 3])
def test_only_blocks_are_framed(thing):
    with pytest.raises(ArgumentError, match="blocks = "):
        networks.framed(thing, 2, 2)
    with pytest.raises(ArgumentError, match="branch = "):
        networks.Block(thing if isinstance(thing, int) else thing.append)


class Half(nn.Module):
    """A module that keeps only a part of the contract."""

    def __init__(self, **parts):
        super().__init__()
        self.branch, self.skip = nn.Sequential(nn.Linear(2, 2)), nn.Identity()
        for name, part in parts.items():
            setattr(self, name, part)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "block 'part': scale: need"),
        ({"scale": 1.0}, "block 'part': scale: need"),
        ({"scale": nn.Parameter(torch.ones(2))}, "block 'part': scale: need"),
        ({"scale": None, "branch": nn.Linear(2, 2)}, "block 'part': branch: need an nn.Sequential"),
        ({"scale": None, "skip": None}, "block 'part': skip: need a module"),
    ],
)
def test_a_part_of_the_contract_is_refused_by_name(parts, message):
    model = nn.Sequential()
    model.add_module("part", Half(**parts))
    assert not is_block(model.part)
    with pytest.raises(ArgumentError, match=message):
        blocks(model)


def test_blocks_inside_of_blocks_and_models_without_any_are_refused():
    inner = networks.Block(nn.Sequential(nn.Linear(2, 2)))
    outer = networks.Block(nn.Sequential(inner, nn.Linear(2, 2)))
    with pytest.raises(ArgumentError, match=r"block 'branch\.0': need none inside of another one, ''"):
        blocks(outer)
    with pytest.raises(ArgumentError, match="model = Sequential: need residual blocks"):
        blocks(nn.Sequential(nn.Linear(2, 2)))


def test_what_is_behind_the_sum_is_found_or_refused():
    class Doubled(networks.Block):
        def forward(self, input):
            return 2 * super().forward(input)

    branch = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(ArgumentError, match="block 'b': need the forward pass"):
        slope_behind_sum("b", Doubled(branch), draws(3, 4))
    with pytest.raises(ArgumentError, match="block 'b': need the forward pass"):
        slope_behind_sum("b", networks.Block(branch, activation=nn.Tanh()), draws(3, 4))
    with pytest.raises(ArgumentError, match=r"block 'b': does not run on an input of shape \(3, 5\)"):
        slope_behind_sum("b", networks.Block(branch), draws(3, 5))


CASES = {
    "pre": ({}, 3),
    "post": ({"kind": "post", "skip": "linear"}, 3),
    "scalars": ({"kind": "post", "scale": 1.0, "scalar_biases": True, "layers": 3}, 3),
    "conv": ({"kind": "post", "kernel": 3}, (3, 6, 6)),
}


@pytest.mark.parametrize("case", CASES)
def test_without_a_batch_the_contract_says_what_a_run_would_show(case):
    options, shape = CASES[case]
    model = networks.framed(networks.residual(8, 2, 8, **options), 3, 10, scalar_bias=True)
    batch = torch.zeros(2, *([shape] if isinstance(shape, int) else shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no place is a guess
        traced = initialize_(model, "kaiming", batch=batch)
        ordered = initialize_(model, "kaiming")
    assert ordered[ordered.found != ""].found.eq("module order").all()
    assert traced.drop(columns="found").equals(ordered.drop(columns="found"))
    ends = traced[traced.note.str.contains("added to another signal")]
    assert len(ends) == 2 * (1 + (options.get("skip") == "linear"))
    assert ends.gain.eq(1.0).all()


def test_a_leading_activation_is_not_counted_twice():
    model = networks.framed(networks.residual(8, 2, 8, front=True), 3, 10)
    traced, ordered = initialize_(model, "kaiming", batch=torch.zeros(1, 3)), initialize_(model, "kaiming")
    assert traced.follows.equals(ordered.follows)


def test_layers_of_a_block_outside_of_the_contract_are_not_lost():
    class More(networks.Block):
        def __init__(self):
            super().__init__(nn.Sequential(nn.Linear(4, 4)))
            self.gate = nn.Linear(4, 4)
            self.same = self.branch[0]  # another name for a layer of the branch

        def forward(self, input):
            return super().forward(input) + self.gate(input)

    with pytest.warns(UserWarning, match="'0.gate'"):
        report = initialize_(nn.Sequential(More(), nn.ReLU()), "kaiming")
    weights = report[report.parameter == "weight"]
    assert weights.layer.tolist() == ["0.branch.0", "0.gate"]
    assert weights.gain.iloc[0] == 1.0  # at the sum, which the second name does not hide


@pytest.mark.parametrize("name", schemes.names())
@pytest.mark.parametrize("case", ["post", "scalars", "conv"])
def test_every_scheme_fills_what_it_serves_and_leaves_the_rest_as_it_was(name, case):
    options, shape = CASES[case]
    torch.manual_seed(0)
    options = {**options, "scale": 1.0}
    model = networks.framed(networks.residual(8, 2, 8, activation=ReLU(), **options), 3, 10, bias=True)
    batch = draws(16, *([shape] if isinstance(shape, int) else shape))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    try:
        report = initialize_(model, name, batch=batch, generator=torch.Generator().manual_seed(1))
    except ArgumentError:
        assert "residual" not in schemes.get(name).families
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        return
    assert "residual" in schemes.get(name).families
    assert (report[report.layer.str.contains("dense|conv|stem|readout")].scheme == name).all()
    assert model(batch).isfinite().all()


def test_live_blocks_follow_the_exact_law_of_their_factor():
    """2000 blocks as `initialize_` fills them, against draws of the law: mean square, and the whole law.

    The mean stands within 4 standard errors (false alarms 6e-5), and so does a factor 4 % off only with
    probability 0.02. The law is compared by the two-sample Kolmogorov-Smirnov test at 0.001; its control,
    which has no cross term between skip and branch and the same mean square, is rejected in every one of 50
    further seeds.
    """
    count, alpha = 2000, 0.5
    model = networks.residual(12, count, 20, scale=alpha).double()
    report = initialize_(model, "kaiming", generator=torch.Generator().manual_seed(0))
    stds = report[(report.layer == "block0.branch.dense0") | (report.layer == "block0.branch.dense1")]
    variances = tuple(stds[stds.parameter == "weight"]["std"] ** 2)
    assert variances == pytest.approx((2 / 12, 1 / 20), rel=1e-14)
    x = draws(12, seed=1).double()
    with torch.no_grad():
        factors = torch.stack([block(x).norm() / x.norm() for block in model]).numpy()
    law = fr.ResidualBlock(12, 20, ReLU(), alpha, variances)
    squares = factors**2
    error = squares.std() / math.sqrt(count)
    assert abs(squares.mean() - law.moment(2)) < 4 * error
    assert 4 * error < 0.04 * law.moment(2)
    rng = np.random.default_rng(2)
    drawn = np.exp(law.simulate_log_norms(20_000, 1, rng=rng)[:, 1])
    assert stats.ks_2samp(factors, drawn).pvalue > 1e-3
    alive = rng.binomial(20, 0.5, 20_000)
    branch = alpha**2 * math.prod(variances) * rng.chisquare(np.maximum(alive, 1)) * (alive > 0)
    uncrossed = np.sqrt(1 + branch * rng.chisquare(12, 20_000))
    assert abs((uncrossed**2).mean() - law.moment(2)) < 0.01
    assert stats.ks_2samp(factors, uncrossed).pvalue < 1e-6
