// What a newcomer does in the first two minutes: from an empty list to a
// dashboard with five types of widgets on this machine's own figures.
// PULSEBOARD_TOUR=1 (make tour) writes docs/tour.md and its pictures from it.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { drawer, KINDS, tab, toolbar } from "./editor.mjs";
import { frame, listDashboards, ownServer, pillSays, removeDashboard, settled, until, useBrowser, visit } from "./harness.mjs";

const DOCS = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs");
const TWO_MINUTES = 120_000;

const WIDGETS = [
  { chart: "line", metric: "machine.cpu.percent", by: "core", unit: "%" },
  { chart: "gauge", metric: "machine.memory.used_percent", unit: "%" },
  { chart: "stat", metric: "machine.load" },
  { chart: "table", metric: "machine.memory.bytes", by: "kind", unit: "B" },
  { chart: "heatmap", metric: "pulseboard.rate", by: "stage", unit: "/s" },
];

test("the tour: five types of widgets in two minutes", { timeout: 180_000 }, async (t) => {
  const { url } = await ownServer(t, []);
  // The examples would show the way; the list of a newcomer is empty.
  for (const { dashboard_id: id } of await listDashboards(url)) await removeDashboard(url, id);
  await until("the machine's figures in the catalog", async () => {
    const { metrics } = await (await fetch(`${url}/metrics/catalog?limit=200`)).json();
    return WIDGETS.every(({ metric }) => metrics.some((one) => one.metric_name === metric));
  });
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url, { colorScheme: "light" });
  const tour = new Tour(page, await visit(t, browser, "about:blank"));
  const begin = performance.now();

  await page.getByRole("heading", { name: "No dashboards yet" }).waitFor();
  await tour.picture("list", "The list is empty, and says how to send an event.");
  await tour.click(page.getByRole("banner").or(page.getByRole("main")).getByRole("button", { name: "New dashboard" }).first(), "New dashboard");
  await tour.type(page.getByRole("dialog").getByLabel("Title"), "Title", "My machine");
  await tour.click(page.getByRole("dialog").getByRole("button", { name: "Create" }), "Create");
  await tour.click(page.getByRole("button", { name: "Add a widget" }), "Add a widget");

  for (const [i, { chart, metric, by, unit }] of WIDGETS.entries()) {
    if (i > 0) {
      await tour.click(toolbar(page).getByRole("button", { name: "Add widget" }), "Add widget");
      await tour.click(page.getByRole("button", { name: KINDS[chart], exact: true }), KINDS[chart]);
    }
    await tour.type(drawer(page).getByRole("combobox", { name: "Metric" }), "Metric", metric.split(".").slice(1).join("."));
    if (i === 0) {
      await drawer(page).getByRole("option").first().waitFor();
      await tour.picture("metric", "What arrives is offered, with its series and its newest mean.");
    }
    await tour.click(drawer(page).getByRole("option").filter({ hasText: metric }).first(), metric);
    if (by !== undefined) {
      await tour.type(drawer(page).getByRole("combobox", { name: "A line for each value of" }), "A line for each value of", by);
      await tour.click(drawer(page).getByRole("option").filter({ hasText: by }).first(), by);
    }
    if (unit !== undefined) {
      await tour.click(drawer(page).getByRole("tab", { name: "Display" }), "Display");
      await tour.type(drawer(page).getByLabel("Unit"), "Unit", unit);
    }
    if (i === 0) {
      await frame(page, metric).getByText(/Newest: /).waitFor({ state: "attached" });
      await tour.picture("preview", "The widget in the grid is the preview: it draws this machine's values, and nothing is saved yet.");
    }
    if (i === 1) {
      await tab(page, "Thresholds");
      tour.steps.push(["click", "Click **Thresholds**."]);
      await tour.click(drawer(page).getByRole("button", { name: "Add a threshold" }), "Add a threshold");
      await tour.type(drawer(page).getByLabel("From"), "From", "80");
    }
  }
  await tour.click(toolbar(page).getByRole("button", { name: "Save" }), "Save");
  await toolbar(page).waitFor({ state: "detached" });
  await pillSays(page, "Live");
  await frame(page, "machine.memory.used_percent").getByRole("meter").waitFor();
  await page.getByRole("heading", { name: "My machine" }).waitFor();
  for (const { chart, metric } of WIDGETS) await frame(page, metric).getByText(/\d/).first().waitFor({ state: chart === "heatmap" ? "attached" : "visible" });
  const took = performance.now() - begin;
  await tour.picture("dashboard", "Five types of widgets, live.");

  t.diagnostic(`${tour.count} steps, ${Math.round(took / 1000)} s as a script`);
  assert.ok(took < TWO_MINUTES, `${took} ms`);
  const [made] = await listDashboards(url);
  assert.equal(made.widget_count, WIDGETS.length);
  if (process.env.PULSEBOARD_TOUR === "1") tour.write();
});

/** Does what is told, and remembers it in words and pictures. */
class Tour {
  steps = [];
  pictures = [];

  constructor(page, darkroom) {
    this.page = page;
    this.darkroom = darkroom;
  }

  get count() {
    return this.steps.filter(([kind]) => kind !== "picture").length;
  }

  async click(locator, name) {
    await locator.click();
    this.steps.push(["click", `Click **${name}**.`]);
  }

  async type(locator, name, text) {
    await locator.fill(text);
    this.steps.push(["type", `Type \`${text}\` into **${name}**.`]);
  }

  async picture(name, words) {
    // A pointer over a widget would show its tools.
    await this.page.mouse.move(1, 1);
    await settled(this.page);
    const png = await this.page.screenshot();
    this.steps.push(["picture", `![${words}](tour/${name}.webp)\n\n${words}`]);
    if (process.env.PULSEBOARD_TOUR === "1") this.pictures.push([name, await this.#small(png)]);
  }

  /** As WebP, a third of the size; the browser can make it. */
  async #small(png) {
    const text = await this.darkroom.evaluate(async (data) => {
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.width, image.height];
      canvas.getContext("2d").drawImage(image, 0, 0);
      return canvas.toDataURL("image/webp", 0.85);
    }, png.toString("base64"));
    return Buffer.from(text.split(",")[1], "base64");
  }

  write() {
    const folder = join(DOCS, "tour");
    mkdirSync(folder, { recursive: true });
    for (const [name, bytes] of this.pictures) writeFileSync(join(folder, `${name}.webp`), bytes);
    let number = 0;
    const lines = this.steps.map(([kind, text]) => (kind === "picture" ? `\n${text}\n` : `${++number}. ${text}`));
    writeFileSync(
      join(DOCS, "tour.md"),
      `# The first two minutes

From an empty list to a dashboard with five types of widgets on this machine's own figures, in ${this.count} steps.
This page and its pictures are made by a test in a real browser, which finds everything by its visible name alone: \`make tour\`.

Start with \`make run\` and open the address that it prints. The three example dashboards were deleted for this tour.

${lines.join("\n").trim()}

What next: drag widgets by their heads and resize them at their corners, or do it with the keyboard (Enter lifts, arrows move, Shift and arrows resize);
[dashboards as code](dashboards-as-code.md); [what a number means](semantics.md).
`,
    );
  }
}
