// Distributions, which the aggregation histogram gives: how many values of a window lie in each bin.

/** [lower, upper, count], as it comes. */
type Bin = readonly [lower: number, upper: number, count: number];

/** The bins of one sign that have values. */
export interface Side {
  /** How many steps of the base each bin's border away from zero is from 1, rising with the value. */
  readonly steps: Int32Array;
  readonly counts: Float64Array;
}

/** The finest scale that there is. */
const FINEST = 20;

/**
 * A distribution whose bins end at the powers of 2^(2^-scale). Two bins of a scale are one of the scale below it, so
 * distributions of different scales have the borders of the coarsest one in common.
 */
export class Distribution {
  readonly count: number = 0;
  readonly scale: number;
  /** Values in the bin that holds 0. */
  readonly zero: number = 0;
  readonly positive: Side;
  readonly negative: Side;
  /** The ends of all bins. */
  readonly lower: number;
  readonly upper: number;

  constructor(bins: readonly Bin[]) {
    // The first and the last bin there can be are cut off where doubles end: the widest one has the true width.
    const width = Math.max(0, ...bins.map(([lower, upper]) => (lower * upper > 0 ? Math.abs(Math.log2(upper / lower)) : 0)));
    this.scale = width === 0 ? FINEST : Math.min(FINEST, Math.round(-Math.log2(width)) + 0);
    for (const [lower, upper, count] of bins) {
      this.count += count;
      if (lower <= 0 && upper >= 0) this.zero += count;
    }
    this.lower = bins[0]?.[0] ?? Number.NaN;
    this.upper = bins.at(-1)?.[1] ?? Number.NaN;
    this.positive = side(bins.filter(([lower]) => lower > 0), (bin) => bin[1], this.scale);
    this.negative = side(bins.filter(([, upper]) => upper < 0), (bin) => -bin[0], this.scale);
  }
}

function side(bins: readonly Bin[], far: (bin: Bin) => number, scale: number): Side {
  return {
    steps: Int32Array.from(bins, (bin) => Math.round(Math.log2(far(bin)) * 2 ** scale)),
    counts: Float64Array.from(bins, ([, , count]) => count),
  };
}

/** The step of a bin among those that are so many scales coarser. */
export function coarser(step: number, scales: number): number {
  return 0 - (-step >> scales);
}

/** The border that is so many steps from 1. */
export function border(step: number, scale: number): number {
  return 2 ** (step / 2 ** scale);
}
