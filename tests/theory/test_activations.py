"""An activation described once: what follows from the slopes, and how it is found by its name."""

import math
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy import integrate

import fracrepro as fr
from fracrepro import oracle
from fracrepro.theory import activations
from fracrepro.theory.activations import Activation
from fracrepro.theory.slopes import Slopes

FIXED = [fr.Linear(), fr.ReLU(), fr.LeakyReLU(0.3), fr.Abs()]
RANDOM = [fr.RReLU(), fr.RReLU(-0.5, 1.0), fr.Dropout(fr.ReLU(), 0.3), fr.Dropout(fr.RReLU(-0.2, 0.4), 0.25)]
slopes = st.one_of(st.just(0.0), st.floats(1e-3, 1e3), st.floats(-1e3, -1e-3))


@settings(max_examples=60, deadline=None)
@given(s=st.floats(0.01, 6), d=st.integers(1, 10**4))
def test_the_absolute_value_has_the_moments_of_chi(s, d):
    """|z| keeps z², so that R² is χ²_d: E R^s = 2^(s/2) Γ((d + s)/2)/Γ(d/2), here in 30 digits."""
    with mp.workdps(30):
        chi = float(oracle.chi_moment(s, d))
    assert fr.moment(s, d, fr.Abs()) == pytest.approx(chi, rel=1e-12, abs=0)
    assert fr.moment(s, d, fr.Abs()) == fr.moment(s, d, fr.Linear())
    assert fr.moment(s, d, fr.Abs()) != pytest.approx(fr.moment(s, d, fr.LeakyReLU(-0.999)), rel=1e-6)


def test_the_absolute_value_in_every_law():
    assert fr.critical_variance(2, 64, fr.Abs()) == 1 / 64
    assert fr.survival_probability(1000, 1, fr.Abs()) == 1
    x = np.linspace(-3, 3, 13)
    law, leaky = (fr.LogNormLaw(5, 8, phi, 0.1) for phi in (fr.Abs(), fr.LeakyReLU(-1.0)))
    assert np.array_equal(law.cdf(x), leaky.cdf(x))


@settings(max_examples=60, deadline=None)
@given(above=slopes, low=slopes, span=st.floats(0, 100), kept=st.floats(0.01, 1), order=st.integers(1, 3))
def test_even_moments_follow_from_the_slopes(above, low, span, kept, order):
    """E A^(2m) by quadrature of the slope itself, which knows nothing of signs or of components."""
    high = low + span
    law = Slopes((above, above), (low, high), kept)
    found = math.fsum(part.weight * part.mean_power(2 * order) for part in law.components)
    if high > low:
        below = integrate.fixed_quad(lambda a: a ** (2 * order), low, high, n=8)[0] / (high - low)
    else:
        below = low ** (2 * order)
    assert found == pytest.approx(kept * (above ** (2 * order) + below) / 2, rel=1e-11, abs=1e-300)
    assert math.fsum(part.weight for part in law.components) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("activation", FIXED, ids=repr)
def test_fixed_slopes_need_no_generator_and_touch_none(activation):
    z = np.array([[-2.0, 0.0], [3.0, -1e-3]])
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    found = activation.draw_slopes(z, rng)
    assert rng.bit_generator.state == before
    (above, _), (below, _) = activation.slopes.sides
    assert found.tolist() == [[below, below], [above, below]]
    assert np.array_equal(activation.apply(z), found * z)


def test_random_slopes_are_plain_draws_of_the_generator():
    """What simulations drew by hand: the same seed gives the same bits."""
    z = np.random.default_rng(0).standard_normal((50, 40))
    expected = np.where(z > 0, 1.0, np.random.default_rng(1).uniform(1 / 8, 1 / 3, z.shape))
    assert np.array_equal(fr.RReLU().draw_slopes(z, np.random.default_rng(1)), expected)
    rng = np.random.default_rng(2)
    mask = rng.random(z.shape) < 0.75
    inner = fr.RReLU().draw_slopes(z, rng)
    found = fr.Dropout(fr.RReLU(), 0.25).draw_slopes(z, np.random.default_rng(2))
    assert np.array_equal(found == 0, ~mask)
    assert found == pytest.approx(mask * inner / 0.75, rel=1e-15)


@pytest.mark.parametrize("activation", RANDOM, ids=repr)
def test_drawn_slopes_have_the_law_of_the_amplitude(activation):
    """Means of A² and A⁴ over 200000 draws within 5 standard errors: false-alarm rate 6e-7 each.

    Negative control: slopes 3 % too large leave the band; the standard errors are below 1 % of the means.
    """
    rng = np.random.default_rng(3)
    drawn = activation.draw_slopes(rng.standard_normal(200_000), rng)
    for order in (1, 2):
        powers = drawn ** (2 * order)
        error = powers.std() / math.sqrt(len(powers))
        exact = activation.even_moment(order)
        assert abs(powers.mean() - exact) < 5 * error
        assert abs(1.03 ** (2 * order) * powers.mean() - exact) > 5 * error


@pytest.mark.parametrize("activation", RANDOM, ids=repr)
def test_random_slopes_refuse_to_invent_a_generator(activation):
    with pytest.raises(ValueError, match=r"rng = None: need a numpy Generator"):
        activation.apply([1.0])


def test_every_name_makes_its_class_and_leads_back():
    assert len(set(activations.names())) == len(activations.names())
    for name in activations.names():
        made = fr.activation(name)
        assert made.name == name
        assert made == activations.named(name, 0.01)
    fixed = activations.names(fixed_slopes=True)
    assert fixed == tuple(n for n in activations.names() if not fr.activation(n).slopes.random)
    assert "rrelu" not in fixed
    assert "abs" in fixed


def test_every_torch_name_is_a_module_that_takes_the_fields():
    nn = pytest.importorskip("torch").nn
    for name in activations.names():
        made = fr.activation(name)
        if made.torch_name:
            module = getattr(nn, made.torch_name)(**asdict(made))
            assert {field: getattr(module, field) for field in asdict(made)} == asdict(made)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fr.activation("rellu"), "activation = 'rellu': need one of .* did you mean 'relu'"),
        (lambda: activations.named("leaky", 0.1), "activation = 'leaky': need .* did you mean 'leaky_relu'"),
        (lambda: fr.activation("relu", negative_slope=0.1), "negative_slope = 0.1: need .* which has none"),
        (lambda: fr.activation("leaky_relu", slope=0.1), "slope = 0.1: need .* has negative_slope"),
        (lambda: fr.activation("leaky_relu", negative_slope="x"), "negative_slope = 'x': need"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_new_activation_is_one_class(monkeypatch):
    """The class alone: its name is listed, its law is exact, its values can be drawn."""
    monkeypatch.setattr(Activation, "registry", dict(Activation.registry))

    @dataclass(frozen=True)
    class TwoSlopes(Activation):
        """Another slope on either side."""

        name = "two_slopes"
        up: float = 2.0
        down: float = 0.5

        @property
        def slopes(self):
            return Slopes.fixed(self.up, self.down)

    assert activations.names()[-1] == activations.names(fixed_slopes=True)[-1] == "two_slopes"
    made = activations.named("two_slopes", 0.3, up=3.0)
    assert made == TwoSlopes(3.0, 0.5)
    assert fr.moment(2, 10, made) == pytest.approx(10 * (9 + 0.25) / 2, rel=1e-14)
    assert made.apply([1.0, -1.0]).tolist() == [3.0, -0.5]
    # E R^s is homogeneous: slopes (3, 1/2) are 3 times (1, 1/6).
    assert fr.moment(1, 7, made) == pytest.approx(3 * fr.moment(1, 7, fr.LeakyReLU(1 / 6)), rel=1e-13)

    with pytest.raises(ValueError, match=r"name = 'relu': need another one, ReLU has it"):
        type("Other", (Activation,), {"name": "relu"})
