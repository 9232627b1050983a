// Fifty widgets of four series at 4 Hz, the finest slice, through the whole
// program: the page keeps its frames, also while someone scrolls.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertWhole, CHARTS, frame, makeDashboard, median, metricName, ownServer, pillSays, points, produce, settled, until, useBrowser, visit, widget } from "./harness.mjs";

const WIDGETS = 50;
/** A 60th of a second, as the clock of a browser rounds it. */
const SMOOTH_MS = 17;
/** For one update of all fifty: reading the message, and drawing those in sight. */
const SCRIPT_MS = 12;
/** Frames go by the clock, in which other processes count: they are told always, and held to their limits where there are none. */
const ALONE = process.env.PULSEBOARD_E2E_LONG === "1";
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
  produce(t, url, (n) => Array.from({ length: 40 }, (_, i) => ({ metric_name: `${metric}.${i % 10}`, value: 50 + 40 * Math.sin(n / 9 + i), tags: { host: HOSTS[Math.floor(i / 10)] } })), 250);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, "about:blank");
  let ticks = 0;
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      if (payload.startsWith('{"type":"update"')) ticks++;
    }),
  );
  // How long the page draws in each frame in which it draws at all.
  await page.addInitScript(() => {
    const real = requestAnimationFrame;
    window.draws_ = [];
    window.requestAnimationFrame = (draw) =>
      real((time) => {
        const begin = performance.now();
        draw(time);
        const took = performance.now() - begin;
        if (took >= 0.2) window.draws_.push(took);
      });
  });
  await page.goto(`${url}${path}?window=1m`);
  await pillSays(page, "Live");
  const first = widgets[0];
  await until("a minute of points would do, ten seconds must", async () => (await points(page, first.widget_id)).length >= 40);

  // In CPU time of the page's own thread: what else this machine does is not counted.
  const cpu = await page.context().newCDPSession(page);
  await cpu.send("Performance.enable", { timeDomain: "threadTicks" });
  const scripts = async () => (await cpu.send("Performance.getMetrics")).metrics.find((one) => one.name === "ScriptDuration").value * 1000;
  const measure = async (what, during) => {
    await page.evaluate(() => (window.draws_ = []));
    const [before, ticksBefore] = [await scripts(), ticks];
    const frameMs = await medianFrame(page, during);
    const scriptMs = ((await scripts()) - before) / (ticks - ticksBefore);
    const draws = await page.evaluate(() => window.draws_);
    const drawMs = median(draws) * Math.max(1, draws.length / (ticks - ticksBefore));
    t.diagnostic(
      `${what}: median frame ${frameMs.toFixed(1)} ms, ${scriptMs.toFixed(1)} ms of script for each of ${ticks - ticksBefore} updates, ${drawMs.toFixed(1)} ms by the clock in frames that draw, which wait for the raster`,
    );
    return { frameMs, scriptMs };
  };

  const seen = {};
  await t.test("standing: little work for an update", async () => {
    const begin = ticks;
    seen.standing = await measure("standing", () => until("forty updates", () => ticks >= begin + 40));
    assert.ok(seen.standing.scriptMs <= SCRIPT_MS, `${seen.standing.scriptMs} ms of script an update`);
  });

  await t.test("scrolling through all: what comes into sight is live", async () => {
    await page.mouse.move(640, 400);
    seen.scrolling = await measure("scrolling", async () => {
      for (let i = 0; i < 40; i++) {
        await page.mouse.wheel(0, 100);
        await settled(page);
      }
    });
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

  await t.test("standing, the frames are those of an empty page; scrolling, at least every second of them", async () => {
    await page.goto("about:blank");
    const idleMs = await medianFrame(page, () => page.waitForFunction(() => window.frames_.length >= 60));
    t.diagnostic(`an empty page beside this server: median frame ${idleMs.toFixed(1)} ms`);
    const smooth = Math.max(SMOOTH_MS, idleMs);
    if (!ALONE) return;
    assert.ok(seen.standing.frameMs <= smooth, `standing: median frame ${seen.standing.frameMs} ms`);
    assert.ok(seen.scrolling.frameMs <= 2 * smooth, `scrolling: median frame ${seen.scrolling.frameMs} ms`);
  });
});

/** How long frames are while something is done. */
async function medianFrame(page, during) {
  await page.evaluate(() => {
    window.frames_ = [];
    let before = 0;
    const beat = (time) => {
      if (before > 0) window.frames_.push(time - before);
      before = time;
      window.beat = requestAnimationFrame(beat);
    };
    window.beat = requestAnimationFrame(beat);
  });
  await during();
  return median(
    await page.evaluate(() => {
      cancelAnimationFrame(window.beat);
      return window.frames_;
    }),
  );
}
