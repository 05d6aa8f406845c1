"""Interactive figures, operated in a browser by mouse and keyboard: what they show is the library's."""

import contextlib
import json
import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from scipy import special, stats

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.figures.numbers import number
from fracrepro.figures.style import order_style
from fracrepro.nn import initialize_, networks, schemes
from fracrepro.nn.experiments.registry import EXPERIMENTS
from fracrepro.stats.paired import paired_difference
from fracrepro.theory import activations
from fracrepro.workflow import site
from fracrepro.workflow.interactive import draws, tables
from fracrepro.workflow.interactive.registry import FIGURES
from fracrepro.workflow.records import load_record

ROOT = Path(__file__).resolve().parents[2]
# The page of each figure, under book/executed; of a training, the name of its record comes second.
PAGES = {
    "calculator": "02_moment_preservation",
    "lognorm": "05_log_normality",
    "smalloutputs": "06_small_outputs",
    "training mnist": "09_mnist",
    "training cifar10": "10_cifar10",
    "training contest": "19_schemes_compared",
    "training blocks": "19_schemes_compared",
    "angle": "12_joint_distribution",
    "spectrum": "13_isometry",
}
MOST = 1.2e6  # bytes that a page may add to what the theme loads
BUDGET = 1e-11  # relative, of every formula in the browser


def place_of(name):
    """The selector of a figure's place on its page."""
    figure, *record = name.split()
    chosen = "".join(f'[data-options*="{each}"]' for each in record)  # a page may have two trainings
    return f'[data-figure="{figure}"]{chosen}'


class Operated:
    """A figure on an open page."""

    def __init__(self, page, name):
        self.page, self.place = page, page.locator(place_of(name))

    def field(self, name):
        return self.place.locator(f'[name="{name}"]')

    def set(self, **values):
        """Type numbers, choose options, move sliders: what a mouse does, in one step each."""
        for name, value in values.items():
            field = self.field(name)
            kind = field.first.evaluate("node => node.type")
            if kind == "checkbox":
                for box in field.all():
                    box.set_checked(box.get_attribute("value") in value)
            elif field.is_disabled():
                continue
            elif kind == "select-one":
                field.select_option(value)
            else:
                field.fill(str(value))

    def results(self):
        assert "refused" not in self.place.locator(".interactive-body").get_attribute("class")
        found = self.place.locator("[data-result]").all()
        return {each.get_attribute("data-result"): each.text_content() for each in found}

    def refusals(self):
        """The messages beside the fields, by field; each is tied to its field for those who hear the page."""
        found = {}
        for field in self.place.locator('[aria-invalid="true"]').all():
            described = field.get_attribute("aria-describedby")
            found[field.get_attribute("name")] = self.page.locator(f"#{described}").text_content()
        return found


@pytest.fixture
def operate(reader):
    """Open the page of a figure; whatever a reader should not see is trouble."""

    @contextlib.contextmanager
    def opened(name, **options):
        with reader.page(f"book/executed/{PAGES[name]}.html", **options) as page:
            yield Operated(page, name)
        assert reader.trouble == []

    return opened


def refusal(function, *arguments, **options):
    """The library's message for arguments that it refuses."""
    with pytest.raises(ArgumentError) as caught:
        function(*arguments, **options)
    return str(caught.value)


# ---- every figure -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def article(book):
    def parsed(name):
        path = book.site / "book" / "executed" / f"{PAGES[name]}.html"
        return BeautifulSoup(path.read_text(), "html.parser").select_one("article")

    return parsed


def test_every_figure_is_on_one_page_and_every_page_is_tested(book):
    found = {}
    for name in site.toc_files(book.project):
        soup = BeautifulSoup((book.site / f"{name}.html").read_text(), "html.parser")
        places = [
            " ".join([place["data-figure"], *json.loads(place.get("data-options", "{}")).values()])
            for place in soup.select(".interactive-place")
        ]
        loaded = [script["src"] for script in soup.select("script[src*='/interactive/']")]
        assert bool(places) == bool(loaded), f"{name}: only pages with a figure load scripts"
        for figure in places:
            found[figure] = name.removeprefix("book/executed/")
    assert found == PAGES
    assert {name.split()[0] for name in found} == set(FIGURES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_little(book, name):
    """Scripts, tables and styles of all figures on the page."""
    soup = BeautifulSoup((book.site / "book" / "executed" / f"{PAGES[name]}.html").read_text(), "html.parser")
    sources = [tag.get("src") or tag.get("href") for tag in soup.select("script[src], link[href]")]
    ours = [source.partition("?")[0] for source in sources if "_static/interactive/" in source]
    assert len(ours) >= 3
    paths = [(book.site / "book" / "executed" / source).resolve() for source in ours]
    assert sum(path.stat().st_size for path in paths) < MOST


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_and_on_paper_words_remain_that_lead_to_what_is_static(article, name):
    box = article(name).select_one(f".interactive:has({place_of(name)})")
    assert not box.select_one(".interactive-place").contents  # a script fills it
    assert box.select_one(".interactive-static").select("a, code")
    assert len(box.select_one(".interactive-caption").get_text().split()) >= 20


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_what_is_seen_without_scripts_and_on_paper(operate, browser, served, name):
    still = browser.new_page(java_script_enabled=False)
    still.goto(f"{served}book/executed/{PAGES[name]}.html")
    box = still.locator(f".interactive:has({place_of(name)})")
    assert box.locator(".interactive-static").is_visible()
    assert not box.locator(".interactive-place").is_visible()
    still.close()
    with operate(name) as figure:
        box = figure.page.locator(f".interactive:has({place_of(name)})")
        assert figure.place.is_visible()
        assert not box.locator(".interactive-static").is_visible()
        figure.page.emulate_media(media="print")
        assert box.locator(".interactive-static").is_visible()
        assert not figure.place.is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_figure_fits_a_phone_and_every_field_has_a_name_and_is_reached_by_tab(operate, name):
    with operate(name, viewport={"width": 390, "height": 844}) as figure:
        right = figure.place.evaluate(
            "node => Math.max(...[node, ...node.querySelectorAll('*')].map("
            "each => each.getBoundingClientRect().right))"
        )
        assert right <= 390
        assert figure.page.evaluate("document.documentElement.scrollWidth") <= 390
        fields = figure.place.locator("input:enabled, select:enabled").all()
        labelled = "node => [...node.labels].map(label => label.textContent.trim()).join()"
        assert all(len(field.evaluate(labelled)) > 1 for field in fields)
        fields[0].focus()
        for field in fields:
            assert field.evaluate("node => node === document.activeElement"), field.get_attribute("name")
            assert field.bounding_box()["height"] >= 13
            figure.page.keyboard.press("Tab")


@pytest.mark.browser
def test_numbers_are_written_as_the_book_writes_them(operate):
    rng = random.Random(1)
    values = [rng.choice([-1, 1]) * 10 ** rng.uniform(-12, 12) for _ in range(300)]
    values += [0.0, 1.0, -10.0, 999999.5, 0.0001, 1e-5, 99.99995, 1e6]
    with operate("calculator") as figure:
        evaluated = "values => values.map(x => [fracrepro.significant(x, 4), fracrepro.fixed(x, 3, true)])"
        shown = figure.page.evaluate(evaluated, values)
    for value, (significant, fixed) in zip(values, shown, strict=True):
        assert significant == number(value, ".4g"), value
        assert fixed == number(value, "+.3f") or abs(value) >= 1e9


def test_tables_are_made_anew_only_when_what_they_are_made_of_changes(tmp_path, monkeypatch):
    project = site.Project(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```{interactive} calculator\n```\n")
    tables.write(project, [page])
    (path,) = (tmp_path / "book").rglob("*.js")
    first = path.stat().st_ino
    tables.write(project, [page])
    assert path.stat().st_ino == first
    monkeypatch.setattr(tables.sources, "source_digests", lambda: {"fracrepro.theory.slopes": "other"})
    tables.write(project, [page])
    assert path.stat().st_ino != first


# ---- page 02, the calculator ------------------------------------------------------------------------------


def calculated(s, width, activation, negative_slope, p, weights, depth):
    """What the calculator must show, from the library."""
    phi = activations.named(activation, float(negative_slope))
    phi = fr.Dropout(phi, p) if p else phi
    variance = fr.critical_variance(s, width, phi, weights=weights)
    kaiming = fr.critical_variance(2, width, phi, weights=weights)
    exponent = fr.lyapunov_exponent(variance, width, phi, weights=weights)
    constant = weights == "orthogonal" and phi.is_linear
    alive = fr.survival_probability(depth, width, phi)
    dead = -math.expm1(depth * math.log1p(-((1 - phi.survival) ** width)))
    survivors = number(alive, ".6g") if dead >= 1e-3 else f"all but {number(dead, '.4g')}"
    gain = math.sqrt(variance * (width if weights == "gaussian" else 1))
    assert s == 0 or constant or fr.tail_index(variance, width, phi, weights=weights) == pytest.approx(s)
    return {
        "variance": number(variance, ".10g"),
        "gain": number(gain, ".10g"),
        "kaiming": number(100 * (variance / kaiming - 1), "+.4f") + " %",
        "lyapunov": "0: the norm stays as it is" if constant else number(0.0 if s == 0 else exponent, ".6g"),
        "tail": "none" if constant or s == 0 else number(s, ".6g"),
        "survival": "all" if phi.survival == 1 else survivors,
    }


SETTINGS = [
    {"s": 1, "width": 64, "activation": "relu", "weights": "gaussian", "p": 0},
    {"s": 0.37, "width": 3, "activation": "relu", "weights": "orthogonal", "p": 0.3},
    {"s": 2, "width": 512, "activation": "leaky_relu", "negative_slope": -0.3, "p": 0},
    {"s": 1.5, "width": 17, "activation": "leaky_relu", "negative_slope": 0.9, "p": 0.5},
    {"s": 0, "width": 8, "activation": "relu", "depth": 100},
    {"s": 0.05, "width": 20, "activation": "rrelu", "weights": "orthogonal"},
    {"s": 1.2, "width": 1000000, "activation": "linear", "weights": "gaussian"},
    {"s": 1.2, "width": 5, "activation": "linear", "weights": "orthogonal"},
    {"s": 0.7, "width": 1, "activation": "abs", "weights": "gaussian"},
]
START = {"s": 1, "width": 64, "activation": "relu", "negative_slope": 0.01, "p": 0}
START |= {"weights": "gaussian", "depth": 20}


def check_calculator(figure, **setting):
    setting = START | setting
    figure.set(**dict(sorted(setting.items(), key=lambda item: item[0] == "negative_slope")))
    shown = figure.results()
    line = shown.pop("torch")
    assert shown == calculated(**setting)
    name, value = re.fullmatch(r"torch\.nn\.init\.(\w+)_\(layer\.weight, \w+=(.*)\)", line).groups()
    expected = math.sqrt(
        fr.critical_variance(setting["s"], setting["width"], phi_of(setting), weights=setting["weights"])
    )
    assert name == ("normal" if setting["weights"] == "gaussian" else "orthogonal")
    assert float(value) == pytest.approx(expected, rel=BUDGET)


def phi_of(setting):
    phi = activations.named(setting["activation"], float(setting["negative_slope"]))
    return fr.Dropout(phi, setting["p"]) if setting["p"] else phi


@pytest.mark.browser
def test_the_calculator_shows_the_digits_of_the_library(operate):
    with operate("calculator") as figure:
        for setting in SETTINGS:
            check_calculator(figure, **setting)
        for name in activations.names():
            check_calculator(figure, activation=name)


@pytest.mark.browser
def test_a_wrong_slope_in_the_calculator_would_be_seen(operate):
    with operate("calculator") as figure:
        check_calculator(figure)
        figure.page.evaluate(
            "fracrepro.data.activations.find(each => each.name === 'relu').negative = [1e-4, 1e-4]"
        )
        with pytest.raises(AssertionError):
            check_calculator(figure, width=65)


@pytest.mark.browser
def test_the_calculator_is_operated_by_keyboard(operate):
    with operate("calculator") as figure:
        keyboard = figure.page.keyboard
        figure.field("s").focus()
        keyboard.press("ArrowUp")
        assert figure.results().items() >= calculated(**START | {"s": 1.1}).items()
        keyboard.press("Tab")
        keyboard.press("Control+a")
        keyboard.type("128")
        keyboard.press("Tab")
        keyboard.press("ArrowDown")
        names = activations.names()
        after = names[(names.index("relu") + 1) % len(names)]
        setting = {"s": 1.1, "width": 128, "activation": after}
        assert figure.results().items() >= calculated(**START | setting).items()


@pytest.mark.browser
def test_the_copied_line_fills_a_layer(operate):
    import torch

    with operate("calculator", permissions=["clipboard-read", "clipboard-write"]) as figure:
        figure.set(width=32, weights="orthogonal")
        figure.place.get_by_role("button", name="Copy").click()
        figure.place.get_by_text("copied").wait_for()
        line = figure.page.evaluate("navigator.clipboard.readText()")
    layer = torch.nn.Linear(32, 32)
    exec(line, {"torch": torch, "layer": layer})
    square = (layer.weight @ layer.weight.T).diag().detach().numpy()
    variance = fr.critical_variance(1, 32, fr.ReLU(), weights="orthogonal")
    np.testing.assert_allclose(square, variance, rtol=1e-5)  # single precision


REFUSED = {
    "s": [
        ("2.5", lambda: fr.critical_variance(2.5, 64, fr.ReLU())),
        ("-1", lambda: fr.critical_variance(-1, 64, fr.ReLU())),
    ],
    "width": [
        ("0", lambda: fr.critical_variance(1, 0, fr.ReLU())),
        ("1.5", lambda: fr.critical_variance(1, 1.5, fr.ReLU())),
    ],
    "p": [("1", lambda: fr.Dropout(fr.ReLU(), 1))],
    "depth": [("0", lambda: fr.survival_probability(0, 64, fr.ReLU()))],
}


@pytest.mark.browser
def test_the_calculator_refuses_in_the_words_of_the_library(operate):
    with operate("calculator") as figure:
        for name, cases in REFUSED.items():
            for typed, refused in cases:
                figure.set(**{name: typed})
                assert figure.refusals() == {name: refusal(refused)}
            figure.set(**{name: ""})
            assert figure.refusals()[name].startswith(f"{name}: need ")
            figure.set(**{name: START[name]})
            assert figure.refusals() == {}
        figure.set(activation="leaky_relu", negative_slope="1e-101")
        assert figure.refusals() == {"negative_slope": refusal(fr.LeakyReLU, 1e-101)}
        figure.set(activation="relu", width=1, s=0.001)
        assert figure.refusals() == {"s": refusal(fr.critical_variance, 0.001, 1, fr.ReLU())}
        assert figure.place.locator(".interactive-body.refused").count() == 1
        figure.set(s=1, width=64)
        check_calculator(figure)


@pytest.mark.browser
def test_the_formulas_in_the_browser_are_the_library_s(operate):
    rng = random.Random(2)
    cases = []
    for _ in range(80):
        name = rng.choice([*activations.names(), "leaky_relu"])
        slope = rng.choice([0.01, -0.3, 0.5, 3.0, 1e-6])
        made = activations.named(name, slope)
        case = {
            "s": rng.choice([0.0, 2.0, rng.uniform(0.02, 2)]),
            "width": int(10 ** rng.uniform(0, 6)),
        }
        case |= {
            "p": rng.choice([0.0, rng.uniform(0, 0.9)]),
            "weights": rng.choice(["gaussian", "orthogonal"]),
        }
        case |= {"slopes": [made.slopes.positive, made.slopes.negative], "phi": made}
        cases.append(case)
    script = """cases => cases.map(({s, width, p, weights, slopes}) => {
        const found = fracrepro.laws.critical(s, width, fracrepro.laws.activation(...slopes, p), weights);
        return [String(found.logVariance), found.lyapunov];
    })"""
    with operate("calculator") as figure:
        plain = [{key: value for key, value in case.items() if key != "phi"} for case in cases]
        shown = figure.page.evaluate(script, plain)
    compared = 0
    for case, (log_variance, exponent) in zip(cases, shown, strict=True):
        phi = fr.Dropout(case["phi"], case["p"]) if case["p"] else case["phi"]
        law = {"weights": case["weights"]}
        try:
            variance = fr.critical_variance(case["s"], case["width"], phi, **law)
        except ArgumentError:
            assert abs(float(log_variance.replace("Infinity", "inf"))) > math.log(np.finfo(float).max)
            continue
        assert abs(math.expm1(float(log_variance) - math.log(variance))) < BUDGET
        library = fr.lyapunov_exponent(variance, case["width"], phi, **law)
        assert exponent == pytest.approx(library, abs=BUDGET)
        compared += 1
    assert compared > 60


# ---- page 05, the law of the log-norm ---------------------------------------------------------------------

PHIS = {"relu": fr.ReLU(), "linear": fr.Linear()}


def drawn(figure):
    """The curves of a chart, as the numbers that they were drawn from."""
    return figure.place.evaluate("node => node.querySelector('.interactive-chart').drawn()")


def positions(figure, **values):
    """Move sliders to values: those that run over a list are set to the place of the value in it."""
    for name, value in values.items():
        field = figure.field(name)
        place = field.evaluate("(node, value) => node.positionOf(value)", value)
        field.fill(str(place))
        assert field.evaluate("node => node.positionOf(node.chosen())") == place


def check_law(figure, activation, s, width, depth):
    figure.set(activation=activation)
    positions(figure, s=s, width=width, depth=depth)
    phi = PHIS[activation]
    law = fr.LogNormLaw(depth, width, phi, fr.critical_variance(s, width, phi))
    z = np.arange(-50, 51) / 20
    sd = math.sqrt(law.var())
    distance = np.abs(law.cdf(law.mean() + sd * z) - special.ndtr(z)).max()
    assert figure.results() == {
        "mean": number(law.mean() if s else 0.0, ".6g"),
        "sd": number(sd, ".6g"),
        "below": number(float(law.cdf(0.0)), "+.6f").lstrip("+"),
        "distance": number(distance, ".4g"),
    }
    curves = {curve["name"]: curve for curve in drawn(figure)}
    curve = curves[f"exact, s = {s:g}"]
    exact = law.pdf(np.array(curve["x"]))
    np.testing.assert_allclose(curve["y"], exact, rtol=0, atol=1e-11 * exact.max())
    curve = curves["normal limit"]
    normal = stats.norm.pdf(np.array(curve["x"]), law.mean(), sd)
    np.testing.assert_allclose(curve["y"], normal, rtol=1e-11)


LAWS = [
    ("relu", 1.0, 64, 20),
    ("linear", 0.0, 2, 3),
    ("relu", 0.5, 8, 50),
    ("relu", 2.0, 256, 1),
    ("linear", 1.5, 128, 50),
]


@pytest.mark.browser
def test_the_law_of_the_log_norm_is_the_library_s(operate):
    with operate("lognorm") as figure:
        for setting in LAWS:
            check_law(figure, *setting)
        label = figure.place.get_by_role("img").get_attribute("aria-label")
        assert figure.place.locator(".interactive-says").text_content() in label


@pytest.mark.browser
def test_a_wrong_law_of_the_log_norm_would_be_seen(operate):
    with operate("lognorm") as figure:
        figure.page.evaluate(
            "() => { const law = fracrepro.walk.law;"
            "fracrepro.walk.law = (kind, d, k) => law(kind, d + 1, k); }"
        )
        with pytest.raises(AssertionError):
            check_law(figure, "relu", 1.0, 256, 20)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["lognorm", "smalloutputs"])
def test_sliders_move_by_keyboard_and_mouse(operate, name):
    with operate(name) as figure:
        slider, before = figure.field("depth"), figure.results()
        slider.focus()
        figure.page.keyboard.press("ArrowRight")
        assert slider.input_value() == "21"
        after = figure.results()
        assert after != before
        figure.page.keyboard.press("ArrowLeft")
        assert figure.results() == before
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        figure.page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
        assert 100 < int(slider.input_value()) < 200
        assert figure.results() != before
        figure.page.keyboard.press("Home")
        assert slider.get_attribute("aria-valuetext") == "1"


# ---- page 06, small outputs -------------------------------------------------------------------------------


def check_small(figure, exponent, s, width, depth):
    positions(figure, exponent=exponent, s=s, width=width, depth=depth)
    phi = fr.ReLU()
    variances = {"order": fr.critical_variance(s, width, phi), "kaiming": 2 / width, "xavier": 1 / width}
    laws = {key: fr.LogNormLaw(depth, width, phi, value) for key, value in variances.items()}
    chances = {key: law.small_output_probability(10**exponent) for key, law in laws.items()}
    dead = -math.expm1(depth * math.log1p(-(2.0**-width)))
    written = {key: number(value, ".4g") if value >= 1e-9 else "below 10⁻⁹" for key, value in chances.items()}
    written["dead"] = number(dead, ".4g") if dead >= 1e-9 else "below 10⁻⁹"
    known = min(chances["order"], chances["kaiming"]) >= 1e-9
    written["ratio"] = number(chances["kaiming"] / chances["order"], ".4g") if known else "–"
    assert figure.results() == written
    for key, curve in zip(laws, drawn(figure), strict=True):
        there = np.array([np.nan if y is None else y for y in curve["y"]])
        exact = laws[key].small_output_probability(np.array(curve["x"]))
        np.testing.assert_allclose(there[exact > 2e-9], exact[exact > 2e-9], rtol=1e-11, atol=1e-13)


@pytest.mark.browser
def test_the_probabilities_of_small_outputs_are_the_library_s(operate):
    with operate("smalloutputs") as figure:
        for setting in [
            (-1, 1.0, 64, 20),
            (-2.3, 0.5, 8, 30),
            (0.4, 2.0, 256, 200),
            (-4, 0.05, 16, 5),
            (-1.5, 1.5, 2, 3),
        ]:
            check_small(figure, *setting)
        figure.page.evaluate("fracrepro.laws.critical = () => ({ logVariance: Math.log(2.01 / 64) })")
        with pytest.raises(AssertionError):
            check_small(figure, -1, 1.0, 64, 20)


# ---- pages with recorded trainings ------------------------------------------------------------------------

SCALES = {"test_accuracy": 100, "train_accuracy": 100, "test_loss": 1, "train_loss": 1}


def read_off(value, figure, signed):
    if SCALES[figure] == 100:
        return number(value, "+.2f" if signed else ".2f")
    return number(value, "+.4f" if signed else ".4g")


def with_interval(mean, low, high, *how):
    return f"{read_off(mean, *how)}, interval {read_off(low, *how)} to {read_off(high, *how)}"


def check_training(figure, results, of, epoch, first=None):
    """Means with intervals at an epoch, or paired differences of one scheme, from the record itself."""
    figure.set(figure=of, view="differences" if first else "curves", run="mean")
    if first:
        figure.set(first=first)
    positions(figure, epoch=epoch)
    lost = results.loc[~np.isfinite(results["test_loss"]), ["scheme", "seed"]].drop_duplicates()
    kept = results.merge(lost, how="left", indicator=True).query("_merge == 'left_only'")
    there = SCALES[of] * kept[kept["epoch"] == epoch].pivot(index="seed", columns="scheme", values=of)
    shown = {}
    for scheme in dict.fromkeys(results["scheme"]):
        if first:
            found = paired_difference(there[first], there[scheme])
            mean, low, high = found.mean, found.low, found.high
        else:
            sample = there[scheme].dropna()
            mean = sample.mean()
            half = stats.t.isf(0.025, len(sample) - 1) * sample.sem()
            low, high = mean - half, mean + half
        shown[scheme] = "–" if scheme == first else with_interval(mean, low, high, of, bool(first))
    assert figure.results() == shown


def record_of(name):
    return load_record(ROOT / "recorded", EXPERIMENTS[name.split()[1]])


@pytest.mark.browser
@pytest.mark.parametrize("name", ["training mnist", "training cifar10"])
def test_training_curves_and_paired_differences_are_those_of_the_record(operate, name):
    results = record_of(name)
    with operate(name) as figure:
        for of in SCALES:
            check_training(figure, results, of, 3)
        for first in ("fractional", "xavier"):
            check_training(figure, results, "test_accuracy", 30, first)
            check_training(figure, results, "train_loss", 1, first)
        figure.set(view="curves", run="4", figure="test_accuracy")
        one = results.query("seed == 4 and epoch == 1").set_index("scheme")["test_accuracy"]
        assert figure.results() == {
            scheme: read_off(100 * value, "test_accuracy", False) for scheme, value in one.items()
        }


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "axis", "cells"),
    [
        ("training contest", "depth", (10, 80)),
        ("training blocks", "blocks", (24,)),
    ],
)
def test_trainings_of_several_networks_are_those_of_the_record(operate, name, axis, cells):
    results = record_of(name)
    with operate(name) as figure:
        for cell in cells:
            figure.set(cell=str(cell))
            here = results[results[axis] == cell]
            check_training(figure, here, "test_accuracy", 2)
            check_training(figure, here, "train_loss", 3, "kaiming")
        said = figure.place.locator(".interactive-says").text_content()
        at = f"{cells[-1]} blocks" if axis == "blocks" else f"{axis} {cells[-1]}"
        assert f"At {at} and epoch" in said
        # The network before that is another one: its numbers would be seen.
        other = results[results[axis] == results[axis].iloc[0]]
        if cells[-1] != results[axis].iloc[0]:
            with pytest.raises(AssertionError):
                check_training(figure, other, "test_accuracy", 2)


@pytest.mark.browser
def test_few_of_many_arms_are_on_at_first_and_no_two_of_a_colour_look_alike(operate):
    results = record_of("training contest")
    with operate("training contest") as figure:
        arms = list(dict.fromkeys(results["scheme"]))
        boxes = figure.field("shown").all()
        assert [box.get_attribute("value") for box in boxes] == arms
        on = [box.get_attribute("value") for box in boxes if box.is_checked()]
        assert arms[0] in on
        assert len(on) in (5, 6)
        assert len(drawn(figure)) == len(on)
        figure.set(shown=arms)
        looks = [(curve["colour"], curve["dash"]) for curve in drawn(figure)]
        assert len(set(looks)) == len(arms)


@pytest.mark.browser
def test_a_lost_run_leaves_curves_and_pairs_and_a_wrong_number_would_be_seen(operate):
    results = record_of("training mnist")
    change = """([epoch, value]) => {
        fracrepro.data.training_mnist.runs.test_loss.kaiming[2][epoch - 1] = value;
        fracrepro.data.training_mnist.runs.test_accuracy.xavier[5][9] += value === null ? 0 : 0.01;
    }"""
    with operate("training mnist") as figure:
        figure.page.evaluate(change, [7, None])
        rows = (results["scheme"] == "kaiming") & (results["seed"] == 2) & (results["epoch"] == 7)
        results.loc[rows, "test_loss"] = np.nan
        check_training(figure, results, "test_accuracy", 10)
        check_training(figure, results, "test_accuracy", 10, "fractional")
        figure.page.evaluate(change, [7, 1.0])
        with pytest.raises(AssertionError):
            check_training(figure, results, "test_accuracy", 10)


@pytest.mark.browser
def test_schemes_and_runs_are_switched_by_mouse_and_keyboard(operate):
    with operate("training cifar10") as figure:
        names = [schemes.get(name).label for name in ("fractional", "kaiming", "xavier")]
        assert [curve["name"] for curve in drawn(figure)] == names
        for scheme, curve in zip(("fractional", "kaiming", "xavier"), drawn(figure), strict=True):
            assert curve["colour"] == schemes.get(scheme).colour
        box = figure.place.get_by_role("checkbox", name=names[2])
        box.click()
        assert [curve["name"] for curve in drawn(figure)] == names[:2]
        box.focus()
        figure.page.keyboard.press("Space")
        assert [curve["name"] for curve in drawn(figure)] == names
        figure.set(run="every")
        assert len(drawn(figure)) == 3 * 10 + 3
        figure.set(view="differences")
        assert [curve["name"] for curve in drawn(figure) if curve.get("name")] == [
            f"{names[0]} − {names[1]}",
            f"{names[0]} − {names[2]}",
        ]
        figure.set(shown=[])
        assert "No scheme is switched on." in figure.place.locator(".interactive-says").text_content()


# ---- page 12, the angle between two inputs ----------------------------------------------------------------


def sampled_angles(width, angle, depth, seed, networks=draws.NETWORKS):
    cosine = math.cos(math.radians(angle))
    chain = fr.GramChain(width, fr.ReLU(), 0.3)
    rng = np.random.default_rng(seed)
    gram = chain.sample(networks, depth, np.array([[1, cosine], [cosine, 1]]), rng=rng)[:, -1]
    gram = gram[(gram[:, 0, 0] > 0) & (gram[:, 1, 1] > 0)]
    return np.degrees(np.arccos(np.clip(gram[:, 0, 1] / np.sqrt(gram[:, 0, 0] * gram[:, 1, 1]), -1, 1)))


def check_angle(figure, width, angle, depth):
    positions(figure, width=width, angle=angle, depth=depth)
    chain, cosine = fr.GramChain(width, fr.ReLU(), 2 / width), math.cos(math.radians(angle))
    for _ in range(depth):
        cosine = chain.cosine_map(cosine)
    shown = figure.results()
    assert shown["wide"] == f"{number(math.degrees(math.acos(cosine)), '.2f')}°"
    median = float(shown["median"].partition("°")[0])
    low, high = map(float, re.fullmatch(r"(\S+)° to (\S+)°", shown["middle"]).groups())
    return low, median, high


def beyond(value, sample, level):
    """How far the level is outside the shares of a fresh sample below and up to a quantile, in errors.

    The quantile comes from another sample, of the table's size, and is rounded to hundredths; at an atom, the
    angle 0 of networks with one live unit, the two shares differ.
    """
    error = math.sqrt(level * (1 - level) * (1 / len(sample) + 1 / draws.NETWORKS))
    below, up_to = np.mean(sample < value - 0.005), np.mean(sample <= value + 0.005)
    return max(below - level, level - up_to, 0.0) / error


@pytest.mark.browser
def test_the_angles_are_those_of_the_exact_chain(operate):
    """Nine shares: z stays below 4.5 with probability above 0.9999; at half the width it is above 10."""
    with operate("angle") as figure:
        for seed, setting in enumerate([(16, 90, 20), (128, 165, 5), (4, 30, 3)]):
            quantiles = check_angle(figure, *setting)
            fresh = sampled_angles(*setting, seed=1000 + seed, networks=8000)
            z = [beyond(value, fresh, level) for value, level in zip(quantiles, draws.LEVELS, strict=True)]
            assert max(z) < 4.5
        quantiles = check_angle(figure, 16, 90, 20)
        wrong = sampled_angles(8, 90, 20, seed=1003, networks=8000)
        assert beyond(quantiles[1], wrong, 0.5) > 10
        low = figure.field("angle")
        low.focus()
        figure.page.keyboard.press("End")
        assert low.get_attribute("aria-valuetext") == "180°"


# ---- page 13, the spectrum of the Jacobian ----------------------------------------------------------------


def singular_values(scheme, options, depth):
    """By automatic differentiation of the whole function and another library's decomposition."""
    import torch

    found = []
    for draw in range(draws.DRAWS):
        generator = torch.Generator().manual_seed(100 * depth + draw)
        net = networks.mlp([16, *[32] * depth, 16], fr.ReLU(), bias=False).double()
        initialize_(net, scheme, generator=generator, **options)
        x = torch.randn(1, 16, generator=generator, dtype=torch.float64)
        jacobian = torch.func.jacfwd(net)(x[0]).detach().numpy()
        found.append(np.linalg.svd(jacobian, compute_uv=False))
    return np.array(found)


def check_spectrum(figure, depth, names):
    positions(figure, depth=depth)
    figure.set(shown=list(names))
    curves = drawn(figure)
    assert len(curves) == draws.DRAWS * len(names)
    shown = figure.results()
    for k, name in enumerate(names):
        scheme, options = draws.starts()[name]
        values = singular_values(scheme, options, depth)
        there = np.array([curve["y"] for curve in curves[3 * k : 3 * k + 3]])
        np.testing.assert_allclose(there, np.maximum(values, 1e-12), rtol=1e-3, atol=1e-10)
        assert curves[3 * k]["colour"] == schemes.get(scheme).colour
        low, high = shown[name].split(" to ")
        assert high == number(float(f"{values.max():.4g}"), ".2g")
        assert (low == "below 10⁻¹²") == (values.min() < 1e-12)


@pytest.mark.browser
def test_the_spectra_are_those_of_the_schemes(operate):
    every = list(draws.starts())
    with operate("spectrum") as figure:
        check_spectrum(figure, 4, every)
        check_spectrum(figure, 32, [name for name in every if "looks_linear" in name or name == "kaiming"])
        figure.page.evaluate("fracrepro.data.spectra.values.kaiming[2][0][0] *= 1.01")
        with pytest.raises(AssertionError):
            check_spectrum(figure, 4, every)


@pytest.mark.browser
def test_orders_have_the_colours_of_the_other_figures(operate):
    orders = [round(0.05 * j, 2) for j in range(41)]
    with operate("lognorm") as figure:
        shown = figure.page.evaluate("orders => orders.map(fracrepro.chart.orderColour)", orders)
    for s, colour in zip(orders, shown, strict=True):
        known = order_style(s)["color"]
        gaps = [abs(int(colour[j : j + 2], 16) - int(known[j : j + 2], 16)) for j in (1, 3, 5)]
        assert max(gaps) <= 2, s  # matplotlib's map has 201 steps
