// The ledger: shows the claims of a part of the paper, of a model or with a verdict.
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

  form.addEventListener("change", show);
  form.hidden = false;
  show();
});
