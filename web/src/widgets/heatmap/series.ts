import type { WidgetConfig } from "../../model/dashboard";
import { formatShare, formatTime } from "../../model/format";
import { formatAll, formatAxis, formatOne } from "../../model/number";
import { roundRange, type Range } from "../../model/range";
import { NOTHING, selectSeries, type Slice, type WidgetView } from "../widget";
import { cellOf, type RowLabel, type Rows, type TimeCells } from "./rows";

/** A row for each series, the value as colour. */
export class SeriesRows implements Rows {
  readonly #config: WidgetConfig;
  #selection = NOTHING;
  /** Ends of the scale of colours that are not fixed. */
  #ends: Range | null = null;
  #low = 0;
  #high = 1;
  scale: readonly string[] = [];
  labels: readonly RowLabel[] = [];
  readonly even = true;
  readonly apart = true;

  constructor(config: WidgetConfig) {
    this.#config = config;
  }

  read(view: WidgetView, slice: Slice): void {
    const { y, unit } = this.#config;
    this.#selection = selectSeries(view, slice, this.#config);
    const { series, min, max } = this.#selection;
    this.#ends = roundRange(this.#ends, unit, min, max);
    this.#low = y.min ?? this.#ends.min;
    this.#high = y.max ?? this.#ends.max;
    this.scale = formatAxis([this.#low, this.#high], unit);
    this.labels = series.map(({ label }, row) => ({ text: label, at: (row + 0.5) / series.length }));
  }

  get count(): number {
    return this.#selection.series.length;
  }

  get note(): string {
    return formatShare(this.count, this.#selection.total);
  }

  edge(row: number): number {
    return row / this.count;
  }

  fill({ stream }: WidgetView, { first, last }: Slice, cells: TimeCells, values: Float64Array): void {
    const ends = stream.ring.endsView();
    this.#selection.series.forEach((series, row) => {
      const of = stream.ring.columnView(series.column);
      for (let at = first; at < last; at++) {
        const value = of[at] ?? Number.NaN;
        const column = cellOf(ends[at] ?? 0, cells);
        if (!Number.isNaN(value) && column >= 0 && column < cells.columns) values[row * cells.columns + column] = value;
      }
    });
  }

  part(value: number): number {
    return (value - this.#low) / (this.#high - this.#low || 1);
  }

  name(row: number): string {
    return this.#selection.series[row]?.label ?? "";
  }

  value(value: number): string {
    return formatOne(value, this.#config.unit);
  }

  describe({ from, to }: Slice): string {
    const { series, total, max, min } = this.#selection;
    if (series.length === 0) return "Heat map, no values in this time range.";
    const { unit } = this.#config;
    const [lowest, highest] = formatAll([min, max], unit);
    const [hottest] = series.filter(({ newest }) => newest !== null).sort((a, b) => (b.newest ?? 0) - (a.newest ?? 0));
    const now = hottest === undefined ? "" : ` Highest now: ${hottest.label} at ${formatOne(hottest.newest, unit)}.`;
    return `Heat map of ${total} series, ${formatTime(from)} to ${formatTime(to)}, between ${lowest} and ${highest}.${now}`;
  }
}
