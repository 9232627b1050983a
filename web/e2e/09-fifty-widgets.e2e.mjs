// Fifty widgets of four series at 4 Hz, the finest slice, through the whole
// program: the page keeps its frames, also while someone scrolls.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertWhole, CHARTS, frame, makeDashboard, median, metricName, ownServer, pillSays, points, produce, until, useBrowser, visit, widget } from "./harness.mjs";

const WIDGETS = 50;
const HOSTS = ["a", "b", "c", "d"];

test("fifty widgets at 4 Hz", { timeout: 240_000 }, async (t) => {
  const { url, redis } = await ownServer(t, ["--no-demo", "--slice", "250ms"]);
  const metric = metricName("fifty");
  const widgets = Array.from({ length: WIDGETS }, (_, i) =>
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
  produce(t, url, (n) => Array.from({ length: 40 }, (_, i) => ({ metric_name: `${metric}.${i % 10}`, value: 50 + 40 * Math.sin(n / 9 + i), tags: { host: HOSTS[i % 4] } })), 250);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, "about:blank", { init: watchFrames });
  let ticks = 0;
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      if (payload.startsWith('{"type":"update"')) ticks++;
    }),
  );
  await page.goto(`${url}${path}?window=1m`);
  await pillSays(page, "Live");
  const first = widgets[0];
  await until("a minute of points would do, ten seconds must", async () => (await points(page, first.widget_id)).length >= 40);

  const measure = async (what, during) => {
    await page.evaluate(() => window.frames_.reset());
    ticks = 0;
    await during();
    const { frames, drawing, draws } = await page.evaluate(() => window.frames_.stop());
    const frameMs = median(frames);
    t.diagnostic(`${what}: median frame ${frameMs.toFixed(1)} ms of ${frames.length}; ${ticks} updates in ${draws} drawings, ${(drawing / ticks).toFixed(1)} ms of drawing an update`);
    return { frameMs, drawMs: drawing / ticks };
  };

  await t.test("standing: the median frame is a 60th of a second, an update is drawn in 4 ms", async () => {
    const { frameMs, drawMs } = await measure("standing", () => until("twenty updates", () => ticks >= 20));
    assert.ok(frameMs <= 17, `median frame ${frameMs} ms`);
    assert.ok(drawMs <= 4, `${drawMs} ms of drawing an update`);
  });

  await t.test("scrolling through all: the same frames, and what comes into sight is live", async () => {
    const { frameMs } = await measure("scrolling", async () => {
      await page.mouse.move(640, 400);
      for (let i = 0; i < 20; i++) {
        await page.mouse.wheel(0, 200);
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      }
    });
    assert.ok(frameMs <= 17, `median frame ${frameMs} ms`);
    const last = frame(page, `Widget ${WIDGETS}`);
    await last.scrollIntoViewIfNeeded();
    await last.getByText(/Heat map of 4 series/).waitFor({ state: "attached" });
  });

  await t.test("no point is lost on the way, seen or not", async () => {
    for (const i of [0, 23, WIDGETS - 1]) {
      const one = widgets[i];
      await assertWhole(page, redis, one.widget_id, `${one.metric_name}:max:${one.window_seconds}s by (host)`, 250);
    }
  });
});

/** Runs in the page before its scripts: how long frames are, and what their callbacks take. */
function watchFrames() {
  const request = window.requestAnimationFrame.bind(window);
  let frames = [];
  let drawing = 0;
  let draws = 0;
  let on = false;
  let before = 0;
  window.requestAnimationFrame = (callback) =>
    request((time) => {
      const begin = performance.now();
      callback(time);
      // uPlot draws in a microtask, which runs before this one.
      queueMicrotask(() => {
        drawing += performance.now() - begin;
        draws++;
      });
    });
  const beat = (time) => {
    if (!on) return;
    if (before > 0) frames.push(time - before);
    before = time;
    request(beat);
  };
  window.frames_ = {
    reset: () => {
      [frames, drawing, draws, before, on] = [[], 0, 0, 0, true];
      request(beat);
    },
    stop: () => {
      on = false;
      return { frames, drawing, draws };
    },
  };
}
