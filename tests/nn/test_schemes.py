"""The registry of schemes: every one found, checked, written and read, with the right standard deviation."""

import ast
import json
import math
import re
from pathlib import Path

import pytest

import fracrepro
from fracrepro.errors import ArgumentError
from fracrepro.nn import init, schemes
from fracrepro.nn.schemes.base import NormalScheme, Scheme, option
from fracrepro.nn.schemes.plan import Slot
from fracrepro.theory.activations import Dropout, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.layer import critical_variance

FIRST_EDITION = {"fractional", "kaiming", "xavier", "random_walk", "lyapunov"}


def test_the_schemes_of_the_first_edition_are_there():
    assert set(schemes.names()) >= FIRST_EDITION
    assert list(schemes.names()) == sorted(schemes.names())


@pytest.mark.parametrize("name", schemes.names())
def test_every_scheme_is_described_and_comes_back_from_json(name):
    kind = schemes.get(name)
    assert kind.name == name
    assert kind.label
    assert kind.source
    assert len(kind.colour) == 7
    assert kind.colour.startswith("#")
    scheme = schemes.make(name)
    assert schemes.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme
    assert hash(scheme) == hash(schemes.make(name))
    assert set(scheme.to_dict()) == {"name", "s", "formula"}
    for described in schemes.options(name).values():
        assert described["help"]


def test_colours_differ():
    colours = [schemes.get(name).colour for name in schemes.names()]
    assert len(set(colours)) == len(colours)


def test_records_hold_changed_options_only():
    assert schemes.make("fractional", s=1, formula="published").to_dict() == {
        "name": "fractional",
        "s": 1.0,
        "formula": "published",
    }
    changed = schemes.make("fractional", a=0.5, mode="fan_out")
    assert changed.to_dict() == {
        "name": "fractional",
        "s": 1.0,
        "formula": "exact",
        "a": 0.5,
        "mode": "fan_out",
    }
    assert schemes.from_dict(changed.to_dict()) == changed


def test_the_table_says_what_there_is():
    table = schemes.table().set_index("name")
    assert tuple(table.index) == schemes.names()
    assert "s in [0, 2], default 1.0" in table.loc["fractional", "options"]
    assert "formula one of exact, derived, published" in table.loc["fractional", "options"]
    assert table.loc["lyapunov", "options"] == ""
    assert table.loc["kaiming", "random"]
    assert not table.loc["kaiming", "needs_data"]


def test_shared_options_go_where_they_are_taken():
    made = schemes.make_all(["kaiming", "fractional", "kaiming"], s=0.5, formula="derived")
    assert made == [schemes.make("kaiming"), schemes.make("fractional", s=0.5, formula="derived")]
    with pytest.raises(ArgumentError, match=r"option = 'ss': need one of 'a', .*'s'.*; did you mean 's'"):
        schemes.make_all(["kaiming"], ss=1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fractal", {}, r"scheme = 'fractal': need one of .*; did you mean 'fractional'\?"),
        (7, {}, "scheme = 7: need one of .*'fractional'"),
        (["kaiming"], {}, "scheme = "),
        (
            "fractional",
            {"form": "exact"},
            "fractional option = 'form': .* mean 'formula'",
        ),
        ("kaiming", {"s": 2.0}, "kaiming option = 's': need one of 'a'"),
        ("fractional", {"s": 2.5}, r"s = 2.5: need a finite number in \[0, 2\]"),
        ("fractional", {"s": math.nan}, "s = nan"),
        ("fractional", {"s": None}, "s = None: need"),
        ("fractional", {"s": True}, "s = True"),
        ("fractional", {"formula": "best"}, "formula = 'best': need one of"),
        ("fractional", {"formula": None}, "formula = None"),
        ("kaiming", {"a": math.inf}, "a = inf"),
    ],
)
def test_bad_scheme_is_refused(name, options, message):
    with pytest.raises(ArgumentError, match=message):
        schemes.make(name, **options)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "need a name"),
        ({"name": "kaiming", "s": 2.0, "formula": None}, "option = 's'"),
        ({"name": "fractional", "s": None, "formula": "exact"}, "s = None"),
        ({"name": "lyapunov", "gain": 1}, "lyapunov option = 'gain': need none"),
    ],
)
def test_a_record_that_is_no_scheme_is_refused(record, message):
    with pytest.raises(ArgumentError, match=message):
        schemes.from_dict(record)


def test_options_are_checked_by_their_declared_type():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Toy(Scheme):  # without a name: no scheme of the registry
        steps: int = option(3, "[1, 10]", "steps")
        centred: bool = option(False, "", "centred")

        def prescribe(self, slot):
            raise NotImplementedError

        def fill(self, plan, entries, generator):
            raise NotImplementedError

    assert Toy(steps=4).steps == 4
    for wrong in ({"steps": 1.5}, {"steps": 0}, {"centred": 1}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            Toy(**wrong)


def test_names_of_the_first_edition_warn_and_work():
    with pytest.warns(DeprecationWarning, match=r"schemes.names\(\)"):
        assert set(schemes.SCHEMES) >= FIRST_EDITION
    with pytest.warns(DeprecationWarning, match=r"schemes\.make"):
        old = schemes.Scheme
    assert old("fractional", 0.5, "exact") == schemes.make("fractional", s=0.5)
    assert old("kaiming") == schemes.make("kaiming")


# Protocols are data: which schemes were compared, in the record and in the paper.
PROTOCOLS = {
    f"nn/experiments/{name}.py"
    for name in ("protocol", "sweep", "gradient_tails", "batch_sizes", "contest", "blocks")
}
# The figure of the landing page shows what these recorded protocols compared.
LANDING = {"figures/landing.py", "workflow/pictures.py"}
# Builders of networks that bear the name of the scheme for them.
BUILDERS = {"nn/networks/__init__.py"}


def typed_by_hand(source):
    """The lines with a tuple, list, set or dictionary that names two schemes or more."""
    known = set(schemes.names())
    for node in ast.walk(ast.parse(source)):
        parts = [*getattr(node, "elts", []), *getattr(node, "keys", []), *getattr(node, "values", [])]
        if isinstance(node, ast.BoolOp):  # x == "a" or x == "b"
            compared = [value for value in node.values if isinstance(value, ast.Compare)]
            parts += [side for value in compared for side in (value.left, *value.comparators)]
        named = {part.value for part in parts if isinstance(part, ast.Constant) and part.value in known}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "split":
            text = getattr(node.func.value, "value", None)  # "a b".split()
            named |= known & set(re.split(r"[\s,;]+", text)) if isinstance(text, str) else set()
        if len(named) > 1:
            yield node.lineno


def test_nobody_types_a_list_of_schemes_outside_the_registry():
    package = Path(fracrepro.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if package / "nn" / "schemes" not in path.parents and list(typed_by_hand(path.read_text()))
    }
    assert found <= PROTOCOLS | LANDING | BUILDERS


# These pages report the comparisons of a recorded protocol, one value for each of its schemes.
RECORDED = {
    f"{name}.ipynb"
    for name in ("09_mnist", "10_cifar10", "11_gradient_tails", "17_related_theory", "19_schemes_compared")
}
# These are about schemes that they name: a claim of LSUV's paper is judged beside Kaiming's scheme.
# An exercise on page 13 compares two.
NAMED = {"13_isometry.ipynb", "16_diagnosis.ipynb"}


def test_no_notebook_types_a_list_of_schemes_but_as_a_default():
    """What a parameter is unless told otherwise is the page's choice, and stands in the parameters' cell."""
    found = {
        path.name
        for path in sorted((Path(fracrepro.__file__).parents[1] / "notebooks").glob("*.ipynb"))
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])
        if list(typed_by_hand("".join(line for line in cell["source"] if not line.startswith("%"))))
    }
    assert found <= RECORDED | NAMED


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('A = ("kaiming", "xavier")', [1]),
        ('x = 1\nfor name in ["fractional", other, "lyapunov"]: pass', [2]),
        ('A = {"kaiming": 1, "xavier": 2}', [1]),
        ('A = {"a": "kaiming", "b": "xavier"}', [1]),
        ('if name in {"kaiming", "random_walk"}: pass', [1]),
        ('if x == "kaiming" or x == "xavier": pass', [1]),
        ('if x != "kaiming" and "xavier" != x: pass', [1]),
        ('A = "kaiming xavier".split()', [1]),
        ('A = ("kaiming", "orange")', []),
        ('f("kaiming"); g("xavier")', []),
    ],
)
def test_a_list_typed_by_hand_is_found(source, lines):
    assert list(typed_by_hand(source)) == lines


SHAPE, SLOPE = (64, 784), 0.01


def test_each_scheme_gives_its_standard_deviation():
    expected = {
        "fractional": math.sqrt(64 * critical_variance(1.0, 64, LeakyReLU(SLOPE)) / 784),
        "kaiming": math.sqrt(2 / 784),
        "xavier": math.sqrt(2 / (784 + 64)),
        "random_walk": math.sqrt(2 / 784) * math.exp(1.2 / (784 - 2.4)),
        "lyapunov": math.sqrt(64 * critical_variance(0.0, 64, LeakyReLU(SLOPE)) / 784),
    }
    for name, std in expected.items():
        assert schemes.make(name).std(Slot(SHAPE, LeakyReLU(SLOPE))) == pytest.approx(std, rel=1e-15)


def test_the_slope_comes_from_what_follows_unless_an_option_says_otherwise():
    slot = Slot((64, 64), LeakyReLU(0.5))
    assert schemes.make("fractional").std(slot) == init.fractional_std((64, 64), a=0.5)
    assert schemes.make("fractional", a=0.2).std(slot) == init.fractional_std((64, 64), a=0.2)
    assert schemes.make("kaiming").std(slot) == math.sqrt(2) / 8
    assert schemes.make("kaiming", a=None).std(slot) == math.sqrt(2 / 1.25) / 8
    assert schemes.make("random_walk", a=None).std(slot) == init.random_walk_std((64, 64), a=0.5)
    # The option speaks of leaky ReLUs only, as in torch.
    assert schemes.make("fractional", a=0.2).std(Slot((64, 64), ReLU())) == init.fractional_std((64, 64))


def test_nothing_that_follows_counts_as_linear():
    for name in schemes.names():
        scheme = schemes.make(name)
        if isinstance(scheme, NormalScheme) and "dense" in scheme.families:
            assert scheme.std(Slot((64, 32))) == scheme.std(Slot((64, 32), Linear()))


def test_dropout_counts_where_the_scheme_has_a_law_for_it():
    plain, dropped = Slot((64, 64), ReLU()), Slot((64, 64), Dropout(ReLU(), 0.5))
    for name in ("fractional", "lyapunov"):
        scheme = schemes.make(name)
        s = scheme.order or 0.0
        assert scheme.std(dropped) ** 2 == pytest.approx(critical_variance(s, 64, dropped.follows), rel=1e-14)
        assert scheme.std(dropped) < scheme.std(plain)
    for name in ("kaiming", "random_walk"):
        assert schemes.make(name).std(dropped) == schemes.make(name).std(plain)
    inner = Slot((64, 64), Dropout(LeakyReLU(0.5), 0.5))
    assert schemes.make("fractional", a=0.1).std(inner) == schemes.make("fractional").std(
        Slot((64, 64), Dropout(LeakyReLU(0.1), 0.5))
    )


def test_layers_a_scheme_cannot_serve_are_refused():
    with pytest.raises(ArgumentError, match="published"):
        schemes.make("fractional", formula="published").std(Slot((64, 64), RReLU()))
    with pytest.raises(ArgumentError, match="the fit covers Linear, ReLU and LeakyReLU"):
        schemes.make("random_walk").std(Slot((64, 64), RReLU()))
    with pytest.raises(ArgumentError, match="fan_in = 2: need at least 3"):
        schemes.make("random_walk").std(Slot((64, 2), ReLU()))


def test_groups_count_for_the_width_and_not_for_the_fans():
    slot = Slot((8, 4, 3, 3), ReLU(), groups=4)
    assert (slot.fan_in, slot.fan_out, slot.width, slot.input_width) == (36, 72, 32, 16)
    assert schemes.make("fractional").std(slot) ** 2 == pytest.approx(
        32 * critical_variance(1.0, 32, ReLU()) / 36, rel=1e-14
    )
    assert schemes.make("fractional", mode="fan_out").std(slot) ** 2 == pytest.approx(
        16 * critical_variance(1.0, 16, ReLU()) / 72, rel=1e-14
    )


def test_a_stride_thins_the_inputs_of_a_transposed_convolution():
    assert Slot((32, 16, 3, 3), transposed=True, stride=(1, 1)).fan_in == 144
    assert Slot((32, 16, 4, 4), transposed=True, stride=(2, 2)).fan_in == 64
    assert Slot((32, 16, 3), transposed=True, stride=(2,)).fan_in == 24
    assert Slot((32, 3, 3), transposed=True, stride=(2,)).fan_in == 4.5
