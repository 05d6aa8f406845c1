"""The two laws of the weights differ by one independent χ²_d, and no other module tells them apart."""

import re
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import special

import fracrepro as fr
from fracrepro.theory import weights
from fracrepro.theory.weights import GAUSSIAN, ORTHOGONAL

ROOT = Path(fr.__file__).parent


@pytest.mark.parametrize("activation", [fr.ReLU(), fr.LeakyReLU(0.3), fr.RReLU(), fr.Dropout(fr.ReLU(), 0.2)])
@pytest.mark.parametrize("d", [1, 2, 7, 64, 1000])
def test_an_orthogonal_moment_is_the_gaussian_one_divided_by_that_of_chi(activation, d):
    for s in (-0.5, 0.3, 1.0, 2.0, 3.5, 6.0):
        chi, wider = (
            np.exp(s / 2 * np.log(2) + special.gammaln((n + s) / 2) - special.gammaln(n / 2))
            for n in (d, d + 1)
        )
        gaussian = fr.moment(s, d, activation)
        orthogonal = fr.moment(s, d, activation, weights="orthogonal")
        assert orthogonal == pytest.approx(gaussian / chi, rel=1e-11, abs=0)
        # Negative control: the radius of a layer that is wider by one neuron must be seen.
        assert orthogonal != pytest.approx(gaussian / wider, rel=1e-11, abs=0)


def test_radius_and_divisor_are_the_whole_of_chi_squared():
    q = np.array([-0.2, 0.5, 1.0, 3.0])
    for b in (0.5, 4.0, 500.0):
        with mpmath.workdps(40):
            whole = np.array([float(mpmath.log(mpmath.rf(b, p)) / p - mpmath.log(b)) for p in q])
        for law in (GAUSSIAN, ORTHOGONAL):
            assert law.radius_rate(b, q) + law.divisor_rate(b, q) == pytest.approx(
                whole, rel=1e-13, abs=1e-15
            )
        mean, variance = GAUSSIAN.radius_cumulants(b)
        assert mean == pytest.approx(special.psi(b) - np.log(b), rel=1e-12)
        assert variance == pytest.approx(special.polygamma(1, b), rel=1e-14)


def test_laws_are_found_by_name():
    assert [weights.law(name) for name in weights.NAMES] == [GAUSSIAN, ORTHOGONAL]
    with pytest.raises(ValueError, match=r"weights = 'haar': need one of 'gaussian', 'orthogonal'"):
        weights.law("haar")


# What a branch on the name looks like; strings as defaults, in docstrings and in calls are none.
BRANCH = re.compile(r"(==|!=|\bis\b|\bin\b|\bcase\b)\s*[\[(]?\s*[\"'](gaussian|orthogonal)[\"']")
# The base of looks-linear weights has the same words, and says how a matrix is drawn, not what its law does.
BASE = re.compile(r"\bbase == [\"'](gaussian|orthogonal)[\"']")


def branches(text):
    return [line for line in text.splitlines() if BRANCH.search(BASE.sub("", line))]


def test_no_module_branches_on_the_name():
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in ROOT.rglob("*.py")
        for line in branches(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_a_branch_would_be_seen():
    assert branches('        if weights == "gaussian":')
    assert branches('    x = 1 if self.weights in ("orthogonal",) else 2')
