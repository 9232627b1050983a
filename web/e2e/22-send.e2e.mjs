// Send your data: the lines of the page work as they are copied, and what they send, and
// what is refused, appears below.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { promisify } from "node:util";
import { metricName, NARROW, ownServer, picture, THEMES, until, useBrowser, visit } from "./harness.mjs";

const run = promisify(execFile);

test("send your data", { timeout: 120_000 }, async (t) => {
  const { url } = await ownServer(t, ["--no-demo", "--statsd", "127.0.0.1:0"]);
  const browser = await useBrowser(t);
  const lines = (page, name) => page.getByLabel(`Lines for ${name}`, { exact: true });
  const row = (page, list, text) => page.getByRole("region", { name: list }).getByRole("row").filter({ hasText: text }).first();

  await t.test("from an empty list to an event that was sent with a copied line", async (sub) => {
    const page = await visit(sub, browser, url, { permissions: ["clipboard-read", "clipboard-write"] });
    await page.getByRole("link", { name: "Send data" }).click();
    await page.getByRole("heading", { name: "Send your data" }).waitFor();
    await page.getByText("Nothing has arrived yet.").waitFor();
    await page.getByText("Nothing was refused.").waitFor();
    await page.getByRole("button", { name: "Copy the lines for curl" }).click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, await lines(page, "curl").textContent());
    assert.doesNotMatch(copied, /TOKEN/);
    const { stdout } = await run("bash", ["-c", copied]);
    assert.equal(JSON.parse(stdout).accepted, 1);
    await row(page, "Arrived last", "hello.world").filter({ hasText: "who=me" }).waitFor();
    assert.equal(await page.getByRole("region", { name: "Refused last" }).getByRole("row").count(), 0);
  });

  await t.test("StatsD is shown with its own address, and what it refuses", async (sub) => {
    const page = await visit(sub, browser, `${url}/send`);
    const summary = page.getByText("StatsD, DogStatsD");
    await summary.focus();
    await page.keyboard.press("Enter"); // It opens by keyboard.
    const [, host, port] = /\/dev\/udp\/([^/]+)\/(\d+)/.exec(await lines(page, "StatsD, DogStatsD").textContent());
    const socket = createSocket("udp4");
    const name = metricName("udp");
    await new Promise((resolve) => socket.send(`${name}:1|c|#a:b\n${name}:x|c`, Number(port), host, resolve));
    socket.close();
    await row(page, "Arrived last", name).filter({ hasText: "1 (delta)" }).waitFor();
    await row(page, "Refused last", "the value must be a decimal number").filter({ hasText: "statsd" }).waitFor();
  });

  await t.test("the same refusal is one row that is counted", async (sub) => {
    const page = await visit(sub, browser, `${url}/send`);
    const refused = row(page, "Refused last", "value_missing");
    let sent = 0;
    await until("it is seen twice or more", async () => {
      await fetch(`${url}/ingest`, { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"metric_name":"m"}' });
      sent++;
      return (await refused.count()) > 0 && /(\d+) times/.test(await refused.textContent());
    });
    assert.ok(sent >= 2);
    assert.equal(await page.getByRole("region", { name: "Refused last" }).getByRole("row").filter({ hasText: "value_missing" }).count(), 1);
  });

  for (const theme of THEMES) {
    await t.test(`it looks right, ${theme}`, async (sub) => {
      const page = await visit(sub, browser, `${url}/send`, { colorScheme: theme });
      await row(page, "Arrived last", "hello.world").waitFor();
      await page.getByRole("region", { name: "Refused last" }).scrollIntoViewIfNeeded();
      await picture(page, `send-seen-${theme}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
      await picture(page, `send-own-${theme}`);
      await page.setViewportSize(NARROW);
      await picture(page, `send-own-${theme}-narrow`);
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
    });
  }
});
