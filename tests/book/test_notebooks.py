"""Each notebook at the quick profile: what it computed, and what it refuses."""

import json
import math
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
import yaml

from fracrepro.workflow import notebooks, parameters
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Project(ROOT)
NAMES = PROJECT.notebook_names()


def source(name):
    return json.loads(PROJECT.notebook_path(name).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_source_holds_no_outputs(name):
    content = source(name)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    # Without it jupytext and nbconvert do not know what a script in the notebook's language is called.
    assert content["metadata"]["language_info"] == {"file_extension": ".py", "name": "python"}
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("name", NAMES)
def test_papermill_reads_the_same_contract(name):
    contract = parameters.declared(source(name), name)
    found = papermill.inspect_notebook(PROJECT.notebook_path(name))
    assert {key: entry["inferred_type_name"] for key, entry in found.items()} == {
        key: parameter.type for key, parameter in contract.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_range_and_every_text_its_options(name):
    for parameter in parameters.declared(source(name), name).values():
        entry = parameter.type.removeprefix("list[").removesuffix("]")
        assert entry == "bool" or parameter.interval or parameter.options, parameter.name


def test_profiles_name_only_notebooks_and_parameters_that_exist():
    profiles = yaml.safe_load(PROJECT.profiles.read_text())
    assert set(profiles) == {"quick", "book", "paper"}
    for profile, entries in profiles.items():
        assert set(entries) <= set(NAMES), profile
        for name in NAMES:  # raises for an unknown or refused parameter
            parameters.resolve(parameters.declared(source(name), name), entries.get(name, {}), {})


def test_moment_preservation_finds_the_theorem_and_rejects_the_control(book):
    values = book.record("02_moment_preservation")["values"]
    assert values["largest_deviation"] < 1e-13
    assert values["percent_above_kaiming"] == pytest.approx(
        100 * 5 / (4 * 64), rel=0.03
    )  # first order in 1/width
    assert values["test_power"] > 0.999
    assert not values["rejected_exact"]
    assert values["rejected_control"]
    assert values["published_error_at_09"] > 2 * values["kaiming_error_at_09"]
    # The needed draws from the moments of the half chi-squared mixture, by hand: E R⁴/(E R²)² = 1 + 5/64.
    assert values["draws_kaiming_100"] == math.ceil(((1 + 5 / 64) ** 100 - 1) / 0.05**2)


def test_a_second_run_executes_nothing(book):
    result = book.fracrepro("run", *NAMES, "--profile", "quick")
    assert result.stdout == "".join(f"{name}: unchanged\n" for name in NAMES)


def test_papermill_alone_runs_a_notebook_as_its_users_expect(tmp_path):
    out = tmp_path / "out.ipynb"
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(PROJECT.notebook_path("02_moment_preservation")),
        str(out),
    ]
    command += ["-p", "s", "1.5", "-p", "width", "32", "-p", "networks", "500", "--no-progress-bar"]
    for _ in range(3):  # two kernels that start at one moment, here in two workers, may choose the same port
        result = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
        )
        if "before replying to kernel_info" not in result.stderr:
            break
    assert result.returncode == 0, result.stderr
    from fracrepro.workflow.reports import reported_values

    values = reported_values(json.loads(out.read_text()))
    # E R^1.5 of the rectifier at width 32 from its binomial mixture of chi laws, with math.lgamma.
    moment = sum(
        math.comb(32, n) / 2**32 * 2**0.75 * math.exp(math.lgamma((n + 1.5) / 2) - math.lgamma(n / 2))
        for n in range(1, 33)
    )
    assert values["sigma2"] == pytest.approx(moment ** (-2 / 1.5), rel=1e-12)


@pytest.mark.parametrize(
    "chosen",
    [
        {"activation": "rrelu", "s": "2"},
        {"activation": "linear", "width": "1"},
        {"activation": "abs", "width": "3", "s": "0.3"},
        {"activation": "relu", "width": "1", "s": "0.01"},
        {"activation": "leaky_relu", "negative_slope": "-10", "width": "4096", "s": "1.99", "depth": "2"},
    ],
)
def test_moment_preservation_at_the_corners(chosen, tmp_path):
    [outcome] = notebooks.run(
        PROJECT, ["02_moment_preservation"], profile="quick", overrides=chosen, output=tmp_path
    )
    assert outcome.error == ""
    assert outcome.record["values"]["largest_deviation"] < 1e-11
    assert not outcome.record["values"]["rejected_exact"]
