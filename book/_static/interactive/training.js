// Pages with recorded trainings: curves over the epochs and paired differences, by scheme and run.
"use strict";

fracrepro.figure("training", (panel, options) => {
  const { fixed, significant, chart } = fracrepro;
  const table = fracrepro.data[`training_${options.record}`];
  const { schemes, seeds, epochs, quantiles, axis, cells, arms } = table;
  const looks = fracrepro.data.schemes.schemes;
  const DASHES = ["solid", "dashed", "mixed", "dotted"];
  const FIGURES = { test_accuracy: "test accuracy", train_accuracy: "training accuracy", test_loss: "test loss", train_loss: "training loss" };
  const times = Array.from({ length: epochs }, (_, j) => j + 1);
  const label = (scheme) => (arms ? arms[scheme].label : looks[scheme].label);
  const of = (scheme) => (arms ? arms[scheme].scheme : scheme);
  // Schemes differ in dashes; where a scheme has several arms and one colour, these do.
  const rank = (scheme) => (arms ? schemes.filter((each) => of(each) === of(scheme)) : schemes).indexOf(scheme);
  const look = (scheme) => ({ colour: looks[of(scheme)].colour, dash: DASHES[rank(scheme) % DASHES.length] });

  if (axis) {
    panel.choice("cell", axis, cells.map((cell) => [cell, cell]), cells[0]);
  }
  panel.choice("figure", "figure", Object.entries(FIGURES), "test_accuracy");
  panel.choice("view", "view", [["curves", "curves"], ["differences", "paired differences"]], "curves");
  panel.choice("run", "runs", [["mean", "mean and interval"], ["every", "every run"], ...seeds.map((seed) => [String(seed), `seed ${seed}`])], "mean");
  panel.choice("first", "differences of", schemes.map((scheme) => [scheme, label(scheme)]), schemes[0]);
  panel.slider("epoch", "read at epoch ", { min: 1, max: epochs, step: 1, value: epochs });
  panel.switches("shown", "schemes", schemes.map((name) => ({ name, label: label(name), on: arms ? arms[name].on : true, mark: chart.swatch(look(name)) })));
  const picture = new chart.Chart(panel, 320);
  const says = panel.sentence();
  const show = panel.results(...schemes.map((scheme) => [scheme, label(scheme)]));

  const known = (values) => values.filter((value) => value !== null);

  // Mean with its 95 % Student interval; from a single value there is no interval.
  function interval(values) {
    const n = values.length;
    const mean = n ? values.reduce((sum, value) => sum + value, 0) / n : NaN;
    if (n < 2) {
      return [mean, NaN, NaN];
    }
    const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
    const half = (quantiles[n - 2] * spread) / Math.sqrt(n);
    return [mean, mean - half, mean + half];
  }

  // By seed one list over the epochs, in per cent or percentage points for accuracies; without lost runs.
  function curvesOf(runs, figure, view, first, scheme) {
    const factor = figure.endsWith("accuracy") ? 100 : 1;
    const lost = (name, j) => runs.test_loss[name][j].includes(null); // from the first epoch on
    return seeds.map((seed, j) => {
      const paired = view === "differences";
      if (lost(scheme, j) || (paired && lost(first, j))) {
        return times.map(() => null);
      }
      const other = runs[figure][scheme][j];
      return other.map((value, k) => factor * (paired ? runs[figure][first][j][k] - value : value));
    });
  }

  panel.run(({ cell, figure, view, run, first = schemes[0], epoch, shown }) => {
    const runs = axis ? table.runs[cell] : table.runs;
    const accuracy = figure.endsWith("accuracy");
    const paired = view === "differences";
    const written = (value) => (accuracy ? fixed(value, 2, paired) : paired ? fixed(value, 4, true) : significant(value, 4));
    const compared = schemes.filter((scheme) => !paired || scheme !== first);
    const series = [];
    const said = [];
    schemes.forEach((scheme) => show(scheme, "–"));
    for (const scheme of compared) {
      const curves = curvesOf(runs, figure, view, first, scheme);
      const bands = times.map((_, k) => interval(known(curves.map((curve) => curve[k]))));
      const chosen = run === "mean" || run === "every" ? null : curves[seeds.indexOf(Number(run))];
      const [mean, low, high] = chosen ? [chosen[epoch - 1] ?? NaN, NaN, NaN] : bands[epoch - 1];
      const text = Number.isNaN(mean) ? "–" : written(mean);
      show(scheme, Number.isNaN(low) ? text : `${text}, interval ${written(low)} to ${written(high)}`);
      if (!shown.includes(scheme)) {
        continue;
      }
      const name = paired ? `${label(first)} − ${label(scheme)}` : label(scheme);
      said.push(`${name} ${text}`);
      if (run === "every") {
        curves.forEach((curve) => series.push({ ...look(scheme), x: times, y: curve.map((value) => value ?? NaN), width: 1, faint: 0.5 }));
      }
      const part = (j) => (chosen ? undefined : bands.map((each) => each[j]));
      const y = chosen ? chosen.map((value) => value ?? NaN) : part(0);
      series.push({ name, ...look(scheme), x: times, y, low: run === "mean" ? part(1) : undefined, high: run === "mean" ? part(2) : undefined, width: 2.5 });
    }
    const all = series.flatMap((each) => [...each.y, ...(each.low || []), ...(each.high || [])]).filter(Number.isFinite);
    const [bottom, top] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
    const room = 0.05 * (top - bottom || 1);
    const unit = accuracy ? (paired ? ", percentage points" : ", per cent") : "";
    const what = `${FIGURES[figure]}${unit}`;
    const subject = run === "mean" || run === "every" ? "mean" : `seed ${run}`;
    const words = said.length ? `${axis ? `At ${axis.endsWith("s") ? `${cell} ${axis}` : `${axis} ${cell}`} and` : "At"} epoch ${epoch}, ${paired ? "difference in " : ""}${what}, ${subject}: ${said.join("; ")}.` : "No scheme is switched on.";
    picture.draw({
      x: { label: "epoch", range: [1, epochs], whole: true },
      y: { label: paired ? `difference in ${what}` : what, range: [paired ? Math.min(0, bottom) - room : bottom - room, (paired ? Math.max(0, top) : top) + room] },
      series: paired ? [{ colour: "#666666", x: [1, epochs], y: [0, 0], width: 1 }, ...series] : series,
      marks: [epoch],
      says: words,
    });
    says(words);
  });
  const view = panel.fields.get("view").input;
  const sync = () => { panel.enable("first", view.value === "differences"); panel.refresh(); };
  view.addEventListener("input", sync);
  sync();
});
