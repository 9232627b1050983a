// An hour of updates, as fast as the page takes them: its memory and its nodes
// stay as they are. PULSEBOARD_E2E_LONG=1 looks at a real quarter of an hour.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as elapse } from "node:timers/promises";
import { CHARTS, fifty, makeDashboard, metricName, ownServer, pillSays, settled, useBrowser, useServer, visit, widget } from "./harness.mjs";

const HOUR = 3600;
const WIDGETS = 20;
const HOSTS = ["a", "b", "c", "d"];
const MB = 1024 * 1024;

test("one hour compressed: heap and nodes stay flat", { timeout: 240_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("hour");
  const widgets = Array.from({ length: WIDGETS }, (_, i) => widget(CHARTS[i % CHARTS.length], metric, { title: `Widget ${i + 1}`, group_by: ["host"], position: { x: (i % 4) * 3, y: Math.floor(i / 4) * 4, w: 3, h: 4 } }));
  const { path, id } = await makeDashboard(t, url, "One hour", widgets);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, "about:blank");
  // The page and its document are the server's, the hour is made here.
  let stream = null;
  await page.routeWebSocket(/\/stream\//, (socket) => {
    socket.onMessage((text) => {
      if (JSON.parse(text).type === "hello") stream = begin(socket, id, widgets);
    });
  });
  await page.goto(url + path);
  await pillSays(page, "Live");

  const run = async (seconds) => {
    for (let i = 0; i < seconds; i += 20) {
      for (let k = 0; k < 20; k++) stream.second();
      await settled(page);
    }
  };
  // The page keeps 1,000 points a widget: until then it must grow.
  await run(HOUR / 3);
  const before = await weigh(page);
  await run((2 * HOUR) / 3);
  const after = await weigh(page);
  t.diagnostic(`heap ${(before.heap / MB).toFixed(1)} MB after 20 minutes, ${(after.heap / MB).toFixed(1)} MB after an hour; nodes ${before.nodes}, ${after.nodes}; listeners ${before.listeners}, ${after.listeners}`);
  assert.ok(after.heap <= before.heap * 1.1 + MB, "the heap has grown");
  assert.ok(after.nodes <= before.nodes * 1.05 + 20, "nodes were left behind");
  assert.ok(after.listeners <= before.listeners * 1.05 + 10, "listeners were left behind");
});

test("a real quarter of an hour of fifty widgets at 4 Hz", { timeout: 20 * 60_000, skip: process.env.PULSEBOARD_E2E_LONG === "1" ? false : "set PULSEBOARD_E2E_LONG=1 to wait for it" }, async (t) => {
  const { url } = await ownServer(t, ["--no-demo", "--slice", "250ms"]);
  const { path } = await fifty(t, url, metricName("quarter"));
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url + path);
  await pillSays(page, "Live");
  const weights = [];
  for (let minute = 0; minute <= 15; minute++) {
    weights.push(await weigh(page));
    t.diagnostic(`minute ${minute}: heap ${(weights.at(-1).heap / MB).toFixed(2)} MB, nodes ${weights.at(-1).nodes}`);
    if (minute < 15) await elapse(60_000); // It is the time itself that is looked at.
  }
  // Rings fill for four minutes: they hold 1,000 points.
  assert.ok(weights[15].heap <= weights[5].heap * 1.1 + MB, "the heap has grown");
  assert.ok(weights[15].nodes <= weights[5].nodes * 1.05 + 20, "nodes were left behind");
});

/** The stream of a dashboard, a second a call; hosts of the last widget come and go. */
function begin(socket, id, widgets) {
  let end = Math.floor(Date.now() / 1000) * 1000 - HOUR * 1000;
  const say = (message) => socket.send(JSON.stringify(message));
  const series = HOSTS.map((host) => ({ tags: { host } }));
  const stream = widgets.map((one, index) => ({ index, widget_id: one.widget_id, metric_key: `${one.metric_name}:max:5s by (host)`, refresh_ms: 1000 }));
  const last = widgets.length - 1;
  say({ type: "welcome", server_time: end, heartbeat_ms: 60_000, dashboard: { id, version: 1 }, widgets: stream });
  for (const { index } of stream) {
    say({ type: "snapshot", index, state: "live", reset: true, series_version: "v0", series, covered_since: 0, points: [[end, end, HOSTS.map(() => 1)]] });
  }
  let seconds = 0;
  let version = "v0";
  return {
    second() {
      end += 1000;
      seconds++;
      if (seconds % 60 === 0) {
        version = `v${seconds}`;
        say({ type: "series", index: last, series_version: version, series: HOSTS.map((host) => ({ tags: { host: `${host}${seconds}` } })) });
      }
      const updates = stream.map(({ index }) => [index, end, end - 10, index === last ? version : "v0", HOSTS.map((_, i) => 50 + 40 * Math.sin((seconds + index) / 9 + i))]);
      say({ type: "update", server_time: end + 300, updates });
    },
  };
}

async function weigh(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.enable");
  await session.send("Performance.enable");
  // Twice: what finalisers let go of is collected the second time.
  await session.send("HeapProfiler.collectGarbage");
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  await session.detach();
  const metric = (name) => metrics.find((one) => one.name === name).value;
  return { heap: metric("JSHeapUsedSize"), nodes: metric("Nodes"), listeners: metric("JSEventListeners") };
}
