// Two people edit one dashboard: who saves second sees what the first did, and
// chooses; nothing of either is lost silently.
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawer, openEditor, save, toolbar } from "./editor.mjs";
import { frame, getDashboard, later, listDashboards, makeDashboard, metricName, produce, removeDashboard, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

test("two editors", { timeout: 180_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("editors");
  produce(t, url, (n) => [{ metric_name: metric, value: n }]);
  const browser = await useBrowser(t);

  const both = async (sub, title) => {
    const { path, id } = await makeDashboard(sub, url, title, [widget("stat", metric, { title: "Shared" })]);
    const expected = /412/; // The browser tells of every answer that is not 2xx.
    const first = await visit(sub, browser, "about:blank", { expected });
    const second = await visit(sub, browser, "about:blank", { expected });
    for (const page of [first, second]) await openEditor(page, url, path);
    await rename(first, "First was here");
    await retitle(second, `${title}, by the second`);
    await save(first);
    await second.getByRole("alert").filter({ hasText: "Somebody else has saved this dashboard meanwhile" }).waitFor();
    await toolbar(second).getByRole("button", { name: "Save" }).click();
    const dialog = second.getByRole("dialog", { name: "Somebody else saved this dashboard" });
    await dialog.getByRole("listitem").first().waitFor();
    return { id, first, second, dialog };
  };

  await t.test("reload theirs: the second sees it, and undo brings its own back", async (sub) => {
    const { id, second, dialog } = await both(sub, "Reload");
    await dialog.getByRole("button", { name: /^Reload theirs/ }).click();
    await frame(second, "First was here").waitFor();
    await toolbar(second).getByRole("button", { name: "Undo" }).click();
    await toolbar(second).getByText("Unsaved").waitFor();
    const stored = await getDashboard(url, id);
    assert.equal(stored.title, "Reload", "nothing of the second is saved");
    assert.equal(stored.widgets[0].display_config.title, "First was here");
  });

  await t.test("save as a copy: both are there", async (sub) => {
    const { id, second, dialog } = await both(sub, "Copy");
    await dialog.getByRole("button", { name: "Save mine as a copy" }).click();
    await second.getByRole("heading", { name: /^Copy, by the second \(copy\)/ }).waitFor();
    const copy = await until("the copy in the list", async () => (await listDashboards(url)).find((one) => one.title.startsWith("Copy, by the second")));
    later(sub, () => removeDashboard(url, copy.dashboard_id));
    assert.notEqual(copy.dashboard_id, id);
    assert.equal((await getDashboard(url, id)).widgets[0].display_config.title, "First was here");
  });

  await t.test("overwrite: the second's is stored, the first's stays in the history", async (sub) => {
    const { id, second, dialog } = await both(sub, "Overwrite");
    await dialog.getByRole("button", { name: "Overwrite theirs" }).click();
    await toolbar(second).waitFor({ state: "detached" });
    const stored = await getDashboard(url, id);
    assert.equal(stored.title, "Overwrite, by the second");
    assert.equal(stored.version, 3);
    const old = await (await fetch(`${url}/dashboards/${id}/versions/2`)).json();
    assert.equal((old.widgets ?? old.dashboard.widgets)[0].display_config.title, "First was here");
  });
});

async function rename(page, title) {
  await frame(page, "Shared").getByRole("button", { name: "Edit Shared" }).click();
  await drawer(page).getByRole("tab", { name: "Display" }).click();
  await drawer(page).getByLabel("Title", { exact: true }).fill(title);
}

async function retitle(page, title) {
  await toolbar(page).getByRole("button", { name: "Dashboard" }).click();
  await drawer(page).getByLabel("Title", { exact: true }).fill(title);
}
