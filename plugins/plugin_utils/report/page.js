"use strict";
// Everything is readable without this: it adds the filter, the choice of light and dark, and opens linked hosts.
(function () {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const remembered = {
    get() { try { return localStorage.getItem("sergas-report-theme"); } catch (error) { return null; } },
    set(value) { try { localStorage.setItem("sergas-report-theme", value); } catch (error) { /* a file may not store */ } },
  };

  const theme = byId("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  if (["light", "dark"].includes(remembered.get())) root.dataset.theme = remembered.get();
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    remembered.set(root.dataset.theme);
    name();
  });
  theme.hidden = false;
  name();

  const filter = byId("filter");
  if (filter) {
    const hosts = [...document.querySelectorAll("[data-host]")];
    const chips = [...filter.querySelectorAll("button")];
    const box = filter.querySelector("input");
    const shown = filter.querySelector("output");
    let wanted = "";
    const apply = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const host of hosts) {
        const fits = (!wanted || host.dataset.class === wanted) && words.every((word) => host.dataset.host.includes(word));
        host.hidden = !fits;
        if (fits && host.tagName === "TR") count += 1;
      }
      shown.textContent = words.length || wanted ? count + " shown" : "";
    };
    for (const chip of chips) {
      chip.addEventListener("click", () => {
        wanted = chip.value;
        for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
        apply();
      });
    }
    box.addEventListener("input", apply);
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) {
        event.preventDefault();
        box.focus();
      }
    });
    filter.hidden = false;
  }

  const open = () => {
    const host = location.hash.length > 1 && byId(location.hash.slice(1));
    if (!host || host.tagName !== "DETAILS") return;
    host.hidden = false;
    host.open = true;
    host.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
}());
