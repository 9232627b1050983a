// Times and durations as people read them; numbers are in number.ts.
import { ABSENT } from "./number";

/** The note on a chart that shows only those of its series that are largest now; empty when it shows all. */
export function formatShare(shown: number, total: number): string {
  return total > shown ? `top ${shown} of ${total.toLocaleString("en")} now` : "";
}

let zone = formatsIn(false);

/** Times are written in UTC, or in the browser's zone, from now on. */
export function setZone(utc: boolean): void {
  zone = formatsIn(utc);
}

function formatsIn(utc: boolean) {
  const format = (more: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...(utc ? { timeZone: "UTC" } : {}), ...more });
  return { utc, minute: format({}), clock: format({ second: "2-digit" }), moment: format({ day: "numeric", month: "short", second: "2-digit" }) };
}

/** Hours and days of charts begin where those of the zone do. */
export function zoneDate(epochMs: number): Date {
  const date = new Date(epochMs);
  return new Date(epochMs + (zone.utc ? date.getTimezoneOffset() * 60_000 : 0));
}

/** Time of day, 10:32:07. */
export function formatTime(epochMs: number): string {
  return Number.isFinite(epochMs) ? zone.clock.format(epochMs) : ABSENT;
}

/** Day and time of day: 25 Nov, 10:32:07. */
export function formatMoment(epochMs: number): string {
  return Number.isFinite(epochMs) ? zone.moment.format(epochMs) : ABSENT;
}

/** Time of day for an axis: with seconds only where a label is not a whole minute. */
export function formatAxisTime(epochMs: number, stepMs: number): string {
  return stepMs % 60_000 === 0 ? zone.minute.format(epochMs) : zone.clock.format(epochMs);
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
