// What a linked word or symbol means, shown on hover and at the keyboard's focus; Escape closes it.
(() => {
  "use strict";
  const ID = "term-meaning";
  let shown = null; // the link whose meaning is shown
  let waiting = 0;

  const close = () => {
    clearTimeout(waiting);
    document.getElementById(ID)?.remove();
    shown?.removeAttribute("aria-describedby");
    shown = null;
  };

  const open = (link) => {
    if (link === shown) return clearTimeout(waiting);
    close();
    const tip = document.createElement("div");
    tip.id = ID;
    tip.setAttribute("role", "tooltip");
    tip.textContent = link.dataset.means;
    tip.addEventListener("mouseenter", () => clearTimeout(waiting));
    tip.addEventListener("mouseleave", later);
    (link.closest("article") ?? document.body).append(tip);
    const at = link.getBoundingClientRect();
    const left = Math.min(at.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const below = at.bottom + tip.offsetHeight + 8 < innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? at.bottom + 4 : at.top - tip.offsetHeight - 4}px`;
    link.setAttribute("aria-describedby", ID);
    shown = link;
  };

  const later = () => {
    clearTimeout(waiting);
    waiting = setTimeout(close, 200); // long enough to move the pointer onto the meaning
  };

  const term = (event) => event.target.closest?.("a.term");
  document.addEventListener("mouseover", (event) => term(event) && open(term(event)));
  document.addEventListener("mouseout", (event) => term(event) && later());
  document.addEventListener("focusin", (event) => (term(event) ? open(term(event)) : close()));
  document.addEventListener("focusout", (event) => term(event) && close());
  document.addEventListener("keydown", (event) => event.key === "Escape" && close());
  addEventListener("scroll", close, { passive: true });
})();
