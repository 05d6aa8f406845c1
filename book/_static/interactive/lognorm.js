// Page 05: the exact law of the log-norm beside its normal limit, for any order, width and depth.
"use strict";

fracrepro.figure("lognorm", (panel) => {
  const { significant, fixed, laws, walk, chart } = fracrepro;
  const WIDTHS = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
  const schemes = fracrepro.data.schemes.schemes;

  panel.choice("activation", "activation", [["relu", "ReLU"], ["linear", "linear"]], "relu");
  panel.choice("axis", "density", [["plain", "plain"], ["log", "on a logarithmic axis"]], "plain");
  panel.slider("s", "order s = ", { min: 0, max: 2, step: 0.05, value: 1 });
  panel.slider("width", "width d = ", { list: WIDTHS, value: 64 });
  panel.slider("depth", "depth k = ", { min: 1, max: 200, step: 1, value: 20 });
  const picture = new chart.Chart(panel);
  const says = panel.sentence();
  const show = panel.results(
    ["mean", "mean"],
    ["sd", "standard deviation"],
    ["below", "share of outputs shorter than the input"],
    ["distance", "largest distance from the normal distribution function"],
  );

  let kept = {}; // the law does not depend on the order: a slider for s only shifts it

  function lawOf(activation, width, depth) {
    const key = `${activation} ${width} ${depth}`;
    if (kept.key !== key) {
      const law = walk.law(activation, width, depth);
      const z = Array.from({ length: 161 }, (_, j) => (j - 80) / 16);
      const density = z.map((each) => law.sd * law.pdf(law.mean + law.sd * each));
      const middle = Array.from({ length: 101 }, (_, j) => (j - 50) / 20);
      const gaps = middle.map((each) => Math.abs(law.cdf(law.mean + law.sd * each) - walk.normal(each)));
      kept = { key, law, z, density, distance: Math.max(...gaps) };
    }
    return kept;
  }

  panel.run(({ s, width, depth, activation, axis }) => {
    const { law, z, density, distance } = lawOf(activation, width, depth);
    const slopes = activation === "linear" ? [[1, 1], [1, 1]] : [[1, 1], [0, 0]];
    const phi = laws.activation(...slopes, 0);
    const logSigma = (order) => 0.5 * laws.critical(order, width, phi, "gaussian").logVariance;
    const at = (order) => (order === 0 ? 0 : law.mean + depth * logSigma(order)); // 0: the mean is preserved
    const [mean, kaiming] = [at(s), at(2)];
    const peak = Math.max(...density) / law.sd;
    const curve = (from, look) => ({ x: z.map((each) => from + law.sd * each), y: density.map((each) => Math.max(each, 0) / law.sd), ...look });
    const bell = z.map((each) => Math.exp(-0.5 * each * each) / Math.sqrt(2 * Math.PI) / law.sd);
    const series = [
      curve(kaiming, { name: "exact, s = 2 (Kaiming)", colour: schemes.kaiming.colour, width: 2 }),
      curve(mean, { name: `exact, s = ${significant(s, 3)}`, colour: chart.orderColour(s), width: 4 }),
      { x: z.map((each) => mean + law.sd * each), y: bell, name: "normal limit", colour: "#222222", dash: "dotted" },
    ];
    const low = Math.min(mean, kaiming) - 5 * law.sd;
    const high = Math.max(mean, kaiming) + 5 * law.sd;
    const below = law.cdf(law.mean - mean); // of log(r_k/r_0) at 0
    const words = `The log-norm has mean ${fixed(mean, 3)} and standard deviation ${fixed(law.sd, 3)}; its distribution `
      + `function is at most ${significant(distance, 2)} from the normal one.`;
    picture.draw({
      x: { label: "log of the output norm over the input norm", range: [low, high] },
      y: { label: "density", range: axis === "log" ? [1e-7 * peak, 2 * peak] : [0, 1.08 * Math.max(peak, ...bell)], log: axis === "log" },
      series,
      marks: [mean],
      says: `Density of the log-norm. ${words}`,
    });
    says(words);
    show("mean", significant(mean, 6));
    show("sd", significant(law.sd, 6));
    show("below", fixed(below, 6));
    show("distance", significant(distance, 4));
  });
});
