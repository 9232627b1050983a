import type { Distribution } from "../model/distribution";

const FIRST_CAPACITY = 64;

/** The distributions of a row, one for each column, null where there is none. */
export type Distributions = readonly (Distribution | null)[];

/**
 * The newest points of one widget in typed arrays: a row per window end, in order, and a column per series; NaN where a value
 * is absent. Each array is twice as long as the rows it may hold, so that the newest rows are always one contiguous view and
 * moving them costs less than one copy a point.
 */
export class Ring {
  #capacity: number;
  #first = 0;
  #rows = 0;
  #ends: Float64Array;
  #complete: Uint8Array;
  #columns: Float64Array[] = [];
  /** Of rows that have them, by window end. */
  readonly #distributions = new Map<number, Distributions>();

  readonly #limit: number;

  /** limit is the number of rows, at least one. */
  constructor(limit: number) {
    this.#limit = limit;
    this.#capacity = Math.min(FIRST_CAPACITY, limit);
    this.#ends = new Float64Array(2 * this.#capacity);
    this.#complete = new Uint8Array(2 * this.#capacity);
  }

  get length(): number {
    return this.#rows;
  }

  /** The newest window end, NaN when empty. */
  get lastEnd(): number {
    return this.#rows === 0 ? Number.NaN : (this.#ends[this.#first + this.#rows - 1] ?? Number.NaN);
  }

  /** The oldest window end, NaN when empty. */
  get firstEnd(): number {
    return this.#rows === 0 ? Number.NaN : (this.#ends[this.#first] ?? Number.NaN);
  }

  /** Window ends, oldest first. Views are valid until the next change. */
  endsView(): Float64Array {
    return this.#ends.subarray(this.#first, this.#first + this.#rows);
  }

  /** 1 where the window was complete. */
  completeView(): Uint8Array {
    return this.#complete.subarray(this.#first, this.#first + this.#rows);
  }

  columnView(column: number): Float64Array {
    return this.#column(column).subarray(this.#first, this.#first + this.#rows);
  }

  /** The distribution of a column in the row of a window end. */
  distribution(end: number, column: number): Distribution | null {
    return this.#distributions.get(end)?.[column] ?? null;
  }

  /** Adds a column that is absent in every row so far. */
  addColumn(): void {
    this.#columns.push(new Float64Array(2 * this.#capacity).fill(Number.NaN));
  }

  /** Keeps these columns only, in this order. */
  keepColumns(indexes: readonly number[]): void {
    this.#columns = indexes.map((index) => this.#column(index));
    for (const [end, row] of this.#distributions) this.#distributions.set(end, indexes.map((index) => row[index] ?? null));
  }

  /** Without rows and columns. */
  clear(): void {
    this.#first = 0;
    this.#rows = 0;
    this.#columns = [];
    this.#distributions.clear();
  }

  /** The newest row, a value for each column. */
  lastRow(): number[] {
    return this.#columns.map((column) => column[this.#first + this.#rows - 1] ?? Number.NaN);
  }

  /** The distributions of the newest row, null where it has none. */
  lastDistributions(): Distributions | null {
    return this.#distributions.get(this.lastEnd) ?? null;
  }

  /**
   * Sets the row of a window end, which may be new, between others, or there already: values are absolute, so the later
   * message wins. False for a row older than everything in a full ring. Where there are distributions, values say how
   * many values each has.
   */
  put(end: number, complete: boolean, values: ArrayLike<number>, distributions: Distributions | null = null): boolean {
    let row = lowerBound(this.endsView(), end);
    if (row === this.#rows || this.#ends[this.#first + row] !== end) {
      if (row === 0 && this.#rows === this.#limit) return false;
      row = this.#insert(row);
    }
    const at = this.#first + row;
    this.#ends[at] = end;
    this.#complete[at] = complete ? 1 : 0;
    for (let i = 0; i < this.#columns.length; i++) this.#column(i)[at] = values[i] ?? Number.NaN;
    if (distributions !== null) this.#distributions.set(end, distributions);
    else this.#distributions.delete(end);
    return true;
  }

  /** Makes room for a row before row and returns where it is now. */
  #insert(row: number): number {
    if (this.#rows === this.#limit) {
      this.#distributions.delete(this.firstEnd);
      this.#first++;
      this.#rows--;
      row--;
    }
    if (this.#first + this.#rows === 2 * this.#capacity) this.#makeRoom();
    const from = this.#first + row;
    const to = this.#first + this.#rows;
    if (from < to) for (const array of this.#arrays()) array.copyWithin(from + 1, from, to);
    this.#rows++;
    return row;
  }

  /** Grows while the limit allows it, else moves the rows to the front. */
  #makeRoom(): void {
    const capacity = this.#rows > this.#capacity ? Math.min(2 * this.#capacity, this.#limit) : this.#capacity;
    if (capacity > this.#capacity) {
      const grown = (old: Float64Array): Float64Array => {
        const array = new Float64Array(2 * capacity);
        array.set(old.subarray(this.#first, this.#first + this.#rows));
        return array;
      };
      this.#ends = grown(this.#ends);
      this.#columns = this.#columns.map(grown);
      const complete = new Uint8Array(2 * capacity);
      complete.set(this.completeView());
      this.#complete = complete;
      this.#capacity = capacity;
    } else {
      for (const array of this.#arrays()) array.copyWithin(0, this.#first, this.#first + this.#rows);
    }
    this.#first = 0;
  }

  #arrays(): (Float64Array | Uint8Array)[] {
    return [this.#ends, this.#complete, ...this.#columns];
  }

  #column(index: number): Float64Array {
    const column = this.#columns[index];
    if (column === undefined) throw new RangeError(`a ring of ${this.#columns.length} columns has no column ${index}`);
    return column;
  }
}

/** The first index of a rising array whose value is not below value. */
export function lowerBound(values: Float64Array, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? Number.POSITIVE_INFINITY) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
