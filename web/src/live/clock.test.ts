import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerClock } from "./clock";
import { freshness, type Flow } from "./freshness";
import { golden } from "../../testing/golden";
import { DashboardStore } from "./store";

const T = 1763892060000;
const A = "6f1e2d3c-0000-4000-8000-00000000000a";

test("the fastest frame sets the clock, slow ones do not", () => {
  const clock = new ServerClock();
  assert.ok(Number.isNaN(clock.at(0)));
  assert.ok(Number.isNaN(clock.at(5)));
  clock.observe(1_000_000, 500);
  clock.observe(1_001_000, 1_420);
  clock.observe(1_002_000, 3_000);
  assert.equal(clock.at(4_000), 1_000_000 + 4_000 - 420);
  clock.reset();
  assert.ok(Number.isNaN(clock.at(0)));
});

test("an old best frame is forgotten, so that drift does not add up", () => {
  const clock = new ServerClock();
  clock.observe(0, 10);
  for (let i = 1; i <= 120; i++) clock.observe(i * 1000, i * 1000 + 30);
  assert.equal(clock.at(200_000), 199_970);
});

test("freshness follows the server's clock and its word", () => {
  const store = new DashboardStore();
  assert.equal(freshness(store.stream(A), T, 0, "flowing"), "skeleton");
  store.apply(golden("welcome", "welcome"), 0);
  assert.equal(freshness(store.stream(A), T, 0, "flowing"), "skeleton");
  store.apply(golden("snapshot", "snapshot"), 100);
  const at = (ms: number, flow: Flow = "flowing") => freshness(store.stream(A), T + ms, 100 + ms, flow);
  assert.equal(at(200), "live");
  // 2 × refresh + 1 s without a newer end.
  assert.equal(at(3000), "live");
  assert.equal(at(3001), "stale");
  assert.equal(at(200, "lost"), "lost");
  assert.equal(at(60_000, "paused"), "paused");
  store.apply({ type: "state", index: 0, state: "late" }, 100);
  assert.equal(at(200), "late");
  store.apply({ type: "state", index: 0, state: "degraded" }, 100);
  assert.equal(at(200), "degraded");
  store.apply(golden("snapshot-waiting", "snapshot"), 100);
  assert.equal(freshness(store.stream("6f1e2d3c-0000-4000-8000-00000000000b"), T, 0, "flowing"), "waiting");
});

test("a stale snapshot does not make its points fresh", () => {
  const store = new DashboardStore();
  store.apply(golden("welcome", "welcome"), 0);
  store.apply({ ...golden("snapshot", "snapshot"), state: "stale" }, 100);
  assert.equal(freshness(store.stream(A), T + 90_000, 200, "flowing"), "stale");
  assert.ok(Number.isNaN(store.stream(A).arrivedAt));
});
