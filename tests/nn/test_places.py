"""Where a layer stands: what its output passes, which layers feed it, and whether that is certain."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_
from fracrepro.nn.schemes.base import FAMILIES, NormalScheme, Scheme
from fracrepro.nn.schemes.plan import Entry, Prescription
from fracrepro.nn.tracing import find

X, IMAGES = torch.zeros(2, 8), torch.zeros(2, 3, 8, 8)


class Net(nn.Module):
    """A model whose forward pass is a function of itself and its inputs."""

    def __init__(self, run, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = run

    def forward(self, *inputs):
        return self.run(self, *inputs)


def layers(n=2):
    return {name: nn.Linear(8, 8) for name in "abcdef"[:n]}


def slots(model, batch=None):
    """The slots by the name of their weight, and these names by the id of a tensor."""
    names = {id(tensor): name.removesuffix(".weight") for name, tensor in model.named_parameters()}
    return {names[key]: slot for key, slot in find(model, batch).slots.items()}, names


def kinds(slot):
    return [step.kind for step in slot.through]


BETWEEN = [
    (nn.BatchNorm2d(4), "normalization"),
    (nn.GroupNorm(2, 4), "normalization"),
    (nn.MaxPool2d(2), "pool"),
    (nn.AvgPool2d(2), "average"),
    (nn.AdaptiveAvgPool2d(4), "average"),
    (nn.Dropout(0.5), "dropout"),
    (nn.Dropout2d(0.5), "dropout"),
    (nn.ZeroPad2d(1), "move"),
]


@pytest.mark.parametrize(("between", "kind"), BETWEEN, ids=lambda each: type(each).__name__)
def test_what_stands_between_is_the_same_by_a_run_and_by_the_modules(between, kind):
    for order in ((between, nn.ReLU()), (nn.ReLU(), between)):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), *order, nn.Conv2d(4, 2, 1))
        for batch in (None, IMAGES):
            found, _ = slots(model, batch)
            assert kinds(found["0"]) == [kind]
            assert kinds(found["2" if "2" in found else "3"]) == []


def test_functions_that_do_nothing_are_no_steps():
    for idle in (nn.Identity(), nn.ReLU(), nn.Dropout(0.0)):
        found, _ = slots(nn.Sequential(nn.Linear(8, 8), idle, nn.Linear(8, 2)), X)
        assert found["0"].through == ()


CALLS = {
    "sum": lambda m, x: m.b(torch.relu(m.a(x)) + x),
    "join": lambda m, x: m.b(torch.cat([m.a(x), x], 1)[:, :8]),
    "factor": lambda m, x: m.b(m.a(x) * 2.0),
    "shift": lambda m, x: m.b(m.a(x) + 1.0),
    "function": lambda m, x: m.b(torch.tanh(m.a(x))),
    "matrix": lambda m, x: m.b(torch.eye(2) @ m.a(x)),
    "move": lambda m, x: m.b(m.a(x).flip(1)),
    "average": lambda m, x: m.b(m.a(x[:, None]).mean(2, keepdim=True).expand(-1, -1, 8)),
    "pool": lambda m, x: m.b(m.a(x).mean(1, keepdim=True).expand(-1, 8)),
}


@pytest.mark.parametrize("kind", CALLS)
def test_calls_have_their_kind(kind):
    found, _ = slots(Net(CALLS[kind], **layers()), X)
    assert kind in kinds(found["a"])
    assert kinds(found["b"]) == []


def test_a_product_of_two_signals_is_a_join():
    found, _ = slots(Net(lambda m, x: m.c(m.a(x) * m.b(x)), **layers(3)), X)
    assert kinds(found["a"]) == kinds(found["b"]) == ["join"]


def test_what_is_only_printed_counts_for_nothing():
    seen = []
    model = Net(lambda m, x: (seen.append(m.a(x).std().item()), m.b(F.relu(m.a(x))))[1], **layers())
    found, _ = slots(model, X)
    assert found["a"].through == ()
    assert seen


def test_layers_are_fed_by_those_before_them():
    chain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    for batch in (None, X):
        found, names = slots(chain, batch)
        fed = {name: [names[id(each)] for each in slot.fed_by] for name, slot in found.items()}
        assert fed == {"0": [], "2": ["0"], "4": ["2"]}
    skip = Net(lambda m, x: m.c(m.a(x) + m.b(torch.relu(m.a(x)))), **layers(3))
    found, names = slots(skip, X)
    assert {names[id(each)] for each in found["c"].fed_by} == {"a", "b"}
    assert "sum" in kinds(found["a"])


def test_a_layer_behind_one_that_schemes_do_not_know_is_fed_by_none():
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 2))
    for batch in (None, X):
        assert slots(normed, batch)[0]["2"].fed_by == (None,)
    recurrent = Net(lambda m, x: m.a(m.r(x)[0]), r=nn.GRU(8, 8), a=nn.Linear(8, 2))
    for batch in (None, X):
        assert slots(recurrent, batch)[0]["a"].fed_by == (None,)


def test_a_guess_says_that_it_is_one():
    model = Net(lambda m, x: m.b(torch.relu(m.a(x))), **layers())
    assert all(slot.guessed for slot in slots(model)[0].values())
    assert not any(slot.guessed for slot in slots(model, X)[0].values())
    chain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    assert not any(slot.guessed for slot in slots(chain)[0].values())
    spare = Net(lambda m, x: m.a(x), a=nn.Linear(8, 8), spare=nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    assert slots(spare, X)[0]["spare.0"].guessed


def test_a_weight_that_is_used_in_several_places():
    middle = Net(lambda m, x: m.c(F.relu(m.b(F.relu(m.b(F.relu(m.a(x))))))), **layers(3))
    found, names = slots(middle, X)
    assert not found["b"].mixed
    assert {names[id(each)] for each in found["b"].fed_by} == {"a", "b"}
    both_ends = Net(lambda m, x: m.a(F.relu(m.b(F.relu(m.a(x))))), **layers(2))
    assert slots(both_ends, X)[0]["a"].mixed


def test_every_scheme_names_known_families():
    from fracrepro.nn import schemes

    for name in schemes.names():
        assert schemes.get(name).families
        assert set(schemes.get(name).families) <= set(FAMILIES)


@dataclass(frozen=True)
class DenseOnly(NormalScheme):  # without a name: no scheme of the registry
    families = ("dense",)

    def std(self, slot):
        return 1.0


def test_a_layer_of_a_family_that_is_not_served_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 8), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ArgumentError, match="layer '0', scheme '': serves dense layers, and this is a conv"):
        initialize_(model, DenseOnly())
    report = initialize_(model, DenseOnly(), untreatable="keep", generator=torch.Generator())
    assert report[report["std"] == 1.0]["layer"].tolist() == ["3"]


@dataclass(frozen=True)
class Everything(Scheme):
    """Sets whatever it may to 7: weights, biases and parameters of no layer."""

    random = False

    def prescribe(self, slot):
        return Prescription(7.0)

    def prepare(self, plan):
        entries = super().prepare(plan)
        known = {id(entry.tensor) for entry in entries}
        for name, tensor in plan.model.named_parameters():
            if id(tensor) not in known:
                layer, _, parameter = name.rpartition(".")
                entries.append(Entry(layer, parameter, tensor, None, Prescription(7.0, note="seven")))
        return entries

    def fill(self, plan, entries, generator):
        for entry in entries:
            entry.tensor.fill_(7.0)


def test_a_scheme_may_fill_biases_and_parameters_of_no_layer():
    def model():
        made = Net(lambda m, x: m.b(m.scale * m.a(x)), scale=nn.Parameter(torch.ones(())), **layers())
        made.frozen = nn.Parameter(torch.ones(()), requires_grad=False)
        return made

    net = model()
    report = initialize_(net, Everything(), batch=X).set_index(["layer", "parameter"])
    assert report.loc[("", "scale"), ["std", "note"]].tolist() == [7.0, "seven"]
    assert report.loc[("a", "bias"), "std"] == 7.0
    assert report.loc[("", "frozen"), "note"] == "frozen"
    assert [float(p.detach().mean()) for p in net.parameters()] == [7.0, 1.0, 7.0, 7.0, 7.0, 7.0]
    kept = model()
    bias = kept.a.bias.detach().clone()
    report = initialize_(kept, Everything(), batch=X, bias="keep").set_index(["layer", "parameter"])
    assert torch.equal(kept.a.bias, bias)
    assert report.loc[("a", "bias"), "note"] == "kept"
    assert kept.scale.item() == 7.0
