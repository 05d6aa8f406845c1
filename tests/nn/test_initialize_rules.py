"""What follows a layer: one test for each rule of book/initialize.md, with a batch and without."""

import doctest
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_
from fracrepro.nn.activations import law, module
from fracrepro.theory.activations import Abs, Dropout, LeakyReLU, Linear, ReLU, RReLU

X = torch.linspace(-1, 1, 32).reshape(4, 8)
IMAGES = torch.linspace(-1, 1, 2 * 4 * 64).reshape(2, 4, 8, 8)


class Net(nn.Module):
    """A model whose forward pass is a function of itself and its input."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)
        self._function = forward

    def forward(self, *inputs):
        return self._function(self, *inputs)


def layers(n=2):
    return {name: nn.Linear(8, 8) for name in "abcdef"[:n]}


def rows(model, batch=X, **options):
    """The rows of the report, by qualified name; a guess is no news here."""
    options.setdefault("scheme", "xavier")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        report = initialize_(model, batch=batch, generator=torch.Generator(), **options)
    names = [f"{row.layer}.{row.parameter}".strip(".") for row in report.itertuples()]
    return dict(zip(names, report.itertuples(), strict=True))


def follows(model, batch=X, parameter="a.weight"):
    return rows(model, batch)[parameter].follows


RELU, NOTHING = repr(ReLU()), ""
FUNCTIONS = [
    (torch.relu, RELU),
    (F.relu, RELU),
    (lambda h: F.relu(h, inplace=True), RELU),
    (F.relu_, RELU),
    (lambda h: h.relu(), RELU),
    (lambda h: h.relu_(), RELU),
    (lambda h: h.clamp(min=0), RELU),
    (lambda h: F.leaky_relu(h, 0.2), repr(LeakyReLU(0.2))),
    (lambda h: F.leaky_relu(h, negative_slope=0.3), repr(LeakyReLU(0.3))),
    (torch.abs, repr(Abs())),
    (abs, repr(Abs())),
    (lambda h: F.rrelu(h, 0.1, 0.3, training=True), repr(RReLU(0.1, 0.3))),
    (lambda h: F.rrelu(h, 0.1, 0.3), repr(LeakyReLU(0.2))),
    (lambda h: F.prelu(h, torch.tensor(0.25)), repr(LeakyReLU(0.25))),
    (lambda h: h, NOTHING),
    (lambda h: F.dropout(h, 0.5), repr(Dropout(Linear(), 0.5))),
    (lambda h: F.dropout(h, 0.5, training=False), NOTHING),
    (lambda h: F.dropout(torch.relu(h), 0.25), repr(Dropout(ReLU(), 0.25))),
    (lambda h: torch.relu(F.dropout(h, 0.25)), repr(Dropout(ReLU(), 0.25))),
    (lambda h: F.dropout(F.dropout(h, 0.25).abs(), 0.5), repr(Dropout(Dropout(Abs(), 0.25), 0.5))),
    (torch.tanh, "tanh"),
    (F.gelu, "gelu"),
    (lambda h: h.clamp(-1, 1), "clamp"),
    (lambda h: torch.max(h, torch.tensor(0.5)), "max"),
    (lambda h: h.view(4, 4, 2).max(-1).values.repeat(1, 2), "max"),
]


@pytest.mark.parametrize(("function", "expected"), FUNCTIONS)
def test_functional_activations_are_seen_in_a_run(function, expected):
    assert follows(Net(lambda m, x: m.b(function(m.a(x))), **layers())) == expected


MODULES = [
    ([nn.ReLU(inplace=True)], RELU),
    ([nn.LeakyReLU(0.2)], repr(LeakyReLU(0.2))),
    ([nn.RReLU()], repr(RReLU())),
    ([nn.PReLU()], repr(LeakyReLU(0.25))),
    ([module(Abs())], repr(Abs())),
    ([], NOTHING),
    ([nn.Identity()], NOTHING),
    ([nn.ReLU(), nn.Dropout(0.5)], repr(Dropout(ReLU(), 0.5))),
    ([nn.Dropout(0.5), nn.ReLU()], repr(Dropout(ReLU(), 0.5))),
    ([nn.Sequential(nn.ReLU(), nn.Sequential(nn.Dropout(0.5)))], repr(Dropout(ReLU(), 0.5))),
    ([nn.ReLU(), nn.Dropout(0.0)], RELU),
    ([nn.ReLU(), nn.Flatten(), nn.Dropout(0.5)], repr(Dropout(ReLU(), 0.5))),
    ([nn.Flatten(), nn.ReLU()], RELU),
    ([nn.BatchNorm1d(8), nn.ReLU()], RELU),
    ([nn.LayerNorm(8), nn.ReLU()], RELU),
    ([nn.BatchNorm1d(8)], NOTHING),
    ([nn.ReLU(), nn.BatchNorm1d(8), nn.Flatten()], RELU),
    ([nn.Tanh()], None),
    ([nn.Dropout(1.0)], None),
]


@pytest.mark.parametrize(("between", "expected"), MODULES)
@pytest.mark.parametrize("batch", [X, None], ids=["traced", "module order"])
def test_sequences_of_modules_say_the_same_with_and_without_a_batch(between, expected, batch):
    row = rows(nn.Sequential(nn.Linear(8, 8), *between, nn.Linear(8, 3)), batch)["0.weight"]
    assert row.found == ("module order" if batch is None else "traced")
    if expected is None:
        assert row.follows.lower() in {"tanh", "dropout"}
    else:
        assert row.follows == expected


SECOND = [
    [nn.ReLU(), nn.LeakyReLU(0.1)],
    [nn.LeakyReLU(0.1), nn.LeakyReLU(0.1)],
    [nn.ReLU(), nn.Tanh()],
    [nn.ReLU(), nn.GELU()],
    [nn.ReLU(), nn.AlphaDropout(0.1)],
    [nn.ReLU(), nn.Dropout(0.1), nn.Tanh()],
    [nn.ReLU(), nn.Flatten(), nn.LayerNorm(8), nn.Sigmoid()],
    [nn.ReLU(), nn.Dropout(1.0)],
]


@pytest.mark.parametrize("between", SECOND, ids=repr)
@pytest.mark.parametrize("batch", [X, None], ids=["traced", "module order"])
def test_a_second_function_behind_the_activation_has_no_law(between, batch):
    assert law(nn.Sequential(*between)) is None
    with pytest.raises(ArgumentError, match=r"layer '0'.*followed by .*(for which there is no law|p = 1)"):
        rows(nn.Sequential(nn.Linear(8, 8), *between, nn.Linear(8, 3)), batch, scheme="fractional")
    # Behind the last layer it is an output function.
    if not isinstance(between[-1], nn.Dropout):
        row = rows(nn.Sequential(nn.Linear(8, 8), *between), batch, scheme="fractional")["0.weight"]
        assert row.follows.startswith(("ReLU", "LeakyReLU", "Dropout"))
        assert "at the output" in row.note


@pytest.mark.parametrize(
    "function",
    [
        lambda h: torch.relu(h).square(),
        lambda h: torch.relu(h) * torch.relu(h),
        lambda h: torch.relu(h).abs(),
        lambda h: torch.from_numpy(torch.relu(h).detach().numpy()),
    ],
)
def test_a_second_function_is_seen_in_a_run(function):
    with pytest.raises(ArgumentError, match="layer 'a'"):
        rows(Net(lambda m, x: m.b(function(m.a(x))), **layers()), scheme="fractional")


@pytest.mark.parametrize("batch", [IMAGES, None], ids=["traced", "module order"])
def test_pooling_and_normalization_behind_the_activation_are_noted(batch):
    for between in ([nn.MaxPool2d(2)], [nn.BatchNorm2d(6)], [nn.AvgPool2d(2), nn.Dropout(0.5)]):
        row = rows(nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), *between, nn.Conv2d(6, 2, 1)), batch)[
            "0.weight"
        ]
        assert row.follows == repr(Dropout(ReLU(), 0.5) if len(between) > 1 else ReLU())
        assert "through " in row.note


@pytest.mark.parametrize("batch", [X, None], ids=["traced", "module order"])
def test_the_last_layer_counts_as_linear_unless_an_activation_follows(batch):
    bare = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    assert follows(bare, batch, "2.weight") == NOTHING
    active = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3), nn.LeakyReLU(0.1))
    assert follows(active, batch, "2.weight") == repr(LeakyReLU(0.1))
    assert rows(bare, batch, scheme="kaiming")["2.weight"].std == 1 / 8**0.5


@pytest.mark.parametrize("batch", [X, None], ids=["traced", "module order"])
@pytest.mark.parametrize("output", [nn.LogSoftmax(-1), nn.Sigmoid(), nn.Tanh()], ids=repr)
def test_a_function_without_a_law_at_the_output_is_an_output_function(output, batch):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3), output)
    row = rows(model, batch, scheme="fractional")["2.weight"]
    assert (row.follows, row.std == row.std) == (NOTHING, True)
    assert "at the output" in row.note


def test_a_model_that_returns_its_loss_ends_before_the_loss():
    model = Net(lambda m, x: F.mse_loss(m.b(torch.relu(m.a(x))), torch.zeros(4, 8)), **layers())
    found = rows(model, scheme="fractional")
    assert [found[f"{name}.weight"].follows for name in "ab"] == [RELU, NOTHING]


@pytest.mark.parametrize("batch", [IMAGES, None], ids=["traced", "module order"])
@pytest.mark.parametrize(
    "between",
    [
        [nn.MaxPool2d(2), nn.ReLU()],
        [nn.ReLU(), nn.MaxPool2d(2)],
        [nn.AvgPool2d(2), nn.ReLU()],
        [nn.BatchNorm2d(6), nn.ZeroPad2d(1), nn.ReLU()],
        [nn.GroupNorm(2, 6), nn.Upsample(scale_factor=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)],
        [nn.Unflatten(1, (2, 3)), nn.Flatten(1, 2), nn.ReLU()],
        [nn.InstanceNorm2d(6), nn.ReLU()],
    ],
)
def test_pooling_normalization_and_reshaping_let_the_signal_pass(between, batch):
    model = nn.Sequential(nn.Conv2d(4, 6, 3), *between, nn.Conv2d(6, 2, 1))
    assert follows(model, batch, "0.weight") == RELU


MOVES = [
    lambda h: h.view(-1).reshape(4, 8),
    lambda h: h.t().permute(1, 0).contiguous(),
    lambda h: torch.cat([h[:, :4], h[:, 4:]], 1),
    lambda h: torch.stack(h.unbind(0)),
    lambda h: torch.cat(h.chunk(2, dim=1), dim=1),
    lambda h: F.pad(h, (1, 0))[:, 1:],
    lambda h: h.unsqueeze(0).expand(2, 4, 8).mean(0),
    lambda h: -h,
    lambda h: 0.5 * h + 1,
    lambda h: (h - 1) / 3,
    lambda h: h.double().float(),
    lambda h: F.layer_norm(h, (8,)),
    lambda h: F.normalize(h),
]


@pytest.mark.parametrize("function", MOVES)
def test_functions_that_move_or_rescale_let_the_signal_pass(function):
    assert follows(Net(lambda m, x: m.b(torch.relu(function(m.a(x)))), **layers())) == RELU


def test_a_bias_of_ones_own_and_a_scalar_are_no_other_signal():
    model = Net(
        lambda m, x: m.b(torch.relu(m.scale * m.a(x) + m.shift + m.positions)),
        **layers(),
        scale=nn.Parameter(torch.ones(1)),
        shift=nn.Parameter(torch.zeros(1)),
        positions=torch.zeros(8),
    )
    found = rows(model)
    assert found["a.weight"].follows == RELU
    assert found["scale"].note == found["shift"].note == "belongs to no layer that schemes know"


RESIDUAL = [
    lambda m, x: m.c(x + m.b(torch.relu(m.a(x)))),
    lambda m, x: m.c(torch.add(m.b(torch.relu(m.a(x))), x)),
    lambda m, x: m.c(torch.relu(x + m.b(torch.relu(m.a(x))))),
    lambda m, x: m.c(torch.relu(m.b(torch.relu(m.a(x))).add_(x))),
]


@pytest.mark.parametrize("function", RESIDUAL)
def test_a_sum_with_another_signal_ends_the_search(function):
    found = rows(Net(function, **layers(3)))
    assert [found[f"{name}.weight"].follows for name in "abc"] == [RELU, NOTHING, NOTHING]
    assert "added to another signal" in found["b.weight"].note


def test_a_signal_that_goes_on_as_it_is_counts_more_than_its_activation():
    found = rows(Net(lambda m, x: (lambda h: h + m.b(torch.relu(h)))(m.a(x)), **layers()))
    assert found["a.weight"].follows == NOTHING
    assert "without the activation too" in found["a.weight"].note
    found = rows(Net(lambda m, x: (lambda h: (h, m.b(torch.relu(h))))(m.a(x)), **layers()))
    assert found["a.weight"].follows == NOTHING


def test_branches_with_one_activation_have_it_and_with_two_have_none():
    def forked(one, two):
        return Net(lambda m, x: (lambda h: m.b(one(h)) + m.c(two(h)))(m.a(x)), **layers(3))

    assert follows(forked(torch.relu, F.relu)) == RELU
    assert follows(forked(torch.relu, lambda h: torch.relu(-h))) == RELU  # as in concatenated rectifiers
    with pytest.raises(ArgumentError, match=r"layer 'a'.*followed by ReLU\(\) and by Abs\(\); a weight"):
        rows(forked(torch.relu, torch.abs), scheme="fractional")


def test_dropout_counts_where_every_path_has_it():
    some = Net(lambda m, x: (lambda h: m.b(F.dropout(h, 0.5)) + m.c(h))(torch.relu(m.a(x))), **layers(3))
    found = rows(some)
    assert found["a.weight"].follows == RELU
    assert "dropout on some of the paths" in found["a.weight"].note
    every = Net(lambda m, x: (lambda h: m.b(h) + m.c(h))(F.dropout(torch.relu(m.a(x)), 0.5)), **layers(3))
    assert follows(every) == repr(Dropout(ReLU(), 0.5))
    linear = Net(lambda m, x: (lambda h: m.b(F.dropout(h, 0.5)) + m.c(h))(m.a(x)), **layers(3))
    assert follows(linear) == NOTHING


def test_a_function_with_its_own_gradient_is_followed_through():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

    assert follows(Net(lambda m, x: m.b(torch.relu(Doubled.apply(m.a(x)))), **layers())) == RELU


def test_figures_on_the_way_are_no_use_of_the_signal():
    def forward(m, x):
        h = m.a(x)
        m.seen = (h.detach() > 0).float().mean()  # stored, and read by nobody
        h.std().item()
        return m.b(torch.relu(h))

    assert follows(Net(forward, **layers())) == RELU


def test_a_gate_has_no_law():
    gated = Net(lambda m, x: m.c(m.a(x) * torch.sigmoid(m.b(x))), **layers(3))
    with pytest.raises(ArgumentError, match=r"layer 'a'.*multiplied by another signal"):
        rows(gated, scheme="fractional")
    with pytest.raises(ArgumentError, match=r"layer 'a'.*followed by glu"):
        rows(Net(lambda m, x: m.b(F.glu(torch.cat([m.a(x)] * 2, 1))), **layers()), scheme="fractional")


PRODUCTS_WITH_ITSELF = [
    (lambda h: h * h, "by itself"),
    (lambda h: h.clone().mul_(h), "by another signal"),
    (lambda h: torch.mul(h, other=h), "by itself"),
    (lambda h: h.view(4, 8) * h.t().t(), "by another signal"),
    (lambda h: torch.cat(2 * [(lambda c: c[0] * c[1])(h.chunk(2, dim=1))], 1), "by itself"),
    (lambda h: h / (1 + h.abs()), "by another signal"),
    (lambda h: 1 / h, "a divisor"),
    (lambda h: torch.div(torch.ones(4, 8), h), "a divisor"),
]


@pytest.mark.parametrize(("function", "message"), PRODUCTS_WITH_ITSELF)
def test_a_product_of_a_signal_with_itself_has_no_law(function, message):
    model = Net(lambda m, x: m.b(function(m.a(x))), **layers())
    with pytest.raises(
        ArgumentError, match=rf"layer 'a'.*(multiplied )?{message}, for which there is no law"
    ):
        rows(model, scheme="fractional")


def set_where_negative(h):
    h = h.clone()
    h[h < 0] = 0
    return h


def set_in_a_view(h):
    flat = h.view(-1)
    flat[flat < 0] = 0
    return h


OWN_MASKS = [
    set_in_a_view,
    lambda h: h.masked_fill(h < 0, 0),
    lambda h: h.masked_fill_(h < 0, 0),
    set_where_negative,
    lambda h: h.index_put((h < 0,), torch.tensor(0.0)),
    lambda h: h.view(4, 2, 4).masked_fill((2 * h < 0).view(4, 2, 4), 0).flatten(1),
    lambda h: h.scatter(1, (h < 0).long(), 0.0),
    lambda h: h.gather(1, h.argsort(1)),
    lambda h: h[torch.arange(4)[:, None], (h > 0).long()],
]


@pytest.mark.parametrize("function", OWN_MASKS)
def test_a_mask_or_an_index_from_the_same_tensor_has_no_law(function):
    model = Net(lambda m, x: m.b(function(m.a(x))), **layers())
    with pytest.raises(ArgumentError, match=r"layer 'a'.*for which there is no law"):
        rows(model, scheme="fractional")


OTHER_MASKS = [
    lambda x, h: h.masked_fill(x < 0, 0),
    lambda x, h: h.masked_fill(torch.ones(4, 8).triu() > 0, 0),
    lambda x, h: h.gather(1, x.argsort(1)),
    lambda x, h: h[torch.tensor([3, 2, 1, 0])],
    lambda x, h: torch.zeros(4, 8).index_put((x[:, 0] < 2,), h),
    lambda x, h: torch.zeros(4, 8).scatter(1, x.argsort(1), h),
]


@pytest.mark.parametrize("function", OTHER_MASKS)
def test_a_mask_or_an_index_from_elsewhere_lets_the_signal_pass(function):
    assert follows(Net(lambda m, x: m.b(torch.relu(function(x, m.a(x)))), **layers())) == RELU


def test_a_router_of_ones_own_lets_the_experts_pass():
    def forward(m, x):
        h = torch.relu(m.a(x))
        return m.d(torch.where(x < 9, torch.relu(m.c(h[m.b(h).argmax(1) % 4])), torch.tensor(0.0)))

    found = rows(Net(forward, **layers(4)))
    assert found["a.weight"].follows == RELU


def test_output_that_cannot_be_followed_is_refused():
    def elsewhere(h):
        return torch.from_numpy(2 * h.detach().numpy())

    with pytest.raises(ArgumentError, match=r"layer 'a'.*goes where a run cannot follow it"):
        rows(Net(lambda m, x: m.b(elsewhere(m.a(x))), **layers()), scheme="fractional")
    # An output that nobody uses is another thing.
    found = rows(Net(lambda m, x: (m.a(x), m.b(x))[1], **layers()), scheme="fractional")
    assert "its output is not used" in found["a.weight"].note


def test_a_shared_layer_needs_the_same_law_everywhere():
    same, layer = torch.relu, nn.Linear(8, 8)
    assert follows(Net(lambda m, x: same(m.a(same(m.a(x)))), a=layer)) == RELU
    differs = Net(lambda m, x: m.a(torch.relu(m.a(x))), a=layer)
    with pytest.raises(ArgumentError, match=r"used twice, followed by ReLU\(\) and by nothing; a weight has"):
        rows(differs, scheme="fractional")
    assert rows(differs, scheme="xavier")["a.weight"].std > 0  # needs no law
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    for batch in (X, None):
        with pytest.raises(ArgumentError, match="used twice"):
            rows(twice, batch, scheme="fractional")
        alike = rows(nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU()), batch)
        assert alike["0.weight"].follows == RELU
        assert "also 2.weight" in alike["0.weight"].note
        assert len(alike) == 2


def test_tied_weights_are_one_row():
    model = Net(lambda m, x: m.b(torch.relu(m.a(x))), **layers())
    model.b.weight = model.a.weight
    with pytest.raises(ArgumentError, match="used twice"):
        rows(model, scheme="fractional")
    found = rows(model)
    assert set(found) == {"a.weight", "a.bias", "b.bias"}
    assert "also b.weight" in found["a.weight"].note


OTHER_USES = [
    lambda m, x: m.b(torch.relu(x @ m.a.weight.T)),
    lambda m, x: m.b(torch.relu(F.linear(x, m.a.weight * 2))),
    lambda m, x: m.b(torch.relu(F.linear(x, m.a.weight.detach()))),
    lambda m, x: m.b(torch.relu(x @ m.a.weight)),
    lambda m, x: m.b(torch.relu(F.bilinear(x, x, m.a.weight[None]).repeat(1, 8))),
    lambda m, x: F.linear(torch.relu(m.b(torch.relu(m.a(x)))), m.a.weight.t()),  # tied, the other way round
    lambda m, x: torch.relu(m.b(torch.relu(m.a(x)))) @ m.a.weight,
    lambda m, x: m.b(torch.relu(m.a(x))) * m.a.weight.sum(0),
]


@pytest.mark.parametrize("function", OTHER_USES)
@pytest.mark.parametrize("scheme", ["fractional", "xavier"])
def test_a_weight_that_is_used_in_another_way_is_left_alone_and_says_so(function, scheme):
    model = Net(function, **layers())
    before = model.a.weight.clone()
    found = rows(model, scheme=scheme)
    assert "the run uses it in another way than as the weight of a layer" in found["a.weight"].note
    assert "not reached" not in found["a.weight"].note
    assert found["a.weight"].scheme == ""
    assert torch.equal(model.a.weight, before)
    assert found["b.weight"].scheme == scheme


def test_a_penalty_on_the_weights_or_a_cast_is_no_other_use():
    model = Net(lambda m, x: m.b(torch.relu(m.a(x))).sum() + (m.a.weight**2).sum(), **layers())
    assert follows(model) == RELU
    model = Net(lambda m, x: m.b(torch.relu(F.linear(x, m.a.weight.to(x.dtype)))), **layers())
    assert follows(model) == RELU


def test_embeddings_are_left_alone_and_what_is_tied_to_them():
    model = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5, bias=False))
    model[3].weight = model[0].weight
    before = model[0].weight.clone()
    for batch in (torch.tensor([[1, 2]]), None):
        found = rows(model, batch)
        assert "embedding" in found["0.weight"].note
        assert "also 3.weight" in found["0.weight"].note
        assert found["1.weight"].follows == RELU
        assert torch.equal(model[0].weight, before)
    used = Net(lambda m, x: F.embedding(torch.tensor([0, 1]), m.table) @ m.a(x)[0], a=nn.Linear(8, 8))
    used.table = nn.Parameter(torch.ones(5, 8))
    assert "embedding" in rows(used)["table"].note


def test_normalization_is_left_alone():
    for norm in (nn.BatchNorm1d(8), nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.RMSNorm(8)):
        for batch in (X, None):
            found = rows(nn.Sequential(nn.Linear(8, 8), norm, nn.ReLU()), batch)
            assert "normalization" in found["1.weight"].note
            assert found["1.weight"].scheme == ""
            assert f"through {'' if batch is not None else type(norm).__name__}" in found["0.weight"].note


def test_attention_modules_are_left_alone():
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    for batch in (X[None], None):
        found = rows(model, batch)
        for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"):
            assert "attention" in found[f"self_attn.{name}"].note
        assert found["linear1.weight"].scheme == "xavier"
    assert follows(model, X[None], "linear1.weight") == RELU
    before = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), model)
    assert follows(before, X[None], "0.weight") == RELU


ATTENTIONS = [
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
    lambda q, k, v: torch.softmax(q @ k.mT, -1) @ v,
    lambda q, k, v: torch.einsum("ij,jk->ik", torch.einsum("ij,kj->ik", q, k).softmax(-1), v),
    lambda q, k, v: torch.mm(torch.mm(q, k.t()), v),
]


@pytest.mark.parametrize("attend", ATTENTIONS)
def test_projections_into_attention_are_left_alone(attend):
    model = Net(lambda m, x: m.d(attend(m.a(x), m.b(x), m.c(x))), **layers(4))
    found = rows(model)
    assert all("attention" in found[f"{name}.weight"].note for name in "abc")
    assert all("its weight is left alone" in found[f"{name}.bias"].note for name in "abc")
    assert found["d.weight"].scheme == "xavier"


def test_an_aggregation_that_is_given_lets_the_signal_pass():
    ring = torch.eye(4).roll(1, 0)
    fixed = Net(lambda m, x: m.b(torch.relu(m.ring @ m.a(x))), **layers(), ring=ring)
    assert follows(fixed) == RELU
    given = Net(lambda m, x, ring: m.b(torch.relu(torch.mm(ring, m.a(x)))), **layers())
    assert follows(given, (X, ring)) == RELU


def test_own_products_with_parameters_are_layers_without_a_law():
    def forward(m, x):
        return torch.relu(m.a(x)) @ m.own @ m.other.t()

    model = Net(
        forward, a=nn.Linear(8, 8), own=nn.Parameter(torch.ones(8, 8)), other=nn.Parameter(torch.ones(3, 8))
    )
    found = rows(model)
    assert found["a.weight"].follows == RELU
    assert found["own"].note == found["other"].note == "belongs to no layer that schemes know"


def test_a_parameter_that_a_function_uses_as_weight_is_a_layer():
    model = Net(lambda m, x: F.linear(torch.relu(F.linear(x, m.own)), m.other))
    model.own, model.other = nn.Parameter(torch.ones(6, 8)), nn.Parameter(torch.ones(3, 6))
    found = rows(model, scheme="kaiming")
    assert found["own"].std == pytest.approx((2 / 8) ** 0.5, rel=1e-15)
    assert found["other"].std == 1 / 6**0.5


@pytest.mark.parametrize(
    "layer", [nn.LSTM(8, 8), nn.GRU(8, 8), nn.RNN(8, 8, nonlinearity="relu"), nn.RNNCell(8, 8)]
)
def test_recurrent_layers_are_left_alone_and_end_the_search(layer):
    model = nn.Sequential(nn.Linear(8, 8), layer)
    for batch in (X, None):
        found = rows(model, batch)
        assert found["0.weight"].follows == NOTHING
        assert found["0.weight"].scheme == "xavier"
        assert all("recurrent" in row.note for name, row in found.items() if name.startswith("1."))


@pytest.mark.parametrize(
    "wrap",
    [
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.orthogonal,
    ],
)
def test_parametrized_weights_are_left_alone(wrap):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), wrap(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 2))
    for batch in (X, None):
        before = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("2.")}
        found = rows(model, batch)
        after = {name: value for name, value in model.state_dict().items() if name.startswith("2.")}
        assert all(torch.equal(before[name], after[name]) for name in after)
        assert "its weight is left alone" in found["2.bias"].note
        parametrized = [row for name, row in found.items() if "parametrizations" in name]
        assert parametrized
        assert all("a weight is computed from it" in row.note for row in parametrized)
        assert found["0.weight"].follows == RELU


def test_pruned_weights_are_left_alone():
    from torch.nn.utils import prune

    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    prune.l1_unstructured(model[2], "weight", 0.5)
    for batch in (X, None):
        found = rows(model, batch)
        assert "a weight is computed from it" in found["2.weight_orig"].note
        assert found["0.weight"].follows == RELU


def test_frozen_parameters_are_left_alone():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    model[0].weight.requires_grad_(False)
    model[2].bias.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = rows(model)
    assert found["0.weight"].note == found["2.bias"].note == "frozen"
    assert "its weight is left alone" in found["0.bias"].note
    for name in ("0.weight", "0.bias", "2.bias"):
        assert torch.equal(model.state_dict()[name], before[name])
    assert not torch.equal(model.state_dict()["2.weight"], before["2.weight"])
    assert not model[0].weight.requires_grad


def test_grouped_and_transposed_convolutions_have_their_own_fans():
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 4, stride=2, groups=2),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 5, 3),
    )
    for batch in (IMAGES, None):
        found = rows(model, batch, scheme="kaiming")
        assert found["0.weight"].std == pytest.approx((2 / (2 * 9)) ** 0.5, rel=1e-15)
        assert found["2.weight"].std == pytest.approx((2 / (4 * 16 / 4)) ** 0.5, rel=1e-15)
        assert found["4.weight"].std == pytest.approx((1 / (6 * 9)) ** 0.5, rel=1e-15)
        averaged = rows(model, batch, scheme="xavier")
        assert averaged["0.weight"].std == pytest.approx((2 / (2 * 9 + 4 * 9)) ** 0.5, rel=1e-15)
        assert averaged["2.weight"].std == pytest.approx((2 / (16 + 3 * 16)) ** 0.5, rel=1e-15)


@pytest.mark.parametrize(
    ("layer", "shape", "wrong"),
    [
        (nn.Conv2d(6, 8, 3, padding=1, padding_mode="circular"), (6, 8, 8), 1.5),
        (nn.Conv2d(6, 12, 3, groups=3, padding=1, padding_mode="circular"), (6, 8, 8), 1.5),
        (nn.Conv1d(6, 8, 3, stride=2, padding=1, padding_mode="circular"), (6, 32), 1.5),
        (nn.ConvTranspose2d(6, 8, 4, stride=2), (6, 16, 16), 4.0),
        (nn.ConvTranspose1d(6, 9, 4, stride=2, groups=3), (6, 64), 2.0),
        (nn.Linear(60, 8), (60,), 1.5),
    ],
    ids=repr,
)
def test_the_mean_square_is_kept_whatever_the_layer(layer, shape, wrong):
    # 400 weights, an input of 1: the mean square of the outputs (away from the edges of the transposed
    # convolutions) is a mean of 400 independent values of mean 1, whose spread is measured.
    # Five standard errors: a false-alarm rate of 6e-7. The control is the fan that torch would take,
    # or that without the stride.
    x = torch.ones(1, *shape)
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(400):
        initialize_(layer, "kaiming", generator=generator)
        with torch.no_grad():
            out = layer(x)[0].double()
        inside = tuple(slice(4, -4) for _ in range(out.ndim - 1)) if isinstance(layer, TRANSPOSED) else ()
        values.append((out[(slice(None), *inside)] ** 2).mean().item())
    values = torch.tensor(values, dtype=torch.float64)
    error = values.std() / 400**0.5
    assert abs(values.mean() - 1) < 5 * error
    assert abs(values.mean() / wrong - 1) > 5 * error


TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


def test_layers_that_the_batch_does_not_reach_are_taken_from_the_modules():
    spare = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model = Net(lambda m, x: m.b(torch.relu(m.a(x))), **layers(), spare=spare)
    row = rows(model)["spare.0.weight"]
    assert (row.found, row.follows) == ("module order", RELU)
    assert "not reached by the batch" in row.note


def test_a_guess_that_may_hide_an_activation_is_a_warning():
    model = Net(lambda m, x: m.c(torch.relu(m.b(torch.relu(m.a(x))))), **layers(3))
    with pytest.warns(UserWarning, match="'a', 'b': no activation module before the next layer"):
        initialize_(model, generator=torch.Generator())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initialize_(model, batch=X, generator=torch.Generator())
        initialize_(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), generator=torch.Generator())


def test_an_order_that_is_a_guess_is_one_warning_and_a_note():
    encoder = nn.TransformerEncoderLayer(8, 2, 16, activation=nn.ReLU(), batch_first=True)
    shared = Net(lambda m, x: m.b(torch.relu(m.a(torch.relu(m.a(x))))), **layers(), act=nn.ReLU())
    inner = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    wrapped = Net(lambda m, x: m.inner(x), inner=inner)
    for model, names, batch in (
        (encoder, ["linear1", "linear2"], X[None]),
        (shared, ["a", "b"], X),
        (wrapped, ["inner.2"], X),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            report = initialize_(model, "xavier", generator=torch.Generator())
        assert len(caught) == 1
        assert caught[0].category is UserWarning
        message = str(caught[0].message)
        assert message.startswith(f"{', '.join(map(repr, names))}: the order in which the model runs")
        assert "batch" in message
        noted = report[report["note"].str.contains("the order in which the model runs")]
        assert noted["layer"].tolist() == names
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            traced = initialize_(model, "xavier", batch=batch, generator=torch.Generator())
        assert not traced["note"].str.contains("the order in which").any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initialize_(nn.Sequential(inner, nn.ReLU(), nn.Linear(8, 2)), generator=torch.Generator())
        initialize_(nn.Linear(8, 8), generator=torch.Generator())


def test_a_guess_reads_no_further_than_the_first_activation():
    parts = {"relu": nn.ReLU(), "output": nn.Sigmoid()}
    model = Net(lambda m, x: m.output(m.b(m.relu(m.a(x)))), a=nn.Linear(8, 8), **parts, b=nn.Linear(8, 8))
    assert rows(model, None, scheme="fractional")["a.weight"].follows == RELU


def test_empty_and_integer_parameters_are_left_alone():
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].weight = nn.Parameter(torch.empty(4, 0))
    found = rows(model, None)
    assert found["0.weight"].note == "empty"
    assert found["2.weight"].scheme == "xavier"
    complicated = nn.Sequential(nn.Linear(4, 4, dtype=torch.complex64), nn.Linear(4, 2))
    assert "no law" in rows(complicated, None)["0.weight"].note


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_compiled_models_are_seen_through_or_left_alone():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    assert follows(torch.compile(model), X, "_orig_mod.0.weight") == RELU  # compiled only when it is called
    scripted = nn.Sequential(nn.Linear(8, 8), torch.jit.script(model))
    assert "TorchScript" in rows(scripted)["1.0.weight"].note


def test_a_model_without_anything_to_initialize_is_a_warning():
    for model in (nn.Embedding(3, 2), nn.LayerNorm(3), nn.Linear(3, 2).requires_grad_(False)):
        with pytest.warns(UserWarning, match="nothing is initialized"):
            report = initialize_(model)
        assert (report["scheme"] == "").all()
        assert (report["note"] != "").all()


def test_several_inputs_may_come_by_name_or_in_order():
    model = Net(lambda m, x, y: m.c(torch.relu(m.a(x) + m.b(y))), **layers(3))
    assert rows(model, (X, X))["a.weight"].note == "added to another signal"

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(8, 8)

        def forward(self, *, pixels, scale=1.0):
            return {"logits": torch.relu(self.a(pixels) * scale)}

    assert follows(Named(), {"pixels": X, "scale": 2.0}) == RELU


def test_the_examples_in_the_book_say_what_happens():
    page = Path(__file__).resolve().parents[2] / "book" / "initialize.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 8
    assert failed == 0


def test_control_flow_is_followed_as_it_runs():
    def forward(m, x):
        h = m.a(x)
        return m.b(torch.relu(h) if x.sum() > 100 else torch.abs(h))

    assert follows(Net(forward, **layers())) == repr(Abs())
