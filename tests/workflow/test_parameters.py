"""The contract of the parameters cell: what passes, what is refused, and with which words."""

import json

import pytest

from fracrepro.errors import ArgumentError
from fracrepro.workflow import parameters

from .conftest import GOOD, PARAMETERS, code, notebook


@pytest.fixture
def contract():
    return parameters.declared(json.loads(GOOD), "01_good")


def test_declared_reads_types_defaults_help_and_ranges(contract):
    assert list(contract) == ["s", "width", "gpu", "kind", "orders"]
    assert [p.type for p in contract.values()] == ["float", "int", "bool", "str", "list[float]"]
    assert [p.default for p in contract.values()] == [1.0, 64, False, "relu", [0.5, 1.0]]
    assert contract["s"].help == "order of the moment"
    assert str(contract["s"].interval) == "(0, 2]"
    assert contract["kind"].options == ("relu", "linear")


def test_papermill_reads_the_same_cell(contract, tmp_path):
    import papermill

    path = tmp_path / "nb.ipynb"
    path.write_text(GOOD)
    found = papermill.inspect_notebook(path)
    assert list(found) == list(contract)
    assert {name: entry["inferred_type_name"] for name, entry in found.items()} == {
        name: parameter.type for name, parameter in contract.items()
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (("s", "1.5"), 1.5),
        (("s", "2"), 2.0),
        (("s", "1e-3"), 1e-3),
        (("width", "32"), 32),
        (("gpu", "false"), False),
        (("gpu", "true"), True),
        (("kind", "linear"), "linear"),
        (("orders", "[1, 2]"), [1.0, 2.0]),
        (("orders", "[1e-1]"), [0.1]),
        (("orders", "1"), [1.0]),
        (("orders", "1e-1, 2"), [0.1, 2.0]),
        (("orders", "0.5,1,1"), [0.5, 1.0, 1.0]),
    ],
)
def test_parse_gives_the_declared_type(contract, text, expected):
    value = parameters.resolve(contract, {}, dict([text]))[text[0]]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        ("s", "0"),
        ("s", "-1"),
        ("s", "2.0001"),
        ("s", "nan"),
        ("s", "inf"),
        ("s", "one"),
        ("s", "true"),
        ("s", "[1]"),
        ("s", ""),
        ("width", "0"),
        ("width", "1.5"),
        ("width", "true"),
        ("width", "1e3"),
        ("width", "5000"),
        ("gpu", "0"),
        ("gpu", "maybe"),
        ("kind", "tanh"),
        ("orders", ""),
        ("orders", "1,,2"),
        ("orders", "1 2"),
        ("orders", "1]"),
        ("orders", "1,3"),
        ("orders", "1,true"),
        ("orders", "[]"),
        ("orders", "[1, 3]"),
        ("orders", "[1, true]"),
        ("orders", "[unclosed"),
    ],
)
def test_wrong_text_is_refused_by_name_value_and_range(contract, wrong):
    name, text = wrong
    with pytest.raises(ValueError, match=f"^{name} = ") as refusal:
        parameters.resolve(contract, {}, {name: text})
    assert repr(text) in str(refusal.value)
    assert contract[name].allowed in str(refusal.value)
    assert "\n" not in str(refusal.value)


WORDS = """
    kinds: list[str] = ["relu"]  # several, one of relu | linear | off
    sizes: list[int] = [1]  # several, in [1, 9]
    flags: list[bool] = [True]  # several switches
    """


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("kinds", "relu,linear", ["relu", "linear"]),
        ("kinds", " linear , off ", ["linear", "off"]),  # a word that YAML reads as false
        ("kinds", "off", ["off"]),
        ("kinds", '["relu", "off"]', ["relu", "off"]),
        ("sizes", "3,1,2", [3, 1, 2]),
        ("flags", "true,false", [True, False]),
    ],
)
def test_lists_are_typed_without_brackets(name, text, expected):
    contract = parameters.declared(json.loads(notebook(code(WORDS, "parameters"))), "words")
    assert parameters.resolve(contract, {}, {name: text}) == {
        "kinds": ["relu"],
        "sizes": [1],
        "flags": [True],
        name: expected,
    }


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("kinds", "relu,liner", "did you mean 'linear'"),
        ("kinds", "relu,", "need a list"),
        ("kinds", "relu,relu", "twice"),
        ("kinds", "relu linear", "need a list"),
        ("sizes", "1,2.5", "need a list"),
        ("sizes", "1,10", "need a list"),
    ],
)
def test_wrong_entries_of_a_typed_list_are_refused(name, text, says):
    contract = parameters.declared(json.loads(notebook(code(WORDS, "parameters"))), "words")
    with pytest.raises(ArgumentError, match=f"^{name} = .*{says}"):
        parameters.resolve(contract, {}, {name: text})


@pytest.mark.parametrize(
    "wrong", [("width", True), ("width", 8.0), ("s", "1.0"), ("s", True), ("gpu", "false"), ("kind", 1)]
)
def test_a_profile_must_hold_the_declared_types(contract, wrong):
    with pytest.raises(ValueError, match=wrong[0]):
        parameters.resolve(contract, dict([wrong]), {})


def test_unknown_name_suggests_the_nearest(contract):
    with pytest.raises(ValueError, match=r"parameter = .*did you mean 'width'"):
        parameters.resolve(contract, {}, {"widht": "3"})


def test_overrides_win_over_the_profile_and_the_profile_over_defaults(contract):
    values = parameters.resolve(contract, {"s": 0.5, "width": 8}, {"width": "16"})
    assert (values["s"], values["width"], values["kind"]) == (0.5, 16, "relu")


@pytest.mark.parametrize(
    "cell",
    [
        "s = 1.0  # no annotation, in (0, 2]",
        "s: float = 1.0",
        "s: float = 1.0  # no range",
        "s: float = 3.0  # default out of range, in (0, 2]",
        "s: complex = 1.0  # unknown type, in (0, 2]",
        "import os",
    ],
)
def test_a_parameters_cell_without_a_contract_is_refused(cell):
    with pytest.raises(ValueError, match=r"\S"):
        parameters.declared(json.loads(notebook(code(cell, "parameters"))), "nb")


def test_exactly_one_parameters_cell():
    twice = notebook(code(PARAMETERS, "parameters"), code(PARAMETERS, "parameters"))
    for source, count in ((notebook(code("1")), 0), (twice, 2)):
        with pytest.raises(ValueError, match=f"found {count}"):
            parameters.declared(json.loads(source), "nb")


@pytest.mark.parametrize("text", ["a: [", "- list", "quick: 3"])
def test_malformed_profiles_are_named(tmp_path, text):
    path = tmp_path / "profiles.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"profiles\.yml"):
        parameters.load_profiles(path)


def test_a_near_option_is_suggested_and_none_comes_twice():
    several = parameters.Parameter("kinds", "list[str]", ["relu"], "kinds", options=("relu", "leaky_relu"))
    with pytest.raises(ValueError, match=r"'\[rleu, relu\]'.*; did you mean 'relu'\?"):
        several.parse("[rleu, relu]")
    with pytest.raises(ValueError, match="kinds = 'relu' twice"):
        several.parse("[relu, relu]")
