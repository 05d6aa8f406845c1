// Page 06: how likely a small output is under the scheme of an order, Kaiming's and Xavier's.
"use strict";

fracrepro.figure("smalloutputs", (panel) => {
  const { significant, laws, walk, chart } = fracrepro;
  const WIDTHS = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
  const LEAST = 1e-9; // below, the inversion has too few digits
  const schemes = fracrepro.data.schemes.schemes;
  const phi = laws.activation([1, 1], [0, 0], 0);

  panel.slider("exponent", "threshold ε/r₀ = ", { min: -4, max: 1, step: 0.1, value: -1, show: (each) => significant(10 ** each, 3) });
  panel.slider("s", "order s = ", { min: 0.05, max: 2, step: 0.05, value: 1 });
  panel.slider("width", "width d = ", { list: WIDTHS, value: 64 });
  panel.slider("depth", "depth k = ", { min: 1, max: 200, step: 1, value: 20 });
  const picture = new chart.Chart(panel);
  const says = panel.sentence();
  const show = panel.results(
    ["order", "P(output ≤ ε), order s"],
    ["kaiming", "Kaiming"],
    ["xavier", "Xavier"],
    ["ratio", "Kaiming over order s"],
    ["dead", "dead networks, under every scheme"],
  );

  const written = (probability) => (probability < LEAST ? "below 10⁻⁹" : significant(probability, 4));
  let kept = {};

  panel.run(({ exponent, s, width, depth }) => {
    if (kept.width !== width || kept.depth !== depth) {
      kept = { width, depth, law: walk.law("relu", width, depth) };
    }
    const { law } = kept;
    const logVariance = (order) => laws.critical(order, width, phi, "gaussian").logVariance;
    const { dead } = law;
    const under = (log) => (exponentHere) => {
      const given = Math.min(1, Math.max(0, law.cdf(exponentHere * Math.LN10 - 0.5 * depth * log)));
      return dead + (1 - dead) * given;
    };
    const arms = [
      { key: "order", name: `order s = ${significant(s, 3)}`, of: under(logVariance(s)), colour: chart.orderColour(s), width: 4 },
      { key: "kaiming", name: "Kaiming, s = 2", of: under(logVariance(2)), colour: schemes.kaiming.colour, dash: "dashed" },
      { key: "xavier", name: "Xavier", of: under(-Math.log(width)), colour: schemes.xavier.colour, dash: "mixed" },
    ];
    const exponents = Array.from({ length: 101 }, (_, j) => -4 + j / 20);
    const here = {};
    const series = arms.map(({ key, of, ...look }) => {
      here[key] = of(exponent);
      show(key, written(here[key]));
      const y = exponents.map(of).map((each) => (each < LEAST ? NaN : each));
      return { x: exponents.map((each) => 10 ** each), y, ...look };
    });
    const ratio = here.kaiming / here.order;
    const known = here.kaiming >= LEAST && here.order >= LEAST;
    show("ratio", known ? significant(ratio, 4) : "–");
    show("dead", written(dead));
    const words = `At most ${significant(10 ** exponent, 3)} of the input's norm is left with probability ${written(here.order)} under the order `
      + `${significant(s, 3)}, ${written(here.kaiming)} under Kaiming's scheme and ${written(here.xavier)} under Xavier's.`;
    picture.draw({
      x: { label: "threshold ε/r₀", range: [1e-4, 10], log: true },
      y: { label: "probability that the output's norm is at most ε", range: [LEAST, 2], log: true },
      series,
      marks: [10 ** exponent],
      says: `Probability of a small output over the threshold. ${words}`,
    });
    says(words);
  });
});
