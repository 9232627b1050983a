import type { Slice, WidgetView } from "../widget";

/** How the time axis is cut into cells: each is cellMs long, the first begins at origin. */
export interface TimeCells {
  readonly origin: number;
  readonly cellMs: number;
  readonly columns: number;
}

/** The cell that a result stands in, for the refresh interval that ends with it; it may be outside of the plot. */
export function cellOf(end: number, { origin, cellMs }: TimeCells): number {
  return Math.ceil((end - origin) / cellMs) - 1;
}

/** A text beside the rows. */
export interface RowLabel {
  readonly text: string;
  /** Its middle, from 0 at the top to 1 at the bottom. */
  readonly at: number;
}

/** What the rows of a heat map are, and the values in them. */
export interface Rows {
  /** Takes what is to be drawn; before anything else. height is that of the plot, in CSS pixels as are texts of scale 1. */
  read(view: WidgetView, slice: Slice, height: number): void;
  /** How many rows there are, 0 when there is nothing to draw. */
  readonly count: number;
  /** All rows are equally high. */
  readonly even: boolean;
  /** A line is between them where they are high enough. */
  readonly apart: boolean;
  /** Where the upper edge of a row is, from 0 at the top to 1 at the bottom. */
  edge(row: number): number;
  /** Writes the values, a row after the other, into cells, which are NaN. */
  fill(view: WidgetView, slice: Slice, cells: TimeCells, values: Float64Array): void;
  /** The place of a value on the scale of colours, from 0 to 1. */
  part(value: number): number;
  /** What stands beside the scale of colours: at its ends, or in its middle too. */
  readonly scale: readonly string[];
  /** What is said beside it. */
  readonly note: string;
  /** From the top down. */
  readonly labels: readonly RowLabel[];
  /** A cell in words, without its time; empty for one of which there is nothing to say. */
  name(row: number): string;
  value(value: number): string;
  /** All of it in words. */
  describe(slice: Slice): string;
}
