// Distributions: what the pipeline publishes is what the heat map has, its cells are read with the keys, the editor
// offers it, and what cannot be drawn is refused with the way out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawer, newDashboard, pickMetric, save, toolbar } from "./editor.mjs";
import { frame, getDashboard, later, makeDashboard, metricName, NARROW, picture, pillSays, produce, removeDashboard, THEMES, until, useBrowser, useServer, visit, widget } from "./harness.mjs";
import { history } from "./redis.mjs";

/** Latencies of two kinds of requests, with a tail. */
function latency(n, i) {
  const uniform = (k) => ((((n * 50 + i) * 2654435761 + k * 40503) >>> 0) % 99_991) / 99_991 + 1e-6;
  const normal = Math.sqrt(-2 * Math.log(uniform(1))) * Math.cos(2 * Math.PI * uniform(2));
  return (i % 4 === 0 ? 250 : 12) * Math.exp(0.4 * normal) * (1 + 0.3 * Math.sin(n / 40));
}

/** The distributions that a page has of a widget, by window end: values of each bin in order. */
function distributions(page, id) {
  return page.evaluate((widgetId) => {
    const { ring } = window.streams.get(widgetId);
    return [...ring.endsView()].map((end) => {
      const one = ring.distribution(end, 0);
      return [end, one === null ? null : [...[...one.negative.counts], ...(one.zero > 0 ? [one.zero] : []), ...one.positive.counts]];
    });
  }, id);
}

test("a distribution from events to the screen", { timeout: 180_000 }, async (t) => {
  const { url, redis } = await useServer(t);
  const metric = metricName("latency");
  const narrow = metricName("speed");
  produce(t, url, (n) => [
    ...Array.from({ length: 50 }, (_, i) => ({ metric_name: metric, value: latency(n, i), tags: { host: "ab"[i % 2] } })),
    ...Array.from({ length: 20 }, (_, i) => ({ metric_name: narrow, value: 1000 + 400 * Math.sin(n / 30 + i / 20), tags: {} })),
  ]);
  const heat = widget("heatmap", metric, { title: "Latency", aggregation: "histogram", display: { unit: "ms" }, position: { x: 0, y: 0, w: 8, h: 5 } });
  const { id, path } = await makeDashboard(t, url, "Distributions", [
    heat,
    widget("heatmap", narrow, { title: "Speed", aggregation: "histogram", display: { unit: "B/s", color_scheme: "cividis" }, position: { x: 8, y: 0, w: 4, h: 5 } }),
    widget("line", metric, { title: "p99", aggregation: "p99", display: { unit: "ms" }, position: { x: 0, y: 5, w: 12, h: 3 } }),
  ]);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url + path);
  await pillSays(page, "Live");
  await frame(page, "Latency").getByText(/^Heat map of a distribution, .* between .* ms and .*\. Newest window: [\d,]+ values/).waitFor({ state: "attached" });

  await t.test("each window has the bins that were published, and they hold each event once", async () => {
    await until("points", async () => (await distributions(page, heat.widget_id)).filter(([, bins]) => bins !== null).length > 8);
    const published = new Map((await history(redis, `${metric}:histogram:5s`, 1000)).map((result) => [result.window_end, result]));
    let compared = 0;
    for (const [end, bins] of await distributions(page, heat.widget_id)) {
      const [series] = published.get(end)?.series ?? [];
      if (series === undefined) continue;
      assert.deepEqual(bins, series.value?.map(([, , count]) => count) ?? null, `bins at ${end}`);
      assert.equal((bins ?? []).reduce((sum, count) => sum + count, 0), series.count, `values at ${end}`);
      assert.ok(bins === null || bins.length <= 64);
      compared++;
    }
    assert.ok(compared > 8, `${compared} windows were compared`);
  });

  await t.test("the keys read cells: a range, a time and how many values", async () => {
    const plot = frame(page, "Latency").getByRole("application");
    await plot.focus();
    const spoken = plot.locator("[aria-live]");
    await page.keyboard.press("ArrowDown");
    const said = [];
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("ArrowDown");
      said.push(await spoken.textContent());
    }
    for (const text of said) assert.match(text, /^[\d.,]+ (µs|ms|s) to [\d.,]+ (µs|ms|s) · \d\d:\d\d:\d\d · (no values|1 value|[\d,]+ values)$/);
    assert.ok(said.some((text) => text.endsWith("values") && !text.endsWith("no values")), `only empty cells: ${said.join("; ")}`);
    await page.keyboard.press("Escape");
  });

  await t.test("the inspect view lists how many values there are, and between what", async () => {
    await page.goto(`${url}${path}/w/${heat.widget_id}`);
    await page.getByRole("cell", { name: /^[\d,]+ from [\d.]+ \w+ to [\d.]+ \w+$/ }).first().waitFor();
    await page.goto(url + path);
    await pillSays(page, "Live");
  });

  await t.test("in both themes, on a phone and on a wall", async () => {
    for (const colorScheme of THEMES) {
      for (const [name, viewport] of [["wide", { width: 1280, height: 800 }], ["narrow", NARROW], ["wall", { width: 3840, height: 2160 }]]) {
        const other = await visit(t, browser, url + path, { colorScheme, viewport });
        await pillSays(other, "Live");
        await frame(other, "Latency").getByText(/^Heat map of a distribution, .* Newest window/).waitFor({ state: "attached" });
        await picture(other, `21-distribution-${name}-${colorScheme}`);
      }
    }
  });

  await t.test("its code that did not come is asked for again", async () => {
    const other = await visit(t, browser, "about:blank", { expected: /Failed to load resource/ });
    let asked = 0;
    await other.route(/\/assets\/bins-/, (route) => (asked++ === 0 ? route.abort() : route.continue()));
    await other.goto(url + path);
    await frame(other, "Latency").getByText(/^Heat map of a distribution, .* Newest window/).waitFor({ state: "attached" });
    assert.ok(asked > 1);
  });

  await t.test("the editor offers it, and draws it as a heat map", async () => {
    await page.goto(url);
    await newDashboard(page, "A distribution by hand");
    const made = new URL(page.url()).pathname.split("/")[2];
    later(t, () => removeDashboard(url, made));
    await page.getByRole("button", { name: "Add a widget" }).click();
    await toolbar(page).waitFor();
    await pickMetric(page, metric);
    await drawer(page).getByLabel("Aggregation").selectOption("histogram");
    await drawer(page).getByText("How many values lie in each range").waitFor();
    await page.getByText(/^Heat map of a distribution, .* Newest window/).first().waitFor({ state: "attached" });
    await save(page);
    const [stored] = (await getDashboard(url, made)).widgets;
    assert.deepEqual([stored.aggregation, stored.display_config.chart], ["histogram", "heatmap"]);
  });

  await t.test("what no chart of a distribution shows is refused, with the way out", async () => {
    const bad = { ...widget("gauge", metric, { aggregation: "histogram", group_by: ["host"] }) };
    const response = await fetch(`${url}/dashboards/${id}/widgets`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json", "If-Match": `"${(await getDashboard(url, id)).version}"` },
      body: JSON.stringify({ add: [bad] }),
    });
    assert.equal(response.status, 422);
    const { errors } = await response.json();
    assert.deepEqual(errors.map(({ pointer }) => pointer).sort(), ["/add/0/display_config/chart", "/add/0/group_by"]);
    for (const { detail } of errors) assert.match(detail, /percentile such as p95/);
  });
});
