// What all interactive figures share: numbers for people, native inputs that refuse beside the field, results,
// and the page's places for figures.  No library: opened from disk, without network, it works as it stands.
"use strict";

window.fracrepro = window.fracrepro || { data: {} };

(function () {
  const MINUS = "\u2212";
  const builders = {};

  // ---- numbers, as fracrepro.figures.numbers.number writes them ----

  function superscript(exponent) {
    return String(exponent).replace(/[-0-9]/g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);
  }

  function thousands(text) {
    const [whole, part] = text.split(".");
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return part === undefined ? grouped : `${grouped}.${part}`;
  }

  const signed = (text) => text.replace("-", MINUS);

  // So many significant digits, without closing zeros: plain from 0.0001 to 999,999, else a power of ten.
  function significant(value, digits) {
    if (value === 0) {
      return "0";
    }
    if (!Number.isFinite(value)) {
      return Number.isNaN(value) ? "–" : value > 0 ? "∞" : `${MINUS}∞`;
    }
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    const power = Number(exponent);
    if (power >= -4 && power < 6) {
      const plain = Number(value.toPrecision(digits)).toFixed(Math.max(0, digits - 1 - power));
      return signed(thousands(plain.includes(".") ? plain.replace(/\.?0+$/, "") : plain));
    }
    const short = mantissa.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
    const ten = `10${superscript(power)}`;
    return signed(/^-?1$/.test(short) ? short.replace("1", ten) : `${short}×${ten}`);
  }

  // So many places; `sign` shows a plus too.
  function fixed(value, places, sign) {
    const text = thousands(Math.abs(value).toFixed(places));
    const nonzero = /[1-9]/.test(text);
    return `${!nonzero ? "" : value < 0 ? MINUS : sign ? "+" : ""}${text}`;
  }

  // ---- fields ----

  // A value that cannot be; `field` says beside which input the message stands.
  class Refusal extends Error {
    constructor(field, message) {
      super(message);
      this.field = field;
    }
  }

  function inside(value, interval) {
    const [, left, low, high, right] = /^([[(])([^,]+), ([^\])]+)([\])])$/.exec(interval);
    const [bottom, top] = [low, high].map((bound) => Number(bound.replace("inf", "Infinity")));
    return (left === "[" ? bottom <= value : bottom < value)
      && (right === "]" ? value <= top : value < top) && Number.isFinite(value);
  }

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== undefined && value !== null && value !== false) {
        made.setAttribute(name, value === true ? "" : value);
      }
    }
    made.append(...children);
    return made;
  }

  let count = 0;

  // One place on a page: its fields by name, and a function that redraws.
  class Panel {
    constructor(place) {
      this.id = `interactive-${(count += 1)}`;
      this.fields = new Map();
      this.form = element("form", { class: "interactive-fields" });
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.body = element("div", { class: "interactive-body" });
      place.append(this.form, this.body);
    }

    add(field, label, input, read, show, wide) {
      const id = `${this.id}-${field}`;
      const message = element("p", { id: `${id}-message`, class: "interactive-refusal" });
      input.id = id;
      input.name = field;
      const value = element("output", { for: id, class: "interactive-value" });
      const name = element("label", { for: id }, label);
      const box = element("div", { class: `interactive-field${wide ? " wide" : ""}` }, name);
      box.append(...(show ? [value] : []), input, message);
      this.form.append(box);
      this.fields.set(field, { input, box, message, read, show: show && (() => { value.textContent = show(read()); }) });
      input.addEventListener("input", () => this.refresh());
      return input;
    }

    // A number that is typed; `interval` is written as in the library's messages.
    number(field, label, { value, interval, integer, step, inputmode }) {
      const noun = integer ? "an integer" : "a finite number";
      const input = element("input", { type: "number", value, step: step || "any", inputmode });
      return this.add(field, label, input, () => {
        const typed = input.value === "" ? NaN : Number(input.value);
        if (!inside(typed, interval) || (integer && !Number.isInteger(typed))) {
          const said = input.value === "" ? field : `${field} = ${input.value}`;
          throw new Refusal(field, `${said}: need ${noun} in ${interval}`);
        }
        return typed;
      });
    }

    // A slider over numbers, or over the positions of a list.
    slider(field, label, { min, max, step, value, list, show, unit }) {
      const bounds = list ? { min: 0, max: list.length - 1, step: 1, value: list.indexOf(value) } : { min, max, step, value };
      const input = element("input", { type: "range", ...bounds });
      const read = () => (list ? list[Number(input.value)] : Number(input.value));
      input.chosen = read; // for scripts that operate the figure: the value, and the position of a value
      input.positionOf = (chosen) => (list ? list.indexOf(chosen) : chosen);
      const words = (chosen) => `${(show || ((each) => significant(each, 6)))(chosen)}${unit || ""}`;
      const described = (chosen) => {
        input.setAttribute("aria-valuetext", words(chosen)); // what the position of the slider means
        return words(chosen);
      };
      return this.add(field, label, input, read, described, true);
    }

    choice(field, label, options, value) {
      const input = element("select", {});
      for (const [name, text] of options) {
        input.append(element("option", { value: name, selected: name === value }, text));
      }
      return this.add(field, label, input, () => input.value);
    }

    // A group of checkboxes; its value is the list of those that are on.
    switches(field, legend, options) {
      const group = element("fieldset", { class: "interactive-switches wide" }, element("legend", {}, legend));
      const boxes = options.map(({ name, label, on, mark }) => {
        const input = element("input", { type: "checkbox", value: name, name: field });
        input.checked = on;
        input.addEventListener("input", () => this.refresh());
        group.append(element("label", {}, input, ...(mark ? [mark] : []), ` ${label}`));
        return input;
      });
      this.form.append(group);
      this.fields.set(field, { read: () => boxes.filter((box) => box.checked).map((box) => box.value) });
    }

    // Whether a field is there to be filled in.
    enable(field, on) {
      const { input, box } = this.fields.get(field);
      input.disabled = !on;
      box.classList.toggle("off", !on);
    }

    // A list of results by name; returns a function that sets one of them.
    results(...rows) {
      const list = element("dl", { class: "interactive-results" });
      const places = new Map();
      for (const [name, label] of rows) {
        const place = element("dd", { "data-result": name });
        list.append(element("div", {}, element("dt", {}, label), place));
        places.set(name, place);
      }
      this.body.append(list);
      return (name, text) => { places.get(name).textContent = text; };
    }

    // A sentence that says what is seen; read aloud when it changes and the reader pauses.
    sentence() {
      const place = element("p", { class: "interactive-says", role: "status" });
      this.body.append(place);
      return (text) => { if (place.textContent !== text) { place.textContent = text; } };
    }

    // Call `update(values)` now and after every change; a refused value leaves no stale result behind.
    run(update) {
      this.update = update;
      this.refresh();
    }

    refresh() {
      const values = {};
      let refused = null;
      for (const [name, field] of this.fields) {
        if (field.message) {
          field.message.textContent = "";
          field.input.removeAttribute("aria-invalid");
          field.input.removeAttribute("aria-describedby");
        }
        if (field.input && field.input.disabled) {
          continue;
        }
        try {
          values[name] = field.read();
          if (field.show) {
            field.show();
          }
        } catch (error) {
          refused = this.refuse(error) || refused;
        }
      }
      if (!refused && this.update) {
        try {
          this.update(values);
        } catch (error) {
          refused = this.refuse(error);
        }
      }
      this.body.classList.toggle("refused", Boolean(refused));
      this.body.toggleAttribute("inert", Boolean(refused));
    }

    refuse(error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      const { input, message } = this.fields.get(error.field);
      message.textContent = error.message;
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", message.id);
      return error;
    }
  }

  // ---- the places of a page ----

  function start() {
    for (const place of document.querySelectorAll(".interactive-place")) {
      const build = builders[place.dataset.figure];
      build(new Panel(place), JSON.parse(place.dataset.options || "{}"));
      place.closest(".interactive").classList.add("live"); // now the words for readers without scripts may go
    }
  }

  Object.assign(fracrepro, {
    element, fixed, significant, Refusal, Panel,
    figure(name, build) { builders[name] = build; },
  });
  document.addEventListener("DOMContentLoaded", start); // after all deferred scripts, the figures' own included
})();
