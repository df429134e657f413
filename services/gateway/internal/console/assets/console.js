// Keeps a page live: parts of it come rendered over Server-Sent Events. Without
// this script the page works, but shows what was when it was loaded.
"use strict";
(() => {
  const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  // Times are written in UTC; people read their own.
  function localTimes(root) {
    for (const time of root.querySelectorAll("time")) {
      time.title = time.textContent;
      time.textContent = dates.format(new Date(time.dateTime));
    }
  }

  // Counts down on our own clock, from when a code first came to be shown: the
  // clock of this device may be wrong, but its seconds are right.
  const begun = new WeakMap();
  function countDown() {
    for (const left of document.querySelectorAll(".left")) {
      const until = new Date(left.dataset.until), whole = until - new Date(left.dataset.from);
      if (!begun.has(left)) {
        const told = Number(left.closest("[data-at]")?.dataset.at) || Date.now();
        begun.set(left, { end: performance.now() + Math.min(whole, until - told) });
      }
      const rest = Math.max(0, begun.get(left).end - performance.now());
      left.querySelector("progress").value = whole > 0 ? rest / whole : 0;
      const text = rest > 0 ? Math.ceil(rest / 1000) + " s left" : "Over";
      const seconds = left.querySelector(".seconds");
      if (seconds.textContent !== text) seconds.textContent = text;
    }
  }

  // Replaces a part and keeps what the user was at: the focus, what is typed, what is open.
  function replace(id, html, at) {
    const part = document.getElementById(id);
    if (!part) return;
    part.dataset.at = at;
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const typed = new Map();
    for (const input of part.querySelectorAll("input[id]")) typed.set(input.id, input.value);
    const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    localTimes(fresh);
    if (fresh.innerHTML === part.innerHTML) return; // as it was loaded
    part.replaceChildren(...fresh.childNodes);
    for (const [inputID, value] of typed) {
      const input = document.getElementById(inputID);
      if (input) input.value = value;
    }
    for (const detailsID of open) document.getElementById(detailsID)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    countDown();
  }

  const link = document.getElementById("link");
  function say(up) {
    if (!link) return;
    const text = up ? link.dataset.up : link.dataset.down;
    link.classList.toggle("down", !up);
    if (link.textContent !== text) link.textContent = text;
  }

  let source = null;
  function open() {
    if (source || document.hidden) return;
    source = new EventSource(document.body.dataset.stream);
    source.addEventListener("open", () => say(true));
    source.addEventListener("part", (event) => {
      const { id, html, at } = JSON.parse(event.data);
      replace(id, html, at);
    });
    source.addEventListener("gone", () => location.assign("/"));
    source.addEventListener("error", () => {
      say(false);
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      setTimeout(ask, 3000);
    });
  }
  function close() {
    source?.close();
    source = null;
  }

  // A stream that was refused does not say why: find out whether to sign in again.
  async function ask() {
    const stop = new AbortController();
    try {
      const answer = await fetch(document.body.dataset.stream, { signal: stop.signal });
      if (answer.status === 401) return location.reload();
      if (answer.status === 404) return location.assign("/");
    } catch {
      // It is not reachable; opening again finds out when it is.
    } finally {
      stop.abort();
    }
    open();
  }

  localTimes(document);
  if (document.body.dataset.stream) {
    // A page that nobody sees needs no stream, and must not keep a pairing window open.
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    open();
    countDown();
    setInterval(countDown, 250);
  }
})();
