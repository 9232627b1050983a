import assert from "node:assert/strict";
import { test } from "node:test";
import { freshness } from "./freshness";
import type { SeriesInfo, ServerState } from "./protocol";
import { WidgetStream } from "./store";

const NOW = 100_000;

function stream(state: ServerState, series: readonly SeriesInfo[], end: number): WidgetStream {
  const one = new WidgetStream("w");
  one.bind({ index: 0, widget_id: "w", metric_key: "m:max:5s", refresh_ms: 1000 });
  const values = series.map(() => 1);
  one.snapshot({ type: "snapshot", index: 0, state, reset: true, series_version: "a", series, covered_since: 0, points: [[end, null, values]] }, end);
  return one;
}

test("what a widget may claim", () => {
  const one = [{ tags: {} }];
  const cases: readonly (readonly [name: string, stream: WidgetStream, flowing: boolean, wanted: string])[] = [
    ["before its snapshot", new WidgetStream("w"), true, "skeleton"],
    ["a value just now", stream("live", one, NOW - 500), true, "live"],
    ["windows in which nothing has ever matched", stream("waiting", [], NOW - 500), true, "waiting"],
    ["a widget beyond a budget", stream("limited", [], NOW - 500), true, "limited"],
    ["such windows, and Redis is away", stream("degraded", [], NOW - 500), true, "degraded"],
    ["the gateway says stale", stream("stale", one, NOW - 500), true, "stale"],
    ["the gateway has stalled", stream("live", one, NOW - 3001), true, "stale"],
    ["the same while paused or cut off: the page says it once", stream("live", one, NOW - 3001), false, "live"],
    ["the gateway says late", stream("late", one, NOW - 500), true, "late"],
  ];
  for (const [name, what, flowing, wanted] of cases) assert.equal(freshness(what, NOW, NOW, flowing), wanted, name);
});

test("an update without a series is no value", () => {
  const one = stream("waiting", [], NOW - 1000);
  one.update([0, NOW, null, "a", []], NOW);
  assert.equal(freshness(one, NOW, NOW, true), "waiting");
});
