// Where things are: nothing leaves the screen, covers another or moves when it is
// only looked at. Screens are a phone, tablets, a notebook and walls.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { toolbar } from "./editor.mjs";
import { frame, later, makeDashboard, metricName, picture, pillSays, produce, removeDashboard, settled, THEMES, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

const SCREENS = [390, 761, 820, 1000, 1100, 1280];
const WALLS = [
  { width: 1920, height: 1080 },
  { width: 3840, height: 2160 },
];

const box = (locator) => locator.evaluate((element) => {
  const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
  return { left, top, right, bottom, width, height };
});

test("places", { timeout: 300_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("places");
  produce(t, url, (n) => ["one", "two", "three", "four", "five", "six"].map((host, i) => ({ metric_name: metric, value: 1000 * Math.sin(n / 5 + i), tags: { host } })));
  const line = (title, x) => widget("line", metric, { title, group_by: ["host"], position: { x, y: 0, w: 4, h: 4 } });
  const small = widget("line", metric, { title: "Small", group_by: ["host"], position: { x: 8, y: 0, w: 2, h: 2 } });
  const number = widget("stat", metric, { title: "Number", position: { x: 8, y: 2, w: 4, h: 2 } });
  const table = widget("table", metric, { title: "Table", group_by: ["host"], position: { x: 0, y: 4, w: 12, h: 4 } });
  const { path } = await makeDashboard(t, url, "A dashboard with a title of usual length", [line("Left", 0), line("Right", 4), small, number, table]);
  const browser = await useBrowser(t);
  const open = async (sub, at, viewport, more = {}) => {
    const page = await visit(sub, browser, url + at, { viewport, ...more });
    await pillSays(page, "Live");
    await until("values", () => page.evaluate(() => document.querySelectorAll('article[data-state="live"]').length >= 5));
    await settled(page);
    return page;
  };

  for (const width of SCREENS) {
    await t.test(`the header at ${width} px: a title that can be read, every control on the screen`, async (sub) => {
      const page = await open(sub, path, { width, height: 900 });
      await picture(page, `places-${width}`);
      assert.ok((await box(page.getByRole("heading", { level: 1 }))).width >= 96, "width of the title");
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, "pixels that the page is too wide");
      const outside = await page.evaluate(() =>
        [...document.querySelectorAll("header button, header a")]
          .filter((control) => control.checkVisibility() && !control.classList.contains("skip"))
          .map((control) => [control.getBoundingClientRect(), control.getAttribute("aria-label") ?? control.textContent])
          .filter(([{ left, right, width: own }]) => left < 0 || right > innerWidth || own < 24)
          .map(([, name]) => name),
      );
      assert.deepEqual(outside, []);
      for (const name of ["Edit", "Widget"]) assert.equal(await page.getByRole("link", { name, exact: true }).count(), 1, `${name}, for screen readers`);
    });
  }

  await t.test("menus open at their buttons", async (sub) => {
    const page = await open(sub, `${path}/edit`, { width: 1280, height: 900 });
    for (const [button, item, side] of [
      [toolbar(page).getByRole("button", { name: "Add widget" }), "Heat map", "left"],
      [page.getByRole("button", { name: "More", exact: true }), "Export as JSON", "right"],
    ]) {
      await button.click();
      const menu = page.locator("[popover]:popover-open");
      await menu.getByRole("button", { name: item }).waitFor();
      const [at, opened] = [await box(button), await box(menu)];
      assert.ok(Math.abs(opened[side] - at[side]) < 2, `the menu's ${side} is at ${opened[side]}, the button's at ${at[side]}`);
      assert.ok(opened.top >= at.bottom && opened.top < at.bottom + 12, `the menu begins at ${opened.top}, its button ends at ${at.bottom}`);
      await page.keyboard.press("Escape");
    }
  });

  await t.test("a pointer over one chart moves nothing, in it and in those that follow it", async (sub) => {
    const page = await open(sub, path, { width: 1280, height: 900 });
    const sizes = async () => {
      const found = [];
      for (const title of ["Left", "Right"]) {
        const [plot, legend, canvas] = await Promise.all([".line-plot", ".line-legend", "canvas"].map((part) => box(frame(page, title).locator(part).first())));
        assert.ok(canvas.bottom <= legend.top + 1, `${title}: the drawing ends at ${canvas.bottom}, the legend begins at ${legend.top}`);
        found.push({ plot: plot.height, legend: legend.height });
      }
      return found;
    };
    // Until each value has been as long as it becomes.
    await page.waitForFunction(() => document.querySelectorAll(".line-legend-value").length >= 12);
    const before = await sizes();
    const { left, top, width, height } = await box(frame(page, "Left").locator(".u-over"));
    await page.mouse.move(left + width / 2, top + height / 2);
    await frame(page, "Right").locator(".line-time").waitFor();
    assert.deepEqual(await sizes(), before);
    const [legend, scrolls] = await frame(page, "Left").locator(".line-legend").evaluate((element) => [element.clientHeight, element.scrollHeight]);
    assert.ok(legend >= 44 || scrolls <= legend, `two rows of a legend have room: ${legend} of ${scrolls} px`);
    await picture(page, "places-hover");
  });

  await t.test("a small chart is a chart, and not a legend", async (sub) => {
    const page = await open(sub, path, { width: 1280, height: 900 });
    const [plot, body] = await Promise.all([".line-plot", ".widget-body"].map((part) => box(frame(page, "Small").locator(part))));
    assert.ok(plot.height > 0.8 * body.height, `${plot.height} of ${body.height} px`);
  });

  for (const viewport of WALLS) {
    for (const theme of THEMES) {
      await t.test(`a wall of ${viewport.width} px, ${theme}: filled, with title, pill and clock, and texts that grow`, async (sub) => {
        const page = await open(sub, `${path}?kiosk=1`, viewport, { colorScheme: theme });
        const last = await box(frame(page, "Table"));
        assert.ok(last.bottom > 0.95 * viewport.height && last.bottom <= viewport.height, `the last row ends at ${last.bottom}`);
        assert.ok(last.right > 0.97 * viewport.width, `it ends at ${last.right}`);
        const banner = page.getByRole("banner");
        await until("a pointer that stands still", () => banner.evaluate((element) => element.dataset.still === "yes"));
        assert.equal(await banner.evaluate((element) => getComputedStyle(element.querySelector(".pill")).opacity), "1");
        await banner.getByRole("heading", { name: "A dashboard with a title of usual length" }).waitFor();
        await banner.getByText(/^\d\d:\d\d:\d\d$/).waitFor();
        const size = await frame(page, "Left").locator(".line-legend").evaluate((element) => Number.parseFloat(getComputedStyle(element).fontSize));
        assert.ok(size >= 12 * Math.floor((viewport.width / 1440) * 10) / 10 - 0.1, `the legend's texts have ${size} px`);
        await picture(page, `places-wall-${viewport.width}-${theme}`);
        const before = await banner.getByText(/^\d\d:\d\d:\d\d$/).textContent();
        await until("the clock goes on", async () => (await banner.getByText(/^\d\d:\d\d:\d\d$/).textContent()) !== before);
      });
    }
  }

  await t.test("the list has dashboards that somebody tagged draft, refuses Grafana's with a reason, and keeps its distance", async (sub) => {
    const { id } = await makeDashboard(sub, url, "Not finished", [], { tags: ["draft"] });
    later(sub, () => removeDashboard(url, id));
    const page = await visit(sub, browser, url);
    await page.getByRole("link", { name: "Not finished", exact: true }).waitFor();
    await page.getByRole("button", { name: "draft", exact: true }).click();
    await until("only those", async () => (await page.getByRole("link", { name: "A dashboard with a title of usual length" }).count()) === 0);
    await page.getByRole("link", { name: "Not finished", exact: true }).waitFor();
    const file = { name: "grafana.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify({ uid: randomUUID(), title: "Node", panels: [] })) };
    await page.getByLabel("Import").setInputFiles(file);
    const notice = page.getByRole("alert").filter({ hasText: "grafana.json cannot be imported: it is a dashboard of Grafana's. pulseboard dashboards import-grafana" });
    await notice.waitFor();
    assert.equal(await notice.getByRole("button").count(), 0, "to try again would not help");
    assert.ok((await box(page.getByRole("list").first())).top - (await box(notice)).bottom >= 12, "the notice does not touch the cards");
  });
});
