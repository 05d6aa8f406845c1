// What is wider than its place scrolls: it gets a stop for the keyboard, tables and figures a hint. Nothing else gets
// one, and neither does what lacks a few pixels, of which nobody misses anything.
(() => {
  "use strict";
  const FIGURE = "figure > a.image-reference, figure:has(> img.picture-light)";
  const BOXES = ".pst-scrollable-table-container, .cell_output .output, div.math mjx-container, span.math, pre";
  const WIDE = `${BOXES}, ${FIGURE}`;
  const SPARE = 4;

  // How many of its letters' sizes each formula is wide; the style makes it fit its place, on paper too.
  const measure = () => {
    const formulas = [...document.querySelectorAll(".bd-article div.math mjx-container")];
    const wide = formulas.map((formula) => {
      const width = formula.querySelector("mjx-math")?.getBoundingClientRect().width;
      return width ? (width + 2) / parseFloat(getComputedStyle(formula).fontSize) : null; // null: folded
    });
    formulas.forEach((formula, k) => {
      if (wide[k] === null) return;
      formula.style.setProperty("--full", formula.style.fontSize);
      formula.style.setProperty("--ems", wide[k]);
      formula.classList.add("measured");
    });
  };

  const SHORT = ".row_heading, .dataframe td:not(.text), table:not(.cards, .dataframe) tbody td:first-child";
  for (const cell of document.querySelectorAll(`.bd-article :is(${SHORT})`)) {
    cell.classList.toggle("short", cell.textContent.trim().length <= 14);
  }

  const mark = () => {
    measure();
    const names = [...document.querySelectorAll(".bd-article :is(p, li) code .pre")];
    const long = names.filter((name) => name.offsetWidth > name.closest("p, li").clientWidth);
    for (const name of long) name.classList.add("long");
    for (const box of document.querySelectorAll(`.bd-article :is(${WIDE})`)) {
      const table = box.querySelector("table");
      box.classList.remove("dense"); // a wide table first gets smaller letters, where they are large enough for it
      if (table && box.scrollWidth > box.clientWidth && innerWidth > 600) box.classList.add("dense");
      const scrolls = box.scrollWidth > box.clientWidth + SPARE && getComputedStyle(box).overflowX === "auto";
      box.classList.toggle("scrolls", scrolls);
      if (scrolls) {
        box.tabIndex = 0;
      } else {
        box.removeAttribute("tabindex");
      }
      box.classList.toggle("scrolls-figure", scrolls && box.matches(FIGURE));
      const holdsTable = scrolls && table !== null;
      box.classList.toggle("scrolls-table", holdsTable);
      if (holdsTable) {
        box.setAttribute("role", "group"); // no landmark: there can be many
        box.setAttribute("aria-label", "Table that scrolls sideways");
      } else if (box.getAttribute("role") === "group") {
        box.removeAttribute("role");
        box.removeAttribute("aria-label");
      }
    }
  };

  addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(mark));
  document.fonts?.ready.then(mark); // letters that come later are wider
  document.fonts?.addEventListener("loadingdone", mark);
  document.addEventListener("toggle", mark, true); // what was folded has no width before
  const atEnd = (box) => box.scrollLeft + box.clientWidth >= box.scrollWidth - 2;
  const follow = ({ target }) => target.classList?.toggle("at-end", atEnd(target));
  document.addEventListener("scroll", follow, true);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(mark, 150);
  });
})();
