import assert from "node:assert/strict";
import { test } from "node:test";
import { widgetConfig } from "./dashboard";
import { formatAge, formatDuration, formatShare } from "./format";
import { arrange, freePosition } from "./layout";
import { mergePatch } from "./merge-patch";
import { ColorRegistry, lookupTable, parseHex, seriesColor, seriesDash, type Rgb, type Theme } from "./palette";
import { fullScale, niceCeil, roundRange, settle, valueRange } from "./range";
import { missingText, seriesKey, seriesLabel } from "./series";
import { levelOf, thresholdSteps } from "./thresholds";

function luminance([r, g, b]: Rgb): number {
  const linear = (c: number): number => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Contrast ratio of WCAG 2, 1 to 21. */
function contrast(a: string, b: string): number {
  const [x, y] = [luminance(parseHex(a)), luminance(parseHex(b))];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

test("durations and ages", () => {
  assert.deepEqual([10, 60, 90, 300, 3600, 7200].map(formatDuration), ["10 s", "1 min", "90 s", "5 min", "1 h", "2 h"]);
  assert.deepEqual([3, 119, 180, 7200].map(formatAge), ["3 s", "119 s", "3 min", "2 h"]);
});

test("colours can be told apart from their panel in both themes", () => {
  const panels: Record<Theme, string> = { light: "#ffffff", dark: "#151b23" };
  for (const theme of ["light", "dark"] as const) {
    const colors = Array.from({ length: 8 }, (_, i) => seriesColor(i, theme));
    assert.equal(new Set(colors).size, 8);
    for (const color of colors) assert.ok(contrast(color, panels[theme]) >= 3, `${color} on ${theme}: ${contrast(color, panels[theme]).toFixed(2)}`);
  }
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.notDeepEqual(seriesDash(8), seriesDash(0));
});

test("the same tags have the same colour in every widget", () => {
  const colors = new ColorRegistry();
  const core = (n: number) => ({ core: String(n) });
  assert.deepEqual(colors.placesOf([core(10), core(2), core(0)]), [2, 1, 0]);
  assert.deepEqual(colors.placesOf([core(1), core(2)]), [3, 1]);
  assert.deepEqual(colors.placesOf([{ host: "a" }, {}]), [0, 0]);
});

test("lookup tables begin and end with their scheme's colours and get lighter", () => {
  for (const [scheme, low, high] of [
    ["viridis", "#440154", "#fde725"],
    ["cividis", "#00224e", "#fee838"],
    ["unknown", "#440154", "#fde725"],
  ] as const) {
    const table = lookupTable(scheme);
    const hex = (i: number) => {
      const color = table[i] ?? 0;
      return [color & 255, (color >> 8) & 255, (color >> 16) & 255];
    };
    assert.deepEqual(hex(0), [...parseHex(low)]);
    assert.deepEqual(hex(255), [...parseHex(high)]);
    const css = (i: number) => `#${hex(i).map((c) => c.toString(16).padStart(2, "0")).join("")}`;
    for (let i = 8; i < 256; i += 8) assert.ok(contrast(css(i), "#000000") > contrast(css(i - 8), "#000000"), `${scheme} at ${i}`);
  }
});

test("series have one name whatever the order of their tags", () => {
  assert.equal(seriesKey({ a: "1", b: "2" }), seriesKey({ b: "2", a: "1" }));
  assert.notEqual(seriesKey({ a: "1,b=2" }), seriesKey({ a: "1", b: "2" }));
  assert.equal(seriesLabel({ region: "eu", host: "a" }, "avg"), "a · eu");
  assert.equal(seriesLabel({ core: "3" }, "avg"), "core 3");
  assert.equal(seriesLabel({ host: "" }, "avg"), "without host");
  assert.equal(seriesLabel({}, "avg"), "avg");
});

test("what is not shown is told with the numbers of the pipeline", () => {
  assert.equal(formatShare(100, 1000), "top 100 of 1,000 now");
  assert.equal(formatShare(4, 4), "");
  assert.equal(missingText("zz", 3, 0), "No series here is zz.");
  assert.match(missingText("id-42", 1000, 900), /^id-42 is not among the 100 largest of 1,000 series/);
});

test("thresholds", () => {
  const steps = thresholdSteps([{ at: 500, level: "crit" }, { at: 200, level: "warn" }, { at: 1, level: "purple" }, { at: Number.NaN, level: "warn" }]);
  assert.deepEqual(steps, [{ at: 200, level: "warn" }, { at: 500, level: "crit" }]);
  assert.deepEqual([null, 199.9, 200, 500, Number.NaN].map((value) => levelOf(value, steps)), ["ok", "ok", "warn", "crit", "ok"]);
});

test("ranges begin at zero when it is near and never have no height", () => {
  assert.deepEqual(valueRange(2, 10), { min: 0, max: 10.64 });
  assert.deepEqual(valueRange(90, 100), { min: 89.2, max: 100.8 });
  assert.deepEqual(valueRange(0, 0), { min: 0, max: 1 });
  assert.deepEqual(valueRange(4, 4), { min: 0, max: 5 });
  assert.deepEqual(valueRange(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY), { min: 0, max: 1 });
  assert.deepEqual([0.03, 1, 1.01, 21, 99].map(niceCeil), [0.05, 1, 2, 25, 100]);
  assert.equal(fullScale("%", 12), 100);
  assert.equal(fullScale("%", 180), 200);
});

test("the ends of a scale of colours are round, fit the values and do not move with each of them", () => {
  assert.deepEqual(roundRange(null, "", 900, 1010), { min: 900, max: 1020 });
  assert.deepEqual(roundRange(null, "", -49.872808, 50), { min: -50, max: 50 });
  assert.deepEqual(roundRange(null, "%", 3, 40), { min: 0, max: 100 });
  assert.deepEqual(roundRange(null, "", -90, -3), { min: -100, max: 0 });
  assert.deepEqual(roundRange(null, "", Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY), { min: 0, max: 1 });
  const shown = { min: 900, max: 1020 };
  assert.equal(roundRange(shown, "", 905, 1004), shown);
  assert.deepEqual(roundRange(shown, "", 905, 1060), { min: 900, max: 1060 });
});

test("a range grows at once and shrinks slowly", () => {
  const shown = { min: 0, max: 100 };
  assert.deepEqual(settle(null, shown), shown);
  assert.deepEqual(settle(shown, { min: -5, max: 120 }), { min: -5, max: 120 });
  const smaller = settle(shown, { min: 0, max: 50 });
  assert.ok(smaller.max < 100 && smaller.max > 90);
  let range = shown;
  for (let i = 0; i < 200; i++) range = settle(range, { min: 0, max: 50 });
  assert.deepEqual(range, { min: 0, max: 50 });
});

test("widgets never overlap, holes close up, and a new one finds room", () => {
  const at = (id: string, x: number, y: number, w: number, h: number) => ({ id, position: { x, y, w, h } });
  const placed = arrange([at("c", 0, 9, 6, 2), at("a", 0, 0, 6, 4), at("b", 3, 1, 6, 2), at("d", 20, 1, 50, 0), at("e", 9, 0, 3, 2)]);
  assert.deepEqual(
    placed.map(({ id, position: { x, y, w, h } }) => [id, x, y, w, h]),
    [
      ["a", 0, 0, 6, 4],
      ["e", 9, 0, 3, 2],
      ["d", 0, 4, 12, 1],
      ["b", 3, 5, 6, 2],
      ["c", 0, 7, 6, 2],
    ],
  );
  const taken = [{ x: 0, y: 0, w: 6, h: 4 }, { x: 6, y: 0, w: 3, h: 2 }];
  assert.deepEqual(freePosition(taken, 3, 2), { x: 9, y: 0, w: 3, h: 2 });
  assert.deepEqual(freePosition(taken, 6, 4), { x: 6, y: 2, w: 6, h: 4 });
  assert.deepEqual(freePosition([], 6, 4), { x: 0, y: 0, w: 6, h: 4 });
});

test("a merge patch says what differs and nothing else", () => {
  assert.deepEqual(mergePatch({ a: 1, b: { c: 1, d: 2 }, e: [1] }, { b: { c: 1, f: 3 }, e: [1, 2], g: 0 }), { a: null, b: { d: null, f: 3 }, e: [1, 2], g: 0 });
  assert.deepEqual(mergePatch({ a: { b: 1 } }, { a: { b: 1 } }), {});
});

const WIDGET = {
  widget_id: "w1",
  metric_name: "http.latency",
  aggregation: "avg",
  window_seconds: 60,
  refresh_interval_seconds: 1,
  filter: { region: { not: "eu" }, env: "prod" },
  group_by: ["host"],
  display_config: {
    chart: "line",
    title: "Latency",
    unit: "ms",
    position: { x: 0, y: 0, w: 6, h: 4 },
    color_scheme: "okabe-ito",
    y_axis: { label: "latency", scale: "linear", min: null, max: null },
    thresholds: [{ at: 200, level: "warn" }],
    limit: 20,
  },
};

test("a widget's document may leave almost everything open", () => {
  const config = widgetConfig({ widget_id: "w", metric_name: "m", aggregation: "sum", window_seconds: 300 });
  assert.equal(config.chart, "line");
  assert.equal(config.title, "m");
  assert.equal(config.subtitle, "sum · 5 min");
  assert.equal(config.limit, 20);
  assert.deepEqual(config.y, { label: "", log: false, min: null, max: null });
  assert.equal(widgetConfig({ ...WIDGET, display_config: { chart: "pie" } }).chart, "pie");
});
