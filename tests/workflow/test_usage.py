"""Names of the package in code: found where they stand, and only where they mean what they say."""

import textwrap

import pytest

from fracrepro.workflow.usage import target, uses

LAYER, LAW = "fracrepro.theory.layer", "fracrepro.theory.depth.LogNormLaw"


def found(source, names=None):
    """What is used, as pairs of the text in the source and the full name."""
    source = textwrap.dedent(source)
    return [
        (source[u.start : u.end], u.target)
        for u in uses(source, {} if names is None else names)
        if not u.imported
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import fracrepro as fr\nfr.moment(1, 2, 3)", [("fr.moment", f"{LAYER}.moment")]),
        ("import fracrepro\nfracrepro.moment", [("fracrepro.moment", f"{LAYER}.moment")]),
        ("from fracrepro import moment as m\nm(1)", [("m", f"{LAYER}.moment")]),
        ("from fracrepro.theory import layer\nlayer.moment", [("layer.moment", f"{LAYER}.moment")]),
        ("import fracrepro as fr\nσ = 'é'; fr.moment", [("fr.moment", f"{LAYER}.moment")]),
        ("import fracrepro as fr\nf'{fr.moment(1)}'", [("fr.moment", f"{LAYER}.moment")]),
        ("import fracrepro as fr\nlambda s: fr.moment(s)", [("fr.moment", f"{LAYER}.moment")]),
        ("import fracrepro as fr\n[fr.moment(s) for s in t]", [("fr.moment", f"{LAYER}.moment")]),
        ("import fracrepro as fr\ndef f(a=fr.moment): pass", [("fr.moment", f"{LAYER}.moment")]),
        ("import fracrepro as fr\nfr.LogNormLaw(1).cdf(2)", [("fr.LogNormLaw", LAW), ("cdf", f"{LAW}.cdf")]),
    ],
)
def test_names_are_found_in_every_form(line, expected):
    assert found(line) == expected


def test_a_variable_stands_for_what_it_was_assigned():
    source = """
        import fracrepro as fr
        law = fr.LogNormLaw(20, 64, fr.ReLU(), 0.03)
        law.cdf(0), law.mean
        moment = fr.moment
        moment(1, 2, fr.Linear())
        """
    assert ("law.cdf", f"{LAW}.cdf") in found(source)
    assert ("law.mean", f"{LAW}.mean") in found(source)
    assert ("moment", f"{LAYER}.moment") in found(source)


def test_the_class_that_a_call_returns_is_known_from_its_annotation():
    source = "from fracrepro.workflow.project import Project\nProject.find().notebook_names()"
    assert [full.rpartition(".")[2] for _, full in found(source)] == ["find", "notebook_names"]


@pytest.mark.parametrize(
    "line",
    [
        "law = 3",
        "law, other = 3, 4",
        "for law in laws: pass",
        "with open('x') as law: pass",
        "law: int = 3",
        "law += 1",
        "def law(): pass",
        "from elsewhere import law",
    ],
)
def test_a_variable_that_gets_another_value_is_forgotten(line):
    before = "import fracrepro as fr\nlaw = fr.LogNormLaw(20, 64, fr.ReLU(), 0.03)\n"
    assert any(text == "law.cdf" for text, _ in found(f"{before}law.cdf(0)"))
    assert not any(text == "law.cdf" for text, _ in found(f"{before}{line}\nlaw.cdf(0)"))


@pytest.mark.parametrize(
    "scope", ["lambda law: law.cdf(0)", "[law.cdf(0) for law in laws]", "def f(law): law.cdf(0)"]
)
def test_an_argument_hides_a_variable_and_gives_it_back(scope):
    before = "import fracrepro as fr\nlaw = fr.LogNormLaw(20, 64, fr.ReLU(), 0.03)\n"
    assert [text for text, _ in found(f"{before}{scope}")].count("law.cdf") == 0
    assert [text for text, _ in found(f"{before}{scope}\nlaw.cdf(0)")].count("law.cdf") == 1


def test_names_carry_over_from_cell_to_cell():
    names = {}
    assert found("import fracrepro as fr", names) == []
    assert found("fr.moment", names) == [("fr.moment", f"{LAYER}.moment")]


def test_an_import_makes_a_name_known_and_is_marked():
    (use,) = uses("from fracrepro.theory.layer import moment", {})
    assert use.imported
    assert use.target == f"{LAYER}.moment"


def test_code_of_others_and_code_that_does_not_parse_use_nothing():
    assert found("import numpy as np\nnp.exp(1)\nimport torch.nn\nprint(open)") == []
    assert found("import fracrepro as fr\nfr.moment(") == []
    assert found("import fracrepro as fr\nfr.no_such_name(1)") == [("fr", "fracrepro")]


def test_a_name_over_several_lines_is_not_linked():
    assert found("import fracrepro as fr\n(fr\n .moment(1))") == []


def test_the_place_of_definition_is_found_from_every_name():
    assert target("fracrepro.moment") == target("fracrepro.theory.layer.moment") == f"{LAYER}.moment"
    assert target("fracrepro.LogNormLaw.mean") == f"{LAW}.mean"
    assert target("fracrepro.theory.layer") == "fracrepro.theory.layer"
    assert target("fracrepro.nothing") is None
    assert target("numpy.exp") is None
