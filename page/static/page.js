// The page: it asks the server, and draws what package fold makes of the answers.
import { act, ask, escaped } from "./ask.js";
import { Tree, Numbers, hostOf, keep, newest, push, traces } from "./fold.js";
import { h, s, ago, bytes, clock, lasting, morph, percent, picture, rate, spark, table, timeline, waterfall, within } from "./draw.js";
import { endpointForm } from "./forms.js";

const $ = (id) => document.getElementById(id);
const tree = new Tree(), numbers = new Numbers(), records = [];
let about = { bounds: [1], read_only: false, plan: false, spans: false };
let selected = "", search = "", shape = "picture", tab = "events", paused = false, connected = false, ended = "", dirty = true;
let description = null, spans = [], spansRead = 0, chosenTrace = "", chosenSpan = null, plan = null, missed = 0;
const budgets = new Map(); // path → what of its restarts is spent, from 0 to 1

const draw = () => { dirty = true; };
const matches = (path) => !search || (path || "host").toLowerCase().includes(search);
const found = (text) => !search || text.toLowerCase().includes(search);

// What comes.

function followEvents() {
  const source = new EventSource("api/events");
  source.onopen = () => { connected = true; draw(); };
  source.onerror = () => { connected = false; draw(); };
  source.onmessage = (m) => { tree.apply(JSON.parse(m.data)); draw(); };
  source.addEventListener("lost", (m) => { missed += JSON.parse(m.data).events ?? 0; if (m.data === "{}") tree.reset(); draw(); });
  for (const kind of ["end", "error-of-tree"]) source.addEventListener(kind, (m) => { ended = JSON.parse(m.data).error ?? "the tree has ended"; source.close(); draw(); });
}

function followLogs() {
  const source = new EventSource(`api/logs?follow=1&level=debug&last=${keep.records}`);
  source.onopen = () => { records.length = 0; };
  source.onmessage = (m) => { push(records, JSON.parse(m.data), keep.records); if (tab === "logs") draw(); };
  for (const kind of ["end", "error-of-tree"]) source.addEventListener(kind, () => source.close());
}

const seen = () => document.visibilityState === "visible" && !ended;

// every asks again and again, each time when the last answer has come, and only while somebody looks.
async function every(ms, f) {
  for (;;) {
    if (seen() && !paused) {
      try { await f(); } catch (e) { if (tab !== "events") console.debug(e); }
    }
    await new Promise((r) => setTimeout(r, ms));
  }
}

async function measure() {
  const doc = await ask("api/metrics");
  numbers.look(performance.timeOrigin + performance.now(), doc.actors, about.bounds);
  tree.forget(Date.now());
  draw();
}

async function describe() {
  if (selected !== "" && !tree.actors.has(selected)) return;
  const path = selected, known = description?.path === path ? description : null;
  let doc = await ask(`api/actor/${escaped(path)}${known ? "?brief=1" : ""}`);
  if (known && doc.uuid !== known.uuid) doc = await ask(`api/actor/${escaped(path)}`); // another process, which may be another program
  else if (known) doc = { ...doc, endpoints: known.endpoints, program: known.program, log: newest(records, 10, (r) => (r.actor ?? "") === path).reverse() };
  if (path !== selected) return;
  description = doc;
  noteBudget(doc);
  draw();
}

function noteBudget(doc) {
  const r = doc.restarts;
  budgets.set(doc.path, r && r.max ? (r.max - r.left) / r.max : 0);
}

// readBudgets asks those that have been started again lately what is left of their restarts, until nothing is spent.
async function readBudgets() {
  const lately = Date.now() - 10_000, restarted = (a) => a.epoch > 1 && Date.parse(a.changed) > lately;
  const paths = tree.all().filter((a) => !a.goneAt && (restarted(a) || budgets.get(a.path) > 0)).map((a) => a.path).slice(0, 8);
  for (const path of paths) {
    try { noteBudget(await ask(`api/actor/${escaped(path)}?brief=1`)); } catch { budgets.delete(path); /* it has gone meanwhile */ }
  }
  if (paths.length) draw();
}

async function readSpans() {
  if (!about.spans || (tab !== "traces" && shape !== "picture")) return;
  const last = spans.at(-1);
  const doc = await ask("api/traces" + (last ? `?since=${encodeURIComponent(last.time)}` : ""));
  const known = new Set(spans.map((x) => x.span));
  for (const x of doc.spans) if (!known.has(x.span)) push(spans, x, 20_000);
  spansRead++;
  draw();
}

// ofSpans is f, done once for what has been read.
function ofSpans(f) {
  let read = -1, value;
  return () => {
    if (read !== spansRead) value = f();
    read = spansRead;
    return value;
  };
}

const allTraces = ofSpans(() => traces(spans));

// arcs are who has called whom lately, of those who are not beside each other in the tree.
const arcs = ofSpans(() => {
  const recent = Date.now() - 10_000, by = new Map(spans.map((x) => [x.span, x])), all = new Map();
  for (const x of spans) {
    if (x.kind !== "server" || Date.parse(x.time) + x.duration / 1e6 < recent) continue;
    const from = by.get(x.parent)?.actor ?? null, to = x.actor ?? "";
    if (from !== null && from !== to) all.set(`${from} ${to}`, { from, to });
  }
  return [...all.values()];
});

// What is drawn.

function choose(path) {
  if (path !== selected) { selected = path; description = null; describe().catch(() => {}); }
  draw();
}

const options = () => ({ selected, matches, choose, spent: (path) => budgets.get(path) ?? 0, arcs: arcs(), view: $("picture") });

const views = {
  events: {
    name: "Events", clear: () => { tree.events.length = 0; }, data: () => tree.events,
    draw: () => lines(tree.events, (e) => eventText(e), (e) => [clock(e.time), link(e.path), h("span", { class: `s-${e.to}` }, e.to), eventText(e)]),
  },
  logs: {
    name: "Logs", clear: () => { records.length = 0; }, data: () => records,
    draw: () => lines(records, (r) => `${r.actor} ${r.text} ${fieldsOf(r)}`, (r) => [clock(r.time), link(r.actor ?? ""), h("span", { class: `l-${r.level.toLowerCase()}` }, r.level.toLowerCase()),
      h("span", {}, r.text, " ", h("span", { class: "faint" }, fieldsOf(r)), r.trace ? [" ", h("button", { class: "link", onclick: () => openTrace(r.trace) }, "trace")] : [])]),
  },
  traces: { name: "Traces", clear: () => { spans = []; spansRead++; chosenTrace = ""; }, data: () => spans, draw: drawTraces },
  contexts: { name: "Contexts", data: () => contextsOf, draw: drawContexts },
  metrics: { name: "Metrics", data: () => [...numbers.rows.values()], draw: drawMetrics },
  timeline: { name: "Timeline", data: () => [...tree.history], draw: () => timeline(tree, Math.max(600, $("view").clientWidth - 24), { matches, view: $("view") }) },
  config: { name: "Config", data: () => plan, draw: drawPlan },
};

const eventText = (e) => [e.path, e.from && e.from !== e.to ? `${e.from} → ${e.to}` : "", e.step, e.cause, e.reason, e.stuck && `a task of ${e.stuck} does not end`, e.refused && `refused: ${e.refused}`, e.pause ? `in ${lasting(e.pause / 1e6)}` : "", e.used?.oom ? "out of memory" : ""].filter(Boolean).join("  ");
const fieldsOf = (r) => Object.entries(r.fields ?? {}).map(([k, v]) => `${k}=${typeof v === "string" ? v : JSON.stringify(v)}`).join(" ");
const link = (path) => h("button", { class: "link", onclick: () => choose(path) }, path || "host");

// lines are the last ones of a list that are found by their texts, the newest first: not many more than are seen, until somebody scrolls.
function lines(list, text, parts) {
  const shown = newest(list, $("view").scrollTop > 0 ? 400 : 60, (x) => !search || !text || found(text(x)));
  if (!shown.length) return h("p", { class: "faint" }, search ? "Nothing of this is found." : "Nothing yet.");
  return h("div", { class: "lines mono" }, shown.map((x) => {
    const [when, who, what, text] = parts(x);
    return h("div", {}, h("span", { class: "when" }, when), h("span", {}, who), h("span", {}, what), h("span", {}, text));
  }));
}

function openTrace(id) {
  tab = "traces";
  chosenTrace = id;
  chosenSpan = null;
  readSpans().catch(() => {});
  draw();
}

function drawTraces() {
  if (!about.spans) return h("p", { class: "faint" }, "This host keeps no spans. Start it with telemetry.spans in its config, such as --set telemetry.spans=20000.");
  const all = allTraces();
  const t = all.find((x) => x.trace === chosenTrace);
  if (t) {
    const of = records.filter((r) => r.trace === t.trace && (!chosenSpan || r.span === chosenSpan.span));
    return [
      h("div", { class: "row" }, h("button", { onclick: () => { chosenTrace = ""; chosenSpan = null; draw(); } }, "← All traces"), h("span", { class: "mono faint" }, t.trace)),
      waterfall(t, Math.max(700, $("view").clientWidth - 24), { choose: (x) => { chosenSpan = x; draw(); } }),
      chosenSpan ? h("dl", {}, pairs({ Span: chosenSpan.name, Actor: link(chosenSpan.actor ?? ""), Took: lasting(chosenSpan.duration / 1e6), Status: chosenSpan.status, Error: chosenSpan.error, Sent: traffic(chosenSpan.sent), Received: traffic(chosenSpan.received), Events: (chosenSpan.events ?? []).map((e) => e.name).join(", ") })) : null,
      of.length ? h("h3", {}, chosenSpan ? "Its log" : "Log of the trace") : null,
      of.length ? lines(of, null, (r) => [clock(r.time), link(r.actor ?? ""), r.level.toLowerCase(), r.text + " " + fieldsOf(r)]) : null,
    ];
  }
  const shown = all.filter((x) => found(`${x.root.name} ${[...x.actors].join(" ")} ${x.root.error ?? ""}`)).slice(0, 300);
  if (!shown.length) return h("p", { class: "faint" }, "No trace yet: calls, starts and ends make some.");
  return h("table", {}, h("thead", {}, h("tr", {}, ["When", "What", "Actors", "Spans", "Took", "Status"].map((x) => h("th", { scope: "col" }, x)))), h("tbody", {}, shown.map((x) =>
    h("tr", { tabindex: 0, onclick: () => openTrace(x.trace), onkeydown: (e) => { if (e.key === "Enter") openTrace(x.trace); } },
      h("td", {}, clock(x.root.time)), h("td", {}, x.root.name), h("td", {}, [...x.actors].sort().map((a) => a || "host").join(", ")), h("td", { class: "n" }, String(x.spans.length)),
      h("td", { class: "n" }, lasting(x.end - x.begin)), h("td", { class: x.failed ? "bad" : "" }, x.root.status + (x.failed ? ` (${x.failed} failed)` : ""))))));
}

const traffic = (t) => t?.messages ? `${t.messages.toLocaleString("en")} messages, ${bytes(t.bytes)}` : "";

// contextsOf are the open contexts of all actors, which are read while this list is looked at.
let contextsOf = [];

async function readContexts() {
  if (tab !== "contexts") return;
  const paths = ["", ...tree.all().filter((a) => !a.goneAt && matches(a.path)).map((a) => a.path)].slice(0, 60), all = [];
  for (const path of paths) {
    try {
      const doc = await ask(`api/actor/${escaped(path)}?brief=1`);
      noteBudget(doc);
      for (const c of doc.process?.contexts ?? []) all.push({ of: path, ...c });
    } catch { /* it has gone meanwhile */ }
  }
  contextsOf = all;
  draw();
}

function drawContexts() {
  const shown = contextsOf.filter((c) => found(`${c.of} ${c.endpoint ?? ""} ${c.peer} ${c.waits ?? ""}`));
  if (!shown.length) return h("p", { class: "faint" }, "No open contexts, streams or calls, as far as the first 60 actors say.");
  return h("table", {}, h("thead", {}, h("tr", {}, ["Actor", "Role", "Peer", "Endpoint", "Age", "Sent", "Received", "Queued", "Credit", "Phase", "Waits for"].map((x) => h("th", { scope: "col" }, x)))), h("tbody", {}, shown.map((c) =>
    h("tr", {}, h("td", {}, link(c.of)), h("td", {}, c.role), h("td", {}, c.peer), h("td", {}, c.endpoint ?? ""), h("td", { class: "n" }, ago(c.since)), h("td", { class: "n" }, String(c.sent ?? 0)), h("td", { class: "n" }, String(c.received ?? 0)),
      h("td", { class: "n" }, String(c.queued ?? 0)), h("td", { class: "n" }, String(c.credit ?? 0)), h("td", {}, c.phase ?? ""), h("td", { class: c.stuck || c.waits ? "bad" : "" }, c.stuck ? "it was told to end, and has not" : c.waits ?? "")))));
}

function drawMetrics() {
  const rows = [...numbers.rows.values()].filter((r) => matches(r.path)), height = $("view").querySelector("tr[data-path]")?.offsetHeight || 64;
  const [from, to] = within($("view"), rows.length, height), gap = (n) => n ? h("tr", {}, h("td", { colspan: 5, height: n * height })) : null;
  return h("table", {}, h("thead", {}, h("tr", {}, ["Actor", "CPU", "Memory", "Calls a second", "Senders that wait"].map((x) => h("th", { scope: "col" }, x)))), h("tbody", {}, gap(from), rows.slice(from, to).map((r) => {
    const p = numbers.points.get(r.path);
    return h("tr", { "data-path": r.path }, h("td", {}, link(r.path)), h("td", {}, percent(r.cpu), h("br"), spark(p.cpu)), h("td", {}, bytes(r.rss), h("br"), spark(p.rss)), h("td", {}, rate(r.calls), h("br"), spark(p.calls)), h("td", {}, String(r.held), h("br"), spark(p.held)));
  }), gap(rows.length - to)));
}

function drawPlan() {
  if (!about.plan) return h("p", { class: "faint" }, "This tree is not compared with a file.");
  const again = h("div", { class: "row" }, h("button", { onclick: readPlan }, "Compare again"), h("span", { class: "faint" }, "what runs with what the config file says now; host apply makes it so"));
  if (!plan) return h("p", { class: "faint" }, "Comparing …");
  if (plan.error) return [again, h("p", { class: "bad" }, plan.error)];
  if (!(plan.changes ?? []).length) return [again, h("p", {}, "There is no difference.")];
  const shown = plan.changes.flatMap((c) => differences(c)).filter((d) => found(d.map(String).join(" ")));
  return [again, h("table", {}, h("thead", {}, h("tr", {}, ["Actor", "What host apply does", "Setting", "Runs", "In the file"].map((x) => h("th", { scope: "col" }, x)))), h("tbody", {}, shown.map(([path, what, key, from, to, error]) =>
    h("tr", {}, h("td", {}, link(path)), h("td", {}, what, error ? h("div", { class: "bad" }, error) : null), h("td", {}, key), h("td", { class: "mono" }, from), h("td", { class: "mono" }, to)))))];
}

const changes = { add: "starts it", remove: "ends it: it is not in the file", scale: "starts or ends replicas", restart: "restarts it", supervise: "supervises its actors in another way", ask: "asks it: what it hosts is not known" };

// differences are the rows of a change: one for each setting, or one for the whole.
function differences(c) {
  const what = (changes[c.action] ?? c.action) + (c.with ? " with the others, by the strategy of its supervisor" : c.program ? ": its program is another one" : "");
  const rows = (c.settings ?? []).map((s) => [s.key, s.from || "–", s.to || "–"]);
  if (c.from !== undefined || c.to !== undefined) rows.push(["replicas", String(c.from ?? 0), String(c.to ?? 0)]);
  if (!rows.length) rows.push(["", "", ""]);
  return rows.map((r, i) => [c.actor, what, ...r, i ? "" : c.error ?? ""]);
}

async function readPlan() {
  if (tab !== "config" || !about.plan) return;
  plan = null;
  draw();
  try { plan = await ask("api/plan"); } catch (e) { plan = { error: e.message }; }
  draw();
}

function pairs(all) {
  return Object.entries(all).filter(([, v]) => v !== undefined && v !== null && v !== "").flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]);
}

// panel shows the selected actor. What somebody types in it stays: it is drawn anew only when another actor, or another answer is there.
let drawn = "";

function drawPanel() {
  const a = tree.actors.get(selected), d = description, r = numbers.rows.get(selected);
  const panel = $("panel"), reason = a?.reason || (d && d.state === a?.state && d.reason);
  const status = h("div", { id: "status" },
    h("h2", {}, selected || "host"), h("p", { class: `s-${a?.state ?? "root"}` }, a ? `${a.state}${reason ? `: ${reason}` : ""}` : selected === "" ? "the root of the tree" : "gone"),
    h("dl", {}, pairs({
      Host: a?.host, Process: d?.pid ? `${d.pid}${a ? `, the ${ordinal(a.epoch)}` : ""}` : "", Up: d?.up ? ago(d.up) : "", System: d?.system, CPU: r ? percent(r.cpu) : "", Memory: r ? bytes(r.rss) : "", "Calls a second": r && !r.silent ? rate(r.calls) : "",
      "Open contexts": r && !r.silent ? String(r.open) : "", Restarts: d?.restarts ? `${d.restarts.left} of ${d.restarts.max} left within ${lasting(d.restarts.window_ns / 1e6)} (${d.restarts.kind})` : "",
      "Next try": d?.restarts?.next ? clock(d.restarts.next) : "", Health: d?.health ? (d.health.failed || `passed ${ago(d.health.time)} ago`) : "", Program: d?.program?.path, SHA256: d?.program?.sha256, Silent: d?.silent,
    })),
    d?.limits?.length ? [h("h3", {}, "Uses"), h("dl", {}, pairs(Object.fromEntries(d.limits.map((l) => [l.name.replaceAll("_", " "), amount(l.name, l.used) + (l.max ? ` of ${amount(l.name, l.max)}` : "")]))))] : [],
    d?.failure ? [h("h3", {}, "Last failure"), h("pre", {}, d.failure.story.join("\n"))] : [],
    d?.log?.length ? [h("h3", {}, "Last lines"), h("pre", {}, d.log.map((x) => `${clock(x.time).slice(0, 8)} ${x.text} ${fieldsOf(x)}`).join("\n"))] : []);
  const key = JSON.stringify([selected, d?.uuid, (d?.endpoints ?? []).map((e) => e.name), about.read_only]);
  if (key === drawn) { panel.querySelector("#status").replaceWith(status); return; }
  drawn = key;
  panel.replaceChildren(status, orders(), h("h3", {}, "Endpoints"), ...(d?.endpoints ?? []).map((e) => endpointForm(selected, d.uuid, e, about.read_only)), d && !d.endpoints.length ? h("p", { class: "faint" }, "It serves none.") : "");
}

const ordinal = (n) => `${n}${["th", "st", "nd", "rd"][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? "th"}`;
const amount = (name, n) => /memory|size/.test(name) ? bytes(n) : name === "cpu" ? lasting((n ?? 0) / 1e6) : String(n ?? 0);

function orders() {
  if (about.read_only || selected === "") return h("div");
  const path = selected, note = h("span", { class: "bad", role: "alert" });
  const order = (what, question, cls) => h("button", {
    class: cls, onclick: async (e) => {
      if (!confirm(question)) return;
      e.target.disabled = true;
      note.textContent = "";
      try { await act(`api/${what}/${escaped(path)}`); } catch (err) { note.textContent = err.message; }
      e.target.disabled = false;
    },
  }, what === "restart" ? "Restart" : "Cancel");
  return h("div", { class: "row" }, order("restart", `End the process of ${path}, and start another one?`), order("cancel", `End ${path} for good?`, "danger"), note);
}

function drawSummary() {
  const all = tree.all().filter((a) => !a.goneAt), count = {};
  for (const a of all) count[a.state] = (count[a.state] ?? 0) + 1;
  const root = numbers.rows.get("");
  const cpu = [...numbers.rows.values()].reduce((n, r) => n + r.cpu, 0), rss = [...numbers.rows.values()].reduce((n, r) => n + r.rss, 0);
  $("summary").textContent = ended ? `Ended: ${ended}` : !connected ? "The host does not answer; trying again …" :
    `${all.length} actor${all.length === 1 ? "" : "s"}: ${Object.entries(count).map(([k, n]) => `${n} ${k}`).join(", ") || "none"}${root ? `  ·  ${percent(cpu)} of a processor, ${bytes(rss)}` : ""}${missed ? `  ·  ${missed} events lost` : ""}${paused ? "  ·  paused" : ""}`;
  $("summary").className = ended || !connected ? "bad" : "";
  document.title = (ended ? "ended · " : !connected ? "no answer · " : "") + "Trellis";
}

function drawAll() {
  drawSummary();
  $("picture").hidden = shape !== "picture";
  $("table").hidden = shape !== "table";
  $("as-picture").setAttribute("aria-pressed", shape === "picture");
  $("as-table").setAttribute("aria-pressed", shape === "table");
  if (shape === "picture") morph($("picture"), [picture(tree, numbers, options())]);
  else morph($("table"), [table(tree, numbers, options())]);
  for (const b of $("tabs").children) { b.setAttribute("aria-selected", b.dataset.tab === tab); b.tabIndex = b.dataset.tab === tab ? 0 : -1; }
  $("clear").hidden = !views[tab].clear;
  const content = views[tab].draw();
  morph($("view"), [content].flat().filter(Boolean));
  $("view").setAttribute("aria-label", views[tab].name);
  drawPanel();
}

// frame draws what has changed, five times a second at most, and so seldom that three quarters of the time are left for all else.
function frame() {
  const began = performance.now();
  if (dirty && !paused && document.visibilityState === "visible" && !getSelection().toString()) {
    dirty = false;
    drawAll();
  }
  setTimeout(() => setTimeout(() => requestAnimationFrame(frame), Math.max(200, 3 * (performance.now() - began))), 0); // behind what the browser makes of it
}

// What people do.

function setTab(name) {
  tab = name;
  [readSpans, readContexts, readPlan].forEach((f) => f().catch(() => {}));
  draw();
}

function setPaused(on) {
  paused = on;
  $("pause").setAttribute("aria-pressed", on);
  $("pause").textContent = on ? "Go on" : "Pause";
  drawSummary();
  draw();
}

// move chooses the actor so many rows below, of those that are found.
function move(by) {
  const paths = ["", ...tree.all().map((a) => a.path)].filter(matches);
  const at = Math.max(0, paths.indexOf(selected));
  choose(paths[Math.min(paths.length - 1, Math.max(0, at + by))] ?? "");
  drawAll();
  $(shape).querySelector(`[data-path="${CSS.escape(selected)}"]`)?.focus();
}

const bad = (a) => ["unhealthy", "gone", "reaped", "waiting"].includes(a.state) || (numbers.rows.get(a.path)?.held ?? 0) > 0;

function nextBad() {
  const all = tree.all(), at = all.findIndex((a) => a.path === selected);
  const next = [...all.slice(at + 1), ...all.slice(0, at + 1)].find(bad);
  if (next) choose(next.path);
}

const keys = [
  ["/", "search everything", () => $("search").focus()], ["↑ ↓", "the actor above, below", null], ["Enter", "go to the panel of the selected actor", null],
  ["v", "picture or table", () => { shape = shape === "picture" ? "table" : "picture"; draw(); }], ["e", "events", () => setTab("events")], ["l", "logs", () => setTab("logs")], ["t", "traces", () => setTab("traces")],
  ["c", "contexts", () => setTab("contexts")], ["m", "metrics", () => setTab("metrics")], ["i", "timeline", () => setTab("timeline")], ["g", "config", () => setTab("config")], ["n", "the next actor that is not well", nextBad], ["u", "the host of the selected actor", () => choose(hostOf(selected))],
  ["p", "pause, and go on", () => setPaused(!paused)], ["?", "these keys", () => $("keys").showModal()], ["Esc", "leave the search, or this list", null],
];

function onKey(e) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
  if (e.key === "Escape" && e.target === $("search")) { $("search").value = ""; setSearch(""); $("search").blur(); return; }
  if (typing || e.ctrlKey || e.metaKey || e.altKey || $("keys").open) return;
  const inTree = $("tree").contains(e.target) || e.target === document.body;
  if (inTree && (e.key === "ArrowDown" || e.key === "ArrowUp")) { move(e.key === "ArrowDown" ? 1 : -1); e.preventDefault(); return; }
  if (inTree && (e.key === "Enter" || e.key === " ") && e.target.dataset?.path !== undefined) { choose(e.target.dataset.path); ($("panel").querySelector("button, input, textarea") ?? $("panel")).focus(); e.preventDefault(); return; }
  if (e.target.getAttribute?.("role") === "tab" && (e.key === "ArrowRight" || e.key === "ArrowLeft")) {
    const names = Object.keys(views), next = names[(names.indexOf(tab) + (e.key === "ArrowRight" ? 1 : names.length - 1)) % names.length];
    setTab(next);
    drawAll();
    $("tabs").querySelector(`[data-tab=${next}]`).focus();
    return;
  }
  const known = keys.find(([k, , f]) => k === e.key && f);
  if (known) { known[2](); e.preventDefault(); }
}

function setSearch(text) { search = text.trim().toLowerCase(); draw(); }

function exportView() {
  const blob = new Blob([JSON.stringify(views[tab].data(), null, 1)], { type: "application/json" });
  const a = h("a", { href: URL.createObjectURL(blob), download: `trellis-${tab}.json` });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

async function begin() {
  for (const [name, v] of Object.entries(views)) $("tabs").append(h("button", { role: "tab", "data-tab": name, "aria-controls": "view", onclick: () => setTab(name) }, v.name));
  for (const state of ["ready", "starting", "waiting", "unhealthy", "gone", "standby"]) {
    $("legend").append(h("li", { class: `s-${state}` }, s("svg", { width: 10, height: 10, "aria-hidden": "true" }, s("circle", { cx: 5, cy: 5, r: 4.5, fill: "currentColor" })), ` ${state}`));
  }
  $("keys").append(h("h2", {}, "Keys"), h("dl", {}, keys.flatMap(([k, text]) => [h("dt", {}, h("kbd", {}, k)), h("dd", {}, text)])), h("form", { method: "dialog" }, h("button", {}, "Close")));
  $("as-picture").onclick = () => { shape = "picture"; draw(); };
  $("as-table").onclick = () => { shape = "table"; draw(); };
  $("pause").onclick = () => setPaused(!paused);
  $("help").onclick = () => $("keys").showModal();
  $("search").oninput = (e) => setSearch(e.target.value);
  $("clear").onclick = () => { views[tab].clear?.(); draw(); };
  $("export").onclick = exportView;
  const themes = ["", "light", "dark"], theme = document.documentElement.dataset;
  theme.theme = localStorage.getItem("trellis-theme") ?? "";
  $("theme").onclick = () => { theme.theme = themes[(themes.indexOf(theme.theme) + 1) % themes.length]; localStorage.setItem("trellis-theme", theme.theme); };
  document.addEventListener("keydown", onKey);
  addEventListener("resize", draw);
  for (const id of ["view", "picture"]) $(id).addEventListener("scroll", draw);
  document.addEventListener("visibilitychange", draw);
  try { about = await ask("api/about"); } catch (e) { ended = e.message; }
  frame();
  if (ended) return;
  followEvents();
  followLogs();
  every(1000, measure);
  every(2000, describe);
  every(2000, readSpans);
  every(2000, readBudgets);
  every(3000, readContexts);
}

begin();
