// When no new results come, the page does not go on showing the last ones as
// if they were: neither when the events stop, nor when the pipeline does.
import { test } from "node:test";
import { assertWhole, frame, later, makeDashboard, metricName, ownServer, picture, pillSays, pipelineOf, produce, useBrowser, visit, widget } from "./harness.mjs";

test("the source stops, and comes back", { timeout: 150_000 }, async (t) => {
  // Of its own: the others' pages would go stale too.
  const { url, redis, pid } = await ownServer(t, ["--no-demo"]);
  const metric = metricName("stops");
  const number = widget("stat", metric, { title: "Number" });
  const line = widget("line", metric, { title: "Line" });
  const { path } = await makeDashboard(t, url, "The source stops", [number, line]);
  const browser = await useBrowser(t);
  const page = await visit(t, browser, url + path);
  const first = produce(t, url, () => [{ metric_name: metric, value: 107 }]);
  await frame(page, "Number").getByText("107", { exact: true }).first().waitFor();
  await first.stop();

  await t.test("no events: after the window there is no value, and the page is live all the same", async () => {
    await frame(page, "Number").getByText("–", { exact: true }).waitFor();
    await pillSays(page, "Live");
  });

  const producer = produce(t, url, () => [{ metric_name: metric, value: 108 }]);
  await frame(page, "Number").getByText("108", { exact: true }).first().waitFor();

  const pipeline = pipelineOf(pid);
  process.kill(pipeline, "SIGSTOP");
  later(t, () => process.kill(pipeline, "SIGCONT"));
  await t.test("no results: each widget says stale and how old, the pill from when the values are", async () => {
    for (const title of ["Number", "Line"]) await frame(page, title).getByText(/^Stale · \d+ s$/).waitFor();
    await page.getByText(/^Data as of \d\d:\d\d:\d\d$/).first().waitFor();
    await picture(page, "stale");
  });

  process.kill(pipeline, "SIGCONT");
  await t.test("results again: live, and every window of the outage is there", async () => {
    for (const title of ["Number", "Line"]) await frame(page, title).getByText(/^(Stale|Late)/).waitFor({ state: "detached" });
    await pillSays(page, "Live");
    await producer.stop();
    await assertWhole(page, redis, line.widget_id, `${metric}:max:5s`);
  });
});
