"""Narrow deep ReLU networks, whose transform has a pole as multiple as there are layers: the lower tail."""

import mpmath as mp
import pytest

import fracrepro as fr


def tail(width, depth, x):
    """P(log r_k ≤ x | alive) at variance 1, by a line integral through the saddle point, in 25 digits."""
    with mp.workdps(25):
        live = range(1, width + 1)
        weights = [mp.binomial(width, n) / (mp.power(2, width) - 1) / mp.gamma(mp.mpf(n) / 2) for n in live]

        def transform(q):
            parts = [w * mp.gamma((n + q) / 2) for n, w in zip(live, weights, strict=True)]
            return (mp.power(2, q / 2) * mp.fsum(parts)) ** depth

        h = mp.mpf("1e-8")

        def slope(t):
            return (mp.log(transform(t + h)) - mp.log(transform(t - h))) / (2 * h)

        t = mp.findroot(
            lambda t: slope(t) - x, (mp.mpf("-0.95"), mp.mpf("-0.05")), solver="anderson", tol=1e-8
        )
        step, total, v = mp.mpf("0.02"), mp.mpf(0), mp.mpf(0)
        while True:
            q = t + 1j * v
            term = transform(q) * mp.exp(-q * x) / -q
            total += term.real / (2 if v == 0 else 1)
            if v > 1 and abs(term) < mp.mpf("1e-22") * abs(total):
                return total * step / mp.pi
            v += step


@pytest.mark.parametrize(
    ("width", "depth", "z"), [(1, 50, -5.0), (3, 100, -4.0), (4, 100, -4.8), (8, 200, -4.8)]
)
def test_the_lower_tail_is_relatively_exact(width, depth, z):
    """The promise is 1e-6; neighbouring copies once cost 2e-5, 8e-6 and 1.4e-6 at these points."""
    law = fr.LogNormLaw(depth, width, fr.ReLU(), 1.0)
    x = law.mean() + z * law.var() ** 0.5
    expected = tail(width, depth, mp.mpf(x))
    assert abs(law.cdf(x) / expected - 1) < 1e-11


def test_without_the_bound_on_the_way_to_the_pole_the_tail_is_wrong(monkeypatch):
    """The control: the pole's own bound alone."""
    from fracrepro.theory.numerics.inversion import ProperLines

    monkeypatch.setattr(ProperLines, "_copy_period", lambda self, j, room: 0.0)
    law = fr.LogNormLaw(50, 1, fr.ReLU(), 1.0)
    x = law.mean() - 5 * law.var() ** 0.5
    assert abs(law.cdf(x) / tail(1, 50, mp.mpf(x)) - 1) > 1e-6
