"""Statistics without torch: tails, paired differences, tests of a mean, a count and a distribution, power."""

from fracrepro.stats.means import MeanTest, mean_test
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
)

__all__ = [
    "BinomialTest",
    "KolmogorovTest",
    "MeanTest",
    "PairedDifference",
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
    "stability_plot",
    "stable_index",
]
