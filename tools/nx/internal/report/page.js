"use strict";
// The page works without this. A link into something folded unfolds it; two
// buttons fold and unfold a whole section.
(() => {
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let e = target; e; e = e.parentElement) {
      if (e.tagName === "DETAILS") e.open = true;
    }
    target.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);
  reveal();
  for (const tools of document.querySelectorAll("[data-folds]")) {
    const all = document.getElementById(tools.dataset.folds).querySelectorAll("details");
    for (const [word, open] of [["Unfold all", true], ["Fold all", false]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word;
      button.addEventListener("click", () => all.forEach((d) => { d.open = open; }));
      tools.append(button);
    }
  }
})();
