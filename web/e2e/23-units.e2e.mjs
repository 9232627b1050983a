// What senders say of a metric stands in the editor: the help below its name, and its unit
// in the widget, as what is computed has it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawer, newDashboard, pickMetric, tab, toolbar } from "./editor.mjs";
import { later, metricName, picture, produce, removeDashboard, until, useBrowser, useServer, visit } from "./harness.mjs";

test("the editor proposes what senders say", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const [bytes, torn, none] = ["units.bytes", "units.torn", "units.none"].map(metricName);
  produce(t, url, (n) => [
    { metric_name: bytes, value: 1000 * n, kind: "cumulative", tags: { host: "a" }, unit: "By", help: "What the network card has received since it was started." },
    { metric_name: torn, value: n, unit: ["s", "ms"][n % 2] },
    { metric_name: none, value: n },
  ]);
  const known = async (name) => (await (await fetch(`${url}/metrics/catalog?query=${name}`)).json()).metrics[0];
  await until("the units in the catalog", async () => (await known(bytes))?.units.length === 1 && (await known(torn))?.units.length === 2 && (await known(none)) !== undefined);
  assert.deepEqual((await known(torn)).units, ["ms", "s"]);

  const browser = await useBrowser(t);
  const page = await visit(t, browser, url);
  await newDashboard(page, "Units");
  later(t, () => removeDashboard(url, new URL(page.url()).pathname.split("/")[2]));
  await page.getByRole("button", { name: "Add a widget" }).click();
  await toolbar(page).waitFor();
  const unit = async () => {
    await tab(page, "Display");
    const text = await drawer(page).getByLabel("Unit", { exact: true }).inputValue();
    await tab(page, "Query");
    return text;
  };
  const unitIs = (want, why) => until(`the unit ${why} is "${want}"`, async () => (await unit()) === want);
  const compute = async (name) => {
    await drawer(page).getByText("What the network card has received since it was started.").waitFor(); // The tab has read the metrics anew.
    await drawer(page).getByLabel("Aggregation", { exact: true }).selectOption(name);
  };

  await pickMetric(page, bytes);
  await drawer(page).getByText("What the network card has received since it was started.").waitFor();
  assert.equal(await drawer(page).getByLabel("Aggregation", { exact: true }).inputValue(), "rate");
  await picture(page, "units-editor");
  await unitIs("B/s", "of a rate");
  await compute("increase");
  await unitIs("B", "of an increase");
  await compute("count");
  await unitIs("", "of a count");
  await compute("rate");

  // Another metric brings its own. Where senders disagree there is none, and both are shown.
  await pickMetric(page, torn);
  await drawer(page).getByText("senders name several units: ms, s").waitFor();
  await unitIs("", "of senders that disagree");
  await pickMetric(page, bytes);
  await unitIs("B/s", "of the first again");

  // What somebody has written stays.
  await tab(page, "Display");
  await drawer(page).getByLabel("Unit", { exact: true }).fill("octets");
  await tab(page, "Query");
  await compute("increase");
  await pickMetric(page, none);
  await unitIs("octets", "as written");
});
