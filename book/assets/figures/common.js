// What all figures that can be handled share. Classic scripts, as browsers load no modules from the file system.
// A page holds a static figure; where scripts run, parts for the screen take the place of its picture, which print keeps.
"use strict";

const figures = (globalThis.figures ??= { data: {} });

figures.element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

figures.drawing = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Calls build(panel) for every figure of a class, once the page is there.
figures.each = (name, build) => {
  for (const figure of document.querySelectorAll(`figure.${name}`)) {
    const panel = figures.element("div", { class: "handled" });
    const caption = figure.querySelector("figcaption");
    figure.insertBefore(panel, caption);
    Promise.resolve(build(panel)).then(() => figure.classList.add("is-handled"));
  }
};

// Data of a run come as a script that fills figures.data, as browsers fetch no JSON from the file system either.
figures.load = (name) =>
  new Promise((resolve, reject) => {
    const root = document.documentElement.dataset.content_root ?? "../";
    const script = figures.element("script", { src: `${root}_static/figures/data/${name}.js` });
    script.onload = () => resolve(figures.data[name]);
    script.onerror = () => reject(new Error(`${script.src} is not there`));
    document.head.append(script);
  });

// A labelled slider whose value is told in words; input() is called at every change.
figures.slider = (label, { min, max, step, value, words, input }) => {
  const range = figures.element("input", { type: "range", min, max, step });
  const told = figures.element("span", { class: "told" });
  range.value = value;
  const tell = () => {
    told.textContent = words(range.valueAsNumber);
    range.setAttribute("aria-valuetext", told.textContent);
  };
  range.addEventListener("input", () => (tell(), input()));
  tell();
  const node = figures.element("label", {}, figures.element("span", {}, label), told, range);
  return {
    node,
    get value() {
      return range.valueAsNumber;
    },
    set value(next) {
      range.value = next;
      tell();
      input();
    },
    get atEnd() {
      return range.valueAsNumber === Number(range.min);
    },
    restart() {
      this.value = range.max;
    },
  };
};

// A button that moves a slider from its largest value to its least. Readers who ask for reduced motion get none.
figures.player = (slider, words, stride, pause = 40) => {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return "";
  const button = figures.element("button", { type: "button" }, words);
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = words;
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.atEnd) slider.restart();
    button.textContent = "Stop";
    timer = setInterval(() => {
      slider.value -= stride;
      if (slider.atEnd) stop();
    }, pause);
  });
  return button;
};

// Lets a node be moved by pointer and by arrow keys. at(x, y): shares of the area's width and height; by(dx, dy): steps,
// left out where the node has keys of its own.
figures.movable = (area, node, { at, by }) => {
  const follow = (event) => {
    const box = area.getBoundingClientRect();
    at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    node.focus({ preventScroll: true });
    follow(event);
    event.preventDefault();
  });
  area.addEventListener("pointermove", (event) => area.hasPointerCapture(event.pointerId) && follow(event));
  if (!by) return;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  node.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    by(...step.map((one) => one * (event.shiftKey ? 10 : 1)));
  });
};

// A number with three digits after the point, small ones as a power of ten, a true minus sign.
figures.number = (value) => {
  const text = value !== 0 && Math.abs(value) < 0.0005 ? value.toExponential(0) : value.toFixed(3);
  return text.replace(/-/g, "−");
};
