// Questions to the server.

export const escaped = (path) => path.split("/").map(encodeURIComponent).join("/");

// ask gives a document, or throws what the server says.
export async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 204) return null;
  const text = await answer.text();
  let doc;
  try { doc = JSON.parse(text); } catch { throw new Error(`${answer.status}: ${text.slice(0, 200)}`); }
  if (!answer.ok) throw Object.assign(new Error(doc.error), { story: doc.story });
  return doc;
}

export const acting = (body) => ({ method: "POST", headers: { "X-Trellis": "1", "Content-Type": "application/json" }, body });

export const act = (path, body) => ask(path, acting(body));

// read has on(kind, data) told what comes as server-sent events, until they end. An EventSource sends no headers, asks again by itself, and reads
// however much comes: here a sender that is too fast waits, and the page is drawn meanwhile.
export async function read(path, options, on) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const doc = await answer.json();
    throw Object.assign(new Error(doc.error), { story: doc.story });
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "", rested = performance.now();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const messages = (text + value).split("\n\n");
    text = messages.pop();
    for (const message of messages) {
      let kind = "message", data = "";
      for (const line of message.split("\n")) {
        if (line.startsWith("event: ")) kind = line.slice(7);
        if (line.startsWith("data: ")) data = line.slice(6);
      }
      on(kind, data);
    }
    if (performance.now() - rested > 10) {
      await new Promise((r) => setTimeout(r, 10));
      rested = performance.now();
    }
  }
}
