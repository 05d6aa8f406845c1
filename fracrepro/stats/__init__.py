"""Statistics without torch: tails, paired differences, tests of means, spreads, counts and laws, power.

Names are loaded one by one, so that a page depends on no more than it uses.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fracrepro.stats.means import MeanTest, SpreadTest, mean_test, spread_test
    from fracrepro.stats.paired import PairedDifference, detectable_difference, paired_difference
    from fracrepro.stats.power import (
        BinomialTest,
        KolmogorovTest,
        binomial_test,
        hill_power,
        kolmogorov_power_bound,
        kolmogorov_test,
    )
    from fracrepro.stats.tails import (
        StabilityPlot,
        TailEstimate,
        extreme_value_index,
        hill,
        log_log_regression,
        moment_estimator,
        stability_plot,
        stable_index,
        stable_tail_estimates,
    )

__all__ = [
    "BinomialTest",
    "KolmogorovTest",
    "MeanTest",
    "PairedDifference",
    "SpreadTest",
    "StabilityPlot",
    "TailEstimate",
    "binomial_test",
    "detectable_difference",
    "extreme_value_index",
    "hill",
    "hill_power",
    "kolmogorov_power_bound",
    "kolmogorov_test",
    "log_log_regression",
    "mean_test",
    "moment_estimator",
    "paired_difference",
    "spread_test",
    "stability_plot",
    "stable_index",
    "stable_tail_estimates",
]

_HOMES = {
    "means": ("MeanTest", "SpreadTest", "mean_test", "spread_test"),
    "paired": ("PairedDifference", "detectable_difference", "paired_difference"),
    "power": (
        "BinomialTest",
        "KolmogorovTest",
        "binomial_test",
        "hill_power",
        "kolmogorov_power_bound",
        "kolmogorov_test",
    ),
    "tails": (
        "StabilityPlot",
        "TailEstimate",
        "extreme_value_index",
        "hill",
        "log_log_regression",
        "moment_estimator",
        "stability_plot",
        "stable_index",
        "stable_tail_estimates",
    ),
}


def __getattr__(name: str) -> Any:
    """Load the module of a public name when the name is first asked for."""
    for module, public in _HOMES.items():
        if name in public:
            value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
