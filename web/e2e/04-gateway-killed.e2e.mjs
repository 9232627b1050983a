// kill -9 of the gateway while people look: the page says so, keeps what it
// has, marked, and when a gateway is there again it goes on without a gap or a
// double point. The points are the page's own; the truth is read from Redis.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertWhole, frame, later, makeDashboard, metricName, newestEnd, picture, pillSays, points, produce, reading, startFront, startGateway, until, useBrowser, useServer, visit, widget } from "./harness.mjs";
import { history } from "./redis.mjs";

const HEARTBEAT = ["--heartbeat", "1s"];

test("the gateway is killed and comes back", { timeout: 120_000 }, async (t) => {
  const { url, redis } = await useServer(t);
  const metric = metricName("killed");
  const key = `${metric}:max:5s by (host)`;
  const watched = widget("line", metric, { group_by: ["host"], title: "Watched" });
  const number = widget("stat", metric, { title: "Number" });
  const { path } = await makeDashboard(t, url, "Killed gateway", [watched, number]);
  produce(t, url, (n) => ["a", "b"].map((host) => ({ metric_name: metric, value: n, tags: { host } })));

  let gateway = await startGateway(redis, HEARTBEAT);
  later(t, () => gateway.stop());
  const front = await startFront(url, gateway.address);
  later(t, () => front.stop());
  const browser = await useBrowser(t);
  const page = await visit(t, browser, front.url + path, { expected: /WebSocket connection .* failed|502/ });
  await pillSays(page, "Live");
  await until("points on the page", async () => (await points(page, watched.widget_id)).length > 3);

  const before = await newestEnd(page, watched.widget_id);
  gateway.kill();
  await t.test("the page says so within the heartbeat limit of 2.5 s", async () => {
    const limit = performance.now() + 2500;
    await pillSays(page, "Connection lost, reconnecting");
    assert.ok(performance.now() < limit);
    await page.getByText(/^Reconnecting( in \d+ s|…)$/).waitFor();
  });

  await t.test("the old values stay on the page, and their place says that they are old", async () => {
    await frame(page, "Number").getByText(/^[\d.]+$/).waitFor();
    assert.ok((await points(page, watched.widget_id)).length > 3, "the points are kept");
    const dimmed = await page.locator(".grid .widget-body").first().evaluate((body) => Number(getComputedStyle(body).opacity) < 1 || getComputedStyle(body).filter !== "none");
    assert.ok(dimmed, "an old value looks like a live one");
    await picture(page, "gateway-lost");
  });

  // The pipeline goes on: the page has something to catch up with.
  await until("results that the page has not", async () => (await newestPublished(redis, key)) >= before + 4000);
  gateway = await startGateway(redis, HEARTBEAT);
  front.gateway = gateway.address;
  await t.test("it comes back, and goes on without a gap or a double point", async () => {
    // In the middle of a wait, someone may ask for it at once.
    const retry = page.getByRole("button", { name: "Retry now" });
    await until("a new connection", async () => {
      if (await retry.isVisible()) await retry.click({ timeout: 500 }).catch(() => {}); // It may go away while it is clicked.
      return (await newestEnd(page, watched.widget_id)) > before;
    });
    await pillSays(page, "Live");
    const mine = await assertWhole(page, redis, watched.widget_id, key);
    assert.ok(mine.some((point) => point.end === before + 1000), "the point after the loss is there");
    assert.ok(mine[0].end < before, "the points before the loss are there");
  });

  await t.test("values move again", async () => {
    const now = await newestEnd(page, watched.widget_id);
    await until("a newer point", async () => (await newestEnd(page, watched.widget_id)) > now);
    await reading(page, "Number", "stat", /^[\d.]+$/).waitFor();
  });
});

async function newestPublished(redis, key) {
  return (await history(redis, key, 1000)).at(-1)?.window_end ?? 0;
}
