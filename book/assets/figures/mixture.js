// A mixture of isotropic Gaussians in the plane under x_t = alpha x_0 + sigma eps, in closed form, as in memlib.mixture.
"use strict";

globalThis.figures ??= { data: {} };

// alpha and sigma of 1,000 steps with linear betas, as in memlib.schedule.VariancePreserving.linear().
figures.noise = (t) => {
  let kept = 1;
  for (let k = 0; k <= t; k++) kept *= 1 - (1e-4 + ((2e-2 - 1e-4) * k) / 999);
  return { alpha: Math.sqrt(kept), sigma: Math.sqrt(1 - kept) };
};

// modes: [{weight, x, y, deviation}]
figures.mixture = (modes, { alpha, sigma }) => {
  const total = modes.reduce((sum, mode) => sum + mode.weight, 0);
  const parts = modes.map(({ weight, x, y, deviation }) => {
    const variance = (alpha * deviation) ** 2 + sigma ** 2;
    return { x: alpha * x, y: alpha * y, variance, log: Math.log(weight / total / (2 * Math.PI * variance)) };
  });

  function posterior(x, y) {
    const joint = parts.map((p) => p.log - ((x - p.x) ** 2 + (y - p.y) ** 2) / (2 * p.variance));
    const largest = Math.max(...joint);
    const shares = joint.map((value) => Math.exp(value - largest));
    const sum = shares.reduce((a, b) => a + b);
    return { shares: shares.map((share) => share / sum), logDensity: largest + Math.log(sum) };
  }

  // Log density, score [x, y], Hessian [xx, xy, yy], its eigenvalues in ascending order, and the angle of the first axis.
  function at(x, y) {
    const { shares, logDensity } = posterior(x, y);
    const scores = parts.map((p) => [(p.x - x) / p.variance, (p.y - y) / p.variance]);
    const mean = (of) => shares.reduce((sum, share, k) => sum + share * of(k), 0);
    const score = [mean((k) => scores[k][0]), mean((k) => scores[k][1])];
    const apart = scores.map((s) => [s[0] - score[0], s[1] - score[1]]);
    const precision = mean((k) => 1 / parts[k].variance);
    const xx = mean((k) => apart[k][0] ** 2) - precision;
    const yy = mean((k) => apart[k][1] ** 2) - precision;
    const xy = mean((k) => apart[k][0] * apart[k][1]);
    const middle = (xx + yy) / 2;
    const half = Math.hypot((xx - yy) / 2, xy);
    const angle = Math.atan2(2 * xy, xx - yy) / 2 + Math.PI / 2;
    return { logDensity, score, hessian: [xx, xy, yy], eigenvalues: [middle - half, middle + half], angle };
  }

  return { parts, at, logDensity: (x, y) => posterior(x, y).logDensity };
};
