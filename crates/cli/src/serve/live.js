// Renews the page in its place. Without scripts the page renews itself as a whole.
"use strict";
(() => {
  const main = document.querySelector("main");
  const seconds = Number(main.dataset.interval) || 5;
  const state = document.getElementById("live");
  const renew = async () => {
    try {
      const answer = await fetch("/main", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      // What somebody reads or has marked is left alone.
      const marked = window.getSelection();
      if (!marked || marked.isCollapsed) main.innerHTML = text;
      state.textContent = "live";
    } catch (error) {
      state.textContent = "no connection; trying again";
    }
    window.setTimeout(renew, seconds * 1000);
  };
  state.textContent = "live";
  window.setTimeout(renew, seconds * 1000);
})();
