// Looks at a busy tree for ten seconds: node busy.mjs nobody | program URL | browser LINK. It prints what it sees, and fails
// if the page does not answer.
import { createRequire } from "node:module";

const [, , how, at] = process.argv, seconds = 10;
const pause = (ms) => new Promise((r) => setTimeout(r, ms));
const say = (what) => console.log(`${how}: ${what}`);

// program reads events as they come, and numbers five times a second.
async function program() {
  const headers = { Authorization: "Bearer secret" }, over = new AbortController(), late = [];
  let events = 0, lost = 0;
  const reading = (async () => {
    const answer = await fetch(`${at}/api/events`, { headers, signal: over.signal });
    let text = "";
    for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
      const all = (text + part).split("\n\n"), now = performance.timeOrigin + performance.now();
      text = all.pop();
      for (const one of all) {
        if (one.includes("event: lost")) { lost++; continue; }
        events++;
        late.push(now - Date.parse(JSON.parse(one.slice(one.indexOf("data: ") + 6)).time));
      }
    }
  })().catch((e) => { if (e.name !== "AbortError") throw e; });
  const end = performance.now() + 1000 * seconds;
  await Promise.race([reading, pause(1000)]);
  const first = events;
  late.length = 0;
  while (performance.now() < end) {
    const asked = performance.now();
    await (await fetch(`${at}/api/metrics`, { headers })).text();
    await pause(Math.max(0, 200 - (performance.now() - asked)));
  }
  over.abort();
  await reading;
  late.sort((a, b) => a - b);
  say(`${((events - first) / (seconds - 1)).toFixed(0)} events a second, half of them ${late[late.length >> 1].toFixed(0)} ms old, the oldest ${late.at(-1).toFixed(0)} ms; some were lost ${lost} times`);
}

// browser looks at the page, while somebody chooses actors.
async function browser() {
  const { chromium } = createRequire(process.env.NODE_PATH + "/")("playwright-core");
  const running = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  const page = await (await running.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  page.on("pageerror", (e) => { throw e; });
  page.setDefaultTimeout(60_000);
  const asked = performance.now();
  await page.goto(at);
  await page.locator("#summary", { hasText: "200 actors" }).waitFor();
  say(`all actors are shown after ${(performance.now() - asked).toFixed(0)} ms`);
  const processor = await page.context().newCDPSession(page);
  await processor.send("Performance.enable", { timeDomain: "threadTicks" });
  const used = async () => Object.fromEntries((await processor.send("Performance.getMetrics")).metrics.map((m) => [m.name, m.value])).TaskDuration;
  for (const key of ["e", "l"]) {
    await page.keyboard.press(key);
    await page.evaluate(() => {
      const m = window.measured = { tasks: [], gaps: [], before: performance.now(), begun: performance.now() };
      m.observer = new PerformanceObserver((list) => { for (const x of list.getEntries()) m.tasks.push(x.duration); });
      m.observer.observe({ type: "longtask" });
      const frame = (now) => { m.gaps.push(now - m.before); m.before = now; m.next = requestAnimationFrame(frame); };
      m.next = requestAnimationFrame(frame);
    });
    const answers = [], before = await used();
    for (let i = 0; i < seconds; i++) {
      const asked = performance.now(), last = await page.locator("#panel h2").innerText();
      await page.keyboard.press("ArrowDown");
      await page.waitForFunction((last) => document.querySelector("#panel h2").innerText !== last, last);
      answers.push(performance.now() - asked);
      await pause(Math.max(0, 1000 - answers.at(-1)));
    }
    const thread = await used() - before;
    const m = await page.evaluate(() => {
      const m = window.measured;
      cancelAnimationFrame(m.next);
      m.observer.disconnect();
      return { tasks: m.tasks, gaps: m.gaps, length: performance.now() - m.begun, summary: document.querySelector("#summary").innerText };
    });
    const most = (list) => Math.max(0, ...list).toFixed(0), sum = m.tasks.reduce((a, b) => a + b, 0);
    say(`${key === "e" ? "events" : "logs"}: ${m.gaps.length} frames, the longest ${most(m.gaps)} ms; ${m.tasks.length} long tasks, the longest ${most(m.tasks)} ms, ${(100 * sum / m.length).toFixed(0)} % of the time; its thread used ${(100_000 * thread / m.length).toFixed(0)} % of a processor; an actor that is chosen is shown after ${most(answers)} ms at most`);
    if (!m.summary.includes("200 actors")) throw new Error(`the summary is ${m.summary}`);
  }
  await running.close();
}

await { nobody: () => pause(1000 * seconds), program, browser }[how]();
