import type { WidgetStream } from "./store";

export type Freshness = "skeleton" | "waiting" | "live" | "late" | "stale" | "degraded" | "limited" | "lost" | "paused";

/** Whether updates come. Before the welcome a link counts as lost, since the server's time is not known. */
export type Flow = "flowing" | "paused" | "lost";

/**
 * How fresh the values of a widget are. The page applies the gateway's rule for stale widgets itself too, in case the gateway
 * has stalled. serverNow and monotonic are the same moment on two clocks; what is not known, NaN, is never live.
 */
export function freshness(stream: WidgetStream, serverNow: number, monotonic: number, flow: Flow): Freshness {
  if (!stream.known) return "skeleton";
  // Its query is not computed, so earlier values are not current.
  if (stream.state === "limited") return "limited";
  // Windows in which nothing has ever matched have ends, but no series.
  if (stream.ring.length === 0 || stream.columns.length === 0) return stream.state === "degraded" ? "degraded" : "waiting";
  if (flow === "lost" || Number.isNaN(serverNow)) return "lost";
  if (stream.state === "stale" || stream.state === "degraded") return stream.state;
  if (flow === "paused") return "paused";
  if (!isOnTime(stream, serverNow, monotonic)) return "stale";
  return stream.state === "late" ? "late" : "live";
}

/** Its newest window has ended, or at least come, within two refresh intervals. */
export function isOnTime(stream: WidgetStream, serverNow: number, monotonic: number): boolean {
  const allowed = 2 * stream.refreshMs + 1000 + stream.delayMs;
  // An end far ahead of the server's time is from before its clock was set back, and counts as old.
  return Math.abs(serverNow - stream.ring.lastEnd) <= allowed || monotonic - stream.arrivedAt <= allowed;
}
