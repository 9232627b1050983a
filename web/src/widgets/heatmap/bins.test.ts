import assert from "node:assert/strict";
import { test } from "node:test";
import { WidgetStream } from "../../live/store";
import { widgetConfig } from "../../model/dashboard";
import { border } from "../../model/distribution";
import { ColorRegistry, type ThemeColors } from "../../model/palette";
import { visibleSlice, type WidgetView } from "../widget";
import { BinRows } from "./bins";

type Bin = readonly [lower: number, upper: number, count: number];

const END = 1_000_000_000;

/** A stream of distributions of values with so many bins a factor of two, one a second. */
function streamOf(windows: readonly (readonly number[])[], scale: number): WidgetView {
  const stream = new WidgetStream("w");
  stream.bind({ index: 0, widget_id: "w", metric_key: "m:histogram:1s", key_id: "k", refresh_ms: 1000, window_ms: 1000 });
  const points = windows.map((values, i) => [END + 1000 * (i + 1 - windows.length), null, [values.length === 0 ? null : binsOf(values, scale)]] as const);
  stream.snapshot({ type: "snapshot", index: 0, state: "live", reset: true, series_version: "v", series: [{ tags: {} }], covered_since: 0, points }, 0);
  return { stream, edge: END, beginning: END - 60_000, rangeMs: 60_000, theme: {} as ThemeColors, colors: new ColorRegistry(), choice: {} };
}

function binsOf(values: readonly number[], scale: number): Bin[] {
  const bins = new Map<string, Bin>();
  for (const value of values) {
    const step = Math.ceil(Math.log2(Math.abs(value)) * 2 ** scale);
    const [near, far] = [border(step - 1, scale), border(step, scale)];
    const [lower, upper] = value === 0 ? [0, 0] : value > 0 ? [near, far] : [-far, -near];
    bins.set(`${lower}`, [lower, upper, (bins.get(`${lower}`)?.[2] ?? 0) + 1]);
  }
  return [...bins.values()].sort((a, b) => a[0] - b[0]);
}

const config = widgetConfig({ widget_id: "w", metric_name: "m", aggregation: "histogram", window_seconds: 1, display_config: { chart: "heatmap", unit: "ms" } });

/** What rows draw of a view, a cell a second. */
function drawn(rows: BinRows, view: WidgetView, height: number) {
  const slice = visibleSlice(view);
  rows.read(view, slice, height);
  const cells = { origin: slice.from, cellMs: 1000, columns: 60 };
  const values = new Float64Array(rows.count * cells.columns).fill(Number.NaN);
  rows.fill(view, slice, cells, values);
  return { values, columns: cells.columns };
}

test("every value stands in one cell: that of its window and of its bin, whatever there is", () => {
  let seed = 11;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const kinds: Record<string, () => number> = {
    "a decade": () => 100 + 200 * random(),
    "twelve decades": () => 10 ** (12 * random() - 6),
    "both signs and zero": () => (random() < 0.2 ? 0 : (random() < 0.5 ? -1 : 1) * 10 ** (3 * random())),
    negative: () => -(10 ** (4 * random())),
    zero: () => 0,
    one: () => 7,
  };
  for (const [kind, value] of Object.entries(kinds)) {
    for (const [scale, height] of [[6, 300], [2, 300], [0, 40], [6, 9]] as const) {
      const windows = Array.from({ length: 60 }, () => Array.from({ length: Math.floor(40 * random()) }, value));
      const view = streamOf(windows, scale);
      const rows = new BinRows(config);
      const { values, columns } = drawn(rows, view, height);
      const what = `${kind}, scale ${scale}, ${height} px`;
      assert.ok(rows.count >= 1 && rows.count <= Math.max(3, height / 3), `${what}: ${rows.count} rows`);
      windows.forEach((of, column) => {
        const sum = Array.from({ length: rows.count }, (_, row) => values[row * columns + column] || 0).reduce((a, b) => a + b, 0);
        assert.equal(sum, of.length, `${what}: column ${column}`);
      });
      // From the top down, rows hold lower values.
      const byRow = Array.from({ length: rows.count }, (_, row) => Array.from({ length: columns }, (_, column) => values[row * columns + column] || 0).reduce((a, b) => a + b, 0));
      const all = windows.flat().sort((a, b) => b - a);
      let at = 0;
      byRow.forEach((count, row) => {
        const [high, low] = [all[at], all[at + count - 1]];
        if (count > 0 && high !== undefined && low !== undefined) {
          const [above, below] = rows.ends(row);
          assert.ok(high <= above * (1 + Math.sign(above) * 1e-9) && low >= below - Math.abs(below) * 1e-9, `${what}: row ${row} from ${below} to ${above} has ${low} to ${high}`);
        }
        at += count;
      });
      for (let row = 0; row < rows.count; row++) assert.ok(rows.edge(row) < rows.edge(row + 1), `${what}: row ${row} has no height`);
      assert.ok(Math.abs(rows.edge(0)) < 1e-9 && Math.abs(rows.edge(rows.count) - 1) < 1e-9, what);
      for (const { text, at: place } of rows.labels) assert.ok(text !== "" && place >= -1e-6 && place <= 1 + 1e-6, `${what}: ${text} at ${place}`);
      assert.deepEqual(rows.labels, [...rows.labels].sort((a, b) => a.at - b.at), `${what}: labels from the top down`);
      assert.ok(rows.labels.length > 0, `${what}: no labels`);
    }
  }
});

test("an axis of less than a decade is linear, a longer one logarithmic", () => {
  const short = new BinRows(config);
  drawn(short, streamOf([[100, 150, 300, 400]], 6), 300);
  assert.equal(short.even, false);
  assert.deepEqual(short.labels.map(({ text }) => text), ["400 ms", "350 ms", "300 ms", "250 ms", "200 ms", "150 ms", "100 ms"]);
  const long = new BinRows(config);
  drawn(long, streamOf([[1, 10, 100, 1000, 10_000]], 1), 300);
  assert.equal(long.even, true);
  assert.deepEqual(long.labels.map(({ text }) => text), ["10 s", "1 s", "100 ms", "10 ms", "1 ms"]);
  for (const [values, height, texts] of [
    [[1, 100_000], 160, ["32 KiB", "1 KiB", "32 B", "1 B"]],
    [[1, 1e12], 160, ["1 TiB", "1 GiB", "1 MiB", "1 KiB", "1 B"]],
    [[3000, 40_000], 160, ["16 KiB", "4 KiB"]],
  ] as const) {
    const bytes = new BinRows({ ...config, unit: "B" });
    drawn(bytes, streamOf([values], 1), height);
    assert.deepEqual(bytes.labels.map(({ text }) => text), texts);
  }
});

test("the rows stay while values fill half of them, and follow when they do not", () => {
  const rows = new BinRows(config);
  const wide = Array.from({ length: 50 }, (_, i) => 2 ** (i / 4));
  drawn(rows, streamOf([wide], 2), 300);
  const before = rows.count;
  drawn(rows, streamOf([wide.slice(5, 45)], 2), 300);
  assert.equal(rows.count, before);
  drawn(rows, streamOf([wide.slice(20, 30)], 2), 300);
  assert.ok(rows.count < before / 2);
});
