// A dashboard as a file and back; the points of a widget as a table; a widget on
// the whole screen; a metric that first arrives while the editor is open.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { addWidget, drawer, openEditor, pickMetric } from "./editor.mjs";
import { frame, getDashboard, later, listDashboards, makeDashboard, metricName, pillSays, points, produce, removeDashboard, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

/** A widget as a file has it: what the server gives it by itself is left out. */
const essence = ({ widget_id: _, dashboard_id: __, ...rest }) => rest;

test("file, table, full screen, new metric", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("file");
  produce(t, url, (n) => ["a", "b"].map((host, i) => ({ metric_name: metric, value: 10 * (n % 7) + i, tags: { host } })));
  const browser = await useBrowser(t);
  const title = `File ${metric}`;
  const { path, document } = await makeDashboard(t, url, title, [widget("line", metric, { title: "Line", group_by: ["host"] }), widget("stat", metric, { title: "Number" })], {
    tags: ["team-a"],
    variables: [{ name: "machine", tag: "host" }],
  });
  const page = await visit(t, browser, url + path);
  await pillSays(page, "Live");

  await t.test("exported and imported it is the same dashboard, with an id of its own", async () => {
    await page.getByRole("button", { name: "More" }).click();
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export as JSON" }).click();
    const file = await (await coming).path();
    assert.equal(JSON.parse(await readFile(file, "utf8")).title, title);
    const list = await visit(t, browser, url, { expected: /409/ }); // The file's ids are taken: it becomes a copy.
    await list.getByLabel("Import").setInputFiles(file);
    await until("it is in the list twice", async () => (await listDashboards(url)).filter((one) => one.title === title).length === 2);
    const [copy] = (await listDashboards(url)).filter((one) => one.title === title && one.dashboard_id !== document.dashboard_id);
    later(t, () => removeDashboard(url, copy.dashboard_id));
    const made = await getDashboard(url, copy.dashboard_id);
    assert.deepEqual([made.tags, made.variables, made.widgets.map(essence)], [document.tags, document.variables, document.widgets.map(essence)]);
  });

  await t.test("the points of a widget as a table: a row for each window end, its values as in the chart", async () => {
    await frame(page, "Line").getByRole("link", { name: /^Inspect Line/ }).click();
    const table = page.getByRole("region", { name: "Line, points" });
    await table.getByRole("columnheader", { name: "window end" }).waitFor();
    const names = await table.getByRole("columnheader").allTextContents();
    assert.deepEqual(names.toSorted(), ["a", "b", "complete", "window end"]);
    const id = document.widgets[0].widget_id;
    await until("the first row is the newest point", async () => {
      const newest = (await points(page, id)).at(-1);
      // The first column is the row's header.
      const cells = await table.getByRole("row").nth(1).getByRole("cell").allTextContents();
      return newest.series.every(({ tags, value }) => Number(cells[names.indexOf(tags.host) - 1]) === value);
    });
    await page.goBack();
    await frame(page, "Line").waitFor();
  });

  await t.test("a widget on the whole screen goes on, and comes back", async () => {
    const box = frame(page, "Number");
    const small = await box.boundingBox();
    const button = box.getByRole("button", { name: /^Full screen/ });
    await button.click();
    await until("it fills the window", async () => (await box.boundingBox()).width > 2 * small.width);
    const before = (await points(page, document.widgets[1].widget_id)).at(-1).end;
    await until("points arrive", async () => (await points(page, document.widgets[1].widget_id)).at(-1).end > before);
    await button.click();
    await until("it is as it was", async () => (await box.boundingBox()).width === small.width);
  });

  await t.test("a metric that first arrives while the drawer is open is offered", async () => {
    page.on("dialog", (dialog) => dialog.accept());
    await openEditor(page, url, path);
    await addWidget(page, "stat");
    const fresh = metricName("fresh");
    const field = drawer(page).getByRole("combobox", { name: "Metric" });
    await field.fill(fresh);
    assert.equal(await drawer(page).getByRole("option").filter({ hasText: fresh }).count(), 0);
    produce(t, url, () => [{ metric_name: fresh, value: 1 }]);
    await drawer(page).getByRole("option").filter({ hasText: fresh }).first().waitFor();
    await pickMetric(page, fresh);
  });
});
