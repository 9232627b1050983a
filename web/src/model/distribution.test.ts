import assert from "node:assert/strict";
import { test } from "node:test";
import { border, coarser, Distribution } from "./distribution";

/** The bins of values at a scale, by their definition, with borders as they come. */
function binsOf(values: readonly number[], scale: number): [number, number, number][] {
  const written = (value: number): number => Number(value.toPrecision(7));
  const counts = new Map<number, number>();
  const step = (value: number): number => Math.ceil(Math.log2(value) * 2 ** scale);
  for (const value of values) {
    const place = value > 0 ? 1e6 + step(value) : value < 0 ? -1e6 - step(-value) : 0;
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([place, count]) => {
      if (place === 0) return [0, 0, count];
      const at = Math.abs(place) - 1e6;
      const [near, far] = [written(border(at - 1, scale)), written(border(at, scale))];
      return place > 0 ? [near, far, count] : [-far, -near, count];
    });
}

test("a distribution knows its scale and bins, also where borders were rounded, and is coarser as its values are", () => {
  let seed = 7;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let scale = -3; scale <= 6; scale++) {
    const values = Array.from({ length: 400 }, () => (random() < 0.1 ? 0 : (random() < 0.3 ? -1 : 1) * 10 ** (12 * random() - 6)));
    const read = new Distribution(binsOf(values, scale));
    assert.equal(read.scale, scale);
    assert.equal(read.count, values.length);
    assert.equal(read.zero, values.filter((value) => value === 0).length);
    for (let lower = scale; lower >= -4; lower--) {
      const want = new Distribution(binsOf(values, lower));
      for (const side of ["positive", "negative"] as const) {
        const sum = (of: Distribution, scales: number): Map<number, number> => {
          const sums = new Map<number, number>();
          of[side].steps.forEach((step, i) => sums.set(coarser(step, scales), (sums.get(coarser(step, scales)) ?? 0) + (of[side].counts[i] ?? 0)));
          return new Map([...sums].sort(([a], [b]) => a - b));
        };
        assert.deepEqual(sum(read, scale - lower), sum(want, 0), `${side} of scale ${scale} at ${lower}`);
      }
    }
  }
});

test("the last bin ends where doubles do, a bin of zero may be wide, and nothing but zeros has any scale", () => {
  const { scale, positive, zero, lower, upper } = new Distribution([[-1e-9, 1e-9, 4], [16, 256, 1], [1.123558e307, 1.797693e308, 2]]);
  assert.deepEqual([scale, [...positive.steps], zero, lower, upper], [-2, [2, 256], 4, -1e-9, 1.797693e308]);
  assert.equal(new Distribution([[0, 0, 3]]).count, 3);
});
