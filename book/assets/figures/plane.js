// The plane: a tiny and a broad mode, how sharp the density is at a point, and what noise, weight and width do to it.
"use strict";

(() => {
  const WIDTH = 2.4, HEIGHT = 1.4; // half of the plane that is seen
  const DEPTH = 14; // log density is shown down to this much below its largest value
  const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const { element, drawing, slider, number } = figures;

  figures.each("plane", (panel) => {
    const noise = slider("Noise", {
      min: 0, max: 999, step: 1, value: 60, input: follow,
      words: (t) => `t = ${t}, σ = ${figures.noise(t).sigma.toFixed(2)}`,
    });
    const weight = slider("Weight, tiny mode", {
      min: 0.01, max: 0.99, step: 0.01, value: 0.05, input: follow, words: (w) => `${Math.round(100 * w)} %`,
    });
    const width = slider("Width, tiny mode", {
      min: -3, max: 0, step: 0.05, value: -3, input: follow, words: (w) => (10 ** w).toPrecision(2),
    });
    const distance = slider("Distance", {
      min: 0, max: 3, step: 0.05, value: 2, input: follow, words: (d) => d.toFixed(2),
    });

    const canvas = element("canvas", { width: 168, height: 98, "aria-hidden": "true" });
    const arrows = drawing("path", { class: "arrows" });
    const axes = [drawing("line"), drawing("line")];
    const view = `${-WIDTH} ${-HEIGHT} ${2 * WIDTH} ${2 * HEIGHT}`;
    const upright = drawing("g", { transform: "scale(1 -1)" }, arrows, ...axes);
    const over = drawing("svg", { viewBox: view, "aria-hidden": "true" }, upright);
    const point = element("div", {
      class: "point", role: "slider", tabindex: 0, "aria-label": "Point in the plane, moved by arrow keys",
      "aria-valuemin": -WIDTH, "aria-valuemax": WIDTH,
    });
    const area = element("div", { class: "area" }, canvas, over, point);

    const line = numberLine();
    const told = element("output", { class: "sentence" });
    const at = { x: 0, y: 0, mode: 0 }; // mode: the one that the point stays on while sliders move
    const buttons = ["tiny", "broad"].map((name, mode) => {
      const button = element("button", { type: "button" }, `On the ${name} mode`);
      button.addEventListener("click", () => ((at.mode = mode), follow()));
      return button;
    });
    const player = figures.player(noise, "Take the noise away", 9);
    const sliders = [noise, weight, width, distance].map((one) => one.node);
    const left = element("div", {}, area, element("div", { class: "buttons" }, ...buttons, player));
    const right = element("div", {}, line.node, told, element("div", { class: "sliders" }, ...sliders));
    panel.append(element("div", { class: "columns" }, left, right));

    figures.movable(area, point, {
      at: (x, y) => move((2 * x - 1) * WIDTH, (1 - 2 * y) * HEIGHT),
      by: (dx, dy) => move(at.x + 0.02 * dx, at.y + 0.02 * dy),
    });

    function mixture() {
      const half = distance.value / 2;
      const tiny = { weight: weight.value, x: -half, y: 0, deviation: 10 ** width.value };
      const broad = { weight: 1 - weight.value, x: half, y: 0, deviation: 0.4 };
      return figures.mixture([tiny, broad], figures.noise(noise.value));
    }

    function move(x, y) {
      const within = (value, most) => Math.max(-most, Math.min(most, value));
      Object.assign(at, { x: within(x, WIDTH), y: within(y, HEIGHT), mode: null });
      tell(mixture());
    }

    function follow() {
      const now = mixture();
      if (at.mode !== null) Object.assign(at, { x: now.parts[at.mode].x, y: now.parts[at.mode].y });
      landscape(canvas, now);
      arrows.setAttribute("d", field(now));
      tell(now);
    }

    function tell(now) {
      const { eigenvalues, angle } = now.at(at.x, at.y);
      const scale = figures.noise(noise.value).sigma ** 2;
      const scaled = eigenvalues.map((value) => value * scale);
      buttons.forEach((button, mode) => button.setAttribute("aria-pressed", at.mode === mode));
      point.style.left = `${50 + (50 * at.x) / WIDTH}%`;
      point.style.top = `${50 - (50 * at.y) / HEIGHT}%`;
      point.setAttribute("aria-valuenow", at.x.toFixed(2));
      point.setAttribute("aria-valuetext", `x ${number(at.x)}, y ${number(at.y)}`);
      axes.forEach((axis, k) => principalAxis(axis, at, angle + (k * Math.PI) / 2, eigenvalues[k]));
      line.show(scaled);
      const count = scaled.filter((value) => value >= 0).length;
      const both = scaled.map(number).join(" and ");
      told.textContent = `Eigenvalues × σ²: ${both}.\nNon-negative: ${count} of 2.`;
    }

    follow();
  });

  function landscape(canvas, now) {
    const { width, height } = canvas;
    const values = Float64Array.from({ length: width * height }, (_, k) => {
      const [column, row] = [(k % width) + 0.5, Math.floor(k / width) + 0.5];
      return now.logDensity(((2 * column) / width - 1) * WIDTH, (1 - (2 * row) / height) * HEIGHT);
    });
    const largest = values.reduce((a, b) => Math.max(a, b));
    const image = new ImageData(width, height);
    values.forEach((value, k) => image.data.set(colour(1 + (value - largest) / DEPTH), 4 * k));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  function colour(share) {
    const place = Math.max(0, share) * (VIRIDIS.length - 1);
    const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
    const mixed = VIRIDIS[below].map((low, k) => low + (place - below) * (VIRIDIS[below + 1][k] - low));
    return [...mixed, 255];
  }

  // Arrows along the score, their lengths compressed so that weak and strong ones are both seen.
  function field(now) {
    const places = [];
    for (let x = -2.2; x < WIDTH; x += 0.4) for (let y = -1.2; y < HEIGHT; y += 0.4) places.push([x, y]);
    const scores = places.map(([x, y]) => now.at(x, y).score);
    const longest = Math.max(...scores.map((s) => Math.log1p(Math.hypot(...s))));
    return places.map(([x, y], k) => arrow(x, y, scores[k], longest)).join("");
  }

  function arrow(x, y, [dx, dy], longest) {
    const norm = Math.hypot(dx, dy);
    const length = (0.34 * Math.log1p(norm)) / longest;
    if (length < 0.02) return "";
    const [ux, uy] = [(dx / norm) * length, (dy / norm) * length];
    const [ex, ey] = [x + ux / 2, y + uy / 2];
    const head = (side) => `L${ex - 0.3 * ux - side * 0.2 * uy} ${ey - 0.3 * uy + side * 0.2 * ux}`;
    return `M${x - ux / 2} ${y - uy / 2}L${ex} ${ey}${head(1)}M${ex} ${ey}${head(-1)}`;
  }

  // A principal axis at a point, one local standard deviation long; dashed where the density does not fall off.
  function principalAxis(node, { x, y }, angle, eigenvalue) {
    const reach = Math.min(0.8, Math.max(0.15, 1 / Math.sqrt(Math.abs(eigenvalue))));
    const [dx, dy] = [reach * Math.cos(angle), reach * Math.sin(angle)];
    const ends = { x1: x - dx, y1: y - dy, x2: x + dx, y2: y + dy };
    for (const [name, value] of Object.entries(ends)) node.setAttribute(name, value);
    node.setAttribute("class", eigenvalue < 0 ? "axis" : "axis flat");
  }

  // Two marks on a line from -1, an isolated point, past 0, where the density is flat; what lies beyond is shown at the end.
  function numberLine() {
    const marks = [drawing("circle", { r: 6, cy: 14 }), drawing("circle", { r: 6, cy: 14 })];
    const place = (value) => 150 + 100 * Math.max(-1.4, Math.min(1.4, value));
    const ticks = [[-1, "−1", "isolated point"], [0, "0", "flat"], [1, "1", "valley"]].flatMap(([value, ...words]) => [
      drawing("line", { x1: place(value), x2: place(value), y1: 7, y2: 21 }),
      ...words.map((word, k) => drawing("text", { x: place(value), y: 36 + 15 * k }, word)),
    ]);
    const base = drawing("line", { x1: 3, x2: 297, y1: 14, y2: 14 });
    const options = { viewBox: "0 0 300 56", class: "line", "aria-hidden": "true" };
    const node = drawing("svg", options, base, ...ticks, ...marks);
    const show = (values) => values.forEach((value, k) => {
      marks[k].setAttribute("cx", place(value));
      marks[k].setAttribute("class", value < 0 ? "mark" : "mark flat");
    });
    return { node, show };
  }
})();
