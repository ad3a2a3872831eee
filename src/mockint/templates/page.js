"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const name = () => { button.textContent = isDark() ? "Light page" : "Dark page"; };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  prefersDark.addEventListener("change", name);
  button.hidden = false;
  name();

  // What is under the mouse or has the focus lights up, with all that belongs to it.
  let under = null;
  const keys = (one) => (one ? one.dataset.of.split(" ") : []);
  const light = () => {
    const focused = document.activeElement && document.activeElement.closest("[data-of]");
    const lit = new Set([...keys(under), ...keys(focused)]);
    for (const one of document.querySelectorAll("[data-of]")) one.classList.toggle("lit", keys(one).some((key) => lit.has(key)));
  };
  document.addEventListener("mouseover", ({ target }) => { under = target.closest("[data-of]"); light(); });
  root.addEventListener("mouseleave", () => { under = null; light(); });
  document.addEventListener("focusin", light);
  document.addEventListener("focusout", light);

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
})();
