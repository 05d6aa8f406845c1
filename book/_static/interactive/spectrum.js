// Page 13: the singular values of the Jacobian of whole networks, scheme by scheme.
"use strict";

fracrepro.figure("spectrum", (panel) => {
  const { significant, chart } = fracrepro;
  const { depths, half, draws, labels, schemes, values } = fracrepro.data.spectra;
  const LEAST = 1e-12; // the lower edge; what is smaller is drawn there
  const looks = fracrepro.data.schemes.schemes;
  const SHOWN = ["kaiming", "looks_linear gaussian", "looks_linear orthogonal"];
  const written = (value) => (value < LEAST ? "below 10⁻¹²" : significant(value, 2));
  const dashes = ["solid", "dashed", "mixed", "dotted"];
  const names = Object.keys(values);
  const look = (name) => ({ colour: looks[schemes[name]].colour, dash: dashes[names.indexOf(name) % dashes.length] });

  panel.slider("depth", "hidden layers = ", { list: depths, value: 16 });
  panel.switches("shown", "schemes", names.map((name) => (
    { name, label: labels[name], on: SHOWN.includes(name), mark: chart.swatch(look(name)) })));
  const picture = new chart.Chart(panel, 320);
  const says = panel.sentence();
  const show = panel.results(...names.map((name) => [name, labels[name]]));
  const ranks = Array.from({ length: half }, (_, j) => j + 1);

  panel.run(({ depth, shown }) => {
    const series = [];
    const said = [];
    for (const name of names) {
      const networks = values[name][depths.indexOf(depth)];
      const all = networks.flat();
      const [least, most] = [Math.min(...all), Math.max(...all)];
      show(name, `${written(least)} to ${written(most)}`);
      if (shown.includes(name)) {
        networks.forEach((network, j) => series.push({
          name: j === 0 ? labels[name] : "", ...look(name), x: ranks, y: network.map((value) => Math.max(value, LEAST)), width: 1.8,
        }));
        said.push(`${labels[name]} from ${written(least)} to ${written(most)}`);
      }
    }
    const words = said.length ? `Singular values at ${depth} hidden layers: ${said.join("; ")}.` : "No scheme is switched on.";
    picture.draw({
      x: { label: "singular values, largest first", range: [1, half], whole: true },
      y: { label: `singular value, of ${draws} networks for each scheme`, range: [LEAST, 100], log: true },
      series,
      says: words,
    });
    says(words);
  });
});
