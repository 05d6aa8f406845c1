"""One table of bad input: every public function refuses with a ValueError that names argument and value."""

import ast
from pathlib import Path

import numpy as np
import pytest

import fracrepro as fr
from fracrepro.theory.activations import named
from fracrepro.theory.limit import goldie_constant, simulate_stationary
from fracrepro.theory.simulate import stream_log_norms

RELU, LEAKY = fr.ReLU(), fr.LeakyReLU(0.2)
RNG = np.random.default_rng(0)
NAN, INF = float("nan"), float("inf")
LAW = fr.LogNormLaw(3, 8, RELU, 0.25)
BLOCK = fr.ResidualBlock(8, 8, RELU, 0.1, (0.1, 0.1))

BAD_WIDTHS = [0, -1, 1.5, True, "64", NAN]
WITH_WIDTH = {
    "moment": lambda d: fr.moment(1, d, RELU),
    "critical_variance": lambda d: fr.critical_variance(1, d, RELU),
    "expansion_variance": lambda d: fr.expansion_variance(1, d, RELU),
    "preserved_order": lambda d: fr.preserved_order(0.1, d, RELU),
    "log_moments": lambda d: fr.log_moments(d, RELU),
    "lyapunov_exponent": lambda d: fr.lyapunov_exponent(0.1, d, RELU),
    "survival_probability": lambda d: fr.survival_probability(1, d, RELU),
    "tail_index": lambda d: fr.tail_index(0.1, d, RELU),
    "LogNormLaw": lambda d: fr.LogNormLaw(1, d, RELU, 0.1),
    "simulate_log_norms": lambda d: fr.simulate_log_norms(1, 1, d, RELU, 0.1, rng=RNG),
    "stream_log_norms": lambda d: stream_log_norms(1, 1, d, RELU, 0.1, rng=RNG),
    "simulate_tilted_log_norms": lambda d: fr.simulate_tilted_log_norms(1, 1, d, RELU, 0.1, s=1, rng=RNG),
    "simulate_stationary": lambda d: simulate_stationary(1, d, RELU, 0.1, 0.1, rng=RNG),
    "goldie_constant": lambda d: goldie_constant(1, d, RELU, 0.1, 0.1, rng=RNG),
    "required_draws": lambda d: fr.required_draws(0.1, 1, 1, d, RELU),
    "tilted_log_mean": lambda d: fr.tilted_log_mean(1, 0.1, d, RELU),
    "StationaryLaw": lambda d: fr.StationaryLaw(d, RELU, 0.1, 0.1),
    "square_moments": lambda d: fr.square_moments(2, d, RELU, 0.1, 0.1),
    "ResidualBlock": lambda d: fr.ResidualBlock(d, 8, RELU, 0.1, (0.1, 0.1)),
    "GramChain": lambda d: fr.GramChain(d, RELU, 0.1),
    "SpikingChain": lambda d: fr.SpikingChain(d, 1.0),
}
BAD_VARIANCES = [0, -1.0, NAN, INF, "1"]
WITH_VARIANCE = {
    "preserved_order": lambda v: fr.preserved_order(v, 8, RELU),
    "lyapunov_exponent": lambda v: fr.lyapunov_exponent(v, 8, RELU),
    "tail_index": lambda v: fr.tail_index(v, 8, RELU),
    "LogNormLaw": lambda v: fr.LogNormLaw(1, 8, RELU, v),
    "tilted_log_mean": lambda v: fr.tilted_log_mean(1, v, 8, RELU),
    "StationaryLaw": lambda v: fr.StationaryLaw(8, RELU, v, 0.1),
    "square_moments": lambda v: fr.square_moments(2, 8, RELU, v, 0.1),
    "simulate_log_norms": lambda v: fr.simulate_log_norms(1, 1, 8, RELU, v, rng=RNG),
    "simulate_tilted_log_norms": lambda v: fr.simulate_tilted_log_norms(1, 1, 8, RELU, v, s=1, rng=RNG),
}
OTHERS = [
    ("s", -1.0, lambda: fr.moment(-1.0, 8, RELU)),
    ("hidden", 0, lambda: fr.ResidualBlock(8, 0, RELU, 0.1, (0.1, 0.1))),
    ("activation", "relu", lambda: fr.ResidualBlock(8, 8, "relu", 0.1, (0.1, 0.1))),
    ("alpha", NAN, lambda: fr.ResidualBlock(8, 8, RELU, NAN, (0.1, 0.1))),
    ("variances", 0.0, lambda: fr.ResidualBlock(8, 8, RELU, 0.1, (0.1, 0.0))),
    ("variances", (0.1,), lambda: fr.ResidualBlock(8, 8, RELU, 0.1, (0.1,))),
    ("skip", INF, lambda: fr.ResidualBlock(8, 8, RELU, 0.1, (0.1, 0.1), INF)),
    ("skip", 0.0, lambda: fr.ResidualBlock(8, 8, RELU, 0.0, (0.1, 0.1), 0.0)),
    ("s", -8.0, lambda: BLOCK.moment(-8.0)),
    ("widths", 8, lambda: fr.fourth_moment_ratio(8, RELU)),
    ("widths", [], lambda: fr.fourth_moment_ratio([], RELU)),
    ("width", 0, lambda: fr.fourth_moment_ratio([8, 0], RELU)),
    ("widths", None, lambda: fr.fourth_moment_ratio([1] * 1000, RELU)),
    ("s", 101, lambda: BLOCK.moment(101)),
    ("s", 2.5, lambda: BLOCK.critical_skip(2.5)),
    ("alpha", 100.0, lambda: BLOCK.critical_skip(1, 100.0)),
    ("skip", 1.5, lambda: BLOCK.critical_alpha(1, 1.5)),
    ("n", 0, lambda: BLOCK.simulate_log_norms(0, 1, rng=RNG)),
    ("depth", 0, lambda: BLOCK.simulate_log_norms(1, 0, rng=RNG)),
    ("rng", 0, lambda: BLOCK.simulate_log_norms(1, 1, rng=0)),
    ("s", -8, lambda: fr.moment(-8, 8, LEAKY)),
    ("s", NAN, lambda: fr.moment(NAN, 8, LEAKY)),
    ("s", 2.5, lambda: fr.critical_variance(2.5, 8, RELU)),
    ("s", -0.1, lambda: fr.critical_variance([1, -0.1], 8, RELU)),
    ("s", 1e-4, lambda: fr.critical_variance(1e-4, 1, RELU)),
    ("s", True, lambda: fr.critical_variance(True, 8, RELU)),
    ("s", 0, lambda: fr.required_draws(0.1, 0, 1, 8, RELU)),
    ("relative_error", 0, lambda: fr.required_draws(0, 1, 1, 8, RELU)),
    ("s", -1.0, lambda: fr.tilted_log_mean(-1.0, 0.1, 8, RELU)),
    ("bias_std", 0.0, lambda: fr.StationaryLaw(8, RELU, 0.1, 0.0)),
    ("variance", 5.0, lambda: fr.StationaryLaw(8, LEAKY, 5.0, 0.1)),
    ("bias_std", -0.1, lambda: fr.square_moments(2, 8, RELU, 0.1, -0.1)),
    ("norm", 0.0, lambda: fr.square_moments(2, 8, RELU, 0.1, 0.1, norm=0.0)),
    ("formula", "paper", lambda: fr.expansion_variance(1, 8, RELU, "paper")),
    ("formula", "exact", lambda: fr.expansion_variance(1, 8, RELU, formula="exact")),
    ("source", "paper", lambda: fr.expansion_variance(1, 8, RELU, source="paper")),
    ("source", "derived", lambda: fr.expansion_variance(1, 8, RELU, "published", source="derived")),
    ("formula", "published", lambda: fr.expansion_variance(1, 8, fr.RReLU(), "published")),
    ("formula", "published", lambda: fr.expansion_variance(1, 8, fr.Abs(), "published")),
    ("formula", "orthogonal", lambda: fr.expansion_variance(1, 8, RELU, "published", weights="orthogonal")),
    ("source", "published", lambda: fr.expansion_variance(0, 1, fr.LeakyReLU(3.0), source="published")),
    ("weights", "haar", lambda: fr.moment(1, 8, RELU, weights="haar")),
    ("activation", "relu", lambda: fr.moment(1, 8, "relu")),
    ("variance", 5.0, lambda: fr.preserved_order(5.0, 8, LEAKY)),
    ("depth", -1, lambda: fr.survival_probability(-1, 8, RELU)),
    ("depth", 0, lambda: fr.LogNormLaw(0, 8, RELU, 0.1)),
    ("depth", 1.5, lambda: fr.simulate_log_norms(1, 1.5, 8, RELU, 0.1, rng=RNG)),
    ("n", 0, lambda: fr.simulate_log_norms(0, 1, 8, RELU, 0.1, rng=RNG)),
    ("bias_std", -1, lambda: fr.simulate_log_norms(1, 1, 8, RELU, 0.1, bias_std=-1, rng=RNG)),
    ("rng", 0, lambda: fr.simulate_log_norms(1, 1, 8, RELU, 0.1, rng=0)),
    ("weights", "orthogonal", lambda: fr.LogNormLaw(1, 8, fr.Linear(), 0.1, weights="orthogonal")),
    ("eps", 0, lambda: LAW.small_output_probability(0)),
    ("eps", NAN, lambda: LAW.small_output_probability(NAN)),
    ("x", INF, lambda: LAW.cdf(INF)),
    ("q", 0, lambda: LAW.ppf(0)),
    ("q", 1.0, lambda: LAW.ppf(1.0)),
    ("width", 2.0, lambda: fr.moment(1, [1, 2.0], RELU)),
    ("s", INF, lambda: fr.moment([1.0, INF], 8, RELU)),
    ("n", 0, lambda: fr.simulate_tilted_log_norms(0, 1, 8, RELU, 0.1, s=1, rng=RNG)),
    ("depth", 0, lambda: fr.simulate_tilted_log_norms(1, 0, 8, RELU, 0.1, s=1, rng=RNG)),
    ("s", -1, lambda: fr.simulate_tilted_log_norms(1, 1, 8, RELU, 0.1, s=-1, rng=RNG)),
    ("rng", None, lambda: fr.simulate_tilted_log_norms(1, 1, 8, RELU, 0.1, s=1, rng=None)),
    ("depth", 0, lambda: fr.required_draws(0.1, 1, 0, 8, RELU)),
    ("weights", "haar", lambda: fr.simulate_log_norms(1, 1, 8, RELU, 0.1, rng=RNG, weights="haar")),
    ("weights", ["gaussian"], lambda: fr.log_moments(8, RELU, weights=["gaussian"])),
    ("activation", "rellu", lambda: fr.activation("rellu")),
    ("activation", 3, lambda: fr.activation(3)),
    ("activation", "prelu", lambda: named("prelu", 0.1)),
    ("negative_slope", 0.1, lambda: fr.activation("abs", negative_slope=0.1)),
    ("negative_slope", INF, lambda: named("leaky_relu", INF)),
    ("rng", None, lambda: fr.RReLU().apply([1.0])),
    ("rng", 1, lambda: fr.Dropout(RELU, 0.1).draw_slopes([1.0], 1)),
    ("negative_slope", NAN, lambda: fr.LeakyReLU(NAN)),
    ("negative_slope", 1e-200, lambda: fr.LeakyReLU(1e-200)),
    ("lower", 0.5, lambda: fr.RReLU(0.5, 0.25)),
    ("upper", INF, lambda: fr.RReLU(0.5, INF)),
    ("p", 1, lambda: fr.Dropout(RELU, 1)),
    ("p", -0.1, lambda: fr.Dropout(RELU, -0.1)),
    ("activation", "relu", lambda: fr.Dropout("relu", 0.1)),
    ("k", 0, lambda: fr.hill([1.0, 2.0], 0)),
    ("k", 2, lambda: fr.hill([1.0, 2.0], 2)),
    ("sample", -1.0, lambda: fr.hill([1.0, -1.0], 1)),
    ("sample", None, lambda: fr.hill([1.0, 1.0], 1)),
    ("level", 1.0, lambda: fr.hill([1.0, 2.0], 1, level=1.0)),
    ("k", 1, lambda: fr.moment_estimator([1.0, 2.0, 3.0], 1)),
    ("sample", 0.0, lambda: fr.moment_estimator([1.0, 0.0, 3.0], 2)),
    ("k", 4, lambda: fr.log_log_regression([1.0, 2.0, 3.0, 4.0], 4)),
    ("sample", -1.0, lambda: fr.log_log_regression([1.0, 2.0, 3.0, -1.0], 2)),
    ("k", 1, lambda: fr.extreme_value_index([1.0, 2.0, 3.0], 1)),
    ("block", 1, lambda: fr.stable_index([1.0, 2.0], 1)),
    ("sample", NAN, lambda: fr.stable_index([1.0, NAN], 2)),
    ("sample", None, lambda: fr.stable_index([1.0, 2.0], 3)),
    ("sample", None, lambda: fr.stable_index([1.0, 0.0], 2)),
    ("sample", None, lambda: fr.stable_index([1.0, -1.0], 2)),
    ("estimator", "best", lambda: fr.stability_plot([1.0, 2.0], [1], "best")),
]
CASES = [
    *[
        ("width", bad, lambda f=f, bad=bad: f(bad), name)
        for name, f in WITH_WIDTH.items()
        for bad in BAD_WIDTHS
    ],
    *[
        ("variance", bad, lambda f=f, b=bad: f(b), name)
        for name, f in WITH_VARIANCE.items()
        for bad in BAD_VARIANCES
    ],
    *[(argument, value, call, "") for argument, value, call in OTHERS],
]


@pytest.mark.parametrize(
    ("argument", "value", "call"), [case[:3] for case in CASES], ids=[f"{c[3]}-{c[0]}-{c[1]}" for c in CASES]
)
def test_refuses(argument, value, call):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is checked below
        call()
    message = str(error.value)
    assert message.startswith(argument)
    assert "need" in message
    if value is not None:
        assert repr(value) in message


# Take nothing that could be refused: no arguments, or made by the package only.
UNREFUSABLE = {"Abs", "Activation", "Linear", "ReLU", "StabilityPlot", "TailEstimate"}


def test_the_table_has_every_public_function():
    nodes = ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
    called = {ast.unparse(node).removeprefix("fr.") for node in nodes if isinstance(node, ast.Attribute)}
    public = {name for name in fr.__all__ if callable(getattr(fr, name))}
    assert public - called <= UNREFUSABLE
