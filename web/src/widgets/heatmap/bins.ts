import type { WidgetConfig } from "../../model/dashboard";
import { border, coarser, type Distribution } from "../../model/distribution";
import { formatTime } from "../../model/format";
import { formatAll, formatAxis, formatBound } from "../../model/number";
import { niceCeil, roundRange, type Range } from "../../model/range";
import { isChosen } from "../../model/series";
import type { Slice, WidgetView } from "../widget";
import { cellOf, type RowLabel, type Rows, type TimeCells } from "./rows";

/** Rows are at least so high, in CSS pixels. */
const LEAST_HEIGHT = 3;
/** Labels are at least so far from each other. */
const LABEL_HEIGHT = 24;
/** An axis that ends at less than so many times its beginning is linear. */
const DECADE = 10;

/** The bins from low to high of one sign, in steps of a scale; none when low is above high. */
interface Span {
  readonly low: number;
  readonly high: number;
}

const NONE: Span = { low: 1, high: 0 };

/** The rows of an axis, from the top: positive bins, that of zero, negative bins. */
interface Axis {
  readonly scale: number;
  readonly positive: Span;
  readonly zero: boolean;
  readonly negative: Span;
}

const length = ({ low, high }: Span): number => high - low + 1;
const rowsOf = ({ positive, zero, negative }: Axis): number => length(positive) + Number(zero) + length(negative);
const join = (a: Span, b: Span): Span => (length(a) === 0 ? b : length(b) === 0 ? a : { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) });
const holds = (a: Span, b: Span): boolean => length(b) === 0 || (a.low <= b.low && a.high >= b.high);
const atScale = ({ low, high }: Span, scales: number): Span => (high < low ? NONE : { low: coarser(low, scales), high: coarser(high, scales) });
const spanOf = (steps: Int32Array): Span => (steps.length === 0 ? NONE : { low: Math.min(...steps), high: Math.max(...steps) });

/** A row for each bin of a distribution, the number of values in it as colour. Of several series it shows all values together. */
export class BinRows implements Rows {
  readonly #config: WidgetConfig;
  #axis: Axis = { scale: 0, positive: NONE, zero: false, negative: NONE };
  /** Columns of the series that are shown. */
  #columns: readonly number[] = [];
  /** Values in each row of the newest window. */
  #newest = 0;
  #most = 0;
  #colors: Range | null = null;
  #height = 0;
  #linear = false;
  #anything = false;
  labels: readonly RowLabel[] = [];
  scale: readonly string[] = [];
  readonly apart = false;
  readonly note = "values in a window";

  constructor(config: WidgetConfig) {
    this.#config = config;
  }

  read(view: WidgetView, slice: Slice, height: number): void {
    const { stream, choice } = view;
    this.#height = height;
    this.#columns = [...stream.columns.keys()].filter((column) => isChosen(stream.columns[column] ?? {}, choice));
    const seen = this.#seen(view, slice);
    this.#anything = seen !== null;
    if (seen === null) return;
    this.#axis = settleAxis(this.#axis, this.#limited(seen), Math.max(1, Math.floor(height / LEAST_HEIGHT)));
    const { scale, positive, zero, negative } = this.#axis;
    this.#linear = !zero && length(negative) === 0 && border(positive.high, scale) < DECADE * border(positive.low - 1, scale);
    this.labels = this.#ticks();
  }

  get count(): number {
    return this.#anything ? rowsOf(this.#axis) : 0;
  }

  get even(): boolean {
    return !this.#linear;
  }

  edge(row: number): number {
    if (!this.#linear) return row / this.count;
    return 1 - this.#fraction(row < this.count ? this.#upper(row) : this.#lower(row - 1));
  }

  /** What a row holds: up to, and from. */
  ends(row: number): readonly [upper: number, lower: number] {
    return [this.#upper(row), this.#lower(row)];
  }

  fill(view: WidgetView, slice: Slice, cells: TimeCells, values: Float64Array): void {
    let most = 0;
    // Where numbers are read, a distribution is how many values it has.
    this.#newest = this.#columns.reduce((sum, column) => sum + (view.stream.ring.columnView(column)[slice.last - 1] || 0), 0);
    for (const [distribution, column] of this.#drawn(view, slice, cells)) {
      this.#eachRow(distribution, (row, count) => {
        const cell = row * cells.columns + column;
        const sum = (values[cell] || 0) + count;
        values[cell] = sum;
        if (sum > most) most = sum;
      });
    }
    this.#most = most;
    this.#colors = roundRange(this.#colors, "", 0, Math.max(4, most));
    const { max } = this.#colors;
    this.scale = [0, max / 4, max].map((count) => formatBound(count, ""));
  }

  /** The root of the count: what is rare beside the usual is seen too. */
  part(value: number): number {
    return Math.sqrt(value / (this.#colors?.max ?? 1));
  }

  name(row: number): string {
    const [upper, lower] = formatAll(this.ends(row), this.#config.unit);
    return upper === lower ? `around ${upper}` : `${lower} to ${upper}`;
  }

  value(value: number): string {
    return Number.isNaN(value) ? "no values" : valuesText(value);
  }

  describe({ from, to }: Slice): string {
    if (this.count === 0) return "Heat map, no values in this time range.";
    const [lowest, highest] = formatAll([this.#lower(this.count - 1), this.#upper(0)], this.#config.unit);
    return `Heat map of a distribution, ${formatTime(from)} to ${formatTime(to)}, between ${lowest} and ${highest}. Newest window: ${valuesText(this.#newest)}; at most ${valuesText(this.#most)} a cell.`;
  }

  /** The rows that hold everything in the slice, at the coarsest scale that it has; null when there is nothing. */
  #seen({ stream: { ring } }: WidgetView, { first, last }: Slice): Axis | null {
    let seen: Axis | null = null;
    for (const end of ring.endsView().subarray(first, last)) {
      for (const column of this.#columns) {
        const one = ring.distribution(end, column);
        if (one === null) continue;
        const axis = { scale: one.scale, positive: spanOf(one.positive.steps), zero: one.zero > 0, negative: spanOf(one.negative.steps) };
        seen = seen === null ? axis : joinAxes(seen, axis);
      }
    }
    return seen;
  }

  /** The axis between the ends that the document fixes; they are above 0. */
  #limited(axis: Axis): Axis {
    const { min, max } = this.#config.y;
    const step = (value: number | null, otherwise: number): number => (value !== null && value > 0 ? Math.ceil(Math.log2(value) * 2 ** axis.scale - 1e-6) : otherwise);
    const positive = { low: step(min === null ? min : min * (1 + 1e-9), axis.positive.low), high: step(max, axis.positive.high) };
    if (positive.high < positive.low) return axis;
    return min !== null && min > 0 ? { scale: axis.scale, positive, zero: false, negative: NONE } : { ...axis, positive };
  }

  /** The newest distribution of each series in each time cell. */
  *#drawn({ stream: { ring } }: WidgetView, { first, last }: Slice, cells: TimeCells): Generator<readonly [distribution: Distribution, column: number]> {
    const ends = ring.endsView();
    for (const series of this.#columns) {
      let before = cells.columns;
      for (let at = last - 1; at >= first; at--) {
        const end = ends[at] ?? 0;
        const column = cellOf(end, cells);
        if (column >= before) continue;
        if (column < 0) break;
        before = column;
        const distribution = ring.distribution(end, series);
        if (distribution !== null) yield [distribution, column];
      }
    }
  }

  #eachRow({ scale, positive, zero, negative }: Distribution, take: (row: number, count: number) => void): void {
    const axis = this.#axis;
    const scales = scale - axis.scale;
    const middle = length(axis.positive);
    positive.steps.forEach((step, i) => {
      const row = axis.positive.high - coarser(step, scales);
      if (row >= 0 && row < middle) take(row, positive.counts[i] ?? 0);
    });
    if (zero > 0 && axis.zero) take(middle, zero);
    negative.steps.forEach((step, i) => {
      const row = coarser(step, scales) - axis.negative.low;
      if (row >= 0 && row < length(axis.negative)) take(middle + Number(axis.zero) + row, negative.counts[i] ?? 0);
    });
  }

  /** The higher end of a row. */
  #upper(row: number): number {
    const { scale, positive, zero, negative } = this.#axis;
    if (row < length(positive)) return border(positive.high - row, scale);
    const below = row - length(positive) - Number(zero);
    return below < 0 ? 0 : -border(negative.low + below - 1, scale);
  }

  #lower(row: number): number {
    const { scale, positive, zero, negative } = this.#axis;
    if (row < length(positive)) return border(positive.high - row - 1, scale);
    const below = row - length(positive) - Number(zero);
    return below < 0 ? 0 : -border(negative.low + below, scale);
  }

  /** Where a value of a linear axis is, from 0 at its lower end to 1. */
  #fraction(value: number): number {
    const [low, high] = [this.#lower(this.count - 1), this.#upper(0)];
    return (value - low) / (high - low);
  }

  #ticks(): RowLabel[] {
    const { unit } = this.#config;
    const most = Math.max(2, Math.floor(this.#height / LABEL_HEIGHT));
    const values = this.#linear ? linearTicks(this.#lower(this.count - 1), this.#upper(0), most) : this.#logTicks(most);
    const texts = this.#linear ? formatAxis(values, unit) : values.map((value) => formatBound(value, unit));
    return values.map((value, i) => ({ text: texts[i] ?? "", at: this.#linear ? 1 - this.#fraction(value) : this.#place(value) })).sort((a, b) => a.at - b.at);
  }

  /** Powers of ten, of bytes of 1,024, on both sides of zero, with what lies between them or not, as there is room, and 0 itself. */
  #logTicks(most: number): number[] {
    const { scale, positive, zero, negative } = this.#axis;
    const [base, finest, ...coarse] = this.#config.unit === "B" ? ([1024, [1, 4, 16, 64, 256], [1, 32]] as const) : ([10, [1, 2, 5]] as const);
    const log = (value: number): number => Math.log(value) / Math.log(base);
    const ticks = (span: Span): number[] => {
      if (length(span) === 0) return [];
      const [low, high] = [log(border(span.low - 1, scale)), log(border(span.high, scale))];
      const room = Math.max(1, (most * length(span)) / this.count);
      const digits = [finest, ...coarse].find((some) => some.length * (high - low) <= Math.max(room, 2.5)) ?? [1];
      const every = Math.max(1, Math.ceil((high - low) / room));
      const values: number[] = [];
      for (let power = Math.floor(low / every) * every; power <= high; power += every) values.push(...digits.map((digit) => digit * base ** power));
      return values.filter((value) => log(value) >= low - 1e-9 && log(value) <= high + 1e-9);
    };
    return [...ticks(positive), ...(zero ? [0] : []), ...ticks(negative).map((value) => -value)];
  }

  /** Where a value of a logarithmic axis is, from 0 at the top to 1. */
  #place(value: number): number {
    const { scale, positive, zero, negative } = this.#axis;
    const rows = this.count;
    if (value === 0) return (length(positive) + 0.5) / rows;
    const steps = Math.log2(Math.abs(value)) * 2 ** scale;
    return (value > 0 ? positive.high - steps : length(positive) + Number(zero) + steps - negative.low + 1) / rows;
  }
}

function joinAxes(a: Axis, b: Axis): Axis {
  const scale = Math.min(a.scale, b.scale);
  const [x, y] = [coarserAxis(a, scale), coarserAxis(b, scale)];
  return { scale, positive: join(x.positive, y.positive), zero: a.zero || b.zero, negative: join(x.negative, y.negative) };
}

function coarserAxis(axis: Axis, scale: number): Axis {
  const scales = axis.scale - scale;
  return { ...axis, scale, positive: atScale(axis.positive, scales), negative: atScale(axis.negative, scales) };
}

/** The axis for what is seen, with at most so many rows: the one that is shown while that fits it and fills half of it. */
export function settleAxis(shown: Axis, seen: Axis, most: number): Axis {
  let wanted = seen;
  while (rowsOf(wanted) > most) {
    const next = coarserAxis(wanted, wanted.scale - 1);
    if (rowsOf(next) === rowsOf(wanted)) break;
    wanted = next;
  }
  const fits = shown.scale === wanted.scale && holds(shown.positive, wanted.positive) && holds(shown.negative, wanted.negative) && (shown.zero || !wanted.zero);
  return fits && rowsOf(shown) <= most && 2 * rowsOf(wanted) >= rowsOf(shown) ? shown : wanted;
}

function linearTicks(low: number, high: number, most: number): number[] {
  const step = niceCeil((high - low) / most);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step);
  return ticks;
}

function valuesText(count: number): string {
  return count === 1 ? "1 value" : `${count.toLocaleString("en")} values`;
}
