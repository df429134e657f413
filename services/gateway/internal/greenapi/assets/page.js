"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const marks = { linked: "✓", refused: "!", wait: " ", syncing: " " };
  // A page that nobody looks at any more must not keep a code alive for ever.
  const longest = 30 * 60 * 1000;
  let have = "", ends = 0, over = false, timer = 0, busy = false, began = Date.now();

  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    at("left").textContent = ends && left > 0 ? "A new code in " + left + " s" : "";
    if (ends && left <= 0) { at("qr").hidden = true; at("mark").textContent = ""; }
  };

  const show = (view) => {
    at("card").dataset.state = view.state;
    if (at("title").textContent !== view.title) at("title").textContent = view.title;
    document.title = view.title;
    at("text").textContent = view.text;
    at("mark").textContent = marks[view.state] || "";
    if (view.image) at("qr").src = "data:image/png;base64," + view.image;
    at("qr").hidden = view.state !== "qr";
    have = view.state === "qr" ? view.code : "";
    ends = view.state === "qr" ? Date.now() + view.seconds * 1000 : 0;
    over = view.state === "linked" || view.state === "refused";
    tick();
  };

  const poll = async () => {
    clearTimeout(timer);
    if (busy || over || document.hidden) return;
    if (Date.now() - began > longest) {
      show({ state: "trouble", title: "Paused", text: "No code is asked for any more, because this page has been open for long." });
      over = true;
      at("again").hidden = false;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.pathname + "?have=" + have, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.status !== 429) show(await answer.json());
      at("lost").hidden = true;
    } catch {
      at("lost").hidden = false;
    }
    busy = false;
    timer = setTimeout(poll, ends ? Math.max(200, Math.min(1500, ends - Date.now() + 50)) : 1500);
  };

  at("again").addEventListener("click", () => { at("again").hidden = true; began = Date.now(); over = false; poll(); });
  document.addEventListener("visibilitychange", poll);
  setInterval(tick, 250);
  at("mark").textContent = marks.wait;
  poll();
})();
