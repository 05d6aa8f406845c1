// Results in the order in which people look: theorems, headings and words of the glossary, then text, then code.
// Formulas in results are plain text. It changes Sphinx' own search, which works without it too.
(() => {
  "use strict";
  if (typeof Search === "undefined" || typeof SEARCH_FIRST === "undefined") return;

  const SIGNS = {
    alpha: "α", beta: "β", gamma: "γ", Gamma: "Γ", delta: "δ", Delta: "Δ", varepsilon: "ε", epsilon: "ε",
    theta: "θ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ",
    varphi: "φ", phi: "φ", Phi: "Φ", chi: "χ", omega: "ω", E: "E", P: "P", Var: "Var", infty: "∞", to: "→",
    le: "≤", ge: "≥", ne: "≠", neq: "≠", approx: "≈", sim: "~", times: "×", cdot: "·", cdots: "⋯", dots: "…",
    ldots: "…", in: "∈", log: "log", exp: "exp", max: "max", min: "min", sqrt: "√", sum: "∑", prod: "∏", top: "ᵀ",
    mid: "|", lvert: "|", rvert: "|", lVert: "‖", rVert: "‖", pm: "±", tfrac12: "½", ast: "*", quad: " ", qquad: " ",
  };
  const HIGH = { 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", s: "ˢ", k: "ᵏ", n: "ⁿ", "-": "⁻" };

  // A formula as plain text; a long one is left out.
  const plain = (tex) => {
    const text = tex
      .replace(/\\norm\{([^{}]*)\}/g, "‖$1‖")
      .replace(/\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}/g, "$1/$2")
      .replace(/\\[dt]?frac\s*(\w)\s*(\w)/g, "$1/$2")
      .replace(/\\(?:operatorname|mathrm|mathbb|text|bar|hat)\*?\{([^{}]*)\}/g, "$1")
      .replace(/\\[,;!: ]/g, " ")
      .replace(/\\([a-zA-Z]+)/g, (_, name) => SIGNS[name] ?? "")
      .replace(/\^\{?([-\dskn]+)\}?/g, (whole, high) =>
        [...high].every((sign) => sign in HIGH) ? [...high].map((sign) => HIGH[sign]).join("") : whole
      )
      .replace(/[\\{}]/g, "")
      .replace(/\s+/g, " ")
      .trim();
    return text.length > 40 ? "…" : text;
  };

  const words = (text) =>
    text
      .replace(/\\\(([\s\S]*?)\\\)/g, (_, tex) => plain(tex))
      .replace(/\\\[[\s\S]*?\\\]|\$\$[\s\S]*?\$\$/g, "…")
      .replace(/\\[a-zA-Z]+(?:\{[^{}]*\})*/g, (tex) => plain(tex));

  const escaped = (text) => {
    const element = document.createElement("span");
    element.textContent = words(text);
    return element.innerHTML;
  };

  const KINDS = { theorem: 0, word: 1, page: 2, heading: 3 };

  // The lower, the earlier: the whole title, its beginning, the phrase, then all words anywhere.
  const rank = (title, query, terms) => {
    const text = words(title).toLowerCase();
    if (text === query) return 0;
    if (text.startsWith(query)) return 1;
    if (text.includes(query)) return 2;
    return terms.every((term) => text.includes(term)) ? 3 : null;
  };

  const first = (query) => {
    const text = query.toLowerCase().trim().replace(/\s+/g, " ");
    const terms = text.split(" ").filter(Boolean);
    if (!terms.length) return [];
    return SEARCH_FIRST.map((entry) => ({ entry, at: rank(entry[3], text, terms) }))
      .filter(({ at }) => at !== null)
      .sort((a, b) => a.at - b.at || KINDS[a.entry[2]] - KINDS[b.entry[2]])
      .map(({ entry: [page, anchor, kind, title, where] }) => {
        const place = kind === "word" ? `glossary: ${where}` : where || "page";
        return [page, escaped(title), anchor && `#${anchor}`, escaped(place), 1000, `${page}.md`];
      });
  };

  const perform = Search._performSearch;
  Search._performSearch = (query, ...more) => {
    const ahead = first(query);
    const known = new Set(ahead.map(([page, , anchor]) => page + anchor));
    const rest = perform(query, ...more).filter(([page, , anchor]) => !known.has(page + (anchor ?? "")));
    for (const item of rest) item[1] = words(item[1]);
    const isCode = ([page]) => page.startsWith("book/api/");
    // Sphinx takes results from the end.
    return [...rest.filter(isCode), ...rest.filter((item) => !isCode(item)), ...ahead.reverse()];
  };

  const toText = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const block of page.querySelectorAll("div.math, .cell_input, .cell_output, .provenance")) block.remove();
    for (const formula of page.querySelectorAll("span.math")) formula.textContent = words(formula.textContent);
    return toText(page.documentElement.outerHTML, anchor);
  };
})();
