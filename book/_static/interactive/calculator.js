// Page 02: what one layer does under the critical variance, for any activation of the library.
"use strict";

fracrepro.figure("calculator", (panel) => {
  const { significant, fixed, element, laws, Refusal } = fracrepro;
  const activations = new Map(fracrepro.data.activations.map((each) => [each.name, each]));
  const LARGEST = Math.log(Number.MAX_VALUE);

  panel.number("s", "order s", { value: 1, interval: "[0, 2]", step: 0.1, inputmode: "decimal" });
  panel.number("width", "width d", { value: 64, interval: "[1, 1000000000]", integer: true, step: 1, inputmode: "numeric" });
  const names = [...activations.values()].map((each) => [each.name, each.label]);
  panel.choice("activation", "activation", names, "relu");
  panel.number("negative_slope", "slope below zero a", { value: 0.01, interval: "[-1e+100, 1e+100]", step: 0.01 });
  panel.number("p", "dropout p", { value: 0, interval: "[0, 1)", step: 0.05, inputmode: "decimal" });
  panel.choice("weights", "weights", [["gaussian", "Gaussian"], ["orthogonal", "orthogonal"]], "gaussian");
  panel.number("depth", "depth k", { value: 20, interval: "[1, 1000000]", integer: true, step: 1, inputmode: "numeric" });

  const show = panel.results(
    ["variance", "critical variance σ²"],
    ["gain", "gain"],
    ["kaiming", "above Kaiming's variance"],
    ["lyapunov", "Lyapunov exponent λ"],
    ["tail", "tail index with biases"],
    ["survival", "networks alive at depth k"],
  );
  const line = element("code", { "data-result": "torch", tabindex: 0, "aria-label": "the line for torch" });
  const said = element("span", { role: "status" });
  const button = element("button", { type: "button" }, "Copy");
  panel.body.append(element("p", { class: "interactive-copy" }, line, " ", button, " ", said));
  button.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(line);
    getSelection().removeAllRanges();
    getSelection().addRange(range); // where copying is not allowed, the line is at least marked
    const copied = navigator.clipboard ? navigator.clipboard.writeText(line.textContent) : Promise.reject();
    copied.then(() => "copied", () => "marked, copy it with your keyboard").then((text) => { said.textContent = text; });
  });
  const says = panel.sentence();

  function slopes({ activation, negative_slope: slope }) {
    const { positive, negative, fields } = activations.get(activation);
    if (!("negative_slope" in fields)) {
      return [positive, negative];
    }
    if (slope !== 0 && Math.abs(slope) < 1e-100) {
      throw new Refusal("negative_slope", `negative_slope = ${slope}: need 0 or an absolute value in [1e-100, 1e+100]`);
    }
    return [positive, [slope, slope]];
  }

  function survival(phi, logAlive, depth) {
    const [alive, dead] = [Math.exp(depth * logAlive), -Math.expm1(depth * logAlive)];
    if (phi.dead === 0) {
      return "all";
    }
    return dead >= 1e-3 ? significant(alive, 6) : `all but ${dead > 0 ? significant(dead, 4) : "less than 10⁻³⁰⁰"}`;
  }

  function torchLine(weights, sigma, gain) {
    return weights === "orthogonal"
      ? `torch.nn.init.orthogonal_(layer.weight, gain=${Number(gain.toPrecision(12))})`
      : `torch.nn.init.normal_(layer.weight, std=${Number(sigma.toPrecision(12))})`;
  }

  panel.run((values) => {
    const { s, width, weights, depth, p } = values;
    const phi = laws.activation(...slopes(values), p);
    const found = laws.critical(s, width, phi, weights);
    if (Math.abs(found.logVariance) >= LARGEST) {
      const size = significant(Math.abs(found.logVariance), 6).replace(/,/g, "");
      throw new Refusal("s", `s = ${s}: need an order for which critical_variance is a floating-point number; its |log| is ${size}`);
    }
    const sigma = Math.sqrt(found.variance);
    const gain = weights === "orthogonal" ? sigma : sigma * Math.sqrt(width);
    show("variance", significant(found.variance, 10));
    show("gain", significant(gain, 10));
    show("kaiming", `${fixed(100 * found.aboveKaiming, 4, true)} %`);
    show("lyapunov", found.constant ? "0: the norm stays as it is" : significant(found.lyapunov, 6));
    show("tail", found.constant || s === 0 ? "none" : significant(s, 6));
    show("survival", survival(phi, found.logAlive, depth));
    line.textContent = torchLine(weights, sigma, gain);
    said.textContent = "";
    const drift = found.constant ? "Every norm stays as it is."
      : s === 0 ? "The mean of the logarithm stays as it is."
        : `The moment of order ${significant(s, 6)} stays what it is, while the typical norm ${
          found.lyapunov < 0 ? "shrinks" : "grows"} by ${
          significant(100 * Math.abs(Math.expm1(found.lyapunov)), 3)} % a layer.`;
    says(drift);
  });
  const activation = panel.fields.get("activation").input;
  const sync = () => panel.enable("negative_slope", "negative_slope" in activations.get(activation.value).fields);
  activation.addEventListener("input", () => { sync(); panel.refresh(); });
  sync();
  panel.refresh();
});
