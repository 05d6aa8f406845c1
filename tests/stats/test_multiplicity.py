"""Holm's rule against the closed test that it shortens, and its error rate over 200 seeds."""

import itertools

import numpy as np
import pytest
from scipy import stats

from fracrepro.stats.equivalence import one_sided
from fracrepro.stats.multiplicity import holm


def closed(p, groups):
    """The closed test: every set of hypotheses that can be true together is tested by Bonferroni's rule."""
    indices = range(len(p))
    sets = [
        chosen
        for size in range(1, len(p) + 1)
        for chosen in itertools.combinations(indices, size)
        if len({groups[i] for i in chosen}) == size
    ]
    worst = {chosen: min(1.0, len(chosen) * min(p[i] for i in chosen)) for chosen in sets}
    return np.array([max(value for chosen, value in worst.items() if i in chosen) for i in indices])


@pytest.mark.parametrize("seed", range(20))
def test_without_groups_it_is_the_closed_test(seed):
    p = np.random.default_rng(seed).uniform(0, 0.3, 6) ** 2
    np.testing.assert_allclose(holm(p), closed(p, list(range(6))), rtol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_with_groups_it_lies_between_the_closed_test_and_the_plain_rule(seed):
    p, groups = np.random.default_rng(seed).uniform(0, 0.3, 6) ** 2, [0, 0, 1, 1, 2, 2]
    found = holm(p, groups)
    assert (found >= closed(p, groups) * (1 - 1e-14)).all()
    assert (found <= holm(p) * (1 + 1e-14)).all()


def claims(seed, adjust):
    """Ten comparisons that share a noise, half of them without a difference and half with the margin's."""
    rng = np.random.default_rng([5, seed])
    true = np.repeat([0.0, 1.0], 5)
    values = true + 0.6 * rng.normal(size=(20, 1)) + 0.8 * rng.normal(size=(20, 10))
    p = []
    for column in values.T:
        equivalent = max(one_sided(column + 1.0), one_sided(1.0 - column))
        p += [float(stats.ttest_1samp(column, 0).pvalue), equivalent]
    found = adjust(p) <= 0.05
    wrong = np.where(true == 0, found[::2], found[1::2])
    right = np.where(true == 0, found[1::2], found[::2])
    return wrong.any(), right.mean()


def test_one_wrong_claim_among_twenty_is_rare_over_200_seeds():
    groups = np.repeat(np.arange(10), 2).tolist()
    high = stats.binom.ppf(0.999, 200, 0.05)
    grouped = [claims(seed, lambda p: holm(p, groups)) for seed in range(200)]
    plain = [claims(seed, holm) for seed in range(200)]
    assert sum(wrong for wrong, _ in grouped) <= high
    assert sum(wrong for wrong, _ in plain) <= high
    # What excludes each other is paid for once: more right claims than by the plain rule.
    assert np.mean([right for _, right in grouped]) > np.mean([right for _, right in plain]) > 0.7
    # Control: without any rule wrong claims are common.
    assert sum(wrong for wrong, _ in (claims(seed, np.array) for seed in range(200))) > high


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match=r"p_values = 1\.5"):
        holm([1.5])
    with pytest.raises(ValueError, match="groups: 1 for p-values of shape"):
        holm([0.5, 0.1], ["a"])
