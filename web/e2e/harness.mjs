// What the scenarios share. They see the page as its visitors do, by roles and
// labels; only to look for gaps and doubles they read the page's own points. The
// page exposes nothing for that: keepStreams catches its streams in the browser.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { history } from "./redis.mjs";
import { startServer } from "./program.mjs";

export { startFront } from "./front.mjs";
export { pipelineOf, redisOf, startGateway, startServer } from "./program.mjs";

export const OUT = process.env.PULSEBOARD_E2E_OUT ?? join(dirname(fileURLToPath(import.meta.url)), "out");
export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 390, height: 844 };
export const THEMES = ["light", "dark"];
export const CHARTS = ["line", "gauge", "stat", "table", "heatmap"];

const PATIENCE_MS = 20_000;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const cleanups = new WeakMap();

/** Runs action when the test ends: the newest first, and all of them whatever fails. */
export function later(t, action) {
  const actions = cleanups.get(t);
  if (actions !== undefined) {
    actions.push(action);
    return;
  }
  const first = [action];
  cleanups.set(t, first);
  t.after(async () => {
    const problems = [];
    while (first.length > 0) {
      try {
        await first.pop()();
      } catch (error) {
        problems.push(error);
      }
    }
    if (problems.length > 0) throw problems.length === 1 ? problems[0] : new AggregateError(problems, problems.map((problem) => problem.message).join("\n"));
  });
}

/** The server that run.mjs has started for all, or one of this file's own. */
export async function useServer(t) {
  if (process.env.PULSEBOARD_E2E !== undefined) return JSON.parse(process.env.PULSEBOARD_E2E);
  return ownServer(t, ["--no-demo"]);
}

export async function ownServer(t, args) {
  const server = await startServer(args);
  later(t, server.stop);
  return server;
}

export async function useBrowser(t) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });
  later(t, () => browser.close());
  return browser;
}

/**
 * Keeps the newest stream of each widget in window.streams, by the widget's id.
 * The store puts each one into a Map (web/src/live/store.ts).
 */
function keepStreams() {
  const streams = new Map();
  window.streams = streams;
  const { set } = Map.prototype;
  Map.prototype.set = function (key, value) {
    if (typeof key === "string" && typeof value?.resumePoint === "function") set.call(streams, key, value);
    return set.call(this, key, value);
  };
}

/**
 * A page of a visitor of its own. The test fails when the browser complains
 * about anything that expected does not match.
 */
export async function visit(t, browser, address, { expected = /^$/, init, ...options } = {}) {
  const context = await browser.newContext({ viewport: WIDE, locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript(keepStreams);
  if (init !== undefined) await context.addInitScript(init);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !expected.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.stack ?? error.message));
  later(t, async () => {
    await context.close();
    assert.deepEqual(complaints, [], "what the browser complained about");
  });
  await page.goto(address);
  return page;
}

/** Looks again and again until check gives something true, and returns that. */
export async function until(what, check, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  let problem = "";
  for (;;) {
    try {
      const found = await check();
      if (found) return found;
    } catch (error) {
      problem = `: ${error.message}`;
    }
    if (Date.now() > end) assert.fail(`${what}: not within ${patience / 1000} s${problem}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function answer(response) {
  const text = await response.text();
  assert.ok(response.ok, `${response.url} answered ${response.status}: ${text}`);
  return text === "" ? null : JSON.parse(text);
}

/** Sends events, all of which must be accepted. */
export async function send(url, ...events) {
  const body = JSON.stringify(events);
  const { accepted } = await answer(await fetch(`${url}/ingest`, { method: "POST", headers: { "Content-Type": "application/json" }, body }));
  assert.equal(accepted, events.length);
}

/** A producer that sends what make(n) gives, until the test ends or stop is called. */
export function produce(t, url, make, everyMs = 200) {
  let n = 0;
  let busy = Promise.resolve();
  let problem = null;
  const timer = setInterval(() => {
    const events = make(n++);
    busy = busy.then(() => send(url, ...events)).catch((error) => {
      problem = error;
    });
  }, everyMs);
  const stop = async () => {
    clearInterval(timer);
    await busy;
    assert.equal(problem, null);
  };
  later(t, stop);
  return { stop, count: () => n };
}

/** A name that no other scenario uses on the same server. */
export function metricName(name) {
  return `e2e.${name}.${randomUUID().slice(0, 8)}`;
}

export function widget(chart, metric, { title = `The ${chart}`, position, display = {}, ...rest } = {}) {
  return {
    widget_id: randomUUID(),
    metric_name: metric,
    aggregation: "max",
    window_seconds: 5,
    ...rest,
    display_config: { chart, title, ...(position === undefined ? {} : { position }), ...display },
  };
}

/** Makes a dashboard through the API, and deletes it with the test. */
export async function makeDashboard(t, url, title, widgets, more = {}) {
  const made = await answer(
    await fetch(`${url}/dashboards`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ title, widgets, ...more }) }),
  );
  const id = made.dashboard_id;
  later(t, () => removeDashboard(url, id));
  return { id, path: `/d/${id}`, document: made };
}

/** Fifty widgets of all kinds, four series each, at 4 Hz, and what they show: the server must have slices of 250 ms. */
export async function fifty(t, url, metric) {
  const widgets = Array.from({ length: 50 }, (_, i) =>
    widget(CHARTS[i % CHARTS.length], `${metric}.${i % 10}`, {
      title: `Widget ${i + 1}`,
      group_by: ["host"],
      refresh_interval_seconds: 0.25,
      // Each its own query.
      window_seconds: 2 + Math.floor(i / 10),
      position: { x: (i % 4) * 3, y: Math.floor(i / 4) * 4, w: 3, h: 4 },
    }),
  );
  const { path } = await makeDashboard(t, url, "Fifty widgets", widgets);
  produce(t, url, (n) => Array.from({ length: 40 }, (_, i) => ({ metric_name: `${metric}.${i % 10}`, value: 50 + 40 * Math.sin(n / 9 + i), tags: { host: "abcd"[Math.floor(i / 10)] } })), 250);
  return { path, widgets };
}

export async function getDashboard(url, id) {
  const response = await fetch(`${url}/dashboards/${id}`);
  return response.status === 404 ? null : answer(response);
}

/** Those that programs keep for themselves, such as drafts, are listed by their tag only. */
export async function listDashboards(url, tag = "") {
  return (await answer(await fetch(`${url}/dashboards?limit=100&tag=${encodeURIComponent(tag)}`))).dashboards;
}

export async function removeDashboard(url, id) {
  const document = await getDashboard(url, id);
  if (document === null) return;
  await answer(await fetch(`${url}/dashboards/${id}`, { method: "DELETE", headers: { "If-Match": `"${document.version}"` } }));
}

/** The frame of a widget. */
export function frame(page, title) {
  return page.getByRole("article", { name: title, exact: true });
}

/** What the pill at the top says to a screen reader. */
export function pill(page) {
  return page.getByRole("banner").getByRole("status");
}

/** Waits until the pill says it, by a text or a pattern. */
export async function pillSays(page, text) {
  await pill(page).filter({ hasText: text }).waitFor({ state: "attached" });
}

/** The place where a kind of chart writes its newest value. */
export function reading(page, title, chart, text) {
  const at = frame(page, title);
  switch (chart) {
    case "gauge":
      return at.getByRole("meter").getByText(text, { exact: true });
    case "table":
      return at.getByRole("cell", { name: text, exact: true }).first();
    default:
      return at.getByText(text, { exact: true });
  }
}

/** The page's own points of a widget, oldest first. */
export function points(page, widgetId) {
  return page.evaluate((id) => {
    const stream = window.streams.get(id);
    if (stream === undefined) return [];
    const { ring, columns } = stream;
    const values = columns.map((_, column) => [...ring.columnView(column)]);
    return [...ring.endsView()].map((end, row) => ({ end, series: columns.map((tags, column) => ({ tags, value: values[column][row] })) }));
  }, widgetId);
}

/** The end of the newest of them, 0 before any. */
export async function newestEnd(page, widgetId) {
  return (await points(page, widgetId)).at(-1)?.end ?? 0;
}

/** Every result that was published between the page's first and last point, once, in order, with its values. */
export async function assertWhole(page, redis, widgetId, key, refreshMs = 1000) {
  const mine = await points(page, widgetId);
  assert.ok(mine.length > 1, `the page has ${mine.length} points`);
  const published = new Map((await history(redis, key, refreshMs)).map((result) => [result.window_end, result]));
  const first = Math.max(mine[0].end, Math.min(...published.keys()));
  const last = mine.at(-1).end;
  const ends = mine.map((point) => point.end);
  const expected = [...published.keys()].filter((end) => end >= first && end <= last);
  assert.deepEqual(ends.filter((end) => end >= first), expected, "window ends of the page, and those that were published");
  for (let i = 1; i < ends.length; i++) assert.equal(ends[i] - ends[i - 1], refreshMs, `point ${i} of ${ends.length}, at ${ends[i]}, follows ${ends[i - 1]}`);
  const name = (tags) => JSON.stringify(Object.entries(tags).filter(([, value]) => value !== ""));
  const named = (series) => new Map(series.filter((s) => s.value !== null && !Number.isNaN(s.value)).map((s) => [name(s.tags), s.value]));
  for (const point of mine) {
    const result = published.get(point.end);
    if (result !== undefined) assert.deepEqual(named(point.series), named(result.series), `values at ${point.end}`);
  }
  return mine;
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** The next two frames are drawn: what was changed is on the screen. */
export async function settled(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

export async function picture(page, name) {
  mkdirSync(OUT, { recursive: true });
  await settled(page);
  await page.screenshot({ path: join(OUT, `${name}.png`) });
}
