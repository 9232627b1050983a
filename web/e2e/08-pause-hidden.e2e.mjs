// Pause holds the page still and play catches up; a tab that nobody sees asks
// for nothing, and shows everything when it is seen again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertWhole, frame, makeDashboard, metricName, newestEnd, pillSays, points, produce, until, useBrowser, useServer, visit, widget } from "./harness.mjs";
import { history } from "./redis.mjs";

test("pause, play, hide and show", { timeout: 120_000 }, async (t) => {
  const { url, redis } = await useServer(t);
  const metric = metricName("pause");
  const key = `${metric}:max:5s`;
  const line = widget("line", metric, { title: "Line" });
  const { path } = await makeDashboard(t, url, "Pause", [line, widget("stat", metric, { title: "Number" })]);
  produce(t, url, (n) => [{ metric_name: metric, value: 1000 + n }]);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, "about:blank");
  const said = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => said.push(JSON.parse(payload).type)));
  await page.goto(url + path);
  await pillSays(page, "Live");
  await until("points on the page", async () => (await points(page, line.widget_id)).length > 3);

  await t.test("paused: the pill says since when, and the number stands", async () => {
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await pillSays(page, /^Paused at \d\d:\d\d:\d\d$/);
    const stood = await until("the last update that was under way", () => stands(page, redis, line.widget_id, key));
    const shown = await frame(page, "Number").textContent();
    await until("more results", async () => (await history(redis, key, 1000)).at(-1).window_end >= stood + 3000);
    assert.equal(await newestEnd(page, line.widget_id), stood);
    assert.equal(await frame(page, "Number").textContent(), shown);
    await frame(page, "Number").getByText(/Stale/).waitFor({ state: "detached" });
  });

  await t.test("play: everything since then is there", async () => {
    await page.getByRole("button", { name: "Go on with live values" }).click();
    await pillSays(page, "Live");
    await assertWhole(page, redis, line.widget_id, key);
  });

  await t.test("hidden: after a while the page asks for nothing more", async () => {
    said.length = 0;
    await setVisibility(page, "hidden");
    await until("pause is said", () => said.includes("pause"));
    const stood = await until("the last update that was under way", () => stands(page, redis, line.widget_id, key));
    await until("more results", async () => (await history(redis, key, 1000)).at(-1).window_end >= stood + 2000);
    assert.equal(await newestEnd(page, line.widget_id), stood);
  });

  await t.test("seen again: live, and nothing is missing", async () => {
    await setVisibility(page, "visible");
    await until("play is said", () => said.includes("play"));
    await pillSays(page, "Live");
    await until("the newest point", async () => (await newestEnd(page, line.widget_id)) >= (await history(redis, key, 1000)).at(-1).window_end - 2000);
    await assertWhole(page, redis, line.widget_id, key);
  });
});

/** The page's newest end, once two newer ones were published in vain. */
async function stands(page, redis, id, key) {
  const mine = await newestEnd(page, id);
  const newest = (await history(redis, key, 1000)).at(-1).window_end;
  return newest >= mine + 2000 && mine === (await newestEnd(page, id)) ? mine : 0;
}

/** A headless page is always visible: it must be told otherwise. */
async function setVisibility(page, state) {
  await page.evaluate((value) => {
    Object.defineProperty(document, "visibilityState", { value, configurable: true });
    Object.defineProperty(document, "hidden", { value: value === "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}
