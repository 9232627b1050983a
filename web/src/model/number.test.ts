import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAll, formatAxis, formatBound, formatOne } from "./number";

test("values read with their unit", () => {
  const cases: [number | null, string, string][] = [
    [12.345, "%", "12.3 %"],
    [0, "%", "0.0 %"],
    [0.25, "%", "0.25 %"],
    [12.5, "ms", "12.5 ms"],
    [1234, "ms", "1.23 s"],
    [0.0042, "s", "4.20 ms"],
    [90, "s", "90.0 s"],
    [7200, "s", "2.00 h"],
    [0, "s", "0 s"],
    [512, "B", "512 B"],
    [1536, "B", "1.50 KiB"],
    [8 * 1024 ** 3, "B", "8.00 GiB"],
    [1_250_000, "B/s", "1.25 MB/s"],
    [1250, "1/s", "1.25 k/s"],
    [3, "1/s", "3.00 /s"],
    [1_234_567, "", "1.23 M"],
    [0.05, "", "0.0500"],
    [21.04, "°C", "21.0 °C"],
    [5, "req", "5.00 req"],
    [300, "B/s", "300 B/s"],
    [178, "1/s", "178 /s"],
    [1e-9, "A", "1.00 nA"],
    [0.25, "V", "250 mV"],
    [0.25, "B/s", "0.250 B/s"],
    [2.5e15, "W", "2.50 PW"],
    [1e18, "1/s", "1.00 E/s"],
    [3 * 1024 ** 5, "B", "3.00 PiB"],
    [1.5, "B", "1.50 B"],
    [0.2, "B", "0.200 B"],
    [999.9, "", "1.00 k"],
    [999_999, "B/s", "1.00 MB/s"],
    [9_374, "requests", "9,374 requests"],
    [9_374e12, "requests", "9.37e15 requests"],
    [0.5, "requests per second", "0.500 requests per second"],
    [1e-15, "A", "1.00e-15 A"],
    [1e300, "", "1.00e300"],
    [99.85, "%", "99.85 %"],
    [99.9, "%", "99.90 %"],
    [99.9991, "%", "99.99910 %"],
    [99.999_999_999_999, "%", "100.0 %"],
    [100, "%", "100.0 %"],
    [0.004, "%", "0.0040 %"],
    [0.04, "°C", "0.0400 °C"],
    [-1500, "", "-1.50 k"],
    [null, "ms", "–"],
  ];
  for (const [value, unit, want] of cases) assert.equal(formatOne(value, unit), want, `${value} ${unit}`);
});

test("values beside each other have their own prefix, and digits until they differ", () => {
  assert.deepEqual(formatAll([2_500_000, 300, 0, null], "B/s"), ["2.50 MB/s", "300 B/s", "0 B/s", "–"]);
  assert.deepEqual(formatAll([99.85, 99.9, 99.9], "%"), ["99.85 %", "99.90 %", "99.90 %"]);
  assert.deepEqual(formatAll([1.001, 1.002], ""), ["1.001", "1.002"]);
  assert.deepEqual(formatAll([1, 1 + Number.EPSILON], "m"), ["1.0000000000000000 m", "1.0000000000000002 m"]);
  assert.deepEqual(formatAll([0, -0], "s"), ["0 s", "0 s"]);
});

test("an axis has one prefix, and no digit too many", () => {
  const cases: [number[], string, string[]][] = [
    [[999_999, 1_000_000, 1_000_001], "", ["999,999", "1,000,000", "1,000,001"]],
    [[0, 5e-10, 1e-9], "A", ["0.0 nA", "0.5 nA", "1.0 nA"]],
    [[0, 500_000, 1_000_000], "B/s", ["0.0 MB/s", "0.5 MB/s", "1.0 MB/s"]],
    [[0, 20, 40], "%", ["0 %", "20 %", "40 %"]],
    [[99.9, 99.95, 100], "%", ["99.90 %", "99.95 %", "100.00 %"]],
    [[0, 1], "requests per second", ["0 requests per second", "1 requests per second"]],
    [[-0.1, 1e-17, 0.1], "", ["-0.1", "0.0", "0.1"]],
    [[-50, 60], "", ["-50", "60"]],
  ];
  for (const [ticks, unit, want] of cases) assert.deepEqual(formatAxis(ticks, unit), want);
  assert.deepEqual([100, 12.5, 0].map((value) => formatBound(value, "%")), ["100 %", "12.5 %", "0 %"]);
  assert.equal(formatBound(2_500_000, "B/s"), "2.5 MB/s");
});

/** Numbers from 0 to 1, the same in each run. */
function chance(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
}

const UNITS = ["", "1", "1/s", "%", "B", "B/s", "A", "m", "s", "ms", "µs", "ns", "°C", "req", "requests", "orders per minute", "kWh"];

/** Whether a text says 0. */
function saysZero(text: string): boolean {
  return !/[1-9]/.test(text.replace(/e.*$/, "").replace(/[^\d.].*$/, ""));
}

/** What differs is written differently, what is equal alike, and only 0 is written 0. */
function holds(values: readonly number[], texts: readonly string[], what: string): void {
  const said = new Map<string, number>();
  values.forEach((value, i) => {
    const text = texts[i] ?? "";
    const other = said.get(text);
    assert.ok(other === undefined || other === value, `${what}: ${value} and ${other} are both “${text}”`);
    said.set(text, value);
    if (value !== 0) assert.ok(!saysZero(text.replace(/^-/, "")), `${what}: ${value} is “${text}”`);
  });
  assert.equal(said.size, new Set(values.map((value) => value + 0)).size, `${what}: ${texts.join(", ")}`);
}

test("whatever the values of a legend: those that differ are never alike, and only 0 is 0", () => {
  const random = chance(7);
  for (let run = 0; run < 4000; run++) {
    const unit = UNITS[run % UNITS.length] ?? "";
    const middle = (random() - 0.5) * 10 ** (random() * 40 - 20);
    // Far from each other, close, and as close as doubles can be.
    const spread = [1, 1e-3, 1e-9, Number.EPSILON * 4][run % 4] ?? 1;
    const values = Array.from({ length: 2 + Math.floor(random() * 8) }, () => (random() < 0.1 ? 0 : middle * (1 + spread * (random() - 0.5))));
    holds(values, formatAll(values, unit), `${values.join(", ")} in “${unit}”`);
    for (const value of values) holds([value], [formatOne(value, unit)], `${value} in “${unit}”`);
  }
});

test("whatever the axis: ticks that differ are never alike, and only 0 is 0", () => {
  const random = chance(11);
  for (let run = 0; run < 4000; run++) {
    const unit = UNITS[run % UNITS.length] ?? "";
    const power = Math.floor(random() * 36 - 16);
    const step = ([1, 2, 2.5, 5][Math.floor(random() * 4)] ?? 1) * 10 ** power;
    // Around 0, and far from it by up to 10,000 million steps.
    const first = Math.floor((random() - 0.5) * 10 ** (random() * 10));
    const ticks = Array.from({ length: 2 + Math.floor(random() * 6) }, (_, i) => (first + i) * step);
    holds(ticks, formatAxis(ticks, unit), `${ticks.join(", ")} in “${unit}”`);
  }
});
