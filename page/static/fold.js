// What is known of the tree: folds over what the server sends. Nothing here draws, or asks.

export const keep = { events: 5000, records: 5000, points: 900, states: 200 };

// push appends to a list of bounded length: now and then it is cut to its last ones, as that is dear for a long one.
export function push(list, item, most) {
  list.push(item);
  if (list.length > 1.25 * most) list.splice(0, list.length - most);
}

// newest are the last ones of a list that pass a test, the newest first.
export function newest(list, most, test) {
  const found = [];
  for (let i = list.length - 1; i >= 0 && found.length < most; i--) if (test(list[i])) found.push(list[i]);
  return found;
}

export const hostOf = (path) => path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
export const lastOf = (path) => path.slice(path.lastIndexOf("/") + 1);

// Tree is who is there, by events. An actor that is gone stays for a while, so that its end is seen.
export class Tree {
  actors = new Map(); // path → {path, id, state, epoch, since, reason, cause, joined, endpoints, gone}
  events = [];
  history = new Map(); // path → [{at, state}]
  #order = null; // what all gives, until another actor comes or goes

  apply(e) {
    push(this.events, e, keep.events);
    const a = this.actors.get(e.path) ?? { path: e.path, endpoints: [], restarts: 0 };
    if (e.to === "ready" && e.endpoints) a.endpoints = e.endpoints;
    if (e.to === "ready" && e.from !== "unhealthy") a.since = e.time;
    Object.assign(a, { id: e.actor, epoch: e.epoch ?? 0, joined: !!e.joined, host: e.host ?? "", state: e.to });
    a.reason = e.reason ?? (e.from === e.to ? a.reason : "");
    a.cause = e.cause;
    a.changed = e.time;
    if (e.stuck) a.stuck = e.stuck;
    if (!this.actors.has(e.path)) this.#order = null;
    this.actors.set(e.path, a);
    const h = this.history.get(e.path) ?? [];
    if (!h.length || h.at(-1).state !== e.to || e.step) push(h, { at: Date.parse(e.time), state: e.to, step: e.step }, keep.states);
    this.history.set(e.path, h);
    if (e.to === "gone") a.goneAt = Date.now();
    else delete a.goneAt;
  }

  // forget lets actors go that have been gone for some time.
  forget(now, after = 20_000) {
    for (const [path, a] of this.actors) if (a.goneAt && now - a.goneAt > after) { this.actors.delete(path); this.#order = null; }
  }

  // all are the actors in the order of their paths, each after its host.
  all() {
    return this.#order ??= [...this.actors.values()].sort((a, b) => compare(a.path, b.path));
  }

  reset() { this.actors.clear(); this.#order = null; }
}

function compare(a, b) {
  const as = a.split("/"), bs = b.split("/");
  for (let i = 0; i < Math.min(as.length, bs.length); i++) {
    if (as[i] === bs[i]) continue;
    const [an, am = "1"] = as[i].split("#"), [bn, bm = "1"] = bs[i].split("#");
    return an === bn ? am - bm : an < bn ? -1 : 1;
  }
  return as.length - bs.length;
}

// Numbers are rates, of the time between two looks, and what was seen before.
export class Numbers {
  rows = new Map(); // path → row
  points = new Map(); // path → {cpu: [], rss: [], calls: [], held: []}
  #before = new Map(); // uuid → metrics
  #at = 0;

  look(at, actors, bounds) {
    const seconds = this.#at ? (at - this.#at) / 1000 : 0;
    const seen = new Map();
    this.rows = new Map();
    for (const m of actors) {
      const was = this.#before.get(m.id.uuid);
      const rate = (f) => was && seconds ? Math.max(0, (f(m) - f(was)) / seconds) : 0;
      const took = (x) => sumBuckets(x.endpoints);
      const row = {
        path: m.actor, id: m.id, state: m.state, since: m.since, health: m.health ?? "", silent: m.silent ?? "", restarts: m.restarts ?? 0, deaths: m.deaths,
        cpu: rate((x) => (x.process?.cpu ?? 0) / 1e9), rss: m.process?.rss ?? 0, files: m.process?.descriptors ?? 0,
        calls: rate((x) => took(x).reduce((a, b) => a + b, 0)), failed: rate((x) => (x.endpoints ?? []).reduce((n, e) => n + (e.failed ?? 0), 0)),
        messages: rate((x) => (x.messages_in ?? 0) + (x.messages_out ?? 0)), bytes: rate((x) => (x.bytes_in ?? 0) + (x.bytes_out ?? 0)),
        open: m.open ?? 0, queue: (m.unread ?? 0) + (m.queued ?? 0), held: m.held ?? 0,
        p99: was ? quantile(took(m).map((n, i) => n - (took(was)[i] ?? 0)), bounds, 0.99) : 0,
      };
      this.rows.set(m.actor, row);
      seen.set(m.id.uuid, m);
      const p = this.points.get(m.actor) ?? { cpu: [], rss: [], calls: [], held: [] };
      for (const k of Object.keys(p)) push(p[k], row[k], keep.points);
      this.points.set(m.actor, p);
    }
    for (const path of this.points.keys()) if (!this.rows.has(path)) this.points.delete(path);
    this.#before = seen;
    this.#at = at;
  }
}

function sumBuckets(endpoints = []) {
  const sum = [];
  for (const e of endpoints) (e.buckets ?? []).forEach((n, i) => { sum[i] = (sum[i] ?? 0) + n; });
  return Array.from(sum, (n) => n ?? 0);
}

function quantile(buckets, bounds, q) {
  const all = buckets.reduce((a, b) => a + Math.max(0, b), 0);
  let n = 0;
  for (let i = 0; i < buckets.length && all > 0; i++) {
    n += Math.max(0, buckets[i]);
    if (n >= q * all) return bounds[Math.min(i, bounds.length - 1)];
  }
  return 0;
}

// traces groups spans: each trace with its first span, what it took, and whether any has failed.
export function traces(spans) {
  const all = new Map();
  for (const s of spans) {
    const t = all.get(s.trace) ?? { trace: s.trace, spans: [], failed: 0, actors: new Set() };
    t.spans.push(s);
    t.actors.add(s.actor ?? "");
    if (s.status === "error") t.failed++;
    all.set(s.trace, t);
  }
  for (const t of all.values()) {
    const ids = new Set(t.spans.map((s) => s.span));
    for (const s of t.spans) s.begin = Date.parse(s.time) + fraction(s.time);
    t.spans.sort((a, b) => a.begin - b.begin);
    t.root = t.spans.find((s) => !s.parent || !ids.has(s.parent)) ?? t.spans[0];
    t.begin = t.spans[0].begin;
    t.end = Math.max(...t.spans.map((s) => s.begin + s.duration / 1e6));
  }
  return [...all.values()].sort((a, b) => b.begin - a.begin);
}

// fraction is what Date.parse drops of a time: what is below a millisecond.
function fraction(time) {
  const digits = /\.(\d+)/.exec(time)?.[1] ?? "";
  return Number("0." + (digits.slice(3) || "0"));
}

// nested gives the spans of a trace with their depths, each after its parent.
export function nested(trace) {
  const below = new Map(), ids = new Set(trace.spans.map((s) => s.span)), seen = new Set(), out = [];
  for (const s of trace.spans) {
    const at = s.parent && ids.has(s.parent) && s.parent !== s.span ? s.parent : "";
    below.set(at, [...(below.get(at) ?? []), s]);
  }
  const visit = (s, depth) => {
    if (seen.has(s)) return;
    seen.add(s);
    out.push({ span: s, depth });
    for (const next of below.get(s.span) ?? []) visit(next, depth + 1);
  };
  for (const s of below.get("") ?? []) visit(s, 0);
  for (const s of trace.spans) visit(s, 0); // of a ring, which a program may pretend
  return out;
}

// skeleton is a value of a schema to begin with.
export function skeleton(schema, root = schema, depth = 0) {
  if (!schema || depth > 6) return null;
  if (schema.$ref === "#") return depth > 2 ? null : skeleton(root, root, depth + 1);
  if (schema.anyOf) return null;
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case "object": return Object.fromEntries(Object.entries(schema.properties ?? {}).filter(([k]) => (schema.required ?? []).includes(k)).map(([k, s]) => [k, skeleton(s, root, depth + 1)]));
    case "array": return [];
    case "string": return "";
    case "integer": case "number": return 0;
    case "boolean": return false;
  }
  return null;
}

// misfit is what of a value a schema does not allow, as those of contracts are written; "" if it fits.
export function misfit(value, schema, root = schema, at = "") {
  const is = value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;
  const here = at || "the value", types = [schema.type ?? []].flat();
  if (schema.$ref) return misfit(value, pointed(root, schema.$ref), root, at);
  if (schema.anyOf) return schema.anyOf.some((one) => !misfit(value, one, root, at)) ? "" : misfit(value, schema.anyOf.at(-1), root, at);
  if (types.length && !types.includes(is) && !(is === "integer" && types.includes("number"))) return `${here}: expected ${types.join(" or ")}, got ${is}`;
  if (value < schema.minimum || value > schema.maximum) return `${here}: ${value} is out of range`;
  const each = (list) => list.find(Boolean) ?? "";
  if (is === "array" && schema.items) return each(value.map((one, i) => misfit(one, schema.items, root, `${at}[${i}]`)));
  if (is !== "object") return "";
  const missing = (schema.required ?? []).find((k) => !Object.hasOwn(value, k));
  if (missing !== undefined) return `${here}: ${missing} is missing`;
  return each(Object.entries(value).map(([k, one]) => {
    const of = Object.hasOwn(schema.properties ?? {}, k) ? schema.properties[k] : schema.additionalProperties ?? {};
    if (of === false) return `${here}: there is no field ${k}`;
    if (schema.propertyNames && !new RegExp(schema.propertyNames.pattern).test(k)) return `${here}: ${k} is not a key of it`;
    return misfit(one, of, root, at ? `${at}.${k}` : k);
  }));
}

// pointed is the schema that a reference names inside its document.
const pointed = (root, ref) => ref.split("/").slice(1).reduce((s, part) => s?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root) ?? {};
