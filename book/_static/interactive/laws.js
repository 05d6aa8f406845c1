// The laws of the one-layer factor R, in the reader's browser: the formulas of pages 02 and 05, no table.
//
// With X = R²/E R² and its Laplace transform L = ℓ^d, all moments come from one integral,
// E[X^q; X > 0] = 1/Γ(2 - q) ∫ t^(1-q) L''(t) dt, taken by the trapezoidal rule in x = log t, which converges
// geometrically there.  tests/book/test_interactive.py compares every number with the library's.
"use strict";

window.fracrepro = window.fracrepro || { data: {} };

fracrepro.laws = (function () {
  const STEP = 0.2; // in log t: the error of the rule is of the order exp(-π²/STEP) = 4e-22
  const REACH = 80; // from t = e^-80, where E X still converges, to e^80, where E log X does
  const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156];

  // log Γ(x + iy) for x > 0, as [real part, imaginary part up to multiples of 2π].
  function logGamma(x, y) {
    let re = 0;
    let im = 0;
    for (; x < 12; x += 1) {
      re -= 0.5 * Math.log(x * x + y * y);
      im -= Math.atan2(y, x);
    }
    const size = x * x + y * y;
    const logSize = 0.5 * Math.log(size);
    const angle = Math.atan2(y, x);
    re += (x - 0.5) * logSize - y * angle - x + 0.5 * Math.log(2 * Math.PI);
    im += (x - 0.5) * angle + y * logSize - y;
    let a = x / size; // 1/z
    let b = -y / size;
    const squareRe = a * a - b * b;
    const squareIm = 2 * a * b;
    for (const c of STIRLING) {
      re += c * a;
      im += c * b;
      [a, b] = [a * squareRe - b * squareIm, a * squareIm + b * squareRe];
    }
    return [re, im];
  }

  // The law of |slope| on one side, uniform on [low, high], as pieces {low, high, weight}.
  function side(low, high, weight) {
    if (!(low < 0 && high > 0)) {
      const [small, large] = [Math.abs(low), Math.abs(high)].sort((a, b) => a - b);
      return [{ low: small, high: large, weight }];
    }
    const below = -low / (high - low);
    return [
      { low: 0, high: -low, weight: weight * below },
      { low: 0, high, weight: weight * (1 - below) },
    ];
  }

  // Nodes and weights of Gauss and Legendre on [-1, 1].
  function legendre(n) {
    const rule = [];
    for (let i = 1; i <= n; i += 1) {
      let x = Math.cos((Math.PI * (i - 0.25)) / (n + 0.5));
      let slope = 1;
      for (let turn = 0; turn < 20; turn += 1) {
        let [before, value] = [1, x];
        for (let k = 2; k <= n; k += 1) {
          [before, value] = [value, ((2 * k - 1) * x * value - (k - 1) * before) / k];
        }
        slope = (n * (x * value - before)) / (x * x - 1);
        x -= value / slope;
      }
      rule.push([x, 2 / ((1 - x * x) * slope * slope)]);
    }
    return rule;
  }
  const RULE = legendre(14);

  // Fixed amplitudes [amplitude, weight] that stand for a piece: a uniform one becomes panels of ratio 2.
  function fixed(piece) {
    if (piece.low === piece.high) {
      return [[piece.high, piece.weight]];
    }
    const points = [];
    let top = piece.high;
    while (top > piece.low) {
      const bottom = top > piece.high * 1e-13 ? Math.max(piece.low, top / 2) : piece.low;
      for (const [x, w] of RULE) {
        const share = (0.5 * w * (top - bottom)) / (piece.high - piece.low);
        points.push([bottom + 0.5 * (x + 1) * (top - bottom), piece.weight * share]);
      }
      top = bottom;
    }
    return points;
  }

  // An activation from the slopes on both sides of zero, with a dropout of probability p after it.
  function activation(positive, negative, p) {
    const keep = 1 - (p || 0);
    const scaled = ([low, high]) => [low / keep, high / keep];
    const pieces = [...side(...scaled(positive), 0.5 * keep), ...side(...scaled(negative), 0.5 * keep)];
    const live = pieces.filter((piece) => piece.high > 0 && piece.weight > 0);
    const merged = new Map(); // equal amplitudes become one
    for (const [amplitude, weight] of live.flatMap(fixed)) {
      merged.set(amplitude, (merged.get(amplitude) || 0) + weight);
    }
    const flat = pieces.filter((piece) => piece.high === 0);
    return {
      amplitudes: [...merged],
      dead: flat.reduce((sum, piece) => sum + piece.weight, p || 0), // P(C = 0) of one coordinate
    };
  }

  // What one layer of d neurons makes of the norm; `moments` are those of X = R²/E R² given Gaussian weights.
  function layer(phi, d) {
    const second = phi.amplitudes.reduce((sum, [a, w]) => sum + w * a * a, 0); // E C
    const parts = phi.amplitudes.map(([a, w]) => [(a * a) / second / d, w]);
    const sizes = parts.map(([size]) => size);
    const spread = Math.log(Math.max(...sizes) / Math.min(...sizes));
    const logDead = d * Math.log(phi.dead);
    const dead = Math.exp(logDead);
    const xs = [];
    const weights = []; // STEP t² L''(t)
    let logMean = 0;
    for (let x = -REACH; x < REACH + spread; x += STEP) {
      const t = Math.exp(x);
      let [gap, value, first, next] = [0, phi.dead, 0, 0]; // ℓ - 1, ℓ, -ℓ', ℓ''
      for (const [size, w] of parts) {
        const g = -0.5 * Math.log1p(2 * t * size);
        const power = Math.exp(g);
        gap += w * Math.expm1(g);
        value += w * power;
        first += w * size * power ** 3;
        next += 3 * w * size * size * power ** 5;
      }
      const log = value > 0.5 ? Math.log1p(gap) : Math.log(value);
      const bracket = (d - 1) * first * first + value * next;
      xs.push(x);
      weights.push(STEP * d * t * t * Math.exp((d - 2) * log) * bracket);
      const alive = dead < 1 ? (Math.exp(d * log) - dead) / -Math.expm1(logDead) : 0;
      logMean += STEP * (Math.exp(-t) - alive);
    }
    return {
      d,
      second,
      logMean, // E[log X | X > 0]
      logAlive: dead < 1 ? Math.log1p(-dead) : -Infinity,
      logPower(q) { // log E[X^q; X > 0], for q in (0, 1]
        let sum = 0;
        for (let j = 0; j < xs.length; j += 1) {
          sum += weights[j] * Math.exp(-q * xs[j]);
        }
        return Math.log(sum) - logGamma(2 - q, 0)[0];
      },
    };
  }

  const LINEAR = activation([1, 1], [1, 1], 0);

  // The critical variance of order s and what follows from it; everything as logs where it can be large.
  function critical(s, d, phi, weights) {
    const here = layer(phi, d);
    const radius = weights === "orthogonal" ? layer(LINEAR, d) : null; // V = X/Y with Y = χ²_d/d
    const logPower = (q) => here.logPower(q) - (radius ? radius.logPower(q) : 0);
    const logMean = here.logMean - (radius ? radius.logMean : 0);
    const logKaiming = -Math.log(here.second) - (radius ? 0 : Math.log(d));
    const logRatio = s === 2 ? 0 : s === 0 ? -logMean : (-2 / s) * logPower(s / 2);
    return {
      logVariance: logKaiming + logRatio,
      variance: Math.exp(logKaiming) * Math.exp(logRatio),
      aboveKaiming: Math.expm1(logRatio),
      lyapunov: s === 0 ? 0 : 0.5 * (logRatio + logMean),
      logAlive: here.logAlive,
      constant: radius !== null && phi.dead === 0 && phi.amplitudes.length === 1, // R is no random variable
    };
  }

  return { logGamma, activation, layer, critical };
})();
