// What pages do beyond links and forms: keep themselves up to date, and move by keyboard.
"use strict";
(() => {
  const doc = document, root = doc.documentElement;
  root.classList.add("js");
  const all = (sel, from = doc) => [...from.querySelectorAll(sel)];

  // Times: "3m ago" as time goes on, and in the reader's zone when hovered.
  const words = (s) => s < 60 ? Math.max(0, Math.floor(s)) + "s" : s < 3600 ? Math.floor(s / 60) + "m" : s < 172800 ? Math.floor(s / 3600) + "h" : Math.floor(s / 86400) + "d";
  const tick = () => {
    for (const t of all("time[data-is]")) {
      const at = new Date(t.dateTime), s = (Date.now() - at) / 1000;
      let text = t.textContent;
      if (t.dataset.is === "ago") text = words(s) + " ago";
      if (t.dataset.is === "until") text = s >= 0 ? "now" : "in " + words(-s);
      if (t.dataset.is === "clock" && !t.dataset.zone) text = at.toLocaleTimeString([], { hour12: false }) + "." + String(at.getMilliseconds()).padStart(3, "0");
      if (text !== t.textContent) t.textContent = text;
      if (!t.dataset.zone) {
        t.dataset.zone = "1";
        t.title = at.toLocaleString() + " here\n" + t.title;
      }
    }
  };
  setInterval(tick, 1000);

  // Forms that filter: a choice is taken at once, a text when it is complete.
  for (const form of all("form[data-auto]")) {
    form.classList.add("auto");
    form.addEventListener("change", () => form.requestSubmit());
    form.addEventListener("submit", () => { for (const f of form.elements) if (f.value === "") f.disabled = true; });
  }
  addEventListener("pageshow", () => { for (const f of all("form[data-auto] :disabled")) f.disabled = false; });

  for (const f of all("[data-submit]")) f.addEventListener("change", () => {
    HTMLFormElement.prototype.submit.call(f.form); // the whole page: the form itself changes with what is picked
  });

  // Copying.
  if (navigator.clipboard) for (const el of all("[data-copy]")) {
    const b = doc.createElement("button");
    b.className = "copy"; b.type = "button"; b.textContent = "copy";
    b.setAttribute("aria-label", "Copy " + el.textContent.trim());
    const text = el.textContent.trim();
    b.onclick = () => navigator.clipboard.writeText(text).then(() => { b.textContent = "copied"; setTimeout(() => { b.textContent = "copy"; }, 1500); });
    el.append(" ", b);
  }

  // Searching in a body, without changing it.
  const find = doc.getElementById("find"), where = doc.querySelector("[data-search-in]");
  if (find && where && window.CSS && CSS.highlights) {
    find.hidden = false;
    let ranges = [], at = -1;
    const show = () => {
      CSS.highlights.delete("found");
      const n = ranges.length;
      doc.getElementById("found").textContent = find.value ? (n ? (at + 1) + " of " + n : "not found") : "";
      if (n) {
        CSS.highlights.set("found", new Highlight(ranges[at]));
        const r = ranges[at].getBoundingClientRect(), box = where.getBoundingClientRect();
        where.scrollTop += r.top - box.top - box.height / 3;
      }
    };
    find.addEventListener("input", () => {
      CSS.highlights.clear(); ranges = []; at = 0;
      const text = where.textContent.toLowerCase(), what = find.value.toLowerCase();
      const nodes = [], walk = doc.createTreeWalker(where, NodeFilter.SHOW_TEXT);
      for (let n, from = 0; (n = walk.nextNode()); from += n.length) nodes.push([from, n]);
      const place = (i) => { let k = 0, hi = nodes.length; while (hi - k > 1) { const m = (k + hi) >> 1; if (nodes[m][0] <= i) k = m; else hi = m; } return [nodes[k][1], i - nodes[k][0]]; };
      for (let i = what ? text.indexOf(what) : -1; i >= 0 && ranges.length < 1000; i = text.indexOf(what, i + what.length)) {
        const r = new Range(); r.setStart(...place(i)); r.setEnd(...place(i + what.length)); ranges.push(r);
      }
      CSS.highlights.set("find", new Highlight(...ranges));
      show();
    });
    find.addEventListener("keydown", (e) => {
      if (e.key !== "Enter" || !ranges.length) return;
      at = (at + (e.shiftKey ? ranges.length - 1 : 1)) % ranges.length; show(); e.preventDefault();
    });
  }

  // Keys.
  const keys = doc.getElementById("keys"), opener = doc.getElementById("keys-open");
  if (opener) { opener.hidden = false; opener.onclick = () => keys.showModal(); }
  const places = { o: "/", d: "/deliveries", j: "/jobs", h: "/hooks", r: "/rejected", b: "/bench", c: "/config", a: "/audit", m: "/docs/" };
  let going = 0;
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    const field = e.target.closest("input,select,textarea");
    if (field) {
      if (e.key === "Escape") { if (field.closest("[data-auto]") && "defaultValue" in field) field.value = field.defaultValue; field.blur(); }
      return;
    }
    if (keys && keys.open) return;
    if (going && Date.now() - going < 1200 && places[e.key]) { location.href = places[e.key]; e.preventDefault(); return; }
    going = 0;
    if (e.key === "g") going = Date.now();
    if (e.key === "?" && keys) { keys.showModal(); e.preventDefault(); }
    if (e.key === "/") { const s = all("[data-search]").find((x) => !x.hidden); if (s) { s.focus(); s.select(); e.preventDefault(); } }
    if (e.key === "j" || e.key === "k") {
      const rows = all("[data-row] [data-open]"), now = doc.activeElement && doc.activeElement.closest("[data-row]");
      const i = now ? rows.findIndex((a) => now.contains(a)) : -1;
      const next = rows[e.key === "j" ? i + 1 : Math.max(0, i - 1)];
      if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); e.preventDefault(); }
    }
  });

  // What stays as it was when a part of the page is replaced: open details, and where one reads.
  let kept = null;
  doc.body.addEventListener("htmx:beforeSwap", (e) => {
    const t = e.detail.target;
    kept = {
      open: all("details[id]", t).map((d) => [d.id, d.open]),
      at: all("pre[aria-label]", t).map((p) => [p.getAttribute("aria-label"), p.scrollTop, p.scrollTop + p.clientHeight >= p.scrollHeight - 4]),
    };
  });
  doc.body.addEventListener("htmx:afterSwap", () => {
    if (!kept) return;
    for (const [id, open] of kept.open) { const d = doc.getElementById(id); if (d) d.open = open; }
    for (const [label, top, end] of kept.at) {
      const p = all("pre[aria-label]").find((x) => x.getAttribute("aria-label") === label);
      if (p) p.scrollTop = end && p.hasAttribute("data-follow") ? p.scrollHeight : top;
    }
    kept = null;
    tick();
  });

  // A list takes up what is new: at once while its beginning is in view, else when asked to, so
  // that what one reads does not move.
  const list = doc.getElementById("list"), fresh = doc.getElementById("fresh");
  let newer = [], asking = false, again = false;
  const insert = () => {
    const body = list.tBodies[0];
    for (const row of newer.reverse()) {
      const first = body.firstElementChild;
      row.classList.add("new");
      if (first && first.classList.contains("day")) first.after(row); else body.prepend(row);
    }
    const rows = all("tr[data-row]", body);
    for (const row of rows.slice(500)) row.remove();
    newer = []; fresh.hidden = true;
  };
  const refresh = async () => {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const r = await fetch(list.dataset.fresh, { headers: { "HX-Request": "true" } });
      if (!r.ok) return;
      const page = new DOMParser().parseFromString(await r.text(), "text/html"), got = page.getElementById("list");
      if (!list.tBodies) { if (got && got.tBodies) location.reload(); return; }
      const rows = got && got.tBodies ? all("tr", got) : [];
      newer = [];
      for (const row of rows) {
        const old = row.id && doc.getElementById(row.id);
        if (old) { if (!old.contains(doc.activeElement) && old.innerHTML !== row.innerHTML) old.innerHTML = row.innerHTML; } else if (row.id) newer.push(row);
      }
      if (!newer.length) fresh.hidden = true;
      else if (scrollY < 60 && !list.contains(doc.activeElement)) insert();
      else { fresh.textContent = newer.length + " new"; fresh.hidden = false; }
      tick();
    } finally {
      asking = false;
      if (again) { again = false; setTimeout(refresh, 500); }
    }
  };
  if (fresh) fresh.onclick = () => { insert(); scrollTo({ top: 0 }); };

  // What happens, as it happens.
  const live = doc.getElementById("live");
  let soon = 0;
  const happened = (kind) => {
    doc.body.dispatchEvent(new CustomEvent("live-" + kind));
    if (list && list.dataset.fresh && (list.dataset.event === kind || kind === "job") && !soon) soon = setTimeout(() => { soon = 0; refresh(); }, 400);
  };
  if (live && window.EventSource) {
    const source = new EventSource("/live");
    const say = (on) => { live.hidden = false; live.classList.toggle("on", on); live.querySelector(".live-text").textContent = on ? "live" : "reconnecting"; };
    source.onopen = () => say(true);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) live.hidden = true; else say(false); };
    for (const [kind, what] of [["delivery", "delivery"], ["job", "job"], ["reject", "reject"], ["reload", "config"], ["pause", "config"], ["audit", "audit"]])
      source.addEventListener(kind, () => happened(what));
    source.addEventListener("missed", () => { for (const what of ["delivery", "job", "reject", "config", "audit"]) happened(what); });
    addEventListener("pagehide", () => source.close());
  }
  tick();
})();
