// Takes pictures of the list and of one dashboard, in both themes and on a
// narrow screen, and tells what the browser complained about.
//
//   node e2e/screenshot.mjs <base URL> <dashboard path> <output folder>
//   node e2e/screenshot.mjs http://127.0.0.1:8080 /d/<id> shots
//
// Needs the devDependencies (npm ci) and a Chromium; CHROMIUM names another
// one than Debian's. The dashboard path may be "-": the first of the list.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [base, path, folder] = process.argv.slice(2);
if (base === undefined || path === undefined || folder === undefined) {
  console.error("usage: node e2e/screenshot.mjs <base URL> <dashboard path or -> <output folder>");
  process.exit(2);
}

const VIEWS = [
  { name: "light", theme: "light", width: 1440, height: 900 },
  { name: "dark", theme: "dark", width: 1440, height: 900 },
  { name: "narrow", theme: "light", width: 390, height: 844 },
];
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function dashboardPath() {
  if (path !== "-") return path;
  const response = await fetch(new URL("/dashboards", base));
  const { dashboards } = await response.json();
  if (!dashboards?.length) throw new Error("there is no dashboard to take a picture of");
  return `/d/${encodeURIComponent(dashboards[0].dashboard_id)}`;
}

await mkdir(folder, { recursive: true });
const profile = await mkdtemp(join(tmpdir(), "pulseboard-shots-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ARGS,
});
let complaints = 0;
try {
  const dashboard = await dashboardPath();
  for (const view of VIEWS) {
    const page = await browser.newPage();
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      complaints++;
      console.error(`${view.name}: ${message.text()}`);
    });
    page.on("pageerror", (error) => {
      complaints++;
      console.error(`${view.name}: ${error.stack ?? error.message}`);
    });
    await page.setViewportSize({ width: view.width, height: view.height });
    await page.emulateMedia({ colorScheme: view.theme });
    await page.goto(new URL("/", base).href);
    await page.locator(".card, .empty").first().waitFor();
    await page.screenshot({ path: join(folder, `list-${view.name}.png`) });
    await page.goto(new URL(dashboard, base).href);
    // A picture is worth taking once values are there and the page says so.
    await page.locator('.pill[data-kind="live"]').waitFor({ timeout: 30_000 });
    await page.locator('.widget[data-state="live"]').first().waitFor({ timeout: 30_000 });
    await page.waitForFunction(() => document.querySelector('.widget[data-state="skeleton"]') === null);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.screenshot({ path: join(folder, `dashboard-${view.name}.png`) });
    // What is out of sight is not drawn: make room for the whole page first.
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width: view.width, height });
    await page.evaluate(() => new Promise((done) => setTimeout(done, 500)));
    await page.screenshot({ path: join(folder, `dashboard-${view.name}-full.png`) });
    await page.close();
  }
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(`pictures in ${folder}`);
process.exit(complaints === 0 ? 0 : 1);
