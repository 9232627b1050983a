// From nothing to a dashboard with a widget of each type, by hand: what was
// made is what is stored, and it shows live values before and after a reload.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addWidget, drawer, groupBy, newDashboard, openEditor, pickMetric, save, setTitle, tab, toolbar } from "./editor.mjs";
import { CHARTS, frame, getDashboard, later, metricName, pillSays, produce, reading, removeDashboard, until, useBrowser, useServer, visit } from "./harness.mjs";

const SHOWN = { line: /^1\d\d$/, gauge: /^1\d\d$/, stat: /^1\d\d$/, table: /^1\d\d$/, heatmap: /Heat map of 2 series/ };

test("create, add five types of widgets, save, reload", { timeout: 180_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("create");
  produce(t, url, (n) => ["a", "b"].map((host, i) => ({ metric_name: metric, value: 100 + (n % 50) + i, tags: { host } })));
  await until("the metric in the catalog", async () => (await (await fetch(`${url}/metrics/catalog?query=${metric}`)).json()).metrics.length === 1);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url);
  const grouped = ["line", "table", "heatmap"];

  await newDashboard(page, "Made by hand");
  const id = new URL(page.url()).pathname.split("/")[2];
  later(t, () => removeDashboard(url, id));
  await page.getByRole("button", { name: "Add a widget" }).click();
  await toolbar(page).waitFor();

  for (const [i, chart] of CHARTS.entries()) {
    await t.test(`${chart}: the widget in the grid is the preview, on real values, before anything is saved`, async () => {
      if (i > 0) await addWidget(page, chart);
      await pickMetric(page, metric);
      if (grouped.includes(chart)) await groupBy(page, "host");
      await setTitle(page, `The ${chart}`);
      await reading(page, `The ${chart}`, chart, SHOWN[chart]).first().waitFor({ state: chart === "heatmap" ? "attached" : "visible" });
    });
  }

  await t.test("save stores what was made", async () => {
    assert.deepEqual((await getDashboard(url, id)).widgets, [], "nothing is stored before");
    await save(page);
    const { widgets } = await getDashboard(url, id);
    assert.deepEqual(
      widgets.sort(byKind).map((w) => [w.display_config.chart, w.display_config.title, w.metric_name, w.group_by ?? []]),
      CHARTS.map((chart) => [chart, `The ${chart}`, metric, grouped.includes(chart) ? ["host"] : []]),
    );
  });

  await t.test("after a reload, each shows live values", async () => {
    await page.reload();
    await pillSays(page, "Live");
    for (const chart of CHARTS) await reading(page, `The ${chart}`, chart, SHOWN[chart]).first().waitFor({ state: chart === "heatmap" ? "attached" : "visible" });
  });

  await t.test("the editor opens on the same JSON, and has nothing to save", async () => {
    const before = await getDashboard(url, id);
    await openEditor(page, url, `/d/${id}`);
    for (const widget of before.widgets) {
      const { title } = widget.display_config;
      await frame(page, title).getByRole("button", { name: `Edit ${title}` }).click();
      await tab(page, "JSON");
      const shown = JSON.parse(await drawer(page).getByRole("textbox").inputValue());
      assert.deepEqual(withoutId(shown), withoutId(widget));
    }
    await toolbar(page).getByRole("button", { name: "Done" }).click();
    assert.deepEqual(await getDashboard(url, id), before);
  });

  await t.test("what a counter's first sample counts is asked of growth, previewed, stored, and goes with another aggregation", async () => {
    const first = drawer(page).getByLabel("First sample of a series");
    await openEditor(page, url, `/d/${id}`);
    await frame(page, "The stat").getByRole("button", { name: "Edit The stat" }).click();
    await tab(page, "Query");
    assert.equal(await first.count(), 0);
    await drawer(page).getByLabel("Aggregation").selectOption("increase");
    await first.selectOption("count");
    await reading(page, "The stat", "stat", /^\d+/).first().waitFor();
    await save(page);
    const stored = async () => (await getDashboard(url, id)).widgets.find(({ display_config }) => display_config.chart === "stat");
    assert.deepEqual([(await stored()).aggregation, (await stored()).first], ["increase", "count"]);
    await openEditor(page, url, `/d/${id}`);
    await frame(page, "The stat").getByRole("button", { name: "Edit The stat" }).click();
    await tab(page, "Query");
    assert.equal(await first.inputValue(), "count");
    await drawer(page).getByLabel("Aggregation").selectOption("sum");
    await save(page);
    assert.deepEqual([(await stored()).aggregation, (await stored()).first], ["sum", undefined]);
  });
});

function byKind(a, b) {
  return CHARTS.indexOf(a.display_config.chart) - CHARTS.indexOf(b.display_config.chart);
}

function withoutId({ dashboard_id: _, ...rest }) {
  return rest;
}
