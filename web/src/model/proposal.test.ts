import assert from "node:assert/strict";
import { test } from "node:test";
import type { Metric } from "../api/types";
import { proposed } from "./proposal";

const metric: Metric = {
  metric_name: "m",
  series: 1,
  overflow: false,
  tags: [],
  more_tags: 0,
  kinds: [],
  arrival_seconds: 0,
  last_value: null,
  last_event: "2026-11-30T00:00:00Z",
  events_last_minute: 1,
  stale: false,
};

test("a new widget shows what its metric is", () => {
  for (const [given, want] of [
    [{ kinds: ["cumulative"], arrival_seconds: 6 }, { aggregation: "rate", delay_seconds: 6 }],
    [{ kinds: ["gauge"], arrival_seconds: 1 }, { aggregation: "last" }],
    [{ kinds: ["gauge"], series: 3 }, { aggregation: "last_avg" }],
    [{ kinds: ["histogram"] }, { aggregation: "p95" }],
    [{ kinds: ["event"], arrival_seconds: 2 }, { delay_seconds: 2 }],
    [{ kinds: ["cumulative", "gauge"] }, {}],
    [{}, {}],
  ] as const) {
    assert.deepEqual(proposed({ ...metric, ...given, kinds: [...("kinds" in given ? given.kinds : [])] }), want);
  }
});
