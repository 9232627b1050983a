// A page that is open while its server gets another one loads itself anew: once,
// also where a proxy goes on serving the old one, and not over somebody's changes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toolbar } from "./editor.mjs";
import { frame, makeDashboard, metricName, pillSays, produce, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

const META = /(<meta name="pulseboard-build" content=")([^"]*)(">)/;

/** Serves the page as if it were of another build, as often as old says; counts how often it is asked for. */
async function age(page, old) {
  const seen = { loads: 0 };
  await page.route(
    (url) => url.pathname.startsWith("/d/") || url.pathname === "/status",
    async (route) => {
      seen.loads++;
      const response = await route.fetch();
      const body = await response.text();
      assert.match(body, META);
      await route.fulfill({ response, body: seen.loads > old ? body : body.replace(META, "$1of another day$3") });
    },
  );
  return seen;
}

const ownBuild = (page) => page.evaluate(() => document.querySelector('meta[name="pulseboard-build"]').content);

test("a page of an older build", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("build");
  const { path } = await makeDashboard(t, url, "By build", [widget("stat", metric, { title: "Value" })]);
  produce(t, url, (n) => [{ metric_name: metric, value: n }]);
  const browser = await useBrowser(t);

  for (const { name, at } of [
    { name: "a board", at: path },
    { name: "a wall display", at: `${path}?kiosk=1` },
    { name: "an editor without changes", at: `${path}/edit` },
    { name: "the status page", at: "/status" },
  ]) {
    await t.test(`${name} loads itself anew, once`, async (sub) => {
      const page = await visit(sub, browser, "about:blank");
      const seen = await age(page, 1);
      await page.goto(url + at);
      await until("it is loaded twice", () => seen.loads === 2);
      await pillSays(page, "Live");
      assert.notEqual(await ownBuild(page), "of another day");
      assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, at);
      assert.equal(seen.loads, 2);
    });
  }

  await t.test("a proxy serves the old page for ever: one try, and values all the same", async (sub) => {
    const page = await visit(sub, browser, "about:blank");
    const seen = await age(page, Number.POSITIVE_INFINITY);
    await page.goto(url + path);
    await until("it is loaded twice", () => seen.loads === 2);
    await pillSays(page, "Live");
    const first = await frame(page, "Value").textContent();
    await until("values go on", async () => (await frame(page, "Value").textContent()) !== first);
    assert.equal(await ownBuild(page), "of another day");
    assert.equal(seen.loads, 2);
  });

  await t.test("changes that are not saved: it says so, and the draft is there after the reload", async (sub) => {
    const page = await visit(sub, browser, "about:blank", { expected: /WebSocket/ });
    const links = [];
    let newer = false;
    await page.routeWebSocket(/\/stream\//, (link) => {
      const server = link.connectToServer();
      server.onMessage((text) => link.send(newer ? text.replace(/"build":"[^"]*"/, '"build":"of tomorrow"') : text));
      links.push(link);
    });
    const seen = await age(page, 0);
    await page.goto(`${url}${path}/edit`);
    await pillSays(page, "Live");
    await toolbar(page).getByRole("button", { name: "Add widget" }).click();
    await page.getByRole("button", { name: "Gauge" }).click();
    await page.getByText("Unsaved").waitFor();

    newer = true;
    for (const link of links.splice(0)) await link.close({ code: 1012, reason: "restart" });
    await page.getByText("The server has a newer version of this page.").waitFor();
    await pillSays(page, "Live");
    assert.equal(seen.loads, 1);
    await page.getByRole("button", { name: "Reload" }).click();
    await until("it is loaded again", () => seen.loads === 2);
    await page.getByText(/Draft of .* restored/).waitFor();
    await page.getByText("Unsaved").waitFor();
    // This server's page is not that of tomorrow, however often it says so.
    await pillSays(page, "Live");
    assert.equal(seen.loads, 2);
    assert.equal(await page.getByText("The server has a newer version of this page.").count(), 0);
  });
});
