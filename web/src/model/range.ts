export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The next round number up: 1, 2, 2.5 or 5 times a power of ten. */
export function niceCeil(value: number): number {
  if (!(value > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (value <= step * power * (1 + 1e-9)) return step * power;
  return 10 * power;
}

/** The y range for values from low to high: it begins at 0 when they are not far from it, leaves a little air, and has a height. */
export function valueRange(low: number, high: number): Range {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return { min: 0, max: 1 };
  if (low === high) {
    if (low === 0) return { min: 0, max: 1 };
    return low > 0 ? { min: 0, max: low * 1.25 } : { min: low * 1.25, max: 0 };
  }
  const air = (high - low) * 0.08;
  const min = low >= 0 && low <= 0.6 * high ? 0 : low - air;
  const max = high <= 0 && high >= 0.6 * low ? 0 : high + air;
  return { min: low >= 0 ? Math.max(0, min) : min, max: high <= 0 ? Math.min(0, max) : max };
}

/** Grows at once and shrinks slowly, so that a chart does not breathe with its noise. */
export function settle(shown: Range | null, wanted: Range): Range {
  if (shown === null) return wanted;
  const slowly = (from: number, to: number): number => from + (to - from) * 0.08;
  const height = wanted.max - wanted.min;
  const near = (a: number, b: number): boolean => Math.abs(a - b) < 0.02 * height;
  const min = wanted.min < shown.min || near(wanted.min, shown.min) ? wanted.min : slowly(shown.min, wanted.min);
  const max = wanted.max > shown.max || near(wanted.max, shown.max) ? wanted.max : slowly(shown.max, wanted.max);
  return { min, max };
}

/** Distances of time labels that people expect, in ms, from 1 s to a day. */
export const TIME_STEPS: readonly number[] = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400].map((s) => s * 1000);

/** Distances of labels of bytes, which are written in powers of 1024: round ones of ten are not round there. */
export const BYTE_STEPS: readonly number[] = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** Where a scale that has no fixed end, of a gauge or a heat map, should end. */
export function fullScale(unit: string, high: number): number {
  if (unit === "%" && high <= 100) return 100;
  return niceCeil(high) || 1;
}

/**
 * The round ends of a scale of colours for values from low to high. They stay while the values fill at least a quarter of what
 * lies between, and begin at 0 only when the values are not far from it.
 */
export function roundRange(shown: Range | null, unit: string, low: number, high: number): Range {
  if (!(low <= high)) return shown ?? { min: 0, max: 1 };
  if (shown !== null && low >= shown.min && high <= shown.max && high - low >= (shown.max - shown.min) / 4) return shown;
  const wanted = valueRange(low, high);
  if (wanted.min === 0) return { min: 0, max: fullScale(unit, high) };
  if (wanted.max === 0) return { min: -fullScale(unit, -low), max: 0 };
  const step = niceCeil((high - low) / 10);
  return { min: Math.floor(low / step) * step, max: Math.ceil(high / step) * step };
}
