// A page that is open while its server gets another one loads itself anew: once,
// also where a proxy goes on serving the old one, and not over somebody's changes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toolbar } from "./editor.mjs";
import { frame, later, makeDashboard, metricName, pillSays, produce, startFront, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

const OLD = "of another day";

const ownBuild = (page) => page.evaluate(() => document.querySelector('meta[name="pulseboard-build"]').content);

test("a page of an older build", { timeout: 240_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("build");
  const { path } = await makeDashboard(t, url, "By build", [widget("stat", metric, { title: "Value" })]);
  produce(t, url, (n) => [{ metric_name: metric, value: n }]);
  const browser = await useBrowser(t);
  const frontOf = async (sub, olderPages) => {
    const { host } = new URL(url);
    const front = await startFront(url, host);
    later(sub, () => front.stop());
    front.olderPages = olderPages;
    return front;
  };

  for (const { name, at } of [
    { name: "a board", at: path },
    { name: "a wall display", at: `${path}?kiosk=1` },
    { name: "an editor without changes", at: `${path}/edit` },
    { name: "the status page", at: "/status" },
  ]) {
    await t.test(`${name} loads itself anew, once`, async (sub) => {
      const front = await frontOf(sub, 1);
      const page = await visit(sub, browser, front.url + at);
      await until("it is loaded twice", () => front.pages === 2);
      await pillSays(page, "Live");
      assert.notEqual(await ownBuild(page), OLD);
      const { pathname, search } = new URL(page.url());
      assert.equal(pathname + search, at);
      assert.equal(front.pages, 2);
    });
  }

  await t.test("a proxy serves the old page for ever: one try, and values all the same", async (sub) => {
    const front = await frontOf(sub, Number.POSITIVE_INFINITY);
    const page = await visit(sub, browser, front.url + path);
    await until("it is loaded twice", () => front.pages === 2);
    await pillSays(page, "Live");
    const first = await frame(page, "Value").textContent();
    await until("values go on", async () => (await frame(page, "Value").textContent()) !== first);
    assert.equal(await ownBuild(page), OLD);
    assert.equal(front.pages, 2);
  });

  await t.test("changes that are not saved: it says so, and the draft is there after the reload", async (sub) => {
    const front = await frontOf(sub, 0);
    const page = await visit(sub, browser, `${front.url}${path}/edit`, { expected: /WebSocket/ });
    await pillSays(page, "Live");
    await toolbar(page).getByRole("button", { name: "Add widget" }).click();
    await page.getByRole("button", { name: "Gauge" }).click();
    await page.getByText("Unsaved").waitFor();

    front.build = "of tomorrow!";
    front.cut();
    await page.getByText("The server has a newer version of this page.").waitFor();
    await pillSays(page, "Live");
    assert.equal(front.pages, 1);
    await page.getByRole("button", { name: "Reload" }).click();
    await until("it is loaded again", () => front.pages === 2);
    await page.getByText(/Draft of .* restored/).waitFor();
    await page.getByText("Unsaved").waitFor();
    // This server's page is not that of tomorrow, however often it says so.
    await pillSays(page, "Live");
    assert.equal(front.pages, 2);
    assert.equal(await page.getByText("The server has a newer version of this page.").count(), 0);
  });
});
