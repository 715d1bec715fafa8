// A picture of a tree that is struck: node picture.mjs LINK FILE. It waits until a sender waits for credit, an actor is between two processes, and
// a few have been started again, one of them so lately that a part of its restarts is spent.
import { createRequire } from "node:module";

const { chromium } = createRequire(process.env.NODE_PATH + "/")("playwright-core");
const [, , link, file] = process.argv;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" })).newPage();
page.setDefaultTimeout(120_000);
await page.goto(link);
await page.locator("#picture [data-path='east/parser']").click();
await page.waitForFunction(() => {
  const names = [...document.querySelectorAll("#picture .node")];
  return document.querySelector("#picture .edge.held") && names.length === 16 && names.filter((n) => n.textContent.includes("↻")).length > 2 &&
    document.querySelector("#picture .node:is(.s-reaped, .s-waiting, .s-starting, .s-stopping)") && document.querySelector("#picture .spent");
}, null, { polling: 50 });
await page.screenshot({ path: file });
await browser.close();
