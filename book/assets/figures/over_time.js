// Spectra over time: a sample of each class on its way from noise to image, what the network takes it for, its eigenvalues.
"use strict";

(() => {
  const { element, drawing, slider } = figures;
  const STATES = { noised: "the state", denoised: "taken for" }; // rows of the pictures, of every sample
  const PLOT = { left: 34, right: 352, top: 22, bottom: 226 }; // in units of the drawing of a spectrum
  const STRIP = { left: 34, right: 346, top: 12, bottom: 62 }; // in those of the counts over time

  figures.each("over-time", async (panel) => {
    const { times, sigmas, classes, pictures } = await figures.load(panel.closest("figure").id);
    const names = Object.keys(classes);
    const samples = classes[names[0]].counts[0].length;
    const size = classes[names[0]].eigenvalues[0][0].length;
    const place = () => times.length - 1 - time.value;

    // From the first step, at the left, to the last, as on the axes of time of the book.
    const time = slider("Time", {
      min: 0, max: times.length - 1, step: 1, value: times.length - 1, input: () => show(),
      words: (left) => `t = ${times.at(-1 - left)}, σ = ${sigmas.at(-1 - left).toFixed(2)}`,
    });
    time.node.querySelector("input").dir = "rtl";

    const spectrum = plot(classes, size);
    const counts = strip(classes, times);
    const told = element("output", { class: "sentence" });
    const shown = names.flatMap((name, k) => samplesOf(name, k));
    const heads = Object.values(STATES).map((words) => element("span", {}, words));
    const player = figures.player(time, "Take the noise away", 1, 900);
    panel.append(
      element("div", { class: "sliders" }, time.node, element("div", { class: "buttons" }, player)),
      element("div", { class: "columns" },
        element("div", {}, spectrum.node, counts.node),
        element("div", {}, element("div", { class: "samples" }, element("span"), ...heads, ...shown.flatMap((one) => one.nodes)), told)),
    );
    figures.movable(counts.node, time.node.querySelector("input"), { at: (x) => (time.value = counts.nearest(x)) });

    function samplesOf(name, k) {
      return Array.from({ length: samples }, (_, sample) => {
        const images = Object.keys(STATES).map((state) => element("span", { role: "img", class: `picture ${name}` }));
        const first = (k * samples + sample) * images.length;
        const rows = names.length * samples * images.length;
        images.forEach((image, state) => {
          image.style.backgroundImage = `url(${pictures})`;
          image.style.backgroundSize = `${100 * times.length}% ${100 * rows}%`;
          image.style.backgroundPositionY = `${(100 * (first + state)) / (rows - 1)}%`;
        });
        return { name, images, nodes: [element("span", { class: "kind" }, line(name), name), ...images] };
      });
    }

    function show() {
      const now = place();
      spectrum.show(now);
      counts.show(now);
      for (const { name, images } of shown) {
        images.forEach((image, state) => {
          image.style.backgroundPositionX = `${(100 * now) / Math.max(1, times.length - 1)}%`;
          image.setAttribute("aria-label", `${name}, ${["state", "what it is taken for"][state]}, t = ${times[now]}`);
        });
      }
      const each = names.map((name) => `${name} ${average(classes[name].counts[now])}`).join(", ");
      told.textContent = `Not negative, of ${size} eigenvalues:\n${each}\nn = ${samples} of each.`;
    }

    show();
  });

  // The mean of counts, with their range where there are several.
  function average(counts) {
    const mean = counts.reduce((a, b) => a + b) / counts.length;
    return counts.length > 1 ? `${mean.toFixed(1)} (${Math.min(...counts)} to ${Math.max(...counts)})` : `${mean}`;
  }

  function line(name) {
    const mark = drawing("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: name });
    return drawing("svg", { viewBox: "0 0 26 10", class: "key", "aria-hidden": "true" }, mark);
  }

  // Sorted eigenvalues times sigma squared, on one scale for all times.
  function plot(classes, size) {
    const all = Object.values(classes).flatMap((one) => one.eigenvalues.flat(2));
    const [low, high] = [all.reduce((a, b) => Math.min(a, b)) - 0.05, Math.max(0.2, all.reduce((a, b) => Math.max(a, b)) + 0.05)];
    const x = (index) => PLOT.left + ((PLOT.right - PLOT.left) * (index - 0.5)) / size;
    const y = (value) => PLOT.bottom - ((PLOT.bottom - PLOT.top) * (value - low)) / (high - low);
    const ticks = [-2, -1.5, -1, -0.5, 0, 0.5, 1].filter((value) => low < value && value < high);
    const level = (value, name) => drawing("line", { x1: PLOT.left, x2: PLOT.right, y1: y(value), y2: y(value), class: name });
    const text = (x, y, words, name = "") => drawing("text", { x, y, class: name }, words);
    const curves = drawing("g");
    const node = drawing("svg", { viewBox: "0 0 360 246", class: "spectrum", "aria-hidden": "true" },
      drawing("rect", { x: PLOT.left, y: PLOT.top, width: PLOT.right - PLOT.left, height: y(0) - PLOT.top, class: "flat" }),
      ...ticks.map((value) => level(value, value === 0 ? "zero" : "tick")),
      ...ticks.map((value) => text(PLOT.left - 5, y(value) + 4, figures.number(value).replace(/0+$/, "").replace(/\.$/, ""), "end")),
      text(PLOT.left + 4, PLOT.top + 13, "not negative: the density does not fall off"),
      text(PLOT.right - 4, y(-1) + 15, "−1: isolated point", "end"),
      text(PLOT.left, PLOT.bottom + 15, "1"), text(PLOT.right, PLOT.bottom + 15, `${size}`, "end"),
      text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 15, "index of the eigenvalue", "middle"),
      text(2, 12, "eigenvalue × σ²"),
      curves,
    );
    const path = (values) => `M${values.map((value, k) => `${x(k + 1).toFixed(1)} ${y(value).toFixed(1)}`).join("L")}`;
    const show = (now) => curves.replaceChildren(...Object.entries(classes).flatMap(([name, { eigenvalues, counts }]) =>
      eigenvalues[now].flatMap((values, sample) => [
        drawing("path", { d: path(values), class: name }),
        drawing("line", { x1: x(size + 1 - counts[now][sample]), x2: x(size + 1), y1: y(0), y2: y(0), class: `count ${name}` }),
      ])));
    return { node, show };
  }

  // How many are not negative at each time; the mark is at the time that is shown.
  function strip(classes, times) {
    const means = Object.entries(classes).map(([name, { counts }]) => [name, counts.map((some) => some.reduce((a, b) => a + b) / some.length)]);
    const most = Math.max(1, ...means.flatMap(([, values]) => values));
    const x = (now) => STRIP.left + ((STRIP.right - STRIP.left) * now) / (times.length - 1);
    const y = (count) => STRIP.bottom - ((STRIP.bottom - STRIP.top) * count) / most;
    const mark = drawing("line", { y1: STRIP.top - 6, y2: STRIP.bottom + 6, class: "mark" });
    const dot = (name, now, count) => name === "memorized"
      ? drawing("path", { d: `M${x(now) - 4} ${y(count) + 3}h8l-4 -7Z`, class: `dot ${name}` })
      : drawing("circle", { cx: x(now), cy: y(count), r: 3.5, class: `dot ${name}` });
    const node = drawing("svg", { viewBox: "0 0 360 92", class: "strip", "aria-hidden": "true" },
      drawing("line", { x1: STRIP.left, x2: STRIP.right, y1: STRIP.bottom, y2: STRIP.bottom, class: "tick" }),
      mark,
      ...means.flatMap(([name, values]) => [
        drawing("path", { d: `M${values.map((count, now) => `${x(now)} ${y(count)}`).join("L")}`, class: name }),
        ...values.map((count, now) => dot(name, now, count)),
      ]),
      drawing("text", { x: STRIP.left - 8, y: y(most) + 4, class: "end" }, `${most}`),
      drawing("text", { x: STRIP.left - 8, y: STRIP.bottom + 4, class: "end" }, "0"),
      drawing("text", { x: STRIP.left, y: 84 }, `t = ${times[0]}`),
      drawing("text", { x: (STRIP.left + STRIP.right) / 2, y: 84, class: "middle" }, "how many are not negative"),
      drawing("text", { x: STRIP.right, y: 84, class: "end" }, `${times.at(-1)}`),
    );
    const show = (now) => ["x1", "x2"].forEach((name) => mark.setAttribute(name, x(now)));
    const nearest = (share) => { // as a value of the slider
      const now = Math.round(((share * 360 - STRIP.left) / (STRIP.right - STRIP.left)) * (times.length - 1));
      return times.length - 1 - Math.max(0, Math.min(times.length - 1, now));
    };
    return { node, show, nearest };
  }
})();
