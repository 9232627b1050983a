// The editor as its users handle it, for more than one scenario.
import { frame, pillSays } from "./harness.mjs";

export const KINDS = { line: "Line chart", gauge: "Gauge", stat: "Number", table: "Table", heatmap: "Heat map" };

export function drawer(page) {
  return page.getByRole("complementary");
}

export function toolbar(page) {
  return page.getByRole("toolbar", { name: "Editing" });
}

/** A new dashboard, by the list's button; it is empty and open. */
export async function newDashboard(page, title) {
  await page.getByRole("button", { name: "New dashboard" }).first().click();
  const dialog = page.getByRole("dialog", { name: "New dashboard" });
  await dialog.getByLabel("Title").fill(title);
  await dialog.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { name: "This dashboard is empty" }).waitFor();
}

/** Picks a metric from what arrives: typed in part, taken from the list. */
export async function pickMetric(page, metric) {
  const field = drawer(page).getByRole("combobox", { name: "Metric" });
  await field.fill(metric);
  await drawer(page).getByRole("option").filter({ hasText: metric }).first().click();
}

export async function tab(page, name) {
  await drawer(page).getByRole("tab", { name }).click();
}

export async function setTitle(page, title) {
  await tab(page, "Display");
  await drawer(page).getByLabel("Title", { exact: true }).fill(title);
}

/** One more widget by the toolbar; the drawer is open on it then. */
export async function addWidget(page, chart) {
  await toolbar(page).getByRole("button", { name: "Add widget" }).click();
  await page.getByRole("button", { name: KINDS[chart], exact: true }).click();
}

export async function groupBy(page, tag) {
  await tab(page, "Query");
  const field = drawer(page).getByRole("combobox", { name: "A line for each value of" });
  await field.fill(tag);
  await field.press("Enter");
}

export async function save(page) {
  await toolbar(page).getByRole("button", { name: "Save" }).click();
  await toolbar(page).waitFor({ state: "detached" });
}

/** The place of a widget in the editor's grid, by what it says of itself. */
export function slot(page, title) {
  return page.getByRole("group", { name: new RegExp(`^${title}, column`) });
}

export async function openEditor(page, url, path) {
  await page.goto(`${url}${path}/edit`);
  await toolbar(page).waitFor();
  await pillSays(page, "Live");
}

export { frame };
