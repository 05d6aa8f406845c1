// The filter of the ledger: fields, address and rows say the same; without this script the whole table shows.
(() => {
  "use strict";
  const FIELDS = ["page", "source", "verdict", "words"];
  const form = document.querySelector("form.ledger-filter");
  if (!form) return;
  const rows = [...document.querySelectorAll("table.ledger tbody tr")];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const status = form.querySelector("[role=status]");
  const values = () => FIELDS.map((name) => [name, form.elements[name].value.trim()]).filter(([, value]) => value);

  const fits = (row, chosen) =>
    chosen.every(([name, value]) =>
      name === "words"
        ? value.toLowerCase().split(/\s+/).every((word) => texts.get(row).includes(word))
        : row.classList.contains(`in-${name}-${value}`)
    );

  const show = () => {
    const chosen = values();
    for (const row of rows) row.hidden = !fits(row, chosen);
    for (const table of document.querySelectorAll("table.ledger")) {
      table.closest("section").hidden = !table.querySelector("tbody tr:not([hidden])");
    }
    const left = rows.filter((row) => !row.hidden).length;
    status.textContent = chosen.length ? `${left} of ${rows.length} claims` : `All ${rows.length} claims`;
    return chosen;
  };

  const write = () => {
    const query = new URLSearchParams(show()).toString();
    history.replaceState(null, "", location.pathname + (query && `?${query}`));
  };

  const read = () => {
    const query = new URLSearchParams(location.search);
    for (const name of FIELDS) form.elements[name].value = query.get(name) ?? "";
    for (const select of form.querySelectorAll("select")) if (select.selectedIndex < 0) select.value = "";
    show();
  };

  // A link to one claim shows it, whatever was chosen before.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.hidden || target.closest("section[hidden]")) {
      form.reset();
      show();
    }
    target.scrollIntoView();
  };

  form.hidden = false;
  form.addEventListener("input", write);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(write)); // the fields are empty only afterwards
  addEventListener("hashchange", reveal);
  read();
  if (location.hash) reveal();
})();
