// Pictures, made of elements, never of text: what actors say is shown as what it is.
import { hostOf, lastOf, nested } from "./fold.js";

// h makes an element: h("td", {class: "n", onclick: f}, "text", child, …).
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on") || key === "value" || key === "checked") element[key] = value;
    else if (key.startsWith("aria-") && typeof value === "boolean") element.setAttribute(key, String(value));
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

// morph makes the content of an element what is given, and keeps what is the same: what the browser has laid out, what has the focus, and
// where somebody reads. Fields that people type into are not for it.
export function morph(element, children) {
  const old = [...element.childNodes];
  children.forEach((now, i) => { if (i < old.length) morphNode(old[i], now); else element.append(now); });
  for (const more of old.slice(children.length)) more.remove();
}

function morphNode(old, now) {
  if (old.nodeName !== now.nodeName || old.dataset?.path !== now.dataset?.path) { old.replaceWith(now); return; }
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== now.data) old.data = now.data; return; }
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
  for (const name of ["onclick", "onkeydown"]) if (old[name] !== now[name]) old[name] = now[name];
  morph(old, [...now.childNodes]);
}

// within are the rows of a list that somebody sees, and as many above and below: the first one, and the one behind the last.
export function within(view, count, height) {
  const from = Math.floor(view.scrollTop / height), some = Math.ceil(view.clientHeight / height);
  return [Math.max(0, Math.min(from, count) - some), Math.min(count, from + 2 * some + 1)];
}

export const bytes = (n) => !n ? "–" : n < 1 << 20 ? `${(n / 1024).toFixed(0)} KiB` : n < 1 << 30 ? `${(n / (1 << 20)).toFixed(1)} MiB` : `${(n / (1 << 30)).toFixed(2)} GiB`;
export const percent = (x) => `${(100 * x).toFixed(1)} %`;
export const rate = (x) => !x ? "0" : x < 10 ? x.toFixed(1) : Math.round(x).toLocaleString("en");
export const clock = (time) => { const d = new Date(time); return d.toTimeString().slice(0, 8) + "." + String(d.getMilliseconds()).padStart(3, "0"); };

export function lasting(ms) {
  if (!(ms > 0)) return "0";
  if (ms < 0.1) return `${(ms * 1000).toFixed(0)} µs`;
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const m = Math.floor(seconds / 60), hours = Math.floor(m / 60), days = Math.floor(hours / 24);
  return days ? `${days}d${hours % 24}h` : hours ? `${hours}h${m % 60}m` : `${m}m${Math.floor(seconds % 60)}s`;
}

export const ago = (time) => time && !time.startsWith("0001") ? lasting(Date.now() - Date.parse(time)) : "–";

// picture draws the tree from left to right, as far as it is seen in o.view. o has selected, matches(path), spent(path) from 0 to 1, arcs [{from, to}], choose.
export function picture(tree, numbers, o) {
  const nodes = new Map();
  let y = 0, depth = 0;
  const byHost = Map.groupBy(tree.all(), (a) => hostOf(a.path));
  const place = (path, level, label, state, a) => {
    const below = byHost.get(path) ?? [];
    const node = { path, level, label, state, a, y: 0 };
    nodes.set(path, node);
    depth = Math.max(depth, level);
    if (below.length === 0) node.y = y++;
    else {
      for (const b of below) place(b.path, level + 1, lastOf(b.path), b.state, b);
      const ys = below.map((b) => nodes.get(b.path).y);
      node.y = (ys[0] + ys.at(-1)) / 2;
    }
  };
  place("", 0, "host", "root", null);
  const column = Math.max(190, Math.min(320, (o.view.clientWidth - 80) / (depth + 1))), line = Math.max(30, Math.min(56, (o.view.clientHeight - 60) / y));
  const [from, to] = within(o.view, y, line), seen = (n) => n.y >= from && n.y <= to || n.path === o.selected;
  const at = (n) => [40 + n.level * column, 24 + n.y * line];
  const out = s("svg", { width: 80 + (depth + 1) * column, height: 48 + y * line, role: "tree", "aria-label": "Tree of actors" });
  const edges = s("g", { role: "none" }), calls = s("g", { role: "none" });
  for (const n of nodes.values()) {
    if (n.path === "" || !seen(n)) continue;
    const up = nodes.get(hostOf(n.path));
    if (!up) continue;
    const [x1, y1] = at(up), [x2, y2] = at(n), r = numbers.rows.get(n.path);
    const busy = r?.messages ?? 0, mid = (x1 + x2) / 2;
    edges.append(s("path", {
      class: `edge${busy > 0.5 ? " busy" : ""}${r?.held ? " held" : ""}`, "stroke-width": Math.min(6, 1 + Math.log10(1 + busy)).toFixed(1),
      d: `M${x1} ${y1} C${mid} ${y1} ${mid} ${y2} ${x2} ${y2}`,
    }, s("title", {}, `${rate(busy)} messages a second${r?.held ? `, ${r.held} senders wait for credit` : ""}`)));
  }
  for (const { from, to } of o.arcs ?? []) {
    const a = nodes.get(from), b = nodes.get(to);
    if (!a || !b || hostOf(from) === to || hostOf(to) === from) continue;
    const [x1, y1] = at(a), [x2, y2] = at(b), bend = Math.max(x1, x2) + 40 + Math.abs(y2 - y1) / 4;
    calls.append(s("path", { class: "arc", d: `M${x1} ${y1} C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}` }, s("title", {}, `${from || "host"} has called ${to || "host"}`)));
  }
  out.append(edges, calls, s("g", { role: "none" }, [...nodes.values()].filter(seen).map((n) => drawNode(n, at(n), numbers.rows.get(n.path), o))));
  return out;
}

function drawNode(n, [x, y], r, o) {
  const chosen = o.selected === n.path, spent = o.spent(n.path), circle = 2 * Math.PI * 12;
  const small = r ? [n.path === "" ? "" : n.state === "ready" ? "" : n.state, r.cpu >= 0.005 ? percent(r.cpu) : "", bytes(r.rss), r.calls > 0.05 ? `${rate(r.calls)}/s` : "", r.queue ? `queue ${r.queue}` : "", r.held ? `held ${r.held}` : ""].filter(Boolean).join("  ") : n.state;
  return s("g", {
    class: `node s-${n.state}${o.matches(n.path) ? "" : " dim"}`, role: "treeitem", tabindex: chosen ? 0 : -1, "data-path": n.path, "aria-selected": chosen, "aria-level": n.level + 1,
    "aria-label": `${n.path || "host"}, ${n.state}`, transform: `translate(${x} ${y})`, onclick: () => o.choose(n.path),
  },
  s("circle", { class: "halo", r: 14 }),
  s("circle", { class: "ring", r: 12, "stroke-width": 2 }),
  spent > 0 ? s("circle", { class: "spent", r: 12, "stroke-width": 3, "stroke-dasharray": `${(circle * spent).toFixed(1)} ${circle.toFixed(1)}`, transform: "rotate(-90)" }) : null,
  s("circle", { class: "body", r: 8 }),
  s("text", { class: "name", x: 18, y: 0 }, n.label + (n.a?.joined ? " (joined)" : "") + (n.a?.host ? ` on ${n.a.host}` : "") + (n.a && n.a.epoch > 1 ? `  ↻${n.a.epoch - 1}` : "")),
  s("text", { class: "small", x: 18, y: 12 }, small));
}

// table is the same for keyboards and screen readers.
export function table(tree, numbers, o) {
  const rows = [{ path: "", state: "ready", epoch: 1 }, ...tree.all()].map((a) => {
    const r = numbers.rows.get(a.path), own = (text) => r && !r.silent ? text : "–";
    const depth = a.path === "" ? 0 : a.path.split("/").length;
    return h("tr", { tabindex: o.selected === a.path ? 0 : -1, "data-path": a.path, "aria-selected": o.selected === a.path, "aria-level": depth + 1, class: o.matches(a.path) ? "" : "dim", onclick: () => o.choose(a.path) },
      h("td", {}, "\u2003".repeat(depth) + (a.path === "" ? "host" : lastOf(a.path)) + (a.joined ? " (joined)" : "") + (a.host ? ` on ${a.host}` : "")),
      h("td", { class: `s-${a.state}` }, a.state), h("td", { class: "n" }, ago(r?.since)), h("td", { class: "n" }, String(r?.restarts ?? Math.max(0, a.epoch - 1))),
      h("td", { class: "n" }, r ? percent(r.cpu) : "–"), h("td", { class: "n" }, bytes(r?.rss)), h("td", { class: "n" }, own(rate(r?.calls))), h("td", { class: "n" }, own(r?.p99 ? lasting(r.p99 * 1000) : "–")),
      h("td", { class: "n" }, own(String(r?.open))), h("td", { class: "n" }, own(String(r?.queue))), h("td", { class: `n${r?.held ? " bad" : ""}` }, own(String(r?.held))), h("td", { class: r?.health === "failed" || r?.silent ? "bad" : "" }, r?.silent || r?.health || "–"));
  });
  return h("table", { role: "treegrid", "aria-label": "Actors" }, h("thead", {}, h("tr", {}, ...["Actor", "State", "Age", "Restarts", "CPU", "RSS", "Calls/s", "P99", "Contexts", "Queue", "Held", "Health"].map((t, i) => h("th", { class: i > 1 && i < 11 ? "n" : "", scope: "col" }, t)))), h("tbody", {}, ...rows));
}

// spark is a line of numbers, the newest at the right.
export function spark(points, width = 220, height = 36) {
  const most = Math.max(...points, 1e-9), step = width / (Math.max(points.length, 120) - 1);
  const x = (i) => (width - (points.length - 1 - i) * step).toFixed(1), y = (v) => (height - 2 - (height - 4) * v / most).toFixed(1);
  return s("svg", { width, height, role: "img" }, s("path", { class: "grid", d: `M0 ${height - 1}H${width}` }), s("path", { class: "spark", d: points.map((v, i) => `${i ? "L" : "M"}${x(i)} ${y(v)}`).join("") }));
}

// waterfall draws a trace: a line for each span, as long as it took.
export function waterfall(trace, width, o) {
  const rows = nested(trace), all = Math.max(trace.end - trace.begin, 0.001), left = 330;
  const x = (t) => left + (width - left - 90) * (t - trace.begin) / all;
  const out = s("svg", { width, height: 24 + rows.length * 20, role: "img", "aria-label": `Trace ${trace.trace}` });
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const at = x(trace.begin + part * all);
    out.append(s("path", { class: "grid", d: `M${at} 16V${24 + rows.length * 20}` }), s("text", { class: "small", x: at + 2, y: 12 }, lasting(part * all)));
  }
  rows.forEach(({ span, depth }, i) => {
    const y = 22 + i * 20, w = Math.max(2, x(span.begin + span.duration / 1e6) - x(span.begin));
    out.append(s("g", { tabindex: 0, class: "node", onclick: () => o.choose(span), onkeydown: (e) => { if (e.key === "Enter") o.choose(span); } },
      s("title", {}, `${span.name} of ${span.actor || "host"}: ${lasting(span.duration / 1e6)}${span.error ? `\n${span.error}` : ""}`),
      s("rect", { x: 0, y: y - 2, width, height: 19, fill: "transparent" }),
      s("text", { x: 4 + Math.min(depth, 12) * 12, y: y + 11 }, cut(span.name, 34 - 2 * Math.min(depth, 12))),
      s("text", { class: "small", x: 230, y: y + 11 }, cut(span.actor || "host", 16)),
      s("rect", { class: span.status === "error" ? "bar-bad" : "bar-ok", x: x(span.begin), y: y + 2, width: w, height: 11, rx: 2 }),
      ...(span.events ?? []).map((e) => s("path", { class: "grid", d: `M${x(Date.parse(e.time))} ${y}v15` }, s("title", {}, e.name))),
      s("text", { class: "small", x: x(span.begin) + w + 4, y: y + 11 }, lasting(span.duration / 1e6))));
  });
  return out;
}

export const cut = (text, most) => text.length > most ? text.slice(0, Math.max(1, most - 1)) + "…" : text;

// timeline draws what state each actor was in.
export function timeline(tree, width, o) {
  const actors = tree.all().filter((a) => o.matches(a.path)), now = Date.now();
  const begins = actors.map((a) => tree.history.get(a.path)?.[0]?.at ?? now);
  const begin = Math.max(Math.min(now - 1000, ...begins), now - 15 * 60_000), left = 200;
  const x = (t) => left + (width - left - 16) * (Math.max(t, begin) - begin) / (now - begin);
  const out = s("svg", { width, height: 26 + actors.length * 20, role: "img", "aria-label": "States of actors over time" });
  for (const part of [0, 0.25, 0.5, 0.75]) {
    const at = x(begin + part * (now - begin));
    out.append(s("path", { class: "grid", d: `M${at} 16V${26 + actors.length * 20}` }), s("text", { class: "small", x: at + 2, y: 12 }, clock(begin + part * (now - begin)).slice(0, 8)));
  }
  const [from, to] = within(o.view, actors.length, 20);
  actors.slice(from, to).forEach((a, i) => {
    const y = 22 + (from + i) * 20, all = tree.history.get(a.path) ?? [];
    let last = -1, ready = true; // what was drawn before: of many within a pixel, one is, and rather one that is not ready
    out.append(s("text", { x: 4, y: y + 11 }, cut(a.path, 28)));
    all.forEach((part, j) => {
      const end = all[j + 1]?.at ?? (part.state === "gone" ? part.at : now);
      if (end < begin || x(part.at) - last < 1 && (part.state === "ready" || !ready)) return;
      last = x(part.at);
      ready = part.state === "ready";
      out.append(s("rect", { class: `t-${part.state}${part.step ? " step" : ""}`, x: x(part.at), y: y + 2, width: Math.max(2, x(end) - x(part.at)), height: 12, rx: 2 }, s("title", {}, `${part.state} at ${clock(part.at)}${part.step ? `, ${part.step}` : ""} for ${lasting(end - part.at)}`)));
    });
  });
  return out;
}
