// Page 12: how two inputs become parallel on their way through a ReLU network.
"use strict";

fracrepro.figure("angle", (panel) => {
  const { fixed, chart } = fracrepro;
  const { widths, angles, depth: deepest, networks, degrees } = fracrepro.data.angles;
  const layers = Array.from({ length: deepest + 1 }, (_, k) => k);

  panel.slider("angle", "angle between the inputs = ", { list: angles, value: 90, unit: "°" });
  panel.slider("width", "width d = ", { list: widths, value: 16 });
  panel.slider("depth", "read at depth k = ", { min: 0, max: deepest, step: 1, value: 20 });
  const picture = new chart.Chart(panel);
  const says = panel.sentence();
  const show = panel.results(
    ["wide", "infinite width"],
    ["median", "median at this width"],
    ["middle", "middle eight tenths of networks"],
  );

  // The angles over depth at infinite width: cos θ' = (sin θ + (π - θ) cos θ)/π, in degrees.
  function infinite(start) {
    const found = [start];
    for (let theta = (start * Math.PI) / 180; found.length <= deepest;) {
      theta = Math.acos(Math.min(1, (Math.sin(theta) + (Math.PI - theta) * Math.cos(theta)) / Math.PI));
      found.push((theta * 180) / Math.PI);
    }
    return found;
  }

  panel.run(({ angle, width, depth }) => {
    const [low, middle, high] = degrees[widths.indexOf(width)][angles.indexOf(angle)];
    const wide = infinite(angle);
    const written = (value) => `${fixed(value, 2)}°`;
    const words = `Two inputs at ${angle}° are ${written(middle[depth])} apart after ${depth} layers of width ${width} in the `
      + `median, and ${written(wide[depth])} at infinite width.`;
    picture.draw({
      x: { label: "depth k", range: [0, deepest], whole: true },
      y: { label: "angle between the two outputs, degrees", range: [0, 1.05 * angle] },
      series: [
        { name: `width ${width}: median and middle eight tenths`, colour: "#0173b2", x: layers, y: middle, low, high, width: 3 },
        { name: "infinite width", colour: "#222222", dash: "dashed", x: layers, y: wide },
      ],
      marks: [depth],
      says: `Angle between two outputs over depth, falling. ${words}`,
    });
    says(words);
    show("wide", written(wide[depth]));
    show("median", `${written(middle[depth])} of ${fixed(networks, 0)} networks`);
    show("middle", `${written(low[depth])} to ${written(high[depth])}`);
  });
});
