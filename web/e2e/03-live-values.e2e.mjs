// An event that is posted is a number on the screen within two seconds, in each
// kind of widget, and the page opens with what is there already.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHARTS, frame, makeDashboard, median, metricName, pillSays, produce, reading, send, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

const ROUNDS = 5;

test("POST /ingest, and each kind of widget shows the number", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("live");
  const widgets = CHARTS.map((chart, i) => widget(chart, metric, { position: { x: (i % 3) * 4, y: Math.floor(i / 3) * 4, w: 4, h: 4 } }));
  const { path } = await makeDashboard(t, url, "Live values", widgets);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url + path);

  await t.test("before any event, each says what it waits for", async () => {
    for (const chart of CHARTS) await frame(page, `The ${chart}`).getByText("Waiting for values").waitFor();
    await pillSays(page, "waiting for values");
  });

  const waited = Object.fromEntries(CHARTS.map((chart) => [chart, []]));
  const round = async (n) => {
    const number = 101 + n;
    await send(url, { metric_name: metric, value: number });
    const sent = performance.now();
    await Promise.all(
      CHARTS.map(async (chart) => {
        if (chart === "heatmap") await underPointer(page, new RegExp(` · ${number}$`));
        else await reading(page, `The ${chart}`, chart, String(number)).waitFor();
        waited[chart].push(performance.now() - sent);
      }),
    );
  };

  await page.getByRole("group", { name: "Time range" }).getByRole("button", { name: "1m" }).click();
  await t.test("the first event appears without a reload", () => round(0));
  await pillSays(page, "Live");

  await t.test("the median of five events is on the screen within 2 s", async () => {
    for (const chart of CHARTS) waited[chart].length = 0;
    for (let n = 1; n <= ROUNDS; n++) await round(n);
    for (const chart of CHARTS) {
      const typical = median(waited[chart]);
      t.diagnostic(`${chart}: ${Math.round(typical)} ms from the answer to the number`);
      assert.ok(typical <= 2000, `${chart}: ${Math.round(typical)} ms`);
    }
  });

  await t.test("each says the number to a screen reader too", async () => {
    await frame(page, "The line").getByText(/Line chart of 1 series, .* Newest: max 106\./).waitFor({ state: "attached" });
    await frame(page, "The gauge").getByRole("meter", { name: "The gauge" }).waitFor();
    assert.equal(await frame(page, "The gauge").getByRole("meter").getAttribute("aria-valuetext"), "106");
    await frame(page, "The stat").getByText(/^106\. In this time range between 101 and 106\.$/).waitFor({ state: "attached" });
    await frame(page, "The table").getByText(/Table of 1 series\. First row: max 106\./).waitFor({ state: "attached" });
    await frame(page, "The heatmap").getByText(/Heat map of 1 series, .* Highest now: max at 106\./).waitFor({ state: "attached" });
  });

  await t.test("a page that opens draws the snapshot within a second", async () => {
    produce(t, url, () => [{ metric_name: metric, value: 106 }]);
    const painted = [];
    for (let i = 0; i < 5; i++) {
      await page.reload();
      // Counted by the page itself, from the start of the navigation.
      const shown = await page.waitForFunction(() => {
        const stat = [...document.querySelectorAll("article")].find((e) => e.querySelector("h2").textContent === "The stat");
        return stat !== undefined && /\d/.test(stat.querySelector(".widget-body").textContent) ? performance.now() : 0;
      });
      painted.push(await shown.jsonValue());
    }
    const typical = median(painted);
    t.diagnostic(`${Math.round(typical)} ms from the navigation to the first value`);
    assert.ok(typical < 1000, `${Math.round(typical)} ms`);
  });
});

/** A heat map tells numbers under the pointer; its newest column is at the right edge. */
async function underPointer(page, text) {
  const at = frame(page, "The heatmap");
  await until("the number under the pointer", async () => {
    const box = await at.locator("canvas").first().boundingBox();
    await page.mouse.move(box.x + box.width - 17, box.y + box.height / 3);
    return at.getByText(text).isVisible();
  });
}
