// The threshold: which captions a statistic calls memorized, which of them are, and where that lies on the ROC curve.
"use strict";

(() => {
  const { element, drawing, slider } = figures;
  const WIDTH = 320, LEFT = 8; // of the strip of captions, in units of its drawing

  figures.each("threshold", async (panel) => {
    const { statistics, questions, captions, pictures } = await figures.load("threshold");
    let ranked = []; // captions of the question, from the largest value down
    const question = choice("Question", questions.map((one) => one.words));
    const statistic = choice("Statistic", Object.values(statistics));
    const level = slider("Threshold", { // how many captions lie below it
      min: 0, max: 1, step: 1, value: 0, input: () => tell(), words: (below) => `${ranked.length - below} of ${ranked.length} are called memorized`,
    });
    const strip = drawing("svg", { viewBox: `0 0 ${WIDTH + 2 * LEFT} 92`, class: "strip", "aria-hidden": "true" });
    const curve = drawing("svg", { viewBox: "-30 -8 150 142", class: "curve", "aria-hidden": "true" });
    const told = element("output", { class: "sentence" });
    const sides = ["Called memorized", "Not called memorized"].map((title) => element("div", { class: "side" }, title));

    panel.append(
      element("div", { class: "sliders" }, question.node, statistic.node, level.node),
      element("div", { class: "columns" }, element("div", {}, strip, told), curve),
      element("div", { class: "sides" }, ...sides),
    );
    for (const { select } of [question, statistic]) select.addEventListener("change", choose);
    figures.movable(strip, level.node.querySelector("input"), {
      at: (x) => (level.value = ranked.filter((one) => one.x <= x * (WIDTH + 2 * LEFT)).length),
    });

    // What the captions of both kinds are called.
    function kinds() {
      return question.select.value.split(" against ");
    }

    // Ranks the captions of a question, and takes the lowest threshold at which at most 1 % of the others pass.
    function choose() {
      const { memorized, others } = questions[question.select.selectedIndex];
      const key = Object.keys(statistics)[statistic.select.selectedIndex];
      ranked = captions
        .map((caption, place) => ({ ...caption, place, value: caption[key] }))
        .map((one) => ({ ...one, memorized: memorized.includes(one.family) }))
        .filter((one) => one.memorized || others.includes(one.family))
        .sort((a, b) => b.value - a.value);
      const scale = (value) => (ranked.at(-1).value > 0 ? Math.log(value) : value);
      const [low, high] = [scale(ranked.at(-1).value), scale(ranked[0].value)];
      for (const one of ranked) one.x = LEFT + (WIDTH * (scale(one.value) - low)) / (high - low);
      level.node.querySelector("input").max = ranked.length;
      const negatives = ranked.filter((one) => !one.memorized).length;
      let passed = 0;
      const first = ranked.findIndex((one) => !one.memorized && ++passed > 0.01 * negatives);
      draw();
      level.value = ranked.length - first;
    }

    function rates(count) {
      const share = (kind) => {
        const all = ranked.filter((one) => one.memorized === kind);
        const found = ranked.slice(0, count).filter((one) => one.memorized === kind).length;
        return { found, all: all.length, rate: found / all.length };
      };
      return { positive: share(true), negative: share(false) };
    }

    function draw() {
      const mark = ({ x, memorized }) => memorized
        ? drawing("path", { d: `M${x - 4} 32L${x + 4} 32L${x} 24Z`, class: "memorized" })
        : drawing("circle", { cx: x, cy: 58, r: 3.5, class: "general" });
      strip.replaceChildren(
        drawing("text", { x: LEFT, y: 14 }, kinds()[0]), drawing("text", { x: LEFT, y: 80 }, kinds()[1]),
        drawing("text", { x: WIDTH + LEFT, y: 80, class: "end" }, "larger values →"),
        ...ranked.map(mark), drawing("line", { class: "level", y1: 18, y2: 66 }),
      );
      const place = ({ positive, negative }) => `L${100 * negative.rate} ${100 - 100 * positive.rate}`;
      const points = ranked.map((_, k) => place(rates(k + 1)));
      curve.replaceChildren(
        drawing("path", { d: "M0 0V100H100M0 100L100 0", class: "frame" }),
        drawing("path", { d: `M0 100${points.join("")}`, class: "roc" }),
        drawing("text", { x: 50, y: 116 }, "false positive rate"),
        drawing("text", { x: -50, y: -8, transform: "rotate(-90)" }, "true positive rate"),
        drawing("circle", { r: 4, class: "mark" }),
      );
    }

    function tell() {
      const [count, [first, second]] = [ranked.length - level.value, kinds()];
      const { positive, negative } = rates(count);
      const edges = [ranked[count - 1]?.x ?? WIDTH + LEFT + 6, ranked[count]?.x ?? LEFT - 6];
      const line = strip.querySelector(".level");
      for (const name of ["x1", "x2"]) line.setAttribute(name, (edges[0] + edges[1]) / 2);
      curve.querySelector(".mark").setAttribute("cx", 100 * negative.rate);
      curve.querySelector(".mark").setAttribute("cy", 100 - 100 * positive.rate);
      told.textContent =
        `Found: ${positive.found} of ${positive.all} ${first} captions (true positive rate ${positive.rate.toFixed(3)}).\n` +
        `False alarms: ${negative.found} of ${negative.all} ${second} ones (false positive rate ${negative.rate.toFixed(3)}).\n` +
        `Area under the whole curve: ${area().toFixed(3)}.`;
      sides.forEach((side, k) => {
        const own = k ? ranked.slice(count) : ranked.slice(0, count);
        side.replaceChildren(element("p", {}, k ? "Not called memorized" : "Called memorized"), ...own.map(picture));
      });
    }

    function area() {
      const [own, others] = [true, false].map((kind) => ranked.filter((one) => one.memorized === kind));
      const wins = own.flatMap((a) => others.map((b) => (a.value > b.value ? 1 : a.value === b.value ? 0.5 : 0)));
      return wins.reduce((a, b) => a + b) / wins.length;
    }

    function picture({ place, text, family, memorized }) {
      const words = `${family}: ${text}`;
      const kind = memorized ? "memorized" : "general";
      const node = element("span", { role: "img", "aria-label": words, title: words, class: kind });
      node.style.backgroundImage = `url(${pictures})`;
      node.style.backgroundPositionX = `${-32 * place}px`;
      return node;
    }

    choose();
  });

  function choice(label, options) {
    const select = element("select", {}, ...options.map((words) => element("option", {}, words)));
    return { select, node: element("label", {}, element("span", {}, label), select) };
  }
})();
