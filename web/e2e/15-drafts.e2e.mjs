// A draft is the editor's own: its new queries are computed at once, nobody
// else sees them, they go away with the editor, and the draft itself is kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addWidget, drawer, newDashboard, openEditor, pickMetric, setTitle, slot, tab, toolbar } from "./editor.mjs";
import { frame, getDashboard, later, listDashboards, makeDashboard, metricName, points, produce, reading, removeDashboard, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

const drafts = async (url, title) => (await listDashboards(url, "pulseboard:draft")).filter((one) => one.title === `Draft of ${title}`);

test("drafts", { timeout: 180_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("drafts");
  produce(t, url, (n) => [{ metric_name: metric, value: 100 + (n % 50), tags: { host: n % 2 === 0 ? "a" : "b" } }]);
  const browser = await useBrowser(t);
  const title = `Drafts ${metric}`;
  const { id, path, document } = await makeDashboard(t, url, title, [widget("stat", metric, { title: "One" })]);
  const page = await visit(t, browser, "about:blank");
  const viewer = await visit(t, browser, `${url}${path}`);
  page.on("dialog", (dialog) => dialog.accept());
  await openEditor(page, url, path);
  // The line says what it is: half of the events, at most 150 in a minute.
  const counts = async () => {
    await frame(page, "Two").getByText("count", { exact: true }).waitFor();
    await reading(page, "Two", "line", /^\d{1,3}(\.\d)?$/).first().waitFor();
  };

  await t.test("a new widget has its history at once, and other viewers do not see it", async () => {
    await until("the metric in the catalog", async () => (await (await fetch(`${url}/metrics/catalog?query=${metric}`)).json()).total === 1);
    await addWidget(page, "line");
    await pickMetric(page, metric);
    await setTitle(page, "Two");
    await reading(page, "Two", "line", /^1\d\d$/).first().waitFor();
    const made = await page.locator('[data-selected="yes"]').getAttribute("data-id");
    assert.ok((await points(page, made)).length > 1, "the points from before it was made are there");
    assert.deepEqual((await getDashboard(url, id)).widgets, document.widgets);
    assert.equal((await drafts(url, title)).length, 1);
    assert.equal(await frame(viewer, "Two").count(), 0);
    const list = await visit(t, browser, url);
    await list.getByRole("link", { name: title, exact: true }).waitFor();
    assert.equal(await list.getByText(`Draft of ${title}`).count(), 0, "the list does not show what holds the draft's queries");
  });

  await t.test("another query of a widget is previewed with its own values, under the filter's completed values", async () => {
    await frame(page, "Two").getByRole("button", { name: "Edit Two" }).click();
    await tab(page, "Query");
    await drawer(page).getByRole("button", { name: "Add a condition" }).click();
    await drawer(page).getByRole("combobox", { name: "Tag", exact: true }).fill("ho");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await drawer(page).getByRole("combobox", { name: "Values" }).click();
    await drawer(page).getByRole("option", { name: "b", exact: true }).click();
    await drawer(page).getByLabel("Aggregation").selectOption("count");
    await counts();
    await tab(page, "JSON");
    const { filter, aggregation } = JSON.parse(await drawer(page).getByRole("textbox").inputValue());
    assert.deepEqual({ filter, aggregation }, { filter: { host: "b" }, aggregation: "count" });
  });

  await t.test("after a reload the draft is there, with values", async () => {
    await page.reload();
    await toolbar(page).getByText(/^Draft of .* restored$/).waitFor();
    await slot(page, "Two").waitFor();
    await counts();
    await until("the one draft of this page", async () => (await drafts(url, title)).length === 1);
  });

  await t.test("leaving asks; dropped, nothing is left of it", async () => {
    await page.getByRole("link", { name: /^Pulseboard/ }).click();
    const dialog = page.getByRole("dialog", { name: "Leave without saving?" });
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("link", { name: /^Pulseboard/ }).click();
    await dialog.getByRole("button", { name: "Leave and drop the draft" }).click();
    await page.getByRole("link", { name: title, exact: true }).waitFor();
    await until("no draft", async () => (await drafts(url, title)).length === 0);
    await openEditor(page, url, path);
    assert.equal(await slot(page, "Two").count(), 0);
    assert.equal(await toolbar(page).getByRole("button", { name: "Done" }).count(), 1);
  });

  await t.test("a version of before is taken into the draft, and undone", async () => {
    await toolbar(page).getByRole("button", { name: "Dashboard" }).click();
    await drawer(page).getByLabel("Title", { exact: true }).fill("Another title");
    await toolbar(page).getByText("Unsaved").waitFor();
    await drawer(page).getByRole("button", { name: "Use version 1" }).click();
    await toolbar(page).getByRole("button", { name: "Done" }).waitFor();
    await toolbar(page).getByRole("button", { name: "Undo" }).click();
    assert.equal(await drawer(page).getByLabel("Title", { exact: true }).inputValue(), "Another title");
    await toolbar(page).getByRole("button", { name: "Discard" }).click();
  });

  await t.test("a dashboard that is deleted comes back with Undo", async () => {
    await drawer(page).getByRole("button", { name: "Delete this dashboard" }).click();
    await until("deleted", async () => (await getDashboard(url, id)) === null);
    await page.getByRole("button", { name: "Undo" }).click();
    await until("back", async () => (await getDashboard(url, id)) !== null);
    await reading(page, "One", "stat", /^1\d\d$/).first().waitFor();
  });
});

test("what a browser that crashed has left behind goes with the next editor", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const { path } = await makeDashboard(t, url, "Sweep", []);
  const leave = async (title) => (await makeDashboard(t, url, title, [], { tags: ["draft", "pulseboard:draft"] })).id;
  const [old, fresh] = [await leave("Draft of an old one"), await leave("Draft of a fresh one")];
  const own = (await makeDashboard(t, url, "Not finished", [], { tags: ["draft"] })).id;
  const browser = await useBrowser(t);
  const page = await visit(t, browser, "about:blank");
  // An hour passes for all but the fresh one.
  await page.route("**/dashboards?*", async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    const ago = (text) => new Date(Date.parse(text) - 3_700_000).toISOString();
    const dashboards = body.dashboards.map((one) => (one.dashboard_id === fresh ? one : { ...one, updated_at: ago(one.updated_at) }));
    await route.fulfill({ response, json: { ...body, dashboards } });
  });
  await page.goto(`${url}${path}/edit`);
  await toolbar(page).waitFor();
  await until("the old draft swept", async () => (await getDashboard(url, old)) === null);
  assert.notEqual(await getDashboard(url, fresh), null, "its editor may be open");
  assert.notEqual(await getDashboard(url, own), null, "a dashboard that somebody tagged draft is nobody's leftover");
});

test("what cannot be saved is said where it stands", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url, { expected: /422/ }); // The browser tells of every answer that is not 2xx.
  await newDashboard(page, "Faults");
  const id = new URL(page.url()).pathname.split("/")[2];
  later(t, () => removeDashboard(url, id));
  await page.getByRole("button", { name: "Add a widget" }).click();

  await t.test("no metric: the widget and the field say so, and nothing is sent", async () => {
    await toolbar(page).getByRole("button", { name: "Save" }).click();
    await page.getByRole("alert").filter({ hasText: "has something to mend" }).waitFor();
    assert.equal(await drawer(page).getByText("Choose a metric.").count(), 1);
    assert.equal((await getDashboard(url, id)).version, 1);
  });

  await t.test("a rule of the service: at its field, and counted at its tab", async () => {
    await drawer(page).getByRole("combobox", { name: "Metric" }).fill("e2e.faults");
    await page.keyboard.press("Tab");
    await drawer(page).getByLabel("Window, seconds").fill("0");
    await drawer(page).getByRole("tab", { name: "Query 1 to mend" }).waitFor();
    const field = drawer(page).getByLabel("Window, seconds");
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    await field.fill("60");
    await drawer(page).getByRole("tab", { name: "Query", exact: true }).waitFor();
  });

  await t.test("a choice shows what holds, and a threshold begins empty and outside of the document", async () => {
    await tab(page, "Display");
    for (const [label, text] of [["Chart", "Line chart"], ["Scale", "linear"]]) {
      const chosen = await drawer(page).getByRole("combobox", { name: label }).evaluate((select) => select.selectedOptions[0]?.textContent);
      assert.equal(chosen, text, label);
    }
    await tab(page, "Thresholds");
    await drawer(page).getByRole("button", { name: "Add a threshold" }).click();
    const from = drawer(page).getByLabel("From");
    assert.equal(await from.inputValue(), "");
    const thresholds = async () => {
      await tab(page, "JSON");
      const { display_config } = JSON.parse(await drawer(page).getByRole("textbox").inputValue());
      await tab(page, "Thresholds");
      return display_config.thresholds;
    };
    assert.deepEqual(await thresholds(), []);
    await drawer(page).getByRole("button", { name: "Add a threshold" }).click();
    await from.fill("5");
    assert.deepEqual(await thresholds(), [{ at: 5, level: "warn" }]);
  });

  await t.test("JSON that is none, or cannot be drawn, is not taken over", async () => {
    await tab(page, "JSON");
    const text = drawer(page).getByRole("textbox");
    await text.fill("{");
    await drawer(page).getByText(/^This is not taken over yet: /).waitFor();
    await text.fill('{"metric_name":"m","aggregation":"avg","group_by":{}}');
    await drawer(page).getByText("This is not taken over yet: /group_by must be a list").waitFor();
    await slot(page, "e2e.faults").waitFor();
  });
});
