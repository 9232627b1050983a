// An address opens the page as it was sent; a wall display is nothing but
// values; and whoever has no mouse can make a widget all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawer, slot, toolbar } from "./editor.mjs";
import { frame, getDashboard, makeDashboard, metricName, pillSays, produce, reading, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

test("deep links and the wall display", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("address");
  const { path } = await makeDashboard(t, url, "By address", [widget("line", metric, { title: "Line", group_by: ["host"] })], { variables: [{ name: "host", tag: "host" }] });
  produce(t, url, (n) => ["a", "b"].map((host) => ({ metric_name: metric, value: n, tags: { host } })));
  const browser = await useBrowser(t);

  await t.test("the address has the range, the zone, the choice and the pause", async (sub) => {
    const page = await visit(sub, browser, `${url}${path}?window=1m&tz=utc&var-host=b`, { timezoneId: "Asia/Kolkata" });
    await pillSays(page, "Live");
    assert.equal(await page.getByRole("group", { name: "Time range" }).getByRole("button", { name: "1m" }).getAttribute("aria-pressed"), "true");
    await page.getByRole("button", { name: "UTC", exact: true }).waitFor();
    assert.equal(await page.getByRole("combobox", { name: "host" }).inputValue(), "b");
    await frame(page, "Line").getByText("b", { exact: true }).waitFor();
    assert.equal(await frame(page, "Line").getByText("a", { exact: true }).count(), 0);

    await page.getByRole("combobox", { name: "host" }).selectOption("a");
    await frame(page, "Line").getByText("a", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    const address = new URL(page.url());
    assert.deepEqual(Object.fromEntries(address.searchParams), { window: "1m", tz: "utc", "var-host": "a", paused: "1" });
    const copy = await visit(sub, browser, address.href);
    await pillSays(copy, /^Paused/);
    await copy.getByRole("button", { name: "Go on with live values" }).waitFor();
  });

  await t.test("a wall display: values and the pill, and the way back", async (sub) => {
    const page = await visit(sub, browser, `${url}${path}?kiosk=1`);
    await pillSays(page, "Live");
    await frame(page, "Line").getByText("a", { exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Pause", exact: true }).count(), 0);
    // Whatever lies under the pointer, and what it looks like there.
    const cursor = () => page.evaluate(() => getComputedStyle(document.elementFromPoint(400, 300), "::after").cursor);
    await page.mouse.move(400, 300);
    await until("a pointer that stands still goes", async () => (await cursor()) === "none");
    await page.mouse.move(401, 300);
    await until("one that moves is there", async () => (await cursor()) !== "none");
    await until("and goes again", async () => (await cursor()) === "none");
    await page.getByRole("button", { name: "Leave the wall display" }).click();
    await page.getByRole("button", { name: "Pause", exact: true }).waitFor();
    assert.equal(new URL(page.url()).searchParams.get("kiosk"), null);
  });

  for (const { name, query, pauses } of [
    { name: "a wall display that the browser takes for hidden goes on", query: "?kiosk=1", pauses: false },
    { name: "any other page asks for nothing while it is hidden", query: "", pauses: true },
  ]) {
    await t.test(name, async (sub) => {
      const page = await visit(sub, browser, "about:blank");
      const said = [];
      page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => said.push(JSON.parse(payload).type)));
      await page.clock.install();
      await page.goto(`${url}${path}${query}`);
      await pillSays(page, "Live");
      await page.evaluate(() => {
        Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      });
      // Longer than a page waits before it pauses, shorter than a link may be silent.
      await page.clock.runFor(10_500);
      await page.evaluate(() => {
        Object.defineProperty(document, "visibilityState", { value: "visible", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      });
      if (pauses) await until("play is said", () => said.includes("play"));
      assert.deepEqual(said, pauses ? ["hello", "pause", "play"] : ["hello"]);
    });
  }
});

test("with the keyboard alone: make a widget, place it, save", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("keyboard");
  produce(t, url, (n) => [{ metric_name: metric, value: 100 + (n % 100) }]);
  await until("the metric in the catalog", async () => (await (await fetch(`${url}/metrics/catalog?query=${metric}`)).json()).metrics.length === 1);
  const { path, id } = await makeDashboard(t, url, "No mouse", []);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url + path);
  await pillSays(page, /Live|waiting/);

  await tabTo(page, page.getByRole("link", { name: "Edit", exact: true }));
  await page.keyboard.press("Enter");
  await toolbar(page).waitFor();
  await tabTo(page, toolbar(page).getByRole("button", { name: "Add widget" }));
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("button", { name: "Number", exact: true }));
  await page.keyboard.press("Enter");

  await t.test("the metric's field has the focus, and its list answers the arrows", async () => {
    const field = drawer(page).getByRole("combobox", { name: "Metric" });
    await focused(page, field);
    await page.keyboard.type(metric.slice(0, -3));
    await drawer(page).getByRole("option").filter({ hasText: metric }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    assert.equal(await field.inputValue(), metric);
    await reading(page, metric, "stat", /^1\d\d$/).waitFor();
  });

  await t.test("tabs turn with the arrows; a title is typed", async () => {
    const tabs = drawer(page).getByRole("tab", { name: "Query" });
    for (let i = 0; i < 60 && !(await isFocused(tabs)); i++) await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("ArrowRight");
    await focused(page, drawer(page).getByRole("tab", { name: "Display" }));
    await tabTo(page, drawer(page).getByLabel("Title", { exact: true }));
    await page.keyboard.type("By keyboard");
    await frame(page, "By keyboard").waitFor();
  });

  await t.test("Escape closes the drawer; the widget is lifted, moved and dropped; Ctrl+S saves", async () => {
    await page.keyboard.press("Escape");
    await drawer(page).waitFor({ state: "detached" });
    for (let i = 0; i < 60 && !(await isFocused(slot(page, "By keyboard"))); i++) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.getByText("By keyboard is dropped").waitFor({ state: "attached" });
    await page.keyboard.press("Control+s");
    await toolbar(page).waitFor({ state: "detached" });
    const { widgets } = await getDashboard(url, id);
    assert.equal(widgets.length, 1);
    assert.equal(widgets[0].display_config.title, "By keyboard");
    assert.equal(widgets[0].display_config.position.x, 3);
  });
});

function isFocused(locator) {
  return locator.evaluateAll((elements) => elements.length === 1 && elements[0] === document.activeElement);
}

async function focused(page, locator) {
  await until("the focus", () => isFocused(locator));
}

/** Presses Tab until the control has the focus, as one does who has no mouse. */
async function tabTo(page, locator) {
  await locator.waitFor();
  for (let i = 0; i < 80; i++) {
    if (await isFocused(locator)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`Tab does not come to ${locator}`);
}
