// Curves in the theme's colours, as SVG: sharp on paper, as wide as the column, its text readable by machines.
"use strict";

fracrepro.chart = (function () {
  const { significant, element } = fracrepro;
  const SPACE = { left: 58, right: 12, top: 8, bottom: 42 };
  const DASHES = { solid: null, dotted: "2 4", dashed: "8 5", mixed: "10 4 2 4" };
  let count = 0;

  function svg(tag, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null) {
        made.setAttribute(name, value);
      }
    }
    made.append(...children);
    return made;
  }

  // Round steps of 1, 2 or 5 that cut [low, high] into at most `most` pieces.
  function ticks(low, high, most, whole) {
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(whole ? 1 : 0, [1, 2, 5, 10].find((each) => each * power >= rough * (1 - 1e-9)) * power);
    const found = [];
    for (let j = Math.ceil(low / step - 1e-9); j * step <= high + 1e-9 * step; j += 1) {
      found.push(Number((j * step).toPrecision(12)));
    }
    return found;
  }

  // Powers of ten, every nth so that at most `most` are shown; the axis is in log10.
  function powers(low, high, most) {
    const step = Math.max(1, Math.ceil((high - low) / most));
    const found = [];
    for (let j = Math.ceil(low / step) * step; j <= high; j += step) {
      found.push(j);
    }
    return found;
  }

  const power = (exponent) => significant(Number(`1e${exponent}`), 1);

  // A short line that shows how a curve is drawn.
  function swatch({ colour, dash, width }) {
    const stroke = { stroke: colour, "stroke-width": width || 2, "stroke-dasharray": DASHES[dash || "solid"] };
    const line = svg("line", { x1: 0, y1: 5, x2: 32, y2: 5, ...stroke });
    return svg("svg", { class: "swatch", viewBox: "0 0 32 10", "aria-hidden": "true" }, line);
  }

  // Mix #rrggbb colours.
  function mix(first, second, share) {
    const parts = [1, 3, 5].map((j) => {
      const [a, b] = [first, second].map((colour) => parseInt(colour.slice(j, j + 2), 16));
      return Math.round(a + (b - a) * share).toString(16).padStart(2, "0");
    });
    return `#${parts.join("")}`;
  }

  // The colour of a preserved order, as fracrepro.figures.style.order_style has it.
  function orderColour(s) {
    const stops = fracrepro.data.schemes.orders; // at equal steps from 0 to 2
    const place = (s / 2) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    return mix(stops[below], stops[below + 1], place - below);
  }

  // A chart in a panel; `draw` takes axes {x, y}: {label, range, log, whole} and series
  // {name, colour, dash, width, x, y} with optional low and high for a band, or points: true; values of a
  // logarithmic axis are given as they are.  `says` is what the chart shows, in words.
  class Chart {
    constructor(panel, height) {
      this.height = height || 280;
      this.title = element("p", { class: "title", "aria-hidden": "true" });
      this.place = element("div", {});
      this.legend = element("ul", { class: "interactive-legend" });
      this.figure = element("div", { class: "interactive-chart" }, this.title, this.place, this.legend);
      this.clip = `interactive-clip-${(count += 1)}`;
      panel.body.append(this.figure);
      this.figure.drawn = () => this.last.series; // what the curves were drawn from
      new ResizeObserver(() => this.last && this.last.width !== this.place.clientWidth && this.draw(this.last))
        .observe(this.place);
    }

    draw({ x, y, series, marks, says }) {
      const width = Math.max(240, this.place.clientWidth);
      this.last = { x, y, series, marks, says, width: this.place.clientWidth };
      const box = { left: SPACE.left, right: width - SPACE.right, top: SPACE.top, bottom: this.height - SPACE.bottom };
      const across = scale(x, box.left, box.right);
      const up = scale(y, box.bottom, box.top);
      const root = svg("svg", { viewBox: `0 0 ${width} ${this.height}`, height: this.height, role: "img", "aria-label": says });
      const area = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
      root.append(svg("defs", {}, svg("clipPath", { id: this.clip }, svg("rect", area))));
      for (const tick of x.log ? powers(...x.range.map(Math.log10), width / 90) : ticks(...x.range, width / 90, x.whole)) {
        const at = across(x.log ? 10 ** tick : tick);
        root.append(svg("line", { class: "grid", x1: at, x2: at, y1: box.top, y2: box.bottom }));
        const text = x.log ? power(tick) : significant(tick, 6);
        root.append(svg("text", { x: at, y: box.bottom + 18, "text-anchor": "middle" }, text));
      }
      for (const tick of y.log ? powers(...y.range.map(Math.log10), 6) : ticks(...y.range, 5)) {
        const at = up(y.log ? 10 ** tick : tick);
        root.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }));
        const text = y.log ? power(tick) : significant(tick, 6);
        root.append(svg("text", { x: box.left - 8, y: at + 4, "text-anchor": "end" }, text));
      }
      root.append(svg("path", { class: "axis", d: `M${box.left},${box.top}V${box.bottom}H${box.right}` }));
      root.append(svg("text", { x: (box.left + box.right) / 2, y: this.height - 6, "text-anchor": "middle" }, x.label));
      const curves = svg("g", { class: "curves", "clip-path": `url(#${this.clip})` });
      for (const mark of marks || []) {
        curves.append(svg("line", { x1: across(mark), x2: across(mark), y1: box.top, y2: box.bottom, stroke: "#666", "stroke-dasharray": "3 3" }));
      }
      series.forEach((each) => curves.append(...drawn(each, across, up)));
      root.append(curves);
      this.title.textContent = y.label;
      this.place.replaceChildren(root);
      this.legend.replaceChildren(...series.filter((each) => each.name).map((each) => element("li", {}, swatch(each), ` ${each.name}`)));
    }
  }

  function scale({ range, log }, from, to) {
    const [low, high] = log ? range.map(Math.log10) : range;
    return (value) => {
      const at = log ? Math.log10(Math.max(value, 1e-300)) : value;
      return Math.round(100 * (from + ((at - low) / (high - low)) * (to - from))) / 100;
    };
  }

  function drawn(each, across, up) {
    const finite = each.x.map((x, j) => j).filter((j) => Number.isFinite(each.y[j]));
    const made = [];
    if (each.low) {
      const there = finite.map((j) => `${across(each.x[j])},${up(each.high[j])}`);
      const back = [...finite].reverse().map((j) => `${across(each.x[j])},${up(each.low[j])}`);
      made.push(svg("polygon", { points: [...there, ...back].join(" "), fill: each.colour, "fill-opacity": 0.2 }));
    }
    if (each.points) {
      for (const j of finite) {
        made.push(svg("circle", { cx: across(each.x[j]), cy: up(each.y[j]), r: 3.5, fill: each.colour, "fill-opacity": each.faint || 1 }));
      }
      return made;
    }
    const points = finite.map((j) => `${across(each.x[j])},${up(each.y[j])}`).join(" ");
    const stroke = { stroke: each.colour, "stroke-width": each.width || 2, "stroke-dasharray": DASHES[each.dash || "solid"] };
    made.push(svg("polyline", { points, fill: "none", "stroke-opacity": each.faint, ...stroke }));
    return made;
  }

  return { Chart, swatch, orderColour };
})();
