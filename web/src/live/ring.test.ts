import assert from "node:assert/strict";
import { test } from "node:test";
import { lowerBound, Ring } from "./ring";

function ringOf(width: number, limit: number): Ring {
  const ring = new Ring(limit);
  for (let i = 0; i < width; i++) ring.addColumn();
  return ring;
}

function rows(ring: Ring, width: number): [number, number[]][] {
  const columns = Array.from({ length: width }, (_, i) => ring.columnView(i));
  return [...ring.endsView()].map((end, row) => [end, columns.map((column) => column[row] ?? Number.NaN)]);
}

test("rows come out in order of their end, each once", () => {
  const ring = ringOf(1, 10);
  for (const end of [30, 10, 20, 20, 50, 40]) assert.equal(ring.put(end, true, [end / 10]), true);
  assert.deepEqual(rows(ring, 1), [10, 20, 30, 40, 50].map((end) => [end, [end / 10]]));
  ring.put(30, false, [99]);
  assert.equal(ring.columnView(0)[2], 99);
  assert.deepEqual([...ring.completeView()], [1, 1, 0, 1, 1]);
  assert.equal(ring.lastEnd, 50);
});

test("a full ring keeps the newest rows and refuses what is older than all", () => {
  const ring = ringOf(2, 3);
  for (let end = 1; end <= 9; end++) ring.put(end, true, [end * 10, end * 10 + 1]);
  assert.deepEqual(rows(ring, 2), [
    [7, [70, 71]],
    [8, [80, 81]],
    [9, [90, 91]],
  ]);
  assert.equal(ring.put(3, true, [0, 0]), false);
  ring.put(8.5, true, [5, 5]);
  assert.deepEqual([...ring.endsView()], [8, 8.5, 9]);
});

test("the ring agrees with a sorted map over thousands of random rows", () => {
  for (const limit of [1, 2, 63, 64, 65, 200]) {
    const ring = ringOf(1, limit);
    const all = new Map<number, number>();
    let seed = 12345;
    const next = (below: number): number => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % below;
    };
    for (let i = 0; i < 3000; i++) {
      const end = Math.floor(i / 3) + next(20);
      const value = next(1000);
      if (ring.put(end, true, [value])) all.set(end, value);
      const kept = [...all.keys()].sort((a, b) => a - b).slice(-limit);
      for (const known of all.keys()) if (known < (kept[0] ?? 0)) all.delete(known);
    }
    const want = [...all].sort(([a], [b]) => a - b);
    assert.deepEqual([...ring.endsView()], want.map(([end]) => end), `limit ${limit}`);
    assert.deepEqual([...ring.columnView(0)], want.map(([, value]) => value), `limit ${limit}`);
  }
});

test("an absent value is NaN, also in a column that is added later", () => {
  const ring = ringOf(1, 5);
  ring.put(1, true, []);
  ring.addColumn();
  assert.ok(Number.isNaN(ring.columnView(0)[0]));
  assert.ok(Number.isNaN(ring.columnView(1)[0]));
  assert.deepEqual(ring.lastRow(), [Number.NaN, Number.NaN]);
  ring.clear();
  assert.equal(ring.length, 0);
  assert.deepEqual(ring.lastRow(), []);
  assert.ok(Number.isNaN(ring.lastEnd));
});

test("columns that are kept keep their values", () => {
  const ring = ringOf(3, 5);
  for (const end of [1, 2]) ring.put(end, true, [end, 10 * end, 100 * end]);
  ring.keepColumns([2, 0]);
  assert.deepEqual(rows(ring, 2), [
    [1, [100, 1]],
    [2, [200, 2]],
  ]);
});

test("lowerBound finds the first value that is not below", () => {
  const values = Float64Array.of(1, 3, 5);
  assert.deepEqual([0, 1, 2, 5, 6].map((value) => lowerBound(values, value)), [0, 0, 1, 2, 3]);
});
