import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Metric } from "../api/types";
import { proposed, unitOf } from "./proposal";

const metric: Metric = {
  metric_name: "m",
  series: 1,
  overflow: false,
  tags: [],
  more_tags: 0,
  kinds: [],
  units: [],
  help: [],
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

test("the unit of what a widget computes is that of Go", () => {
  const cases = JSON.parse(readFileSync("../metric/testdata/units.json", "utf8")) as { metric_name: string; aggregation: string; unit: string; want: string }[];
  assert.ok(cases.length > 10);
  for (const { metric_name, aggregation, unit, want } of cases) {
    assert.equal(unitOf({ metric_name, units: unit === "" ? [] : [unit] }, aggregation), want, `${aggregation} of ${metric_name} in ${unit}`);
  }
  assert.equal(unitOf({ metric_name: "m", units: ["ms", "s"] }, "avg"), "");
});
