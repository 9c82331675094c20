// What style sheets alone cannot do for a reader: open what is folded before printing, and say of tables that are
// wider than the page that they can be moved, so that a keyboard reaches them.

(() => {
  const folded = () => document.querySelectorAll("article details:not([open])");
  let opened = [];

  addEventListener("beforeprint", () => {
    opened = [...folded()];
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => {
    opened.forEach((one) => { one.open = false; });
    opened = [];
  });

  // A link to a place inside something folded opens it, also where the browser does not.
  const reveal = () => {
    const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (place) {
      for (let one = place.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
      if (place.closest("details")) place.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);

  const mark = () => {
    for (const box of document.querySelectorAll("article :is(.cell_output .output, .pst-scrollable-table-container)")) {
      if (box.scrollWidth > box.clientWidth + 1) {
        const caption = box.closest("figure")?.querySelector("figcaption .caption-text")?.innerText;
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", `${caption ?? "Table"}, scrolls sideways`);
      } else if (box.getAttribute("role") === "group") {
        ["tabindex", "role", "aria-label"].forEach((name) => box.removeAttribute(name));
      }
    }
  };
  // The theme's buttons that open a part of the contents have a picture and no name.
  const name = () => {
    for (const button of document.querySelectorAll("details > summary:has(> .toctree-toggle)")) {
      const link = button.parentElement.parentElement.querySelector("a");
      button.setAttribute("aria-label", `Pages of ${link.innerText.trim()}`);
    }
  };
  addEventListener("DOMContentLoaded", () => {
    name();
    reveal();
    mark();
    document.addEventListener("toggle", mark, true);
    addEventListener("resize", mark);
  });
})();
