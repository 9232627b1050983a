// The visitor's clock may be wrong and its zone another: freshness goes by the
// server's clock, and times are those of the visitor's zone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { frame, makeDashboard, metricName, newestEnd, pill, pillSays, produce, useBrowser, useServer, visit, widget } from "./harness.mjs";

const CASES = [
  { name: "a clock an hour ahead", skewMs: 3_600_000, zone: "Europe/Berlin" },
  { name: "a clock an hour behind", skewMs: -3_600_000, zone: "Asia/Kolkata" },
  { name: "a clock a day ahead, west of here", skewMs: 86_400_000, zone: "America/Los_Angeles" },
];

test("skewed clocks and other zones", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("clock");
  const line = widget("line", metric, { title: "Line" });
  const { path } = await makeDashboard(t, url, "Clocks", [line, widget("stat", metric, { title: "Number" })]);
  produce(t, url, (n) => [{ metric_name: metric, value: n }]);
  const browser = await useBrowser(t);
  for (const { name, skewMs, zone } of CASES) {
    await t.test(`${name}, ${zone}: live, not stale, and times of that zone`, async (sub) => {
      const page = await visit(sub, browser, "about:blank", { timezoneId: zone });
      await page.addInitScript(skewClock, skewMs);
      await page.goto(url + path);
      assert.ok(Math.abs((await page.evaluate(() => Date.now())) - Date.now() - skewMs) < 60_000, "the page's clock is skewed");
      await pillSays(page, "Live");
      await page.getByRole("banner").getByText(/^Live · \d\.\d s behind$/).waitFor();
      await frame(page, "Line").getByText(/Line chart of 1 series/).waitFor({ state: "attached" });
      await frame(page, "Number").getByText(/Stale|Late/).waitFor({ state: "detached" });

      await page.getByRole("button", { name: "Pause", exact: true }).click();
      await pillSays(page, /^Paused at/);
      const end = await newestEnd(page, line.widget_id);
      const there = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(end);
      assert.equal(await pill(page).textContent(), `Paused at ${there}`);
    });
  }
});

function skewClock(skewMs) {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...args) {
      if (args.length === 0) super(Real.now() + skewMs);
      else super(...args);
    }

    static now() {
      return Real.now() + skewMs;
    }
  };
}
