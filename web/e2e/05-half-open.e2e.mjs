// A link that is dead while both ends believe that it is open: nothing closes
// it, only the silence tells.
import { test } from "node:test";
import { assertWhole, later, makeDashboard, metricName, newestEnd, pillSays, points, produce, startFront, startGateway, until, useBrowser, useServer, visit, widget } from "./harness.mjs";

test("a silent link is noticed, and left for another one", { timeout: 120_000 }, async (t) => {
  const { url, redis } = await useServer(t);
  const metric = metricName("silent");
  const watched = widget("line", metric, { title: "Watched" });
  const { path } = await makeDashboard(t, url, "Half-open link", [watched]);
  produce(t, url, (n) => [{ metric_name: metric, value: n }]);
  const gateway = await startGateway(redis, ["--heartbeat", "1s"]);
  later(t, () => gateway.stop());
  const front = await startFront(url, gateway.address);
  later(t, () => front.stop());
  const browser = await useBrowser(t);
  const page = await visit(t, browser, front.url + path, { expected: /WebSocket/ });
  await pillSays(page, "Live");
  await until("points on the page", async () => (await points(page, watched.widget_id)).length > 3);

  const before = await newestEnd(page, watched.widget_id);
  front.closed = true; // Else it might be back before anybody sees that it was away.
  front.silence();
  // 2.5 heartbeats of 1 s, told by the gateway in its welcome, and not the 12.5 s of the usual one.
  await pillSays(page, "Connection lost, reconnecting");
  front.closed = false;
  await until("a newer point over a new link", async () => (await newestEnd(page, watched.widget_id)) > before);
  await pillSays(page, "Live");
  await assertWhole(page, redis, watched.widget_id, `${metric}:max:5s`);
});
