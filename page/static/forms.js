// Forms of endpoints: calls, streams, and contexts with what is sent and what comes.
import { act, acting, escaped, read } from "./ask.js";
import { misfit, push, skeleton } from "./fold.js";
import { cut, h, lasting } from "./draw.js";

// A browser has six connections to a server, of which events and logs take two, and one is left for questions.
const mostOpen = 3;
const tooMany = `${mostOpen} streams and contexts are open, and a browser has no more connections to a server: end one of them`;

const streams = new Map(); // "path endpoint" → a function that stops it
const talks = new Map(); // "path endpoint" → Talk
const results = new Map(); // "path endpoint" → text
const forms = new Map(); // "path endpoint" → {uuid, element}, of the process that it was made for

const isFull = () => streams.size + [...talks.values()].filter((t) => t.open).length >= mostOpen;

// soon is f, done once before the next frame however often it is asked for.
function soon(f) {
  let asked = false;
  return () => {
    if (!asked) requestAnimationFrame(() => { asked = false; f(); });
    asked = true;
  };
}

// editor is a field for JSON of a schema, which says while somebody types what does not fit.
function editor(label, schema, attributes = {}) {
  const note = h("p", { class: "bad", role: "status", hidden: true });
  const text = h("textarea", { "aria-label": label, spellcheck: "false", value: JSON.stringify(skeleton(schema), null, 1) ?? "null", oninput: () => check(), ...attributes });
  const check = () => {
    let why = "";
    try { why = misfit(JSON.parse(text.value), schema); } catch (err) { why = err.message; }
    note.textContent = why;
    note.hidden = !why;
    text.setAttribute("aria-invalid", String(!!why));
    return !why;
  };
  return { text, check, elements: [text, note] };
}

// endpointForm is the form of an endpoint of a process, with what was typed in it before.
export function endpointForm(path, uuid, e, readOnly) {
  const key = `${path} ${e.name}`, known = forms.get(key);
  if (known?.uuid === uuid) return known.element;
  const element = newForm(path, e, readOnly);
  forms.set(key, { uuid, element });
  return element;
}

// newForm has a field for each of the arguments that are plain, or one for all of them as JSON.
function newForm(path, e, readOnly) {
  const schema = e.schemas.arguments ?? {}, key = `${path} ${e.name}`;
  const properties = schema.type === "object" ? Object.entries(schema.properties ?? {}) : [];
  const plain = properties.length > 0 && properties.every(([, p]) => ["string", "integer", "number", "boolean"].includes(p.type));
  const fields = new Map();
  const field = (name, p) => {
    const input = h("input", p.type === "boolean" ? { type: "checkbox" } : { type: p.type === "string" ? "text" : "number", step: p.type === "number" ? "any" : undefined });
    fields.set(name, [input, p]);
    return h("label", {}, name + ((schema.required ?? []).includes(name) ? "" : " (optional)"), input);
  };
  const raw = editor(`Arguments of ${e.name}, as JSON`, schema);
  const value = () => {
    if (!plain) return raw.text.value;
    const out = {};
    for (const [name, [input, p]] of fields) {
      if (p.type === "boolean") out[name] = input.checked;
      else if (input.value !== "" || (schema.required ?? []).includes(name)) out[name] = p.type === "string" ? input.value : Number(input.value);
    }
    return JSON.stringify(out);
  };
  const out = h("pre", { hidden: !results.has(key) }, results.get(key) ?? "");
  const show = (text) => { results.set(key, text); out.textContent = text; out.hidden = false; };
  const talk = h("div", {}, talks.get(key)?.element);
  const begin = {
    func: () => call(path, e, value(), show), source: () => stream(path, e, value(), show, button),
    context: () => openContext(path, e, value(), talk, button),
  }[e.kind];
  const button = h("button", { type: "submit" }, { func: "Call", source: streams.has(key) ? "Stop" : "Stream", context: "Open" }[e.kind]);
  return h("div", { class: "call" },
    h("form", { onsubmit: (ev) => { ev.preventDefault(); begin(); } },
      h("div", { class: "row" }, h("strong", {}, e.name), h("span", { class: "faint" }, e.kind + (e.callers ? `, for ${e.callers.join(", ")}` : ""))),
      begin && !readOnly ? [plain ? properties.map(([n, p]) => field(n, p)) : raw.elements, h("div", { class: "row" }, button)] : h("span", { class: "faint" }, "This page only looks.")),
    out, talk,
    h("details", {}, h("summary", {}, "Types"), h("pre", {}, (e.shape ?? []).join("\n"))));
}

async function call(path, e, args, show) {
  show("…");
  const began = performance.now();
  try {
    const result = await act(`api/call/${escaped(path)}/${encodeURIComponent(e.name)}`, args);
    show(`${JSON.stringify(result, null, 1)}\n\n${lasting(performance.now() - began)}`);
  } catch (err) { show(story(err)); }
}

// story is what an error says, or a document of one.
const story = (err) => [err.error ?? err.message, ...(err.story ?? [])].join("\n");

async function stream(path, e, args, show, button) {
  const key = `${path} ${e.name}`, last = [], stop = new AbortController();
  if (streams.has(key)) { streams.get(key)(); return; }
  if (isFull()) { show(tooMany); return; }
  let n = 0, why = "";
  const draw = soon(() => show([why, `${n} messages`, ...last.slice().reverse()].filter(Boolean).join("\n")));
  streams.set(key, () => stop.abort());
  button.textContent = "Stop";
  draw();
  try {
    await read(`api/stream/${escaped(path)}/${encodeURIComponent(e.name)}?args=${encodeURIComponent(args)}`, { signal: stop.signal }, (kind, data) => {
      if (kind === "message") { push(last, cut(data, 2000), 200); n++; }
      else why = kind === "end" ? "ended" : story(JSON.parse(data));
      draw();
    });
    why ||= "the connection has ended";
  } catch (err) { why = stop.signal.aborted ? "stopped" : story(err); }
  streams.delete(key);
  button.textContent = "Stream";
  draw();
}

function openContext(path, e, args, place, button) {
  const key = `${path} ${e.name}`;
  if (talks.get(key)?.open) return;
  const talk = isFull() ? { element: h("p", { class: "bad", role: "alert" }, tooMany) } : new Talk(path, e, args, button);
  talks.set(key, talk);
  place.replaceChildren(talk.element);
}

// Talk is a context that somebody has opened: what is sent one by one, what comes, and how it ends. It is open as long as it is read.
class Talk {
  open = true;
  #id = "";
  #counts = { sent: 0, waiting: 0, received: 0, credit: 0, closed: false };
  #came = 0;
  #lines = []; // the last ones
  #draw = soon(() => this.#drawNow());
  #note = h("p", { class: "mono faint", role: "status" });
  #problem = h("p", { class: "bad", role: "alert", hidden: true });
  #log = h("pre", { class: "log" });

  constructor(path, e, args, opener) {
    this.opener = opener;
    this.editor = editor(`Message to ${e.name}, as JSON`, e.schemas.command ?? {}, { onkeydown: (ev) => { if (ev.key === "Enter" && (ev.ctrlKey || ev.metaKey)) { ev.preventDefault(); this.#send(); } } });
    const act = (text, title, f) => h("button", { type: "button", title, onclick: f }, text);
    this.sending = [h("button", { type: "submit", title: "Ctrl-Enter" }, "Send"), act("No more", "Say that no more messages come, and read on", () => this.#do("close"))];
    this.cancel = act("Cancel", "End the context", () => this.#do("cancel"));
    this.form = h("form", { onsubmit: (ev) => { ev.preventDefault(); this.#send(); } }, this.editor.elements, h("div", { class: "row" }, this.sending, this.cancel));
    this.element = h("div", { class: "talk" }, this.form, this.#problem, this.#note, this.#log);
    this.#read(`api/open/${escaped(path)}/${encodeURIComponent(e.name)}`, args);
  }

  async #read(path, args) {
    this.#draw();
    let last = "the connection has ended";
    try {
      await read(path, acting(args), (kind, data) => {
        switch (kind) {
          case "opened": this.#id = JSON.parse(data).id; break;
          case "counts": this.#counts = JSON.parse(data); break;
          case "message": this.#came++; this.#say("←", data); break;
          case "started": this.#say("started", data); break;
          case "result": this.#say("result", data); break;
          case "cancelled": last = "cancelled"; break;
          case "end": if (last !== "cancelled") last = ""; break;
          case "error-of-tree": last = story(JSON.parse(data)); break;
        }
        this.#draw();
      });
    } catch (err) { last = story(err); }
    this.open = false;
    if (last) this.#say(last, "");
  }

  #say(what, text) {
    push(this.#lines, `${what} ${cut(text, 2000)}`, 200);
    this.#draw();
  }

  async #send() {
    if (!this.editor.check()) return;
    const text = JSON.stringify(JSON.parse(this.editor.text.value));
    this.#say("→", text); // before what comes of it
    if (!await this.#do("send", this.editor.text.value)) this.#say("not sent:", text);
  }

  // #do asks for something, and reports whether it was done. How far the context is, comes with what is read alone: an answer may be older.
  async #do(what, body) {
    let why = this.#id ? "" : "it is not open yet";
    try {
      if (this.#id) await act(`api/context/${this.#id}/${what}`, body);
    } catch (err) { why = err.message; }
    this.#problem.textContent = why;
    this.#problem.hidden = !why;
    this.#draw();
    return !why;
  }

  #drawNow() {
    const c = this.#counts, state = !this.open ? "ended" : this.#id ? c.closed ? "open, no more is sent" : "open" : "opening …";
    this.#note.textContent = `${state} · ${c.sent} sent${c.waiting ? `, ${c.waiting} wait` : ""} · ${this.#came} came${this.open ? ` · credit ${c.credit}` : ""}`;
    this.#log.textContent = this.#lines.slice().reverse().join("\n");
    this.#log.hidden = !this.#lines.length;
    for (const b of this.sending) b.disabled = !this.open || c.closed;
    this.cancel.disabled = !this.open;
    this.opener.disabled = this.open;
  }
}
