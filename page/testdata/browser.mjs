// What people do with the page, in a browser: node browser.mjs LINK LINK. It fails with what is not as it should be.
import { createRequire } from "node:module";

const { chromium } = createRequire(process.env.NODE_PATH + "/")("playwright-core");
const [, , link, another] = process.argv;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const problems = [];
const open = async (at) => {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  page.on("console", (m) => { if (["error", "warning"].includes(m.type()) && !m.text().includes("502")) // a call that fails
    problems.push(`the console says: ${m.text()}`); });
  page.on("pageerror", (e) => problems.push(`the page fails: ${e.stack}`));
  page.on("dialog", (d) => d.accept());
  page.on("request", (r) => { if (new URL(r.url()).origin !== new URL(at).origin) problems.push(`the page asks ${r.url()}`); });
  await page.goto(at);
  page.setDefaultTimeout(60_000);
  return page;
};
const step = async (name, f) => {
  try { await f(); console.log(`ok: ${name}`); } catch (e) { problems.push(`${name}: ${e.message}`); }
};
const page = await open(link);
const text = (where) => page.locator(where).innerText();
const want = (is, what) => { if (!is) throw new Error(what); };

await step("the address keeps no invitation", async () => want(!page.url().includes("invitation"), page.url()));
await step("the tree is there", () => page.locator("#picture [data-path=greeter]").waitFor());
await step("keys alone choose an actor and go to its panel", async () => {
  await page.keyboard.press("ArrowDown");
  await page.locator("#panel h2", { hasText: "greeter" }).waitFor();
  await page.locator("#picture [data-path=greeter][aria-selected=true]").waitFor();
  await page.locator(".call", { hasText: "greet" }).first().waitFor();
  await page.keyboard.press("Enter");
  want(await page.evaluate(() => document.querySelector("#panel").contains(document.activeElement)), "the panel has no focus");
  await page.locator("body").click({ position: { x: 5, y: 5 } });
});
const form = (name) => page.locator(".call").filter({ has: page.locator("strong", { hasText: new RegExp(`^${name}$`) }) });
await step("a form calls", async () => {
  await form("greet").locator("textarea").fill('"Ann"');
  await form("greet").getByRole("button", { name: "Call" }).click();
  await form("greet").locator("pre", { hasText: "Hello, Ann" }).first().waitFor();
});
await step("a form has a field for each argument, and shows a failure", async () => {
  await form("cook").getByLabel("dish").fill("soup");
  await form("cook").getByLabel("count").fill("2");
  await form("cook").getByRole("button", { name: "Call" }).click();
  await form("cook").locator("pre", { hasText: '""' }).first().waitFor();
  await form("fail").getByRole("button", { name: "Call" }).click();
  await form("fail").locator("pre", { hasText: "no bread" }).first().waitFor();
});
await step("a stream is stopped", async () => {
  await form("count").locator("textarea").fill("1000000000");
  await form("count").getByRole("button", { name: "Stream" }).click();
  await form("count").locator("pre", { hasText: "messages" }).first().waitFor();
  await form("count").getByRole("button", { name: "Stop" }).click();
  await form("count").locator("pre", { hasText: "stopped" }).first().waitFor();
});
await step("a context is opened, sent to, closed and read to its end", async () => {
  const chat = form("chat");
  const answers = []; // to what is sent, which come later than what is read of it
  await page.route("**/api/context/*/send", async (route) => { const response = await route.fetch(); answers.push(() => route.fulfill({ response })); });
  await chat.getByLabel("Arguments of chat").fill('"Hello"');
  await chat.getByRole("button", { name: "Open" }).click();
  await chat.locator(".log", { hasText: 'started "a chat"' }).waitFor();
  const message = chat.getByLabel("Message to chat");
  await message.fill('{"name": "Ann", "known": "yes"}');
  await chat.locator(".bad", { hasText: "known: expected boolean, got string" }).waitFor();
  await chat.getByRole("button", { name: "Send" }).click();
  await message.fill('{"name": "Ann", "known": true}');
  await chat.getByRole("button", { name: "Send" }).click();
  await chat.locator(".log", { hasText: '← "Hello, Ann"' }).waitFor();
  await message.fill('{"name": "Ben", "known": true}');
  await message.press("Control+Enter");
  await chat.locator(".log", { hasText: '← "Hello, Ben"' }).waitFor();
  const status = chat.locator("[role=status]", { hasText: /^open · 2 sent · 2 came · credit \d+$/ });
  await status.waitFor();
  const late = page.waitForResponse("**/api/context/*/send");
  for (const answer of answers) await answer();
  await (await late).finished();
  await page.unroute("**/api/context/*/send");
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  await status.waitFor();
  if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE });
  await chat.getByRole("button", { name: "No more" }).click();
  await chat.locator(".log", { hasText: "result 2" }).waitFor();
  await chat.locator("[role=status]", { hasText: "ended · 2 sent · 2 came" }).waitFor();
});
await step("a context is cancelled, and stays when another actor is looked at", async () => {
  const chat = form("chat");
  await chat.getByRole("button", { name: "Open" }).click();
  await chat.locator("[role=status]", { hasText: "open · 0 sent" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#picture [data-path='']").click();
  await page.locator("#panel h2", { hasText: "host" }).waitFor();
  await page.locator("#picture [data-path=greeter]").click();
  await chat.getByRole("button", { name: "Cancel" }).click();
  await chat.locator(".log", { hasText: "cancelled" }).waitFor();
});
await step("a browser keeps a connection for questions", async () => {
  await form("count").locator("textarea").fill("1000000000");
  await form("count").getByRole("button", { name: "Stream" }).click();
  for (const name of ["chat", "also", "third"]) await form(name).getByRole("button", { name: "Open" }).click();
  await form("third").locator(".bad", { hasText: "no more connections" }).waitFor();
  await form("count").getByRole("button", { name: "Stop" }).click();
  await form("greet").getByRole("button", { name: "Call" }).click();
  await form("greet").locator("pre", { hasText: "ms" }).first().waitFor();
});
await step("a restart is seen", async () => {
  await page.getByRole("button", { name: "Restart" }).click();
  await page.locator("#picture [data-path=greeter]", { hasText: "↻1" }).waitFor();
  await page.locator("#view", { hasText: "stopping" }).waitFor();
});
await step("what was told is there after a reload", async () => {
  await page.reload();
  await page.locator("#picture [data-path=greeter]", { hasText: "↻1" }).waitFor();
  await page.locator("#view", { hasText: "reaped" }).waitFor();
});
await step("a trace has spans of both sides", async () => {
  await page.keyboard.press("t");
  await page.locator("#view tbody tr", { hasText: "call greeter/greet" }).first().click();
  await page.locator("#view svg text", { hasText: "serve" }).first().waitFor();
});
await step("the table has the same actors", async () => {
  await page.keyboard.press("v");
  await page.locator("#table tr[data-path=greeter]", { hasText: "ready" }).waitFor();
});
await step("a search finds, and hides what is something else", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type("nobody");
  await page.locator("#table tr[data-path=greeter].dim").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#table tr[data-path=greeter]:not(.dim)").waitFor();
});
for (const [key, what] of [["e", "restarted"], ["l", "actor is ready"], ["m", "greeter"], ["i", "greeter"], ["c", "No open contexts"]]) {
  await step(`the view at key ${key}`, async () => {
    await page.keyboard.press(key);
    await page.locator("#view", { hasText: what }).waitFor();
  });
}
await step("what differs from the config file is a table", async () => {
  await page.keyboard.press("g");
  for (const row of ["greeter|restarts it|limits.memory|–|1 GiB", "greeter|restarts it|args|[\"-a\"]|[\"-b\"]", "baker|starts it|replicas|0|2"]) {
    await page.waitForFunction((want) => [...document.querySelectorAll("#view tbody tr")].some((r) => [...r.cells].map((c) => c.innerText).join("|") === want), row);
  }
  await page.locator("#view tbody tr", { hasText: "no such user" }).waitFor();
});
await step("the keys are listed", async () => {
  await page.keyboard.press("?");
  want((await text("#keys")).includes("search everything"), "the list of keys");
  await page.keyboard.press("Escape");
});
await step("the link is good once, and another one for another browser", async () => {
  const stranger = await (await browser.newContext()).newPage();
  want((await stranger.goto(link)).status() === 401, "a used link is let in");
  const second = await open(another);
  await second.locator("#picture [data-path=greeter]").waitFor();
});
await browser.close();
for (const p of problems) console.log(`not ok: ${p}`);
process.exit(problems.length ? 1 : 0);
