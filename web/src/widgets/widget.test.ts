import assert from "node:assert/strict";
import { test } from "node:test";
import { WidgetStream } from "../live/store";
import { ColorRegistry, type ThemeColors } from "../model/palette";
import { visibleSlice } from "./widget";

test("a time axis is as long as chosen, or as there are values of any widget, and never shorter than a minute", () => {
  const edge = 1_000_000_000;
  const cases: [what: string, beginning: number, rangeMs: number, length: number][] = [
    ["more than is chosen", edge - 3_600_000, 300_000, 300_000],
    ["less than is chosen", edge - 120_000, 300_000, 120_000],
    ["hardly anything", edge - 5_000, 300_000, 60_000],
    ["nothing", Number.NaN, 300_000, 60_000],
    ["all there is", edge - 3_600_000, 0, 3_600_000],
    ["a short choice", edge - 3_600_000, 60_000, 60_000],
  ];
  const stream = new WidgetStream("w");
  for (const [what, beginning, rangeMs, length] of cases) {
    const { from, to } = visibleSlice({ stream, edge, beginning, rangeMs, theme: {} as ThemeColors, colors: new ColorRegistry(), choice: {} });
    assert.deepEqual([to, to - from], [edge, length], what);
  }
});
