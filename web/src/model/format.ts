// Numbers as people read them. A Scale is chosen once for a whole chart, from
// its largest value, so that prefix and decimals do not jump from value to value.

export interface Scale {
  /** Values are divided by this. */
  readonly divisor: number;
  readonly decimals: number;
  /** What stands behind the number, with its own leading space or none. */
  readonly suffix: string;
}

const SI: readonly (readonly [number, string])[] = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
];

const IEC: readonly (readonly [number, string])[] = [
  [1024 ** 4, "TiB"],
  [1024 ** 3, "GiB"],
  [1024 ** 2, "MiB"],
  [1024, "KiB"],
  [1, "B"],
];

const SECONDS: readonly (readonly [number, string])[] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
  [1e-9, "ns"],
];

function pick(steps: readonly (readonly [number, string])[], magnitude: number, atLeast = 1): readonly [number, string] {
  for (const step of steps) if (magnitude >= step[0] * atLeast) return step;
  return steps[steps.length - 1] ?? [1, ""];
}

function decimalsFor(scaled: number): number {
  if (scaled === 0) return 0;
  if (scaled >= 100) return 0;
  if (scaled >= 10) return 1;
  if (scaled >= 1) return 2;
  if (scaled >= 0.1) return 3;
  return Math.min(6, Math.ceil(-Math.log10(scaled)) + 2);
}

/** The scale for values up to magnitude (absolute) in unit. */
export function scaleFor(unit: string, magnitude: number): Scale {
  const size = Number.isFinite(magnitude) ? Math.abs(magnitude) : 0;
  switch (unit) {
    case "%":
      return { divisor: 1, decimals: size >= 1 || size === 0 ? 1 : 2, suffix: " %" };
    case "B":
    case "bytes": {
      const [divisor, prefix] = pick(IEC, size);
      return { divisor, decimals: prefix === "B" ? 0 : decimalsFor(size / divisor), suffix: ` ${prefix}` };
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
      return { divisor: seconds / base, decimals: decimalsFor((size * base) / seconds), suffix: ` ${name}` };
    }
    case "°C":
    case "°F":
      return { divisor: 1, decimals: 1, suffix: ` ${unit}` };
  }
  const [divisor, prefix] = pick(SI, size);
  const decimals = decimalsFor(size / divisor);
  if (unit === "" || unit === "1") return { divisor, decimals, suffix: prefix === "" ? "" : ` ${prefix}` };
  if (unit === "1/s") return { divisor, decimals, suffix: ` ${prefix}/s` };
  return { divisor, decimals, suffix: ` ${prefix}${unit}` };
}

const formats = new Map<number, Intl.NumberFormat>();

function numberFormat(decimals: number): Intl.NumberFormat {
  let format = formats.get(decimals);
  if (format === undefined) {
    format = new Intl.NumberFormat("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    formats.set(decimals, format);
  }
  return format;
}

export const ABSENT = "–";

/** The number alone, for places that show the unit elsewhere. */
export function formatNumber(value: number | null, scale: Scale): string {
  if (value === null || !Number.isFinite(value)) return ABSENT;
  const text = numberFormat(scale.decimals).format(value / scale.divisor);
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text;
}

export function formatValue(value: number | null, scale: Scale): string {
  return value === null || !Number.isFinite(value) ? ABSENT : formatNumber(value, scale) + scale.suffix;
}

/** A value on its own, with the scale that suits it. */
export function formatOne(value: number | null, unit: string): string {
  return value === null ? ABSENT : formatValue(value, scaleFor(unit, value));
}

/** The end of a scale: 100 % and not 100.0 %. */
export function formatBound(value: number, unit: string): string {
  const scale = scaleFor(unit, value);
  return formatValue(value, { ...scale, decimals: decimalsNeeded(value / scale.divisor) });
}

function decimalsNeeded(scaled: number): number {
  let decimals = 0;
  while (decimals < 6 && Math.abs(scaled * 10 ** decimals - Math.round(scaled * 10 ** decimals)) > 1e-6) decimals++;
  return decimals;
}

/** Labels of an axis: as few decimals as tell its steps apart. */
export function axisScale(unit: string, magnitude: number, step: number): Scale {
  const scale = scaleFor(unit, magnitude);
  return { ...scale, decimals: decimalsNeeded(step / scale.divisor) };
}

let utc = false;
let clockFormat: Intl.DateTimeFormat;
let minuteFormat: Intl.DateTimeFormat;
let momentFormat: Intl.DateTimeFormat;
setZone(false);

/** Times are written in UTC, or in the browser's zone, from now on. */
export function setZone(inUtc: boolean): void {
  utc = inUtc;
  const zone: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", ...(utc ? { timeZone: "UTC" } : {}) };
  minuteFormat = new Intl.DateTimeFormat("en-GB", zone);
  clockFormat = new Intl.DateTimeFormat("en-GB", { ...zone, second: "2-digit" });
  momentFormat = new Intl.DateTimeFormat("en-GB", { ...zone, day: "numeric", month: "short", second: "2-digit" });
}

/** Hours and days of charts begin where those of the zone do. */
export function zoneDate(epochMs: number): Date {
  const date = new Date(epochMs);
  return new Date(epochMs + (utc ? date.getTimezoneOffset() * 60_000 : 0));
}

/** Time of day, 10:32:07. */
export function formatTime(epochMs: number): string {
  return Number.isFinite(epochMs) ? clockFormat.format(epochMs) : ABSENT;
}

/** Day and time of day: 25 Nov, 10:32:07. */
export function formatMoment(epochMs: number): string {
  return Number.isFinite(epochMs) ? momentFormat.format(epochMs) : ABSENT;
}

/** Time of day for an axis: with seconds only where a label is not a whole minute. */
export function formatAxisTime(epochMs: number, stepMs: number): string {
  return stepMs % 60_000 === 0 ? minuteFormat.format(epochMs) : clockFormat.format(epochMs);
}

/** 45 s, 5 min, 2 h: whole units only. */
export function formatDuration(seconds: number): string {
  if (seconds >= 3600 && seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds >= 60 && seconds % 60 === 0) return `${seconds / 60} min`;
  return `${seconds} s`;
}

/** Age of something old, rounded: 12 s, 3 min, 5 h. */
export function formatAge(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
