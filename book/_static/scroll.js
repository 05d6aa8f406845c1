// What is wider than its place scrolls: it gets a stop for the keyboard, and a table a hint. Nothing else gets one.
(() => {
  "use strict";
  const WIDE = ".pst-scrollable-table-container, .cell_output .output, div.math mjx-container, span.math";

  const mark = () => {
    for (const box of document.querySelectorAll(`.bd-article :is(${WIDE})`)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto";
      box.classList.toggle("scrolls", scrolls);
      if (scrolls) {
        box.tabIndex = 0;
      } else {
        box.removeAttribute("tabindex");
      }
      const holdsTable = scrolls && Boolean(box.querySelector("table"));
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
  document.addEventListener("toggle", mark, true); // what was folded has no width before
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(mark, 150);
  });
})();
