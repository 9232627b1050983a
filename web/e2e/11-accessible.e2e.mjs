// axe finds nothing on any page, in either theme; and a picture of each, wide
// and narrow, for whoever wants to look.
import assert from "node:assert/strict";
import { test } from "node:test";
import axe from "axe-core";
import { drawer, tab, toolbar } from "./editor.mjs";
import { CHARTS, frame, makeDashboard, metricName, NARROW, picture, pillSays, produce, settled, THEMES, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

test("axe finds nothing", { timeout: 240_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("axe");
  const series = (n) => ["a", "b", "c"].map((host, i) => ({ metric_name: metric, value: 60 + 30 * Math.sin(n / 9 + i), tags: { host } }));
  const thresholds = [
    { at: 50, level: "warn" },
    { at: 85, level: "crit" },
  ];
  const widgets = CHARTS.map((chart, i) => widget(chart, metric, { group_by: ["host"], position: { x: (i % 3) * 4, y: Math.floor(i / 3) * 4, w: 4, h: 4 }, display: { thresholds, unit: "%" } }));
  widgets.push(widget("stat", metricName("nothing"), { title: "Waits", position: { x: 8, y: 4, w: 4, h: 4 } }));
  const { path } = await makeDashboard(t, url, "For everybody", widgets, { tags: ["team-a"], variables: [{ name: "host", tag: "host" }] });
  produce(t, url, series);
  const empty = await makeDashboard(t, url, "Nothing yet", []);
  const browser = await useBrowser(t);

  const live = async (page) => {
    await pillSays(page, "Live");
    await frame(page, "The gauge").getByRole("meter").waitFor();
    await until("values", () => page.evaluate(() => document.querySelectorAll('article[data-state="live"]').length >= 1));
    await settled(page);
  };
  const edit = (name) => async (page) => {
    await toolbar(page).waitFor();
    await live(page);
    await frame(page, "The line").getByRole("button", { name: "Edit The line" }).click();
    await tab(page, name);
    // A trial: it could be clicked, nothing lies over it.
    await drawer(page).getByRole("button", { name: "Close" }).click({ trial: true });
  };
  const PAGES = [
    { name: "list", at: "/", ready: (page) => page.getByRole("link", { name: "For everybody" }).waitFor() },
    {
      name: "list-new",
      at: "/",
      ready: async (page) => {
        await page.getByRole("button", { name: "New dashboard" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
        await page.getByText("Give it a title.").waitFor();
      },
    },
    { name: "dashboard", at: path, ready: live },
    { name: "dashboard-empty", at: empty.path, ready: (page) => page.getByRole("button", { name: "Add a widget" }).waitFor() },
    {
      name: "dashboard-menu",
      at: path,
      ready: async (page) => {
        await live(page);
        await page.getByRole("button", { name: "More", exact: true }).click();
        await page.getByRole("button", { name: "Export as JSON" }).waitFor();
      },
    },
    {
      name: "kiosk",
      at: `${path}?kiosk=1`,
      ready: async (page) => {
        await live(page);
        // What has the focus does not fade, however long it is looked at.
        await page.getByRole("button", { name: "Leave the wall display" }).focus();
      },
    },
    { name: "inspect", at: `${path}/w/${widgets[0].widget_id}`, ready: async (page) => {
      await pillSays(page, "Live");
      await page.getByRole("region", { name: "Points" }).getByRole("row").nth(2).waitFor();
    } },
    { name: "status", at: "/status", ready: (page) => page.getByRole("rowheader").first().waitFor() },
    { name: "send", at: "/send", ready: (page) => page.getByRole("region", { name: "Arrived last" }).getByRole("row").nth(1).waitFor() },
    { name: "edit-query", at: `${path}/edit`, ready: edit("Query") },
    { name: "edit-display", at: `${path}/edit`, ready: edit("Display") },
    { name: "edit-thresholds", at: `${path}/edit`, ready: edit("Thresholds") },
    { name: "edit-json", at: `${path}/edit`, ready: edit("JSON") },
    {
      name: "edit-dashboard",
      at: `${path}/edit`,
      ready: async (page) => {
        await toolbar(page).getByRole("button", { name: "Dashboard" }).click();
        await drawer(page).getByText(/^1 · /).waitFor();
      },
    },
    { name: "not-found", expected: /status of 404/, at: "/d/00000000-0000-4000-8000-000000000000", ready: (page) => page.getByRole("link", { name: "All dashboards", exact: true }).waitFor() },
  ];

  for (const theme of THEMES) {
    for (const { name, at, ready, expected } of PAGES) {
      await t.test(`${name}, ${theme}`, async (sub) => {
        const page = await visit(sub, browser, url + at, { colorScheme: theme, expected });
        await ready(page);
        await page.evaluate(axe.source);
        const found = await faults(page);
        await picture(page, `${name}-${theme}`);
        await page.setViewportSize(NARROW);
        await picture(page, `${name}-${theme}-narrow`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.deepEqual([...found, ...(theme === "light" ? await faults(page) : [])], []);
        assert.deepEqual(await page.evaluate(outside), [], "what is cut off at the left");
        assert.ok(wide <= 0, `on a narrow screen the page is ${wide} px too wide`);
      });
    }
  }
});

async function faults(page) {
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html} ${node.failureSummary}`));
}

/** Runs in the page: the controls that begin left of the screen. */
function outside() {
  return [...document.querySelectorAll("button, a, input, select")]
    .filter((control) => control.checkVisibility())
    .map((control) => [control.getBoundingClientRect(), control])
    .filter(([box]) => box.left < 0 && box.right > 0)
    .map(([, control]) => control.textContent);
}
