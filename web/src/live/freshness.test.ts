import assert from "node:assert/strict";
import { test } from "node:test";
import { freshness, type Flow } from "./freshness";
import type { SeriesInfo, State } from "./protocol";
import { WidgetStream } from "./store";

const NOW = 100_000_000;
/** What is fresh is so by the server's clock; that of arrival is tested below. */
const AFTER = 1e9;

function stream(state: State, series: readonly SeriesInfo[], end: number): WidgetStream {
  const one = new WidgetStream("w");
  one.bind({ index: 0, widget_id: "w", metric_key: "m:max:5s", key_id: "k", refresh_ms: 1000, window_ms: 5000 });
  const values = series.map(() => 1);
  one.snapshot({ type: "snapshot", index: 0, state, reset: true, series_version: "a", series, covered_since: 0, points: [[end, null, values]] }, end);
  return one;
}

test("what a widget may claim", () => {
  const one = [{ tags: {} }];
  const cases: readonly (readonly [name: string, stream: WidgetStream, flow: Flow, wanted: string])[] = [
    ["before its snapshot", new WidgetStream("w"), "flowing", "skeleton"],
    ["a value just now", stream("live", one, NOW - 500), "flowing", "live"],
    ["windows in which nothing has ever matched", stream("waiting", [], NOW - 500), "flowing", "waiting"],
    ["a widget beyond a budget", stream("limited", [], NOW - 500), "flowing", "limited"],
    ["such windows, and Redis is away", stream("degraded", [], NOW - 500), "flowing", "degraded"],
    ["the gateway says stale", stream("stale", one, NOW - 500), "flowing", "stale"],
    ["the gateway has stalled", stream("live", one, NOW - 3001), "flowing", "stale"],
    ["the same while somebody holds it", stream("live", one, NOW - 3001), "paused", "paused"],
    ["paused, but it was stale before", stream("stale", one, NOW - 3001), "paused", "stale"],
    ["cut off a moment ago", stream("live", one, NOW - 500), "lost", "lost"],
    ["cut off, beyond a budget", stream("limited", [], NOW - 500), "lost", "limited"],
    ["ends ahead of a server whose clock was set back", stream("live", one, NOW + 3_600_000), "flowing", "stale"],
    ["the gateway says late", stream("late", one, NOW - 500), "flowing", "late"],
  ];
  for (const [name, what, flow, wanted] of cases) assert.equal(freshness(what, NOW, NOW + AFTER, flow), wanted, name);
});

test("an update without a series is no value", () => {
  const one = stream("waiting", [], NOW - 1000);
  one.update([0, NOW, null, "a", []], NOW);
  assert.equal(freshness(one, NOW, NOW, "flowing"), "waiting");
});

test("what is not known is never live", () => {
  const one = stream("live", [{ tags: {} }], NOW);
  for (const flow of ["flowing", "paused", "lost"] as const) assert.equal(freshness(one, Number.NaN, NOW, flow), "lost", flow);
  const empty = stream("live", [{ tags: {} }], Number.NaN);
  assert.notEqual(freshness(empty, NOW, NOW + AFTER, "flowing"), "live");
});

test("a window that has just come is fresh, however late it is", () => {
  assert.equal(freshness(stream("live", [{ tags: {} }], NOW - 60_000), NOW, NOW - 60_000, "flowing"), "live");
  assert.equal(freshness(stream("late", [{ tags: {} }], NOW - 60_000), NOW, NOW - 60_000, "flowing"), "late");
});
