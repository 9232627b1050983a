import type { WidgetStream } from "./store";

export type Freshness = "skeleton" | "waiting" | "live" | "late" | "stale" | "degraded" | "limited";

/**
 * What a widget may claim. The gateway says when a widget is stale; the page
 * says so too, by the same rule, in case the gateway itself has stalled.
 * serverNow and monotonic are the same moment on the two clocks.
 */
export function freshness(stream: WidgetStream, serverNow: number, monotonic: number, flowing: boolean): Freshness {
  if (!stream.known) return "skeleton";
  // Not computed: what there is, or was, says nothing of now.
  if (stream.state === "limited") return "limited";
  // Windows in which nothing has ever matched have ends, but no series.
  if (stream.ring.length === 0 || stream.columns.length === 0) return stream.state === "degraded" ? "degraded" : "waiting";
  if (stream.state === "stale" || stream.state === "degraded") return stream.state;
  const allowed = 2 * stream.refreshMs + 1000 + stream.delayMs;
  // Not while paused or cut off: the page says that once, for all widgets.
  if (flowing && serverNow - stream.ring.lastEnd > allowed && !(monotonic - stream.arrivedAt <= allowed)) return "stale";
  return stream.state === "late" ? "late" : "live";
}
