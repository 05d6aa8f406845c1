"""The residual schemes: exact properties on networks of the package and of users, each with a control."""

import math

import pytest
import torch
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_, networks, schemes
from fracrepro.nn.mirror import branch_beside_identity, isometry, looks_linear
from fracrepro.nn.schemes.plan import Slot
from fracrepro.nn.steps import descend, moved_by_step, output_change
from fracrepro.theory.activations import Abs, LeakyReLU, ReLU, RReLU

RESIDUAL = ("fixup", "skipinit", "rezero", "risotto")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(*shape, seed=1):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def jacobian(model, x):
    """Of one input, as a matrix."""
    result = torch.autograd.functional.jacobian(lambda each: model(each[None])[0].flatten(), x)
    return result.reshape(result.shape[0], -1)


def deviation(model, x):
    """The largest entry of JᵀJ - I."""
    j = jacobian(model, x)
    return float((j.T @ j - torch.eye(j.shape[1], dtype=j.dtype)).abs().max())


def framed(width, blocks, hidden, ends=(16, 16), activation=None, **options):
    """A network of blocks in double precision, with torch's defaults from a fixed seed."""
    torch.manual_seed(0)
    inner = networks.residual(width, blocks, hidden, activation=activation, **options)
    return networks.framed(inner, *ends, activation=activation).double()


# RISOTTO

ISOMETRIES = {
    "type C": ({"skip": "linear"}, {}),
    "type C, small branch": ({"skip": "linear", "scale": 1.0}, {"alpha": 0.3}),
    "type C, bottleneck": ({"skip": "linear", "hidden": 8}, {}),
    "type C, three layers": ({"skip": "linear", "layers": 3}, {}),
    "type B": ({}, {}),
    "type B, half a branch": ({"scale": 0.0}, {"alpha": 0.5}),
    "type B, permuted": ({}, {"permuted": True}),
    "type B, wide": ({"hidden": 48}, {"permuted": True}),
    "type B, three layers": ({"layers": 3}, {}),
    "type B, one layer": ({"layers": 1}, {}),
}


@pytest.mark.parametrize("case", ISOMETRIES)
@pytest.mark.parametrize("slope", [None, 0.1, 0.5, -0.5])
def test_risotto_is_an_isometry(case, slope):
    """The rounding of 20 blocks is below 1e-14; 1e-12 leaves room for another machine's order of sums."""
    options, own = ISOMETRIES[case]
    activation = ReLU() if slope is None else LeakyReLU(slope)
    model = framed(32, 20, activation=activation, kind="post", **{"hidden": 32, **options})
    initialize_(model, "risotto", generator=generator(), **own)
    assert deviation(model, draws(16)) < 1e-12
    x = draws(5, 16, seed=2)
    assert torch.allclose(model(x).norm(dim=1), x.norm(dim=1), rtol=1e-12)


def test_risotto_control_type_b_with_orthogonal_first_layers_is_none():
    model = framed(32, 20, 32, kind="post")
    initialize_(model, "risotto", generator=generator())
    assert deviation(model, draws(16)) < 1e-12
    draw = generator(3)
    with torch.no_grad():
        for block in model.blocks:
            block.branch.dense0.weight.copy_(looks_linear(isometry(16, 16, draw)))
    assert deviation(model, draws(16)) > 0.1


def test_risotto_widens_and_mixes_types():
    wide = framed([16, 32, 64, 64], 3, [4, 32, 12], (8, 32), kind="post", skip="linear")
    initialize_(wide, "risotto", generator=generator())
    assert deviation(wide, draws(8)) < 1e-12
    parts = [networks.residual(32, 5, 32, "post", skip) for skip in ("identity", "linear") * 4]
    mixed = networks.framed(nn.Sequential(*[block for part in parts for block in part]), 16, 16).double()
    initialize_(mixed, "risotto", generator=generator())
    assert deviation(mixed, draws(16)) < 1e-12


def test_risotto_on_convolutions_with_zero_padding():
    blocks = networks.residual(12, 4, 8, "post", "linear", kernel=3)
    model = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), blocks, nn.Conv2d(12, 6, 1)).double()
    initialize_(model, "risotto", generator=generator())
    singular = torch.linalg.svdvals(jacobian(model, draws(3, 6, 6)))
    assert len(singular) == 108
    assert float((singular - 1).abs().max()) < 1e-12
    weight = blocks.block0.branch.conv0.weight
    assert int((weight != 0).sum()) == weight.shape[0] * weight.shape[1]  # the centre of each kernel
    with torch.no_grad():  # control: an orthogonal matrix of the whole kernel is no isometry
        nn.init.orthogonal_(weight, generator=generator())
    assert deviation(model, draws(3, 6, 6)) > 0.1


def test_risotto_needs_only_the_whole_to_be_orthogonal():
    """Any matrices in the branch do, as long as the skip connection is what is left of M."""
    model = framed(32, 1, 32, kind="post", skip="linear")
    initialize_(model, "risotto", generator=generator())
    u1, u2, m = draws(16, 16, seed=3), draws(16, 16, seed=4), isometry(16, 16, generator(5))
    block = model.blocks.block0
    with torch.no_grad():
        block.branch.dense0.weight.copy_(looks_linear(u1))
        block.branch.dense1.weight.copy_(looks_linear(u2))
        block.skip.weight.copy_(looks_linear(m - u2 @ u1))
        assert deviation(model, draws(16)) < 1e-11  # entries up to 60 cancel
        block.skip.weight.copy_(looks_linear(u1 - u2 @ u1))
        assert deviation(model, draws(16)) > 0.1


def test_risotto_with_a_stride_keeps_the_pixels_that_it_keeps():
    branch = nn.Sequential(nn.Conv2d(12, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1))
    block = networks.Block(branch, nn.Conv2d(12, 12, 1, 2, bias=False), activation=nn.ReLU())
    model = nn.Sequential(nn.Conv2d(3, 12, 1), nn.ReLU(), block, nn.Conv2d(12, 6, 1)).double()
    report = initialize_(model, "risotto", generator=generator())
    singular = torch.linalg.svdvals(jacobian(model, draws(3, 6, 6)))
    assert len(singular) == 54  # rows, of which the 6 channels out hold 3 dimensions of 9 pixels
    assert float((singular[:27] - 1).abs().max()) < 1e-12
    assert float(singular[27:].abs().max()) < 1e-12
    strided = report[report.note.str.contains("its stride drops pixels")]
    assert strided.layer.tolist() == ["2.branch.0", "2.skip"]


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0, -0.4])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_last_matrix_of_a_branch_beside_an_identity(slope, layers):
    """Against the definition: the branch runs, and the sum is mirrored and linear."""
    m, u = isometry(6, 6, generator()), draws(6, 20)

    def phi(z):
        return torch.where(z > 0, z, slope * z)

    x = phi(torch.cat([u, -u]))
    z = x
    for _ in range(layers - 1):
        z = phi(z)
    total = x + branch_beside_identity(m, slope, layers) @ z
    assert torch.allclose(total, torch.cat([m @ u, -m @ u]), rtol=0, atol=1e-13)
    if slope == 0.0:
        assert torch.allclose(branch_beside_identity(m, 0.0, 2), looks_linear(m) - torch.eye(12), atol=1e-14)


def test_isometries_follow_haar_measure():
    """E tr Q = 0, E (tr Q)² = 1; QR without the correction of signs has E tr Q = -0.83 at n = 4.

    Two bounds of 4 standard errors: false alarms 1.3e-4; the control stands 50 standard errors away.
    """
    draw, n = generator(), 4000
    traces = torch.stack([isometry(4, 4, draw).trace() for _ in range(n)])
    assert abs(float(traces.mean())) < 4 * float(traces.std()) / math.sqrt(n)
    squares = traces**2
    assert abs(float(squares.mean()) - 1) < 4 * float(squares.std()) / math.sqrt(n)
    raw = torch.stack([torch.linalg.qr(torch.randn(4, 4, generator=draw))[0].trace() for _ in range(n)])
    assert float(raw.mean()) < -0.7
    for rows, columns in ((5, 3), (3, 5), (1, 1)):
        q = isometry(rows, columns, draw)
        small = q.T @ q if rows >= columns else q @ q.T
        assert torch.allclose(small, torch.eye(min(rows, columns), dtype=q.dtype), atol=1e-14)


def one_block(activation=None, **options):
    return framed(8, 1, 8, activation=activation, **{"kind": "post", **options})


REFUSED = {
    "pre": (
        lambda: one_block(kind="pre"),
        {},
        "slope 0 behind layer 'stem' and none behind the sum of block",
    ),
    "odd": (lambda: framed(7, 1, 8, kind="post"), {}, "layer 'stem': 7 outputs: need an even number"),
    "odd hidden": (lambda: framed(8, 1, 9, kind="post"), {}, "9 outputs: need an even number"),
    "thin": (lambda: framed(8, 1, 4, kind="post"), {}, "'blocks.block0.branch.dense0' has 4 outputs: need 8"),
    "no factor": (one_block, {"alpha": 0.5}, "block 'blocks.block0': scale = None"),
    "alpha": (one_block, {"alpha": 0.0}, "alpha = 0.0"),
    "abs": (lambda: one_block(Abs()), {}, "layer 'stem': followed by Abs"),
    "random": (lambda: one_block(RReLU()), {}, "layer 'stem': followed by RReLU"),
    "two slopes": (
        lambda: networks.framed(networks.residual(8, 1, 8, "post"), 4, 4, activation=LeakyReLU(0.5)),
        {},
        "slope 0.5 behind layer 'stem' and slope 0 behind layer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_risotto_refuses_what_it_cannot_mirror_and_changes_nothing(case):
    build, options, message = REFUSED[case]
    model = build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ArgumentError, match=message):
        initialize_(model, "risotto", generator=generator(), **options)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


BLOCKS = {
    "grouped": (
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.ReLU(), nn.Conv2d(4, 4, 1)),
        "a convolution with 2 groups",
    ),
    "even kernel": (
        nn.Sequential(nn.Conv2d(4, 4, 2), nn.ReLU(), nn.Conv2d(4, 4, 1)),
        "odd sides",
    ),
    "activated": (nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1)), r"ReLU\(\) in its branch"),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_risotto_refuses_layers_without_a_centre_of_their_own(case):
    branch, message = BLOCKS[case]
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), networks.Block(branch, activation=nn.ReLU()))
    with pytest.raises(ArgumentError, match=message):
        initialize_(model, "risotto", generator=generator())


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), "2 layers in its skip"),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), r"ReLU\(\) in its skip"),
        (nn.Softmax(dim=1), "need nn.Identity"),
    ],
)
def test_risotto_refuses_other_skip_connections(skip, message):
    branch = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), networks.Block(branch, skip, activation=nn.ReLU()))
    with pytest.raises(ArgumentError, match=message):
        initialize_(model, "risotto", batch=torch.zeros(1, 2), generator=generator())


def test_risotto_fills_all_layers_of_a_block_or_none():
    model = one_block()
    with pytest.raises(ArgumentError, match="'dense0' is left alone: need all or none"):
        initialize_(model, "risotto", include=lambda name, module: not name.endswith("dense0"))
    before = model.blocks.block0.branch.dense0.weight.clone()
    report = initialize_(model, "risotto", include=lambda name, module: "block0" not in name)
    assert torch.equal(model.blocks.block0.branch.dense0.weight, before)
    assert report.set_index(["layer", "parameter"]).scheme["stem", "weight"] == "risotto"


# Fixup


def test_fixup_has_the_standard_deviations_of_its_rule():
    """Formula and counts by hand; 3 layers of 9 blocks, and the fan of a 3 by 3 convolution."""
    model = networks.framed(networks.residual(8, 9, 12, "post", scale=0.3, layers=3, kernel=3), 3, 10)
    report = initialize_(model, "fixup", generator=generator()).set_index(["layer", "parameter"])
    std = report["std"]
    assert std["blocks.block4.branch.conv0", "weight"] == pytest.approx(
        math.sqrt(2 / 108) * 9**-0.25, rel=1e-14
    )
    assert std["blocks.block4.branch.conv1", "weight"] == pytest.approx(
        math.sqrt(2 / 108) * 9**-0.25, rel=1e-14
    )
    assert std["blocks.block4.branch.conv2", "weight"] == 0.0
    assert std["stem", "weight"] == pytest.approx(math.sqrt(2 / 27), rel=1e-14)
    assert std["readout", "weight"] == 0.0
    assert (report.scheme == "fixup").all()
    assert model.blocks.block4.scale.item() == 1.0
    assert "set to 1" in report.note["blocks.block4", "scale"]


def test_fixup_draws_have_those_standard_deviations():
    """4 standard errors of the mean square: false alarms 6e-5; a power of L off by a tenth is 20 away."""
    model = framed(64, 16, 64, (64, 10), kind="post", skip="linear")
    initialize_(model, "fixup", generator=generator())
    inner = torch.cat([block.branch.dense0.weight.flatten() for block in model.blocks])
    beside = torch.cat([block.skip.weight.flatten() for block in model.blocks])
    for values, variance in ((inner, 2 / 64 / 16), (beside, 2 / 64)):
        error = math.sqrt(2 / values.numel())
        assert abs(values.square().mean().item() / variance - 1) < 4 * error
    assert abs(inner.square().mean().item() / (2 / 64 / 16**1.1) - 1) > 20 * error


def test_fixup_options_speak_of_the_fan_and_of_the_outside():
    slot = Slot((50, 20))
    assert schemes.make("fixup").branch(slot, (1, 2), 1).std == 0.2
    assert schemes.make("fixup", mode="fan_in").branch(slot, (1, 2), 1).std == math.sqrt(2 / 20)
    assert schemes.make("fixup").branch(slot, (1, 1), 7).value == 0.0  # one layer: the zero rule alone
    model = framed(8, 2, 8, kind="post")
    initialize_(model, "fixup", outside="torch_default", generator=generator())
    assert model.stem.weight.detach().abs().max().item() <= 1 / 4  # one over the root of 16
    assert model.stem.weight.detach().abs().max().item() > 0.2


def scaled_model(blocks=5, layers=3):
    return framed(
        8, blocks, 8, (16, 10), kind="post", layers=layers, scale=1.0, scalar_biases=True, bias=False
    )


def test_fixup_starts_as_the_identity_with_loss_ln_c():
    model, x = scaled_model(), draws(8, 16)
    initialize_(model, "fixup", generator=generator())
    inner = torch.relu(model.stem(x))
    assert torch.equal(model.blocks(inner), inner)
    logits = model(x)
    assert torch.equal(logits, torch.zeros_like(logits))
    loss = nn.functional.cross_entropy(logits, torch.arange(8))
    assert abs(loss.item() - math.log(10)) <= math.ulp(2.0)  # torch and Python round the logarithm apart
    with torch.no_grad():  # control: a last layer that is not zero
        model.blocks.block2.branch.dense2.weight.fill_(0.01)
    assert not torch.equal(model.blocks(inner), inner)


def test_fixup_layers_wake_up_one_after_the_other():
    """Step 1 moves the classifier, step 2 the last layers of branches and what is before, step 3 the rest."""
    model, x = scaled_model(), draws(16, 16)
    initialize_(model, "fixup", generator=generator())
    one, two, three = moved_by_step(model, x, torch.arange(16) % 10, 3)
    names = {name for name, _ in model.named_parameters()}
    last = {name for name in names if "dense2" in name}
    inner = {name for name in names if "dense0" in name or "dense1" in name}
    assert one == {"readout.weight", "readout.bias"}
    assert last <= two
    assert not inner & two
    assert inner <= three
    with torch.no_grad():  # control: with a classifier that is not zero, last layers move at once
        model.readout.weight.fill_(0.1).add_(torch.eye(10, 8, dtype=torch.float64))
    assert last <= moved_by_step(model, x, torch.arange(16) % 10, 1)[0]


def changes(layers, depths, control):
    """The change of the outputs in one step on the branches, for a unit of the rate; mean of 3 seeds."""
    means = []
    for depth in depths:
        values = []
        for seed in range(3):
            model = framed(64, depth, 64, (16, 10), kind="post", layers=layers, bias=False)
            initialize_(
                model, "fixup", generator=generator(seed)
            )  # the first layer is the same at all depths
            with torch.no_grad():
                model.readout.weight.normal_(0, 1 / 8, generator=generator(100 + seed))
                for name, weight in model.named_parameters():
                    if control and "branch" in name:
                        weight.mul_(depth ** (1 / (2 * layers - 2)))
            x, y = draws(8, 16, seed=200 + seed), torch.arange(8)
            values.append(output_change(model, x, y, rate=1e-6, moves=lambda name: "branch" in name))
        means.append(sum(values) / 3)
    return torch.tensor(means, dtype=torch.float64)


def exponent(depths, values):
    logs = torch.log(torch.tensor(depths, dtype=torch.float64))
    centred = logs - logs.mean()
    return float((centred * torch.log(values)).sum() / (centred**2).sum())


@pytest.mark.parametrize("layers", [2, 3])
def test_fixup_moves_the_outputs_at_one_rate_at_every_depth(layers):
    """Nine further triples of seeds gave exponents from -0.03 to 0.01, so ±0.1 lets chance pass."""
    depths = [4, 16, 64, 256]
    scaled = changes(layers, depths, control=False)
    assert abs(exponent(depths, scaled)) < 0.1
    # Control: without the power of L the same draws give L times as much, to first order in the rate.
    plain = changes(layers, depths[:3], control=True)
    assert torch.allclose(plain / scaled[:3], torch.tensor(depths[:3], dtype=torch.float64), rtol=1e-2)
    assert abs(exponent(depths[:3], plain) - 1) < 0.1


# SkipInit and ReZero


@pytest.mark.parametrize("name", ["skipinit", "rezero"])
def test_factors_of_zero_make_an_identity_bit_for_bit(name):
    model = networks.residual(8, 50, 12, scale=1.0).double()
    initialize_(model, name, generator=generator())
    assert torch.equal(jacobian(model, draws(8)), torch.eye(8, dtype=torch.float64))
    with torch.no_grad():  # control
        for block in model:
            block.scale.fill_(50**-0.5)
    assert deviation(model, draws(8)) > 0.1


@pytest.mark.parametrize("name", ["skipinit", "rezero"])
def test_the_gradient_of_a_factor_is_what_the_branch_would_add(name):
    model = networks.residual(8, 6, 12, scale=1.0).double()
    initialize_(model, name, generator=generator())
    x, target = draws(5, 8), draws(5, 8, seed=2)
    loss = ((model(x) - target) ** 2).sum()
    loss.backward()
    slope = 2 * (x - target)  # the network is the identity, and so is its Jacobian
    for block in model:
        expected = (slope * block.branch(x)).sum().item()
        assert float(block.scale.grad) == pytest.approx(expected, rel=1e-14)
        assert all(int(weight.grad.count_nonzero()) == 0 for weight in block.branch.parameters())
    initialize_(model, "skipinit", start="root", generator=generator())  # control: branches move at once
    model.zero_grad()
    ((model(x) - target) ** 2).sum().backward()
    assert all(int(block.branch.dense0.weight.grad.count_nonzero()) > 0 for block in model)


def test_skipinit_is_kaiming_with_factors():
    model = networks.framed(networks.residual(8, 16, 12, scale=1.0), 3, 5)
    report = initialize_(model, "skipinit", start="root", generator=generator())
    weights = report[report.parameter == "weight"]
    assert weights["std"].tolist() == [math.sqrt(2 / shape[1]) for shape in weights["shape"]]
    assert all(block.scale.item() == 0.25 for block in model.blocks)


def test_rezero_draws_what_torch_draws_by_default():
    """The same bounds; the largest of many draws comes near them."""
    model = networks.framed(networks.residual(64, 2, 64, scale=1.0), 16, 5)
    report = initialize_(model, "rezero", generator=generator()).set_index(["layer", "parameter"])
    inner = model.blocks.block0.branch.dense0
    assert 0.99 / 8 < float(inner.weight.detach().abs().max()) <= 1 / 8
    assert 0.9 / 8 < float(inner.bias.detach().abs().max()) <= 1 / 8
    assert report["std"]["stem", "bias"] == pytest.approx(1 / math.sqrt(48), rel=1e-14)
    kept = model.stem.bias.clone()
    initialize_(model, "rezero", bias="keep", generator=generator(7))
    assert torch.equal(model.stem.bias, kept)


@pytest.mark.parametrize("name", ["skipinit", "rezero"])
def test_blocks_without_a_factor_are_refused_by_name(name):
    blocks = networks.residual(8, 2, 8, scale=1.0)
    blocks.block1.scale = None
    before = {key: value.clone() for key, value in blocks.state_dict().items()}
    with pytest.raises(ArgumentError, match="block 'block1': scale = None: need a learnable factor"):
        initialize_(blocks, name)
    assert all(torch.equal(value, before[key]) for key, value in blocks.state_dict().items())
    frozen = networks.residual(8, 2, 8, scale=1.0)
    frozen.block0.scale.requires_grad_(False)
    with pytest.raises(ArgumentError, match="block 'block0': scale: frozen"):
        initialize_(frozen, name)


# All of them, on networks that were not written for them


class Own(nn.Module):
    """A block of a user, with functions in place of modules."""

    def __init__(self, width):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.skip = nn.Identity()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return torch.relu(self.skip(x) + self.branch(x) * self.scale)


class OwnNetwork(nn.Module):
    """Layers in another order than that in which they run."""

    def __init__(self):
        super().__init__()
        self.readout = nn.Linear(8, 4)
        self.blocks = nn.ModuleList([Own(8) for _ in range(5)])
        self.stem = nn.Linear(4, 8)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.readout(x)


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_network_of_a_user_needs_a_batch(name):
    torch.manual_seed(0)
    model = OwnNetwork().double()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ArgumentError, match="batch: need one, to see where layer 'readout' stands"):
        initialize_(model, name)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    report = initialize_(model, name, batch=draws(2, 4), generator=generator()).set_index(
        ["layer", "parameter"]
    )
    assert (report.scheme == name).all() or name == "risotto"  # which leaves factors as they are at α = 1
    x = draws(3, 4)
    if name == "risotto":
        assert deviation(model, draws(4)) < 1e-12
    elif name == "fixup":
        assert torch.equal(model(x), torch.zeros(3, 4, dtype=torch.float64))
    else:
        assert torch.equal(model(x), model.readout(torch.relu(model.stem(x))))


class BasicBlock(nn.Module):
    """A block as torchvision writes it."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            beside = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(beside, nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Adapted(BasicBlock):
    """The same block with the attributes of the contract: the few lines that a user adds."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__(inputs, outputs, stride)
        self.branch = nn.Sequential(self.conv1, self.bn1, self.relu, self.conv2, self.bn2)
        self.skip = nn.Identity() if self.downsample is None else self.downsample
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.relu(self.skip(x) + self.scale * self.branch(x))


class ResNet(nn.Module):
    """A small ResNet as torchvision writes it."""

    def __init__(self, block):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(block(8, 8), block(8, 8))
        self.layer2 = nn.Sequential(block(8, 16, 2), block(16, 16))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_resnet_as_torchvision_writes_it(name):
    torch.manual_seed(0)
    batch = torch.zeros(2, 3, 32, 32)
    with pytest.raises(
        ArgumentError, match="model = ResNet: need residual blocks, modules with the attributes"
    ):
        initialize_(ResNet(BasicBlock), name, batch=batch)
    model = ResNet(Adapted)
    state = {
        key: value.clone() for key, value in model.state_dict().items() if "bn" in key or "running" in key
    }
    report = initialize_(model, name, batch=batch, generator=generator()).set_index(["layer", "parameter"])
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items() if key in state)
    layers = report[report.index.get_level_values("layer").str.contains("conv|fc|downsample.0")]
    assert (layers.scheme == name).all()
    assert model.training
    if name == "risotto":
        assert "no isometry: its stride drops pixels, BatchNorm" not in report.note["fc", "weight"]
        assert "MaxPool" in report.note["conv1", "weight"] or "max_pool2d" in report.note["conv1", "weight"]
    if name in ("skipinit", "rezero"):
        assert float(model.layer1[0].scale) == 0.0
    if name == "fixup":
        assert int(model.layer2[0].conv2.weight.count_nonzero()) == 0
        assert "beside a branch" in report.note["layer2.0.downsample.0", "weight"]


@pytest.mark.parametrize("name", RESIDUAL)
def test_same_seed_same_bits_with_or_without_a_batch(name):
    runs = []
    for batch in (None, draws(2, 16), None):
        model = framed(8, 3, 8, kind="post", skip="linear", scale=1.0)
        state = torch.get_rng_state()
        initialize_(model, name, batch=batch, generator=generator(5))
        assert torch.equal(torch.get_rng_state(), state)
        runs.append(model.state_dict())
    for other in runs[1:]:
        assert all(torch.equal(value, other[key]) for key, value in runs[0].items())
    model = framed(8, 3, 8, kind="post", skip="linear", scale=1.0)
    initialize_(model, name, generator=generator(6))
    assert not torch.equal(model.stem.weight, runs[0]["stem.weight"])


def test_a_failure_in_the_middle_changes_nothing(monkeypatch):
    from fracrepro.nn import mirror

    def broken(tensor, matrix, count=[0]):  # noqa: B006  # counts the calls
        count[0] += 1
        if count[0] == 4:
            raise RuntimeError("out of memory")
        return original(tensor, matrix)

    original = mirror.centre_
    monkeypatch.setattr(mirror, "centre_", broken)
    model = framed(8, 3, 8, kind="post")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="out of memory"):
        initialize_(model, "risotto")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_tied_layer_is_filled_once_or_refused(name):
    model = framed(8, 2, 8, kind="post", scale=1.0)
    model.blocks.block1.branch.dense1 = model.blocks.block0.branch.dense0
    if name == "fixup":
        with pytest.raises(ArgumentError, match=r"block 'blocks\.block1'.*two places with two rules"):
            initialize_(model, name, batch=draws(2, 16))
    elif name == "risotto":
        with pytest.raises(ArgumentError, match=r"layer 'blocks\.block0\.branch\.dense0': used twice"):
            initialize_(model, name, batch=draws(2, 16))
    else:
        report = initialize_(model, name, batch=draws(2, 16))
        assert report.layer.tolist().count("blocks.block0.branch.dense0") == 2  # weight and bias
        assert "blocks.block1.branch.dense1" not in report.layer.tolist()


def test_the_steps_leave_the_model_as_it_was():
    model = framed(8, 2, 8, kind="post")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x, y = draws(4, 16), torch.arange(4)
    change = output_change(model, x, y, rate=1e-3)
    assert [name for name in moved_by_step(model, x, y, 1)[0] if "readout" in name]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    nn.functional.cross_entropy(model(x), y).backward()  # the same step by torch's optimizer
    start = model(x).detach()
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    assert change == pytest.approx(float((model(x) - start).norm()) / 1e-3, rel=1e-9)
    after = nn.functional.cross_entropy(model(x), y).item()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(before[name])
    losses = descend(model, x, y, 1, rate=1e-3)
    assert losses == pytest.approx([nn.functional.cross_entropy(model(x), y).item(), after], rel=1e-14)
    with pytest.raises(ArgumentError, match="rate = 0"):
        output_change(model, x, y, rate=0)
    with pytest.raises(ArgumentError, match="steps = 0"):
        moved_by_step(model, x, y, 0)
