// Slides: the keys of a presenter, a swipe to the side, two buttons, and the book's choice of light or dark.
(() => {
  "use strict";
  const chosen = localStorage.getItem("mode");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;

  const slides = [...document.querySelectorAll(".slide")];
  const places = () => slides.map((slide) => Math.abs(slide.getBoundingClientRect().top));
  const here = () => {
    const found = places();
    return found.indexOf(Math.min(...found));
  };
  const go = (number) => {
    const slide = slides[Math.max(0, Math.min(slides.length - 1, number))];
    slide.scrollIntoView();
    slide.tabIndex = -1;
    slide.focus({ preventScroll: true });
    history.replaceState(null, "", `#${slide.id}`);
  };
  const steps = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };
  const onlyIfItFits = { ArrowDown: 1, ArrowUp: -1 }; // a slide higher than the screen scrolls

  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const now = here();
    const fits = slides[now].offsetHeight <= innerHeight + 4;
    const step = steps[event.key] ?? (fits ? onlyIfItFits[event.key] : undefined);
    const target = { Home: 0, End: slides.length - 1 }[event.key] ?? (step === undefined ? undefined : now + step);
    if (target === undefined || event.target.closest(".scrolls")) return;
    event.preventDefault();
    go(target);
  });

  let start = null;
  addEventListener("touchstart", (event) => {
    const wide = event.target.closest(".scrolls"); // a formula that scrolls itself
    start = event.touches.length === 1 && !wide ? event.touches[0] : null;
  });
  addEventListener("touchend", (event) => {
    if (!start) return;
    const end = event.changedTouches[0];
    const [x, y] = [end.clientX - start.clientX, end.clientY - start.clientY];
    if (Math.abs(x) > 60 && Math.abs(y) < 40) go(here() + (x < 0 ? 1 : -1));
  });

  const buttons = document.createElement("nav");
  buttons.className = "turn";
  buttons.setAttribute("aria-label", "Slides");
  for (const [name, sign, step] of [["Previous slide", "\u2190", -1], ["Next slide", "\u2192", 1]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.setAttribute("aria-label", name);
    button.addEventListener("click", () => go(here() + step));
    buttons.append(button);
  }
  document.body.append(buttons);

  const mark = () => {
    for (const box of document.querySelectorAll("div.math, pre, table, span.math mjx-container")) {
      box.classList.remove("scrolls");
      const room = box.tagName === "MJX-CONTAINER" ? box.closest("h1, h2, p, li") : box;
      const width = box === room ? box.scrollWidth : box.getBoundingClientRect().width;
      const scrolls = room !== null && width > room.clientWidth + 1;
      box.classList.toggle("scrolls", scrolls);
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", mark);
  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    mark();
    if (location.hash) document.querySelector(location.hash)?.scrollIntoView(); // formulas have moved it
  });
})();
