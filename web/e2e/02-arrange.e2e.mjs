// Widgets are moved and resized with the mouse, and with the keyboard alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openEditor, save, slot, toolbar } from "./editor.mjs";
import { frame, getDashboard, makeDashboard, metricName, produce, useBrowser, useServer, visit, widget } from "./harness.mjs";

test("move and resize by mouse, then by keyboard", { timeout: 120_000 }, async (t) => {
  const { url } = await useServer(t);
  const metric = metricName("arrange");
  produce(t, url, (n) => [{ metric_name: metric, value: n }]);
  const { path, id } = await makeDashboard(t, url, "Arrange", [
    widget("stat", metric, { title: "One", position: { x: 0, y: 0, w: 4, h: 3 } }),
    widget("stat", metric, { title: "Two", position: { x: 4, y: 0, w: 4, h: 3 } }),
    widget("line", metric, { title: "Three", position: { x: 0, y: 3, w: 4, h: 3 } }),
  ]);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, "about:blank");
  await openEditor(page, url, path);
  const says = (name) => page.getByRole("group", { name, exact: true }).waitFor();
  const places = async () => Object.fromEntries((await getDashboard(url, id)).widgets.map((w) => [w.display_config.title, w.display_config.position]));

  await t.test("mouse: a drag by its head moves a widget, and others make room", async () => {
    const cell = (await slot(page, "One").boundingBox()).width / 4;
    await drag(page, await frame(page, "One").getByRole("heading").boundingBox(), 4 * cell + 20, 0);
    await says("One, column 5, row 1, 4 wide, 3 high");
    await says("Two, column 5, row 4, 4 wide, 3 high");
  });

  await t.test("mouse: a drag by its corner resizes it", async () => {
    const box = await slot(page, "Three").boundingBox();
    const corner = { x: box.x + box.width - 8, y: box.y + box.height - 8, width: 0, height: 0 };
    await drag(page, corner, -box.width / 4, box.height / 3);
    await says("Three, column 1, row 1, 3 wide, 4 high");
  });

  await t.test("keyboard: Enter lifts, arrows move, Shift and arrows resize, Enter drops, each said aloud", async () => {
    await slot(page, "Three").focus();
    await page.keyboard.press("Enter");
    await page.getByText(/^Three is lifted\. Arrow keys move it/).waitFor({ state: "attached" });
    for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowRight");
    await page.getByText("column 9, row 1, 3 wide, 4 high", { exact: true }).waitFor({ state: "attached" });
    await page.keyboard.press("Shift+ArrowRight");
    await page.keyboard.press("Shift+ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByText("Three is dropped", { exact: true }).waitFor({ state: "attached" });
    await says("Three, column 9, row 1, 4 wide, 5 high");
  });

  await t.test("keyboard: Escape puts it back, undo and redo go through the steps", async () => {
    await slot(page, "Three").focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Escape");
    await says("Three, column 9, row 1, 4 wide, 5 high");
    await page.keyboard.press("Control+z");
    await says("Three, column 1, row 1, 3 wide, 4 high");
    await page.keyboard.press("Control+Shift+z");
    await says("Three, column 9, row 1, 4 wide, 5 high");
  });

  await t.test("what was arranged is what is saved", async () => {
    await toolbar(page).getByText("Unsaved").waitFor();
    await save(page);
    const { One, Three } = await places();
    assert.deepEqual(One, { x: 4, y: 0, w: 4, h: 3 });
    assert.deepEqual(Three, { x: 8, y: 0, w: 4, h: 5 });
  });
});

async function drag(page, box, dx, dy) {
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + dx / 2, y + dy / 2, { steps: 5 });
  await page.mouse.move(x + dx, y + dy, { steps: 5 });
  await page.mouse.up();
}
