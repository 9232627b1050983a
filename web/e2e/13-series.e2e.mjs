// Series that come without a tag, come later, or are too many.
import assert from "node:assert/strict";
import { test } from "node:test";
import { frame, makeDashboard, metricName, pillSays, points, produce, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

test("missing tags, new series, too many series", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("series");
  const grouped = { group_by: ["host"] };
  const line = widget("line", metric, { title: "Line", ...grouped });
  const nothing = metricName("nothing");
  const { path } = await makeDashboard(t, url, "Series", [
    line,
    widget("table", metric, { title: "Table", ...grouped }),
    widget("heatmap", metric, { title: "Heat map", ...grouped }),
    widget("line", metric, { title: "No such host", filter: { host: "nobody" } }),
    widget("stat", nothing, { title: "No such metric" }),
  ], { variables: [{ name: "host", tag: "host" }] });
  let hosts = [{}, { host: "a" }];
  produce(t, url, () => hosts.map((tags, i) => ({ metric_name: metric, value: 10 + i, tags })));
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url + path);
  await pillSays(page, "Live");
  await frame(page, "Line").getByText("a", { exact: true }).waitFor();

  await t.test("a series without the tag is named so", async () => {
    await frame(page, "Line").getByText("without host", { exact: true }).waitFor();
    await frame(page, "Line").getByText("a", { exact: true }).waitFor();
    await frame(page, "Table").getByRole("row").filter({ hasText: "–" }).first().waitFor();
  });

  await t.test("what matches nothing waits, and says for what", async () => {
    for (const title of ["No such host", "No such metric"]) await frame(page, title).getByText("Waiting for values").waitFor();
    await frame(page, "No such metric").getByText(nothing).last().waitFor();
  });

  await t.test("a new host appears in each, and nobody loses a point", async () => {
    const before = await until("points", async () => {
      const mine = await points(page, line.widget_id);
      return mine.length > 2 ? mine : null;
    });
    hosts = [{}, { host: "a" }, { host: "late-comer" }];
    await frame(page, "Line").getByText("late-comer", { exact: true }).waitFor();
    await frame(page, "Table").getByRole("rowheader", { name: "late-comer" }).waitFor();
    await frame(page, "Heat map").getByText(/Heat map of 3 series/).waitFor({ state: "attached" });
    const after = await points(page, line.widget_id);
    const a = (list) => new Map(list.map((point) => [point.end, point.series.find((s) => s.tags.host === "a")?.value]));
    const now = a(after);
    for (const [end, value] of a(before)) assert.deepEqual(now.get(end), value, `the value of a at ${end}`);
  });

  await t.test("of too many the largest are shown, and how many there are", async () => {
    hosts = Array.from({ length: 130 }, (_, i) => ({ host: `host-${i}` }));
    await frame(page, "Line").getByText(/^top 20 of 13\d now$/).waitFor();
    await frame(page, "Table").getByText(/^top 20 of 13\d now$/).waitFor();
    await frame(page, "Table").getByRole("rowheader", { name: "host-129" }).waitFor();
    assert.equal(await frame(page, "Table").getByRole("rowheader", { name: "host-0", exact: true }).count(), 0);
  });

  await t.test("one that is chosen and does not leave the pipeline is not said to be none", async () => {
    await page.goto(`${page.url()}?var-host=host-7`);
    await frame(page, "Line").getByText(/^host-7 is not among the 100 largest of 13\d series/).waitFor();
  });
});
