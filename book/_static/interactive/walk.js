// The exact law of the log-norm of a linear or ReLU network, in the reader's browser (page 05).
//
// log(r_k/r_0) is a sum of k independent draws of log σR; given N live neurons R² is χ²_N, so that the
// characteristic function of log R is a mixture of 2^(iu/2) Γ((N + iu)/2)/Γ(N/2), and the law its inversion.
"use strict";

fracrepro.walk = (function () {
  const TINY = 1e-18; // what a probability may leave out
  const REACH = 18; // standard deviations to either side after which nothing is left
  const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360];

  // ψ(x) and ψ'(x) for x > 0.
  function polygammas(x) {
    let [first, second] = [0, 0];
    for (; x < 14; x += 1) {
      first -= 1 / x;
      second += 1 / (x * x);
    }
    const y = 1 / (x * x);
    first += Math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132)))));
    second += 1 / x + 0.5 * y + (y / x) * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - y * (5 / 66)))));
    return [first, second];
  }

  // How many neurons are live, given one is: pairs [n, probability], by the ratios of the binomial law.
  function live(kind, d) {
    if (kind === "linear") {
      return [[d, 1]];
    }
    const middle = Math.ceil(d / 2);
    const sizes = new Map([[middle, 1]]);
    for (let n = middle; n < d; n += 1) {
      sizes.set(n + 1, (sizes.get(n) * (d - n)) / (n + 1));
    }
    for (let n = middle; n > 1; n -= 1) {
      sizes.set(n - 1, (sizes.get(n) * n) / (d - n + 1));
    }
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const all = [...sizes].map(([n, size]) => [n, size / total]).sort(([m], [n]) => m - n);
    return all.filter(([, weight]) => weight > TINY * 1e-3);
  }

  // Mean and variance of log R.
  function moments(mixture) {
    const parts = mixture.map(([n, weight]) => {
      const [first, second] = polygammas(n / 2);
      return [weight, 0.5 * (Math.LN2 + first), 0.25 * second];
    });
    const mean = parts.reduce((sum, [weight, each]) => sum + weight * each, 0);
    const spread = parts.reduce((sum, [weight, each, own]) => sum + weight * (own + (each - mean) ** 2), 0);
    return [mean, spread];
  }

  // log of Γ(x + iy)/Γ(x) without its phase y log X, and X: the difference of two logs would lose digits.
  function gammaRatio(x, y) {
    let [re, im, top] = [0, 0, x];
    for (; top < 12; top += 1) {
      re -= 0.5 * Math.log1p((y / top) ** 2);
      im -= Math.atan(y / top);
    }
    const r = y / top;
    const log = 0.5 * Math.log1p(r * r);
    const angle = Math.atan(r);
    re += (top - 0.5) * log - y * angle;
    im += (top - 0.5) * angle - y + y * log;
    const size = top * Math.exp(log);
    STIRLING.forEach((c, j) => { // powers of 1/(X + iy) and of 1/X
      const n = 2 * j + 1;
      re += c * (Math.cos(n * angle) / size ** n - 1 / top ** n);
      im -= (c * Math.sin(n * angle)) / size ** n;
    });
    return [re, im, top];
  }

  // log of E exp(iu(log R - mean)) as [log modulus, phase].
  function logCharacteristic(mixture, mean, u) {
    let [re, im] = [0, 0];
    for (const [n, weight] of mixture) {
      const [above, turn, top] = gammaRatio(n / 2, u / 2);
      const size = weight * Math.exp(above);
      const phase = turn + 0.5 * u * (Math.log(2 * top) - 2 * mean);
      re += size * Math.cos(phase);
      im += size * Math.sin(phase);
    }
    return [0.5 * Math.log(re * re + im * im), Math.atan2(im, re)];
  }

  // The law of log R_1 + … + log R_k given survival; add k log σ for log(r_k/r_0).
  function law(kind, d, k) {
    const mixture = live(kind, d);
    const [mean, spread] = moments(mixture);
    const sd = Math.sqrt(k * spread);
    const period = 2 * (REACH * sd + 60 / mixture[0][0]); // the left tail falls like exp(n x), n neurons at least
    const step = (2 * Math.PI) / period;
    const points = [];
    for (let u = step / 2; ; u += step) {
      const [log, phase] = logCharacteristic(mixture, mean, u);
      const size = Math.exp(k * log);
      if (size < TINY || points.length > 20000) {
        break;
      }
      points.push([u, size * Math.cos(k * phase), size * Math.sin(k * phase)]);
    }
    const sum = (term, x) => points.reduce((total, [u, re, im]) => {
      const [c, s] = [Math.cos(u * x), Math.sin(u * x)];
      return total + term(u, re * c + im * s, im * c - re * s);
    }, 0);
    const outside = (x) => Math.abs(x - k * mean) > 0.4 * period; // where the next copy of the law would be seen
    return {
      mean: k * mean,
      sd,
      dead: kind === "linear" ? 0 : -Math.expm1(k * Math.log1p(-Math.exp(-d * Math.LN2))),
      pdf: (x) => (outside(x) ? 0 : (step / Math.PI) * sum((u, re) => re, x - k * mean)),
      cdf: (x) => (outside(x) ? Number(x > k * mean) : 0.5 - (step / Math.PI) * sum((u, re, im) => im / u, x - k * mean)),
    };
  }

  // The normal distribution function, for |z| of at most 5.
  function normal(z) {
    let [term, total] = [z, z];
    for (let n = 1; n < 120; n += 1) {
      term *= (z * z) / (2 * n + 1);
      total += term;
    }
    return 0.5 + (total * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI);
  }

  return { law, normal };
})();
