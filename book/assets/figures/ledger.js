// The ledger: shows the claims of a part of the paper, of a model or with a verdict, and opens them all for print.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form.ledger");
  if (!form) return;
  const claims = [...document.querySelectorAll("details.claim")];
  const groups = [...new Set(claims.map((claim) => claim.closest("section")))];

  function show() {
    const chosen = [...form.querySelectorAll("select")].map((select) => select.value).filter(Boolean);
    for (const claim of claims) claim.hidden = !chosen.every((name) => claim.classList.contains(name));
    for (const group of groups) group.hidden = !group.querySelector("details.claim:not([hidden])");
    const shown = claims.filter((claim) => !claim.hidden).length;
    form.querySelector("output").textContent = `${shown} of ${claims.length} claims are shown.`;
  }

  function openNamed() {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (named?.matches("details.claim")) named.open = true;
  }

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = claims.filter((claim) => !claim.open);
    for (const claim of closed) claim.open = true;
  });
  addEventListener("afterprint", () => {
    for (const claim of closed) claim.open = false;
  });
  addEventListener("hashchange", openNamed);
  form.addEventListener("change", show);
  form.hidden = false;
  show();
  openNamed();
});
