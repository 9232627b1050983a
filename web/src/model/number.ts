// Numbers as people read them. Each value has a Scale of its own: a prefix from n
// to E and the decimals that it needs. Values that stand together, on an axis or
// in a legend, get more decimals until those that differ are written differently.

export interface Scale {
  /** Values are divided by this. */
  readonly divisor: number;
  readonly decimals: number;
  /** What stands behind the number, with its own leading space or none. */
  readonly suffix: string;
  /** Written as 1.23e-15: no prefix is small or large enough. */
  readonly exponent?: boolean;
}

type Steps = readonly (readonly [size: number, prefix: string])[];

const LARGE: Steps = [
  [1e18, "E"],
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
];

const SMALL: Steps = [
  [1e-3, "m"],
  [1e-6, "µ"],
  [1e-9, "n"],
];

const IEC: Steps = [
  [1024 ** 6, "EiB"],
  [1024 ** 5, "PiB"],
  [1024 ** 4, "TiB"],
  [1024 ** 3, "GiB"],
  [1024 ** 2, "MiB"],
  [1024, "KiB"],
  [1, "B"],
];

const SECONDS: Steps = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
  [1e-9, "ns"],
];

/** Units of which there are parts: mA, µg. Of a byte or a request there is none. */
const DIVISIBLE = /^(A|V|W|Wh|VA|J|N|Pa|bar|Ω|F|H|C|K|T|S|Sv|Gy|mol|cd|lm|lx|eV|Hz|g|m|l|L)(\/\w+)?$/;
/** Those, and what is counted in thousands all the same. A word takes no prefix. */
const COUNTED = /^(|1|b|B|bit|bits|bps|Bd|px|req|ops|op|rps|qps|iops|IOPS)(\/\w+)?$/;

/** Beyond these many decimals, or this size without a prefix, an exponent is easier to read. */
const MOST_DECIMALS = 7;
const LARGEST_PLAIN = 1e9;
/** The most that Intl.NumberFormat takes, and more than a double has. */
const ALL_DECIMALS = 20;

/** The largest step of which size is at least one, as it is written; else the last. */
function pick(steps: Steps, size: number): readonly [size: number, prefix: string] {
  // 999.6 is written with three digits: 1.00 k, and not 1,000.
  for (const step of steps) if (Number((size / step[0]).toPrecision(3)) >= 1) return step;
  return steps[steps.length - 1] ?? [1, ""];
}

/** Three digits that count. */
function decimalsFor(scaled: number): number {
  if (scaled === 0) return 0;
  const rounded = Number(scaled.toPrecision(3));
  if (rounded >= 100) return 0;
  if (rounded >= 10) return 1;
  if (rounded >= 1) return 2;
  if (rounded >= 0.1) return 3;
  return Math.ceil(-Math.log10(rounded)) + 2;
}

function withExponent(unit: string): Scale {
  return { divisor: 1, decimals: 2, suffix: unit === "" || unit === "1" ? "" : ` ${unit}`, exponent: true };
}

function scaled(size: number, divisor: number, suffix: string, unit: string): Scale {
  const decimals = decimalsFor(size / divisor);
  return decimals > MOST_DECIMALS || size / divisor >= LARGEST_PLAIN ? withExponent(unit) : { divisor, decimals, suffix };
}

/** The scale of a percentage: near 100 the digits of what is missing count, 99.85 % and not 99.9 %. */
function percent(size: number): Scale {
  if (size >= LARGEST_PLAIN || (size > 0 && decimalsFor(size) > MOST_DECIMALS)) return withExponent("%");
  // 100 - 99.9 is less than 0.1, by what doubles lack; and what is missing by a rounding error is not written.
  const missing = Number(Math.abs(100 - size).toPrecision(6));
  const close = missing >= 10 ** -MOST_DECIMALS && missing < 1 ? Math.min(MOST_DECIMALS, Math.ceil(-Math.log10(missing)) + 1) : 1;
  const small = size > 0 && size < 1 ? Math.max(2, decimalsFor(size) - 1) : 1;
  return { divisor: 1, decimals: Math.max(close, small), suffix: " %" };
}

/** The scale that suits a value in unit. */
export function scaleFor(unit: string, value: number): Scale {
  const size = Number.isFinite(value) ? Math.abs(value) : 0;
  switch (unit) {
    case "%":
      return percent(size);
    case "B":
    case "bytes": {
      const [divisor, prefix] = pick(IEC, size);
      return Number.isInteger(size) && prefix === "B" ? { divisor, decimals: 0, suffix: " B" } : scaled(size, divisor, ` ${prefix}`, unit);
    }
    case "s":
    case "ms":
    case "us":
    case "µs":
    case "ns": {
      const base = unit === "s" ? 1 : unit === "ms" ? 1e-3 : unit === "ns" ? 1e-9 : 1e-6;
      if (size === 0) return { divisor: 1, decimals: 0, suffix: ` ${unit}` };
      // 90 s reads better than 1.5 min, 900 ms better than 0.9 s.
      const [seconds, name] = size * base >= 120 ? pick(SECONDS, size * base) : pick(SECONDS.slice(3), size * base);
      return scaled(size, seconds / base, ` ${name}`, unit);
    }
    case "°C":
    case "°F": {
      const scale = scaled(size, 1, ` ${unit}`, unit);
      return { ...scale, decimals: Math.max(1, scale.decimals) };
    }
  }
  const divisible = DIVISIBLE.test(unit);
  if (!divisible && !COUNTED.test(unit)) return scaled(size, 1, ` ${unit}`, unit);
  const steps = divisible && size > 0 && size < 1 ? [...LARGE, ...SMALL] : LARGE;
  const [divisor, prefix] = pick(steps, size);
  const name = unit.replace(/^1(?=\/|$)/, "");
  return scaled(size, divisor, prefix + name === "" ? "" : ` ${prefix}${name}`, unit);
}

/** By the number of decimals. */
const formats: Intl.NumberFormat[] = [];

export const ABSENT = "–";

/** The number alone, for places that show the unit elsewhere. */
export function formatNumber(value: number | null, scale: Scale): string {
  if (value === null || !Number.isFinite(value)) return ABSENT;
  const decimals = Math.min(ALL_DECIMALS, scale.decimals);
  if (scale.exponent) return (value / scale.divisor).toExponential(decimals).replace("e+", "e");
  const format = (formats[decimals] ??= new Intl.NumberFormat("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  const text = format.format(value / scale.divisor);
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text;
}

export function formatValue(value: number | null, scale: Scale): string {
  return value === null || !Number.isFinite(value) ? ABSENT : formatNumber(value, scale) + scale.suffix;
}

/** A value on its own, with the scale that suits it. */
export function formatOne(value: number | null, unit: string): string {
  return value === null ? ABSENT : formatValue(value, scaleFor(unit, value));
}

/** All digits that a double has, for those that differ in the last one only. */
function formatWhole(value: number, unit: string): string {
  return `${value}${withExponent(unit).suffix}`;
}

function isZero(text: string): boolean {
  return !/[1-9]/.test(text.replace(/e.*$/, ""));
}

/** For each text whether another value is written like it, or it is written as 0 and is not. */
function clashes(values: readonly number[], texts: readonly string[]): boolean[] {
  const meanings = new Map<string, number>();
  const shared = new Set<string>();
  texts.forEach((text, i) => {
    const value = values[i] ?? 0;
    const other = meanings.get(text);
    if (other === undefined) meanings.set(text, value);
    else if (other !== value) shared.add(text);
  });
  return texts.map((text, i) => shared.has(text) || (values[i] !== 0 && Number.isFinite(values[i]) && isZero(text)));
}

/** Values that stand together, each with its own scale: those that differ are written differently, and only 0 is written 0. */
export function formatAll(values: readonly (number | null)[], unit: string): string[] {
  const numbers = values.map((value) => (value === null || !Number.isFinite(value) ? Number.NaN : value + 0));
  const scales = numbers.map((value) => scaleFor(unit, value));
  const write = (): string[] => numbers.map((value, i) => formatValue(value, scales[i] as Scale));
  let texts = write();
  const bad = (): boolean[] => clashes(numbers, texts).map((clash, i) => clash && !Number.isNaN(numbers[i]));
  for (let more = 0, which = bad(); more < ALL_DECIMALS && which.includes(true); more++, which = bad()) {
    which.forEach((clash, i) => {
      const scale = scales[i] as Scale;
      if (clash) scales[i] = { ...scale, decimals: scale.decimals + 1 };
    });
    texts = write();
  }
  const last = bad();
  return texts.map((text, i) => (last[i] ? formatWhole(numbers[i] ?? 0, unit) : text));
}

/** Smaller steps of the same unit, the largest first: an axis around a large value needs them. */
function finer(unit: string, scale: Scale): Scale[] {
  const steps = LARGE.filter(([size]) => size < scale.divisor).map(([size]) => scaleFor(unit, size));
  return steps.filter(({ divisor, exponent }) => divisor < scale.divisor && !exponent);
}

/** The least decimals that write all values exactly, to a thousandth of their distance; more than ALL_DECIMALS when none do. */
function decimalsOf(values: readonly number[], divisor: number, step: number): number {
  let decimals = 0;
  while (decimals <= ALL_DECIMALS && values.some((value) => Math.abs(Number((value / divisor).toFixed(decimals)) * divisor - value) > step / 1000)) decimals++;
  return decimals;
}

/** Labels of an axis, or the ends of a scale: with one prefix, and as few decimals as make them differ. */
export function formatAxis(ticks: readonly number[], unit: string): string[] {
  const sorted = [...new Set(ticks)].sort((a, b) => a - b);
  const steps = sorted.slice(1).map((tick, i) => tick - (sorted[i] ?? 0));
  const largest = Math.max(...sorted.map(Math.abs), 0);
  const step = Math.min(...steps, largest);
  // What is added up to get ticks is not exact: 1e-17 is 0 between 0.1 and -0.1.
  const exact = ticks.map((tick) => (Math.abs(tick) < step * 1e-9 ? 0 : tick));
  const first = scaleFor(unit, largest);
  const candidates = first.exponent ? [] : [first, ...finer(unit, first)];
  let best: readonly string[] | null = null;
  let length = Number.POSITIVE_INFINITY;
  for (const scale of candidates) {
    const decimals = decimalsOf(exact, scale.divisor, step);
    if (decimals > ALL_DECIMALS) continue;
    const texts = exact.map((tick) => formatValue(tick, { ...scale, decimals }));
    const longest = Math.max(...texts.map((text) => text.length));
    if (longest < length && !clashes(exact, texts).includes(true)) [best, length] = [texts, longest];
  }
  if (best !== null) return [...best];
  return formatAll(exact, unit);
}

/** The end of a scale: 100 % and not 100.0 %. */
export function formatBound(value: number, unit: string): string {
  return formatAxis([value], unit)[0] ?? ABSENT;
}
